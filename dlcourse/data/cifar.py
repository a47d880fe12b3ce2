"""CIFAR-10 in its official binary version: where its files are, and what is in them. No pickle."""

import gzip
import os
import tarfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from dlcourse.data.dataset import Dataset, Split
from dlcourse.data.download import RemoteFile, cache_folder, fetch

TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = ("test_batch.bin",)
OFFICIAL = {TRAIN: 50_000, TEST: 10_000}  # images
SIDE, CHANNELS = 32, 3
RECORD = 1 + CHANNELS * SIDE * SIDE  # bytes: a label, then the red, the green and the blue plane
CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
SOURCE = "CIFAR-10 (Krizhevsky 2009)"
LICENCE = "none stated; its author asks to cite the technical report"

MIRRORS = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
)
# Its author publishes the MD5 c32a1d4ab5d03f1284b67883e8d87530 only, which no longer protects against forgery;
# bytes and SHA-256 are those in the lists of TensorFlow Datasets.
ARCHIVE = RemoteFile(
    "cifar-10-binary.tar.gz",
    170052171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)


def load():
    """The Dataset "cifar10"; see `dlcourse.data.load`."""
    path = local() or fetch(ARCHIVE, cache_folder() / "cifar10", MIRRORS)
    contents = _folder(path) if path.is_dir() else _archive(path)
    train, test = _split(path, contents, TRAIN), _split(path, contents, TEST)
    kept = len(train.y) - len(train.y) // 10  # the last tenth of the training set validates
    first, last = (
        Split(train.x[part], train.y[part]) for part in (slice(None, kept), slice(kept, None))
    )
    return Dataset("cifar10", first, last, test, CLASSES, _source(train, test), LICENCE)


def local():
    """The folder of the six .bin files, or the archive, in the folder DLCOURSE_DATA; None where neither is there.

    Raises ValueError when DLCOURSE_DATA is no folder, or some of the six files are there and others are not."""
    if not os.environ.get("DLCOURSE_DATA"):
        return None
    root = Path(os.environ["DLCOURSE_DATA"])
    if not root.is_dir():
        raise ValueError(
            f"DLCOURSE_DATA is {root}, which is not a folder: set it to the folder with your data sets, or unset it"
        )
    unpacked = "cifar-10-batches-bin"
    for folder in (root / "cifar10", root / "cifar10" / unpacked, root / unpacked, root):
        missing = [name for name in TRAIN + TEST if not (folder / name).is_file()]
        if not missing:
            return folder
        if len(missing) < len(TRAIN + TEST):
            raise ValueError(_incomplete(folder, missing))
    for path in (root / "cifar10" / ARCHIVE.name, root / ARCHIVE.name):
        if path.is_file():
            return path
    return None


def where():
    """One line: the folder or the archive in which the images are, or that they would be downloaded."""
    try:
        found = local()
    except ValueError as error:
        return str(error)
    if found is not None:
        return f"in {found}"
    folder = cache_folder() / "cifar10"
    if (folder / ARCHIVE.name).is_file():
        return f"in the cache {folder}"
    return f"not here: the first use downloads {ARCHIVE.bytes / 1e6:.0f} MB into {folder}; or set DLCOURSE_DATA to a folder that holds it"


def parse(content, name="the file"):
    """(x, y) of the bytes of one batch file: x (N, 32, 32, 3) uint8, a view; y (N,) int64.

    Raises ValueError unless the bytes are whole records, at least one, with labels from 0 to 9."""
    if len(content) == 0 or len(content) % RECORD:
        raise ValueError(
            f"{name} has {len(content):,} bytes, not a multiple of {RECORD:,} (an image is a label and {RECORD - 1:,} colour values): "
            "it is cut off or not CIFAR-10's binary version, so delete it and fetch it again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= len(CLASSES):
        first = np.argmax(labels >= len(CLASSES))
        raise ValueError(
            f"{name} gives its image {first} the label {labels[first]}, but CIFAR-10's labels run from 0 to {len(CLASSES) - 1}: "
            "it is damaged or of another data set, so delete it and fetch it again"
        )
    planes = records[:, 1:].reshape(-1, CHANNELS, SIDE, SIDE)
    return planes.transpose(0, 2, 3, 1), labels  # (N, C, H, W) -> (N, H, W, C)


def _split(path, contents, names):
    """The images of some of the files, one after the other. Raises ValueError where one holds fewer than the others, by more than one."""
    parts = [parse(contents[name], path / name) for name in names]
    counts = [len(labels) for _, labels in parts]
    if max(counts) - min(counts) > 1:  # `parse` can't tell a file that is cut behind an image
        raise ValueError(
            f"{path / names[np.argmin(counts)]} holds {min(counts):,} images but {names[np.argmax(counts)]} {max(counts):,}, and all training files hold "
            "equally many: it is cut off, so delete it and fetch it again"
        )
    y = np.concatenate([labels for _, labels in parts])
    x = np.empty((len(y), SIDE, SIDE, CHANNELS), np.float32)
    start = 0
    for images, labels in parts:
        # one file at a time: the float32 images alone take 0.7 GB
        np.divide(images, 255.0, out=x[start : start + len(labels)], dtype=np.float32)
        start += len(labels)
    return Split(x, y)


def _folder(path):
    return {name: (path / name).read_bytes() for name in TRAIN + TEST}


def _archive(path):
    """{name: bytes} of the six files, read without unpacking: the folders that an archive names are of no effect."""
    contents = {}
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if member.isfile() and name in TRAIN + TEST:
                    contents[name] = archive.extractfile(member).read()
            while stream.read(
                1 << 20
            ):  # to the end, where gzip compares the checksum: tarfile alone ignores it
                pass
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(
            f"{path} is a damaged archive ({error}): delete it and load the data set again"
        ) from error
    missing = [name for name in TRAIN + TEST if name not in contents]
    if missing:
        raise ValueError(_incomplete(path, missing))
    return contents


def _incomplete(path, missing):
    return f"{path} lacks {', '.join(missing)}: add what is missing, or unset DLCOURSE_DATA to download CIFAR-10"


def _source(train, test):
    """Where it comes from; a copy with other counts than the official ones says so, since its results differ."""
    if (len(train.y), len(test.y)) == tuple(OFFICIAL.values()):
        return SOURCE
    return (
        f"{SOURCE}, {len(train.y):,} of {OFFICIAL[TRAIN]:,} training and "
        f"{len(test.y):,} of {OFFICIAL[TEST]:,} test images"
    )
