"""The ledger rejects each fault: small trees with one chapter, one function, one test, and one thing wrong."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tools import ledger

CHAPTER = """# One

:::{math}
:label: eq-double
y = 2 x
:::

```{math}
:label: eq-double-vjp

\\frac{\\partial L}{\\partial x} = 2\\,\\frac{\\partial L}{\\partial y}
```

````
:::{math}
:label: eq-only-shown
:::
````
"""
FUNCTION = '''
def double(x):
    """y = 2 x  (eq-double; gradient eq-double-vjp)"""
    return 2 * x, lambda dy: 2 * dy
'''
TEST = """
import numpy as np
import pytest
from dlcourse.f import double
from tests.equations import assert_lines_agree, assert_vjp

@pytest.mark.equation("eq-double")
@pytest.mark.equation("eq-double-vjp")
def test_double():
    x = np.arange(1.0, 4.0)
    assert_lines_agree([x + x, double(x)[0] * (1 + 3e-9)], rtol=1e-8)
    assert_vjp("double", double, (x,), np.random.default_rng(0))
"""
NODE = "tests/ledger/test_double.py::test_double"


def marked(*labels, error=1e-9, formula_only=False, node=NODE):
    return {node: {"labels": dict.fromkeys(labels, formula_only), "error": error}}


BOTH = marked("eq-double", "eq-double-vjp")


@pytest.fixture
def tree(tmp_path):
    def write(chapter=CHAPTER, function=FUNCTION, test=TEST):
        for folder in ("chapters/part", "dlcourse", "tests/ledger", "tools"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": chapter.splitlines(keepends=True)}]
        (tmp_path / "chapters/part/one.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
        (tmp_path / "dlcourse/f.py").write_text(function)
        (tmp_path / "tests/ledger/test_double.py").write_text(test)
        return tmp_path

    return write


def faults(root, tests):
    return ledger.assemble(root, tests)[1]


def test_complete_tree_has_no_fault(tree):
    contents, found = ledger.assemble(tree(), BOTH)
    assert found == []
    assert contents["equations"][0] == {
        "label": "eq-double",
        "latex": "y = 2 x",
        "chapter": "chapters/part/one",
        "anchor": "equation-eq-double",
        "functions": ["dlcourse.f.double"],
        "tests": [NODE],
        "error": 1e-9,
    }
    assert contents["equations"][1]["latex"].startswith(r"\frac")
    assert len(contents["equations"]) == 2


def one(found, *parts):
    assert len(found) == 1, found
    assert all(part in found[0] for part in parts), found[0]


def test_docstring_with_unknown_label(tree):
    one(
        faults(tree(function=FUNCTION.replace("eq-double;", "eq-double, eq-triple;")), BOTH),
        "dlcourse.f.double names eq-triple",
        "no chapter has",
    )


def test_message_with_unknown_label(tree):
    one(faults(tree(function=FUNCTION + 'HINT = "see eq-treble"\n'), BOTH), "eq-treble", "no chapter has")


def test_equation_without_test(tree):
    one(faults(tree(), marked("eq-double")), "eq-double-vjp has no test")


def test_marker_with_unknown_label(tree):
    one(
        faults(tree(), BOTH | marked("eq-tripel", node="tests/ledger/test_x.py::test_x")),
        "test_x is marked with eq-tripel",
        "no chapter has",
    )


def test_label_used_twice(tree):
    chapter = CHAPTER + "\n:::{math}\n:label: eq-double\ny = x + x\n:::\n"
    one(faults(tree(chapter=chapter), BOTH), "eq-double is already the label")


def test_equation_without_function(tree):
    root = tree(function=FUNCTION.replace("eq-double;", "see"))
    one(faults(root, BOTH), "no function names eq-double", "formula_only=True")
    assert faults(root, marked("eq-double", formula_only=True) | marked("eq-double-vjp", node="tests/ledger/test_b.py::test_b")) == []


def test_formula_only_beside_a_function(tree):
    one(
        faults(tree(), marked("eq-double", formula_only=True) | marked("eq-double-vjp", node="t::b")),
        "says formula_only=True",
        "implements eq-double",
    )


def test_label_without_formula(tree):
    one(faults(tree(chapter=CHAPTER.replace("y = 2 x\n", "")), BOTH), "eq-double has no formula")


def test_label_is_matched_whole():
    assert ledger.LABEL.findall("(eq-softmax-vjp), eq-adam; eq-adam's") == ["eq-softmax-vjp", "eq-adam", "eq-adam"]


def test_math_inside_another_directive():
    source = "::::{note}\n:::{math}\n:label: eq-inner\na = b\n\nc = d\n:::\n::::\n> ```{math}\n> :label: eq-quoted\n> q\n> ```\n"
    assert ledger.labelled_math(source) == [("eq-inner", "a = b\n\nc = d"), ("eq-quoted", "q")]


@pytest.mark.parametrize(("error", "expected"), [(3.2e-13, 1e-12), (1e-9, 1e-9), (1.1e-9, 1e-8), (0.0, 1e-15), (2e-16, 1e-15)])
def test_errors_are_rounded_up(error, expected):
    assert ledger.rounded_up(error) == expected


def test_numpy_comes_first():
    names = ["dlcourse.check.f", "dlcourse.mlx.f", "dlcourse.numpy.f", "dlcourse.state", "dlcourse.torch.f"]
    assert sorted(names, key=ledger.in_order) == [
        "dlcourse.numpy.f",
        "dlcourse.torch.f",
        "dlcourse.mlx.f",
        "dlcourse.check.f",
        "dlcourse.state",
    ]


def test_structure_ignores_errors_only(tree):
    now = ledger.assemble(tree(), BOTH)[0]
    committed = json.loads(json.dumps(now))
    committed["equations"][0]["error"] = 1e-3
    assert ledger.differences(committed, now) == []
    committed["equations"][0]["latex"] = "y = 3 x"
    one(ledger.differences(committed, now), "eq-double", "latex", "make ledger")
    one(ledger.differences({"equations": committed["equations"][1:]}, now), "lacks eq-double")
    one(ledger.differences(now, {"equations": now["equations"][1:]}), "eq-double, which is gone")


# ---------------------------------------------------------------- the whole way through pytest


@pytest.fixture
def project(tree):
    def write(**parts):
        root = tree(**parts)
        for name in ("tests/equations.py", "tests/ledger_plugin.py", "tools/ledger.py"):
            shutil.copy(ledger.ROOT / name, root / name)
        for name in ("tests/__init__.py", "tools/__init__.py", "dlcourse/__init__.py"):
            (root / name).write_text("")
        (root / "tests/conftest.py").write_text('pytest_plugins = ["tests.ledger_plugin"]\n')
        options = 'addopts = ["--import-mode=importlib", "--strict-markers"]'
        (root / "pyproject.toml").write_text(f'[tool.pytest.ini_options]\npythonpath = ["."]\n{options}\n')
        return root

    return write


def pytest_in(root, *arguments):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


def test_run_records_the_largest_error(project):
    root = project()
    contents, found, passed = ledger.run(root)
    assert passed
    assert found == []
    assert [entry["error"] for entry in contents["equations"]] == [1e-8, 1e-8]


def test_ordinary_session_writes_the_ledger_with_and_without_workers(project):
    root = project()
    contents = []
    for workers in ((), ("-p", "xdist", "-n", "2")):
        shutil.rmtree(root / "_build", ignore_errors=True)
        done = pytest_in(root, *workers, "tests")
        assert done.returncode == 0, done.stdout + done.stderr
        contents.append(json.loads((root / "_build/ledger.json").read_text()))
    assert contents[0] == contents[1]
    assert contents[0]["faults"] == []
    assert contents[0]["equations"][0]["error"] == 1e-8


def test_test_that_compares_nothing_fails(project):
    root = project(test=TEST.split("    x = np")[0] + "    assert double(1)[0] == 2\n")
    done = pytest_in(root, "tests")
    assert done.returncode == 1
    assert "compared nothing" in done.stdout
    assert not ledger.run(root)[2]


def test_skipped_test_is_a_fault(project):
    _, found, passed = ledger.run(project(test=TEST.replace("    x = np", "    pytest.skip('absent')\n    x = np")))
    assert passed
    one(found, "test_double", "did not run")


def test_marker_without_label_is_refused(project):
    done = pytest_in(project(test=TEST.replace('"eq-double"', "")), "tests")
    assert done.returncode != 0
    assert "one label at least" in done.stdout + done.stderr


def test_broken_sign_fails(project):
    done = pytest_in(project(function=FUNCTION.replace("2 * dy", "-2 * dy")), "tests")
    assert done.returncode == 1
    assert "gradient of argument 0: scaled error" in done.stdout
