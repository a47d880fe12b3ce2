import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from dlcourse import data
from dlcourse.data import dataset, images
from dlcourse.data.dataset import stratified
from tests.data import batch_cases

EMBEDDED = {
    "digits": ((8, 8, 1), 1797, 10),
    "breast-cancer": ((30,), 569, 2),
    "wine": ((13,), 178, 3),
    "mnist-5k": ((28, 28, 1), 5000, 10),
}
TABLES = ("breast-cancer", "wine", "diabetes")


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded(name):
    shape, count, classes = EMBEDDED[name]
    dataset = data.load(name)
    parts = [dataset.train, dataset.validation, dataset.test]
    assert dataset.shape == shape
    assert len(dataset.classes) == classes
    assert sum(len(part.y) for part in parts) == count
    assert repr(dataset).startswith(f"Dataset({name}: ")
    assert dataset.source
    assert dataset.licence
    for part in parts:
        assert part.x.dtype == np.float32
        assert part.y.dtype == np.int64
        assert len(part.x) == len(part.y)
        shares = np.bincount(part.y, minlength=classes) / len(part.y)
        atol = max(0.015, 1 / len(part.y))  # stratified, and a class is off by one example at most: 17 wines validate
        np.testing.assert_allclose(shares, np.bincount(dataset.train.y) / len(dataset.train.y), atol=atol)
        if name not in TABLES:
            assert part.x.min() == 0.0
            assert part.x.max() == 1.0
    assert "inside" in data.where(name)


@pytest.mark.parametrize("name", ["digits", "mnist-5k"])
def test_no_example_is_in_two_splits(name):
    dataset = data.load(name)
    train, validation, test = ({x.tobytes() for x in part.x} for part in (dataset.train, dataset.validation, dataset.test))
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_digits_are_those_of_scikit_learn():
    dataset, raw = data.load("digits"), sklearn.datasets.load_digits()
    ours = {
        (x * 16).astype(int).tobytes(): y for part in (dataset.train, dataset.validation, dataset.test) for x, y in zip(*part, strict=True)
    }
    assert ours == {x.astype(int).tobytes(): y for x, y in zip(raw.images, raw.target, strict=True)}


def test_the_documented_sizes():
    for name in (*EMBEDDED, "diabetes"):
        dataset = data.load(name)
        sizes = " / ".join(str(len(part.y)) for part in (dataset.train, dataset.validation, dataset.test))
        assert f"| `{name}` | {sizes}" in data.load.__doc__


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_standardised_with_the_training_set_alone(name):
    dataset = data.load(name)
    np.testing.assert_allclose(dataset.train.x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(dataset.train.x.std(axis=0), 1, atol=1e-5)
    assert abs(dataset.test.x.mean(axis=0)).max() > 1e-3


def test_diabetes_holds_numbers():
    dataset, raw = data.load("diabetes"), sklearn.datasets.load_diabetes(scaled=False)
    parts = [dataset.train, dataset.validation, dataset.test]
    assert repr(dataset) == "Dataset(diabetes: 309 / 45 / 88 examples of shape (10,), numbers as targets)"
    assert dataset.classes == () and dataset.source and dataset.licence and "inside" in data.where("diabetes")
    assert all(part.x.dtype == part.y.dtype == np.float32 for part in parts)
    np.testing.assert_array_equal(np.sort(np.concatenate([part.y for part in parts])), np.sort(raw.target))
    # every patient once: the columns go back to the raw ones by one move and one stretch, the same in all parts
    x = np.concatenate([part.x for part in parts]).astype(float)
    age, y = x[:, 0], np.concatenate([part.y for part in parts])
    stretch, move = np.polyfit(np.sort(age), np.sort(raw.data[:, 0]), 1)
    ours = sorted(zip((stretch * age + move).round().tolist(), y.tolist(), strict=True))
    assert ours == sorted(zip(raw.data[:, 0].tolist(), raw.target.tolist(), strict=True))
    means = [part.y.mean() for part in parts]
    assert max(means) - min(means) < 25  # drawn at random: standard error about 12 for 45 patients


def test_stratified_is_a_partition_that_the_seed_decides():
    labels = np.repeat([0, 1, 2], [10, 20, 70])
    parts = stratified(labels, seed=3)
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert [np.bincount(labels[part]).tolist() for part in parts] == [[7, 14, 49], [1, 2, 7], [2, 4, 14]]
    assert all((a == b).all() for a, b in zip(parts, stratified(labels, seed=3), strict=True))
    assert not all((a == b).all() for a, b in zip(parts, stratified(labels, seed=4), strict=True))


def test_splits_example_by_example():
    batch_cases.check_dataset(dataset)


def test_unknown_name():
    for call in (data.load, data.where):
        with pytest.raises(ValueError, match=r"unknown data set 'digit' \(did you mean digits\?\): choose one of digits, .*mnist-5k"):
            call("digit")


# ---------------------------------------------------------------- DLCOURSE_DATA


@pytest.fixture
def folder(mnist, mirrors, tmp_path, monkeypatch):
    """An empty DLCOURSE_DATA, and servers that must not be asked."""
    path = tmp_path / "data"
    path.mkdir()
    monkeypatch.setenv("DLCOURSE_DATA", str(path))
    yield path
    assert not any(server.requests for server in mirrors)


@pytest.mark.parametrize("place", ["mnist", "."])
@pytest.mark.parametrize("packed", [True, False])
def test_files_in_the_folder_are_used(folder, files, place, packed):
    (folder / place).mkdir(exist_ok=True)
    for name, content in files.items():
        if packed:
            (folder / place / name).write_bytes(content)
        else:
            (folder / place / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    dataset = data.load("mnist")
    labels = np.frombuffer(gzip.decompress(files["train-labels-idx1-ubyte.gz"])[8:], np.uint8)
    kept = len(labels) - len(labels) // 10
    np.testing.assert_array_equal(dataset.train.y, labels[:kept])
    np.testing.assert_array_equal(dataset.validation.y, labels[kept:])
    image = np.frombuffer(gzip.decompress(files["t10k-images-idx3-ubyte.gz"])[16:], np.uint8).reshape(-1, 28, 28, 1)[-1]
    np.testing.assert_array_equal(dataset.test.x[-1], (image / 255.0).astype(np.float32))
    assert data.where("mnist") == f"in {(folder / place)}"


def test_a_damaged_file_in_the_folder_is_named(folder, files):
    (folder / "mnist").mkdir()
    for name, content in files.items():
        (folder / "mnist" / name).write_bytes(content)
    damaged = folder / "mnist" / "t10k-labels-idx1-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte.gz is not the official file .*unset DLCOURSE_DATA"):
        data.load("mnist")
    assert "not the official file" in data.where("mnist")


def test_a_folder_that_is_not_there(folder, monkeypatch):
    monkeypatch.setenv("DLCOURSE_DATA", str(folder / "elsewhere"))
    with pytest.raises(ValueError, match="which is not a folder"):
        data.load("mnist")


def test_one_sets_files_are_not_taken_for_the_other(folder, files):
    """MNIST and Fashion-MNIST use the same file names."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
        (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    assert all(images.local("fashion-mnist", file) is None for file in images.SETS["fashion-mnist"].files)
    assert "not here" in data.where("fashion-mnist")


def other(packed):
    """The uncompressed bytes with another last entry: still a label, still a pixel."""
    raw = bytearray(gzip.decompress(packed))
    raw[-1] = (raw[-1] + 1) % 10
    return bytes(raw)


def test_a_file_compressed_again_is_the_official_one(folder, files):
    """As Debian's dataset-fashion-mnist holds Fashion-MNIST."""
    for name, content in files.items():
        (folder / name).write_bytes(gzip.compress(gzip.decompress(content), compresslevel=1, mtime=1))
        assert (folder / name).read_bytes() != content
    assert len(data.load("mnist").classes) == 10
    changed = gzip.compress(other(content))
    (folder / name).write_bytes(changed)
    assert images.local("mnist", images.SETS["mnist"].files[-1]) is None


def test_images_and_labels_must_belong_together(folder, files, monkeypatch):
    contents = {name: gzip.decompress(content) for name, content in files.items()}
    contents["t10k-labels-idx1-ubyte.gz"] = b"\0\0\x08\x01" + (3).to_bytes(4, "big") + bytes(3)
    official = images.SETS["mnist"].files
    sums = [hashlib.sha256(content).hexdigest() for content in contents.values()]
    changed = tuple(file._replace(unpacked=digest) for file, digest in zip(official, sums, strict=True))
    monkeypatch.setitem(images.SETS, "mnist", images.SETS["mnist"]._replace(files=changed))
    for name, content in contents.items():
        (folder / name.removesuffix(".gz")).write_bytes(content)
    with pytest.raises(ValueError, match="do not belong together"):
        data.load("mnist")


def test_import_needs_numpy_alone():
    code = (
        "import sys, dlcourse.data, dlcourse.train, dlcourse.recipes, dlcourse.cli;"
        "print([m for m in ('sklearn', 'mlxtend', 'pooch', 'requests', 'tqdm', 'safetensors', 'torch', 'mlx', 'matplotlib') if m in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
