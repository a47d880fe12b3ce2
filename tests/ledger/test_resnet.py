"""Residual networks: each line of the chapter at random points, with small matrices in the place of convolutions where any map serves."""

import dataclasses
import functools
import itertools
import math

import numpy as np
import pytest

from dlcourse import check, count
from dlcourse.config import ResNetConfig
from dlcourse.initial import initial_state, whitened
from dlcourse.numpy import SGD, Learner
from dlcourse.numpy import convolution as c
from dlcourse.numpy import functional as f
from dlcourse.numpy.resnet import ResidualBlock, ResNet
from dlcourse.state import fold_norms
from dlcourse.views import mirrored
from tests.equations import assert_lines_agree, assert_same, numerical_gradient, numerical_jacobian

EPS = 1e-5  # of the norms


def stack(rng, blocks=4, size=5):
    """Branches tanh(W x), the x that they see, and their Jacobians there: xs[0] enters block 1, branches[0] and jacobians[0] are its own."""
    weights = rng.normal(size=(blocks, size, size)) / math.sqrt(size)
    branches = [lambda x, w=w: np.tanh(w @ x) for w in weights]
    xs = [rng.normal(size=size)]
    for branch in branches:
        xs.append(xs[-1] + branch(xs[-1]))
    jacobians = [(1 - branch(x) ** 2)[:, None] * w for branch, x, w in zip(branches, xs, weights, strict=False)]
    return branches, xs, jacobians


def through(branches, x, after=lambda z: z):
    for branch in branches:
        x = after(x + branch(x))
    return x


def product(factors):
    """The last times ... times the first."""
    return functools.reduce(lambda left, right: right @ left, factors)


@pytest.mark.equation("eq-plain-product", formula_only=True)
def test_plain_product(rng):
    branches, _, _ = stack(rng)
    x, dy = rng.normal(size=5), rng.normal(size=5)
    xs = [x]
    for layer in branches:
        xs.append(layer(xs[-1]))
    matrices = [numerical_jacobian(layer, at) for layer, at in zip(branches, xs, strict=False)]
    back = dy
    for matrix in reversed(matrices):
        back = matrix.T @ back
    whole = numerical_gradient(lambda x: dy @ functools.reduce(lambda x, layer: layer(x), branches, x), x)
    assert_lines_agree([whole, back, product(matrices).T @ dy], rtol=1e-7)
    assert_same("0.9 and 1.1 fifty times", [round(0.9**50, 3), round(1.1**50)], [0.005, 117], rtol=1e-12)
    assert_same("ten weak layers", [round(0.5**10, 3), round(1.5**10), round(1.05**10, 1)], [0.001, 58, 1.6], rtol=1e-12)


def random_block(rng, inputs, outputs, stride):
    block = ResidualBlock(inputs, outputs, stride)
    state = {name: rng.normal(size=a.shape) for name, a in block.state().items()}
    block.load_state({name: np.abs(a) + 0.1 if "var" in name else a for name, a in state.items()})
    return block


def norm(z, layer):
    """A batch norm in training, from its definition."""
    mean, variance = z.mean(axis=(0, 1, 2)), z.var(axis=(0, 1, 2))
    return layer.weight.data * (z - mean) / np.sqrt(variance + EPS) + layer.bias.data


def convolved(x, layer, stride=1, padding=1):
    weight = layer.weight.data
    return c.conv2d(x, weight, np.zeros(len(weight)), stride, padding)[0]


@pytest.mark.equation("eq-residual-block")
@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(3, 3, 1), (3, 4, 2), (3, 3, 2), (2, 5, 1)])
def test_block(rng, inputs, outputs, stride):
    block, x = random_block(rng, inputs, outputs, stride), rng.normal(size=(3, 6, 5, inputs))
    h = np.maximum(norm(convolved(x, block.conv_1, stride), block.norm_1), 0)
    branch = norm(convolved(h, block.conv_2), block.norm_2)
    same = (inputs, 1) == (outputs, stride)
    skip = x if same else norm(convolved(x, block.project, stride, 0), block.project_norm)
    assert_same("implementation", block(x)[0], np.maximum(skip + branch, 0), rtol=1e-12)
    assert (block.project is None) == same


@pytest.mark.equation("eq-residual-block-vjp")
@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(2, 2, 1), (2, 3, 2)])
def test_block_gradient(rng, inputs, outputs, stride):
    block, x = random_block(rng, inputs, outputs, stride), rng.normal(size=(2, 4, 4, inputs))
    c_1, c_1_back = block.conv_1(x)
    a, n_1_back = block.norm_1(c_1)
    c_2, c_2_back = block.conv_2(np.maximum(a, 0))
    branch, n_2_back = block.norm_2(c_2)
    skip, skip_back = x, lambda dz: dz
    if block.project:
        c_s, c_s_back = block.project(x)
        skip, n_s_back = block.project_norm(c_s)
        skip_back = lambda dz: c_s_back(n_s_back(dz))  # noqa: E731
    z = skip + branch
    dy = rng.normal(size=z.shape)
    dz = dy * (z > 0)
    dx = skip_back(dz) + c_1_back(n_1_back((a > 0) * c_2_back(n_2_back(dz))))
    numeric = numerical_gradient(lambda x: (dy * block(x)[0]).sum(), x)
    assert_lines_agree([numeric, dx, block(x)[1](dy)], rtol=1e-6)


def test_block_by_hand():
    def block(x, weight):
        h, relu_1_back = f.relu(np.array([1.0 * x]))
        y, relu_2_back = f.relu(x + weight * h)
        dz = relu_2_back(np.array([1.0]))
        return float(y[0]), float((dz + relu_1_back(weight * dz))[0])

    assert_same("open", block(2.0, -0.5), (1.0, 0.5), rtol=1e-12)
    assert_same("a little further", block(2.1, -0.5)[0], 1.05, rtol=1e-12)
    assert_same("shut", block(2.0, -1.5), (0.0, 0.0), rtol=0)


@pytest.mark.equation("eq-residual-sum", formula_only=True)
def test_residual_sum(rng):
    branches, xs, jacobians = stack(rng)
    total = len(branches)
    gradients = [rng.normal(size=5)]  # dx_L first
    for jacobian in reversed(jacobians):
        gradients.insert(0, gradients[0] + jacobian.T @ gradients[0])
    for m in range(total):
        assert_same("forward", xs[total], xs[m] + sum(branches[k](xs[k]) for k in range(m, total)), rtol=1e-12)
        added = gradients[total] + sum(jacobians[k].T @ gradients[k + 1] for k in range(m, total))
        numeric = numerical_gradient(lambda x, m=m: gradients[total] @ through(branches[m:], x), xs[m])
        assert_lines_agree([numeric, gradients[m], added], rtol=1e-7)


@pytest.mark.equation("eq-identity-path", formula_only=True)
def test_identity_path(rng):
    branches, xs, jacobians = stack(rng)
    terms = [np.eye(5)]
    for size in range(1, len(branches) + 1):
        terms += [product([jacobians[k] for k in subset]) for subset in itertools.combinations(range(len(branches)), size)]
    assert len(terms) == 2 ** len(branches)
    whole = numerical_jacobian(lambda x: through(branches, x), xs[0])
    assert_lines_agree([whole, product([np.eye(5) + j for j in jacobians]), sum(terms)], rtol=1e-7)


@pytest.mark.equation("eq-relu-path", formula_only=True)
def test_relu_path(rng):
    weights = rng.normal(size=(3, 6, 6)) / 2
    branches = [lambda x, w=w: np.tanh(w @ x) for w in weights]
    x = start = np.abs(rng.normal(size=6))
    factors, masks = [], []
    for branch, w in zip(branches, weights, strict=True):
        jacobian = (1 - branch(x) ** 2)[:, None] * w
        z = x + branch(x)
        masks.append(np.diag((z > 0).astype(float)))
        factors.append(masks[-1] @ (np.eye(6) + jacobian))
        x = np.maximum(z, 0)
    whole = numerical_jacobian(lambda x: through(branches, x, lambda z: np.maximum(z, 0)), start)
    assert_lines_agree([whole, product(factors)], rtol=1e-7)
    always_open = np.min([np.diag(mask) for mask in masks], axis=0)
    assert_same("the identity's term", product(masks), np.diag(always_open), rtol=0)


@pytest.mark.equation("eq-residual-growth", formula_only=True)
def test_growth_over_both_signs(rng):
    x, branch = np.abs(rng.normal(size=200)), rng.normal(size=200) * 2
    both = np.stack([branch, -branch])  # equally likely

    def mean(values):
        return np.mean(values)

    assert_same("before the ReLU", mean((x + both) ** 2), mean(x**2) + mean(branch**2), rtol=1e-12)
    split = np.maximum(x + both, 0) ** 2 + np.maximum(-x - both, 0) ** 2
    assert_same("the split", split, (x + both) ** 2, rtol=1e-12)
    assert np.all(np.maximum(-x - both, 0) <= np.maximum(-both, 0))
    assert_same("one half", mean(np.maximum(-both, 0) ** 2), 0.5 * mean(branch**2), rtol=1e-12)
    assert mean(x**2) + 0.5 * mean(branch**2) <= mean(np.maximum(x + both, 0) ** 2) <= mean(x**2) + mean(branch**2)


@pytest.mark.equation("eq-residual-growth", formula_only=True)
def test_growth_of_the_package_s_block(rng):
    """The signs of the second convolution turn the branch's, through its norm; and with the norm its mean square is 1."""
    config = ResNetConfig((8, 8, 1), stem=6, widths=(6,), blocks=(1,), strides=(1,))
    x = np.maximum(rng.normal(size=(16, 8, 8, 6)), 0)
    for kind in ("batch", "none"):
        model = ResNet(dataclasses.replace(config, norm=kind))
        model.load_state(initial_state(model.config, 0, np.float64))
        block, found = model.blocks[0], []
        for sign in (1, -1):
            block.conv_2.weight.data[...] *= sign
            h = np.maximum(block.norm_1(block.conv_1(x)[0])[0] if kind == "batch" else block.conv_1(x)[0], 0)
            z = block.conv_2(h)[0]
            branch = block.norm_2(z)[0] if kind == "batch" else z
            assert_same("the block", block(x)[0], np.maximum(x + branch, 0), rtol=1e-12)
            found.append(branch)
            block.conv_2.weight.data[...] *= sign
        assert_same("the sign", found[0], -found[1], rtol=1e-9)
        square = (found[0] ** 2).mean()
        if kind == "batch":
            assert abs(square - 1.0) < 1e-4  # but for eps
        after = np.mean([np.maximum(x + branch, 0) ** 2 for branch in found])
        assert (x**2).mean() + 0.5 * square <= after <= (x**2).mean() + square


@pytest.mark.equation("eq-gradient-growth", formula_only=True)
def test_gradient_growth(rng):
    jacobian, v = rng.normal(size=(7, 7)), rng.normal(size=7)
    squares = [np.sum((v + sign * jacobian.T @ v) ** 2) for sign in (1, -1)]
    assert_same("over both signs", np.mean(squares), np.sum(v**2) + np.sum((jacobian.T @ v) ** 2), rtol=1e-12)
    for power, blocks in itertools.product((0.5, 1.0, 2.0), (5, 50, 500)):
        steps = np.arange(1, blocks + 1)
        grown = np.prod(1 + power / steps)
        bounds = [math.exp(power * np.sum(1 / steps)), math.exp(power * (1 + math.log(blocks)))]
        assert grown <= bounds[0] <= bounds[1] * (1 + 1e-12)
        assert_same("a power of the depth", bounds[1], math.exp(power) * blocks**power, rtol=1e-12)


@pytest.mark.equation("eq-branch-scale", formula_only=True)
def test_scale_of_the_branch(rng):
    block, x = random_block(rng, 3, 3, 1), rng.normal(size=(4, 5, 5, 3))
    v = rng.normal(size=x.shape)
    for layer in (block.norm_1, block.norm_2):
        layer.eps = 1e-14  # the formula has none

    def branch(x):
        h = np.maximum(block.norm_1(block.conv_1(x)[0])[0], 0)
        return block.norm_2(block.conv_2(h)[0])[0]

    def along(x, h=1e-6):
        return (branch(x + h * v) - branch(x - h * v)) / (2 * h)

    for a in (0.5, 3.0):
        assert_same("F(a x) = F(x)", branch(a * x), branch(x), rtol=1e-9)
        assert_same("J(a x) = J(x) / a", along(a * x), along(x) / a, rtol=1e-5)


@pytest.mark.equation("eq-frame-share", formula_only=True)
@pytest.mark.parametrize("n", [2, 3, 4, 8, 32])
def test_share_inside_the_frame(n):
    inside = sum(0 <= a + i - 1 < n for a in range(n) for i in range(3))
    counted = c.conv2d(np.ones((1, n, n, 1)), np.ones((1, 3, 3, 1)), np.zeros(1), padding=1)[0].mean() / 9
    assert_lines_agree([counted, (inside / (3 * n)) ** 2, ((3 * n - 2) / (3 * n)) ** 2], rtol=1e-12)
    printed = {32: 0.96, 8: 0.84, 2: 0.44}
    assert round(counted, 2) == printed.get(n, round(counted, 2))


@pytest.mark.equation("eq-frame-map", formula_only=True)
@pytest.mark.parametrize("n", [2, 5, 8])
def test_mean_squares_behind_one_convolution(rng, n):
    x = rng.uniform(0.0, 2.0, size=(1, n, n, 2))
    M, A = (x[0] ** 2).mean(axis=-1), (abs(np.subtract.outer(np.arange(n), np.arange(n))) <= 1) / 3
    window = np.zeros((n, n))
    for a, b, i, j in itertools.product(range(n), repeat=4):
        window[a, b] += M[i, j] / 9 if max(abs(i - a), abs(j - b)) <= 1 else 0.0
    assert_lines_agree([A @ M @ A.T, window], rtol=1e-12)
    draws = 40_000  # of He's weights, one for each output channel
    w = rng.normal(0.0, math.sqrt(2 / (9 * 2)), size=(draws, 3, 3, 2))
    h, _ = f.relu(c.conv2d(x, w, None, padding=1)[0])
    np.testing.assert_allclose((h[0] ** 2).mean(axis=-1), window, rtol=0.08)  # a sample: six standard errors
    even = A @ np.ones((n, n)) @ A.T
    assert_lines_agree([even.mean(), ((3 * n - 2) / (3 * n)) ** 2], rtol=1e-12)


@pytest.mark.equation("eq-fold-norm")
def test_folded_norm(rng):
    x, w, b = rng.normal(size=(2, 6, 6, 3)), rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)
    gamma, beta, m = rng.normal(size=(3, 4))
    v = rng.uniform(0.5, 2.0, size=4)
    scale = gamma / np.sqrt(v + EPS)
    y = c.conv2d(x, w, b, padding=1)[0]
    lines = [
        f.batch_norm(y, gamma, beta, m.copy(), v.copy(), training=False, eps=EPS)[0],
        gamma * (y - m) / np.sqrt(v + EPS) + beta,
        c.conv2d(x, scale[:, None, None, None] * w, beta + gamma * (b - m) / np.sqrt(v + EPS), padding=1)[0],
    ]
    assert_lines_agree(lines, rtol=1e-12)


@pytest.mark.equation("eq-fold-norm")
def test_folded_network(rng):
    config = ResNetConfig((8, 8, 2), stem=3, widths=(3, 5), blocks=(1, 1), strides=(1, 2))
    state = {name: rng.normal(size=a.shape) for name, a in initial_state(config, 0).items()}
    state = {name: np.abs(a) + 0.5 if "var" in name else a for name, a in state.items()}
    outputs, x = [], rng.normal(size=(3, 8, 8, 2))
    for kind, weights in (("batch", state), ("none", fold_norms(config, state))):
        model = ResNet(dataclasses.replace(config, norm=kind))
        model.load_state(weights)
        outputs.append(model.eval()(x)[0])
    assert_same("the whole network", *outputs, rtol=1e-10)
    folded = fold_norms(config, state)
    scale = state["stem_norm.weight"] / np.sqrt(state["stem_norm.running_var"] + EPS)
    assert_same("weight", folded["stem.weight"], scale[:, None, None, None] * state["stem.weight"], rtol=1e-12)
    shift = state["stem_norm.bias"] + scale * (0 - state["stem_norm.running_mean"])
    assert_same("bias", folded["stem.bias"], shift, rtol=1e-12)


@pytest.mark.equation("eq-block-parameters")
@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(16, 16, 1), (16, 32, 2), (8, 8, 2), (3, 8, 1)])
def test_block_parameters(inputs, outputs, stride):
    printed = 9 * inputs * outputs + 9 * outputs**2 + 4 * outputs
    printed += ((inputs, 1) != (outputs, stride)) * (inputs * outputs + 2 * outputs)
    built = sum(a.size for name, a in ResidualBlock(inputs, outputs, stride).state().items() if "running" not in name)
    config = ResNetConfig((8, 8, 1), stem=inputs, widths=(outputs,), blocks=(1,), strides=(stride,))
    counted = sum(layer.parameters for layer in count.layers(config) if layer.name.startswith("blocks."))
    assert_lines_agree([printed, built, counted, check.block_parameters.reference(inputs, outputs, stride)], rtol=0)


def test_depth():
    assert [ResNetConfig(blocks=(n, n, n)).depth for n in (1, 3, 5, 7, 9)] == [8, 20, 32, 44, 56]


def test_scaled_branch():
    for blocks in (1, 10, 1000):
        assert (1 + 2 / blocks) ** blocks < math.e**2
    assert_same("27 blocks", 3.0**27, 7.6e12, rtol=0.01)


@pytest.mark.equation("eq-whitened-stem")
def test_whitened_stem(rng):
    images, eps = rng.normal(size=(5, 6, 7, 2)) @ rng.normal(size=(2, 2)) + 3.0, 0.1
    patches = np.array([images[n, i : i + 3, j : j + 3].ravel() for n in range(5) for i in range(4) for j in range(5)])
    centred = patches - patches.mean(axis=0)
    covariance = sum(np.outer(p, p) for p in centred) / len(centred)
    values, vectors = np.linalg.eigh(covariance)
    for value, v in zip(values, vectors.T, strict=True):
        w = v / np.sqrt(value + eps)
        lines = [((centred @ w) ** 2).mean(), w @ covariance @ w, value / (value + eps)]  # the variance of the response to w
        assert_lines_agree(lines, rtol=1e-10)
    for v, u in itertools.combinations(vectors.T, 2):  # no correlation between two responses
        assert abs(v @ covariance @ u) < 1e-10
    found = whitened(initial_state(ResNetConfig((6, 7, 2), stem=36), 0, np.float64), images, eps)["stem.weight"].reshape(36, -1)
    expected = (vectors / np.sqrt(values + eps)).T[::-1]  # longest first
    signs = np.sign((found[:18] * expected).sum(axis=1))
    assert_same("implementation", found[:18], expected * signs[:, None], rtol=1e-9)
    assert_same("the same with -", found[18:], -found[:18], rtol=0)


@pytest.mark.equation("eq-mirrored")
def test_mean_over_an_image_and_its_mirror_image(rng):
    config = ResNetConfig((6, 6, 2), stem=3, widths=(4,), blocks=(1,), strides=(1,), outputs=5)
    model = ResNet(config)
    model.load_state(initial_state(config, 0, np.float64))
    learner, x = Learner(model, SGD(model)), rng.normal(size=(7, 6, 6, 2))
    z, other = model.eval()(x)[0], model.eval()(x[:, :, [5, 4, 3, 2, 1, 0]])[0]
    assert abs(z - other).max() > 1e-3
    p, q = (np.exp(a) / np.exp(a).sum(axis=-1, keepdims=True) for a in (z, other))
    geometric = np.sqrt(p * q)
    lines = [np.exp((z + other) / 2), geometric, np.exp(mirrored(learner, x, batch_size=3))]
    assert_lines_agree([line / line.sum(axis=-1, keepdims=True) for line in lines], rtol=1e-10)
    assert_same("implementation", mirrored(learner, x), (z + other) / 2, rtol=1e-12)
