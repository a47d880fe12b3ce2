"""Folds, copies and columns: against slow versions, and scaling against scikit-learn."""

import numpy as np
import sklearn.preprocessing
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import data
from dlcourse.data import folds, scaling
from tests.metrics import cases


def test_folds_against_slow_versions():
    cases.check_folds(folds)


def test_scaling_against_slow_versions():
    cases.check_scaling(scaling)


@given(st.lists(st.lists(st.integers(-1000, 1000).map(lambda i: i / 8), min_size=3, max_size=3), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_standardize(rows):
    x = np.array(rows)
    theirs = sklearn.preprocessing.StandardScaler().fit(x)
    np.testing.assert_allclose(data.Standardize(x)(x + 1), theirs.transform(x + 1), rtol=1e-12, atol=1e-12)
