"""The exercises of the chapter *BERT*, each with the wrong answers that it recognises.

Throughout: tokens (B, T) are whole numbers, -100 marks positions that do not count, results are new arrays."""

import numpy as np

from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, exercise

IGNORED = -100

# ---------------------------------------------------------------- hide_tokens


def _sentences(b, t, share=0.5):
    def make(rng):
        x, others = rng.integers(5, 50, (2, b, t))
        return x, rng.random((b, t)) < share, rng.random((b, t)), others, 4

    return make


def _edges(rng):
    fate = np.array([[0.0, 0.8, 0.9, 0.79, 0.89, 0.99]])
    return np.arange(10, 16)[None], np.ones((1, 6), bool), fate, np.arange(30, 36)[None], 4


def _hide(x, chosen, fate, others, mask, hidden=0.8, exchanged=0.9):
    read = np.where(chosen & (fate < hidden), mask, x)
    read = np.where(chosen & (fate >= hidden) & (fate < exchanged), others, read)
    return read, np.where(chosen, x, IGNORED)


def _with_targets(targets):
    """The right sequence to read beside wrong targets."""
    return lambda *given: (_hide(*given)[0], targets(*given))


@exercise(
    ("read", "targets"),
    Case("shapes", _sentences(3, 8), shapes),
    Case("tokens", _sentences(4, 20)),
    Case("the borders of fate", _edges),
    Case("nothing chosen", _sentences(2, 5, share=0.0)),
    Case("everything chosen", _sentences(2, 30, share=1.1)),
)
def hide_tokens(x, chosen, fate, others, mask):
    """hide_tokens(x, chosen, fate, others, mask) -> (read, targets): what the model reads, and what it is asked (eq-mlm).

    x (B, T) tokens, chosen (B, T) bool, fate (B, T) uniform in [0, 1), others (B, T) random tokens. A chosen token becomes mask where fate < 0.8,
    others where 0.8 <= fate < 0.9, and stays else; targets are the chosen tokens, -100 elsewhere."""
    return _hide(x, chosen, fate, others, mask)


hide_tokens.diagnose(
    "targets hold every token. Only chosen positions are asked; all others are -100.",
    _with_targets(lambda x, *_: x.copy()),
)
hide_tokens.diagnose(
    "only what became a mask is asked. Exchanged and unchanged tokens were chosen, too, and are asked as well.",
    _with_targets(lambda x, chosen, fate, *_: np.where(chosen & (fate < 0.8), x, IGNORED)),
)
hide_tokens.diagnose(
    "what was left as it is is not asked. It was chosen: its target is the token that stands there.",
    _with_targets(lambda x, chosen, fate, *_: np.where(chosen & (fate < 0.9), x, IGNORED)),
)
hide_tokens.diagnose(
    "targets hold what the model reads. The answer is the original token, taken before anything is exchanged.",
    _with_targets(lambda *given: np.where(given[1], _hide(*given)[0], IGNORED)),
)
hide_tokens.diagnose(
    "targets are 0 in the place of -100: 0 is a token, and would count.",
    _with_targets(lambda x, chosen, *_: np.where(chosen, x, 0)),
)
hide_tokens.diagnose(
    "every chosen token becomes the mask. One in ten is exchanged, and one in ten stays; eq-corruption.",
    lambda *given: _hide(*given, hidden=1.0, exchanged=1.0),
)
hide_tokens.diagnose(
    "the random tokens are missing: from 0.8 to 0.9 the token in others stands.",
    lambda *given: _hide(*given, exchanged=0.8),
)
hide_tokens.diagnose(
    "nothing stays as it is: from 0.9 on a chosen token is left alone.",
    lambda *given: _hide(*given, exchanged=1.0),
)
hide_tokens.diagnose(
    "tokens that were not chosen are exchanged, too. fate counts at chosen positions only.",
    lambda x, chosen, fate, others, mask: (
        _hide(x, np.ones_like(chosen), fate, others, mask)[0],
        np.where(chosen, x, IGNORED),
    ),
)
hide_tokens.diagnose(
    "one token in ten is masked and eight are exchanged: fate < 0.8 is the mask.",
    lambda x, chosen, fate, others, mask: _hide(x, chosen, fate, np.full_like(x, mask), others),
)

hide_tokens.diagnose(
    "the results are in the wrong order: first what the model reads, then the targets.",
    lambda *given: _hide(*given)[::-1],
)
hide_tokens.diagnose(
    "masks are overwritten by the tokens in others. These stand from 0.8 on only: ask for fate >= 0.8, too.",
    lambda x, chosen, fate, others, mask: (
        np.where(chosen & (fate < 0.9), others, x),
        np.where(chosen, x, IGNORED),
    ),
)
hide_tokens.diagnose(
    "0.8 itself belongs to the exchanged tokens, and 0.9 to those that stay: fate < 0.8, then fate < 0.9.",
    lambda *given: _hide(*given, hidden=np.nextafter(0.8, 1)),
    lambda *given: _hide(*given, exchanged=np.nextafter(0.9, 1)),
    lambda *given: _hide(*given, hidden=np.nextafter(0.8, 1), exchanged=np.nextafter(0.9, 1)),
)

# ---------------------------------------------------------------- hidden_loss


def _gaps(b, t, v, share=0.4, size=1.0):
    def make(rng):
        targets = np.where(rng.random((b, t)) < share, rng.integers(0, v, (b, t)), IGNORED)
        targets[-1, -1] = v - 1
        return size * rng.normal(size=(b, t, v)), targets

    return make


def _softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _terms(logits, targets):
    """-log p at every position, and p - one-hot, both 0 where nothing is asked; and how many are asked."""
    asked = targets != IGNORED
    z = logits - logits.max(axis=-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    labels = np.where(asked, targets, 0)
    losses = -np.take_along_axis(log_p, labels[..., None], axis=-1)[..., 0] * asked
    slopes = (np.exp(log_p) - np.eye(logits.shape[-1])[labels]) * asked[..., None]
    return losses, slopes, asked.sum()


def _hidden_loss(logits, targets):
    losses, slopes, count = _terms(logits, targets)
    return losses.sum() / count, slopes / count


def _other_count(count_of):
    """Loss and gradient divided by another number."""

    def wrong(logits, targets):
        losses, slopes, _ = _terms(logits, targets)
        return losses.sum() / count_of(targets), slopes / count_of(targets)

    return wrong


def _by_sentence(logits, targets):
    losses, slopes, _ = _terms(logits, targets)
    counts = np.maximum((targets != IGNORED).sum(axis=1, keepdims=True), 1)
    return (losses / counts).sum() / len(targets), slopes / counts[..., None] / len(targets)


def _everywhere(logits, targets):
    """-100 wraps around, or is taken for class 0: every position is asked."""
    losses, slopes, _ = _terms(logits, np.where(targets == IGNORED, 0, targets))
    return losses.sum() / targets.size, slopes / targets.size


def _first_of_each(logits, targets):
    asked = targets != IGNORED
    return _hidden_loss(logits, np.where(asked & (asked.cumsum(axis=1) == 1), targets, IGNORED))


def _unasked_push(logits, targets):
    """The gradient keeps p where nothing is asked."""
    loss, dlogits = _hidden_loss(logits, targets)
    asked = (targets != IGNORED)[..., None]
    return loss, np.where(asked, dlogits, _softmax(logits) / (targets != IGNORED).sum())


def _unsafe(logits, targets):
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    asked = targets != IGNORED
    labels = np.where(asked, targets, 0)
    right = np.take_along_axis(p, labels[..., None], axis=-1)[..., 0]
    count = asked.sum()
    dlogits = (p - np.eye(p.shape[-1])[labels]) * asked[..., None] / count
    return -np.log(right[asked]).sum() / count, dlogits


def _log_of_p(logits, targets, tiny=0.0):
    """A softmax that is safe, and then its logarithm, which is not."""
    asked = targets != IGNORED
    p, labels = _softmax(logits), np.where(asked, targets, 0)
    right = np.take_along_axis(p, labels[..., None], axis=-1)[..., 0][asked]
    return -np.log(right + tiny).mean(), _hidden_loss(logits, targets)[1]


def _indexed(pick):
    """The logits of the targets are looked up before those that are -100 are left out."""

    def wrong(logits, targets):
        pick(logits, targets)
        return _hidden_loss(logits, targets)

    return wrong


@exercise(
    ("loss", "dlogits"),
    Case("shapes", _gaps(3, 7, 6), shapes),
    Case("values", _gaps(4, 9, 6)),
    Case("one hidden token", _gaps(2, 5, 4, share=0.0)),
    Case("everything hidden", _gaps(2, 5, 4, share=1.1)),
    Case("large logits", _gaps(3, 6, 5, size=2000.0), quiet=True),
)
def hidden_loss(logits, targets):
    """hidden_loss(logits, targets) -> (loss, dlogits): the mean of -log p over the hidden tokens (eq-mlm), and its gradient (eq-mlm-vjp).

    logits (B, T, V), targets (B, T) with -100 where nothing is asked, at least one is; loss is one number, dlogits (B, T, V)."""
    return _hidden_loss(logits, targets)


hidden_loss.diagnose(
    "divided by the number of all positions. The mean is over the hidden tokens alone; eq-mlm.",
    _other_count(lambda targets: targets.size),
)
hidden_loss.diagnose(
    "divided by the number of sequences. Divide by the number of hidden tokens: else the loss and its gradient grow with the share that is hidden.",
    _other_count(len),
)
hidden_loss.diagnose(
    "this is the sum. Divide by the number of hidden tokens, in the loss and in the gradient.",
    _other_count(lambda targets: 1),
)
hidden_loss.diagnose(
    "the mean of each sentence first, then of the sentences. One mean over all hidden tokens of the batch; eq-mlm.",
    _by_sentence,
)
hidden_loss.diagnose(
    "every position is asked, and -100 is taken for a class. Leave these positions out.",
    _everywhere,
)
hidden_loss.diagnose(
    "one term for each sentence. There is one for each hidden token.",
    _first_of_each,
)
hidden_loss.diagnose(
    "positions that are not asked have a gradient. They have no term in the loss, so theirs is zero; eq-mlm-vjp.",
    _unasked_push,
)
hidden_loss.diagnose(
    "the gradient has the wrong sign: it is p minus one at the target.",
    lambda logits, targets: (
        _hidden_loss(logits, targets)[0],
        -_hidden_loss(logits, targets)[1],
    ),
)
hidden_loss.diagnose(
    "the gradient lacks the factor 1 / |M|, which comes from the mean.",
    lambda logits, targets: (
        _hidden_loss(logits, targets)[0],
        _terms(logits, targets)[1],
    ),
)
hidden_loss.diagnose(
    "exp overflows. Subtract the maximum first, and take the logarithm before exp: log p = z - max - log sum exp(z - max); eq-log-softmax.",
    _unsafe,
)
hidden_loss.diagnose(
    "p rounds to 0 and its logarithm is infinite. Compute log p = z - max - log sum exp(z - max) from the logits; eq-log-softmax.",
    _log_of_p,
)
hidden_loss.diagnose(
    "a small number is added to p: the loss of a sure wrong answer is cut off. Compute log p from the logits; eq-log-softmax.",
    lambda logits, targets: _log_of_p(logits, targets, 1e-12),
)
hidden_loss.diagnose(
    "-100 is used as an index. Select the positions with targets != -100 first, or put another class in its place there.",
    _indexed(lambda logits, targets: np.take_along_axis(logits, targets[..., None], axis=-1)),
    _indexed(lambda logits, targets: logits.reshape(-1, logits.shape[-1])[0, targets]),
    _indexed(lambda logits, targets: logits[0, 0][targets]),
)

# ---------------------------------------------------------------- best_span


def _scores(t):
    return lambda rng: (rng.normal(size=t), rng.normal(size=t))


def _given(start, end):
    return lambda rng: (np.array(start, float), np.array(end, float))


def _far_apart(rng):
    """The best start is the first of 60 positions, the best end the last."""
    start, end = 0.1 * rng.normal(size=(2, 60))
    start[0] = end[-1] = 3.0
    return start, end


def _best_pair(start, end, allowed):
    total = np.where(allowed(len(start)), start[:, None] + end, -np.inf)
    return divmod(int(total.argmax()), len(start))


def _ordered(t):
    return np.tri(t, dtype=bool).T


@exercise(
    ("alpha", "beta"),
    Case("the maxima in order", _given([0, 3, 1, 0], [0, 1, 0, 2]), show=True),
    Case("the maxima in the wrong order", _given([0, 1, 0, 4], [0, 3, 1, 0]), show=True),
    Case("one position is best alone", _given([1, 5, 0], [0, 4, 3]), show=True),
    Case("neither maximum", _given([2, 0, 0, 3], [3, 0, 2, -2]), show=True),
    Case("negative scores", _given([-7, -6, -3, -1], [-8, -2, -4, -9]), show=True),
    Case("a long text", _scores(60)),
    Case("the first and the last of 60", _far_apart),
    Case("one position", _given([-1], [-2]), show=True),
)
def best_span(start, end):
    """best_span(start, end) -> (alpha, beta): the positions alpha <= beta with the largest start[alpha] + end[beta] (eq-span).

    start (T,), end (T,) are scores; alpha and beta are whole numbers from 0. No case has two best pairs."""
    return _best_pair(start, end, _ordered)


def _from_zero(start, end):
    pair = _best_pair(start, end, _ordered)
    return pair if start[pair[0]] + end[pair[1]] > 0 else (0, 0)


best_span.diagnose(
    "the two maxima are taken apart. They may be in the wrong order: an answer does not end before it begins.",
    lambda start, end: (int(start.argmax()), int(end.argmax())),
)
best_span.diagnose(
    "the maxima are put in order by exchanging them. Then the start has an end's score; compare sums with alpha <= beta.",
    lambda start, end: tuple(sorted((int(start.argmax()), int(end.argmax())))),
)
best_span.diagnose(
    "beta must be larger than alpha here. An answer of one token begins and ends at the same position.",
    lambda start, end: (
        _best_pair(start, end, lambda t: ~np.tri(t, dtype=bool)) if len(start) > 1 else (0, 0)
    ),
)
best_span.diagnose(
    "the best start is fixed first, and the end looked for behind it. A lower start with a better end may sum to more.",
    lambda start, end: (
        int(start.argmax()),
        int(start.argmax()) + int(end[start.argmax() :].argmax()),
    ),
)
best_span.diagnose(
    "the best end is fixed first, and the start looked for before it. A lower end with a better start may sum to more.",
    lambda start, end: (int(start[: end.argmax() + 1].argmax()), int(end.argmax())),
)
best_span.diagnose(
    "only short spans are looked at. That makes the search faster in programs, but here an answer may be as long as the text.",
    *(
        lambda start, end, most=most: _best_pair(
            start, end, lambda t: np.tri(t, dtype=bool).T & ~np.tri(t, k=-most, dtype=bool).T
        )
        for most in (8, 10, 15, 16, 20, 30, 32)
    ),
)
best_span.diagnose(
    "beta is one too large: it is the position of the last token of the answer, not the one behind it.",
    lambda start, end: (
        _best_pair(start, end, _ordered)[0],
        _best_pair(start, end, _ordered)[1] + 1,
    ),
)
best_span.diagnose(
    "positions are counted from 1. The first one is 0.",
    lambda start, end: tuple(place + 1 for place in _best_pair(start, end, _ordered)),
)
best_span.diagnose(
    "pairs that are not allowed count as 0, or the search begins with 0: where all sums are negative that wins. Begin with minus infinity.",
    lambda start, end: divmod(int(np.triu(start[:, None] + end).argmax()), len(start)),
    _from_zero,
)
best_span.diagnose(
    "the smallest sum is taken. A high score speaks for a position.",
    lambda start, end: _best_pair(-start, -end, _ordered),
)
best_span.diagnose(
    "start and end are exchanged: alpha belongs to the scores of the start.",
    lambda start, end: _best_pair(end, start, _ordered),
)
