"""The exercises of the chapter *What large models are*, each with the wrong answers that it recognises.

Throughout: `sizes` are (inputs, *hidden, outputs) of a multilayer perceptron, an operation is one multiplication or one addition."""

from itertools import pairwise

from dlcourse.check.engine import Case, exercise

# ---------------------------------------------------------------- training_flops


def _products(sizes, rows, each=lambda i, o: 2 * i * o, spared=0, times=3):
    """times F - F_l, with any of its pieces exchanged for a wrong one; `spared` is l, None for no layer."""
    forward = [rows * each(i, o) for i, o in pairwise(sizes)]
    return times * sum(forward) - (0 if spared is None else forward[spared])


def _with(function, **pieces):
    return lambda *arguments: function(*arguments, **pieces)


@exercise(
    "operations",
    Case("two hidden layers", lambda rng: ((784, 128, 64, 10), 32), show=True),
    Case("one row", lambda rng: ((6, 5, 3), 1), show=True),
    Case("no hidden layer", lambda rng: ((64, 10), 4), show=True),
    Case("three hidden layers", lambda rng: ((2, 3, 5, 7, 1), 10), show=True),
)
def training_flops(sizes, rows):
    """training_flops(sizes, rows) -> operations: of the matrix products of one training step, forward and backward (eq-training-flops).

    sizes are (inputs, *hidden, outputs), rows the examples of the batch. No gradient of the inputs is computed. A bias is in it as
    the last addition of each sum; the sums over a batch for the gradients of the biases, activations and the optimizer are left out.
    The result is a whole number."""
    return _products(sizes, rows)


training_flops.diagnose(
    "this is the forward pass alone. The way back has two products for each of its own: 3 F - F_1.",
    _with(_products, spared=None, times=1),
)
training_flops.diagnose(
    "the way back is counted once. It has two products for each one forward: for the gradients of the input and of the weight.",
    _with(_products, spared=None, times=2),
)
training_flops.diagnose(
    "the gradient of the data is counted. Nobody needs it: the first layer has one product on the way back.",
    _with(_products, spared=None),
)
training_flops.diagnose(
    "the product is left out at the last layer. It is the first that needs no gradient of its input.",
    _with(_products, spared=-1),
)
training_flops.diagnose(
    "a multiplication with its addition is counted as one operation. Here they are two.",
    _with(_products, each=lambda i, o: i * o),
)
training_flops.diagnose(
    "the batch is forgotten: every product has as many rows as the batch has examples.",
    lambda sizes, rows: _products(sizes, 1),
)
training_flops.diagnose(
    "the bias is counted a second time: the 2 I operations of an output are I products, I - 1 additions of the sum and one of the bias.",
    _with(_products, each=lambda i, o: 2 * i * o + o),
    _with(_products, each=lambda i, o: 2 * (i + 1) * o),
)
training_flops.diagnose(
    "these are the products of all sizes together. A network has one product for each pair of neighbours.",
    lambda sizes, rows: _products((sizes[0], sum(sizes[1:])), rows),
)

training_flops.diagnose(
    "the biases are counted as weights. Six operations are those of a weight in a product, and the first layer has four.",
    lambda sizes, rows: 6 * rows * sum((i + 1) * o for i, o in pairwise(sizes)),
)
training_flops.diagnose(
    "an addition is missing in each sum: the last one brings the bias, or what is there already. An entry takes 2 I operations.",
    _with(_products, each=lambda i, o: (2 * i - 1) * o),
)

# ---------------------------------------------------------------- training_bytes


def _bytes(sizes, batch, slots, biases=1, copies=2, kept=sum, size=4, averages=1):
    count = sum((i + biases) * o for i, o in pairwise(sizes))
    return size * ((copies + averages * slots) * count + batch * kept(sizes))


@exercise(
    "bytes",
    Case("Adam", lambda rng: ((784, 128, 64, 10), 32, 2), show=True),
    Case("momentum", lambda rng: ((6, 5, 3), 7, 1), show=True),
    Case("plain SGD", lambda rng: ((6, 5, 3), 7, 0), show=True),
    Case("no hidden layer", lambda rng: ((64, 10), 3, 2), show=True),
    Case("a large batch", lambda rng: ((2, 3, 4, 1), 1000, 2), show=True),
)
def training_bytes(sizes, batch, slots):
    """training_bytes(sizes, batch, slots) -> bytes: what a training step of an MLP with ReLU keeps, in float32 (eq-training-memory).

    sizes are (inputs, *hidden, outputs); the optimizer keeps `slots` running averages of each parameter. Weights and biases, their
    gradients, the averages, and for each example the numbers of eq-mlp-activations. A whole number."""
    return _bytes(sizes, batch, slots)


training_bytes.diagnose(
    "these are numbers, not bytes: a number in float32 takes four.",
    _with(_bytes, size=1),
)
training_bytes.diagnose(
    "a number in float32 takes four bytes.",
    _with(_bytes, size=8),
    _with(_bytes, size=2),
    _with(_bytes, size=32),
)
training_bytes.diagnose(
    "the gradients are forgotten: there is one for each parameter.",
    _with(_bytes, copies=1),
)
training_bytes.diagnose(
    "the optimizer is forgotten: it keeps `slots` averages, each as large as the parameters.",
    _with(_bytes, averages=0),
)
training_bytes.diagnose(
    "the averages are always those of Adam. There are `slots` of them.",
    lambda sizes, batch, slots: _bytes(sizes, batch, 2),
)
training_bytes.diagnose(
    "the activations are forgotten: each example leaves its inputs, hidden values and outputs behind.",
    _with(_bytes, kept=lambda sizes: 0),
)
training_bytes.diagnose(
    "the activations are those of one example. Each example of the batch has its own.",
    lambda sizes, batch, slots: _bytes(sizes, 1, slots),
)
training_bytes.diagnose(
    "the weights are counted once for each example. All examples share them.",
    lambda sizes, batch, slots: batch * _bytes(sizes, 1, slots),
)
training_bytes.diagnose(
    "the inputs are kept, too: the gradient of the first weights needs them.",
    _with(_bytes, kept=lambda sizes: sum(sizes[1:])),
)
training_bytes.diagnose(
    "the outputs leave something behind, too: the log-probabilities, from which the gradient of the loss begins.",
    _with(_bytes, kept=lambda sizes: sum(sizes[:-1])),
)
training_bytes.diagnose(
    "the hidden values alone are counted. Inputs and log-probabilities are kept as well.",
    _with(_bytes, kept=lambda sizes: sum(sizes[1:-1])),
)
training_bytes.diagnose(
    "the biases are forgotten: they are parameters, with gradients and averages of their own.",
    _with(_bytes, biases=0),
)

training_bytes.diagnose(
    "the hidden values are kept once: ReLU needs to know where its output is positive, and its output is the next layer's input.",
    _with(_bytes, kept=lambda sizes: sum(sizes) + sum(sizes[1:-1])),
    _with(_bytes, kept=lambda sizes: sum(sizes) + sum(sizes[1:])),
)
training_bytes.diagnose(
    "this is the memory in mixed precision. In float32 every number takes four bytes, and the weights are kept once.",
    lambda sizes, batch, slots: _bytes(sizes, 0, slots) + 2 * batch * sum(sizes),
)
training_bytes.diagnose(
    "this is the memory of use. In training all layers wait for the way back, and there are gradients and averages.",
    lambda sizes, batch, slots: _bytes(
        sizes, batch, 0, copies=1, kept=lambda s: max(i + o for i, o in pairwise(s))
    ),
)

# ---------------------------------------------------------------- bottleneck_parameters


def _bottleneck(
    inputs, width, changes, middle=9, wide=4, norm=2, biases=0, project=1, project_norm=2
):
    outputs = wide * width
    count = inputs * width + middle * width * width + width * outputs
    count += (norm + biases) * (2 * width + outputs)
    return count + changes * (project * inputs * outputs + (project_norm + biases) * outputs)


@exercise(
    "parameters",
    Case("first block of ResNet-50", lambda rng: (64, 64, True), show=True),
    Case("second block of ResNet-50", lambda rng: (256, 64, False), show=True),
    Case("a stage begins", lambda rng: (256, 128, True), show=True),
    Case("few channels", lambda rng: (3, 2, True), show=True),
    Case("one channel", lambda rng: (4, 1, False), show=True),
)
def bottleneck_parameters(inputs, width, changes):
    """bottleneck_parameters(inputs, width, changes) -> parameters: of a block of ResNet-50 (eq-bottleneck-parameters).

    A 1 x 1 convolution from `inputs` to `width` channels, a 3 x 3 at this width, a 1 x 1 to 4 width; where `changes` is true also a 1 x 1
    from the inputs to 4 width. No convolution has biases; each is followed by a batch norm. A whole number."""
    return _bottleneck(inputs, width, changes)


bottleneck_parameters.diagnose(
    "the norms are forgotten: each has a weight and a bias for each of its channels.",
    _with(_bottleneck, norm=0, project_norm=0),
)
bottleneck_parameters.diagnose(
    "a norm is counted with one number a channel. It has two, a weight and a bias.",
    _with(_bottleneck, norm=1, project_norm=1),
)
bottleneck_parameters.diagnose(
    "running mean and variance are counted. No gradient changes them: they are no parameters.",
    _with(_bottleneck, norm=4, project_norm=4),
)
bottleneck_parameters.diagnose(
    "the convolutions are given biases. Before a norm they have none.",
    _with(_bottleneck, biases=1),
)
bottleneck_parameters.diagnose(
    "the middle convolution is counted as 1 x 1. A kernel of 3 x 3 has nine weights for each pair of channels.",
    _with(_bottleneck, middle=1),
)
bottleneck_parameters.diagnose(
    "a kernel of 3 x 3 has nine weights for each pair of channels, not three.",
    _with(_bottleneck, middle=3),
)
bottleneck_parameters.diagnose(
    "the block ends with `width` channels. Its last convolution makes four times as many.",
    _with(_bottleneck, wide=1),
)
bottleneck_parameters.diagnose(
    "the projection is forgotten: where the shape changes, the skip is a convolution with a norm.",
    lambda inputs, width, changes: _bottleneck(inputs, width, False),
)
bottleneck_parameters.diagnose(
    "every skip is counted as a projection. Where nothing changes it has no parameters.",
    lambda inputs, width, changes: _bottleneck(inputs, width, True),
)
bottleneck_parameters.diagnose(
    "the norm behind the projection is forgotten.",
    _with(_bottleneck, project_norm=0),
)
bottleneck_parameters.diagnose(
    "the projection is counted as 3 x 3. It is 1 x 1.",
    _with(_bottleneck, project=9),
)

bottleneck_parameters.diagnose(
    "the projection makes `width` channels. It must make as many as the block returns, four times `width`.",
    lambda inputs, width, changes: (
        _bottleneck(inputs, width, False) + changes * (inputs * width + 2 * width)
    ),
)
bottleneck_parameters.diagnose(
    "the norm behind the projection is counted in every block: `changes * a + b` always adds b. Put both into brackets.",
    lambda inputs, width, changes: (
        _bottleneck(inputs, width, False) + changes * 4 * inputs * width + 8 * width
    ),
)

# ---------------------------------------------------------------- gpt_training_flops


def _gpt(layers, width, context, vocab, tokens, each=6, block=12, tables=1, positions=0, scores=12):
    weights = block * layers * width**2 + tables * vocab * width + positions * context * width
    return tokens * (each * weights + scores * layers * context * width)


@exercise(
    "operations",
    Case("GPT-2, a million tokens", lambda rng: (12, 768, 1024, 50257, 10**6), show=True),
    Case("one token", lambda rng: (1, 2, 3, 5, 1), show=True),
    Case("a long context", lambda rng: (2, 8, 4096, 100, 10), show=True),
    Case("a large vocabulary", lambda rng: (2, 8, 4, 10**5, 10), show=True),
)
def gpt_training_flops(layers, width, context, vocab, tokens):
    """gpt_training_flops(layers, width, context, vocab, tokens) -> operations: of training a GPT on that many tokens (eq-six-nd).

    Its perceptrons have 4 width hidden units and its head is tied to the embedding. The tokens come in full contexts, and attention is
    counted as if no mask were there. Norms, biases and the optimizer are left out. A whole number."""
    return _gpt(layers, width, context, vocab, tokens)


gpt_training_flops.diagnose(
    "this is the forward pass: two operations for each weight and token. Training takes six.",
    _with(_gpt, each=2, scores=4),
)
gpt_training_flops.diagnose(
    "the attention is forgotten: scores and mixtures take 4 K T C operations a token forward, three times that in training.",
    _with(_gpt, scores=0),
)
gpt_training_flops.diagnose(
    "the attention is counted forward only. Its products have two on the way back, too: 12 K T C a token.",
    _with(_gpt, scores=4),
)
gpt_training_flops.diagnose(
    "the attention is counted with the square of the context for each token. A token looks at T others; all together they make T^2.",
    lambda layers, width, context, vocab, tokens: _gpt(
        layers, width, context, vocab, tokens, scores=12 * context
    ),
)
gpt_training_flops.diagnose(
    "the head is forgotten: its V C weights are multiplied for each token, though they are those of the embedding.",
    _with(_gpt, tables=0),
)
gpt_training_flops.diagnose(
    "the embedding is counted beside the head. Looking up a row is no product.",
    _with(_gpt, tables=2),
)
gpt_training_flops.diagnose(
    "the table of positions is counted. Its rows are looked up and added, not multiplied.",
    _with(_gpt, positions=1),
)
gpt_training_flops.diagnose(
    "a block has 4 C^2 weights in its attention and 8 C^2 in its perceptron: 12 C^2 together.",
    _with(_gpt, block=4),
    _with(_gpt, block=8),
    _with(_gpt, block=6),
)
gpt_training_flops.diagnose(
    "the tokens are forgotten: these are the operations of one.",
    lambda layers, width, context, vocab, tokens: _gpt(layers, width, context, vocab, 1),
)
gpt_training_flops.diagnose(
    "a multiplication with its addition is counted as one operation. Here they are two.",
    _with(_gpt, each=3, scores=6),
)

gpt_training_flops.diagnose(
    "the attention is counted for one token. It stands inside the brackets: every token has its own.",
    lambda layers, width, context, vocab, tokens: (
        _gpt(layers, width, context, vocab, tokens, scores=0) + 12 * layers * context * width
    ),
)
gpt_training_flops.diagnose(
    "this is 6 P D. Positions, biases and norms multiply nothing, and attention is missing.",
    lambda layers, width, context, vocab, tokens: (
        _gpt(layers, width, context, vocab, tokens, positions=1, scores=0)
        + 6 * tokens * (13 * layers + 2) * width
    ),
)
gpt_training_flops.diagnose(
    "half of the attention is left out. A mask hides the tokens to come; here their products are counted all the same.",
    _with(_gpt, scores=6),
)
gpt_training_flops.diagnose(
    "the attention is multiplied by six once more: 12 K T C is what it takes in training.",
    _with(_gpt, scores=72),
)

# ---------------------------------------------------------------- token_seconds


def _bounds(parameters, batch, size, peak, bandwidth, each=2):
    return each * parameters * batch / peak, size * parameters / bandwidth


@exercise(
    "seconds",
    Case("one text: reading takes longer", lambda rng: (1e9, 1, 2, 1e14, 1e12), show=True),
    Case("many texts: computing does", lambda rng: (1e9, 500, 2, 1e14, 1e12), show=True),
    Case("eight bits a number", lambda rng: (7e9, 3, 1, 3e14, 2e12), show=True),
    Case("a slow processor", lambda rng: (1e8, 3, 4, 1e10, 5e10), show=True),
    Case("float32, many texts", lambda rng: (1e8, 40, 4, 2e13, 4e12), show=True),
)
def token_seconds(parameters, batch, size, peak, bandwidth):
    """token_seconds(parameters, batch, size, peak, bandwidth) -> seconds: at best, for the next token of each of `batch` texts (eq-token-time).

    Every parameter is a weight that is multiplied once a token, and takes `size` bytes; it is read once for the whole batch. peak are
    operations a second, bandwidth bytes a second. Reading and computing go on at the same time."""
    return max(_bounds(parameters, batch, size, peak, bandwidth))


token_seconds.diagnose(
    "this is the time of computing alone. The weights must be read, too, and that may take longer.",
    lambda *arguments: _bounds(*arguments)[0],
)
token_seconds.diagnose(
    "this is the time of reading alone. With many texts the computing takes longer.",
    lambda *arguments: _bounds(*arguments)[1],
)
token_seconds.diagnose(
    "the two times are added. They run at the same time, so the longer one counts.",
    lambda *arguments: sum(_bounds(*arguments)),
)
token_seconds.diagnose(
    "this is the shorter of the two times. Both must be over, so the longer one counts.",
    lambda *arguments: min(_bounds(*arguments)),
)
token_seconds.diagnose(
    "a weight takes two operations a token, a multiplication and an addition.",
    lambda *arguments: max(_bounds(*arguments, each=1)),
)
token_seconds.diagnose(
    "six operations a weight are those of training. Without the way back they are two.",
    lambda *arguments: max(_bounds(*arguments, each=6)),
)
token_seconds.diagnose(
    "the batch is forgotten: each text has a token to be computed.",
    lambda parameters, batch, size, peak, bandwidth: max(
        _bounds(parameters, 1, size, peak, bandwidth)
    ),
)
token_seconds.diagnose(
    "the weights are read anew for each text. They are read once for the whole batch: that is why one computes batches.",
    lambda parameters, batch, size, peak, bandwidth: max(
        2 * parameters * batch / peak, batch * size * parameters / bandwidth
    ),
)
token_seconds.diagnose(
    "the size is forgotten: bandwidth counts bytes, and a parameter takes `size` of them.",
    lambda parameters, batch, size, peak, bandwidth: max(
        _bounds(parameters, batch, 1, peak, bandwidth)
    ),
)
token_seconds.diagnose(
    "do not divide by `batch`: all texts wait for the same step.",
    lambda *arguments: max(_bounds(*arguments)) / arguments[1],
)
token_seconds.diagnose(
    "`size` is in bytes already.",
    lambda parameters, batch, size, peak, bandwidth: max(
        _bounds(parameters, batch, size / 8, peak, bandwidth)
    ),
)
token_seconds.diagnose(
    "these are steps a second. Asked are the seconds of a step.",
    lambda *arguments: 1 / max(_bounds(*arguments)),
)
