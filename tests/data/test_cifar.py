"""CIFAR-10 from its binary version: found, downloaded, read and refused; on small generated files, and on the real images where they are."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from dlcourse import data, doctor
from dlcourse.data import cifar, download

NAMES = cifar.TRAIN + cifar.TEST
SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "cifar10"


def record(label, image):
    """The bytes of one image (32, 32, 3), by plain loops: a label, then the planes of red, green and blue, row by row."""
    return bytes([label]) + bytes(int(image[row, column, c]) for c in range(3) for row in range(32) for column in range(32))


def generated(images=4):
    """{name: bytes} of six small files, and the images and labels that they hold, in order."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (6 * images, 32, 32, 3), dtype=np.uint8)
    y = rng.integers(0, 10, 6 * images)
    parts = np.arange(6 * images).reshape(6, images)
    return {name: b"".join(record(y[i], x[i]) for i in part) for name, part in zip(NAMES, parts, strict=True)}, x, y


FILES, IMAGES, LABELS = generated()


def archive(files, folder="cifar-10-batches-bin/", extra=()):
    """The bytes of a .tar.gz."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in [*((folder + name, content) for name, content in files.items()), *extra]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def write(folder, files=FILES):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty DLCOURSE_DATA; the cache and the network must not be asked."""

    def asked(*_, **__):
        raise AssertionError("nothing is to be downloaded")

    path = tmp_path / "data"
    path.mkdir()
    monkeypatch.setenv("DLCOURSE_DATA", str(path))
    monkeypatch.setenv("DLCOURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cifar, "fetch", asked)
    return path


def assert_is_generated(dataset, images=24):
    train = images * 5 // 6
    kept = train - train // 10
    x, y = IMAGES[:images] / np.float32(255), LABELS[:images]
    for part, split in ((slice(kept), dataset.train), (slice(kept, train), dataset.validation), (slice(train, None), dataset.test)):
        assert np.array_equal(split.x, x[part]) and np.array_equal(split.y, y[part])
        assert split.x.dtype == np.float32 and split.y.dtype == np.int64 and split.x.flags.c_contiguous
    assert dataset.shape == (32, 32, 3) and dataset.classes[0] == "airplane" and dataset.classes[-1] == "truck"
    assert dataset.source == "CIFAR-10 (Krizhevsky 2009), 20 of 50,000 training and 4 of 10,000 test images"


@pytest.mark.parametrize("place", ["cifar10", "cifar10/cifar-10-batches-bin", "cifar-10-batches-bin", "."])
def test_the_six_files_in_a_folder(folder, place):
    write(folder / place)
    assert data.where("cifar10") == f"in {folder / place}"
    assert_is_generated(data.load("cifar10"))


@pytest.mark.parametrize("place", ["cifar10", "."])
@pytest.mark.parametrize("inside", ["cifar-10-batches-bin/", "", "../../", "/", "./a/b/"])
def test_the_archive_in_a_folder(folder, place, inside):
    """Read, not unpacked: a path that leads elsewhere writes nothing."""
    (folder / place).mkdir(exist_ok=True)
    others = [("../evil.txt", b"x"), ("cifar-10-batches-bin/readme.html", b"text"), (f"{inside}._data_batch_1.bin", b"of another system")]
    (folder / place / "cifar-10-binary.tar.gz").write_bytes(archive(FILES, inside, others))
    before = sorted(folder.parent.rglob("*"))
    assert_is_generated(data.load("cifar10"))
    assert sorted(folder.parent.rglob("*")) == before
    assert data.where("cifar10").endswith("cifar-10-binary.tar.gz")


def test_the_official_counts_are_not_remarked():
    def split(n):
        return data.Split(None, np.broadcast_to(0, n))

    assert cifar._source(split(50_000), split(10_000)) == "CIFAR-10 (Krizhevsky 2009)"
    assert "49,918 of 50,000 training and 9,979 of 10,000 test images" in cifar._source(split(49_918), split(9_979))


def refusal():
    """The sentence with which `load` refuses."""
    with pytest.raises(ValueError) as caught:
        data.load("cifar10")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("cut", [1, 3072, 3073 * 3 + 1])
def test_a_truncated_file(folder, cut):
    write(folder / "cifar10", FILES | {"data_batch_3.bin": FILES["data_batch_3.bin"][:-cut]})
    sentence = refusal()
    assert sentence.startswith(f"{folder / 'cifar10' / 'data_batch_3.bin'} has {4 * 3073 - cut:,} bytes, not a multiple of 3,073")
    assert sentence.endswith("delete it and fetch it again")


@pytest.mark.parametrize("place", ["cifar10", "cifar-10-binary.tar.gz"])
def test_a_file_cut_off_between_two_images(folder, place):
    """In a folder and in an archive; files that differ by one image, as a division of any number has them, are taken."""

    def put(images):
        files = FILES | {"data_batch_3.bin": FILES["data_batch_3.bin"][: images * 3073]}
        if place == "cifar10":
            write(folder / place, files)
        else:
            (folder / place).write_bytes(archive(files))

    put(2)
    assert refusal() == (
        f"{folder / place / 'data_batch_3.bin'} holds 2 images but data_batch_1.bin 4, and all training files hold equally many: "
        "it is cut off, so delete it and fetch it again"
    )
    put(3)
    assert len(data.load("cifar10").train.y) == 18


def test_an_empty_file(folder):
    write(folder / "cifar10", FILES | {"test_batch.bin": b""})
    assert "test_batch.bin has 0 bytes, not a multiple of 3,073" in refusal()


def test_a_label_out_of_range(folder):
    content = bytearray(FILES["data_batch_2.bin"])
    content[2 * 3073] = 10
    write(folder / "cifar10", FILES | {"data_batch_2.bin": bytes(content)})
    assert (
        "data_batch_2.bin gives its image 2 the label 10, but CIFAR-10's labels run from 0 to 9: it is damaged or of another" in refusal()
    )


def test_missing_files_are_listed(folder):
    write(folder / "cifar10", {name: content for name, content in FILES.items() if name not in ("data_batch_2.bin", "test_batch.bin")})
    assert f"{folder / 'cifar10'} lacks data_batch_2.bin, test_batch.bin: add what is missing, or unset DLCOURSE_DATA" in refusal()
    assert "lacks data_batch_2.bin, test_batch.bin" in data.where("cifar10")


def test_an_archive_that_lacks_files(folder):
    (folder / "cifar-10-binary.tar.gz").write_bytes(archive({name: FILES[name] for name in cifar.TRAIN}))
    assert "cifar-10-binary.tar.gz lacks test_batch.bin: " in refusal()


@pytest.mark.parametrize("damage", ["cut", "flipped", "no archive", "empty"])
def test_a_damaged_archive(folder, damage):
    content = archive(FILES)
    middle = len(content) // 2
    content = {
        "cut": content[:middle],
        "flipped": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
        "no archive": b"<html>not found</html>" * 100,
        "empty": b"",
    }[damage]
    (folder / "cifar-10-binary.tar.gz").write_bytes(content)
    assert "is a damaged archive" in (sentence := refusal()) and sentence.endswith("delete it and load the data set again")


def test_a_folder_that_is_not_there(folder, monkeypatch):
    monkeypatch.setenv("DLCOURSE_DATA", str(folder / "elsewhere"))
    assert "which is not a folder" in refusal()
    assert "which is not a folder" in data.where("cifar10")


# ---------------------------------------------------------------- download


@pytest.fixture
def served(mirrors, tmp_path, monkeypatch):
    """A small archive on two servers, described as the official one is, and an empty cache -> its bytes."""
    content = archive(FILES)
    for server in mirrors:
        server.files = {cifar.ARCHIVE.name: content}
    described = download.RemoteFile(cifar.ARCHIVE.name, len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(cifar, "ARCHIVE", described)
    monkeypatch.setattr(cifar, "MIRRORS", tuple(server.url for server in mirrors))
    monkeypatch.delenv("DLCOURSE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("DLCOURSE_CACHE", str(tmp_path / "cache"))
    return content


def test_download(served, mirrors, tmp_path):
    assert "not here: the first use downloads" in data.where("cifar10")
    assert_is_generated(data.load("cifar10"))
    assert data.where("cifar10") == f"in the cache {tmp_path / 'cache' / 'cifar10'}"
    data.load("cifar10")
    assert len(mirrors[0].requests) == 1 and not mirrors[1].requests


def test_a_broken_download_goes_on_where_it_ended(served, mirrors, tmp_path):
    half = len(served) // 2
    (tmp_path / "cache" / "cifar10").mkdir(parents=True)
    (tmp_path / "cache" / "cifar10" / f"{cifar.ARCHIVE.name}.part").write_bytes(served[:half])
    assert_is_generated(data.load("cifar10"))
    assert mirrors[0].requests == [(cifar.ARCHIVE.name, f"bytes={half}-")]


def test_a_corrupt_mirror_is_left_for_the_next(served, mirrors):
    mirrors[0].fault = "corrupt"
    assert_is_generated(data.load("cifar10"))
    assert mirrors[1].requests


def test_corrupt_everywhere_is_one_sentence(served, mirrors, tmp_path):
    for server in mirrors:
        server.fault = "corrupt"
    with pytest.raises(
        RuntimeError, match=r"cannot download cifar-10-binary.tar.gz: .*corrupt file.*folder cifar10 of a folder that DLCOURSE_DATA"
    ):
        data.load("cifar10")
    assert not list((tmp_path / "cache" / "cifar10").iterdir())


def test_the_official_archive_is_described():
    assert cifar.ARCHIVE == (
        "cifar-10-binary.tar.gz",
        170_052_171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        None,
    )
    assert cifar.MIRRORS[0] == "https://www.cs.toronto.edu/~kriz/"
    assert "downloads 170 MB" in data.where("cifar10") or "in " in data.where("cifar10")


def test_doctor_knows_where_it_is(folder):
    write(folder / "cifar10")
    assert f"  cifar10: in {folder / 'cifar10'}" in doctor.examine(gemm_size=8)


# ---------------------------------------------------------------- the real images


@pytest.fixture(params=["generated", "real"] if (SHARED / "to_binary.py").is_file() else ["generated"])
def copy(request, folder):
    """A DLCOURSE_DATA with six files, and what they hold: (training images, test images, {split: first image}, labels of the training set)."""
    if request.param == "generated":
        write(folder / "cifar10")
        return 20, 4, IMAGES[0], IMAGES[20], "".join(str(label) for label in LABELS[:20])
    from matplotlib.image import imread

    command = [sys.executable, SHARED / "to_binary.py", folder / "cifar10"]
    subprocess.run(command, check=True, capture_output=True)
    sheets = json.loads((SHARED / "labels.json").read_text())["sheets"]
    first, test = (np.round(255 * imread(SHARED / name)[:32, :32, :3]) for name in ("train_00.png", "test_00.png"))
    labels = "".join(sheets[name]["labels"] for name in sorted(sheets) if name.startswith("train"))
    return 49_918, 9_979, first, test, labels


def test_what_is_in_the_files_is_what_is_loaded(copy, folder):
    train, test, first, first_test, labels = copy
    dataset = data.load("cifar10")
    assert len(dataset.validation.y) == train // 10 and len(dataset.train.y) == train - train // 10 and len(dataset.test.y) == test
    assert f"{train:,} of 50,000 training and {test:,} of 10,000 test images" in dataset.source
    assert np.array_equal(np.round(255 * dataset.train.x[0]), first) and np.array_equal(np.round(255 * dataset.test.x[0]), first_test)
    assert "".join(str(label) for label in [*dataset.train.y, *dataset.validation.y]) == labels
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.x.dtype == np.float32 and split.x.flags.c_contiguous and 0 <= split.x.min() <= split.x.max() <= 1
