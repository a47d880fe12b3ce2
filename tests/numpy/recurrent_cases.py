"""What recurrent cells and layers must do, as checks of a module: the tests run them on the package, the mutants on its broken versions."""

import numpy as np

from tests.gradients import assert_close, check_gradient

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
