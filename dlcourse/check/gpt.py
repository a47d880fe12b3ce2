"""The exercises of the chapter *GPT*, each with the wrong answers that it recognises.

Throughout: tokens are whole numbers, logits are (N, V), losses are in nats, results are new arrays."""

import numpy as np

from dlcourse import count
from dlcourse.boundary import IGNORED
from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, exercise
from dlcourse.config import GPTConfig
from dlcourse.generate import log_softmax, probabilities

# ---------------------------------------------------------------- next_token_pairs


def _tokens(b, t):
    return lambda rng: (rng.permutation(b * t).reshape(b, t),)


@exercise(
    ("x", "y"),
    Case("shapes", _tokens(3, 6), shapes),
    Case("x", _tokens(3, 6), parts=("x",)),
    Case("y", _tokens(3, 6), parts=("y",)),
    Case("one text", _tokens(1, 5)),
    Case("two tokens", _tokens(4, 2)),
)
def next_token_pairs(tokens):
    """next_token_pairs(tokens) -> (x, y): inputs and targets of a language model (eq-language-model-loss).

    tokens (B, T + 1) -> x (B, T), all but the last token, and y (B, T), the token that follows each."""
    return tokens[:, :-1], tokens[:, 1:]


next_token_pairs.diagnose(
    "the targets are not moved: each position is asked for the token that it sees, and copying solves that.",
    lambda tokens: (tokens[:, :-1], tokens[:, :-1]),
    lambda tokens: (tokens[:, 1:], tokens[:, 1:]),
)
next_token_pairs.diagnose(
    "inputs and targets are exchanged: x are the first T tokens, y the last T.",
    lambda tokens: (tokens[:, 1:], tokens[:, :-1]),
)
next_token_pairs.diagnose(
    "the whole text is input and target: T + 1 tokens make T pairs.",
    lambda tokens: (tokens, tokens),
)
next_token_pairs.diagnose(
    "np.roll leads from the last token back to the first: the last token has no target, so leave it out of x.",
    lambda tokens: (tokens, np.roll(tokens, -1, axis=1)),
)
next_token_pairs.diagnose(
    "moved along the wrong axis: texts stand in rows, and time runs along axis 1.",
    lambda tokens: (tokens[:-1], tokens[1:]),
)
next_token_pairs.diagnose(
    "one target for each text. Each position has one of its own, so that a text of T + 1 tokens asks T questions.",
    lambda tokens: (tokens[:, :-1], tokens[:, -1]),
    lambda tokens: (tokens[:, :-1], tokens[:, -1:]),
)


# ---------------------------------------------------------------- perplexity


def _guesses(n, v, ignored=0, scale=1.0):
    def make(rng):
        targets = np.concatenate([np.arange(v), rng.integers(0, v, n - v)])
        targets[rng.permutation(n)[:ignored]] = IGNORED
        return scale * rng.normal(size=(n, v)), targets

    return make


def _logp(logits, targets):
    known = targets != IGNORED
    return np.take_along_axis(log_softmax(logits[known]), targets[known, None], axis=1)[:, 0]


def _by_count(logits, targets):
    return np.exp(-_logp(logits, targets).sum() / len(targets))


@exercise(
    "perplexity",
    Case("shape", _guesses(8, 5), shapes),
    Case("values", _guesses(8, 5)),
    Case("ignored targets", _guesses(9, 4, ignored=3)),
    Case("one token", lambda rng: (rng.normal(size=(1, 3)), np.array([2]))),
    Case(
        "uniform",
        lambda rng: (np.zeros((2, 7)), np.array([0, 3])),
        show=True,
    ),
    Case(
        "large logits",
        lambda rng: (np.array([[1000.0, 999.0], [0.0, 1.0]]), np.array([0, 1])),
        show=True,
    ),
    Case(
        "an improbable target",
        lambda rng: (np.array([[800.0, 0.0]] + [[0.0, 0.0]] * 9), np.array([1] + [0] * 9)),
    ),
)
def perplexity(logits, targets):
    """perplexity(logits, targets) -> number: e to the mean of -log q over the targets that count (eq-perplexity).

    logits (N, V), targets (N,), whole numbers; -100 does not count."""
    return np.exp(-_logp(logits, targets).mean())


perplexity.diagnose(
    "this is the loss, not yet its exponential: the perplexity is e^L.",
    lambda logits, targets: -_logp(logits, targets).mean(),
)
perplexity.diagnose(
    "the losses are added up. Their mean goes into the exponential.",
    lambda logits, targets: np.exp(-_logp(logits, targets).sum()),
)
perplexity.diagnose(
    "the mean of the single perplexities. It is their geometric mean: first the mean of the losses, then exp.",
    lambda logits, targets: np.exp(-_logp(logits, targets)).mean(),
)
perplexity.diagnose(
    "one over the mean probability. The mean is taken of the logarithms.",
    lambda logits, targets: 1 / np.exp(_logp(logits, targets)).mean(),
)
perplexity.diagnose(
    "2^L belongs to a loss in bits. With natural logarithms it is e^L.",
    lambda logits, targets: 2 ** -_logp(logits, targets).mean(),
)
perplexity.diagnose(
    "the sum is divided by the number of all targets. Those of -100 do not count.",
    _by_count,
)
perplexity.diagnose(
    "exp(1000) overflows. Subtract the row maximum first; eq-softmax-shift says why that changes nothing.",
    lambda logits, targets: np.exp(
        -np.log(
            (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[targets != IGNORED][
                np.arange((targets != IGNORED).sum()), targets[targets != IGNORED]
            ]
        ).mean()
    ),
)
perplexity.diagnose(
    "the probability underflows to 0 before its logarithm is taken. Subtract log-sum-exp from the logits: z - max - log(sum(exp(z - max))).",
    lambda logits, targets: np.exp(
        -np.log(
            np.take_along_axis(
                np.exp(log_softmax(logits[targets != IGNORED])),
                targets[targets != IGNORED, None],
                axis=1,
            )
        ).mean()
    ),
)
perplexity.diagnose(
    "the logits themselves are averaged. They need a log-softmax before they are log-probabilities.",
    lambda logits, targets: np.exp(
        -np.take_along_axis(
            logits[targets != IGNORED], targets[targets != IGNORED, None], axis=1
        ).mean()
    ),
)


# ---------------------------------------------------------------- top_k_probabilities


def _logits(v, temperature, k):
    return lambda rng: (rng.normal(size=v) * 2, temperature, k)


def _top(logits, temperature=1.0, k=None):
    return probabilities(logits[None], temperature, k)[0]


def _renormalised(p):
    return p / p.sum()


def _rank(logits):
    return np.argsort(np.argsort(-logits))


@exercise(
    "p",
    Case("shape", _logits(6, 1.0, 3), shapes),
    Case("top-k", _logits(6, 1.0, 3)),
    Case("temperature", _logits(5, 0.5, 5)),
    Case("warm", _logits(5, 2.0, 5)),
    Case("both", _logits(7, 0.7, 4)),
    Case("k of one", _logits(5, 1.3, 1)),
    Case(
        "large logits",
        lambda rng: (np.array([1000.0, 999.0, 0.0]), 1.0, 2),
        show=True,
    ),
)
def top_k_probabilities(logits, temperature, k):
    """top_k_probabilities(logits, temperature, k) -> p: softmax(logits / temperature) of the k largest logits (eq-temperature, eq-top-k).

    logits (V,) that all differ, temperature above 0, k from 1 to V; p (V,) is zero for the others and sums to one."""
    return _top(logits, temperature, k)


top_k_probabilities.diagnose(
    "multiplied by the temperature. Divide: a high temperature makes the logits more alike.",
    lambda logits, temperature, k: _top(logits, 1 / temperature, k),
)
top_k_probabilities.diagnose(
    "the temperature is forgotten.",
    lambda logits, temperature, k: _top(logits, 1.0, k),
    lambda logits, temperature, k: _renormalised(_top(logits, 1.0, k) / temperature),
)
top_k_probabilities.diagnose(
    "all tokens are kept: those behind the k most likely ones get the probability zero.",
    lambda logits, temperature, k: _top(logits, temperature),
)
top_k_probabilities.diagnose(
    "what is left does not sum to one. Divide by the sum of the k that are kept.",
    lambda logits, temperature, k: _top(logits, temperature) * (_rank(logits) < k),
)
top_k_probabilities.diagnose(
    "the k least likely tokens are kept. argsort puts the smallest first.",
    lambda logits, temperature, k: _renormalised(_top(logits, temperature) * (_rank(-logits) < k)),
)
top_k_probabilities.diagnose(
    "the other logits are set to 0, which is a logit like any other. Set them to -inf, or their probabilities to 0.",
    lambda logits, temperature, k: _top(np.where(_rank(logits) < k, logits, 0.0), temperature),
)
top_k_probabilities.diagnose(
    "one token too many is kept.",
    lambda logits, temperature, k: _top(logits, temperature, k + 1),
)
top_k_probabilities.diagnose(
    "the first k tokens are kept, not the k most likely ones.",
    lambda logits, temperature, k: _renormalised(
        _top(logits, temperature) * (np.arange(len(logits)) < k)
    ),
)
top_k_probabilities.diagnose(
    "the logits are divided by their sum. A softmax takes exponentials first, and logits may be negative.",
    lambda logits, temperature, k: _renormalised(logits / temperature * (_rank(logits) < k)),
)


# ---------------------------------------------------------------- nucleus


def _shares(*p, threshold):
    return lambda rng: (rng.permutation(np.array(p)), threshold)


def _cut(p, keep):
    """Renormalised where keep(probabilities before, the sorted ones) is true; the most likely first."""
    order = np.argsort(-p)
    ranked = p[order]
    kept = np.zeros_like(p)
    chosen = order[keep(ranked.cumsum() - ranked, ranked)]
    kept[chosen] = p[chosen]
    return kept


def _nucleus(p, threshold):
    return _renormalised(_cut(p, lambda before, ranked: before < threshold))


@exercise(
    "p",
    Case("shape", _shares(0.4, 0.3, 0.2, 0.1, threshold=0.6), shapes),
    Case("a few", _shares(0.4, 0.3, 0.2, 0.1, threshold=0.6)),
    Case("most", _shares(0.35, 0.25, 0.18, 0.12, 0.1, threshold=0.85)),
    Case("one is enough", _shares(0.7, 0.2, 0.1, threshold=0.6)),
    Case("all", _shares(0.5, 0.3, 0.15, 0.05, threshold=1.0)),
    Case(
        "reached exactly",
        lambda rng: (np.array([0.125, 0.5, 0.125, 0.25]), 0.75),
        show=True,
    ),
    Case(
        "flat",
        lambda rng: (np.array([0.19, 0.21, 0.2, 0.18, 0.22]), 0.5),
        show=True,
    ),
)
def nucleus(p, threshold):
    """nucleus(p, threshold) -> p: the fewest most likely tokens that together reach the threshold, divided by their sum (eq-top-p).

    p (V,) sums to one, and its larger entries differ; threshold is above 0 and at most 1. The result (V,) is zero for the others."""
    return _nucleus(p, threshold)


nucleus.diagnose(
    "the token with which the threshold is reached is missing: keep it, too.",
    lambda p, threshold: _renormalised(
        _cut(p, lambda before, ranked: before + ranked < threshold) + 1e-300
    ),
)
nucleus.diagnose(
    "one token more is kept than needed: stop as soon as the sum reaches the threshold.",
    lambda p, threshold: _renormalised(
        _cut(p, lambda before, ranked: np.arange(len(p)) <= (before < threshold).sum())
    ),
)
nucleus.diagnose(
    "the probabilities of single tokens are compared with the threshold. It is their sum, from the most likely on, that must reach it.",
    lambda p, threshold: _renormalised(p * (p >= threshold) + 1e-300),
    lambda p, threshold: _renormalised(p * (p >= 1 - threshold)),
)
nucleus.diagnose(
    "what is left does not sum to one. Divide by the sum of those that are kept.",
    lambda p, threshold: _cut(p, lambda before, ranked: before < threshold),
)
nucleus.diagnose(
    "the tokens are added up in their own order. Sort them first, the most likely in front.",
    lambda p, threshold: _renormalised(p * (p.cumsum() - p < threshold)),
)
nucleus.diagnose(
    "the least likely tokens are kept: argsort puts the smallest first.",
    lambda p, threshold: _renormalised(p * _tail(p, threshold)),
)
nucleus.diagnose(
    "the result is in sorted order. Each probability belongs at the place of its token.",
    lambda p, threshold: np.sort(_nucleus(p, threshold))[::-1].copy(),
)
nucleus.diagnose(
    "all tokens are kept: nothing is cut.",
    lambda p, threshold: p.copy(),
)


def _tail(p, threshold):
    order = np.argsort(p)
    kept = np.zeros(len(p), bool)
    kept[order] = p[order].cumsum() - p[order] < threshold
    return kept


# ---------------------------------------------------------------- gpt_parameters


def _sizes(*sizes):
    return lambda rng: sizes


def _gpt(vocab, context, layers, width):
    return count.parameters(GPTConfig(vocab, context, layers, 1, width, bias=True))


@exercise(
    "number",
    Case("small", _sizes(65, 64, 4, 128), show=True),
    Case("one block", _sizes(7, 5, 1, 3), show=True),
    Case("wide", _sizes(11, 30, 2, 64), show=True),
    Case("GPT-2", _sizes(50257, 1024, 12, 768), show=True),
)
def gpt_parameters(vocab, context, layers, width):
    """gpt_parameters(vocab, context, layers, width) -> number: the parameters of a GPT-2, head tied to the embedding (eq-gpt-parameters).

    All arguments are whole numbers, and so is the result. Linear layers and layer norms have biases, perceptrons 4 width hidden units."""
    return _gpt(vocab, context, layers, width)


gpt_parameters.diagnose(
    "the head is counted, too. It is the embedding itself: one matrix, two uses.",
    lambda v, t, k, c: _gpt(v, t, k, c) + v * c,
)
gpt_parameters.diagnose(
    "the positions are forgotten: each of the context has a vector.",
    lambda v, t, k, c: _gpt(v, t, k, c) - t * c,
)
gpt_parameters.diagnose(
    "the biases are forgotten: 4 width in the attention and 5 width in the perceptron of each block.",
    lambda v, t, k, c: _gpt(v, t, k, c) - 9 * k * c,
)
gpt_parameters.diagnose(
    "the last norm is forgotten: one stands behind all blocks.",
    lambda v, t, k, c: _gpt(v, t, k, c) - 2 * c,
)
gpt_parameters.diagnose(
    "the norms of the blocks are forgotten: two in each, with a weight and a bias for each channel.",
    lambda v, t, k, c: _gpt(v, t, k, c) - 4 * k * c,
)
gpt_parameters.diagnose(
    "a norm has a weight and a bias for each channel, 2 width, and only one of the two is counted.",
    lambda v, t, k, c: _gpt(v, t, k, c) - (2 * k + 1) * c,
)
gpt_parameters.diagnose(
    "the output projection of the attention is forgotten: there are four matrices, for queries, keys, values and the output.",
    lambda v, t, k, c: _gpt(v, t, k, c) - k * (c * c + c),
)
gpt_parameters.diagnose(
    "the perceptron has 4 width hidden units, so that each of its two matrices has 4 width^2 weights.",
    lambda v, t, k, c: _gpt(v, t, k, c) - k * (6 * c * c + 3 * c),
)
gpt_parameters.diagnose(
    "one block is counted: multiply by the number of layers.",
    lambda v, t, k, c: _gpt(v, t, 1, c),
)
