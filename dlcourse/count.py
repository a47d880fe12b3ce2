"""What a model costs, from its configuration alone: parameters and operations, layer by layer, memory and time in training and in use."""

import functools
import math
from dataclasses import dataclass, replace
from itertools import pairwise

from dlcourse.boundary import check_whole
from dlcourse.config import (
    BERTConfig,
    CNNConfig,
    GPTConfig,
    MLPConfig,
    ResNetConfig,
    RNNConfig,
    TransformerConfig,
)
from dlcourse.geometry import conv_flops, conv_parameters, output_size

NORM_PARAMETERS = {"none": 0, "batch": 2, "layer": 2, "rms": 1}  # for each feature


@dataclass(frozen=True)
class Bottlenecks:
    """A residual network for large images in blocks of a 1 x 1, a 3 x 3 and a 1 x 1 convolution  (eq-bottleneck-parameters; He et al. 2016):
    to be counted, not to be built.

    The default is ResNet-50. A stage halves the image in the first convolution of its first block, as in the paper; `late` does it in the
    3 x 3 convolution, as torchvision does: the same parameters, more operations."""

    inputs: tuple[int, int, int] = (224, 224, 3)  # height, width, channels of one image
    stages: tuple[tuple[int, int], ...] = ((64, 3), (128, 4), (256, 6), (512, 3))  # width, blocks
    outputs: int = 1000  # classes
    late: bool = False  # where the stride stands


@dataclass(frozen=True)
class Memory:
    """Bytes, by what they are for."""

    weights: int
    gradients: int = 0
    optimizer: int = 0  # running averages; in mixed precision also the weights in float32
    activations: int = 0  # kept for the way back; in use, a layer's input and output
    cache: int = 0  # keys and values of the tokens so far

    @property
    def total(self):
        return self.weights + self.gradients + self.optimizer + self.activations + self.cache


@dataclass(frozen=True)
class Layer:
    """One layer with weights, under the name that it has in the state; a tied head has none of its own."""

    name: str
    shape: tuple[int, ...]  # of its output, without the batch: (H', W', O), (T, C) or (O,)
    parameters: int  # trained numbers: running statistics are none
    flops: int  # multiplications and additions for one example, forward


def parameters(config):
    """The trained numbers of the model: weights, biases, and those of its norms  (eq-parameter-count, eq-conv-parameters,
    eq-gpt-parameters).

    He et al. (2016) count shortcuts without parameters (their option A: zeros for the new channels), where the `project` layers of this book
    have some: leave those rows of `layers` out to compare with their table."""
    return sum(layer.parameters for layer in layers(config))


def flops(config):
    """The floating-point operations of one example, forward: two, a multiplication and an addition, for every use of a weight of a
    convolution or a Linear layer  (eq-conv-flops).

    An example of a model of text has as many tokens as its context holds, and its attention is in `attention_flops`.
    Norms, activations and pooling are left out, as in published counts. Those often count a multiplication with its addition as
    one operation: half of this number."""
    return sum(layer.flops for layer in layers(config))


def attention_flops(config, queries, keys=None):
    """4 L C T S: what a GPT's scores Q K^T and their products with V cost for T = `queries` tokens that look at S = `keys`  (eq-gpt-flops).

    With None S = T. Future tokens are counted, too: a mask hides them after they were computed."""
    return 4 * config.layers * config.width * queries * (queries if keys is None else keys)


def decode_flops(config, seen, cache=True):
    """The operations of one more token when a GPT has `seen` tokens, the last of them not read before  (eq-decode-flops).

    With `cache` the keys and values of the others are kept; without, all are read again. The head looks at the last one alone."""
    check_whole(seen=seen)
    head = 2 * config.width * config.vocab
    body = flops(config) // config.context - head  # of one token
    read = 1 if cache else seen
    return read * body + head + attention_flops(config, read, seen)


def cache_size(config, tokens):
    """2 L T C: the numbers that the keys and values of T tokens take in a GPT's cache."""
    return 2 * config.layers * config.width * tokens


def training_flops(config):
    """3 F - F_1: the operations of one example, forward and backward  (eq-training-flops).

    Each product has two on the way back, of its own size: for the gradients of its input and of its weight. The layer that reads the data
    needs no gradient of its input; F_1 are its operations, none where an embedding comes first. `attention_flops` count three times, too.
    The optimizer is left out: about ten operations a parameter, once for a whole batch."""
    return 3 * flops(config) - layers(config)[0].flops


def activations(config):
    """The numbers that one example leaves behind for the way back  (eq-mlp-activations, eq-gpt-activations), each array once, parameters
    and whole numbers aside.

    They are those that PyTorch keeps, of a GPT with its fused attention, which keeps no weights. Raises ValueError
    for what was not derived: other models than MLP and GPT, and dropout; in an MLP also norms, in a GPT RMS norms, rotary and ALiBi positions."""
    return _values(config)[0]


def training_memory(config, batch=1, slots=2, mixed=False):
    """4 (P + P + s P + B A): the `Memory` of a step in float32, on `batch` examples  (eq-training-memory).

    The optimizer keeps s = `slots` running averages of each parameter: 2 for Adam, 1 with momentum, 0 for plain SGD. `mixed` has weights,
    gradients and activations in two bytes, and for the optimizer the weights in four, too (eq-mixed-memory; Rajbhandari et al. 2020)."""
    check_whole(batch=batch)
    if slots not in (0, 1, 2):
        raise ValueError(
            f"slots={slots}: an optimizer keeps 0 averages of a parameter (SGD), 1 (momentum) or 2 (Adam)"
        )
    count, kept = parameters(config), batch * activations(config)
    size = 2 if mixed else 4
    return Memory(size * count, size * count, 4 * (slots + mixed) * count, size * kept)


def inference_memory(config, batch=1, size=4):
    """`Memory` of an answer, in numbers of `size` bytes: weights, of a GPT the cache of `batch` full contexts, and the input and the
    output of its largest layer  (eq-inference-memory). Errors as for `activations`."""
    check_whole(batch=batch, size=size)
    cache = cache_size(config, config.context) if isinstance(config, GPTConfig) else 0
    alive = _values(config)[1]
    return Memory(
        size * parameters(config), activations=size * batch * alive, cache=size * batch * cache
    )


def training_seconds(config, tokens, peak, utilisation):
    """6 N D and the attention, divided by u R: how long a GPT trains on D = `tokens`  (eq-six-nd, eq-training-time).

    `peak` R are the operations a second of all devices together, `utilisation` u the share of them that does the work counted here.
    Raises ValueError for a number that is not above 0."""
    _above_zero(tokens=tokens, peak=peak)
    if not 0 < utilisation <= 1:
        raise ValueError(
            f"utilisation={utilisation}: it is the share of the peak that is reached, above 0 and at most 1"
        )
    each = training_flops(config) + 3 * attention_flops(config, config.context)  # of a context
    return each / config.context * tokens / (utilisation * peak)


def token_seconds(config, peak, bandwidth, batch=1, size=2):
    """max(2 N B / R, size P / G): at best so long takes the next token of each of `batch` short texts  (eq-token-time).

    R = `peak` operations and G = `bandwidth` bytes a second. All weights are read once for the whole batch; the cache is left out.
    Raises ValueError for a number that is not above 0."""
    check_whole(batch=batch)
    _above_zero(peak=peak, bandwidth=bandwidth, size=size)
    return max(batch * flops(config) / config.context / peak, size * parameters(config) / bandwidth)


@functools.singledispatch
def layers(config):
    """[Layer] of the model of `config`, in the order of its state."""
    raise ValueError(
        f"cannot count a {type(config).__name__}: pass a configuration such as MLPConfig(inputs=64)"
    )


@layers.register
def _(config: MLPConfig):
    return _linear_layers(config, config.norm)


@layers.register
def _(config: CNNConfig):
    rows, (height, width, inputs) = [], config.inputs
    for i, (outputs, padding) in enumerate(zip(config.channels, config.padding, strict=True)):
        row = _convolution(f"convs.{i}", (height, width), inputs, outputs, config.kernel, padding)
        rows.append(row)
        height, width, inputs = *(output_size(side, 2, stride=2) for side in row.shape[:2]), outputs
    return rows + _linear_layers(config, "none")


@layers.register
def _(config: ResNetConfig):
    rows = []

    def convolution(name, norm, sides, inputs, outputs, size, stride=1):
        bias = config.norm == "none"
        rows.append(_convolution(name, sides, inputs, outputs, size, size // 2, stride, bias))
        rows.extend(_norm(norm, config.norm, rows[-1].shape))
        return rows[-1].shape[:2]

    sides = convolution("stem", "stem_norm", config.inputs[:2], config.inputs[2], config.stem, 3)
    for i, (kind, inputs, outputs, stride) in enumerate(config.plan):
        before, b = sides, f"blocks.{i}"
        if kind == "pool":
            bias = config.norm == "none"
            rows.append(_convolution(f"{b}.conv", before, inputs, outputs, 3, 1, bias=bias))
            sides = tuple(output_size(side, stride, stride) for side in before)
            rows.extend(_norm(f"{b}.norm", config.norm, (*sides, outputs)))
            continue
        sides = convolution(f"{b}.conv_1", f"{b}.norm_1", before, inputs, outputs, 3, stride)
        convolution(f"{b}.conv_2", f"{b}.norm_2", sides, outputs, outputs, 3)
        if config.skip and (stride > 1 or inputs != outputs):
            convolution(f"{b}.project", f"{b}.project_norm", before, inputs, outputs, 1, stride)
    return [*rows, _linear("head", config.widths[-1], config.outputs)]


@layers.register
def _(config: GPTConfig):
    tokens = config.context
    rows = [_table("tok", config.vocab, tokens, config.width)]
    if config.positions == "learned":
        rows.append(_table("pos", tokens, tokens, config.width))
    for i in range(config.layers):
        rows += _block(f"blocks.{i}", config, tokens, ["attn"], config.norm, config.bias)
    rows += _token_norm("ln_f", config, tokens, config.norm, config.bias)
    return [*rows, _head("head", config, tokens, tied=config.tied)]


@layers.register
def _(config: BERTConfig):
    tokens, outputs = config.context, config.outputs
    sizes = {"tok": config.vocab, "pos": config.context, "seg": 2}
    rows = [_table(name, size, tokens, config.width) for name, size in sizes.items()]
    rows += _token_norm("ln", config, tokens)
    for i in range(config.layers):
        rows += _block(f"blocks.{i}", config, tokens, ["attn"])
    if config.task in ("pretrain", "classify"):
        rows.append(_linear("pooler", config.width, config.width))
    if config.task == "pretrain":
        rows.append(_rowwise("transform", tokens, config.width, config.width))
        rows += _token_norm("transform_ln", config, tokens)
        decoder = _head("decoder_bias", config, tokens, tied=True)
        rows.append(replace(decoder, parameters=config.vocab))
        return [*rows, _linear("nsp", config.width, 2)]
    if config.task == "classify":
        return [*rows, _linear("head", config.width, outputs)]
    return [*rows, _rowwise("head", tokens, config.width, 2 if config.task == "span" else outputs)]


@layers.register
def _(config: TransformerConfig):
    source, target = config.source, config.target
    rows = [_table("tok", config.vocab, source + target, config.width)]
    if config.positions == "learned":
        for name, size in {"source_pos": source, "target_pos": target}.items():
            rows.append(_table(name, size, size, config.width))
    for i in range(config.layers):
        rows += _block(f"encoder.{i}", config, source, ["attn"])
    for i in range(config.layers):
        block = _block(f"decoder.{i}", config, target, ["self_attn", "cross_attn"])
        for row in block:  # keys and values of the other attention are made of the source
            looks = row.name.endswith(("cross_attn.k_proj", "cross_attn.v_proj"))
            count = source if looks else target
            rows.append(
                replace(row, shape=(count, *row.shape[1:]), flops=row.flops // target * count)
            )
    if config.norm_first:
        rows += _token_norm("encoder_norm", config, source)
        rows += _token_norm("decoder_norm", config, target)
    return [*rows, _head("head", config, target, tied=config.tied)]


@layers.register
def _(config: RNNConfig):
    """An example is one token, as the longest text need not be known."""
    rows = [Layer("tok", (config.embed,), config.vocab * config.embed, 0)]
    gates, inputs = {"rnn": 1, "gru": 3, "lstm": 4}[config.cell], config.embed
    for i in range(config.layers):
        weights = gates * config.hidden * (inputs + config.hidden)
        biases = (gates + (config.cell == "gru")) * config.hidden
        rows.append(Layer(f"layers.{i}", (config.hidden,), weights + biases, 2 * weights))
        inputs = config.hidden
    return [*rows, _linear("head", config.hidden, config.outputs)]


@layers.register
def _(config: Bottlenecks):
    rows, inputs, number = [], 64, 0

    def convolution(name, sides, inputs, outputs, size, stride=1):
        row = _convolution(name, sides, inputs, outputs, size, size // 2, stride, False)
        rows.extend([row, *_norm(f"{name}_norm", "batch", row.shape)])
        return row.shape[:2]

    sides = convolution("stem", config.inputs[:2], config.inputs[2], inputs, 7, 2)
    sides = tuple(output_size(side, 3, 2, 1) for side in sides)  # a max-pooling
    for stage, (width, blocks) in enumerate(config.stages):
        for i in range(blocks):
            stride, b = 2 if stage and i == 0 else 1, f"blocks.{number}"
            early, late = (1, stride) if config.late else (stride, 1)
            inner = convolution(f"{b}.conv_1", sides, inputs, width, 1, early)
            inner = convolution(f"{b}.conv_2", inner, width, width, 3, late)
            convolution(f"{b}.conv_3", inner, width, 4 * width, 1)
            if i == 0:
                convolution(f"{b}.project", sides, inputs, 4 * width, 1, stride)
            sides, inputs, number = inner, 4 * width, number + 1
    return [*rows, _linear("head", inputs, config.outputs)]


@functools.singledispatch
def _values(config):
    """(numbers that an example leaves for the way back, numbers of the largest input and output of a layer)."""
    raise ValueError(
        f"activations of a {type(config).__name__} were not derived: pass an MLPConfig or a GPTConfig"
    )


@_values.register
def _(config: MLPConfig):
    if config.norm != "none" or config.dropout:
        raise ValueError('activations are those of an MLP with norm="none" and dropout=0.0')
    # GELU needs its input on the way back, the others their output, which the next layer keeps anyway
    twice = sum(config.hidden) if config.activation == "gelu" else 0
    return sum(config.sizes) + twice, max(i + o for i, o in pairwise(config.sizes))


@_values.register
def _(config: GPTConfig):
    if config.norm != "layer" or config.dropout or config.positions in ("rotary", "alibi"):
        raise ValueError(
            'activations are those of a GPT with norm="layer", dropout=0.0 and positions that are added to its input'
        )
    width, hidden, vocab = config.width, config.hidden, config.vocab
    attention = (
        6 * width + config.heads
    )  # x, ln_1(x), q, k, v, y; of the softmax a sum for each head
    perceptron = 2 * width + (1 if config.activation == "relu" else 2) * hidden  # r, ln_2(r)
    norms = 4  # mean and scale, twice
    end = 2 * width + 2 + vocab  # h, ln_f(h), its mean and scale, log p
    kept = config.context * (config.layers * (attention + perceptron + norms) + end)
    return kept, width + max(hidden, vocab)


def _block(name, config, tokens, attentions, norm="layer", bias=True):
    """[Layer] of a Transformer's block: a norm before each attention and before the perceptron."""
    width, hidden, rows = config.width, config.hidden, []
    for i, attention in enumerate(attentions, 1):
        rows += _token_norm(f"{name}.ln_{i}", config, tokens, norm, bias)
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            rows.append(_rowwise(f"{name}.{attention}.{part}", tokens, width, width, bias))
    rows += _token_norm(f"{name}.ln_{len(attentions) + 1}", config, tokens, norm, bias)
    rows.append(_rowwise(f"{name}.mlp.up", tokens, width, hidden, bias))
    return [*rows, _rowwise(f"{name}.mlp.down", tokens, hidden, width, bias)]


def _table(name, size, tokens, width):
    """A row of numbers for each token or place: looking it up costs no operation."""
    return Layer(name, (tokens, width), size * width, 0)


def _token_norm(name, config, tokens, kind="layer", bias=True):
    parameters = NORM_PARAMETERS[kind] * config.width if bias else config.width
    return [Layer(name, (tokens, config.width), parameters, 0)]


def _head(name, config, tokens, tied):
    """Logits of the vocabulary, from the embedding's own weights where `tied`."""
    row = _rowwise(name, tokens, config.width, config.vocab, bias=False)
    return replace(row, parameters=0) if tied else row


def _rowwise(name, tokens, inputs, outputs, bias=True):
    """A Linear layer at each of the tokens."""
    row = _linear(name, inputs, outputs, bias)
    return replace(row, shape=(tokens, outputs), flops=tokens * row.flops)


def _linear_layers(config, norm):
    rows, last = [], len(config.hidden)
    for i, (inputs, outputs) in enumerate(pairwise(config.sizes)):
        # a hidden layer before a batch norm has no bias
        rows.append(_linear(f"layers.{i}", inputs, outputs, bias=norm != "batch" or i == last))
    for i, features in enumerate(config.hidden):
        rows += _norm(f"norms.{i}", norm, (features,))
    return rows


def _linear(name, inputs, outputs, bias=True):
    return Layer(name, (outputs,), inputs * outputs + outputs * bias, 2 * inputs * outputs)


def _convolution(name, sides, inputs, outputs, size, padding, stride=1, bias=True):
    height, width = (output_size(side, size, stride, padding) for side in sides)
    count = conv_parameters(inputs, outputs, size) - (0 if bias else outputs)
    cost = conv_flops(height, width, inputs, outputs, size)
    return Layer(name, (height, width, outputs), count, cost)


def _above_zero(**numbers):
    for name, value in numbers.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value}: it is a number above 0")


def _norm(name, kind, shape):
    """[Layer] of a norm, [] for none."""
    return [Layer(name, shape, NORM_PARAMETERS[kind] * shape[-1], 0)] if kind != "none" else []
