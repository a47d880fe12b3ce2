"""The reader's own functions in the place of the package's: the network trains with them, and gets its own back."""

import numpy as np
import pytest

from dlcourse import check
from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP, SGD, Learner, functional, optim
from tests.check.solutions import numpy_solutions

PLACES = {name: getattr(functional, name) for name in check.use.__globals__["OPERATIONS"]}
STEP = optim.SGD.step


@pytest.fixture(autouse=True)
def everything_is_back():
    yield
    assert {name: getattr(functional, name) for name in PLACES} == PLACES
    assert optim.SGD.step is STEP


def train(loss="cross_entropy", activation="relu", steps=30, **options):
    """A small network on generated points -> losses before and after, and its parameters."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype(np.float32)
    labels = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    outputs = 2 if loss == "cross_entropy" else 1
    config = MLPConfig(3, (16,), outputs, activation)
    model = MLP(config)
    model.load_state(initial_state(config, seed=0))
    learner = Learner(model, SGD(model, momentum=0.9, **options), loss)
    batch = x, labels if outputs == 2 else labels[:, None].astype(np.float32)
    losses = [learner.step(batch, 0.1) for _ in range(steps)]
    return losses[0], losses[-1], model.state()


CASES = {
    "sigmoid": {"activation": "sigmoid", "steps": 100},
    "softmax": {},
    "linear_backward": {},
    "relu_backward": {},
    "cross_entropy": {},
    "output_error": {"loss": "binary_cross_entropy"},
    "sgd_momentum": {},
}


@pytest.mark.parametrize("name", CASES)
def test_network_trains_with_the_readers_function(name):
    called = []
    solution = numpy_solutions()[name]

    def own(*arguments):
        called.append(1)
        return solution(*arguments)

    first, last, expected = train(**CASES[name])
    with check.use(name, own):
        called.clear()
        if name == "softmax":  # the losses take logits: softmax is called where probabilities are wanted
            functional.softmax(np.zeros((1, 2)))
        own_first, own_last, state = train(**CASES[name])
    assert called
    assert own_last < own_first
    np.testing.assert_allclose([own_first, own_last], [first, last], rtol=1e-4)
    for parameter, array in state.items():
        assert array.dtype == expected[parameter].dtype
        np.testing.assert_allclose(array, expected[parameter], rtol=1e-3, atol=1e-5)


def test_every_exercise_with_a_place_is_tried():
    assert set(CASES) == set(check.use.__globals__["ADAPTERS"])


def test_softmax_and_sigmoid_keep_their_gradients():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 4, 5))
    for name in ("softmax", "sigmoid"):
        expected = PLACES[name](x)[1](dy)
        with check.use(name, numpy_solutions()[name]):
            np.testing.assert_allclose(getattr(functional, name)(x)[1](dy), expected, rtol=1e-12)


def test_linear_of_more_axes():
    rng = np.random.default_rng(0)
    x, weight, bias, dy = rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 4)), np.zeros(5), rng.normal(size=(2, 3, 5))
    expected = PLACES["linear"](x, weight, bias)[1](dy)
    with check.use("linear_backward", numpy_solutions()["linear_backward"]):
        for a, b in zip(functional.linear(x, weight, bias)[1](dy), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_what_the_exercise_does_not_ask_for_is_done_by_the_package():
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(4, 3)), np.array([0, 1, 2, -100])
    with check.use("cross_entropy", numpy_solutions()["cross_entropy"]):
        for arguments in ((z, labels), (z, abs(labels) % 3, 0.1)):
            assert functional.cross_entropy(*arguments)[0] == PLACES["cross_entropy"](*arguments)[0]
            np.testing.assert_array_equal(functional.cross_entropy(*arguments)[1](2.0), PLACES["cross_entropy"](*arguments)[1](2.0))
    expected = train(nesterov=True)
    with check.use("sgd_momentum", numpy_solutions()["sgd_momentum"]):
        assert train(nesterov=True)[1] == expected[1]


def test_plain_call_stays_until_it_is_undone():
    undo = check.use("relu_backward", numpy_solutions()["relu_backward"])
    assert functional.relu is not PLACES["relu"]
    undo()
    assert functional.relu is PLACES["relu"]
    undo()  # a second time does no harm


def test_using_twice_still_brings_the_packages_own_back():
    check.use("relu_backward", numpy_solutions()["relu_backward"])
    undo = check.use("relu_backward", lambda x, dy: dy * (x > 0))
    undo()
    assert functional.relu is PLACES["relu"]


def test_restore_brings_everything_back():
    check.use("relu_backward", numpy_solutions()["relu_backward"])
    check.use("sgd_momentum", numpy_solutions()["sgd_momentum"])
    check.restore()
    check.restore()


def test_an_error_inside_the_block_restores_too():
    with pytest.raises(KeyError), check.use("relu_backward", numpy_solutions()["relu_backward"]):
        raise KeyError


def test_checks_are_not_fooled_by_what_is_in_use():
    with check.use("softmax", numpy_solutions()["softmax"]):
        assert check.softmax.examine(numpy_solutions()["softmax"]).passed
        assert not check.softmax.examine(np.exp).passed


@pytest.mark.parametrize("name", sorted(PLACES))
def test_functions_with_the_packages_own_signature(name):
    calls = []

    def own(*arguments, **options):
        calls.append(1)
        return PLACES[name](*arguments, **options)

    with check.use(name, own):
        assert getattr(functional, name) is own
    assert calls


def flipped(x):
    return np.maximum(x, 0), lambda dy: -dy * (x > 0)


def shifted(x):
    return np.maximum(x, 0) + 1, lambda dy: dy * (x > 0)


def writing(x):
    y = np.maximum(x, 0)
    x *= 2
    return y, lambda dy: dy * (y > 0)


@pytest.mark.parametrize(
    ("name", "fn", "sentence"),
    [
        (
            "softmax",
            lambda z: np.exp(z),
            r"your softmax can't be used yet, softmax: 4 of 12 cases ok: run check.softmax\(softmax\) to see why",
        ),
        ("softmax", lambda z: None, "softmax: not attempted yet"),
        (
            "relu",
            flipped,
            r"your relu can't be used, its gradient differs: it must return \(y, backward\) like dlcourse.numpy.functional.relu",
        ),
        ("relu", shifted, "its y differs"),
        ("relu", writing, "it writes into its arguments"),
        ("relu", lambda x: np.maximum(x, 0), "ValueError: too many values to unpack"),
        ("relu", 3, r"check.use takes the function itself, not int: check.use\('relu', relu\)"),
        ("softmx", np.exp, r"unknown name 'softmx' \(did you mean softmax\?\): check.use takes binary_cross_entropy, "),
        ("mlp_backward", np.exp, "mlp_backward has no place in the package: check.use takes "),
        ("parameter_count", np.exp, "parameter_count has no place in the package"),
    ],
)
def test_refusals(name, fn, sentence):
    with pytest.raises(ValueError, match=sentence):
        check.use(name, fn)


def test_torch_answers_are_refused():
    import torch

    with pytest.raises(ValueError, match="your softmax can't be used yet"):
        check.use("softmax", lambda z: torch.softmax(z, -1))
