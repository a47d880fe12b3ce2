"""Every small error in the NumPy core is found; `test_mutants_of_the_rest.py` is a file of its own, so that two workers run side by side."""

import importlib

import pytest

from tests import mutants
from tests.mutation import replaced

each_module, each_error = mutants.of(core=True)


@each_module
def test_every_small_error_is_found(name):
    mutants.check_every_small_error(name)


@each_error
def test_famous_error_is_found(name, what, old, new):
    mutants.check_famous_error(name, what, old, new)


def test_a_mutant_needs_a_text_that_is_there_once():
    module = importlib.import_module("dlcourse.numpy.functional")
    for text in ("no such text", "def "):
        with pytest.raises(ValueError, match="times in dlcourse.numpy.functional"):
            replaced(module, text, "")
