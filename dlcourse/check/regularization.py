"""Exercises of the chapter on regularization."""

import numpy as np

from dlcourse import regression
from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, exercise

# ---------------------------------------------------------------- soft_threshold


def _weights(shape, threshold, spread=2.0):
    return lambda rng: (spread * rng.normal(size=shape), threshold)


def _given(*values):
    return lambda rng: tuple(np.array(v) if isinstance(v, list) else v for v in values)


@exercise(
    "w",
    Case("shapes", _weights((3, 4), 0.5), shapes),
    Case("by hand", _given([3.0, -0.4, 1.0, -2.0], 0.5), show=True),
    Case("on the threshold", _given([0.5, -0.5, 0.25], 0.5), show=True),
    Case("all are small", _given([0.1, -0.2, 0.0], 0.3), show=True),
    Case("no threshold", _given([1.0, -2.0], 0.0), show=True),
    Case("random", _weights((4, 5), 0.7)),
    Case("a large threshold", _weights((20,), 3.0)),
)
def soft_threshold(w, threshold):
    """soft_threshold(w, threshold) -> w: every number moved by `threshold` towards zero, and to zero if it is nearer than that
    (eq-soft-threshold). w is an array of any shape, threshold a number, not negative."""
    return np.sign(w) * np.maximum(np.abs(w) - threshold, 0.0)


soft_threshold.diagnose(
    "what is larger than the threshold stays as it is: that is the hard threshold. Here it moves, too, by the threshold.",
    lambda w, t: np.where(np.abs(w) > t, w, 0.0),
)
soft_threshold.diagnose(
    "small numbers are moved past zero. They stop there: max(|w| - threshold, 0).",
    lambda w, t: w - t * np.sign(w),
)
soft_threshold.diagnose(
    "the sign is lost. Multiply by sign(w).",
    lambda w, t: np.maximum(np.abs(w) - t, 0.0),
)
soft_threshold.diagnose(
    "negative numbers become zero. They move towards zero from the other side.",
    lambda w, t: np.maximum(w - t, 0.0),
)
soft_threshold.diagnose(
    "large numbers move away from zero. Subtract the threshold from |w|.",
    lambda w, t: np.where(np.abs(w) > t, w + t * np.sign(w), 0.0),
)
soft_threshold.diagnose(
    "that is what the threshold takes away, w clipped to its size. Return what is left.",
    lambda w, t: np.clip(w, -t, t),
)
soft_threshold.diagnose(
    "all numbers shrink by one factor, as under an L2 penalty. Under L1 they move by one amount.",
    lambda w, t: (1 - t) * w,
    lambda w, t: w / (1 + t),
)
soft_threshold.diagnose(
    "the threshold is halved. The quadratic has a factor of one half already; eq-soft-threshold.",
    lambda w, t: np.sign(w) * np.maximum(np.abs(w) - t / 2, 0.0),
)
soft_threshold.diagnose(
    "the threshold is subtracted from negative numbers too, which moves them away from zero. Subtract it from |w|, then put the sign back.",
    lambda w, t: np.where(np.abs(w) > t, w - t, 0.0),
    lambda w, t: np.where(np.abs(w) < t, 0.0, w - t),
    lambda w, t: w - t,
    lambda w, t: np.sign(w) * np.abs(w - t),
)
soft_threshold.diagnose(
    "what is nearer to zero than the threshold comes out on the other side. It stops at zero: max(|w| - threshold, 0).",
    lambda w, t: np.sign(w) * np.abs(np.abs(w) - t),
)
soft_threshold.diagnose(
    "small numbers stay as they are. Those not larger than the threshold become zero.",
    lambda w, t: np.where(np.abs(w) > t, w - t * np.sign(w), w),
)
soft_threshold.diagnose(
    "np.max finds one largest number. np.maximum compares each number with zero.",
    lambda w, t: np.sign(w) * np.max(np.abs(w) - t, 0),
)


# ---------------------------------------------------------------- ridge_weights


def _table(rows, columns, penalty):
    return lambda rng: (rng.normal(size=(rows, columns)), rng.normal(size=rows), penalty)


def _ridge(x, targets, penalty, share=None):
    gram, n = x.T @ x, len(x)
    added = np.eye(x.shape[1]) * (n * penalty) if share is None else share(n, penalty, x.shape[1])
    return np.linalg.solve(gram + added, x.T @ targets)


def _multiplied(factor):
    return lambda x, targets, penalty: _ridge(x, targets, factor * penalty)


def _least_squares(x, targets, penalty):
    return np.linalg.pinv(x) @ targets


@exercise(
    "w",
    Case("shapes", _table(6, 3, 0.5), shapes),
    Case("one column, by hand", _given([[1.0], [2.0]], [1.0, 1.0], 0.5), show=True),
    Case("orthogonal columns", _given([[2.0, 0.0], [0.0, 1.0]], [2.0, 1.0], 1.0), show=True),
    Case("random", _table(12, 4, 0.3)),
    Case("more columns than rows", _table(5, 8, 0.2)),
    Case("a large penalty", _table(10, 3, 50.0)),
    Case("a small penalty", _table(10, 3, 1e-3)),
)
def ridge_weights(x, targets, penalty):
    """ridge_weights(x, targets, penalty) -> w: the minimum of |x w - targets|^2 / (2 N) + penalty |w|^2 / 2  (eq-ridge).

    x is (N, P), targets (N,), penalty above 0, and w (P,)."""
    return regression.ridge(x, targets, penalty)


ridge_weights.diagnose(
    "N is missing. The loss is a mean over N examples, so that penalty N stands beside x^T x; eq-ridge.",
    lambda x, targets, penalty: _ridge(x, targets, penalty, lambda n, p, size: p * np.eye(size)),
)
ridge_weights.diagnose(
    "x^T x is divided by N, and x^T targets is not.",
    lambda x, targets, penalty: len(x) * _ridge(x, targets, penalty),
)
ridge_weights.diagnose(
    "the penalty is subtracted. Its gradient adds penalty w.",
    _multiplied(-1.0),
)
ridge_weights.diagnose(
    "the penalty counts double. Both terms have a factor of one half; eq-ridge.",
    _multiplied(2.0),
)
ridge_weights.diagnose(
    "the penalty counts half. Both terms have a factor of one half; eq-ridge.",
    _multiplied(0.5),
)
ridge_weights.diagnose(
    "the penalty plays no part: that is least squares.",
    _least_squares,
)
ridge_weights.diagnose(
    "the penalty is added to every entry of x^T x. It belongs on the diagonal: times np.eye.",
    lambda x, targets, penalty: _ridge(
        x, targets, penalty, lambda n, p, size: n * p * np.ones((size, size))
    ),
)
ridge_weights.diagnose(
    "least squares, all weights divided by 1 + penalty: right only where all curvatures are 1; eq-ridge-shrinkage.",
    lambda x, targets, penalty: _least_squares(x, targets, penalty) / (1 + penalty),
)
ridge_weights.diagnose(
    "x^T targets is divided by N, and x^T x is not.",
    lambda x, targets, penalty: _ridge(x, targets, penalty) / len(x),
)
ridge_weights.diagnose(
    "the penalty is multiplied by the number of columns. It is the number of examples, len(x).",
    lambda x, targets, penalty: _ridge(
        x, targets, penalty, lambda n, p, size: size * p * np.eye(size)
    ),
)
ridge_weights.diagnose(
    "the penalty is divided by N. With x^T x, not divided, it is multiplied; eq-ridge.",
    lambda x, targets, penalty: _ridge(
        x, targets, penalty, lambda n, p, size: p / n * np.eye(size)
    ),
)
ridge_weights.diagnose(
    "x^T x is multiplied by np.eye too, so that only its diagonal is left. Multiply the penalty alone.",
    lambda x, targets, penalty: x.T @ targets / ((x**2).sum(axis=0) + len(x) * penalty),
)


# ---------------------------------------------------------------- bias_variance


def _models(models, places, shift=0.0):
    def make(rng):
        truth = rng.normal(size=places)
        return truth + shift + rng.normal(size=places) + rng.normal(size=(models, places)), truth

    return make


def _parts(bias=None, variance=None):
    """Both parts, one of them wrong."""

    def wrong(predictions, truth):
        first, second = regression.bias_variance(predictions, truth)
        if bias is not None:
            first = bias(predictions, truth)
        if variance is not None:
            second = variance(predictions, truth)
        return first, second

    return wrong


@exercise(
    ("bias", "variance"),
    Case("by hand", _given([[1.0, 2.0], [3.0, 4.0]], [0.0, 0.0]), show=True),
    Case("bias that cancels", _given([[2.0, 0.0], [2.0, 0.0]], [1.0, 1.0]), show=True),
    Case("models that agree", _given([[1.0, 3.0], [1.0, 3.0]], [1.0, 1.0]), show=True),
    Case("bias", _models(5, 7), parts=("bias",)),
    Case("variance", _models(5, 7), parts=("variance",)),
    Case("one place", _models(6, 1)),
    Case("a large bias", _models(4, 4, 3.0)),
)
def bias_variance(predictions, truth):
    """bias_variance(predictions, truth) -> (bias, variance): the squared bias and the variance of M models, each a mean over N places
    (eq-bias-variance). predictions (M, N) has a row for each model, truth (N,) has no noise."""
    return regression.bias_variance(predictions, truth)


bias_variance.diagnose(
    "the bias is not squared.",
    _parts(lambda p, t: np.mean(p.mean(axis=0) - t)),
    _parts(lambda p, t: np.mean(np.abs(p.mean(axis=0) - t))),
)
bias_variance.diagnose(
    "the bias is the error of each model. That is both parts together: the mean of the models comes first.",
    _parts(lambda p, t: np.mean((p - t) ** 2)),
)
bias_variance.diagnose(
    "the bias is averaged over the places before it is squared, so that it cancels. Square at each place.",
    _parts(lambda p, t: np.mean(p - t) ** 2),
)
bias_variance.diagnose(
    "the variance is taken over the places. It is that of the models at one place: axis=0.",
    _parts(None, lambda p, t: np.mean(p.var(axis=1))),
)
bias_variance.diagnose(
    "the variance is divided by M - 1. Here it is a mean, divided by M, so that both parts add up to the error.",
    _parts(None, lambda p, t: np.mean(p.var(axis=0, ddof=1))),
)
bias_variance.diagnose(
    "that is the standard deviation. The variance is its square.",
    _parts(None, lambda p, t: np.mean(p.std(axis=0))),
    _parts(None, lambda p, t: np.sqrt(np.mean(p.var(axis=0)))),
)
bias_variance.diagnose(
    "the variance is taken about the truth. It is taken about the mean of the models.",
    _parts(None, lambda p, t: np.mean((p - t) ** 2)),
)
bias_variance.diagnose(
    "these are sums over the places. Take means.",
    lambda p, t: tuple(p.shape[1] * part for part in regression.bias_variance(p, t)),
)
bias_variance.diagnose(
    "the results are in another order: (bias, variance).",
    lambda p, t: regression.bias_variance(p, t)[::-1],
)
bias_variance.diagnose(
    "the variance is that of all numbers together. Take it at each place, over the models: axis=0, then the mean over the places.",
    _parts(None, lambda p, t: np.var(p)),
)
bias_variance.diagnose(
    "the variance is that of the errors, all places together. Take it at each place, about the mean of the models.",
    _parts(None, lambda p, t: np.var(p - t)),
)
bias_variance.diagnose(
    "the variance is summed over the models. Take a mean.",
    _parts(None, lambda p, t: len(p) * np.mean(p.var(axis=0))),
)
bias_variance.diagnose(
    "that is the root of the squared bias. Leave out the root.",
    _parts(lambda p, t: np.sqrt(np.mean((p.mean(axis=0) - t) ** 2))),
)
bias_variance.diagnose(
    "the mean is taken over the places, or over everything. The mean model is a mean over the models, axis=0, and has a number for each place.",
    lambda p, t: (np.mean((p.mean(axis=1, keepdims=True) - t) ** 2), np.mean(p.var(axis=1))),
    lambda p, t: (np.mean((p.mean() - t) ** 2), np.var(p)),
)


# ---------------------------------------------------------------- stop_early


def _walk(size, patience, drift=-0.05):
    return lambda rng: (2.0 + np.cumsum(drift + 0.2 * rng.normal(size=size)), patience)


def _stop(
    losses, patience, better=lambda new, best: new < best, over=lambda waited, p: waited >= p
):
    best = 0
    for epoch in range(len(losses)):
        if better(losses[epoch], losses[best]) and epoch > best:
            best = epoch
        if over(epoch - best, patience):
            return best + 1, epoch + 1
    return best + 1, len(losses)


def _since_a_fall(losses, patience):
    waited = 0
    for epoch in range(1, len(losses)):
        waited = 0 if losses[epoch] < losses[epoch - 1] else waited + 1
        if waited == patience:
            return int(np.argmin(losses[: epoch + 1])) + 1, epoch + 1
    return int(np.argmin(losses)) + 1, len(losses)


def _all_seen(losses, patience):
    best = int(np.argmin(losses)) + 1
    return best, min(best + patience, len(losses))


def _asked_first(losses, patience):
    best = 0
    for epoch in range(len(losses)):
        if epoch and epoch - best >= patience:
            return best + 1, epoch + 1
        if losses[epoch] < losses[best]:
            best = epoch
    return best + 1, len(losses)


def _without_reset(losses, patience):
    best = bad = 0
    for epoch in range(1, len(losses)):
        if losses[epoch] < losses[best]:
            best = epoch
        else:
            bad += 1
        if bad == patience:
            return best + 1, epoch + 1
    return best + 1, len(losses)


def _beginning_with(best_loss, best):
    """The best loss so far is `best_loss` before any was seen."""

    def wrong(losses, patience):
        kept, lowest = best, best_loss
        for epoch, loss in enumerate(losses, 1):
            if loss < lowest:
                kept, lowest = epoch, loss
            if epoch - kept >= patience:
                return kept, epoch
        return kept, len(losses)

    return wrong


@exercise(
    ("best", "trained"),
    Case("by hand", _given([3.0, 2.0, 2.5, 1.9, 2.0, 2.1, 1.5], 2), show=True),
    Case("always better", _given([4.0, 3.0, 2.0, 1.0], 2), show=True),
    Case("worse at once", _given([1.0, 2.0, 3.0, 0.5], 1), show=True),
    Case("equal losses", _given([2.0, 2.0, 2.0, 2.0, 0.5], 2), show=True),
    Case("slow recovery", _given([1.0, 3.0, 2.5, 2.0, 1.5, 0.9], 3), show=True),
    Case("patience is left", _given([2.0, 1.0, 1.5], 3), show=True),
    Case("one epoch", _given([1.0], 3), show=True),
    Case("large losses", _given([900.0, 800.0, 850.0, 860.0], 2), show=True),
    Case("a short patience", _walk(30, 2)),
    Case("a long patience", _walk(40, 6, -0.02)),
)
def stop_early(losses, patience):
    """stop_early(losses, patience) -> (best, trained): what early stopping does with the validation losses of successive epochs.

    best is the epoch whose weights are kept, the first one being 1, and trained says how many epochs are trained. Training ends as soon as
    `patience` epochs have passed since the best one so far, or with the last loss. An equal loss is no improvement. losses is (epochs,)."""
    return _stop(losses, patience)


stop_early.diagnose(
    "the best epoch is searched among all losses. Those after the end of the training are never seen.",
    lambda losses, patience: (int(np.argmin(losses)) + 1, _stop(losses, patience)[1]),
    _all_seen,
)
stop_early.diagnose(
    "the best loss so far begins with 0, below which none falls. Begin with the first loss, or with infinity.",
    _beginning_with(0.0, 0),
    _beginning_with(0.0, 1),
)
stop_early.diagnose(
    "the best loss so far begins with a number that losses may exceed. Begin with the first loss, or with infinity.",
    *(_beginning_with(start, best) for start in (5.0, 10.0, 100.0) for best in (0, 1)),
)
stop_early.diagnose(
    "a loss is compared with that of the epoch before. Compare it with the best one so far.",
    _since_a_fall,
)
stop_early.diagnose(
    "all epochs without improvement are counted together. An improvement starts the count anew.",
    _without_reset,
)
stop_early.diagnose(
    "an equal loss counts as an improvement. Ask for a smaller one.",
    lambda losses, patience: _stop(losses, patience, lambda new, best: new <= best),
)
stop_early.diagnose(
    "training ends one epoch late. It ends as soon as `patience` epochs have passed since the best.",
    lambda losses, patience: _stop(losses, patience, over=lambda waited, p: waited > p),
)
stop_early.diagnose(
    "the weights of the last epoch are kept. Return the epoch with the smallest loss.",
    lambda losses, patience: (_stop(losses, patience)[1],) * 2,
)
stop_early.diagnose(
    "patience plays no part: training ends at the first epoch without improvement.",
    lambda losses, patience: _stop(losses, 1),
)
stop_early.diagnose(
    "epochs are counted from 0. Here the first one is 1.",
    lambda losses, patience: tuple(epoch - 1 for epoch in _stop(losses, patience)),
    lambda losses, patience: (_stop(losses, patience)[0] - 1, _stop(losses, patience)[1]),
)
stop_early.diagnose(
    "training goes on to the last loss, whatever happens.",
    lambda losses, patience: (int(np.argmin(losses)) + 1, len(losses)),
)
stop_early.diagnose(
    "the results are in another order: (best, trained).",
    lambda losses, patience: _stop(losses, patience)[::-1],
)
stop_early.diagnose(
    "the number of trained epochs is one too small: that is the last index, counted from 0.",
    lambda losses, patience: (_stop(losses, patience)[0], _stop(losses, patience)[1] - 1),
)
stop_early.diagnose(
    "training ends one epoch early. The best epoch itself does not count as one without improvement.",
    lambda losses, patience: _stop(losses, patience - 1),
)
stop_early.diagnose(
    "more epochs are trained than there are losses. Training ends with the last loss, too.",
    lambda losses, patience: (_stop(losses, patience)[0], _stop(losses, patience)[0] + patience),
)
stop_early.diagnose(
    "it is asked whether to end before the epoch's own loss is looked at. First see whether it is the best, then ask.",
    _asked_first,
)
