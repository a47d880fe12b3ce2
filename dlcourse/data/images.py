"""MNIST and Fashion-MNIST: where their files are, and what is in them."""

import gzip
import hashlib
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dlcourse.data.dataset import Dataset, Split
from dlcourse.data.download import RemoteFile, cache_folder, fetch
from dlcourse.data.idx import read_idx


class RemoteSet(NamedTuple):
    mirrors: tuple[str, ...]
    files: tuple[RemoteFile, ...]  # training images, training labels, test images, test labels
    classes: tuple[str, ...]
    source: str
    licence: str


SETS = {
    "mnist": RemoteSet(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        files=(
            RemoteFile(
                "train-images-idx3-ubyte.gz",
                9912422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            RemoteFile(
                "train-labels-idx1-ubyte.gz",
                28881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            RemoteFile(
                "t10k-images-idx3-ubyte.gz",
                1648877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            RemoteFile(
                "t10k-labels-idx1-ubyte.gz",
                4542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
        classes=tuple("0123456789"),
        source="MNIST (LeCun, Cortes and Burges)",
        licence="CC BY-SA 3.0",
    ),
    "fashion-mnist": RemoteSet(
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        ),
        files=(
            RemoteFile(
                "train-images-idx3-ubyte.gz",
                26421880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            RemoteFile(
                "train-labels-idx1-ubyte.gz",
                29515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            RemoteFile(
                "t10k-images-idx3-ubyte.gz",
                4422102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            RemoteFile(
                "t10k-labels-idx1-ubyte.gz",
                5148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ),
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        source="Fashion-MNIST (Xiao, Rasul and Vollgraf 2017)",
        licence="MIT",
    ),
}


def load(name):
    """The Dataset `name`; see `dlcourse.data.load`."""
    remote = SETS[name]
    paths = [
        local(name, file) or fetch(file, cache_folder() / name, remote.mirrors)
        for file in remote.files
    ]
    train, test = _pair(*paths[:2]), _pair(*paths[2:])
    kept = len(train.y) - len(train.y) // 10  # the last tenth of the training set validates
    first, last = (
        Split(train.x[part], train.y[part]) for part in (slice(None, kept), slice(kept, None))
    )
    return Dataset(name, first, last, test, remote.classes, remote.source, remote.licence)


def local(name, file):
    """The path of `file` in the folder DLCOURSE_DATA, compressed or not, or None.

    Raises ValueError when that folder is not there, or when its file in the folder `name` is not the official one."""
    if not os.environ.get("DLCOURSE_DATA"):
        return None
    folder = Path(os.environ["DLCOURSE_DATA"])
    if not folder.is_dir():
        raise ValueError(
            f"DLCOURSE_DATA is {folder}, which is not a folder: set it to the folder with your data sets, or unset it"
        )
    for candidate in (folder / name, folder):
        for path in (candidate / file.name, candidate / file.name.removesuffix(".gz")):
            if path.is_file():
                if _official(path, file):
                    return path
                # a file that lies plainly in the folder may belong to the other set: both use the same names
                if candidate != folder:
                    raise ValueError(
                        f"{path} is not the official file (its SHA-256 differs): delete it, or unset DLCOURSE_DATA to download it"
                    )
    return None


def where(name):
    """One line: the folder in which the files are, or that they would be downloaded."""
    files = SETS[name].files
    try:
        found = [local(name, file) for file in files]
    except ValueError as error:
        return str(error)
    if all(found):
        return f"in {found[0].parent}"
    cached = [cache_folder() / name / file.name for file in files]
    if all(path.is_file() for path in cached):
        return f"in the cache {cached[0].parent}"
    size = sum(file.bytes for file in files) / 1e6
    return f"not here: the first use downloads {size:.0f} MB into {cached[0].parent}; or set DLCOURSE_DATA to a folder that holds it"


def _official(path, file):
    """Whether the content is the official one; it may have been compressed again, as in Debian's package of Fashion-MNIST."""
    content = path.read_bytes()
    if path.suffix == ".gz" and _sha256(content) != file.sha256:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return False
    elif path.suffix == ".gz":
        return True
    return _sha256(content) == file.unpacked


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


def _pair(images, labels):
    x, y = read_idx(images), read_idx(labels)
    if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
        raise ValueError(
            f"{images} has shape {x.shape} and {labels} {y.shape}: they do not belong together, so delete both and load the data set again"
        )
    # (N, 28, 28, 1)
    return Split(np.divide(x[..., None], 255.0, dtype=np.float32), y.astype(np.int64))
