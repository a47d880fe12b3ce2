"""Every small error in the modules beside the NumPy core is found."""

from tests import mutants

each_module, each_error = mutants.of(core=False)


@each_module
def test_every_small_error_is_found(name):
    mutants.check_every_small_error(name)


@each_error
def test_famous_error_is_found(name, what, old, new):
    mutants.check_famous_error(name, what, old, new)
