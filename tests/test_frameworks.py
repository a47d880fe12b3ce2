"""The table of the chapter on frameworks and devices, row by row: what differs between PyTorch and MLX.

The rows are read from the page. A row without a test fails, and a test without a row; each test runs both frameworks and asks the
words of the row for what it found."""

import json
from pathlib import Path

import numpy as np
import pytest

CHAPTER = Path(__file__).resolve().parents[1] / "chapters" / "foundations" / "frameworks-devices.ipynb"
HEADING = "### What differs between PyTorch and MLX"
TESTS = {}


def rows():
    """{first cell: (PyTorch, MLX)} of the table behind the heading."""
    cells = json.loads(CHAPTER.read_text(encoding="utf-8"))["cells"]
    text = next("".join(cell["source"]) for cell in cells if HEADING in "".join(cell["source"]))
    lines = [line for line in text.split(HEADING)[1].splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert table[0] == ["", "PyTorch", "MLX"] and set("".join(table[1])) == {"-"}
    assert all(len(row) == 3 for row in table)
    return {key: (torch, mlx) for key, torch, mlx in table[2:]}


def row(key, torch_says, mlx_says):
    """Decorator: the test of the row that begins with `key`, whose cells hold these words."""

    def register(test):
        TESTS[key] = (test, torch_says, mlx_says)
        return test

    return register


@pytest.fixture(scope="module")
def table():
    return rows()


def test_every_row_has_a_test_and_every_test_a_row(table):
    assert list(table) == list(TESTS)
    assert len(table) >= 20


@pytest.mark.parametrize("key", TESTS)
def test_row(key, table):
    import mlx.core as mx
    import mlx.nn as nn
    import torch

    test, torch_says, mlx_says = TESTS[key]
    on_page = table[key]
    assert torch_says in on_page[0]
    assert mlx_says in on_page[1]
    test(torch, mx, nn)


def pending(mx, tmp, array):
    mx.export_to_dot(str(tmp), array)
    return tmp.read_text().count("shape=rectangle")


def numbers(array):
    return np.array(array, dtype=np.float64)


@row("a line computes", "at once", "when evaluated")
def lazily(torch, mx, nn):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        x = mx.ones((3, 3))
        mx.eval(x)
        y = x @ x
        assert pending(mx, Path(folder) / "graph.dot", y) == 1
        mx.eval(y)
        assert pending(mx, Path(folder) / "graph.dot", y) == 0
    seen = []
    x = torch.ones(3, 3)
    y = x @ x
    x.zero_()  # a product that came later would see zeros
    seen.append(y[0, 0].item())
    assert seen == [3.0]


@row("gradients", "added into `p.grad`", "returned")
def gradients(torch, mx, nn):
    p = torch.nn.Parameter(torch.tensor([2.0]))
    for _ in range(2):
        (p * p).sum().backward()
    assert p.grad.item() == 8.0
    gradient = mx.grad(lambda w: (w * w).sum())
    w = mx.array([2.0])
    assert [gradient(w).item() for _ in range(2)] == [4.0, 4.0]
    assert not hasattr(w, "grad")


@row("cross-entropy", "mean", '`reduction="none"`')
def cross_entropy(torch, mx, nn):
    logits, labels = np.float32([[1, 2, 3], [0, 1, 5]]), np.array([0, 2])
    ours = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(labels))
    rows = nn.losses.cross_entropy(mx.array(logits), mx.array(labels))
    assert ours.shape == () and rows.shape == (2,)
    np.testing.assert_allclose(ours.item(), numbers(rows).mean(), rtol=1e-6)
    mean = nn.losses.cross_entropy(mx.array(logits), mx.array(labels), reduction="mean")
    np.testing.assert_allclose(ours.item(), mean.item(), rtol=1e-6)


@row("binary cross-entropy", "of probabilities", "`with_logits=True`")
def binary_cross_entropy(torch, mx, nn):
    p, t = np.float32([0.9, 0.2]), np.float32([1, 0])
    of_probabilities, of_logits = -np.log([0.9, 0.8]).mean(), np.log1p(np.exp([-0.9, 0.2])).mean()
    np.testing.assert_allclose(torch.nn.functional.binary_cross_entropy(torch.tensor(p), torch.tensor(t)), of_probabilities, rtol=1e-6)
    np.testing.assert_allclose(nn.losses.binary_cross_entropy(mx.array(p), mx.array(t)).item(), of_logits, rtol=1e-6)
    same = nn.losses.binary_cross_entropy(mx.array(p), mx.array(t), with_logits=False)
    np.testing.assert_allclose(same.item(), of_probabilities, rtol=1e-6)


@row("divergence, `kl_div`", "target of probabilities; mean over all entries", "target of logarithms; one number a row")
def divergence(torch, mx, nn):
    log_p, q = np.log(np.float32([[0.5, 0.5], [0.9, 0.1]])), np.float32([[0.25, 0.75], [0.5, 0.5]])
    rows = (q * (np.log(q) - log_p)).sum(axis=1)
    with pytest.warns(UserWarning, match="batchmean"):
        ours = torch.nn.functional.kl_div(torch.tensor(log_p), torch.tensor(q))
    np.testing.assert_allclose(ours.item(), rows.sum() / 4, rtol=1e-5)
    np.testing.assert_allclose(numbers(nn.losses.kl_div_loss(mx.array(log_p), mx.array(np.log(q)))), rows, rtol=1e-5)
    same_arguments = numbers(nn.losses.kl_div_loss(mx.array(log_p), mx.array(q)))
    assert np.all(same_arguments > 5 * rows)  # and no message


@row("Adam", "corrects", "`bias_correction=True`")
def adam(torch, mx, nn):
    import mlx.optimizers

    p = torch.nn.Parameter(torch.tensor([1.0]))
    p.grad = torch.tensor([2.0])
    torch.optim.Adam([p], lr=0.1).step()
    np.testing.assert_allclose(1 - p.item(), 0.1, rtol=1e-4)
    for options, step in (({}, 0.1 * 0.1 / 0.001**0.5), ({"bias_correction": True}, 0.1)):
        new = mlx.optimizers.Adam(0.1, **options).apply_gradients({"w": mx.array([2.0])}, {"w": mx.array([1.0])})
        np.testing.assert_allclose(1 - new["w"].item(), step, rtol=1e-4)


@row("clipping the norm", "in place, returns the norm", "new gradients and the norm")
def clipping(torch, mx, nn):
    import mlx.optimizers

    p = torch.nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([3.0, 4.0])
    norm = torch.nn.utils.clip_grad_norm_([p], 1.0)
    np.testing.assert_allclose(norm.item(), 5.0)
    np.testing.assert_allclose(p.grad, [0.6, 0.8], rtol=1e-5)
    tree = {"w": mx.array([3.0, 4.0])}
    clipped, norm = mlx.optimizers.clip_grad_norm(tree, 1.0)
    np.testing.assert_allclose(norm.item(), 5.0)
    np.testing.assert_allclose(numbers(clipped["w"]), [0.6, 0.8], rtol=1e-5)
    assert tree["w"].tolist() == [3.0, 4.0]


@row("images", "NCHW", "NHWC")
def images(torch, mx, nn):
    assert torch.nn.Conv2d(3, 5, 2)(torch.zeros(1, 3, 6, 7)).shape == (1, 5, 5, 6)
    assert nn.Conv2d(3, 5, 2)(mx.zeros((1, 6, 7, 3))).shape == (1, 5, 6, 5)


@row("weight of a convolution", "OIHW", "OHWI")
def kernels(torch, mx, nn):
    assert torch.nn.Conv2d(3, 5, (2, 4)).weight.shape == (5, 3, 2, 4)
    assert nn.Conv2d(3, 5, (2, 4)).weight.shape == (5, 2, 4, 3)


@row("LSTM, biases", "two, `bias_ih` and `bias_hh`", "one, `bias`")
def lstm_biases(torch, mx, nn):
    names = dict(torch.nn.LSTM(3, 4).named_parameters())
    assert {"bias_ih_l0", "bias_hh_l0"} <= set(names) and len(names) == 4
    assert set(nn.LSTM(3, 4).parameters()) == {"Wx", "Wh", "bias"}


@row("LSTM, results", "outputs, and the last $h$ and $c$", "of every step")
def lstm_results(torch, mx, nn):
    y, (h, c) = torch.nn.LSTM(3, 4, batch_first=True)(torch.zeros(2, 5, 3))
    assert [tuple(a.shape) for a in (y, h, c)] == [(2, 5, 4), (1, 2, 4), (1, 2, 4)]
    assert [a.shape for a in nn.LSTM(3, 4)(mx.zeros((2, 5, 3)))] == [(2, 5, 4), (2, 5, 4)]


@row("names in `Sequential`", "`0.weight`", "`layers.0.weight`")
def names(torch, mx, nn):
    from mlx.utils import tree_flatten

    assert "0.weight" in torch.nn.Sequential(torch.nn.Linear(2, 2)).state_dict()
    assert "layers.0.weight" in dict(tree_flatten(nn.Sequential(nn.Linear(2, 2)).parameters()))


@row("an array as attribute", "unless `nn.Parameter`", "unless its name begins with `_`")
def attributes(torch, mx, nn):
    class Ours(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.plain, self.trained = torch.zeros(2), torch.nn.Parameter(torch.zeros(2))

    class Theirs(nn.Module):
        def __init__(self):
            super().__init__()
            self.plain, self._hidden = mx.zeros(2), mx.zeros(2)

    assert [name for name, _ in Ours().named_parameters()] == ["trained"]
    assert list(Theirs().parameters()) == ["plain"]


@row("`Embedding`, at the start", "standard deviation $1$", r"standard deviation $1/\sqrt{C}$")
def embeddings(torch, mx, nn):
    torch.manual_seed(0)
    mx.random.seed(0)
    np.testing.assert_allclose(torch.nn.Embedding(2000, 64).weight.std().item(), 1.0, rtol=0.02)
    np.testing.assert_allclose(mx.std(nn.Embedding(2000, 64).weight).item(), 1 / 8, rtol=0.02)


@row("GELU's tanh form", '`approximate="tanh"`', "`nn.gelu_approx`")
def gelu(torch, mx, nn):
    x = np.float32([-1.0, 0.5, 2.0])
    tanh_form = x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    exact = torch.nn.functional.gelu(torch.tensor(x)).numpy()
    np.testing.assert_allclose(numbers(nn.gelu(mx.array(x))), exact, atol=1e-6)  # the defaults agree
    assert abs(exact - tanh_form).max() > 1e-4
    np.testing.assert_allclose(torch.nn.functional.gelu(torch.tensor(x), approximate="tanh"), tanh_form, atol=1e-6)
    np.testing.assert_allclose(numbers(nn.gelu_approx(mx.array(x))), tanh_form, atol=1e-6)


@row(r"`RMSNorm`, $\epsilon$", "epsilon of the format", "`1e-5`")
def rms_norm(torch, mx, nn):
    x = np.float32([1e-3, -1e-3])
    ours = torch.nn.RMSNorm(2)(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours, x / np.sqrt(1e-6 + 2.0**-23), rtol=1e-5)
    np.testing.assert_allclose(numbers(nn.RMSNorm(2)(mx.array(x))), x / np.sqrt(1e-6 + 1e-5), rtol=1e-5)


@row("standard deviation", "divides by $n - 1$", "divides by $n$")
def deviation(torch, mx, nn):
    x = np.float32([1, 2, 3, 6])
    np.testing.assert_allclose(torch.std(torch.tensor(x)), x.std(ddof=1), rtol=1e-6)
    np.testing.assert_allclose(mx.std(mx.array(x)).item(), x.std(), rtol=1e-6)


@row("whole numbers from a list", "int64", "int32")
def whole_numbers(torch, mx, nn):
    assert torch.tensor([1]).dtype == torch.int64
    assert mx.array([1]).dtype == mx.int32
    assert mx.array(np.array([1], np.int64)).dtype == mx.int64  # an array keeps its own


@row("`argmax`", "int64", "`4294967295`")
def largest_entry(torch, mx, nn):
    assert torch.tensor([3.0, 1.0]).argmax().dtype == torch.int64
    place = mx.array([3.0, 1.0]).argmax()
    assert place.dtype == mx.uint32
    assert (place - 1).item() == 4294967295


@row("float64 from NumPy", "stays float64", "becomes float32")
def from_numpy(torch, mx, nn):
    assert torch.from_numpy(np.zeros(2)).dtype == torch.float64
    assert mx.array(np.zeros(2)).dtype == mx.float32


@row("`exp` in float64", "right to float64", "right to float32")
def double_precision(torch, mx, nn):
    assert abs(torch.exp(torch.tensor(1.0, dtype=torch.float64)).item() / np.e - 1) < 1e-15
    error = abs(mx.exp(mx.array(1.0, dtype=mx.float64), stream=mx.cpu).item() / np.e - 1)
    assert 1e-12 < error < 1e-6


@row("index out of range", "`IndexError`; on CUDA a failed assertion", "no error")
def out_of_range(torch, mx, nn):
    with pytest.raises(IndexError):
        torch.tensor([1.0, 2.0])[5]
    with pytest.raises(IndexError):
        torch.nn.Embedding(4, 2)(torch.tensor([9]))
    mx.eval(mx.array([1.0, 2.0])[5], nn.Embedding(4, 2)(mx.array([9])))


@row("a slice", "shares the memory", "a new array")
def slices(torch, mx, nn):
    for x, shared in ((torch.zeros(3), True), (mx.zeros(3), False)):
        part = x[:2]
        x[0] = 5.0
        assert (part[0].item() == 5.0) == shared


@row("the same seed", "its own numbers", "other numbers")
def seeds(torch, mx, nn):
    torch.manual_seed(0)
    mx.random.seed(0)
    assert not np.allclose(torch.rand(4).numpy(), numbers(mx.random.uniform(shape=(4,))))


@row("`dim=1` in a sum", "yes, and `axis=1` too", "only `axis=1`")
def axes(torch, mx, nn):
    assert torch.ones(2, 3).sum(dim=1).tolist() == [3.0, 3.0]
    assert torch.ones(2, 3).sum(axis=1).tolist() == [3.0, 3.0]
    assert mx.ones((2, 3)).sum(axis=1).tolist() == [3.0, 3.0]
    with pytest.raises(TypeError):
        mx.ones((2, 3)).sum(dim=1)


@row("device", "belongs to the tensor", "belongs to the operation")
def devices(torch, mx, nn):
    assert torch.zeros(1).device.type == "cpu"
    x = mx.zeros(1)
    assert not hasattr(x, "device")
    assert mx.add(x, x, stream=mx.cpu).item() == 0.0
