"""Names, layouts, files and comparisons of the one state dict."""

import errno
import json
import os
import struct
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import dlcourse
from dlcourse import count, state
from dlcourse.config import BERTConfig, CNNConfig, GPTConfig, MLPConfig, ResNetConfig
from dlcourse.errors import need
from dlcourse.initial import initial_state

DTYPES = [np.float16, np.float32, np.float64, np.int8, np.int32, np.int64, np.uint8, np.bool_]
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: st_numpy.arrays(dtype, st_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
)
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda name: name != "__metadata__"
)


def same(a, b):
    return sorted(a) == sorted(b) and all(
        a[name].dtype == b[name].dtype and a[name].shape == b[name].shape and a[name].tobytes() == b[name].tobytes() for name in b
    )


# ---------------------------------------------------------------- files


@given(
    saved=st.dictionaries(names, arrays, max_size=4),
    metadata=st.dictionaries(names, st.text(st.characters(codec="utf-8"), max_size=8), max_size=3),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path, saved, metadata):
    path = tmp_path / "a.safetensors"
    state.save(path, saved, metadata)
    assert same(state.load(path), saved)
    assert state.load_metadata(path) == metadata


def test_round_trip_of_transposed_arrays_and_numbers(tmp_path):
    saved = {"transposed": np.arange(6.0).reshape(2, 3).T, "every second": np.arange(8)[::2], "step": np.array(3)}
    state.save(tmp_path / "a", saved)
    assert same(state.load(tmp_path / "a"), saved)


def test_no_metadata_is_an_empty_dict(tmp_path):
    state.save(tmp_path / "a", {"w": np.zeros(2)})
    assert state.load_metadata(tmp_path / "a") == {}


def test_folders_are_made(tmp_path):
    state.save(tmp_path / "new" / "folder" / "a", {"w": np.zeros(2)})
    assert list(state.load(tmp_path / "new" / "folder" / "a")) == ["w"]


def disk_full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_half_then_fail(self, content):
    with open(self, "wb") as file:
        file.write(content[: len(content) // 2])
    disk_full()


def no_permission(*_, **__):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))  # simulated: the superuser may write everywhere


@pytest.mark.parametrize(
    ("where", "name", "failure", "reason"),
    [
        (Path, "write_bytes", write_half_then_fail, "No space left"),
        (Path, "write_bytes", no_permission, "Permission denied"),
        (Path, "mkdir", no_permission, "Permission denied"),
        (os, "fsync", disk_full, "No space left"),
        (os, "replace", no_permission, "Permission denied"),
    ],
)
def test_a_failing_write_keeps_the_old_file_and_leaves_no_part(tmp_path, monkeypatch, where, name, failure, reason):
    path = tmp_path / "a.safetensors"
    state.save(path, {"w": np.zeros(2)})
    old = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(where, name, failure)
        with pytest.raises(OSError, match=rf"cannot write .*a\.safetensors \({reason}.*free some space or choose another folder"):
            state.save(path, {"w": np.ones(5)})
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.safetensors"]


def test_an_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    state.save(path, {"w": np.zeros(2)})

    def interrupted(self, content):
        self.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        state.save(path, {"w": np.ones(5)})
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert not state.load(path)["w"].any()


@pytest.mark.parametrize("below", ["x", "deep/x"])
def test_a_file_where_the_folder_should_be(tmp_path, below):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write"):
        state.save(tmp_path / "file" / below, {"w": np.zeros(2)})


def test_the_error_number_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(OSError, match="cannot write") as caught:
        state.save(tmp_path / "a", {"w": np.zeros(2)})
    assert caught.value.errno == errno.ENOSPC


# ---------------------------------------------------------------- files that are not whole, or not honest


def entry(start=0, end=64, shape=(16,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def crafted(header, data=bytes(64), length=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


HOSTILE = {
    "empty": b"",
    "half a length": b"\0\0\0",
    "length of 2^62": crafted({}, length=1 << 62),
    "length beyond the file": crafted({"a": entry()}, length=10_000),
    "not JSON": crafted(b"{not json", b""),
    "a list": crafted([1, 2]),
    "not UTF-8": crafted(b'{"\xff": 1}'),
    "overlapping": crafted({"a": entry(), "b": entry(0, 32, (8,))}),
    "beyond the data": crafted({"a": entry(0, 128, (32,))}),
    "end before start": crafted({"a": entry(64, 0)}),
    "negative offset": crafted({"a": entry(-64, 0)}),
    "a hole": crafted({"a": entry(32, 64, (8,))}),
    "data that nobody owns": crafted({"a": entry()}, bytes(128)),
    "shape that does not fill the offsets": crafted({"a": entry(shape=(7,))}),
    "shape that overflows": crafted({"a": entry(shape=(1 << 40, 1 << 40))}),
    "unknown dtype": crafted({"a": entry(dtype="OBJECT")}),
    "a pickle": b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("read", [state.load, state.load_metadata])
def test_hostile_file(tmp_path, content, read):
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"hostile\.safetensors is not a whole safetensors file .*: delete it and save or download it again"
    ):
        read(path)


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_truncated_file(tmp_path, data):
    path = tmp_path / "a"
    state.save(path, {"w": np.arange(12.0), "b": np.zeros(3)})
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        state.load(path)


@pytest.mark.parametrize(("dtype", "size"), [("BF16", 2), ("F8_E4M3", 1)])
def test_types_that_numpy_lacks(tmp_path, dtype, size):
    (tmp_path / "a").write_bytes(crafted({"a": entry(0, 64, (64 // size,), dtype)}))
    with pytest.raises(ValueError, match="a type that NumPy lacks .* save it as float32"):
        state.load(tmp_path / "a")


def test_missing_file(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no file .*: check the folder, or train first"):
            state.load(path)


# ---------------------------------------------------------------- names


def test_all_faults_at_once():
    shapes = {"a": (2,), "b": (3, 4), "c": (1,), "d": ()}
    given_state = {"a": np.zeros(2), "b": np.zeros((4, 3)), "x": np.zeros(1), "y": np.zeros(1), "d": np.zeros(1)}
    with pytest.raises(ValueError, match="does not fit") as caught:
        state.check_names(shapes, given_state)
    for fault in ("missing c (1,)", "unknown x", "unknown y", "b has shape (4, 3), expected (3, 4)", "d has shape (1,), expected ()"):
        assert fault in str(caught.value)
    assert "a has" not in str(caught.value)
    state.check_names({"a": (2,)}, {"a": np.zeros(2)})


def test_of_many_faults_some_of_each_kind():
    """A BERT's state for a GPT: the cure first, then a message that can be read."""
    bert, gpt = initial_state(BERTConfig(40, 16, 12, 2, 8), 0), initial_state(GPTConfig(50, 16, 12, 2, 8), 0)
    with pytest.raises(ValueError) as caught:
        state.check_names({name: array.shape for name, array in gpt.items()}, bert)
    message = str(caught.value)
    assert message.startswith(
        "this state does not fit the model, so build it with the configuration that the state was made with: missing "
    )
    assert len(message) < 600 and message.count("unknown ") == 3 and "tok.weight has shape (40, 8), expected (50, 8)" in message
    listed = message.partition("made with: ")[2].split("; ")
    faults = len(gpt.keys() ^ bert.keys()) + sum(gpt[name].shape != bert[name].shape for name in gpt.keys() & bert.keys())
    assert listed[-1] == f"and {faults - len(listed) + 1} more" and faults > 50
    nine = {f"n{i}": (1,) for i in range(9)}
    for shapes, more in ((nine, False), (nine | {"n9": (1,)}, True)):
        with pytest.raises(ValueError) as caught:
            state.check_names(shapes, {})
        assert ("more" in str(caught.value)) == more and str(caught.value).count("missing") == (3 if more else 9)


def test_prefixes():
    inner = {"w": np.zeros(1), "b.c": np.ones(1)}
    outer = state.with_prefix("model", inner) | state.with_prefix("model2", inner) | {"rng": np.zeros(1)}
    assert sorted(outer) == ["model.b.c", "model.w", "model2.b.c", "model2.w", "rng"]
    assert state.without_prefix("model", outer) == inner


# ---------------------------------------------------------------- layouts


def test_convolution_weights_go_to_pytorch_and_back(rng):
    weight = rng.normal(size=(5, 2, 3, 4))  # O H W I
    theirs = state.to_torch(weight)
    assert theirs.shape == (5, 4, 2, 3) and theirs.flags.c_contiguous
    assert theirs[1, 3, 0, 2] == weight[1, 0, 2, 3]
    back = state.from_torch(theirs)
    assert np.array_equal(back, weight) and back.flags.c_contiguous
    for shape in ((), (3,), (3, 4), (3, 4, 5)):
        array = rng.normal(size=shape)
        assert state.to_torch(array) is array and state.from_torch(array) is array


# ---------------------------------------------------------------- comparison


def test_compare():
    a, b = {"w": np.array([1.0, 2.0, 2.0]), "b": np.array([0.0])}, {"w": np.array([1.0, 2.0, 2.3]), "b": np.array([0.0])}
    compared = state.compare(a, b)
    (name, absolute, relative), zero = compared.rows
    assert (name, zero) == ("w", ("b", 0.0, 0.0))
    np.testing.assert_allclose((absolute, relative), (0.3, 0.3 / np.sqrt(1 + 4 + 2.3**2)))
    assert compared.worst == compared.rows[0]
    assert compared.check(0.1) is compared
    with pytest.raises(AssertionError, match=r"^w differs: relative 9\.\d+e-02, largest absolute 3\.00e-01, tolerance 1e-02$"):
        compared.check(1e-2)
    table = str(compared).splitlines()
    assert len(table) == 3 and table[1].split()[0] == "w" and "9" in table[1]


def test_compare_bare_arrays():
    assert state.compare(np.float32(1.0), 1.0).rows == (("value", 0.0, 0.0),)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([np.nan, 1.0], [1.0, 1.0]),
        ([1.0, 1.0], [np.nan, 1.0]),
        ([np.nan, 1.0], [np.nan, 1.0]),
        ([0.0, 1e-30], [0.0, 0.0]),
        ([np.inf, 1.0], [1.0, 1.0]),
        ([1.0, 1.0], [np.inf, 1.0]),
        ([np.inf, 1.0], [-np.inf, 1.0]),
        ([-np.inf, 1.1], [-np.inf, 1.0]),
        ([np.inf, 1e-9], [np.inf, 0.0]),
    ],
)
def test_what_must_differ(a, b):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compared = state.compare({"good": np.ones(1), "bad": np.array(a)}, {"good": np.ones(1), "bad": np.array(b)})
    assert compared.worst[0] == "bad"
    with pytest.raises(AssertionError, match="bad differs"):
        compared.check(0.05)


def test_equal_infinities_are_equal():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state.compare(np.array([-np.inf, 1.0]), np.array([-np.inf, 1.0])).check(0.0)


def test_small_integers_do_not_wrap():
    assert state.compare(np.array([250], np.uint8), np.array([255], np.uint8)).rows[0][1] == 5.0


def test_compare_refuses():
    with pytest.raises(ValueError, match="missing b .*unknown c"):
        state.compare({"c": np.zeros(1)}, {"b": np.zeros(1)})
    with pytest.raises(ValueError, match=r"a has shape \(1,\), expected \(2,\)"):  # broadcasting would hide it
        state.compare({"a": np.zeros(1)}, {"a": np.zeros(2)})
    with pytest.raises(ValueError, match="nothing to compare"):
        state.compare({}, {})


# ---------------------------------------------------------------- models

CONFIGS = {
    "MLP": MLPConfig(4, (3,), 2),
    "CNN": CNNConfig((8, 9, 2), channels=(3, 4), kernel=3, padding=1, hidden=(5,), outputs=3),
    "ResNet": ResNetConfig((8, 8, 3), widths=(4, 6), blocks=(1, 2), strides=(1, 2), stem=4, outputs=3),
    "ResNet without norms": ResNetConfig((8, 8, 3), widths=(4, 6), blocks=(1, 2), strides=(1, 2), stem=4, outputs=3, norm="none"),
}
each_backend = pytest.mark.parametrize("backend", dlcourse.BACKENDS)
each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def model_of(backend, config, given):
    model = getattr(dlcourse.backend(backend), type(config).__name__.removesuffix("Config"))(config)
    model.load_state(given)
    return model


def drawn_state(config, dtype=np.float64):
    """No entry is 0 or 1, so that none can be left out unseen; variances are positive."""
    rng = np.random.default_rng(0)
    return {name: (array + 0.1 + 0.5 * rng.random(array.shape)).astype(dtype) for name, array in initial_state(config, 0).items()}


def evaluated(backend, config, given, x):
    """Logits in evaluation mode."""
    package = dlcourse.backend(backend)
    model = model_of(backend, config, given)
    return package.Learner(model, package.SGD(model)).predict(x)


@each_backend
@each_config
def test_a_model_goes_through_a_file(tmp_path, backend, config):
    given = drawn_state(config, np.float32)
    state.save(tmp_path / "a", model_of(backend, config, given).state(), {"config": str(config)})
    other = model_of(backend, config, state.load(tmp_path / "a"))
    assert same(other.state(), given)
    assert list(other.state()) == list(initial_state(config, 0))


@each_backend
@pytest.mark.parametrize("config", [CONFIGS["CNN"], CONFIGS["ResNet"]], ids=["CNN", "ResNet"])
def test_a_state_in_the_layout_of_pytorch_is_refused(backend, config):
    """OIHW instead of OHWI, name by name, the 1 x 1 projection too; a model keeps what it had."""
    given = drawn_state(config, np.float32)
    model = model_of(backend, config, given)
    for name, array in given.items():
        if array.ndim == 4 and array.shape[1] != array.shape[3]:  # a kernel of 3 over 3 channels has the same shape both ways
            wrong = state.to_torch(array)
            with pytest.raises(ValueError, match="does not fit") as caught:
                model.load_state({key: other + 1 for key, other in given.items()} | {name: wrong})
            assert f"{name} has shape {wrong.shape}, expected {array.shape}" in str(caught.value)
    assert same(model.state(), given)


def test_every_fault_of_a_convolutional_state_is_listed():
    config = CONFIGS["ResNet"]
    broken = drawn_state(config)
    del broken["blocks.1.project.weight"], broken["stem_norm.running_var"]
    broken["blocks.0.project.weight"] = np.zeros((4, 1, 1, 4))
    broken["stem.bias"] = np.zeros(4)
    for backend in dlcourse.BACKENDS:
        with pytest.raises(ValueError, match="does not fit") as caught:
            model_of(backend, config, broken)
        faults = str(caught.value).partition("made with: ")[2].split("; ")
        assert sorted(faults) == [
            "missing blocks.1.project.weight (6, 1, 1, 4)",
            "missing stem_norm.running_var (4,)",
            "unknown blocks.0.project.weight",
            "unknown stem.bias",
        ]


@each_config
def test_weights_exported_to_pytorch(config, rng):
    """`to_torch` of every array, through PyTorch's own strict `load_state_dict`: equal outputs."""
    torch = need("torch", extra="torch")
    given = drawn_state(config)
    x = rng.random((4, *config.inputs)) if isinstance(config.inputs, tuple) else rng.random((4, config.inputs))
    model = getattr(dlcourse.backend("torch"), type(config).__name__.removesuffix("Config"))(config).double()
    exported = {name: torch.from_numpy(state.to_torch(array)) for name, array in given.items()}
    counters = {name: count for name, count in model.state_dict().items() if name.endswith("num_batches_tracked")}
    assert not model.load_state_dict(exported | counters, strict=True).missing_keys
    for name, tensor in exported.items():
        if tensor.ndim == 4:
            outputs, height, width, inputs = given[name].shape
            assert tensor.shape == (outputs, inputs, height, width)
    assert same({name: state.from_torch(tensor.numpy()) for name, tensor in exported.items()}, given)
    with torch.inference_mode():
        theirs = model.eval()(torch.from_numpy(x)).numpy()
    state.compare(theirs, evaluated("numpy", config, given, x)).check(1e-12)


# ---------------------------------------------------------------- batch norm folded into the convolution before it

FOLDED = {
    "with projections": ResNetConfig((8, 8, 3), widths=(4, 6), blocks=(1, 2), strides=(1, 2), stem=4, outputs=3),
    "without skips": ResNetConfig((7, 9, 1), widths=(4, 6), blocks=(2, 1), strides=(2, 2), stem=3, outputs=2, skip=False),
    "ResNet-20": ResNetConfig(),
}


@pytest.mark.parametrize(
    ("backend", "dtype", "tolerance"), [("numpy", np.float64, 1e-12), ("torch", np.float64, 1e-12), ("mlx", np.float32, 1e-5)]
)
@pytest.mark.parametrize("config", FOLDED.values(), ids=FOLDED)
def test_a_folded_network_has_equal_outputs(backend, dtype, tolerance, config, rng):
    given = {name: array * (0.2 if array.ndim == 4 else 1) for name, array in drawn_state(config, dtype).items()}
    kept = {name: array.copy() for name, array in given.items()}
    plain, folded = replace(config, norm="none"), state.fold_norms(config, given)
    assert list(folded) == list(initial_state(plain, 0)) and {array.dtype for array in folded.values()} == {np.dtype(dtype)}
    assert same(given, kept) and not any(np.shares_memory(a, b) for a in folded.values() for b in given.values())
    x = rng.random((3, *config.inputs)).astype(dtype)
    state.compare(evaluated(backend, plain, folded, x), evaluated(backend, config, given, x)).check(tolerance)
    assert count.parameters(plain) < count.parameters(config)


def test_folding_after_training(rng):
    """Statistics that training left there, not drawn ones."""
    config = FOLDED["with projections"]
    package = dlcourse.backend("numpy")
    model = model_of("numpy", config, initial_state(config, 0, np.float64))
    learner = package.Learner(model, package.Adam(model))
    for _ in range(5):
        learner.step((rng.random((8, *config.inputs)), rng.integers(0, 3, 8)), 0.01)
    x = rng.random((3, *config.inputs))
    folded = state.fold_norms(config, model.state())
    state.compare(evaluated("numpy", replace(config, norm="none"), folded, x), learner.predict(x)).check(1e-12)


def test_folding_by_the_formula():
    """One convolution, its numbers written out; eps is that of the norm."""
    config = ResNetConfig((4, 4, 1), widths=(1,), blocks=(1,), strides=(1,), stem=1, outputs=1)
    given = drawn_state(config) | {"stem_norm.running_var": np.array([0.25])}
    for eps in (1e-5, 0.75):
        folded = state.fold_norms(config, given, **({} if eps == 1e-5 else {"eps": eps}))
        gamma, beta, mean = (given[f"stem_norm.{part}"] for part in ("weight", "bias", "running_mean"))
        deviation = (0.25 + eps) ** 0.5
        np.testing.assert_allclose(folded["stem.weight"], given["stem.weight"] * gamma / deviation, rtol=1e-15)
        np.testing.assert_allclose(folded["stem.bias"], beta - gamma * mean / deviation, rtol=1e-14)


def test_folding_refuses():
    config = FOLDED["with projections"]
    pooled = replace(config, down="pool")
    with pytest.raises(ValueError, match=r'a negative gamma would turn its maximum into a minimum: fold a network with down="stride"$'):
        state.fold_norms(pooled, initial_state(pooled, 0))
    for wrong in (replace(config, norm="none"), MLPConfig(4, norm="batch"), CNNConfig()):
        with pytest.raises(ValueError, match=r'has no batch norm behind its convolutions: pass a ResNetConfig\(norm="batch"\)$'):
            state.fold_norms(wrong, initial_state(wrong, 0))
    with pytest.raises(ValueError, match=r"missing stem_norm\.weight \(4,\).*unknown stem\.bias"):
        state.fold_norms(config, initial_state(replace(config, norm="none"), 0))
