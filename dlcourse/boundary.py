"""What every backend refuses at its door, in the same words."""

import math
from dataclasses import dataclass

import numpy as np

from dlcourse.geometry import output_size

LOSSES = ("cross_entropy", "binary_cross_entropy", "mse", "pretraining", "huber", "hinge", "focal")
NUMBERS = ("mse", "huber")  # those whose targets are quantities, so that no answer is simply right
IGNORED = -100  # the target of a position that counts in no mean


@dataclass(frozen=True)
class Tokens:
    """What a model of text takes: sequences of at most `context` tokens 0 ... vocab-1, of any length where `context` is None.

    An encoder-decoder reads its first `source` tokens as the source, the others as the decoder's input. What is read both ways, the source or
    all of it, holds one token at least that is not `pad`, where there is one."""

    vocab: int
    context: int | None = None
    source: int = 0
    pad: int | None = None


def check_inputs(x, inputs):
    """Raise ValueError unless x holds at least one example of what a model takes: (B, ...) of `inputs` numbers each,
    images (B, H, W, C) of floats where `inputs` is (H, W, C), or whole numbers (B, T) where it is `Tokens`.

    Images with their channels first are known by their shape. Where it is the same both ways, as (3, 3, 3) is, they are taken for channels
    last. Their numbers may be of any size; whole numbers are refused, as most are the 0 to 255 of a file."""
    if isinstance(inputs, Tokens):
        _check_tokens(x, inputs)
        return
    if isinstance(inputs, tuple):
        _check_image_batch(x, inputs)
    elif np.ndim(x) < 2:
        raise ValueError(
            f"x has shape {np.shape(x)}: the first axis is the batch, so a single example needs x[None]"
        )
    if len(x) == 0:
        raise ValueError(f"the batch is empty (x has shape {x.shape}): pass at least one example")
    given = math.prod(x.shape[1:])
    if not isinstance(inputs, tuple) and given != inputs:
        raise ValueError(
            f"an example has {given} numbers but the model takes {inputs}: build it with inputs={given}, or pass the data it was built for"
        )


def check_model_images(x, inputs):
    """Raise ValueError unless x is a batch of images (N, H, W, C), arrays of any backend, with the (H, W, C) of `inputs`."""
    shape, (height, width, channels) = tuple(np.shape(x)), inputs
    if shape == inputs:
        raise ValueError(
            f"x has shape {shape}, a single image, but a batch is (N, H, W, C): pass x[None]"
        )
    if len(shape) == 3 and (*shape[1:], 1) == inputs:
        raise ValueError(
            f"x has shape {shape} without an axis for its one channel, but images are (N, H, W, C): pass x[..., None]"
        )
    if len(shape) == 2 and shape[1] == math.prod(inputs):
        raise ValueError(
            f"x has shape {shape}, flat rows, but images are (N, H, W, C): pass x.reshape(-1, {height}, {width}, {channels})"
        )
    check_images(x)
    if shape[1:] != inputs:
        if shape[1:] == (channels, height, width) or shape[1] == channels != shape[3]:
            turn = "permute" if hasattr(x, "permute") else "transpose"  # PyTorch's name for it
            raise ValueError(_other_layout(shape, channels, False, turn))
        if shape[3] != channels:
            raise ValueError(
                f"images have {shape[3]} channels but the model takes {channels}: build it with inputs={shape[1:]}, or pass the data it was built for"
            )
        raise ValueError(
            f"images are {shape[1]} x {shape[2]} but the model takes {height} x {width}: build it with inputs={shape[1:]}, or pass the data it was built for"
        )


def _check_image_batch(x, inputs):
    check_model_images(x, inputs)
    if x.dtype.kind != "f":
        raise ValueError(
            f"x holds {x.dtype}, but images are floats, 0 to 1 in this course: pass x / 255 where a byte holds 0 to 255, else x.astype(float)"
        )


def _check_tokens(x, inputs):
    shape, vocab, context = np.shape(x), inputs.vocab, inputs.context
    if len(shape) != 2:
        cure = ": a single sequence needs x[None]" if len(shape) == 1 else ""
        raise ValueError(f"x has shape {shape} but tokens are (B, T){cure}")
    if 0 in shape:
        raise ValueError(
            f"the batch is empty (x has shape {shape}): pass at least one example of at least one token"
        )
    if x.dtype.kind not in "iu":
        raise ValueError(
            f"x holds {x.dtype}, but tokens are whole numbers: pass what the tokeniser's encode returns, or x.astype(int)"
        )
    if context is not None and shape[1] > context:
        if inputs.source:
            given, target = shape[1] - inputs.source, context - inputs.source
            raise ValueError(
                f"x holds sequences of {shape[1]} tokens, but {inputs.source} are the source and the decoder takes {target}: shorten the target, or build the model with target={given}"
            )
        raise ValueError(
            f"x holds sequences of {shape[1]} tokens but the context is {context}: pass x[:, -{context}:], or build the model with context={shape[1]}"
        )
    if shape[1] <= inputs.source:
        raise ValueError(
            f"x holds sequences of {shape[1]} tokens, but {inputs.source} are the source and the decoder needs one at least: pass source and target side by side, (B, {inputs.source} + T)"
        )
    low, high = int(x.min()), int(x.max())
    if low < 0:
        raise ValueError(f"token {low} is negative: tokens are 0 ... {vocab - 1}")
    if high >= vocab:
        raise ValueError(
            f"token {high} but vocab is {vocab}: build the model with vocab={high + 1}, or encode with this model's tokeniser"
        )
    if inputs.pad is not None:
        empty = (x[:, : inputs.source or None] == inputs.pad).all(axis=1)
        if empty.any():
            what = "the source of sequence" if inputs.source else "sequence"
            raise ValueError(
                f"{what} {empty.argmax()} is nothing but padding, token {inputs.pad}: pass at least one other token, such as the one that ends a text"
            )


def check_batch(x, targets, config, loss):
    """Raise ValueError unless x and targets fit each other, the loss, and the model of `config`."""
    check_inputs(x, config.inputs)
    check_targets(x, targets, config.outputs, loss, isinstance(config.inputs, Tokens))


def check_targets(x, targets, outputs, loss, positions=False):
    """Raise ValueError unless `targets` fit the loss and `outputs`, the width of the model's last layer.

    With `positions`, as in text, a class number may belong to a position (B, T), and -100 marks those that do not count."""
    if len(targets) != len(x):
        raise ValueError(f"{len(x)} examples but {len(targets)} targets: each example needs one")
    if loss == "pretraining":
        _check_pretraining(x, targets, outputs)
    elif loss == "cross_entropy" and positions and targets.dtype.kind != "f":
        _check_classes("targets", targets, outputs)
    elif loss == "cross_entropy" and targets.ndim == 2 and targets.dtype.kind == "f":
        check_soft_targets(targets, (len(x), outputs))
    elif loss == "cross_entropy":
        if targets.ndim != 1 or targets.dtype.kind not in "iu":
            raise ValueError(
                f"cross_entropy takes one integer class number for each example, not {targets.dtype} of shape {targets.shape}; "
                f"soft targets are floats of shape ({len(x)}, {outputs})"
            )
        cure = f"build it with outputs={targets.max() + 1}"
        check_labels(targets, outputs, f"the model has {outputs} classes", cure)
    else:
        if targets.reshape(len(targets), -1).shape[1] != outputs:
            raise ValueError(
                f"targets of shape {targets.shape} do not fit {outputs} outputs: pass shape ({len(x)}, {outputs})"
            )
        if loss == "binary_cross_entropy" and (targets.min() < 0 or targets.max() > 1):
            raise ValueError(
                f"targets run from {targets.min()} to {targets.max()}: binary_cross_entropy takes probabilities, in most cases 0 and 1"
            )
        if loss in ("hinge", "focal"):
            check_binary(loss, targets)


def check_labels(labels, classes, owner, cure):
    """Raise ValueError unless the class numbers (N,) lie in 0 ... classes - 1.

    `owner` says whose the classes are; `cure` is for labels that count from 0 and go too far, not for the others."""
    low, high = int(labels.min()), int(labels.max())
    if low >= 0 and high < classes:
        return
    given = f"labels run from {low} to {high} but {owner}"
    if low < 0:
        wrong = np.flatnonzero(labels < 0)
        shift = (
            f", or add {-low} to all where they count from {low}" if high - low < classes else ""
        )
        raise ValueError(
            f"{given}, numbered from 0: correct the {len(wrong)} of {len(labels)} that are negative, the first at index {wrong[0]}{shift}"
        )
    if low == 1 and high == classes:
        raise ValueError(
            f"{given}, numbered from 0: subtract 1 where they count from 1, else {cure}"
        )
    raise ValueError(f"{given}: {cure}")


def check_binary(name, targets):
    """Raise ValueError unless all targets are 0 or 1."""
    other = targets[(targets != 0) & (targets != 1)]
    if other.size:
        raise ValueError(
            f"{other.size} of {targets.size} targets are neither 0 nor 1, the first is {other[0]}: {name} takes 1 for yes and 0 for no"
        )


def check_same_shape(name, y, target):
    """Raise ValueError unless predictions and targets have one shape, there are some, and predictions are no whole numbers: targets
    take their dtype, which would cut off what follows the point."""
    if np.shape(y) != np.shape(target):
        raise ValueError(
            f"{name}: predictions have shape {np.shape(y)} but targets {np.shape(target)}: "
            "reshape one of them so that they are equal"
        )
    if math.prod(np.shape(y)) == 0:
        raise ValueError(f"{name}: no target to average over: the batch is empty")
    if np.asarray(y).dtype.kind in "biu":
        raise ValueError(
            f"{name}: predictions are {np.asarray(y).dtype}: pass floats, for example y.astype(float)"
        )


def check_loss_options(delta=1.0, gamma=0.0, alpha=None):
    """Raise ValueError for numbers outside their range: delta above 0, gamma not negative, alpha None or between 0 and 1."""
    if not 0.0 < delta < math.inf:
        raise ValueError(f"delta={delta}: it is the size of an error, above 0")
    if not 0.0 <= gamma < math.inf:
        raise ValueError(f"gamma={gamma}: it must not be negative; 0 is cross-entropy")
    if alpha is not None and not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha={alpha}: it is the weight of a yes, above 0 and below 1")


def _check_classes(name, targets, outputs):
    """Class numbers (B,) or (B, T), some of which count."""
    if targets.ndim not in (1, 2) or targets.dtype.kind not in "iu":
        raise ValueError(
            f"{name} are {targets.dtype} of shape {targets.shape}: pass whole class numbers, one for each sequence (B,) or position (B, T)"
        )
    low, high, count = _range(targets)
    if count == 0:
        raise ValueError(f"no target to average over: all {name} are {IGNORED}")
    if low < 0 or high >= outputs:
        raise ValueError(
            f"{name} run from {low} to {high} but the model has {outputs} classes: they must lie in 0 ... {outputs - 1}, or be {IGNORED} where a position does not count"
        )


def _check_pretraining(x, targets, outputs):
    if targets.shape != (len(x), 1 + x.shape[1]):
        raise ValueError(
            f"targets of shape {targets.shape} do not fit pretraining on x of shape {x.shape}: pass (B, 1 + T), "
            "the next-sentence label before the hidden tokens"
        )
    _check_classes("next-sentence labels", targets[:, 0], 2)
    _check_classes("hidden tokens", targets[:, 1:], outputs)


def check_positions(targets, logits):
    """Raise ValueError unless there is one class number, within the classes, for each row of `logits` (..., V)."""
    given, shape = tuple(targets.shape), tuple(logits.shape)
    if given != shape[:-1]:
        raise ValueError(
            f"targets of shape {given} do not fit logits of shape {shape}: pass one class number for each row, shape {shape[:-1]}"
        )
    if int(targets.max()) >= shape[-1]:
        raise ValueError(
            f"target {int(targets.max())} but the logits have {shape[-1]} classes: they must lie in 0 ... {shape[-1] - 1}"
        )


def counted(targets, loss):
    """How many of the targets the mean of a loss is over: the examples, or the class numbers that are not -100."""
    if loss == "pretraining":
        return np.count_nonzero(targets[:, 1:] != IGNORED)  # the hidden tokens
    if loss == "cross_entropy" and targets.dtype.kind != "f":
        return np.count_nonzero(targets != IGNORED)
    return len(targets)


def _range(targets):
    """(smallest, largest, number) of the targets that count, without a copy where all do: windows of a long text overlap in memory."""
    low, high = targets.min(), targets.max()
    if low >= 0:
        return low, high, targets.size
    known = targets[targets != IGNORED]
    return (known.min(), high, len(known)) if len(known) else (None, None, 0)


def check_soft_targets(q, shape):
    """Raise ValueError unless `q` holds floats of `shape` (..., V) and its rows are probabilities: not negative, with sum 1."""
    if q.dtype.kind != "f" or q.shape != shape:
        raise ValueError(
            f"soft targets of shape {q.shape} and dtype {q.dtype} do not fit {shape[-1]} classes: pass floats of shape {tuple(shape)}"
        )
    sums = q.sum(axis=-1)
    # float32 rounds the sum of a mixture in its seventh digit
    wrong = ~(abs(sums - 1.0) <= 1e-5) | (q < 0).any(axis=-1)
    if wrong.any():
        raise ValueError(
            f"{np.count_nonzero(wrong)} of {wrong.size} soft targets are no probabilities (the first sums to {sums[wrong][0]:.4g}, "
            f"its smallest entry is {q[wrong][0].min():.4g}): each row must not be negative and sum to 1"
        )


def check_choice(name, value, choices):
    """`value`, when it is one of `choices`."""
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}: choose one of {', '.join(choices)}")
    return value


def check_loss(loss):
    return check_choice("loss", loss, LOSSES)


def check_optimizer(**numbers):
    """Raise ValueError for hyperparameters outside their range: momentum, alpha and betas in [0, 1), the others not negative."""
    for name, value in numbers.items():
        if name in ("momentum", "alpha", "beta1", "beta2") and not 0.0 <= value < 1.0:
            raise ValueError(f"{name}={value}: it must be at least 0 and below 1")
        if name in ("eps", "weight_decay", "l1", "threshold", "penalty") and not value >= 0.0:
            raise ValueError(f"{name}={value}: it must not be negative")


def check_matrix(x):
    """Raise ValueError unless x has two axes."""
    if x.ndim != 2:
        raise ValueError(
            f"x has shape {tuple(x.shape)}, but a matrix is (rows, columns): pass x.reshape(len(x), -1)"
        )


def check_images(x, channels=None, first=False):
    """Raise ValueError unless x is a batch of images, (N, H, W, C), or (N, C, H, W) where `first`, of `channels` channels."""
    wanted = "(N, C, H, W)" if first else "(N, H, W, C)"
    if np.ndim(x) != 4:
        raise ValueError(
            f"x has shape {tuple(np.shape(x))} but images are {wanted}: add the missing axes of length 1, a single image needs x[None]"
        )
    own, other = (1, 3) if first else (3, 1)
    if channels is None or x.shape[own] == channels:
        return
    if x.shape[other] == channels:
        raise ValueError(_other_layout(tuple(x.shape), channels, first))
    raise ValueError(
        f"x has shape {tuple(x.shape)}, that is {x.shape[own]} channels, but the layer takes {channels}: build it with inputs={x.shape[own]}, or pass {wanted}"
    )


def _other_layout(shape, channels, first, turn="transpose"):
    """The sentence for images of which `first` is wanted and the other is given."""
    channels = f"{channels} channel{'s' if channels > 1 else ''}"
    if first:
        return f"x has shape {shape} with its {channels} last, but images are (N, C, H, W): pass x.permute(0, 3, 1, 2)"
    return f"x has shape {shape} with its {channels} first, but images are (N, H, W, C): pass x.{turn}(0, 2, 3, 1)"


def check_whole(**numbers):
    """Raise ValueError unless every number is whole and at least 1, or at least 0 for a padding."""
    for name, value in numbers.items():
        least = 0 if "padding" in name else 1
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name}={value}: it must be a whole number of at least {least}")


def check_groups(inputs, outputs, groups):
    """Raise ValueError unless `groups` divides both numbers of channels."""
    if inputs % groups or outputs % groups:
        raise ValueError(
            f"groups={groups} does not divide {inputs} input and {outputs} output channels: choose a divisor of {math.gcd(inputs, outputs)}"
        )


def check_output_padding(output_padding, stride):
    """Raise ValueError unless `output_padding` is whole, not negative and below the stride."""
    check_whole(output_padding=output_padding)
    if output_padding >= stride:
        raise ValueError(f"output_padding={output_padding} must be below stride={stride}: lower it")


def check_transposed(x, size, stride, padding, output_padding, dilation, first=False):
    """Raise ValueError unless a transposed convolution of the images x, (N, H, W, C), or (N, C, H, W) where `first`, has an output."""
    least = min(x.shape[2:] if first else x.shape[1:3])
    if (least - 1) * stride - 2 * padding + dilation * (size - 1) + 1 + output_padding < 1:
        raise ValueError(f"padding={padding} leaves nothing of the output: use a smaller one")


def check_pool(size, stride, padding):
    """Raise ValueError for numbers that are no pooling: a window must not lie wholly in the padding; stride None means `size`."""
    check_whole(size=size, stride=size if stride is None else stride, padding=padding)
    if 2 * padding > size:
        raise ValueError(
            f"padding={padding} for windows of {size}: use at most half of the window, padding={size // 2}"
        )


def check_window(x, size, padding, dilation=1, first=False):
    """Raise ValueError unless a window of `size` fits into the padded images x, (N, H, W, C), or (N, C, H, W) where `first`."""
    for side in x.shape[2:] if first else x.shape[1:3]:
        output_size(side, size, 1, padding, dilation)


def check_trained(trained, made_for):
    """Raise RuntimeError unless the names of the parameters that train are those which an optimizer was made for."""
    if trained != made_for:
        name = sorted(trained ^ made_for)[0]
        what = "frozen" if name in made_for else "unfrozen"
        raise RuntimeError(
            f"{name} was {what} after the optimizer was made: make the optimizer, and the learner, after freeze() or unfreeze()"
        )


def check_trainable(names):
    """Raise ValueError when there is nothing for an optimizer to move."""
    if not names:
        raise ValueError(
            "everything is frozen, so there is nothing to train: call unfreeze(), or freeze fewer layers"
        )


def check_sequence(x, inputs):
    """Raise ValueError unless x holds sequences (B, T, I) of I = `inputs` numbers a step, with at least one step."""
    if np.ndim(x) != 3:
        raise ValueError(
            f"x has shape {tuple(np.shape(x))} but sequences are (B, T, I): a single sequence needs x[None], one number a step x[..., None]"
        )
    if x.shape[2] != inputs:
        raise ValueError(
            f"x has {x.shape[2]} numbers a step but the layer takes {inputs}: build it with inputs={x.shape[2]}"
        )
    if 0 in x.shape[:2]:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: pass at least one sequence of at least one step"
        )


def check_state(state, shape, arrays=1):
    """Raise ValueError unless `state` is None or what a recurrent layer returns: an array of `shape` (B, H), or, where `arrays` is 2, a pair
    (h, c) of them."""
    if state is None:
        return
    if arrays == 2 and not (isinstance(state, tuple | list) and len(state) == 2):
        raise ValueError("the state of an LSTM is a pair (h, c): pass what it returned, or None")
    for array in state if arrays == 2 else [state]:
        if isinstance(array, tuple | list) or tuple(array.shape) != shape:
            given = "a pair" if isinstance(array, tuple | list) else f"shape {tuple(array.shape)}"
            raise ValueError(
                f"the state has {given} where the batch and the layer need {shape}: pass what the layer returned for this batch, or None"
            )


def check_heads(width, heads):
    """Raise ValueError unless `heads` divides `width`."""
    check_whole(width=width, heads=heads)
    if width % heads:
        divisors = [n for n in range(1, width + 1) if width % n == 0]
        near = min(divisors, key=lambda n: abs(n - heads))
        raise ValueError(
            f"width={width} is not divisible by heads={heads}, but each head takes an equal share: choose heads={near}, or width={heads * max(1, round(width / heads))}"
        )


def check_rope(size):
    """Raise ValueError unless the channels of a head come in pairs."""
    if size % 2:
        raise ValueError(
            f"a head has {size} channels, but rotary positions turn pairs of them: choose width and heads so that width / heads is even"
        )


def check_attention(q, k, v):
    """Raise ValueError unless q (B, H, T, D) and k, v (B, H, S, D) fit together."""
    fits = len(q.shape) == len(k.shape) == 4 and k.shape == v.shape
    if not fits or (*q.shape[:2], q.shape[3]) != (*k.shape[:2], k.shape[3]):
        raise ValueError(
            f"q {tuple(q.shape)}, k {tuple(k.shape)} and v {tuple(v.shape)} do not fit together: pass q (B, H, T, D) and k, v (B, H, S, D)"
        )


def check_mask(is_bool, dtype):
    """Raise ValueError for a mask of numbers: some libraries mean by 1 what others mean by 0, and some add the mask."""
    if not is_bool:
        raise ValueError(
            f"the mask holds {dtype}, but it is True where a query may look: pass a comparison such as tokens != 0, or what is to be added to the scores as bias"
        )


def check_visible(seen):
    """Raise ValueError unless every query, a row of `seen` (..., T, S), may look at one key at least."""
    rows = seen.any(axis=-1)
    if not rows.all():
        *where, query = np.argwhere(~rows)[0] if rows.ndim else (0,)
        place = f" of sequence {where[0]}" if where else ""
        raise ValueError(
            f"query {query}{place} may look at no key, so that its softmax is 0 / 0: let the mask show it at least one, such as its own position"
        )


def check_room(kept, new, context):
    """Raise ValueError unless `new` tokens fit behind the `kept` ones in a cache for `context`."""
    if kept + new > context:
        raise ValueError(
            f"the cache holds {kept} of {context} tokens, too many for {new} more: begin a new one with the last tokens, or build the model with a longer context"
        )
