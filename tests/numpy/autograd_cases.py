"""Checks of the tape. Each takes the module under test; the mutants of `tests/test_mutants.py` face the same checks."""

import math
import weakref

import numpy as np

from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP, convolution
from dlcourse.numpy import functional as f
from dlcourse.numpy.layers import Linear
from tests.gradients import assert_close, check_gradient

BROADCASTS = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (3, 4)), ((), (2, 3)), ((2, 3), ()), ((2, 1, 3), (4, 1)), ((1,), (5, 1)), ((), ())]


def pair(autograd, program):
    """A program of tensors as an operation that returns (y, backward)."""

    def operation(*arrays):
        leaves = [autograd.Tensor(array) for array in arrays]
        y = program(*leaves)

        def backward(dy):
            for leaf in leaves:
                leaf.grad = None
            y.backward(dy, retain=True)
            return tuple(leaf.grad for leaf in leaves)

        return y.data, backward

    return operation


def apart_from_zero(rng, shape):
    return rng.choice([-1.0, 1.0], size=shape) * (0.5 + rng.random(shape))


# ---------------------------------------------------------------- the smallest operations


def check_elementary(autograd):
    rng = np.random.default_rng(0)
    for name, expected in {"add": np.add, "multiply": np.multiply, "divide": np.divide}.items():
        for shapes in BROADCASTS:
            a, b = (apart_from_zero(rng, shape) for shape in shapes)
            assert np.array_equal(getattr(autograd, name)(a, b)[0], expected(a, b)), name
            check_gradient(getattr(autograd, name), (a, b), rng)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    assert np.array_equal(autograd.matmul(a, b)[0], np.matmul(a, b))
    check_gradient(autograd.matmul, (a, b), rng)
    assert np.array_equal(autograd.exp(a)[0], np.exp(a)) and np.array_equal(autograd.log(a * a)[0], np.log(a * a))
    check_gradient(autograd.exp, (a,), rng)
    check_gradient(autograd.log, (1 + a * a,), rng)
    for options in ({}, {"axis": 0}, {"axis": 1}, {"axis": -1}, {"axis": (0, 2)}, {"axis": 1, "keepdims": True}, {"keepdims": True}):
        a = rng.normal(size=(2, 3, 4))
        assert np.array_equal(autograd.total(a, **options)[0], np.sum(a, **options)), options
        check_gradient(lambda a, options=options: autograd.total(a, **options), (a,), rng)


def check_unbroadcast(autograd):
    """The sum over the copies, found by counting where each entry went."""
    rng = np.random.default_rng(1)
    for shape, result in [((4,), (3, 4)), ((3, 1), (3, 4)), ((), (2, 3)), ((1, 3), (2, 4, 3)), ((2, 3), (2, 3)), ((1,), (1,)), ((), ())]:
        dy = np.asarray(rng.normal(size=result))
        source = np.broadcast_to(np.arange(math.prod(shape)).reshape(shape), result)
        expected = np.array([dy[source == i].sum() for i in range(math.prod(shape))]).reshape(shape)
        dx = autograd.unbroadcast(dy, shape)
        assert np.shape(dx) == shape
        assert_close("unbroadcast", dx, expected, 1e-14)


PROGRAMS = [
    ("a + b", lambda a, b: a + b),
    ("a - b", lambda a, b: a - b),
    ("a * b", lambda a, b: a * b),
    ("a / b", lambda a, b: a / b),
    ("a used many times", lambda a, b: a * b + a / b - a * a),
]
NUMBERS = [
    ("a + 2", lambda a: a + 2),
    ("2 + a", lambda a: 2 + a),
    ("a - 2", lambda a: a - 2),
    ("2 - a", lambda a: 2 - a),
    ("3 a", lambda a: 3 * a),
    ("a 3", lambda a: a * 3),
    ("a / 3", lambda a: a / 3),
    ("3 / a", lambda a: 3 / a),
    ("-a", lambda a: -a),
    ("array + a", lambda a: np.arange(4.0) + a),
    ("array - a", lambda a: np.arange(4.0) - a),
    ("array / a", lambda a: np.arange(1.0, 5.0) / a),
    ("a array", lambda a: a @ np.ones((4, 2))),
    ("array a", lambda a: np.ones((2, 3)) @ a),
]
METHODS = [
    ("exp", lambda a: a.exp(), np.exp),
    ("log", lambda a: (a * a).log(), lambda a: np.log(a * a)),
    ("tanh", lambda a: a.tanh(), np.tanh),
    ("sum", lambda a: a.sum(), np.sum),
    ("sum of rows", lambda a: a.sum(axis=1), lambda a: a.sum(axis=1)),
    ("sum of rows, axis kept", lambda a: a.sum(axis=1, keepdims=True), lambda a: a.sum(axis=1, keepdims=True)),
]


def check_operators(autograd):
    rng = np.random.default_rng(2)
    a, b = apart_from_zero(rng, (3, 4)), apart_from_zero(rng, (4,))
    cases = [(name, (a, b), program, program) for name, program in PROGRAMS]
    cases += [(name, (a,), program, program) for name, program in NUMBERS]
    cases += [(name, (a,), program, plain) for name, program, plain in METHODS]
    cases.append(("a @ b", (a, rng.normal(size=(4, 2))), lambda a, b: a @ b, np.matmul))
    for name, arguments, program, plain in cases:
        operation = pair(autograd, program)
        assert_close(name, operation(*arguments)[0], plain(*arguments), 1e-14)
        check_gradient(operation, arguments, rng)
        single = [autograd.Tensor(x.astype(np.float32)) for x in arguments]
        y = program(*single)
        assert y.data.dtype == np.float32, name
        y.sum().backward()
        assert all(x.grad.dtype == np.float32 for x in single), name


# ---------------------------------------------------------------- the tape


def check_by_hand(autograd):
    """c = a b, d = a + c, L = c d at a = 2, b = 3: the worked example of the chapter."""
    a, b = autograd.Tensor(2.0), autograd.Tensor(3.0)
    c = a * b
    d = a + c
    loss = c * d
    assert (c.data, d.data, loss.data) == (6, 8, 48)
    assert [t.name for t in (a, c, d, loss)] == ["leaf", "multiply", "add", "multiply"]
    assert a.parents == () and c.parents == (a, b) and d.parents == (a, c)
    loss.backward()
    assert (a.grad, b.grad) == (48, 28) and c.grad is None and loss.grad is None


def check_order(autograd):
    a, b = autograd.Tensor(1.0), autograd.Tensor(2.0)
    autograd.Tensor(9.0) * a  # not on the way to the output
    y, made = a * b, [a, b]
    made.append(y)
    for _ in range(12):  # 2^12 paths, 12 more tensors
        y = y + y
        made.append(y)
    nodes = autograd.order(y)
    places = {node: i for i, node in enumerate(nodes)}
    assert set(nodes) == set(made) and len(nodes) == len(made) and nodes[-1] is y
    assert all(places[parent] < places[node] for node in nodes for parent in node.parents)
    y.backward()
    assert (a.grad, b.grad) == (2.0 * 2**12, 2**12)
    assert autograd.order(a) == [a]


def check_long_tape(autograd):
    x = autograd.Tensor(1.0)
    y = x
    for _ in range(3000):  # three times as deep as Python's stack
        y = y + 1.0
    y.backward()
    assert x.grad == 1 and y.data == 3001


def check_accumulation(autograd, raises):
    """Gradients add over calls; what a call is done with is let go unless it is kept."""
    x, w = autograd.Tensor(np.array([1.0, -2.0])), autograd.Tensor(np.array([3.0, 5.0]))
    product = x * w
    y = product.sum()
    y.backward(retain=True)
    assert product.parents == (x, w) and y.parents == (product,)
    y.backward()
    assert np.array_equal(x.grad, [6, 10]) and np.array_equal(w.grad, [2, -4])
    assert product.parents == () == y.parents
    for tensor in (y, product.sum()):
        raises(ValueError, "has let this part of the tape go", lambda tensor=tensor: tensor.backward())
    a, b = autograd.Tensor(np.ones(2)), autograd.Tensor(np.ones(2))
    (a + b).backward(np.array([1.0, 2.0]))
    a.grad *= 0  # the two share nothing
    assert np.array_equal(b.grad, [1, 2])
    a.backward(np.array([4.0, 5.0]))  # a leaf by itself
    assert np.array_equal(a.grad, [4, 5])


def check_memory(autograd):
    """On the way back a value is gone before the gradients of what it was computed from are."""
    x, alive = autograd.Tensor(np.ones(3)), []

    def probe(a):
        def backward(dy):
            alive.append(middle() is not None)
            return dy

        return a + 0, backward

    early = autograd.apply(probe, x)
    late = early * 2.0
    middle = weakref.ref(late)
    y = late.sum()
    del early, late
    y.backward()
    assert alive == [False]


def check_refusals(autograd, raises):
    x = autograd.Tensor(np.ones(2))
    raises(ValueError, "backward starts from one number, but this tensor has shape (2,)", lambda: (x * x).backward())
    raises(ValueError, "dy has shape (), but the tensor (2,)", lambda: (x * x).backward(1.0))
    for wrong in (np.arange(3), np.array([True]), np.array(["a"])):
        raises(ValueError, f"a tensor holds floating-point numbers, not {wrong.dtype}", lambda wrong=wrong: autograd.Tensor(wrong))
    assert autograd.Tensor(np.ones(2, complex)).data.dtype == complex
    loss = autograd.apply(f.mse_loss, x, autograd.Tensor(np.zeros(2)))
    raises(ValueError, "mse_loss has 1 gradients for 2 tensors", loss.backward)
    one = autograd.apply(f.linear, autograd.Tensor(np.ones((1, 2))), np.ones((1, 2)), None)
    raises(ValueError, "linear has 2 gradients for 1 tensors", one.backward)
    for a, b in (((3,), (3, 2)), ((2, 3), (3,)), ((3,), (3,)), ((4, 2, 3), (3, 2)), ((2, 3), (4, 3, 2)), ((4, 2, 3), (4, 3, 2))):
        message = f"a @ b with shapes {a} and {b}: the tape multiplies matrices alone"
        raises(ValueError, message, lambda a=a, b=b: autograd.Tensor(np.ones(a)) @ np.ones(b))
    autograd.Tensor(np.ones((1, 1))).backward()  # one number, whatever its shape
    for late in (False, True):  # a refusal leaves the leaves as they were, in whichever order the parts are met
        x = autograd.Tensor(np.ones(2))
        y = x * 2.0
        y.sum().backward()
        total = y.sum() + x.sum() if late else x.sum() + y.sum()
        raises(ValueError, "has let this part of the tape go", total.backward)
        assert np.array_equal(x.grad, [2, 2])


def check_apply(autograd):
    """Operations with options, constants, without a bias; whole layers; nothing to differentiate."""
    rng = np.random.default_rng(3)
    x, weight, image, kernel = (rng.normal(size=shape) for shape in ((5, 3), (2, 3), (2, 5, 5, 3), (4, 3, 3, 3)))
    check_gradient(pair(autograd, lambda x, w: autograd.apply(f.linear, x, w, None)), (x, weight), rng)
    tokens = np.array([0, 2, 2, 1])
    check_gradient(pair(autograd, lambda w: autograd.apply(f.embedding, tokens, w)), (x,), rng)
    convolve = pair(autograd, lambda x, w: autograd.apply(convolution.conv2d, x, w, None, stride=2, padding=1))
    check_gradient(convolve, (image, kernel), rng)
    layer = Linear(3, 2)
    layer.load_state({"weight": weight, "bias": np.ones(2)})
    leaf = autograd.Tensor(x)
    y, dy = autograd.apply(layer, leaf), rng.normal(size=(5, 2))
    y.backward(dy)
    assert y.name == "Linear"
    assert_close("dx of a layer", leaf.grad, dy @ weight, 1e-14)
    assert_close("dW of a layer", layer.gradients()["weight"], dy.T @ x, 1e-14)
    constant = autograd.apply(f.relu, x)
    assert constant.parents == () and constant.vjp is None and constant.name == "leaf"


def check_recording(autograd, raises):
    x = autograd.Tensor(np.ones(2))
    with autograd.recording(False):
        y = x * x
        with autograd.recording(True):
            z = x * x
        assert (x * x).parents == ()
    assert y.parents == () and y.vjp is None and np.array_equal(y.data, [1, 1])
    assert z.parents == (x, x) == (x * x).parents

    def fails():
        with autograd.recording(False):
            raise RuntimeError("an error inside")

    raises(RuntimeError, "an error inside", fails)
    assert (x * x).parents == (x, x)  # as it was before


def check_checkpoint(autograd):
    """The same gradients, of inputs and of what is used besides; inside, nothing is noted until the way back."""
    rng, runs = np.random.default_rng(4), []
    x, w, unused, dy = (rng.normal(size=shape) for shape in ((5, 3), (3, 3), (2,), (5, 3)))

    def body(h, besides, w):
        z = h @ w
        runs.append(z.parents != ())
        return z.tanh() * h

    def gradients(wrap, recording=True):
        leaves = [autograd.Tensor(array) for array in (x, unused, w)]
        y = wrap(*leaves)
        with autograd.recording(recording):
            y.backward(dy)
        return y, [leaf.grad for leaf in leaves]

    y, (dx, _, dw) = gradients(body)
    assert runs == [True]
    for recording in (True, False):  # the way back notes what it runs again, wherever it is called
        runs.clear()
        again, (dx_again, none, dw_again) = gradients(lambda h, u, w: autograd.checkpoint(body, h, u, w), recording)
        assert runs == [False, True] and again.name == "checkpointed"
        assert np.array_equal(again.data, y.data) and np.array_equal(none, [0, 0])
        assert np.array_equal(dx_again, dx) and np.array_equal(dw_again, dw)
    leaf, weight = autograd.Tensor(x), autograd.Tensor(w)
    inside = autograd.checkpoint(lambda h: autograd.checkpoint(lambda h: body(h, None, weight), h), leaf)
    assert autograd.order(inside) == [leaf, inside]
    inside.backward(dy)
    assert np.array_equal(leaf.grad, dx) and np.array_equal(weight.grad, dw)
    with autograd.recording(False):
        assert autograd.checkpoint(body, leaf, leaf, weight).parents == ()


CONFIGS = [
    MLPConfig(6, (5, 4), 3),
    MLPConfig(6, (), 3),
    MLPConfig(6, (5,), 3, "tanh", norm="layer"),
    MLPConfig(6, (5,), 3, "gelu", norm="rms"),
    MLPConfig(6, (5, 4), 3, "sigmoid", norm="batch"),
]


def taped_mlp(autograd, config, state, x):
    """The perceptron on the tape: {name: leaf}, logits. Its running statistics are arrays, and are moved."""
    leaves = {name: autograd.Tensor(a) for name, a in state.items() if "running" not in name}
    h, norm = autograd.Tensor(x), f"{config.norm}_norm"
    for i in range(len(config.hidden)):
        h = autograd.apply(f.linear, h, leaves[f"layers.{i}.weight"], leaves.get(f"layers.{i}.bias"))
        if config.norm != "none":
            own = [leaves[f"norms.{i}.{name}"] for name in ("weight", "bias") if f"norms.{i}.{name}" in leaves]
            running = [state[f"norms.{i}.running_{name}"] for name in ("mean", "var")] if config.norm == "batch" else []
            h = autograd.apply(getattr(f, norm), h, *own, *running, *[True] * (config.norm == "batch"))
        h = autograd.apply(getattr(f, config.activation), h)
    last = len(config.hidden)
    return leaves, autograd.apply(f.linear, h, leaves[f"layers.{last}.weight"], leaves[f"layers.{last}.bias"])


def check_mlp(autograd):
    """Every gradient of the perceptron by name, bit for bit that of its own way back."""
    rng = np.random.default_rng(5)
    x, labels = rng.normal(size=(7, 6)), rng.integers(0, 3, size=7)
    for config in CONFIGS:
        state = initial_state(config, 0, np.float64)
        model = MLP(config)
        model.load_state(state)
        logits, backward = model(x)
        loss, loss_backward = f.cross_entropy(logits, labels)
        backward(loss_backward())
        leaves, taped = taped_mlp(autograd, config, state, x)
        taped_loss = autograd.apply(f.cross_entropy, taped, labels, label_smoothing=0.0)
        taped_loss.backward()
        expected = model.gradients()
        assert expected.keys() == leaves.keys() and taped_loss.data == loss
        for name, gradient in expected.items():
            assert np.array_equal(leaves[name].grad, gradient), name


def check_everything(autograd, raises):
    check_by_hand(autograd)
    check_elementary(autograd)
    check_unbroadcast(autograd)
    check_operators(autograd)
    check_order(autograd)
    check_accumulation(autograd, raises)
    check_memory(autograd)
    check_refusals(autograd, raises)
    check_apply(autograd)
    check_recording(autograd, raises)
    check_checkpoint(autograd)
    check_mlp(autograd)
