"""Glued numbers and source cells of the notebooks."""

import html
import re
import subprocess
import sys

import numpy as np
import pytest

from dlcourse import book
from dlcourse.book import find_source, formatted, glue, mean_range, significant_digits, source


@pytest.fixture
def shown(monkeypatch):
    """What IPython would be asked to display, with a fresh register of names; `shown.cell` and `shown.run` play the front end."""
    import IPython
    import IPython.display

    class Shown(list):
        cell = run = None

        def get_parent(self):
            return {"metadata": {"cellId": self.cell} if self.cell else {}, "header": {"msg_id": self.run}}

    record = Shown()
    monkeypatch.setattr(book, "_glued", {})
    monkeypatch.setattr(IPython, "get_ipython", lambda: record if record.cell else None)
    monkeypatch.setattr(IPython.display, "display", lambda bundle, **options: record.append((bundle, options)))
    return record


def test_bundle_is_the_one_of_myst_nb(shown, monkeypatch):
    """The same keys and metadata as myst_nb.glue(..., display=False), and a line for JupyterLab."""
    from myst_nb.ext import glue as myst

    theirs = []
    monkeypatch.setattr(myst, "ipy_display", lambda bundle, **options: theirs.append((bundle, options)))

    class Formatters:
        @staticmethod
        def format_display_data(value):
            return {"text/plain": repr(value)}, {}

    monkeypatch.setattr(myst.IPython.core, "formatters", Formatters, raising=False)
    myst.glue("accuracy", "0.970", display=False)
    assert glue("accuracy", 0.97, ".3f") is None
    (bundle, options), (expected, expected_options) = shown[0], theirs[0]
    assert bundle.pop("text/plain") == "accuracy = 0.970"
    assert bundle == expected == {"application/papermill.record/text/plain": "'0.970'"}
    assert options == expected_options


@pytest.mark.parametrize(
    ("value", "fmt", "text"),
    [
        (0.97, ".3f", "0.970"),
        (np.float32(0.5), ".2f", "0.50"),
        (np.array([0.5]), ".2f", "0.50"),
        (0.12345, ".1%", "12.3%"),
        (3.21e-9, ".1e", "3.2e-09"),
        (-0.0001, ".2f", "0.00"),
        (-0.25, ".2f", "-0.25"),
        (109386, ",", "109,386"),
        (109386, None, "109386"),
        (np.int64(7), None, "7"),
        ("0.97 (0.96 to 0.98)", None, "0.97 (0.96 to 0.98)"),
    ],
)
def test_format(value, fmt, text):
    assert formatted("x", value, fmt) == text


@pytest.mark.parametrize(
    ("value", "fmt", "words"),
    [
        (0.5, None, "say how to round it"),
        (0.5, "g", "say how to round it"),
        (0.5, "f", "say how to round it"),
        (float("nan"), ".3f", "only finite numbers"),
        (np.float64("inf"), ".3f", "only finite numbers"),
        (0.123456, ".5f", "5 significant digits"),
        (True, None, "is a bool"),
        (None, None, "is a NoneType"),
        ([0.5, 0.6], ".2f", "is a list"),
        (np.ones(3), ".2f", "is a ndarray"),
        ("0.5", ".2f", "format numbers only"),
        (" ", None, "empty text"),
    ],
)
def test_refused(shown, value, fmt, words):
    with pytest.raises(ValueError, match=words):
        glue("x", value, fmt)
    assert not shown


@pytest.mark.parametrize("name", ["", "1st", "a b", "a::b", "a:b", "a`b"])
def test_names_that_the_role_cannot_take(shown, name):
    with pytest.raises(ValueError, match="cannot be a glued name"):
        glue(name, 1)


def test_name_stands_for_one_value(shown):
    glue("x", 1)
    glue("x", 1)
    with pytest.raises(ValueError, match="'x' is already glued as '1' and would become '2'"):
        glue("x", 2)


def test_reader_may_change_a_cell_and_run_it_again(shown):
    shown.cell, shown.run = "a", "first"
    glue("x", 1)
    with pytest.raises(ValueError, match="already glued"):
        glue("x", 2)  # twice in one run of one cell
    shown.run = "second"
    glue("x", 2)
    shown.cell = "b"
    with pytest.raises(ValueError, match="already glued"):
        glue("x", 3)


def test_mean_range():
    assert mean_range([0.971, 0.975, 0.98], ".3f") == "0.975 (0.971 to 0.980)"
    assert mean_range(np.array([0.5, 0.5, 0.5]), ".0%") == "50% (50% to 50%)"
    assert mean_range([1, 2, 4], ".1f") == "2.3 (1.0 to 4.0)"
    with pytest.raises(ValueError, match="at least 3 seeds"):
        mean_range([0.5, 0.6], ".2f")
    with pytest.raises(ValueError, match="only finite"):
        mean_range([0.5, 0.6, np.nan], ".2f")


def test_significant_digits():
    assert [significant_digits(text) for text in ("0.0970", "12.50", "1.2e-08", "109,386", "97.5%", "0.00")] == [3, 4, 2, 6, 3, 0]


# ---------------------------------------------------------------- source


def test_source_of_each_backend(shown):
    assert source("mlp.MLP") is None
    bundle = shown[0][0]
    assert bundle["text/markdown"] == ":::{source} mlp.MLP\n:::"
    assert bundle["text/plain"] == "source of mlp.MLP: NumPy, PyTorch, MLX"
    page = bundle["text/html"]
    assert re.findall("<summary>(.*?)</summary>", page) == [f"{t}: dlcourse/{b}/mlp.py" for b, t in book.TITLES.items()]
    blocks = [html.unescape(block) for block in re.findall("<pre><code>(.*?)</code></pre>", page, re.S)]
    for backend, block in zip(book.TITLES, blocks, strict=True):
        assert block.startswith("class MLP")
        assert block in (book.PACKAGE / backend / "mlp.py").read_text(encoding="utf-8")
    assert page.count("<details open>") == 1


def test_source_of_one_backend_and_of_the_common_part():
    linear = find_source("functional.linear")
    assert [item.backend for item in linear] == ["numpy"]
    assert linear[0].text.startswith("def linear(")
    lines = linear[0].path.read_text(encoding="utf-8").splitlines()
    assert lines[linear[0].first - 1 : linear[0].last] == linear[0].text.splitlines()
    shared = find_source("text.merges.learn")
    assert [(item.backend, item.title) for item in shared] == [(None, "dlcourse.text.merges")]
    assert shared[0].text.startswith("def learn(") and shared[0].path.name == "merges.py"
    shared = find_source("state.compare")
    assert [(item.backend, item.title) for item in shared] == [(None, "dlcourse.state")]
    assert find_source("mlp.MLP.__init__")[0].text.startswith("def __init__(self")


@pytest.mark.parametrize(
    ("name", "words"),
    [("MLP", "not a source name"), ("mlp.Mlp", "no backend has"), ("../secrets.f", "not a source name"), ("nothing.f", "no backend has")],
)
def test_unknown_source(name, words):
    with pytest.raises(ValueError, match=words):
        find_source(name)


def test_decorators_and_code_characters(tmp_path, monkeypatch, shown):
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "m.py").write_text(
        "import x\n\n@x.y\n@x.z\nclass A:\n    @property\n    def b(self):\n        return 1 < 2 and '<b>'\n"
    )
    monkeypatch.setattr(book, "PACKAGE", tmp_path)
    assert find_source("m.A")[0].text.startswith("@x.y\n@x.z\nclass A:")
    assert find_source("m.A.b")[0].text == "@property\ndef b(self):\n    return 1 < 2 and '<b>'\n"
    source("m.A")
    assert "1 &lt; 2 and '&lt;b&gt;'" in shown[0][0]["text/html"]


def test_importing_and_reading_source_needs_numpy_only():
    """Neither IPython nor a framework is imported before something is shown."""
    program = (
        "import sys; from dlcourse import book; book.find_source('mlp.MLP'); "
        "bad = {'IPython', 'torch', 'mlx', 'myst_nb', 'sphinx', 'matplotlib'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- recorded runs


def test_recorded_run():
    run = book.recorded("mlp-digits-numpy")
    assert run["recipe"] == "mlp-digits"
    assert run["backend"] == "numpy"


def test_recorded_run_that_is_not_there():
    with pytest.raises(FileNotFoundError, match="no recorded run 'mlp-moon'"):
        book.recorded("mlp-moon")
