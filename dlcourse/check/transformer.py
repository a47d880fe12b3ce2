"""The exercises of the chapter *The Transformer*, each with the wrong answers that it recognises."""

import numpy as np

from dlcourse.check.compare import numerical_gradient, shapes
from dlcourse.check.engine import Case, exercise

# ---------------------------------------------------------------- transformer_parameters


def _count(
    vocab,
    layers,
    width,
    hidden,
    bias=1,
    projections=4,
    attentions=3,
    norms=5,
    last_norms=2,
    tables=1,
    perceptrons=2,
    norm_size=2,
):
    """Of one block of the encoder and one of the decoder together: three attentions, two perceptrons, five norms."""
    attention = projections * (width * width + bias * width)
    perceptron = 2 * width * hidden + bias * (hidden + width)
    blocks = attentions * attention + perceptrons * perceptron + norms * norm_size * width
    return tables * vocab * width + layers * blocks + last_norms * norm_size * width


def _miscounted(**changes):
    return lambda vocab, layers, width, hidden: _count(vocab, layers, width, hidden, **changes)


@exercise(
    "parameters",
    Case("a small one", lambda rng: (61, 2, 64, 128), show=True),
    Case("the base model", lambda rng: (37_000, 6, 512, 2048), show=True),
    Case("one block each", lambda rng: (7, 1, 4, 3), show=True),
    Case("one unit", lambda rng: (2, 1, 1, 1), show=True),
)
def transformer_parameters(vocab, layers, width, hidden):
    """transformer_parameters(vocab, layers, width, hidden) -> parameters: how many an encoder-decoder has (eq-transformer).

    `layers` blocks in the encoder and as many in the decoder, pre-norm, each half with a norm behind its last block; all linear layers of
    the blocks with biases, the norms with weight and bias; one table of embeddings for source, target and head; positions by sines."""
    return _count(vocab, layers, width, hidden)


transformer_parameters.diagnose(
    "the cross-attention is forgotten: a block of the decoder has two attentions, one for the target and one for the memory.",
    _miscounted(attentions=2),
)
transformer_parameters.diagnose(
    "an attention is counted with three matrices. It has four: queries, keys, values, and the projection of the joined heads.",
    _miscounted(projections=3),
)
transformer_parameters.diagnose(
    "the biases of the linear layers are forgotten: one number for each output.",
    _miscounted(bias=0),
)
transformer_parameters.diagnose(
    "the norms are forgotten: each has a weight and a bias for each channel.",
    _miscounted(norm_size=0),
)
transformer_parameters.diagnose(
    "a norm is counted with one number a channel. It has two, a weight and a bias.",
    _miscounted(norm_size=1),
)
transformer_parameters.diagnose(
    "the two norms behind the last blocks are forgotten: with pre-norm nothing else normalises the streams before they are read.",
    _miscounted(last_norms=0),
)
transformer_parameters.diagnose(
    "a block of the decoder has three norms, one before each of its layers, not two.",
    _miscounted(norms=4),
)
transformer_parameters.diagnose(
    "the head is counted as a table of its own. It multiplies by the embeddings: one array, counted once.",
    _miscounted(tables=2),
)
transformer_parameters.diagnose(
    "source, target and head are given three tables of embeddings. Here they share one.",
    _miscounted(tables=3),
)
transformer_parameters.diagnose(
    "only the blocks of one half have a perceptron. Those of the encoder and of the decoder have one each.",
    _miscounted(perceptrons=1),
)


# ---------------------------------------------------------------- shift_right


def _shifted(targets, start, pad):
    given = np.full_like(targets, start)
    given[:, 1:] = targets[:, :-1]
    return np.where(given < 0, pad, given)


def _targets(rows, steps, lengths=None):
    def make(rng):
        targets = rng.integers(3, 9, (rows, steps))
        for row, length in enumerate(lengths or []):
            targets[row, length - 1] = 2
            targets[row, length:] = -100
        return targets, 1, 0

    return make


@exercise(
    "given",
    Case("shape", _targets(3, 5), shapes),
    Case("one target", _targets(1, 4), show=True),
    Case("without padding", _targets(3, 5)),
    Case("targets of several lengths", _targets(3, 5, (5, 2, 4))),
    Case("another padding", lambda rng: (*_targets(2, 4, (2, 3))(rng)[:1], 7, 6), show=True),
    Case("one token", _targets(2, 1)),
)
def shift_right(targets, start, pad):
    """shift_right(targets, start, pad) -> given: what the decoder is given in training, so that it shall say `targets` (eq-teacher-forcing).

    targets (N, T) whole numbers, with -100 where nothing counts -> given (N, T): `start` first, then at each position the target of the
    position before it, and `pad` where that is -100."""
    return _shifted(targets, start, pad)


shift_right.diagnose(
    "nothing is shifted: position t is given the very token that it shall say, and a model learns to copy it.",
    lambda targets, start, pad: np.where(targets < 0, pad, targets),
    lambda targets, start, pad: targets.copy(),
)
shift_right.diagnose(
    "the targets are shifted to the left: position t sees the token that comes after the one it shall say.",
    lambda targets, start, pad: np.where(
        np.roll(targets, -1, axis=1) < 0, pad, np.roll(targets, -1, axis=1)
    ),
)
shift_right.diagnose(
    "the last token comes back at the front: shift and put `start` there, instead of rolling.",
    lambda targets, start, pad: np.where(
        np.roll(targets, 1, axis=1) < 0, pad, np.roll(targets, 1, axis=1)
    ),
)
shift_right.diagnose(
    "the result is one longer than the targets: what would come after the last target has nothing to say.",
    lambda targets, start, pad: np.concatenate(
        [np.full((len(targets), 1), start), np.where(targets < 0, pad, targets)], axis=1
    ),
)
shift_right.diagnose(
    "-100 is left in. It marks targets that do not count; as a token it has no embedding.",
    lambda targets, start, pad: np.concatenate(
        [np.full((len(targets), 1), start), targets[:, :-1]], axis=1
    ),
)
shift_right.diagnose(
    "`start` takes the place of the first token instead of standing before it.",
    lambda targets, start, pad: np.concatenate(
        [np.full((len(targets), 1), start), np.where(targets < 0, pad, targets)[:, 1:]], axis=1
    ),
)
shift_right.diagnose(
    "the padding begins with `pad` as its first token. The decoder begins with `start`.",
    lambda targets, start, pad: _shifted(targets, pad, pad),
)


# ---------------------------------------------------------------- mlp_branch_backward

EPS = 1e-5


def _branch(
    x,
    W_up,
    W_down,
    dy,
    skip=1.0,
    mask=True,
    mean=True,
    along=True,
    scale=True,
    norm=True,
    eps=EPS,
    less=0,
):
    """The right gradients, or those of a way back with something left out."""
    centred = x - x.mean(axis=1, keepdims=True)
    inverse = 1.0 / np.sqrt(x.var(axis=1, keepdims=True, ddof=less) + eps)
    h = centred * inverse
    z = h @ W_up.T
    g = np.maximum(z, 0)
    dz = (dy @ W_down) * ((z > 0) if mask else 1.0)
    dh = dz @ W_up
    if norm:
        ds = dh - mean * dh.mean(axis=1, keepdims=True)
        ds = ds - along * h * (dh * h).mean(axis=1, keepdims=True)
        dh = ds * (inverse if scale else 1.0)
    return skip * dy + dh, dz.T @ h, dy.T @ g, z, h


def _gradients(*arguments, **changes):
    return _branch(*arguments, **changes)[:3]


def _wrong(**changes):
    return lambda x, W_up, W_down, dy: _gradients(x, W_up, W_down, dy, **changes)


def _replaced(change):
    """A function of the right gradients, z and h, and the arguments."""
    return lambda *arguments: change(*_branch(*arguments), *arguments)


def _arguments(n, c, hidden):
    def make(rng):
        return tuple(rng.normal(size=size) for size in ((n, c), (hidden, c), (c, hidden), (n, c)))

    return make


def _silent(rng):
    """The ReLU stands at zero, where its gradient is taken as zero."""
    x, W_up, W_down, dy = _arguments(3, 4, 5)(rng)
    return x, W_up * np.array([1.0, 0, 1, 0, 1])[:, None], W_down, dy


def _numeric(x, W_up, W_down, dy):
    arrays = [x, W_up, W_down]

    def loss(position):
        def value(a):
            x, W_up, W_down = [*arrays[:position], a, *arrays[position + 1 :]]
            centred = x - x.mean(axis=1, keepdims=True)
            h = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPS)
            return ((x + np.maximum(h @ W_up.T, 0) @ W_down.T) * dy).sum()

        return value

    return tuple(numerical_gradient(loss(k), a) for k, a in enumerate(arrays))


_usual = _arguments(5, 4, 6)


@exercise(
    ("dx", "dW_up", "dW_down"),
    Case("shapes", _usual, shapes),
    Case("dx", _usual, parts=("dx",)),
    Case("dW_up", _usual, parts=("dW_up",)),
    Case("dW_down", _usual, parts=("dW_down",)),
    Case("finite differences", _usual, right=_numeric, tolerance=1e-6),
    Case("one position", _arguments(1, 3, 2)),
    Case("all sizes equal", _arguments(4, 4, 4)),
    Case("units that give exactly zero", _silent),
)
def mlp_branch_backward(x, W_up, W_down, dy):
    """mlp_branch_backward(x, W_up, W_down, dy) -> (dx, dW_up, dW_down): the gradients of y = x + relu(n(x) W_up^T) W_down^T (eq-transformer-block-vjp).

    n is the layer norm of each row without weight and bias, with eps = 1e-5. x, dy (N, C), W_up (H, C), W_down (C, H); each gradient has the
    shape of what it belongs to."""
    return _gradients(x, W_up, W_down, dy)


mlp_branch_backward.diagnose(
    "the gradient of the stream is missing in dx: x acts on y directly, too, and dy comes back unchanged on that way.",
    _wrong(skip=0.0),
)
mlp_branch_backward.diagnose(
    "the norm is left out on the way back: what comes through W_up belongs to n(x), not to x.",
    _wrong(norm=False),
)
mlp_branch_backward.diagnose(
    "the ReLU is left out on the way back: dz = dg * (z > 0).",
    _wrong(mask=False),
)
mlp_branch_backward.diagnose(
    "the norm's backward lacks the mean: a constant added to x changes nothing, so that the rows of its gradient sum to zero.",
    _wrong(mean=False),
)
mlp_branch_backward.diagnose(
    "the norm's backward lacks the part along n(x): a factor on x changes nothing, so that its gradient is orthogonal to x.",
    _wrong(along=False),
)
mlp_branch_backward.diagnose(
    "the norm's backward lacks the factor one over the standard deviation.",
    _wrong(scale=False),
)
mlp_branch_backward.diagnose(
    "eps is missing: the deviation is the root of the variance plus 1e-5.",
    _wrong(eps=0.0),
)
mlp_branch_backward.diagnose(
    "the variance is divided by C - 1. A layer norm divides by C.",
    _wrong(less=1),
)
mlp_branch_backward.diagnose(
    "dW_up is taken with x. W_up sees the normalised rows: dW_up = dz^T n(x).",
    _replaced(
        lambda dx, dW_up, dW_down, z, h, x, W_up, W_down, dy: (
            dx,
            ((dy @ W_down) * (z > 0)).T @ x,
            dW_down,
        )
    ),
)
mlp_branch_backward.diagnose(
    "dW_down is taken with the values before the ReLU. W_down sees relu(z): dW_down = dy^T relu(z).",
    _replaced(lambda dx, dW_up, dW_down, z, h, x, W_up, W_down, dy: (dx, dW_up, dy.T @ z)),
)


# ---------------------------------------------------------------- beam_step


def _step(logp, next_logp, beams):
    sums = (logp[:, None] + next_logp).reshape(-1)
    best = np.argsort(-sums, kind="stable")[:beams]
    return sums[best], best // next_logp.shape[1], best % next_logp.shape[1]


def _ranked(scores, sums, beams, vocab):
    """Beam step with other numbers to rank by."""
    best = np.argsort(-scores.reshape(-1), kind="stable")[:beams]
    return sums.reshape(-1)[best], best // vocab, best % vocab


def _each(logp, next_logp, beams):
    """Every hypothesis keeps the best token of its own."""
    sums = logp[:, None] + next_logp
    token = sums.argmax(axis=1)
    best = np.argsort(-sums.max(axis=1), kind="stable")[:beams]
    return sums[best, token[best]], best, token[best]


def _beams(hypotheses, vocab, beams):
    def make(rng):
        logits = 2.0 * rng.normal(size=(hypotheses, vocab))
        next_logp = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return -2.0 * rng.random(hypotheses), next_logp, beams

    return make


def _one_strong(rng):
    """All that is good comes from one hypothesis."""
    _, next_logp, beams = _beams(3, 6, 3)(rng)
    return np.array([-40.0, -0.5, -50.0]), next_logp, beams


@exercise(
    ("sums", "parents", "tokens"),
    Case("shapes", _beams(3, 7, 3), shapes),
    Case("sums", _beams(3, 7, 3), parts=("sums",)),
    Case("parents", _beams(3, 7, 3), parts=("parents",)),
    Case("tokens", _beams(3, 7, 3), parts=("tokens",)),
    Case("one hypothesis becomes several", _beams(1, 6, 3)),
    Case("all from one parent", _one_strong),
    Case("fewer than there were", _beams(4, 3, 2)),
    Case("more hypotheses than tokens", _beams(6, 2, 6)),
)
def beam_step(logp, next_logp, beams):
    """beam_step(logp, next_logp, beams) -> (sums, parents, tokens): the best continuations, the best first (eq-beam-score).

    logp (K,) is log p of each hypothesis, next_logp (K, V) that of each token after it. Of all K V continuations the `beams` likeliest are
    kept: `sums` are their log p, `parents` the hypotheses that they continue, `tokens` the tokens that are added, each (beams,)."""
    return _step(logp, next_logp, beams)


beam_step.diagnose(
    "the past is forgotten: a continuation has log p of its hypothesis plus log p of its token.",
    lambda logp, next_logp, beams: _step(np.zeros_like(logp), next_logp, beams),
    lambda logp, next_logp, beams: _ranked(
        next_logp, logp[:, None] + next_logp, beams, next_logp.shape[1]
    ),
)
beam_step.diagnose(
    "each hypothesis keeps its own best token. The best of all continuations are kept: one hypothesis may go on several times, another not at all.",
    _each,
)
beam_step.diagnose(
    "parents and tokens are exchanged: with rows of V tokens, the parent is the quotient by V, and the token the rest.",
    lambda logp, next_logp, beams: tuple(_step(logp, next_logp, beams)[i] for i in (0, 2, 1)),
)
beam_step.diagnose(
    "the best comes last: sort from the largest to the smallest.",
    lambda logp, next_logp, beams: tuple(part[::-1] for part in _step(logp, next_logp, beams)),
)
beam_step.diagnose(
    "the worst continuations are kept: the largest log p is the best.",
    lambda logp, next_logp, beams: _ranked(
        -(logp[:, None] + next_logp), logp[:, None] + next_logp, beams, next_logp.shape[1]
    ),
)
beam_step.diagnose(
    "the logarithms are multiplied. Probabilities multiply, their logarithms add.",
    lambda logp, next_logp, beams: _ranked(
        logp[:, None] * next_logp, logp[:, None] * next_logp, beams, next_logp.shape[1]
    ),
)
beam_step.diagnose(
    "the sums are probabilities. Keep log p: the product of many probabilities is too small for a float.",
    lambda logp, next_logp, beams: (
        np.exp(_step(logp, next_logp, beams)[0]),
        *_step(logp, next_logp, beams)[1:],
    ),
)
