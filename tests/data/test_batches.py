import json

import numpy as np

from dlcourse.data import Batches
from dlcourse.data import batches as module
from tests.data import batch_cases
from tests.numpy import models

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


def test_example_by_example():
    batch_cases.check_batches(module, models.raises)


def test_steps_make_an_epoch_a_random_part():
    x = np.arange(100)
    batches = Batches(x, x, 8, np.random.default_rng(0), steps=3)
    assert len(batches) == 3
    first, second = ([part for part, _ in batches] for _ in range(2))
    assert [len(part) for part in first] == [8, 8, 8]
    assert len(np.unique(np.concatenate(first))) == 24, "no example twice in an epoch"
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    assert len(Batches(x, x, 8, np.random.default_rng(0), steps=50)) == 13, "an epoch has no more"
