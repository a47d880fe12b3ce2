"""What is refused at the door: one sentence that names the cure, in the same words in all three backends."""

import builtins
import sys

import numpy as np
import pytest

import dlcourse
from dlcourse import errors
from dlcourse.boundary import LOSSES
from dlcourse.config import CNNConfig, MLPConfig, ResNetConfig
from dlcourse.initial import initial_state

CONFIG = MLPConfig(6, (4,), 3)
each_backend = pytest.mark.parametrize("backend", dlcourse.BACKENDS)


def learner_of(backend, config=CONFIG, **options):
    package = dlcourse.backend(backend)
    model = getattr(package, type(config).__name__.removesuffix("Config"))(config)
    model.load_state(initial_state(config, 0))
    return package.Learner(model, package.SGD(model), **options)


def refusal(call):
    """The sentence of a ValueError."""
    with pytest.raises(ValueError) as caught:
        call()
    return str(caught.value)


X = np.zeros((4, 6), np.float32)
Y = np.array([0, 1, 2, 0])
BATCHES = {
    "label too large": (
        "cross_entropy",
        X,
        np.array([0, 1, 2, 3]),
        "labels run from 0 to 3 but the model has 3 classes: build it with outputs=4",
    ),
    "label negative": (
        "cross_entropy",
        X,
        np.array([0, 1, -1, 2]),
        "labels run from -1 to 2 but the model has 3 classes, numbered from 0: correct the 1 of 4 that are negative, the first at index 2",
    ),
    "labels from -1": (
        "cross_entropy",
        X,
        np.array([0, -1, 1, -1]),
        "labels run from -1 to 1 but the model has 3 classes, numbered from 0: "
        "correct the 2 of 4 that are negative, the first at index 1, or add 1 to all where they count from -1",
    ),
    "labels from 1": (
        "cross_entropy",
        X,
        np.array([1, 2, 3, 1]),
        "labels run from 1 to 3 but the model has 3 classes, numbered from 0: subtract 1 where they count from 1, else build it with outputs=4",
    ),
    "labels from 1, too large": (
        "cross_entropy",
        X,
        np.array([1, 2, 4, 1]),
        "labels run from 1 to 4 but the model has 3 classes: build it with outputs=5",
    ),
    "labels as floats": (
        "cross_entropy",
        X,
        Y.astype(float),
        "cross_entropy takes one integer class number for each example, not float64 of shape (4,)",
    ),
    "labels one-hot": (
        "cross_entropy",
        X,
        np.eye(3, dtype=int)[Y],
        "cross_entropy takes one integer class number for each example, not int64 of shape (4, 3)",
    ),
    "too few targets": ("cross_entropy", X, Y[:3], "4 examples but 3 targets: each example needs one"),
    "wrong width": (
        "cross_entropy",
        X[:, :5],
        Y,
        "an example has 5 numbers but the model takes 6: build it with inputs=5, or pass the data it was built for",
    ),
    "wrong image": ("cross_entropy", np.zeros((4, 3, 3, 1)), Y, "an example has 9 numbers but the model takes 6"),
    "empty batch": ("cross_entropy", X[:0], Y[:0], "the batch is empty (x has shape (0, 6)): pass at least one example"),
    "one example": ("cross_entropy", X[0], Y[:1], "x has shape (6,): the first axis is the batch, so a single example needs x[None]"),
    "a number": ("cross_entropy", np.float32(1), Y[:1], "x has shape ()"),
    "regression targets": ("mse", X, np.zeros((4, 2)), "targets of shape (4, 2) do not fit 3 outputs: pass shape (4, 3)"),
    "flat targets for three outputs": ("mse", X, np.zeros(4), "targets of shape (4,) do not fit 3 outputs: pass shape (4, 3)"),
    "not a probability": (
        "binary_cross_entropy",
        X,
        np.full((4, 3), 2.0),
        "targets run from 2.0 to 2.0: binary_cross_entropy takes probabilities",
    ),
}


@pytest.mark.parametrize(("loss", "x", "targets", "sentence"), BATCHES.values(), ids=BATCHES.keys())
@pytest.mark.parametrize("method", ["step", "evaluate", "gradients"])
@each_backend
def test_batches(backend, method, loss, x, targets, sentence):
    learner = learner_of(backend, loss=loss)
    before = learner.state()
    extra = (0.1,) if method == "step" else ()
    assert sentence in refusal(lambda: getattr(learner, method)((x, targets), *extra))
    assert all(np.array_equal(before[name], array) for name, array in learner.state().items()), "a refused batch changed something"


@pytest.mark.parametrize("name", ["wrong width", "empty batch", "one example", "wrong image"])
@each_backend
def test_predict(backend, name):
    _, x, _, sentence = BATCHES[name]
    assert sentence in refusal(lambda: learner_of(backend).predict(x))


@each_backend
def test_images_are_flattened(backend):
    learner = learner_of(backend)
    x = np.random.default_rng(0).normal(size=(4, 2, 3, 1)).astype(np.float32)
    assert np.array_equal(learner.predict(x), learner.predict(x.reshape(4, 6)))


# ---------------------------------------------------------------- images

NETWORKS = {
    "CNN": CNNConfig((8, 9, 3), channels=(4,), kernel=3, padding=0, hidden=(), outputs=3),
    "ResNet": ResNetConfig((8, 9, 3), widths=(4,), blocks=(1,), strides=(2,), stem=3, outputs=3),
}
GREY = CNNConfig((8, 9, 1), channels=(2,), kernel=3, padding=0, hidden=(), outputs=3)
each_image_network = pytest.mark.parametrize("network", NETWORKS)
FIRST = "x has shape {} with its 3 channels first, but images are (N, H, W, C): pass x.transpose(0, 2, 3, 1)"
IMAGES = {
    "single": ((8, 9, 3), "x has shape (8, 9, 3), a single image, but a batch is (N, H, W, C): pass x[None]"),
    "flat": ((4, 216), "x has shape (4, 216), flat rows, but images are (N, H, W, C): pass x.reshape(-1, 8, 9, 3)"),
    "flat, another length": (
        (4, 215),
        "x has shape (4, 215) but images are (N, H, W, C): add the missing axes of length 1, a single image needs x[None]",
    ),
    "no channels": (
        (4, 8, 9),
        "x has shape (4, 8, 9) but images are (N, H, W, C): add the missing axes of length 1, a single image needs x[None]",
    ),
    "a number": ((), "x has shape () but images are (N, H, W, C): add the missing axes of length 1, a single image needs x[None]"),
    "channels first": ((4, 3, 8, 9), FIRST.format("(4, 3, 8, 9)")),
    "channels first, another size": ((4, 3, 32, 32), FIRST.format("(4, 3, 32, 32)")),
    "other channels": (
        (4, 8, 9, 1),
        "images have 1 channels but the model takes 3: build it with inputs=(8, 9, 1), or pass the data it was built for",
    ),
    "other size": (
        (4, 9, 8, 3),
        "images are 9 x 8 but the model takes 8 x 9: build it with inputs=(9, 8, 3), or pass the data it was built for",
    ),
    "a height of 3": (
        (4, 3, 9, 3),
        "images are 3 x 9 but the model takes 8 x 9: build it with inputs=(3, 9, 3), or pass the data it was built for",
    ),
    "empty": ((0, 8, 9, 3), "the batch is empty (x has shape (0, 8, 9, 3)): pass at least one example"),
}


@pytest.mark.parametrize(("shape", "sentence"), IMAGES.values(), ids=IMAGES)
@each_image_network
@each_backend
def test_images(backend, network, shape, sentence):
    learner = learner_of(backend, NETWORKS[network])
    before = learner.state()
    x, labels = np.zeros(shape, np.float32), np.zeros(shape[0] if shape else 1, np.int64)
    for call in (
        lambda: learner.predict(x),
        lambda: learner.step((x, labels), 0.1),
        lambda: learner.evaluate((x, labels)),
        lambda: learner.gradients((x, labels)),
    ):
        assert refusal(call) == sentence
    assert all(np.array_equal(before[name], array) for name, array in learner.state().items()), "a refused batch changed something"


@pytest.mark.parametrize("case", ["single", "flat", "no channels", "channels first", "other channels", "other size"])
@pytest.mark.parametrize("network", ["CNN", "ResNet"])
@pytest.mark.parametrize("backend", dlcourse.BACKENDS)
def test_images_of_a_model_called_directly(backend, network, case):
    """The sentence of its learner, not that of a layer inside."""
    shape, sentence = IMAGES[case]
    learner = learner_of(backend, NETWORKS[network])
    x = np.zeros(shape, np.float32)
    if backend == "torch":
        import torch

        x, sentence = torch.zeros(shape), sentence.replace("transpose", "permute")
    elif backend == "mlx":
        import mlx.core as mx

        x = mx.zeros(shape)
    assert refusal(lambda: learner.model(x)) == sentence


@each_backend
def test_the_layout_is_known_by_the_whole_shape(backend):
    """Where the height is the number of channels, one axis cannot tell; where all three are equal nothing can, and channels last are taken."""
    for inputs, given in [((3, 9, 3), (2, 3, 3, 9)), ((9, 8, 9), (2, 9, 9, 8)), ((8, 9, 8), (2, 8, 8, 9))]:
        config = CNNConfig(inputs, channels=(2,), kernel=1, padding=0, hidden=(), outputs=3)
        x = np.zeros(given, np.float32)
        message = refusal(lambda config=config, x=x: learner_of(backend, config).predict(x))
        assert f"x has shape {given} with its {inputs[2]} channels first" in message
        assert learner_of(backend, config).predict(x.transpose(0, 2, 3, 1)).shape == (2, 3)
    same_both_ways = CNNConfig((3, 3, 3), channels=(2,), kernel=1, padding=0, hidden=(), outputs=3)
    assert learner_of(backend, same_both_ways).predict(np.zeros((2, 3, 3, 3), np.float32)).shape == (2, 3)


@each_backend
def test_grey_images_keep_their_axis(backend):
    learner = learner_of(backend, GREY)
    x = np.zeros((4, 8, 9), np.float32)
    expected = "x has shape (4, 8, 9) without an axis for its one channel, but images are (N, H, W, C): pass x[..., None]"
    assert refusal(lambda: learner.predict(x)) == expected
    assert learner.predict(x[..., None]).shape == (4, 3)


@each_image_network
@each_backend
def test_whole_numbers_are_no_images(backend, network):
    learner = learner_of(backend, NETWORKS[network])
    x = np.random.default_rng(0).integers(0, 256, size=(2, 8, 9, 3))
    for dtype in (np.uint8, np.int64):
        expected = (
            f"x holds {np.dtype(dtype)}, but images are floats, 0 to 1 in this course: "
            "pass x / 255 where a byte holds 0 to 255, else x.astype(float)"
        )
        assert refusal(lambda dtype=dtype: learner.predict(x.astype(dtype))) == expected
    assert "x holds bool, but images are floats" in refusal(lambda: learner.predict(x > 100))
    for dtype in (np.float16, np.float32, np.float64):
        assert learner.predict((x / 255).astype(dtype)).dtype == np.float32
    assert learner.predict(x.astype(np.float32)).shape == (2, 3), "floats of any size are taken: standardised images leave 0 to 1"


@each_image_network
@each_backend
def test_labels_of_images(backend, network):
    learner = learner_of(backend, NETWORKS[network])
    x = np.zeros((2, 8, 9, 3), np.float32)
    for labels, sentence in [
        ([0, 3], "labels run from 0 to 3 but the model has 3 classes: build it with outputs=4"),
        (
            [-1, 0],
            "labels run from -1 to 0 but the model has 3 classes, numbered from 0: "
            "correct the 1 of 2 that are negative, the first at index 0, or add 1 to all where they count from -1",
        ),
        ([1, 3], "the model has 3 classes, numbered from 0: subtract 1 where they count from 1, else build it with outputs=4"),
        ([0], "2 examples but 1 targets: each example needs one"),
    ]:
        assert sentence in refusal(lambda labels=labels: learner.step((x, np.array(labels)), 0.1))


@each_backend
def test_an_mlp_takes_images_of_any_layout(backend):
    """It flattens them: no layout is asked for, and whole numbers are taken as before."""
    learner = learner_of(backend)
    x = np.arange(12).reshape(2, 2, 3, 1)
    assert np.array_equal(learner.predict(x), learner.predict(x.reshape(2, 6).astype(np.float32)))


@each_backend
def test_flat_targets_are_enough_for_one_output(backend):
    for loss in ("mse", "binary_cross_entropy"):
        learner = learner_of(backend, MLPConfig(6, (4,), 1), loss=loss)
        x = np.random.default_rng(0).normal(size=(4, 6))
        flat = learner.evaluate((x, np.array([0, 1, 1, 0])))[0]
        assert flat == learner.evaluate((x, np.array([[0.0], [1.0], [1.0], [0.0]])))[0], loss


@each_backend
def test_unknown_loss(backend):
    assert refusal(lambda: learner_of(backend, loss="hing")) == f"unknown loss 'hing': choose one of {', '.join(LOSSES)}"


@each_backend
def test_unknown_device(backend):
    sentence = refusal(lambda: learner_of(backend, device="tpu"))
    assert sentence.startswith("device 'tpu' is not available to") and "cpu" in sentence
    package = dlcourse.backend(backend)
    assert package.devices()[-1] == "cpu"
    assert package.resolve_device("auto") == package.resolve_device() == package.devices()[0]
    assert package.resolve_device("cpu") == "cpu"


OPTIONS = [
    ("SGD", {"momentum": 1.0}, "momentum=1.0: it must be at least 0 and below 1"),
    ("SGD", {"weight_decay": -0.1}, "weight_decay=-0.1: it must not be negative"),
    ("SGD", {"nesterov": True}, "nesterov=True needs a momentum above 0, for example momentum=0.9"),
    ("Adam", {"betas": (0.9, 1.0)}, "beta2=1.0: it must be at least 0 and below 1"),
    ("Adam", {"eps": -1.0}, "eps=-1.0: it must not be negative"),
    ("AdamW", {"betas": (-0.1, 0.9)}, "beta1=-0.1: it must be at least 0 and below 1"),
    ("AdamW", {"weight_decay": float("nan")}, "weight_decay=nan: it must not be negative"),
    ("RMSProp", {"alpha": 1.0}, "alpha=1.0: it must be at least 0 and below 1"),
    ("RMSProp", {"eps": -1.0}, "eps=-1.0: it must not be negative"),
    ("Lion", {"betas": (0.9, 1.5)}, "beta2=1.5: it must be at least 0 and below 1"),
    ("Lion", {"weight_decay": -0.1}, "weight_decay=-0.1: it must not be negative"),
    ("Muon", {"momentum": 1.0}, "momentum=1.0: it must be at least 0 and below 1"),
    ("Muon", {"weight_decay": -0.1}, "weight_decay=-0.1: it must not be negative"),
    ("Muon", {"iterations": 0}, "iterations=0: it must be a whole number of at least 1"),
    ("ProximalSGD", {"l1": -0.1}, "l1=-0.1: it must not be negative"),
]


@pytest.mark.parametrize(("kind", "options", "sentence"), OPTIONS)
@each_backend
def test_optimizer_options(backend, kind, options, sentence):
    package = dlcourse.backend(backend)
    assert refusal(lambda: getattr(package, kind)(package.MLP(CONFIG), **options)) == sentence


@each_backend
def test_states_that_do_not_fit(backend):
    package = dlcourse.backend(backend)
    model = package.MLP(CONFIG)
    state = initial_state(MLPConfig(6, (5,), 3), 0)
    state["layers.9.bias"] = state.pop("layers.0.bias")
    expected = (
        "this state does not fit the model, so build it with the configuration that the state was made with: missing layers.0.bias (4,); "
        "unknown layers.9.bias; layers.0.weight has shape (5, 6), expected (4, 6); layers.1.weight has shape (3, 5), expected (3, 4)"
    )
    before = model.state()
    assert refusal(lambda: model.load_state(state)) == expected
    assert all(np.array_equal(array, before[name]) for name, array in model.state().items())
    optimizer = package.Adam(model)
    broken = optimizer.state()
    broken.pop("m.layers.0.bias")
    assert "missing m.layers.0.bias (4,)" in refusal(lambda: optimizer.load_state(broken))


# ---------------------------------------------------------------- frameworks that are not there


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tensorflow", "unknown backend 'tensorflow'"),
        ("pytorch", "did you mean torch?"),
        ("Numpy", "did you mean numpy?"),
        (None, "unknown backend None"),
    ],
)
def test_unknown_backend(name, sentence):
    message = refusal(lambda: dlcourse.backend(name))
    assert sentence in message and message.endswith("choose one of numpy, torch, mlx")


def hide(monkeypatch, name, missing=None):
    """Make `import name` fail as if it (or `missing`, which it needs) were not installed, and forget the backend that uses it."""
    for module in [module for module in sys.modules if module.split(".")[0] == name or module.startswith(f"dlcourse.{name}")]:
        monkeypatch.delitem(sys.modules, module)
    real = builtins.__import__

    def importing(module, *arguments, **options):
        if module.split(".")[0] == name:
            raise ModuleNotFoundError(f"No module named {missing or name!r}", name=missing or name)
        return real(module, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", importing)


@pytest.mark.parametrize(("name", "package"), [("torch", "PyTorch"), ("mlx", "MLX")])
def test_framework_not_installed(monkeypatch, name, package):
    with monkeypatch.context() as patched:
        hide(patched, name)
        for _ in range(2):  # the failed import leaves nothing behind
            with pytest.raises(errors.MissingExtra) as caught:
                dlcourse.backend(name)
            assert str(caught.value) == f"{package} is not installed: run  pip install 'dlcourse[{name}]'"
            assert caught.value.extra == name


@pytest.mark.parametrize("name", ["torch", "mlx"])
def test_a_broken_framework_keeps_its_own_message(monkeypatch, name):
    with monkeypatch.context() as patched:
        hide(patched, name, missing="typing_extensions")
        with pytest.raises(ModuleNotFoundError, match="typing_extensions") as caught:
            dlcourse.backend(name)
        assert not isinstance(caught.value, errors.MissingExtra)


def test_need(monkeypatch):
    assert errors.need("json.decoder", extra="data").JSONDecodeError
    with pytest.raises(errors.MissingExtra, match=r"^scikit-learn is not installed: run  pip install 'dlcourse\[data\]'$"):
        monkeypatch.setitem(sys.modules, "sklearn", None)
        monkeypatch.delitem(sys.modules, "sklearn.datasets", raising=False)  # another test may have loaded it
        errors.need("sklearn.datasets", extra="data")
    with pytest.raises(errors.MissingExtra, match="no_such_thing is not installed"):
        errors.need("no_such_thing", extra="data")


def test_need_of_a_broken_package_keeps_its_own_message(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import something_it_needs\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_it_needs"):
        errors.need("broken_package", extra="data")


def test_suggestion():
    assert errors.suggestion("digit", ["digits", "mnist"]) == " (did you mean digits?)"
    assert errors.suggestion("xyz", ["digits", "mnist"]) == errors.suggestion(None, ["digits"]) == ""
