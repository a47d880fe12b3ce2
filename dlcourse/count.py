"""What a model costs, from its configuration alone: parameters and operations, layer by layer."""

import functools
from dataclasses import dataclass
from itertools import pairwise

from dlcourse.config import CNNConfig, MLPConfig, ResNetConfig
from dlcourse.geometry import conv_flops, conv_parameters, output_size

NORM_PARAMETERS = {"none": 0, "batch": 2, "layer": 2, "rms": 1}  # for each feature


@dataclass(frozen=True)
class Layer:
    """One layer with weights, under the name that it has in the state."""

    name: str
    shape: tuple[int, ...]  # of its output, without the batch: (H', W', O) or (O,)
    parameters: int  # trained numbers: running statistics are none
    flops: int  # multiplications and additions for one example, forward


def parameters(config):
    """The trained numbers of the model: weights, biases, and those of its norms  (eq-parameter-count, eq-conv-parameters).

    He et al. (2016) count shortcuts without parameters (their option A: zeros for the new channels), where the `project` layers of this book
    have some: leave those rows of `layers` out to compare with their table."""
    return sum(layer.parameters for layer in layers(config))


def flops(config):
    """The floating-point operations of one example, forward: two, a multiplication and an addition, for every use of a weight of a
    convolution or a Linear layer  (eq-conv-flops).

    Norms, activations and pooling are left out, as in published counts. Those often count a multiplication with its addition as
    one operation: half of this number."""
    return sum(layer.flops for layer in layers(config))


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


def _norm(name, kind, shape):
    """[Layer] of a norm, [] for none."""
    return [Layer(name, shape, NORM_PARAMETERS[kind] * shape[-1], 0)] if kind != "none" else []
