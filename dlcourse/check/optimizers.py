"""Exercises of the chapter on optimizers."""

import math

import numpy as np

from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, exercise

# ---------------------------------------------------------------- best_momentum


def _ends(smallest, largest):
    return lambda rng: (smallest, largest)


def _best(smallest, largest, power=2, ratio=None):
    root = math.sqrt(largest / smallest) if ratio is None else ratio
    return (
        4.0 / (math.sqrt(largest) + math.sqrt(smallest)) ** 2,
        ((root - 1) / (root + 1)) ** power,
    )


@exercise(
    ("lr", "momentum"),
    Case("curvatures 1 and 100", _ends(1.0, 100.0), show=True),
    Case("lr", _ends(0.5, 32.0), parts=("lr",)),
    Case("momentum", _ends(0.5, 32.0), parts=("momentum",)),
    Case("a round bowl", _ends(4.0, 4.0)),
    Case("a narrow valley", _ends(1e-3, 7.0)),
)
def best_momentum(smallest, largest):
    """best_momentum(smallest, largest) -> (lr, momentum): the settings of descent with momentum that shrink the error fastest on a
    quadratic whose curvatures lie between `smallest` and `largest` (eq-momentum-rate)."""
    return _best(smallest, largest)


best_momentum.diagnose(
    "these are the settings of Nesterov's method, eq-nesterov-rate; momentum's are those of eq-momentum-rate.",
    lambda a, b: (1.0 / b, _best(a, b, power=1)[1]),
)
best_momentum.diagnose(
    "the learning rate is that of plain descent and the momentum the rate itself. Both have settings of their own; eq-momentum-rate.",
    lambda a, b: (2.0 / (a + b), _best(a, b, power=1)[1]),
)
best_momentum.diagnose(
    "the momentum is the rate itself. The two roots multiply to the momentum, so it is the square of the rate; eq-momentum-rate.",
    lambda a, b: _best(a, b, power=1),
)
best_momentum.diagnose(
    "the condition number stands where its square root belongs: that is the rate of plain descent, eq-descent-rate.",
    lambda a, b: _best(a, b, ratio=b / a),
    lambda a, b: _best(a, b, ratio=b / a, power=1),
)
best_momentum.diagnose(
    "the learning rate is the best one of plain descent, 2 / (largest + smallest). With momentum larger ones are stable; eq-momentum-rate.",
    lambda a, b: (2.0 / (a + b), _best(a, b)[1]),
)
best_momentum.diagnose(
    "the learning rate is 1 / largest, as in Nesterov's method. Here it is 4 over the square of the sum of the roots; eq-momentum-rate.",
    lambda a, b: (1.0 / b, _best(a, b)[1]),
)
best_momentum.diagnose(
    "the sum of the curvatures is squared, not the sum of their roots: 4 / (sqrt(largest) + sqrt(smallest))^2.",
    lambda a, b: (4.0 / (a + b) ** 2, _best(a, b)[1]),
    lambda a, b: (4.0 / (a + b), _best(a, b)[1]),
)
best_momentum.diagnose(
    "the square of the sum of the roots is missing in the learning rate: 4 / (sqrt(largest) + sqrt(smallest))^2.",
    lambda a, b: (4.0 / (math.sqrt(a) + math.sqrt(b)), _best(a, b)[1]),
    lambda a, b: (2.0 / (math.sqrt(a) + math.sqrt(b)), _best(a, b)[1]),
)
best_momentum.diagnose(
    "the results are in another order: (lr, momentum).",
    lambda a, b: _best(a, b)[::-1],
)

# ---------------------------------------------------------------- adam_step


def _state(t, zero=False, eps=1e-2):
    def make(rng):
        w, g, m = rng.normal(size=(3, 3, 2))
        v = rng.uniform(0.1, 2.0, size=(3, 2))
        if zero:
            m, v = np.zeros_like(m), np.zeros_like(v)
        return w, g, m, v, t, 0.1, 0.8, 0.95, eps

    return make


def _no_gradient(rng):
    w, _, m, v, *rest = _state(4)(rng)
    return w, np.zeros_like(w), m, v, *rest


def _adam(w, g, m, v, t, lr, beta1, beta2, eps, correct=(True, True), step=None):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t) if correct[0] else m
    v_hat = v / (1 - beta2**t) if correct[1] else v
    step = step or (lambda m_hat, v_hat: m_hat / (np.sqrt(v_hat) + eps))
    return w - lr * step(m_hat, v_hat), m, v


def _adam_kept_hats(w, g, m, v, t, lr, beta1, beta2, eps):
    w, m, v = _adam(w, g, m, v, t, lr, beta1, beta2, eps)
    return w, m / (1 - beta1**t), v / (1 - beta2**t)


def _adam_in_place(w, g, m, v, t, lr, beta1, beta2, eps):
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g**2
    w -= lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return w, m, v


def _adam_means_in_place(w, g, m, v, t, lr, beta1, beta2, eps):
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g**2
    return w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


@exercise(
    ("w", "m", "v"),
    Case("shapes", _state(3), shapes),
    Case("m", _state(3), parts=("m",)),
    Case("v", _state(3), parts=("v",)),
    Case("w", _state(3), parts=("w",)),
    Case("first step, m and v zero", _state(1, zero=True), parts=("w",)),
    Case("a late step", _state(500), parts=("w",)),
    Case("no gradient: it coasts", _no_gradient),
)
def adam_step(w, g, m, v, t, lr, beta1, beta2, eps):
    """adam_step(w, g, m, v, t, lr, beta1, beta2, eps) -> (w, m, v): step number t = 1, 2, ... of Adam (eq-adam).

    w, the gradient g, and the running means m and v have one shape; the arrays that are passed stay as they are."""
    return _adam(w, g, m, v, t, lr, beta1, beta2, eps)


adam_step.diagnose(
    "the bias correction is missing: m and v started at zero and are too small by 1 - beta^t; eq-adam-bias.",
    lambda *a: _adam(*a, correct=(False, False)),
)
adam_step.diagnose(
    "only m is corrected for its start at zero; v needs it too, with beta2; eq-adam-bias.",
    lambda *a: _adam(*a, correct=(True, False)),
)
adam_step.diagnose(
    "only v is corrected for its start at zero; m needs it too, with beta1; eq-adam-bias.",
    lambda *a: _adam(*a, correct=(False, True)),
)
adam_step.diagnose(
    "the corrected means are returned. The running means go on uncorrected; the hats serve one step only.",
    _adam_kept_hats,
)
adam_step.diagnose(
    "the correction is the one of step t + 1: t counts from 1 already.",
    lambda w, g, m, v, t, lr, b1, b2, eps: (
        w
        - lr
        * ((b1 * m + (1 - b1) * g) / (1 - b1 ** (t + 1)))
        / (np.sqrt((b2 * v + (1 - b2) * g**2) / (1 - b2 ** (t + 1))) + eps),
        b1 * m + (1 - b1) * g,
        b2 * v + (1 - b2) * g**2,
    ),
)
adam_step.diagnose(
    "the root over v is missing: the step divides by the size of the gradient, not by its square.",
    lambda w, g, m, v, t, lr, b1, b2, eps: _adam(
        w, g, m, v, t, lr, b1, b2, eps, step=lambda m_hat, v_hat: m_hat / (v_hat + eps)
    ),
)
adam_step.diagnose(
    "eps stands under the root. In eq-adam it is added to the root.",
    lambda w, g, m, v, t, lr, b1, b2, eps: _adam(
        w, g, m, v, t, lr, b1, b2, eps, step=lambda m_hat, v_hat: m_hat / np.sqrt(v_hat + eps)
    ),
)
adam_step.diagnose(
    "the step uses the gradient itself, as RMSProp does. Adam steps by its running mean m.",
    lambda w, g, m, v, t, lr, b1, b2, eps: _adam(
        w, g, m, v, t, lr, b1, b2, eps, step=lambda m_hat, v_hat: g / (np.sqrt(v_hat) + eps)
    ),
)
adam_step.diagnose(
    "the gradient is added whole, as in momentum. A running mean takes the share 1 - beta of it.",
    lambda w, g, m, v, t, lr, b1, b2, eps: (
        w
        - lr
        * ((b1 * m + g) / (1 - b1**t))
        / (np.sqrt((b2 * v + (1 - b2) * g**2) / (1 - b2**t)) + eps),
        b1 * m + g,
        b2 * v + (1 - b2) * g**2,
    ),
)
adam_step.diagnose(
    "beta1 and beta2 are exchanged: beta1 belongs to m, beta2 to v.",
    lambda w, g, m, v, t, lr, b1, b2, eps: _adam(w, g, m, v, t, lr, b2, b1, eps),
)
adam_step.diagnose(
    "the sign: the step goes against m, w - lr m / (sqrt(v) + eps).",
    lambda w, g, m, v, t, lr, b1, b2, eps: _adam(w, g, m, v, t, -lr, b1, b2, eps),
)
adam_step.diagnose(
    "-= and *= write into the caller's arrays. Return new ones: m = beta1 * m + (1 - beta1) * g.",
    _adam_in_place,
    _adam_means_in_place,
)

adam_step.diagnose(
    "the correction is 1 - beta without the power t, which is right in the first step only; eq-adam-bias.",
    lambda w, g, m, v, t, lr, b1, b2, eps: _adam(w, g, m, v, 1, lr, b1, b2, eps),
)
adam_step.diagnose(
    "the correction multiplies. m and v are too small by 1 - beta^t, so divide by it; eq-adam-bias.",
    lambda w, g, m, v, t, lr, b1, b2, eps: _adam(
        w,
        g,
        m,
        v,
        t,
        lr,
        b1,
        b2,
        eps,
        step=lambda m_hat, v_hat: m_hat * (1 - b1**t) ** 2 / (np.sqrt(v_hat) * (1 - b2**t) + eps),
    ),
)
adam_step.diagnose(
    "the shares are exchanged: the old mean keeps beta, the gradient gets 1 - beta.",
    lambda w, g, m, v, t, lr, b1, b2, eps: (
        w
        - lr
        * (((1 - b1) * m + b1 * g) / (1 - b1**t))
        / (np.sqrt(((1 - b2) * v + b2 * g**2) / (1 - b2**t)) + eps),
        (1 - b1) * m + b1 * g,
        (1 - b2) * v + b2 * g**2,
    ),
)
adam_step.diagnose(
    "the step uses m and v from before their update.",
    lambda w, g, m, v, t, lr, b1, b2, eps: (
        w - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps),
        *_adam(w, g, m, v, t, lr, b1, b2, eps)[1:],
    ),
)
adam_step.diagnose(
    "v is corrected with beta1; its own number is beta2.",
    lambda w, g, m, v, t, lr, b1, b2, eps: _adam(
        w,
        g,
        m,
        v,
        t,
        lr,
        b1,
        b2,
        eps,
        step=lambda m_hat, v_hat: m_hat / (np.sqrt(v_hat * (1 - b2**t) / (1 - b1**t)) + eps),
    ),
)
adam_step.diagnose(
    "the corrections are folded into the learning rate and eps is not: it becomes eps sqrt(1 - beta2^t).",
    lambda w, g, m, v, t, lr, b1, b2, eps: _adam(
        w,
        g,
        m,
        v,
        t,
        lr,
        b1,
        b2,
        eps,
        step=lambda m_hat, v_hat: m_hat / (np.sqrt(v_hat) + eps / math.sqrt(1 - b2**t)),
    ),
)

# ---------------------------------------------------------------- lion_step


def _lion_state(decay=0.3):
    def make(rng):
        w, g, m = rng.normal(size=(3, 40, 5))  # many: small errors change few signs
        return w, g, m, 0.1, 0.6, 0.75, decay

    return make


def _lion_rest(rng):
    w, _, _, *rest = _lion_state(0.0)(rng)
    return w, np.zeros_like(w), np.zeros_like(w), *rest


def _lion(w, g, m, lr, beta1, beta2, decay, sign=np.sign, kept=None):
    c = beta1 * m + (1 - beta1) * g
    kept = beta2 * m + (1 - beta2) * g if kept is None else kept(c)
    return (1 - lr * decay) * w - lr * sign(c), kept


def _lion_in_place(w, g, m, lr, beta1, beta2, decay):
    c = beta1 * m + (1 - beta1) * g
    w *= 1 - lr * decay
    w -= lr * np.sign(c)
    m *= beta2
    m += (1 - beta2) * g
    return w, m


def _lion_mean_in_place(w, g, m, lr, beta1, beta2, decay):
    w = (1 - lr * decay) * w - lr * np.sign(beta1 * m + (1 - beta1) * g)
    m *= beta2
    m += (1 - beta2) * g
    return w, m


def _lion_old_mean(w, g, m, lr, beta1, beta2, decay):
    new = beta2 * m + (1 - beta2) * g
    return (1 - lr * decay) * w - lr * np.sign(beta1 * new + (1 - beta1) * g), new


@exercise(
    ("w", "m"),
    Case("shapes", _lion_state(), shapes),
    Case("m", _lion_state(), parts=("m",)),
    Case("w without decay", _lion_state(0.0), parts=("w",)),
    Case("w", _lion_state(), parts=("w",)),
    Case("no gradient yet: it stays", _lion_rest),
)
def lion_step(w, g, m, lr, beta1, beta2, decay):
    """lion_step(w, g, m, lr, beta1, beta2, decay) -> (w, m): one step of Lion (eq-lion).

    All arrays have one shape, all entries decay; the arrays that are passed stay as they are."""
    return _lion(w, g, m, lr, beta1, beta2, decay)


lion_step.diagnose(
    "the sign is forgotten. Lion moves every weight by lr, whatever the size of the mean; eq-lion.",
    lambda *a: _lion(*a, sign=lambda c: c),
)
lion_step.diagnose(
    "the mean is divided by its length: that is a normalised step. Lion takes the sign of each entry.",
    lambda *a: _lion(*a, sign=lambda c: c / max(np.linalg.norm(c), 1e-300)),
)
lion_step.diagnose(
    "m keeps the mixture that the step used. The step mixes with beta1, the memory with beta2; eq-lion.",
    lambda *a: _lion(*a, kept=lambda c: c),
)
lion_step.diagnose(
    "beta1 and beta2 are exchanged: the step mixes with beta1, the memory with beta2.",
    lambda w, g, m, lr, b1, b2, decay: _lion(w, g, m, lr, b2, b1, decay),
)
lion_step.diagnose(
    "the step uses m after its update. c is mixed from the old m.",
    _lion_old_mean,
)
lion_step.diagnose(
    "the step takes the sign of the gradient alone, without the memory.",
    lambda w, g, m, lr, b1, b2, decay: (
        (1 - lr * decay) * w - lr * np.sign(g),
        b2 * m + (1 - b2) * g,
    ),
)
lion_step.diagnose(
    "the weight decay is missing: w shrinks by 1 - lr decay before it moves.",
    lambda w, g, m, lr, b1, b2, decay: _lion(w, g, m, lr, b1, b2, 0.0),
)
lion_step.diagnose(
    "the decay went into the gradient: that is an L2 penalty, and the sign swallows its size. It shrinks w apart; eq-lion.",
    lambda w, g, m, lr, b1, b2, decay: _lion(w, g + decay * w, m, lr, b1, b2, 0.0),
)
lion_step.diagnose(
    "w shrinks by 1 - decay. The learning rate belongs to it: 1 - lr decay.",
    lambda w, g, m, lr, b1, b2, decay: _lion(w, g, m, lr, b1, b2, decay / lr),
)
lion_step.diagnose(
    "the sign of the step: it goes against the mean, w - lr sign(c).",
    lambda w, g, m, lr, b1, b2, decay: _lion(
        w, g, m, lr, b1, b2, decay, sign=lambda c: -np.sign(c)
    ),
)
lion_step.diagnose(
    "-= and *= write into the caller's arrays. Return new ones: m = beta2 * m + (1 - beta2) * g.",
    _lion_in_place,
    _lion_mean_in_place,
)

lion_step.diagnose(
    "the shares are exchanged: the old mean keeps beta, the gradient gets 1 - beta.",
    lambda w, g, m, lr, b1, b2, decay: _lion(w, g, m, lr, 1 - b1, 1 - b2, decay),
)
lion_step.diagnose(
    "w shrinks after its move. The decay acts on the old w alone; eq-lion.",
    lambda w, g, m, lr, b1, b2, decay: (
        (w - lr * np.sign(b1 * m + (1 - b1) * g)) * (1 - lr * decay),
        b2 * m + (1 - b2) * g,
    ),
)
lion_step.diagnose(
    "m is returned as it came. In every step the memory takes the share 1 - beta2 of the gradient.",
    lambda *a: (_lion(*a)[0], a[2].copy()),
)
lion_step.diagnose(
    "the memory takes its share of c. It takes it of the gradient: beta2 m + (1 - beta2) g.",
    lambda w, g, m, lr, b1, b2, decay: _lion(
        w, g, m, lr, b1, b2, decay, kept=lambda c: b2 * m + (1 - b2) * c
    ),
)
lion_step.diagnose(
    "w grows: the decay takes away, 1 - lr decay.",
    lambda w, g, m, lr, b1, b2, decay: _lion(w, g, m, lr, b1, b2, -decay),
)

# ---------------------------------------------------------------- orthogonalize

MUON, CLASSIC = (3.4445, -4.7750, 2.0315), (1.875, -1.25, 0.375)


def _matrix(rows, columns, iterations=5):
    return lambda rng: (rng.normal(size=(rows, columns)) * 3.0, iterations)


def _scaled(x):
    return x / np.linalg.norm(x)


# lets pass the usual x / (norm + 1e-7), which is 1e-7 off after five rounds
ALMOST = 1e-6


def _rounds(x, iterations, coefficients=MUON, gram=lambda x: x @ x.T, square=lambda a: a @ a):
    a, b, c = coefficients
    for _ in range(iterations):
        squares = gram(x)
        x = a * x + (b * squares + c * square(squares)) @ x
    return x


def _entries(x, iterations):
    a, b, c = MUON
    for _ in range(iterations):
        x = a * x + b * x**3 + c * x**5
    return x


def _lying(x, iterations):
    return _rounds(x.T if len(x) > x.shape[1] else x, iterations)


def _scaled_each_round(x, iterations):
    for _ in range(iterations):
        x = _rounds(_scaled(x), 1)
    return x


def _scaled_in_place(x, iterations):
    x /= np.linalg.norm(x)
    return _rounds(x, iterations)


def _exact(x, _=None):
    left, _, right = np.linalg.svd(x, full_matrices=False)
    return left @ right


@exercise(
    ("the orthogonalized matrix",),
    Case("shape", _matrix(3, 4), shapes),
    Case("one round", _matrix(3, 4, 1), tolerance=ALMOST),
    Case("two rounds", _matrix(3, 4, 2), tolerance=ALMOST),
    Case("more rows than columns", _matrix(5, 2), tolerance=ALMOST),
    Case("more columns than rows", _matrix(2, 6), tolerance=ALMOST),
    Case("a single row", _matrix(1, 4), tolerance=ALMOST),
)
def orthogonalize(x, iterations):
    """orthogonalize(x, iterations) -> the matrix of eq-newton-schulz after so many rounds, x being the matrix before its division.

    Five rounds are usual. x is no zero matrix; it stays as it is."""
    return _rounds(_scaled(x), iterations)


orthogonalize.diagnose(
    "x is not divided by its norm. Outside the unit interval the polynomial runs away; eq-newton-schulz.",
    lambda x, n: _rounds(x, n),
)
orthogonalize.diagnose(
    "x is divided by its largest singular value. The Frobenius norm is meant, the root of the sum of all squares: it needs no decomposition.",
    lambda x, n: _rounds(x / np.linalg.norm(x, 2), n),
)
orthogonalize.diagnose(
    "x is divided by its largest entry. The singular values can be larger than that; divide by the Frobenius norm.",
    lambda x, n: _rounds(x / np.abs(x).max(), n),
)
orthogonalize.diagnose(
    "x is divided by the square of its norm: the root is missing.",
    lambda x, n: _rounds(x / np.sum(x**2), n),
)
orthogonalize.diagnose(
    "each row has its own norm. One number divides the whole matrix.",
    lambda x, n: _rounds(x / np.linalg.norm(x, axis=1, keepdims=True), n),
)
orthogonalize.diagnose(
    "x is divided by its norm in every round. Once, before the first, is enough; eq-newton-schulz.",
    _scaled_each_round,
)
orthogonalize.diagnose(
    "the powers are those of the entries. Products of matrices are meant, which take powers of the singular values.",
    lambda x, n: _entries(_scaled(x), n),
)
orthogonalize.diagnose(
    "the coefficients are those that converge, (15, -10, 3) / 8. Muon's are a = 3.4445, b = -4.7750, c = 2.0315.",
    lambda x, n: _rounds(_scaled(x), n, CLASSIC),
)
orthogonalize.diagnose(
    "the sign of b is lost: b = -4.7750.",
    lambda x, n: _rounds(_scaled(x), n, (3.4445, 4.7750, 2.0315)),
)
orthogonalize.diagnose(
    "b and c are exchanged: b stands before A, c before its square.",
    lambda x, n: _rounds(_scaled(x), n, (3.4445, 2.0315, -4.7750)),
)
orthogonalize.diagnose(
    "the square of A is missing: c multiplies A A.",
    lambda x, n: _rounds(_scaled(x), n, square=lambda a: a),
)
orthogonalize.diagnose(
    "A is squared entry by entry: A A is a product of matrices, A @ A.",
    lambda x, n: _rounds(_scaled(x), n, square=lambda a: a**2),
)
orthogonalize.diagnose(
    "the product with X is on the wrong side. With A = X X^T it is (b A + c A A) X; with A = X^T X it is X (b A + c A A).",
    lambda x, n: _rounds(_scaled(x), n, gram=lambda x: x.T @ x),
)
orthogonalize.diagnose(
    "where x has more rows than columns the result still lies on its side: transpose it back.",
    lambda x, n: _lying(_scaled(x), n),
)
orthogonalize.diagnose(
    "there are always five rounds. Their number is `iterations`.",
    lambda x, n: _rounds(_scaled(x), 5),
)
orthogonalize.diagnose(
    "the term a X is missing.",
    lambda x, n: _rounds(_scaled(x), n, (0.0, -4.7750, 2.0315)),
)
orthogonalize.diagnose(
    "one round too many, or one too few.",
    lambda x, n: _rounds(_scaled(x), n + 1),
    lambda x, n: _rounds(_scaled(x), n - 1),
)
orthogonalize.diagnose(
    "the singular values are exactly one. That is what the rounds come near to, at a lower price; eq-newton-schulz asks for the rounds.",
    _exact,
)
orthogonalize.diagnose(
    "the rounds are missing: x is only divided by its norm.",
    lambda x, n: _scaled(x),
)
orthogonalize.diagnose(
    "/= writes into the caller's x. Make a new one: x = x / norm.",
    _scaled_in_place,
)

# ---------------------------------------------------------------- batch_noise


def _gradients(count, size, parameters=3):
    return lambda rng: (rng.normal(1.0, 2.0, size=(count, parameters)), size)


def _spread_from(gradients, mean):
    return float(np.mean(np.sum((gradients - mean) ** 2, axis=1)))


def _spread(gradients):
    return _spread_from(gradients, gradients.mean(axis=0))


@exercise(
    ("noise",),
    Case("eight examples, batches of two", _gradients(8, 2)),
    Case("batches of one", _gradients(8, 1)),
    Case("all examples: no noise", _gradients(8, 8)),
    Case("all but one", _gradients(11, 10)),
    Case("one parameter", _gradients(6, 4, 1)),
    Case("two examples", _gradients(2, 1)),
)
def batch_noise(gradients, size):
    """batch_noise(gradients, size) -> noise: the expected squared distance between the mean gradient of `size` examples, drawn without
    replacement, and that of all (eq-batch-noise-without).

    gradients (N, P): those of the N examples; 1 <= size <= N, N at least 2."""
    count = len(gradients)
    return _spread(gradients) / size * (count - size) / (count - 1)


batch_noise.diagnose(
    "this is the formula for drawing with replacement. Without it the examples of a batch differ: the factor (N - B) / (N - 1).",
    lambda g, size: _spread(g) / size,
)
batch_noise.diagnose(
    "the factor is (N - B) / (N - 1), not (N - B) / N: a batch of one has the noise of one example.",
    lambda g, size: _spread(g) / size * (len(g) - size) / len(g),
)
batch_noise.diagnose(
    "the spread is divided by N - 1 and the factor (N - B) / (N - 1) besides: count the one that is known only once.",
    lambda g, size: _spread(g) * len(g) / (len(g) - 1) / size * (len(g) - size) / (len(g) - 1),
)
batch_noise.diagnose(
    "the division by the batch size is missing.",
    lambda g, size: _spread(g) * (len(g) - size) / (len(g) - 1),
)
batch_noise.diagnose(
    "this is the root. The noise asked for is the mean of the squared distance.",
    lambda g, size: math.sqrt(_spread(g) / size * (len(g) - size) / (len(g) - 1)),
)
batch_noise.diagnose(
    "the squares are averaged over the parameters too. The distance adds them up.",
    lambda g, size: _spread(g) / g.shape[1] / size * (len(g) - size) / (len(g) - 1),
)
batch_noise.diagnose(
    "the squared length of the gradients is taken, without subtracting their mean: noise is the distance from the mean gradient.",
    lambda g, size: float(np.mean(np.sum(g**2, axis=1))) / size * (len(g) - size) / (len(g) - 1),
)
batch_noise.diagnose(
    "batch size and number of examples are exchanged in the division: the spread is divided by B.",
    lambda g, size: _spread(g) / len(g) * (len(g) - size) / (len(g) - 1),
)
batch_noise.diagnose(
    "the squared distances are added over the examples. S^2 is their mean.",
    lambda g, size: _spread(g) * len(g) / size * (len(g) - size) / (len(g) - 1),
)
batch_noise.diagnose(
    "the mean is taken over the wrong axis. The mean gradient has one entry for each parameter: mean(axis=0).",
    lambda g, size: (
        _spread_from(g, g.mean(axis=1, keepdims=True)) / size * (len(g) - size) / (len(g) - 1)
    ),
    lambda g, size: _spread_from(g, g.mean()) / size * (len(g) - size) / (len(g) - 1),
)
batch_noise.diagnose(
    "the factor is 1 - (B - 1) / (N - 1), not 1 - (B - 1) / N: the whole set has no noise.",
    lambda g, size: _spread(g) / size * (1 - (size - 1) / len(g)),
)
batch_noise.diagnose(
    "the distance is not squared.",
    lambda g, size: (
        float(np.mean(np.linalg.norm(g - g.mean(axis=0), axis=1)))
        / size
        * (len(g) - size)
        / (len(g) - 1)
    ),
)
