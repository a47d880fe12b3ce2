"""What recurrent cells and layers must do, as checks of a module: the tests run them on the package, the mutants on its broken versions."""

import numpy as np

from dlcourse.config import RNNConfig
from dlcourse.initial import initial_state
from dlcourse.numpy.rnn import RNN
from tests.gradients import H, assert_close, check_gradient, relative

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
LAYERS = {"rnn": "Elman", "lstm": "LSTM", "gru": "GRU"}
SHAPES = [(1, 1, 1), (2, 3, 4), (5, 2, 1), (3, 1, 2)]  # B, I, H


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def draw(kind, rng, batch, inputs, hidden, time=None):
    """Arguments of a cell: x, (h, c), weights and biases; with `time`, x is a sequence."""
    rows = GATES[kind] * hidden
    x = rng.normal(size=(batch, inputs) if time is None else (batch, time, inputs))
    states = [rng.normal(size=(batch, hidden)) for _ in range(2 if kind == "lstm" else 1)]
    parameters = [rng.normal(size=shape) for shape in ((rows, inputs), (rows, hidden), (rows,))]
    return [x, *states, *parameters] + ([rng.normal(size=hidden)] if kind == "gru" else [])


def formula(kind, x, h, *rest):
    """The cell as printed, one gate at a time -> (h', c') or (h',)."""
    c, (weight_ih, weight_hh, bias, *bias_hh) = (rest[0], rest[1:]) if kind == "lstm" else (None, rest)
    count = GATES[kind]
    u, w, b = np.split(weight_ih, count), np.split(weight_hh, count), np.split(bias, count)
    if kind == "rnn":
        return (np.tanh(x @ u[0].T + h @ w[0].T + b[0]),)
    if kind == "lstm":
        i, f, g, o = (act(x @ u[k].T + h @ w[k].T + b[k]) for k, act in enumerate((sigmoid, sigmoid, np.tanh, sigmoid)))
        c = f * c + i * g
        return o * np.tanh(c), c
    r, z = (sigmoid(x @ u[k].T + h @ w[k].T + b[k]) for k in range(2))
    n = np.tanh(x @ u[2].T + b[2] + r * (h @ w[2].T + bias_hh[0]))
    return ((1 - z) * n + z * h,)


def cell(module, kind):
    """(h', c') as one array (S, B, H), and a backward for it."""

    def call(*arguments):
        state, backward = getattr(module, f"{kind}_cell")(*arguments)
        if kind == "lstm":
            return np.stack(state), lambda dy: backward(*dy)
        return state[None], lambda dy: backward(dy[0])

    return call


def layer(module, kind, inputs, hidden, parameters):
    made = getattr(module, LAYERS[kind])(inputs, hidden)
    names = ("weight_ih", "weight_hh", "bias", "bias_hh")[: len(parameters)]
    made.load_state(dict(zip(names, parameters, strict=True)))
    return made


def states_of(kind, arrays):
    return tuple(arrays) if kind == "lstm" else arrays[0]


def as_list(kind, state):
    return list(state) if kind == "lstm" else [state]


def unrolled(module, kind, with_state=True):
    """A layer as a function of (x, states, parameters) -> all it returns, in one row of numbers."""
    carried = 2 if kind == "lstm" else 1

    def call(x, *rest):
        states, parameters = (rest[:carried], rest[carried:]) if with_state else ([], rest)
        made = layer(module, kind, x.shape[2], parameters[1].shape[1], parameters)
        (y, state), backward = made(x, states_of(kind, states) if with_state else None)
        pieces = [y, *as_list(kind, state)]

        def back(dout):
            cuts = np.cumsum([piece.size for piece in pieces])[:-1]
            dy, *dstate = (part.reshape(piece.shape) for part, piece in zip(np.split(dout, cuts), pieces, strict=True))
            dx, dstart = backward(dy, states_of(kind, dstate))
            gradients = list(made.gradients().values())
            return (dx, *(as_list(kind, dstart) if with_state else []), *gradients)

        return np.concatenate([piece.ravel() for piece in pieces]), back

    return call


def check_cells(module):
    for kind in GATES:
        for shape in SHAPES:
            rng = np.random.default_rng(0)
            arguments = draw(kind, rng, *shape)
            call = cell(module, kind)
            y, _ = call(*arguments)
            assert_close(f"{kind}_cell", y, np.stack(formula(kind, *arguments)), 1e-13)
            check_gradient(call, arguments, rng)
            check_manners(call, arguments, rng)


def check_manners(call, arguments, rng):
    """Nothing given is changed, the backward function can be called again, float32 stays float32."""
    kept = [array.copy() for array in arguments]
    y, backward = call(*arguments)
    dy = rng.normal(size=y.shape)
    given = dy.copy()
    first = [array.copy() for array in backward(dy)]
    second = backward(dy)
    for before, after in zip([*kept, given, *first], [*arguments, dy, *second], strict=True):
        assert np.array_equal(before, after)
    small = [array.astype(np.float32) for array in arguments]
    y, backward = call(*small)
    assert y.dtype == np.float32 and all(array.dtype == np.float32 for array in backward(dy.astype(np.float32)))


def check_layers(module):
    for kind in GATES:
        for (batch, inputs, hidden), time in zip(SHAPES, (1, 3, 2, 4), strict=True):
            rng = np.random.default_rng(1)
            x, *rest = draw(kind, rng, batch, inputs, hidden, time)
            carried = 2 if kind == "lstm" else 1
            states, parameters = rest[:carried], rest[carried:]
            made = layer(module, kind, inputs, hidden, parameters)
            (y, last), _ = made(x, states_of(kind, states))
            expected = []
            for t in range(time):  # the formula, step by step
                states = formula(kind, x[:, t], *states, *parameters)
                expected.append(states[0])
            assert_close(f"{kind}, all states", y, np.stack(expected, axis=1), 1e-12)
            for ours, theirs in zip(as_list(kind, last), states, strict=True):
                assert_close(f"{kind}, last state", ours, theirs, 1e-12)
            check_gradient(unrolled(module, kind), [x, *rest], rng)
            check_gradient(unrolled(module, kind, with_state=False), [x, *parameters], rng)
            check_manners_of_a_layer(module, kind, x, rest)


def check_manners_of_a_layer(module, kind, x, rest):
    carried = 2 if kind == "lstm" else 1
    kept = [array.copy() for array in [x, *rest]]
    made = layer(module, kind, x.shape[2], rest[carried + 1].shape[1], rest[carried:])
    (y, _), backward = made(x, states_of(kind, rest[:carried]))
    dy = np.ones_like(y)
    first, _ = backward(dy)
    once = made.gradients()
    second, _ = backward(dy)
    assert np.array_equal(first, second)
    for name, gradient in made.gradients().items():
        assert_close(f"{name} accumulates", gradient, 2 * once[name], 1e-13)
    for before, after in zip(kept, [x, *rest], strict=True):
        assert np.array_equal(before, after)
    made.load_state({name: array.astype(np.float32) for name, array in made.state().items()})
    (y, state), backward = made(x.astype(np.float32))
    dx, dstate = backward(np.ones_like(y))
    arrays = [y, dx, *as_list(kind, state), *as_list(kind, dstate), *made.gradients().values()]
    assert all(array.dtype == np.float32 for array in arrays)


def check_refusals(module, raises):
    made, pair = module.GRU(3, 4), module.LSTM(3, 4)
    x = np.zeros((2, 5, 3))
    raises(ValueError, "x has shape (5, 3) but sequences are (B, T, I)", lambda: made(x[0]))
    raises(ValueError, "x has 2 numbers a step but the layer takes 3: build it with inputs=2", lambda: made(x[:, :, :2]))
    raises(ValueError, "x has shape (2, 0, 3): pass at least one sequence of at least one step", lambda: made(x[:, :0]))
    raises(ValueError, "x has shape (0, 5, 3): pass at least one", lambda: made(x[:0]))
    raises(ValueError, "the state has shape (1, 4) where the batch and the layer need (2, 4)", lambda: made(x, np.zeros((1, 4))))
    raises(ValueError, "the state has a pair where", lambda: made(x, (np.zeros((2, 4)),) * 2))
    raises(ValueError, "the state of an LSTM is a pair (h, c)", lambda: pair(x, np.zeros((2, 4))))
    raises(ValueError, "the state has shape (2, 3)", lambda: pair(x, (np.zeros((2, 4)), np.zeros((2, 3)))))
    for kind in LAYERS.values():
        raises(ValueError, "hidden=0: it must be a whole number of at least 1", lambda kind=kind: getattr(module, kind)(3, 0))
        raises(ValueError, "inputs=2.5: it must be a whole number of at least 1", lambda kind=kind: getattr(module, kind)(2.5, 3))


def check_everything(module, raises):
    check_cells(module)
    check_layers(module)
    check_refusals(module, raises)


# ---------------------------------------------------------------- the network over tokens

NETWORKS = [
    RNNConfig(5, 3, 2, cell="rnn"),
    RNNConfig(4, 2, 3, layers=2, cell="gru", classes=2),
    RNNConfig(4, 3, 2, layers=2, dropout=0.4),
    RNNConfig(6, 2, 2, classes=3, context=4),
]


def slow_network(config, state, x, start=None):
    """Logits and last states, position by position, from the formulas."""
    carried, parts = (2 if config.cell == "lstm" else 1), ["weight_ih", "weight_hh", "bias"] + ["bias_hh"] * (config.cell == "gru")
    states = [[np.zeros((len(x), config.hidden))] * carried for _ in range(config.layers)] if start is None else start
    logits = []
    for t in range(x.shape[1]):
        h = state["tok.weight"][x[:, t]]
        for i in range(config.layers):
            states[i] = formula(config.cell, h, *states[i], *(state[f"layers.{i}.{part}"] for part in parts))
            h = states[i][0]
        logits.append(h @ state["head.weight"].T + state["head.bias"])
    return (logits[-1] if config.classes else np.stack(logits, axis=1)), states


def check_network(rnn, raises):
    for config in NETWORKS:
        rng = np.random.default_rng(3)
        model, x = rnn.RNN(config), rng.integers(0, config.vocab, size=(3, 4))
        state = {name: rng.normal(size=array.shape) for name, array in model.state().items()}
        assert list(state) == list(initial_state(config, 0)), "the names of the initial state"
        model.load_state(state)
        expected, last = slow_network(config, state, x)
        logits, _ = model(x)
        assert_close("logits", logits, expected, 1e-12)
        (first, between), _ = model.unroll(x[:, :3])
        (second, behind), backward = model.unroll(x[:, 3:], between)
        joined = second if config.classes else np.concatenate([first, second], axis=1)
        assert_close("logits in two windows", joined, expected, 1e-12)
        for ours, theirs in zip(behind, last, strict=True):
            for a, b in zip(as_list(config.cell, ours), theirs, strict=True):
                assert_close("last state", a, b, 1e-12)
        assert backward(second) is None
        raises(ValueError, "but vocab is", lambda model=model, x=x + config.vocab: model.unroll(x))
        raises(ValueError, "zip() argument", lambda model=model, x=x, between=between: model.unroll(x, [*between, None]))
        check_parameter_gradients(model, x, state, rng)
        check_dropout(model, x, state)


def check_parameter_gradients(model, x, state, rng, draws=None):
    """All parameters moved at once in a random direction, and one by one."""

    def run(arrays):
        model.load_state(arrays)
        return model(x, draws and draws())

    y, backward = run(state)
    u = rng.normal(size=y.shape)
    model.zero_gradients()
    backward(u)
    gradients = model.gradients()
    for names in [list(state), *[[name] for name in state]]:
        v = {name: rng.normal(size=state[name].shape) for name in names}
        plus, minus = (run(state | {name: state[name] + sign * H * v[name] for name in names})[0] for sign in (1, -1))
        numeric, analytic = (u * (plus - minus)).sum() / (2 * H), sum((gradients[name] * v[name]).sum() for name in names)
        scale = max(abs(numeric), abs(analytic), 1e-3 * np.abs(u * y).sum())
        assert abs(numeric - analytic) <= 1e-7 * scale, f"{names}: {analytic} against {numeric}"
    model.load_state(state)


def check_dropout(model, x, state):
    """Without a generator nothing is dropped; with one, the mask of one draw acts forward and backward, on each layer's outputs."""
    plain = model(x)[0]
    assert np.array_equal(plain, model(x, None)[0])
    dropped = model(x, np.random.default_rng(0))[0]
    assert np.array_equal(plain, dropped) == (model.config.dropout == 0)
    if model.config.dropout:
        check_parameter_gradients(model, x, state, np.random.default_rng(1), lambda: np.random.default_rng(0))
        (_, states), _ = model.unroll(x, rng=np.random.default_rng(0))
        (_, free), _ = model.unroll(x)
        same = [np.array_equal(a, b) for a, b in zip(states[0], free[0], strict=True)]
        assert all(same), "dropout must not act along time"


def check_initial(initial):
    """Names, order and shapes of the models; unit vectors for tokens, 1 / I for inputs, rotations for states, a forget bias of 1."""
    for config in [
        *NETWORKS,
        RNNConfig(50, 40, 30, layers=2),
        RNNConfig(40, 30, 50, cell="gru", classes=60),
        RNNConfig(40, 30, 50, cell="rnn"),
    ]:
        state = initial.initial_state(config, 0, np.float64)
        assert [(name, a.shape) for name, a in state.items()] == [(name, a.shape) for name, a in RNN(config).state().items()]
        single = initial.initial_state(config, 0)
        assert {array.dtype for array in single.values()} == {np.dtype(np.float32)}
        assert all(np.array_equal(single[name], array.astype(np.float32)) for name, array in state.items())
        assert relative(initial.initial_state(config, 1, np.float64)["head.weight"], state["head.weight"]) > 0.5
        for name, array in state.items():
            part = name.rpartition(".")[2]
            if part == "weight_hh":
                for block in np.split(array, GATES[config.cell]):
                    assert np.allclose(block @ block.T, np.eye(config.hidden), atol=1e-12)
            elif array.ndim == 2:
                variance = 1.0 if name == "tok.weight" else 1.0 / array.shape[1]
                assert abs(array.var() / variance - 1) < 5 * np.sqrt(2 / array.size) + 1e-9, name
            else:
                expected = np.zeros_like(array)
                if part == "bias" and config.cell == "lstm" and name.startswith("layers"):
                    expected[config.hidden : 2 * config.hidden] = 1
                assert np.array_equal(array, expected), name
    signs = {initial.initial_state(RNNConfig(2, 1, 1, cell="rnn"), seed)["layers.0.weight_hh"].item() for seed in range(9)}
    assert signs == {-1.0, 1.0}, "all rotations and reflections are equally likely"
