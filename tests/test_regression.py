"""Linear regression in closed form: against solved equations, loops, and scikit-learn."""

import numpy as np

from dlcourse import regression
from tests.numpy import models, regression_cases


def test_regression():
    regression_cases.check_regression(regression, models.raises)


def test_ridge_is_scikit_learns(rng):
    from sklearn.linear_model import Ridge

    x, t = rng.normal(size=(30, 6)), rng.normal(size=(30, 2))
    theirs = Ridge(alpha=30 * 0.2, fit_intercept=False, solver="cholesky").fit(x, t).coef_.T
    np.testing.assert_allclose(regression.ridge(x, t, 0.2), theirs, rtol=1e-10)


def test_many_steps_are_least_squares(rng):
    x, t = rng.normal(size=(20, 4)), rng.normal(size=20)
    np.testing.assert_allclose(regression.stopped(x, t, 0.5, 10_000), regression.ridge(x, t), rtol=1e-10)
