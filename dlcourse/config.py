"""Configurations: frozen, validated once, passed whole."""

import math
from dataclasses import dataclass
from numbers import Integral, Real

from dlcourse.boundary import Tokens, check_choice, check_heads, check_rope
from dlcourse.geometry import output_size

ACTIVATIONS = ("relu", "sigmoid", "tanh", "gelu")
NORMS = ("none", "batch", "layer", "rms")
POOLS = ("max", "avg")
CELLS = ("rnn", "gru", "lstm")
TASKS = ("pretrain", "classify", "label", "span")  # of BERT
POSITIONS = ("learned", "sinusoidal", "rotary", "alibi", "none")


@dataclass(frozen=True)
class MLPConfig:
    """A multilayer perceptron inputs - hidden[0] - ... - outputs (eq-mlp); it has eq-parameter-count parameters.

    `MLPConfig(784)` is 784-128-64-10. No hidden layer, `hidden=()`, is linear or logistic regression.
    Raises ValueError for sizes that are not positive whole numbers, an unknown activation or norm, or a dropout outside [0, 1)."""

    inputs: int  # numbers in one example: 784 for an image of 28 x 28
    hidden: tuple[int, ...] = (128, 64)  # units of each hidden layer, first to last
    outputs: int = 10  # classes, or 1 for a binary decision
    activation: str = "relu"  # after every hidden layer: relu, sigmoid, tanh or gelu
    dropout: float = 0.0  # probability with which training drops a hidden unit
    norm: str = "none"  # between every hidden layer and its activation: none, batch, layer or rms

    def __post_init__(self):
        if not isinstance(self.hidden, tuple | list):
            raise ValueError(
                f"hidden={self.hidden!r} is not a tuple: write one entry a hidden layer, hidden=({self.hidden},)"
            )
        if isinstance(self.inputs, tuple | list):
            raise ValueError(
                f"inputs={self.inputs!r} is not a number: an MLP flattens its images, write inputs={math.prod(self.inputs)}"
            )
        _check_one(outputs=self.outputs)
        _check_whole("layer sizes", inputs=self.inputs, hidden=self.hidden, outputs=self.outputs)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("norm", self.norm, NORMS)
        _check_dropout(self.dropout)
        _set(self, inputs=self.inputs, hidden=self.hidden, outputs=self.outputs)

    @property
    def sizes(self):
        """(inputs, *hidden, outputs): neighbours are the (I, O) of one layer."""
        return (self.inputs, *self.hidden, self.outputs)


@dataclass(frozen=True)
class CNNConfig:
    """Convolutions, each followed by the activation and a 2 x 2 pooling, then a multilayer perceptron on what is left  (eq-cnn).

    The default has the layers of LeNet-5 (LeCun et al. 1998), with ReLU and max-pooling in the place of tanh and averages.
    Raises ValueError for sizes that are not whole numbers, for an image that the layers shrink to nothing, and as MLPConfig does."""

    inputs: tuple[int, int, int] = (28, 28, 1)  # height, width, channels of one image
    channels: tuple[int, ...] = (6, 16)  # output channels of each convolution, first to last
    kernel: int = 5  # the side of every kernel
    padding: int | tuple[int, ...] = (2, 0)  # of each convolution; one number stands for all
    pool: str = "max"  # behind every convolution: max or avg, 2 x 2
    hidden: tuple[int, ...] = (120, 84)  # units of the hidden layers that follow
    outputs: int = 10  # classes, or 1 for a binary decision
    activation: str = (
        "relu"  # after every convolution and hidden layer: relu, sigmoid, tanh or gelu
    )
    dropout: float = 0.0  # probability with which training drops a hidden unit

    def __post_init__(self):
        _check_image(self.inputs)
        _check_entries(channels=self.channels, hidden=self.hidden)
        if isinstance(self.padding, Integral):
            object.__setattr__(self, "padding", (self.padding,) * len(self.channels))
        _check_entries(padding=self.padding)
        _check_one(kernel=self.kernel, outputs=self.outputs)
        _check_whole(
            "layer sizes",
            channels=self.channels,
            kernel=self.kernel,
            hidden=self.hidden,
            outputs=self.outputs,
        )
        _check_whole("paddings", least=0, padding=self.padding)
        if not self.channels or len(self.padding) != len(self.channels):
            raise ValueError(
                f"padding={self.padding} for channels={self.channels}: give at least one convolution, and one padding for each"
            )
        check_choice("pool", self.pool, POOLS)
        check_choice("activation", self.activation, ACTIVATIONS)
        _check_dropout(self.dropout)
        _set(
            self,
            inputs=self.inputs,
            channels=self.channels,
            kernel=self.kernel,
            padding=self.padding,
        )
        _set(self, hidden=self.hidden, outputs=self.outputs)
        _ = self.features  # refuses an image that is too small

    @property
    def features(self):
        """(height, width, channels) of what the last pooling leaves; the product is the width of the first Linear layer."""
        height, width, _ = self.inputs
        for i, padding in enumerate(self.padding):
            _check_fits(f"convs.{i}", height, width, self.kernel, padding)
            height, width = (
                output_size(side, self.kernel, padding=padding) for side in (height, width)
            )
            if min(height, width) < 2:
                raise ValueError(
                    f"convs.{i} leaves {height} x {width} pixels, too few for the 2 x 2 pooling behind it: use more padding, fewer convolutions or larger images"
                )
            height, width = (output_size(side, 2, stride=2) for side in (height, width))
        return height, width, self.channels[-1]

    @property
    def sizes(self):
        """(features, *hidden, outputs) of the Linear layers: neighbours are the (I, O) of one layer."""
        return (math.prod(self.features), *self.hidden, self.outputs)


@dataclass(frozen=True)
class ResNetConfig:
    """A residual network for small images  (eq-residual-block; He et al. 2016): a 3 x 3 convolution, stages of residual blocks, the mean over
    all pixels, and one Linear layer.

    The default is ResNet-20; `blocks=(n, n, n)` gives 6 n + 2 layers. With down="pool", a stage begins with a convolution and a pooling over
    stride x stride pixels, and may have no block. Raises ValueError for sizes that are not whole numbers of at least 1, for numbers of
    widths, blocks and strides that differ, and for identity=True where no norm or no skip would make a block the identity."""

    inputs: tuple[int, int, int] = (32, 32, 3)  # height, width, channels of one image
    widths: tuple[int, ...] = (16, 32, 64)  # channels of each stage
    blocks: tuple[int, ...] = (3, 3, 3)  # residual blocks of each stage, two convolutions each
    strides: tuple[int, ...] = (
        1,
        2,
        2,
    )  # of the first convolution of each stage: 2 halves the image
    stem: int = 16  # channels of the first convolution
    outputs: int = 10  # classes
    skip: bool = True  # False takes the skips away: the plain network of the same depth
    norm: str = "batch"  # behind every convolution: batch or none
    # what makes an image smaller: the stride of a block, or a convolution and a max-pooling in front of the stage
    down: str = "stride"
    identity: bool = False  # True starts every block as its skip: the last norm's weight is 0

    def __post_init__(self):
        _check_image(self.inputs)
        sizes = {
            name: getattr(self, name) for name in ("widths", "blocks", "strides", "stem", "outputs")
        }
        check_choice("down", self.down, ("stride", "pool"))
        _check_entries(widths=self.widths, blocks=self.blocks, strides=self.strides)
        _check_one(stem=self.stem, outputs=self.outputs)
        fewest = 0 if self.down == "pool" else 1
        _check_whole("blocks of a stage", least=fewest, blocks=self.blocks)
        _check_whole("the sizes of a network", **{**sizes, "blocks": ()})
        if not self.widths or not len(self.widths) == len(self.blocks) == len(self.strides):
            raise ValueError(
                f"widths={self.widths}, blocks={self.blocks}, strides={self.strides}: give one entry of each for every stage"
            )
        check_choice("norm", self.norm, ("batch", "none"))
        for name in ("skip", "identity"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}={getattr(self, name)!r}: it is True or False")
        if self.identity and (self.norm == "none" or not self.skip):
            raise ValueError(
                'identity=True needs the skip and a norm whose weight can be 0: use skip=True and norm="batch"'
            )
        _set(self, inputs=self.inputs, **sizes)
        self._check_pooling()

    @property
    def depth(self):
        """Layers with weights on the longest way through: 2 sum(blocks) + 2, and one more for every pooling stage."""
        return 2 * sum(self.blocks) + 2 + (len(self.widths) if self.down == "pool" else 0)

    @property
    def plan(self):
        """[(kind, inputs, outputs, stride)] of every block, first to last; its kind is "residual" or "pool"."""
        plan, inputs = [], self.stem
        for width, count, stride in zip(self.widths, self.blocks, self.strides, strict=True):
            if self.down == "pool":
                plan.append(("pool", inputs, width, stride))
                inputs, stride = width, 1
            for i in range(count):
                plan.append(("residual", inputs, width, stride if i == 0 else 1))
                inputs = width
        return plan

    def _check_pooling(self):
        sides = self.inputs[:2]
        for kind, _, _, stride in self.plan:
            if kind == "pool" and min(sides) < stride:
                raise ValueError(
                    f"strides={self.strides} pool an image of {sides[0]} x {sides[1]} pixels by {stride}: use smaller strides or larger images"
                )
            sides = [side // stride if kind == "pool" else -(-side // stride) for side in sides]


@dataclass(frozen=True)
class GPTConfig:
    """A Transformer decoder that predicts the next token  (eq-gpt; Radford et al. 2019).

    The default has the sizes of nanoGPT for a processor without a graphics card; `vocab` is that of the tokeniser. Raises ValueError for sizes
    that are not whole numbers of at least 1, a width that `heads` does not divide, and an unknown choice."""

    vocab: int  # tokens that the tokeniser knows
    context: int = 64  # the longest sequence that it reads
    layers: int = 4  # blocks
    heads: int = 4  # of attention in each block
    width: int = 128  # channels C of a token on its way
    hidden: int | None = None  # units of each block's perceptron; None means 4 width
    dropout: float = 0.0  # probability with which training drops an embedding, an attention weight, an output of a layer
    bias: bool = False  # of the linear layers and the layer norms
    positions: str = "learned"  # learned, sinusoidal, rotary, alibi or none
    norm: str = "layer"  # layer or rms
    activation: str = "gelu"  # of the perceptrons: gelu, silu or relu
    tied: bool = True  # the head's weights are those of the embedding

    def __post_init__(self):
        sizes = _transformer_sizes(self, "a GPT", "context")
        check_choice("positions", self.positions, POSITIONS)
        check_choice("norm", self.norm, ("layer", "rms"))
        check_choice("activation", self.activation, ("gelu", "silu", "relu"))
        _check_flags(bias=self.bias, tied=self.tied)
        if self.positions == "rotary":
            check_rope(self.width // self.heads)
        _check_sinusoidal(self)
        _set(self, **sizes)

    @property
    def inputs(self):
        """What the model takes: tokens (B, T)."""
        return Tokens(self.vocab, self.context)

    @property
    def outputs(self):
        """Its classes: the tokens."""
        return self.vocab


@dataclass(frozen=True)
class RNNConfig:
    """Recurrent layers over tokens  (eq-rnn-cell, eq-gru-cell, eq-lstm-cell): a language model, or with `classes` a classifier of sequences.

    Sequences for a classifier are padded on the left, so that the last state has seen the end. Raises ValueError for sizes that are not whole
    numbers of at least 1, an unknown cell, or a dropout outside [0, 1)."""

    vocab: int  # tokens are 0 ... vocab-1
    embed: int = 64  # numbers in the vector of a token
    hidden: int = 128  # numbers in the state of each layer
    layers: int = 1  # each reads the states of the one below
    cell: str = "lstm"  # rnn, gru or lstm
    classes: int | None = None  # None: logits over the vocabulary at every position
    context: int | None = None  # the longest sequence; None is any length
    dropout: float = 0.0  # probability with which training drops a number that a layer hands up

    def __post_init__(self):
        sizes = {name: getattr(self, name) for name in ("vocab", "embed", "hidden", "layers")}
        for name in ("classes", "context"):
            if getattr(self, name) is not None:
                sizes[name] = getattr(self, name)
        _check_one(**sizes)
        _check_whole("the sizes of a recurrent network", **sizes)
        check_choice("cell", self.cell, CELLS)
        _check_dropout(self.dropout)
        _set(self, **sizes)

    @property
    def inputs(self):
        return Tokens(self.vocab, self.context)

    @property
    def outputs(self):
        """Classes of a row of logits."""
        return self.classes or self.vocab


@dataclass(frozen=True)
class TransformerConfig:
    """An encoder that reads a source, and a decoder that writes a target  (eq-transformer; Vaswani et al. 2017).

    It takes source and decoder's input side by side, (B, source + target). Raises ValueError for sizes that are not whole numbers of at least 1,
    a width that `heads` does not divide, a padding outside the vocabulary, and an unknown choice."""

    vocab: int  # tokens, of source and target together
    source: int  # S: the longest source, padded to it
    target: int  # T: the longest target, padded to it
    layers: int = 2  # blocks of the encoder, and as many of the decoder
    heads: int = 4  # of each attention
    width: int = 64  # channels C of a token on its way
    hidden: int | None = None  # units of each block's perceptron; None means 4 width
    dropout: float = 0.0  # probability with which training drops an embedding, an attention weight, an output of a layer
    norm_first: bool = True  # pre-norm; False is post-norm, as the paper has it
    positions: str = "sinusoidal"  # sinusoidal or learned
    pad: int = 0  # the token that fills a source up; nothing looks at it
    tied: bool = True  # the head's weights are those of the embedding
    activation: str = "relu"  # of the perceptrons: relu, gelu or silu

    def __post_init__(self):
        sizes = _transformer_sizes(self, "a Transformer", "source", "target")
        _check_whole("tokens", least=0, pad=self.pad)
        if self.pad >= self.vocab:
            raise ValueError(
                f"pad={self.pad} but vocab is {self.vocab}: the padding is one of the tokens 0 ... {self.vocab - 1}"
            )
        check_choice("positions", self.positions, ("sinusoidal", "learned"))
        check_choice("activation", self.activation, ("relu", "gelu", "silu"))
        _check_flags(norm_first=self.norm_first, tied=self.tied)
        _check_sinusoidal(self)
        _set(self, **sizes, pad=self.pad)

    @property
    def inputs(self):
        """What the model takes: tokens (B, S + T), the source and the decoder's input side by side."""
        return Tokens(self.vocab, self.source + self.target, self.source, self.pad)

    @property
    def outputs(self):
        """Its classes: the tokens."""
        return self.vocab


@dataclass(frozen=True)
class BERTConfig:
    """A Transformer encoder that reads both ways  (eq-bert; Devlin et al. 2019), with the head of one task on it.

    `replace(config, task="classify", outputs=7)` is the same network with another head. The special tokens are those of WordPieceTokenizer; the
    released models of 30,522 tokens have sep=102. Raises ValueError for sizes that are not whole numbers of at least 1, a width that `heads`
    does not divide, special tokens outside the vocabulary, an unknown task, and `outputs` that do not fit it."""

    vocab: int  # tokens that the tokeniser knows
    context: int = 64  # the longest sequence that it reads
    layers: int = 2  # blocks
    heads: int = 4  # of attention in each block
    width: int = 128  # channels C of a token on its way
    hidden: int | None = None  # units of each block's perceptron; None means 4 width
    dropout: float = 0.0  # probability with which training drops an embedding, an attention weight, an output of a layer
    pad: int = 0  # the token that fills up a sequence; nobody looks at it
    sep: int = 3  # the token that ends a sentence: behind the first one, segment 1 begins
    task: str = "pretrain"  # pretrain, classify, label or span
    outputs: int | None = None  # classes of classify and label; the others know their own
    exact_gelu: bool = True  # x Phi(x), as in the released models; False takes the tanh form
    eps: float = 1e-12  # of the layer norms

    def __post_init__(self):
        sizes = _transformer_sizes(self, "a BERT", "context")
        check_choice("task", self.task, TASKS)
        _check_flags(exact_gelu=self.exact_gelu)
        special = {"pad": self.pad, "sep": self.sep}
        _check_whole("special tokens", least=0, **special)
        for name, token in special.items():
            if token >= self.vocab:
                raise ValueError(
                    f"{name}={token} but vocab is {self.vocab}: give the number that the tokeniser has for it, at most {self.vocab - 1}"
                )
        if not isinstance(self.eps, Real) or not self.eps > 0:
            raise ValueError(f"eps={self.eps!r}: it is a small number above 0, such as 1e-12")
        own = {"pretrain": self.vocab, "span": self.context}.get(self.task)
        if self.outputs is None and own is None:
            raise ValueError(
                f"task {self.task!r} needs the number of its classes: write outputs=2 for two"
            )
        if own is not None and self.outputs not in (None, own):
            raise ValueError(
                f"outputs={self.outputs} does not fit task {self.task!r}, which has {own}: leave it out, outputs=None"
            )
        outputs = own if self.outputs is None else self.outputs
        _check_one(outputs=outputs)
        _check_whole("the sizes of a BERT", outputs=outputs)
        _set(self, **sizes, **special, outputs=outputs)

    @property
    def inputs(self):
        """What the model takes: tokens (B, T)."""
        return Tokens(self.vocab, self.context, pad=self.pad)


# ---------------------------------------------------------------- what is refused


def _check_whole(what, least=1, **sizes):
    for name, value in sizes.items():
        for size in value if isinstance(value, tuple | list) else [value]:
            if isinstance(size, bool) or not isinstance(size, Integral) or size < least:
                raise ValueError(
                    f"{name} holds {size!r}: {what} are whole numbers of at least {least}"
                )


def _check_entries(**lists):
    for name, value in lists.items():
        if not isinstance(value, tuple | list):
            raise ValueError(
                f"{name}={value!r} is not a tuple: write one entry a layer, {name}=({value},)"
            )


def _check_image(inputs):
    if not isinstance(inputs, tuple | list) or len(inputs) != 3:
        raise ValueError(
            f"inputs={inputs!r}: an image is (height, width, channels), for example (28, 28, 1)"
        )
    _check_whole("an image's sides and channels", inputs=inputs)
    if inputs[0] in (1, 3) and inputs[1] == inputs[2] > 4:
        raise ValueError(
            f"inputs={tuple(inputs)} has the channels first, but an image is (height, width, channels): write inputs={(*inputs[1:], inputs[0])}"
        )


def _check_fits(name, height, width, kernel, padding):
    height, width = height + 2 * padding, width + 2 * padding
    missing = kernel - min(height, width)
    if missing > 0:
        raise ValueError(
            f"{name} has a kernel of {kernel} but its images have {height} x {width} pixels, padding={padding} included: "
            f"use kernel={kernel - missing} or less, padding={padding + (missing + 1) // 2} for this layer, or larger images"
        )


def _check_one(**sizes):
    for name, value in sizes.items():
        if isinstance(value, tuple | list):
            raise ValueError(f"{name}={value!r} is not a number: write one number, {name}=3")


def _transformer_sizes(config, what, *lengths):
    """{name: size} of what every Transformer has and of its `lengths`, checked; `hidden` None becomes 4 width."""
    if config.hidden is None and isinstance(config.width, Integral):
        object.__setattr__(config, "hidden", 4 * config.width)
    names = ("vocab", *lengths, "layers", "heads", "width", "hidden")
    sizes = {name: getattr(config, name) for name in names}
    _check_one(**sizes)
    _check_whole(f"the sizes of {what}", **sizes)
    check_heads(config.width, config.heads)
    _check_dropout(config.dropout)
    return sizes


def _check_sinusoidal(config):
    if config.positions == "sinusoidal" and config.width % 2:
        raise ValueError(
            f"width={config.width} is odd, but sines and cosines come in pairs: take width={config.width + 1}"
        )


def _check_flags(**flags):
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name}={value!r}: it is True or False")


def _check_dropout(dropout):
    if not isinstance(dropout, Real) or not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout={dropout!r}: it is a probability, at least 0 and below 1")


def _set(config, **sizes):
    """NumPy's integers become Python's, which JSON can write, and lists tuples."""
    for name, value in sizes.items():
        value = tuple(map(int, value)) if isinstance(value, tuple | list) else int(value)
        object.__setattr__(config, name, value)
