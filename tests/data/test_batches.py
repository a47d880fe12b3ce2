import json

import numpy as np
import pytest

from dlcourse.data import Batches

X, Y = np.arange(20.0).reshape(10, 2), np.arange(10)


def batches(size=3, seed=0, **options):
    return Batches(X, Y, size, np.random.default_rng(seed), **options)


def test_one_epoch_holds_every_example_once_and_pairs_stay_together():
    seen = list(batches())
    assert [len(y) for _, y in seen] == [3, 3, 3, 1]
    assert len(seen) == len(batches())
    assert sorted(np.concatenate([y for _, y in seen])) == list(range(10))
    for x, y in seen:
        np.testing.assert_array_equal(x, X[y])


def test_each_epoch_has_its_own_order():
    both = batches()
    first, second = (np.concatenate([y for _, y in both]).tolist() for _ in range(2))
    assert first != second != sorted(second)


def test_order_comes_from_the_generator_alone():
    orders = [np.concatenate([y for _, y in batches(seed=seed)]).tolist() for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_without_shuffle_and_with_drop_last():
    seen = [y.tolist() for _, y in batches(shuffle=False, drop_last=True)]
    assert seen == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert len(batches(drop_last=True)) == 3
    assert len(batches(5)) == len(batches(5, drop_last=True)) == 2


def test_state_survives_json_and_repeats_the_next_epoch():
    one = batches()
    list(one)
    kept = json.loads(json.dumps(one.state()))
    expected = [y.tolist() for _, y in one]
    other = batches(seed=99)
    other.load_state(kept)
    assert [y.tolist() for _, y in other] == expected


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((X[:0], Y[:0], 3, np.random.default_rng(0)), "no examples"),
        ((X, Y[:9], 3, np.random.default_rng(0)), "10 examples but 9 targets"),
        ((X, Y, 0, np.random.default_rng(0)), "batch_size=0"),
        ((X, Y, 2.5, np.random.default_rng(0)), "batch_size=2.5"),
        ((X, Y, True, np.random.default_rng(0)), "batch_size=True"),
        ((X, Y, 11, np.random.default_rng(0), True, True), "leaves no batch"),
        ((X, Y, 3, 0), "default_rng"),
    ],
)
def test_refuses(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        Batches(*arguments)


def test_steps_make_an_epoch_a_random_part():
    x = np.arange(100)
    batches = Batches(x, x, 8, np.random.default_rng(0), steps=3)
    assert len(batches) == 3
    first, second = ([part for part, _ in batches] for _ in range(2))
    assert [len(part) for part in first] == [8, 8, 8]
    assert len(np.unique(np.concatenate(first))) == 24, "no example twice in an epoch"
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    assert len(Batches(x, x, 8, np.random.default_rng(0), steps=50)) == 13, "an epoch has no more"
    with pytest.raises(ValueError, match="steps=0: it must be a whole number of at least 1"):
        Batches(x, x, 8, np.random.default_rng(0), steps=0)
