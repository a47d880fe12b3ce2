"""The exercises of the chapter *Convolutional networks*, each with the wrong answers that it recognises.

Throughout: images are (N, H, W, C), logits (N, V), results are new arrays."""

from itertools import pairwise

import numpy as np

from dlcourse import metrics
from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, exercise
from dlcourse.config import CNNConfig
from dlcourse.geometry import conv_parameters, output_size
from dlcourse.numpy.functional import cross_entropy as package_cross_entropy

# ---------------------------------------------------------------- cnn_parameters


def _halved(side):
    return output_size(side, 2, stride=2)


def _parameters(
    inputs,
    channels,
    kernel,
    padding,
    hidden,
    outputs,
    convolved=output_size,
    pooled=_halved,
    flat=lambda height, width, depth: height * width * depth,
    of_conv=conv_parameters,
    of_linear=lambda i, o: (i + 1) * o,
):
    """The count, with any of its pieces exchanged for a wrong one."""
    (height, width, depth), count = inputs, 0
    for o, p in zip(channels, padding, strict=True):
        count, depth = count + of_conv(depth, o, kernel), o
        height, width = (pooled(convolved(side, kernel, padding=p)) for side in (height, width))
    sizes = (flat(height, width, depth), *hidden, outputs)
    return count + sum(of_linear(i, o) for i, o in pairwise(sizes))


def _with(**pieces):
    return lambda *arguments: _parameters(*arguments, **pieces)


_LENET = (28, 28, 1), (6, 16), 5, (2, 0), (120, 84), 10
_ARTICLES = (32, 32, 3), (32, 64), 5, (0, 0), (1024,), 10


@exercise(
    "parameters",
    Case("one convolution", lambda rng: ((8, 8, 1), (4,), 3, (0,), (5,), 3), show=True),
    Case("no hidden layer", lambda rng: ((6, 6, 2), (4,), 3, (1,), (), 2), show=True),
    Case("sides that are odd", lambda rng: ((13, 13, 2), (3,), 3, (0,), (4,), 3), show=True),
    Case(
        "image that is not square",
        lambda rng: ((12, 20, 1), (3, 5), 3, (2, 0), (7,), 4),
        show=True,
    ),
    Case("LeNet-5", lambda rng: _LENET, show=True),
    Case("the articles' network", lambda rng: _ARTICLES, show=True),
)
def cnn_parameters(inputs, channels, kernel, padding, hidden, outputs):
    """cnn_parameters(inputs, channels, kernel, padding, hidden, outputs) -> parameters: of the network eq-cnn.

    inputs is (H, W, C); channels and padding have one entry a convolution, hidden one a hidden Linear layer. Behind every convolution
    stands a 2 x 2 pooling. The result is one whole number."""
    config = CNNConfig(inputs, channels, kernel, padding, hidden=hidden, outputs=outputs)
    return _parameters(
        config.inputs, config.channels, kernel, config.padding, config.hidden, outputs
    )


cnn_parameters.diagnose(
    "the poolings are forgotten: each halves height and width, so the first Linear layer gets a quarter of the numbers.",
    _with(pooled=lambda side: side),
)
cnn_parameters.diagnose(
    "the padding is forgotten: a convolution leaves n + 2 p - k + 1 pixels; eq-output-size.",
    _with(convolved=lambda side, kernel, padding: side - kernel + 1),
)
cnn_parameters.diagnose(
    "the padding is counted once. It stands on both sides: n + 2 p - k + 1.",
    _with(convolved=lambda side, kernel, padding: side + padding - kernel + 1),
)
cnn_parameters.diagnose(
    "the convolutions keep the size of the image. They do so only with padding (k - 1) / 2.",
    _with(convolved=lambda side, kernel, padding: side),
)
cnn_parameters.diagnose(
    "odd sides are rounded up. A pooling window that hangs over the edge has no place: round down, //.",
    _with(pooled=lambda side: -(-side // 2)),
)
cnn_parameters.diagnose(
    "a side was divided by / : round down with //.",
    _with(pooled=lambda side: side / 2),
)
cnn_parameters.diagnose(
    "the width is taken to be the height.",
    lambda inputs, *rest: _parameters((inputs[0], inputs[0], inputs[2]), *rest),
)
cnn_parameters.diagnose(
    "the kernels have no depth: one kernel has k^2 weights for each input channel; eq-conv-parameters.",
    _with(of_conv=lambda i, o, kernel: conv_parameters(1, o, kernel)),
)
cnn_parameters.diagnose(
    "the first Linear layer gets H W numbers: it gets those of all channels, H W C.",
    _with(flat=lambda height, width, depth: height * width),
)
cnn_parameters.diagnose(
    "the first Linear layer gets one number a channel, as behind a global pooling. Here it gets every pixel of every channel.",
    _with(flat=lambda height, width, depth: depth),
)
cnn_parameters.diagnose(
    "the biases of the convolutions are missing: one for each output channel.",
    _with(of_conv=lambda i, o, kernel: kernel * kernel * i * o),
)
cnn_parameters.diagnose(
    "the biases of the Linear layers are missing: one for each output.",
    _with(of_linear=lambda i, o: i * o),
)
cnn_parameters.diagnose(
    "all biases are missing.",
    _with(of_conv=lambda i, o, kernel: kernel * kernel * i * o, of_linear=lambda i, o: i * o),
)
cnn_parameters.diagnose(
    "a bias is counted for each pixel of a map. All places share one bias, as they share the kernel.",
    lambda inputs, channels, kernel, padding, hidden, outputs: (
        _parameters(inputs, channels, kernel, padding, hidden, outputs)
        + _bias_a_pixel(inputs, channels, kernel, padding)
    ),
)


def _bias_a_pixel(inputs, channels, kernel, padding):
    (height, width, _), extra = inputs, 0
    for o, p in zip(channels, padding, strict=True):
        height, width = (output_size(side, kernel, padding=p) for side in (height, width))
        extra += (height * width - 1) * o
        height, width = _halved(height), _halved(width)
    return extra


# ---------------------------------------------------------------- reorder_columns


def _weights(o, height, width, channels):
    return lambda rng: (rng.normal(size=(o, height * width * channels)), height, width, channels)


def _moved(weight, shape, axes):
    return weight.reshape(len(weight), *shape).transpose(0, *axes).reshape(len(weight), -1)


@exercise(
    "reordered",
    Case("shape", _weights(3, 4, 5, 2), shapes),
    Case("values", _weights(3, 4, 5, 2)),
    Case("square maps", _weights(2, 3, 3, 4)),
    Case("as many channels as pixels", _weights(2, 2, 3, 6)),
    Case("one channel", _weights(2, 3, 4, 1)),
    Case("one pixel", _weights(2, 1, 1, 5)),
)
def reorder_columns(weight, height, width, channels):
    """reorder_columns(weight, height, width, channels) -> reordered: the columns of a Linear layer for another order of its inputs.

    weight (O, H W C) belongs to maps that were flattened as (H, W, C); the result, of the same shape, to maps flattened as (C, H, W)."""
    return _moved(weight, (height, width, channels), (3, 1, 2))


reorder_columns.diagnose(
    "nothing changes. Column h W C + w C + c must go to column c H W + h W + w.",
    lambda weight, height, width, channels: weight.copy(),
)
reorder_columns.diagnose(
    "this is the way from (C, H, W) to (H, W, C). First read the columns as they are, (O, H, W, C), then move the axes.",
    lambda weight, height, width, channels: _moved(weight, (channels, height, width), (2, 3, 1)),
)
reorder_columns.diagnose(
    "rows and columns of the maps are exchanged: the order is (C, H, W), not (C, W, H).",
    lambda weight, height, width, channels: _moved(weight, (height, width, channels), (3, 2, 1)),
)
reorder_columns.diagnose(
    "the columns are read backwards. Only the axes change places.",
    lambda weight, height, width, channels: weight[:, ::-1].copy(),
)
reorder_columns.diagnose(
    "the axes are not flattened again: the result is (O, H W C) like the weight.",
    lambda weight, height, width, channels: (
        weight.reshape(len(weight), height, width, channels).transpose(0, 3, 1, 2).copy()
    ),
)
reorder_columns.diagnose(
    "rows and columns of the weight are exchanged. It stays (out, in); only the columns change places.",
    lambda weight, height, width, channels: _moved(
        weight, (height, width, channels), (3, 1, 2)
    ).T.copy(),
)


# ---------------------------------------------------------------- soft_cross_entropy


def _scores(n, classes, one_hot=False):
    def make(rng):
        labels = np.eye(classes)[rng.integers(0, classes, size=n)]
        soft = rng.dirichlet(np.ones(classes), size=n)
        return 2 * rng.normal(size=(n, classes)), labels if one_hot else soft

    return make


def _small(logits, q):
    return lambda rng: (np.array(logits, float), np.array(q, float))


def _probabilities(logits, axis=1):
    shifted = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


def _soft(logits, q):
    loss, backward = package_cross_entropy(logits, q)
    return loss, backward()


def _loss(change):
    """The right gradient beside a wrong loss."""
    return lambda logits, q: (change(_soft(logits, q)[0], logits, q), _soft(logits, q)[1])


def _gradient(change):
    """The right loss beside a wrong gradient."""
    return lambda logits, q: (_soft(logits, q)[0], change(_soft(logits, q)[1], logits, q))


def _plain(logits, q):
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return -(q * np.log(p)).sum() / len(q), (p - q) / len(q)


def _log_of_zero(logits, q):
    p = _probabilities(logits)
    return -(q * np.log(p)).sum() / len(q), (p - q) / len(q)


def _batch_maximum(logits, q):
    z = logits - logits.max()
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -(q * log_p).sum() / len(q), (np.exp(log_p) - q) / len(q)


def _guarded(logits, q):
    p = _probabilities(logits)
    return -(q * np.log(p + 1e-12)).sum() / len(q), (p - q) / len(q)


def _hard(logits, q):
    return _soft(logits, np.eye(q.shape[1])[q.argmax(axis=1)])


def _down(logits, q):
    p = _probabilities(logits, axis=0)
    return -(q * np.log(p)).sum() / len(q), (p - q) / len(q)


def _divergence(loss, logits, q):
    return loss + (q * np.log(np.where(q > 0, q, 1.0))).sum() / len(q)


def _reversed(loss, logits, q):
    return -(_probabilities(logits) * np.log(q)).sum() / len(q)


@exercise(
    ("loss", "dlogits"),
    Case("shapes", _scores(4, 5), shapes),
    Case("loss", _scores(4, 5), parts=("loss",)),
    Case("dlogits", _scores(4, 5), parts=("dlogits",)),
    Case("one-hot rows", _scores(3, 4, one_hot=True)),
    Case("batch of one", _scores(1, 3)),
    Case("sure of one class", _small([[1000.0, 0.0]], [[0.5, 0.5]]), show=True, quiet=True),
    Case("sure and right", _small([[1000.0, 0.0]], [[1.0, 0.0]]), show=True, quiet=True),
    Case(
        "rows of different size",
        _small([[1000.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]),
        show=True,
        quiet=True,
    ),
)
def soft_cross_entropy(logits, q):
    """soft_cross_entropy(logits, q) -> (loss, dlogits): cross-entropy with probabilities as targets (eq-soft-cross-entropy).

    logits (N, V), q (N, V) with rows that sum to 1; loss is the mean over the N examples, dlogits (N, V) its gradient
    (eq-soft-cross-entropy-vjp)."""
    return _soft(logits, q)


soft_cross_entropy.diagnose(
    "the loss is the sum over the batch. It is the mean: divide by N.",
    _loss(lambda loss, logits, q: loss * len(q)),
)
soft_cross_entropy.diagnose(
    "the loss is a mean over the classes as well. Sum over the classes, and take the mean over the examples.",
    _loss(lambda loss, logits, q: loss / q.shape[1]),
)
soft_cross_entropy.diagnose(
    "the gradient lacks the factor 1/N, which comes from the mean over the batch.",
    _gradient(lambda d, logits, q: d * len(q)),
)
soft_cross_entropy.diagnose(
    "the gradient has the wrong sign: it is p - q.",
    _gradient(lambda d, logits, q: -d),
)
soft_cross_entropy.diagnose(
    "this is the derivative with respect to p. With respect to the logits it is (p - q) / N.",
    _gradient(lambda d, logits, q: -q / np.maximum(_probabilities(logits), 1e-300) / len(q)),
)
soft_cross_entropy.diagnose(
    "the largest logit of the whole batch is subtracted: in a row far below it every exp is 0, and log(0) is -inf. Take each row's own maximum.",
    _batch_maximum,
)
soft_cross_entropy.diagnose(
    "a small number inside the logarithm caps the loss. Compute log p = z - log sum exp z instead; eq-log-softmax.",
    _guarded,
)
soft_cross_entropy.diagnose(
    "only the likeliest class of q counts. All of q does: sum over the classes.",
    _hard,
)
soft_cross_entropy.diagnose(
    "the entropy of q is taken away: that is the divergence of p from q. Its gradient is the same, its value is not.",
    _loss(_divergence),
)
soft_cross_entropy.diagnose(
    "p and q have changed places: the logarithm belongs to p, which the model can change.",
    _loss(_reversed),
)
soft_cross_entropy.diagnose(
    "exp(1000) overflows. Subtract the largest logit of each row first; eq-softmax-shift.",
    _plain,
)
soft_cross_entropy.diagnose(
    "p rounds to 0, and log(0) is -inf. Compute log p = z - log sum exp z instead of the logarithm of p; eq-log-softmax.",
    _log_of_zero,
)
soft_cross_entropy.diagnose(
    "softmax runs over the batch. Each row is one example: axis=1.",
    _down,
)


# ---------------------------------------------------------------- crop_images


def _places(n, height, width, channels, padding):
    def make(rng):
        places = rng.integers(0, 2 * padding + 1, size=(n, 2))
        return rng.normal(size=(n, height, width, channels)), places, padding

    return make


def _corners(rng):
    places = np.array([[0, 0], [0, 4], [4, 0], [4, 4], [2, 2], [0, 2], [2, 4]])
    return rng.normal(size=(len(places), 5, 5, 1)), places, 2


def _padded(x, border, mode="constant"):
    return np.pad(x, ((0, 0), border, border, (0, 0)), mode=mode)


def _cut(padded, places, shape):
    result = np.empty(shape)
    for n, (top, left) in enumerate(places.tolist()):
        result[n] = padded[n, top : top + shape[1], left : left + shape[2]]
    return result


def _crops(x, places, padding):
    return _cut(_padded(x, (padding, padding)), places, x.shape)


def _rolled(x, places, padding):
    shifts = (padding - places).tolist()
    return np.stack([np.roll(i, s, axis=(0, 1)) for i, s in zip(x, shifts, strict=True)])


def _in_place(x, places, padding):
    x[:] = _crops(x, places, padding)
    return x


@exercise(
    "crops",
    Case("shape", _places(3, 6, 5, 2, 1), shapes),
    Case("values", _places(6, 6, 5, 2, 2)),
    Case("one image", _places(1, 4, 4, 3, 1)),
    Case("corners, middle and edges", _corners),
    Case("no padding", _places(2, 3, 4, 1, 0)),
    Case("padding as large as the image", _places(5, 3, 3, 1, 3)),
)
def crop_images(x, places, padding):
    """crop_images(x, places, padding) -> crops: pad with zeros, then cut every image at a place of its own.

    x (N, H, W, C); places (N, 2), whole numbers (top, left) from 0 to 2 padding, counted in the padded image; crops (N, H, W, C)."""
    return _crops(x, places, padding)


crop_images.diagnose(
    "all images are cut at the place of the first. Each has its own, places[n].",
    lambda x, places, padding: _crops(x, places[:1].repeat(len(x), axis=0), padding),
)
crop_images.diagnose(
    "top and left are exchanged: places[n] holds the row first.",
    lambda x, places, padding: _crops(x, places[:, ::-1], padding),
)
crop_images.diagnose(
    "the images move the other way. The window begins at (top, left) of the padded image: top = 0 shows the border above the image.",
    lambda x, places, padding: _crops(x, 2 * padding - places, padding),
)
crop_images.diagnose(
    "what leaves the image on one side comes back on the other. Pad with zeros and cut; np.roll does something else.",
    _rolled,
)
crop_images.diagnose(
    "the border is missing above and on the left, as if the unpadded image were cut. Pad both sides of both axes.",
    lambda x, places, padding: _cut(_padded(x, (0, 2 * padding)), places, x.shape),
)
crop_images.diagnose(
    "the border repeats the edge of the image. Here it is zeros.",
    lambda x, places, padding: _cut(_padded(x, (padding, padding), "edge"), places, x.shape),
)
crop_images.diagnose(
    "the crops are written into x: the next epoch would crop what is cropped already. Return a new array.",
    _in_place,
)
crop_images.diagnose(
    "the images are not cut: the result has the size of the padded images.",
    lambda x, places, padding: _padded(x, (padding, padding)),
)


# ---------------------------------------------------------------- batched_accuracy


def _predictions(n, classes, batch_size):
    def make(rng):
        labels = rng.integers(0, classes, size=n)
        logits = 1.5 * rng.normal(size=(n, classes))
        logits[np.arange(n), labels] += 1.5
        return logits, labels, batch_size

    return make


_LAST_IS_WRONG = np.array([[2.0, 1.0], [3.0, 0.0], [1.0, 0.0]]), np.array([0, 0, 1])


def _of_batches(logits, labels, batch_size):
    """Which examples are right, batch by batch."""
    right = logits.argmax(axis=1) == labels
    return [right[start : start + batch_size] for start in range(0, len(right), batch_size)]


@exercise(
    "accuracy",
    Case("last batch smaller", _predictions(23, 4, 5)),
    Case("last batch wrong", lambda rng: (*map(np.copy, _LAST_IS_WRONG), 2), show=True),
    Case("batches of equal size", _predictions(20, 3, 5)),
    Case("batches of one", _predictions(7, 3, 1)),
    Case("one batch, larger than the data", _predictions(6, 4, 10)),
)
def batched_accuracy(logits, labels, batch_size):
    """batched_accuracy(logits, labels, batch_size) -> accuracy: the share of all examples that are right, counted batch by batch.

    logits (N, V), labels (N,) whole numbers; the last batch is smaller when batch_size does not divide N."""
    return metrics.accuracy(logits, labels)


batched_accuracy.diagnose(
    "this is the mean of the batches' accuracies, in which an example of a small batch counts more. Add up what is right and divide by N at the end.",
    lambda *a: np.mean([batch.mean() for batch in _of_batches(*a)]),
)
batched_accuracy.diagnose(
    "only the last batch counts: the result is overwritten in the loop instead of added up.",
    lambda *a: _of_batches(*a)[-1].mean(),
)
batched_accuracy.diagnose(
    "only the first batch counts, as when a return stands inside the loop.",
    lambda *a: _of_batches(*a)[0].mean(),
)
batched_accuracy.diagnose(
    "the last, smaller batch is left out. Every example counts.",
    lambda logits, labels, batch_size: (
        sum(b.sum() for b in _of_batches(logits, labels, batch_size) if len(b) == batch_size)
        / max(len(labels) // batch_size * batch_size, 1)
    ),
)
batched_accuracy.diagnose(
    "the sum is divided by the number of batches times their size. The last batch is smaller: divide by N.",
    lambda logits, labels, batch_size: (
        sum(b.sum() for b in _of_batches(logits, labels, batch_size))
        / (batch_size * -(-len(labels) // batch_size))
    ),
)
batched_accuracy.diagnose(
    "this is the share of probabilities above one half: the labels are not looked at.",
    lambda logits, labels, batch_size: float(np.mean(_probabilities(logits) >= 0.5)),
)
batched_accuracy.diagnose(
    "this is the share of examples that are wrong: 1 minus the accuracy.",
    lambda logits, labels, batch_size: 1 - metrics.accuracy(logits, labels),
)
batched_accuracy.diagnose(
    "this is the number of examples that are right. Divide by N.",
    lambda *a: float(sum(batch.sum() for batch in _of_batches(*a))),
)
batched_accuracy.diagnose(
    "this is in per cent. Here an accuracy is a share, from 0 to 1.",
    lambda logits, labels, batch_size: 100 * metrics.accuracy(logits, labels),
)
