"""Backends that may be missing: a failure where CI=true, elsewhere a skip whose reason is the sentence that names the cure."""

import os

import pytest

import dlcourse
from dlcourse.errors import MissingExtra

MIRRORS = ("torch", "mlx")


def require(name):
    """The package `dlcourse.<name>`, or no test."""
    try:
        return dlcourse.backend(name)
    except MissingExtra as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
