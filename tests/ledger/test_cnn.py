"""The equations of the chapter on convolutional networks, line by line, against the package and against finite differences."""

import numpy as np
import pytest

from dlcourse import count, geometry, metrics
from dlcourse.config import CNNConfig
from dlcourse.data.augment import mixup, smooth
from dlcourse.initial import initial_state
from dlcourse.numpy import CNN
from dlcourse.numpy import convolution as c
from dlcourse.numpy import functional as f
from dlcourse.recipes import ARTICLE_NETWORKS
from tests.equations import assert_lines_agree, assert_same, assert_vjp, numerical_gradient

CONFIG = CNNConfig((10, 13, 2), (3, 4), kernel=3, padding=(1, 0), hidden=(6,), outputs=5, activation="tanh")


@pytest.fixture
def network(rng):
    model = CNN(CONFIG)
    state = {name: rng.normal(size=array.shape) / 2 for name, array in initial_state(CONFIG, 0, np.float64).items()}
    model.load_state(state)
    return model, state


def pooled(a):
    """The maximum of each 2 x 2 window, and where it is: (N, H', W', C), and the rows and columns of the first maximum."""
    n, height, width, channels = a.shape[0], a.shape[1] // 2, a.shape[2] // 2, a.shape[3]
    h, place = np.zeros((n, height, width, channels)), np.zeros((2, n, height, width, channels), int)
    for i, p, q, o in np.ndindex(h.shape):
        window = a[i, 2 * p : 2 * p + 2, 2 * q : 2 * q + 2, o]
        row, column = divmod(int(window.argmax()), 2)
        h[i, p, q, o], place[:, i, p, q, o] = window[row, column], (2 * p + row, 2 * q + column)
    return h, place


def forward(state, x):
    """The recursion as printed: z_l, h_l and the places of the maxima of each convolution, the vectors v, and the logits."""
    h, z, places = [x], [], []
    for layer, padding in enumerate(CONFIG.padding):
        z.append(c.conv2d(h[-1], state[f"convs.{layer}.weight"], state[f"convs.{layer}.bias"], padding=padding)[0])
        maps, place = pooled(np.tanh(z[-1]))
        h.append(maps)
        places.append(place)
    n, height, width, channels = h[-1].shape
    v = np.zeros((n, height * width * channels))
    for i, a, b, o in np.ndindex(h[-1].shape):
        v[i, (a * width + b) * channels + o] = h[-1][i, a, b, o]
    hidden = np.tanh(v @ state["layers.0.weight"].T + state["layers.0.bias"])
    return z, h, places, v, hidden, hidden @ state["layers.1.weight"].T + state["layers.1.bias"]


@pytest.mark.equation("eq-cnn")
def test_forward(network, rng):
    model, state = network
    x = rng.normal(size=(3, 10, 13, 2))
    _, h, _, v, _, logits = forward(state, x)
    assert_same("logits", model(x)[0], logits, rtol=1e-13)
    assert_same("the order in memory", v, h[-1].reshape(3, -1), rtol=0)
    for layer in (0, 1):  # the sizes of the maps
        sides = [(n + 2 * CONFIG.padding[layer] - 3 + 1) // 2 for n in h[layer].shape[1:3]]
        assert_same("n_l", h[layer + 1].shape[1:3], sides, rtol=0)
    assert_same("features", CONFIG.features, h[-1].shape[1:], rtol=0)


@pytest.mark.equation("eq-cnn")
def test_sizes_and_parameters_in_the_text():
    for config, padding, sides in (
        (ARTICLE_NETWORKS["3-32-64-1024-10"], (0, 0), [32, 28, 14, 10, 5]),
        (CNNConfig(), (2, 0), [28, 28, 14, 10, 5]),
    ):
        n, found = config.inputs[0], [config.inputs[0]]
        for p in padding:
            found += [geometry.output_size(n, 5, padding=p), (n + 2 * p - 5 + 1) // 2]
            n = found[-1]
        assert_same("sides", found, sides, rtol=0)
        assert_same("what is left", config.features[:2], (5, 5), rtol=0)
    articles = {layer.name: layer.parameters for layer in count.layers(ARTICLE_NETWORKS["3-32-64-1024-10"])}
    assert_lines_agree([articles["layers.0"], (5 * 5 * 64 + 1) * 1024, 1601 * 1024, 1639424], rtol=0)
    assert_lines_agree([articles["convs.0"], (25 * 3 + 1) * 32, 76 * 32, 2432], rtol=0)
    assert_lines_agree([articles["convs.1"], (25 * 32 + 1) * 64, 801 * 64, 51264], rtol=0)
    lenet = [layer.parameters for layer in count.layers(CNNConfig())]  # the numbers of the figure
    assert_same("LeNet-5", lenet, [156, 2416, 48120, 10164, 850], rtol=0)
    same = CNNConfig((32, 32, 3), (32, 64), padding=2, hidden=(1024,))  # the first exercise
    assert_lines_agree([next(layer.parameters for layer in count.layers(same) if layer.name == "layers.0"), 4097 * 1024, 4195328], rtol=0)


@pytest.mark.equation("eq-cnn-vjp")
def test_backward(network, rng):
    model, state = network
    x, dz = rng.normal(size=(3, 10, 13, 2)), rng.normal(size=(3, 5))
    z, h, places, _, hidden, _ = forward(state, x)
    dhidden = (dz @ state["layers.1.weight"]) * (1 - hidden**2)
    dv = dhidden @ state["layers.0.weight"]
    width, channels = h[-1].shape[2:]
    dh = np.zeros(h[-1].shape)
    for n, a, b, o in np.ndindex(dh.shape):
        dh[n, a, b, o] = dv[n, (a * width + b) * channels + o]
    gradients = {}
    for layer in (1, 0):
        spread = np.zeros(z[layer].shape)  # eq-max-pool-vjp
        for n, a, b, o in np.ndindex(dh.shape):
            row, column = places[layer][:, n, a, b, o]
            spread[n, row, column, o] += dh[n, a, b, o]
        assert np.count_nonzero(spread) <= spread.size / 4
        dzl = (1 - np.tanh(z[layer]) ** 2) * spread
        _, back = c.conv2d(h[layer], state[f"convs.{layer}.weight"], state[f"convs.{layer}.bias"], padding=CONFIG.padding[layer])
        dh, gradients[f"convs.{layer}.weight"], gradients[f"convs.{layer}.bias"] = back(dzl)
    _, backward = model(x)
    assert_same("dx", backward(dz), dh, rtol=1e-12)
    for name, gradient in gradients.items():

        def loss(value, name=name):
            return (dz * forward(state | {name: value}, x)[-1]).sum()

        assert_lines_agree([numerical_gradient(loss, state[name]), gradient, model.gradients()[name]], rtol=1e-7)


@pytest.mark.equation("eq-max-pool", "eq-cnn")
def test_activation_and_max_pooling_change_places(rng):
    z, dh = rng.normal(size=(2, 6, 6, 3)), rng.normal(size=(2, 3, 3, 3))
    for activation in (f.relu, f.tanh, f.sigmoid):
        a, activation_back = activation(z)
        first, pool_back = c.max_pool2d(a, 2)
        m, max_back = c.max_pool2d(z, 2)
        second, later_back = activation(m)
        assert_same("values", first, second, rtol=0)
        assert_same("gradients", activation_back(pool_back(dh)), max_back(later_back(dh)), rtol=1e-14)
    relu = [max(u, 0.0) for u in (-1.0, 1.0)]
    assert_lines_agree([sum(relu) / 2, 0.5], rtol=0)
    assert_same("of the mean", f.relu(np.array([(-1.0 + 1.0) / 2]))[0], np.zeros(1), rtol=0)


def test_the_example_by_hand():
    x = np.array([2.0, 2, 5, 5, 1]).reshape(1, 1, 5, 1)
    z, conv_back = c.conv2d(x, np.array([-1.0, 1]).reshape(1, 1, 2, 1), np.zeros(1))
    a, relu_back = f.relu(z)
    assert_same("z", z.ravel(), np.array([0.0, 3, 0, -4]), rtol=0)
    assert_same("a", a.ravel(), np.array([0.0, 3, 0, 0]), rtol=0)
    pairs = a.reshape(2, 2)
    h = pairs.max(axis=1)
    assert_same("h and the answer", np.append(h, h @ [1, 2]), np.array([3.0, 0, 3]), rtol=0)
    da = np.zeros((2, 2))
    da[np.arange(2), pairs.argmax(axis=1)] = [1, 2]
    dz = relu_back(da.reshape(a.shape))
    assert_same("da", da.ravel(), np.array([0.0, 1, 2, 0]), rtol=0)
    assert_same("dz", dz.ravel(), np.array([0.0, 1, 0, 0]), rtol=0)
    assert_same("dx", conv_back(dz)[0].ravel(), np.array([0.0, -1, 1, 0, 0]), rtol=0)


@pytest.mark.equation("eq-saliency", formula_only=True)
def test_saliency(network, rng):
    model, state = network
    x = rng.normal(size=(2, 10, 13, 2))
    _, backward = model(x)
    k = np.array([3, 1])  # each image its own class, in one backward pass
    dx = backward(np.eye(5)[k])
    slopes = numerical_gradient(lambda x: forward(state, x)[-1][np.arange(2), k].sum(), x)
    assert_lines_agree([slopes, dx], rtol=1e-7)
    for n in range(2):
        alone = model(x[n : n + 1])[1](np.eye(5)[k[n : n + 1]])
        printed = np.array([[max(abs(alone[0, q, r, o]) for o in range(2)) for r in range(13)] for q in range(10)])
        assert_same("S", np.abs(dx[n]).max(axis=2), printed, rtol=1e-13)
    delta = 1e-6 * rng.normal(size=x.shape)  # the first order
    change = model(x + delta)[0][np.arange(2), k] - model(x)[0][np.arange(2), k]
    assert_same("first order", change, (delta * dx).sum(axis=(1, 2, 3)), rtol=1e-4)


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


@pytest.fixture
def soft(rng):
    return rng.normal(size=(4, 5)), rng.dirichlet(np.ones(5), size=4)  # logits, probabilities


@pytest.mark.equation("eq-soft-cross-entropy")
def test_soft_cross_entropy(soft):
    z, q = soft
    p = softmax(z)
    lines = [
        -sum(q[n, i] * np.log(p[n, i]) for n in range(4) for i in range(5)) / 4,
        sum(np.log(np.exp(z[n]).sum()) - (q[n] * z[n]).sum() for n in range(4)) / 4,
    ]
    assert_lines_agree(lines, rtol=1e-13)
    assert_same("implementation", f.cross_entropy(z, q)[0], lines[0], rtol=1e-13)
    one_hot = np.eye(5)[[1, 4, 0, 2]]
    assert_same("one-hot rows", f.cross_entropy(z, one_hot)[0], f.cross_entropy(z, np.array([1, 4, 0, 2]))[0], rtol=1e-13)


@pytest.mark.equation("eq-soft-cross-entropy-vjp")
def test_soft_cross_entropy_vjp(soft, rng):
    z, q = soft
    slope = [numerical_gradient(lambda z: np.log(np.exp(z).sum(axis=1)).sum(), z), np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)]
    assert_lines_agree(slope, rtol=1e-8)
    lines = [numerical_gradient(lambda z: -(q * np.log(softmax(z))).sum() / 4, z), (softmax(z) - q) / 4]
    assert_lines_agree(lines, rtol=1e-8)
    assert_same("implementation", f.cross_entropy(z, q)[1](1.0), lines[-1], rtol=1e-13)
    assert_vjp("cross_entropy", lambda z: f.cross_entropy(z, q), (z,), rng)


@pytest.mark.equation("eq-soft-cross-entropy", "eq-soft-cross-entropy-vjp")
def test_the_floor_is_the_entropy(soft):
    z, q = soft
    p = softmax(z)
    entropy, divergence = -(q * np.log(q)).sum(axis=1), (q * np.log(q / p)).sum(axis=1)
    assert_lines_agree([-(q * np.log(p)).sum(axis=1), entropy + divergence], rtol=1e-13)
    assert (divergence > 0).all()
    u = np.linspace(0.05, 4, 80)
    assert (np.log(u) <= u - 1).all()
    q[0] = [0.5, 0.5, 0, 0, 0]  # 0 log 0 = 0: the sums run over the classes with q > 0
    some = q[0] > 0
    assert (q[0, some] * np.log(p[0, some] / q[0, some])).sum() <= (p[0, some] - q[0, some]).sum() <= 0
    loss, backward = f.cross_entropy(np.log(q[1:]), q[1:])
    assert_same("the floor", loss, entropy[1:].mean(), rtol=1e-13)
    assert_same("p = q: no gradient", backward(1.0) + 1.0, np.ones((3, 5)), rtol=1e-15)


@pytest.mark.equation("eq-label-smoothing")
def test_smoothing_asks_for_a_finite_lead(rng):
    s, classes, y = 0.1, 10, np.array([3, 0, 7])
    x = rng.random((3, 4, 4, 1))
    _, q = smooth(s, classes)(x, y, rng)
    printed = np.array([[(1 - s) * (i == label) + s / classes for i in range(classes)] for label in y])
    assert_same("the augmentation", q, printed, rtol=1e-14)
    z = np.log(q)  # logits with p = q
    assert_lines_agree([z[0, 3] - z[0, 0], np.log(q[0, 3] / q[0, 0]), np.log((1 - s + s / classes) / (s / classes))], rtol=1e-13)


@pytest.mark.equation("eq-mixup")
def test_mixup(rng):
    x, y = rng.random((4, 3, 3, 2)), np.array([2, 0, 1, 1])
    mixed, q = mixup(0.4, classes=3)(x, y, np.random.default_rng(5))
    again = np.random.default_rng(5)  # in the order in which the augmentation draws
    share, partner = again.beta(0.4, 0.4, size=4), again.permutation(4)
    for m in range(4):
        other = partner[m]
        assert_same("x'", mixed[m], share[m] * x[m] + (1 - share[m]) * x[other], rtol=1e-13)
        printed = [share[m] * (i == y[m]) + (1 - share[m]) * (i == y[other]) for i in range(3)]
        assert_same("q'", q[m], np.array(printed), rtol=1e-13)
    z = rng.normal(size=(4, 3))
    p = softmax(z)
    losses = [-share[m] * np.log(p[m, y[m]]) - (1 - share[m]) * np.log(p[m, y[partner[m]]]) for m in range(4)]
    assert_lines_agree([-(q * np.log(p)).sum(axis=1), np.array(losses)], rtol=1e-13)
    assert_same("the mean of them", f.cross_entropy(z, q)[0], np.mean(losses), rtol=1e-13)


@pytest.mark.equation("eq-mixup")
@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_variance_of_mixed_pixels(alpha):
    mean, square = 0.5, alpha * (alpha + 1) / (2 * alpha * (2 * alpha + 1))  # E[lambda], E[lambda^2] of a Beta distribution
    assert_lines_agree([square - mean**2, 1 / (4 * (2 * alpha + 1))], rtol=1e-14)
    assert_lines_agree([square, 1 / (4 * (2 * alpha + 1)) + 0.25], rtol=1e-14)
    second = [2 * (1 / (4 * (2 * alpha + 1)) + 0.25), (1 + 2 * alpha + 1) / (2 * (2 * alpha + 1)), (alpha + 1) / (2 * alpha + 1)]
    assert_lines_agree(second, rtol=1e-14)
    share = np.random.default_rng(0).beta(alpha, alpha, size=400_000)
    assert abs(np.mean(share**2 + (1 - share) ** 2) / second[-1] - 1) < 0.01


@pytest.mark.equation("eq-batched-accuracy", formula_only=True)
def test_accuracy_in_batches(rng):
    labels, logits = rng.integers(0, 3, size=23), rng.normal(size=(23, 3))
    right = logits.argmax(axis=1) == labels
    batches = [right[start : start + 5] for start in range(0, 23, 5)]
    lines = [
        metrics.accuracy(logits, labels),
        sum(b.sum() for b in batches) / sum(len(b) for b in batches),
        sum(len(b) / 23 * b.mean() for b in batches),
    ]
    assert_lines_agree(lines, rtol=1e-14)
    # The deviation of a share of 2 draws, over all outcomes: right with probability p, independently.
    p = 0.3
    outcomes = [(a, b, (p if a else 1 - p) * (p if b else 1 - p)) for a in (0, 1) for b in (0, 1)]
    deviation = np.sqrt(sum(w * ((a + b) / 2 - p) ** 2 for a, b, w in outcomes))
    assert_same("standard deviation", deviation, np.sqrt(p * (1 - p) / 2), rtol=1e-14)
