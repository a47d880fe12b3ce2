"""The book's Sphinx extensions, on small books of a page or two built from a copy of the package's source."""

import importlib.util
import io
import json
import shutil
import tomllib
import warnings
from pathlib import Path

import pytest
import yaml
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from tests.browser.site import ROOT

CONFIG = {
    "project": "small",
    "extensions": ["myst_nb", "sphinx_design", "source", "api", "results"],
    "myst_enable_extensions": ["colon_fence", "dollarmath"],
    "nb_execution_mode": "off",
    "nb_render_markdown_format": "myst",
    "nb_mime_priority_overrides": [("html", "text/markdown", 5)],
    "html_theme": "small",
    "html_theme_path": ["theme"],
    "html_theme_options": {"repository_url": "https://example.org/r", "repository_branch": "main"},
    "nitpicky": True,
    "add_module_names": False,
}
THEME = "[theme]\ninherit = basic\n[options]\nrepository_url =\nrepository_branch =\n"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A folder with a copy of some modules of the package; `build(page)` returns (exit code, messages, HTML of the page)."""
    for name in ("config.py", "state.py", "numpy/mlp.py", "torch/mlp.py", "mlx/mlp.py", "numpy/functional.py"):
        target = tmp_path / "dlcourse" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "dlcourse" / name, target)
    (tmp_path / "theme" / "small").mkdir(parents=True)
    (tmp_path / "theme" / "small" / "theme.conf").write_text(THEME, encoding="utf-8")
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))

    def build(page=None, name="index.md"):
        if page is not None:
            (tmp_path / name).write_text(page, encoding="utf-8")
        messages, out = io.StringIO(), tmp_path / "out"
        with warnings.catch_warnings(), patch_docutils(str(tmp_path)), docutils_namespace():
            warnings.simplefilter("ignore")  # deprecations inside Sphinx's extensions are not the book's
            app = Sphinx(
                str(tmp_path),
                None,
                str(out),
                str(tmp_path / "doctrees"),
                "html",
                CONFIG,
                None,
                messages,
                warningiserror=True,
                keep_going=True,
            )
            app.build()
        built = out / "index.html"
        return app.statuscode, messages.getvalue(), built.read_text(encoding="utf-8") if built.exists() else ""

    build.folder = tmp_path
    return build


API = "\n:::{api} dlcourse.*\n:::\n"


def test_source_makes_a_tab_for_each_backend_that_has_the_object(book):
    code, messages, html = book(
        "# T\n\n:::{source} mlp.MLP\n:::\n\n:::{source} functional.linear\n:::\n\n:::{source} state.compare\n:::\n" + API
    )
    assert code == 0, messages
    assert html.count('class="sd-tab-set') == 2
    assert [html.count(f">\n{name}</label>") for name in ("NumPy", "PyTorch", "MLX")] == [2, 1, 1]
    assert 'data-sync-group="backend"' in html
    assert "compare" in html


def test_a_change_of_the_package_shows_on_the_page(book):
    code, messages, html = book("# T\n\n:::{source} mlp.MLP\n:::\n" + API)
    assert code == 0, messages
    assert "changed_here" not in html
    path = book.folder / "dlcourse" / "numpy" / "mlp.py"
    path.write_text(path.read_text(encoding="utf-8").replace("dlogits", "changed_here"), encoding="utf-8")
    code, messages, html = book()
    assert code == 0, messages
    assert "changed_here" in html


def test_a_notebook_output_shows_the_same_tabs(book):
    directive = ":::{source} mlp.MLP\n:::"
    output = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"text/html": "<b>for JupyterLab</b>", "text/markdown": directive, "text/plain": "x"},
    }
    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# T\n" + API},
        {"cell_type": "code", "id": "b", "metadata": {}, "source": "source('mlp.MLP')", "execution_count": 1, "outputs": [output]},
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    page = json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})
    code, messages, html = book(page, name="index.ipynb")
    assert code == 0, messages
    assert html.count('class="sd-tab-set') == 1
    assert "for JupyterLab" not in html


@pytest.mark.parametrize(
    ("directive", "sentence"),
    [
        (":::{source} mlp.Nothing\n:::", "source: Nothing is neither in dlcourse/numpy/mlp.py"),
        (":::{source} MLP\n:::", "write a file and an object"),
        (":::{source} mlp.MLP\n:backends: jax\n:::", "unknown backend 'jax'"),
        (":::{api} dlcourse.nothing\n:::", "no module of the package is called dlcourse.nothing"),
        (":::{results} nothing\n:::", "nothing is recorded for nothing"),
    ],
)
def test_a_wrong_name_stops_the_build(book, directive, sentence):
    code, messages, _ = book("# T\n\n" + directive + "\n" + API)
    assert code != 0
    assert sentence in messages


def test_api_pages_keep_docstrings_and_link_equations(book):
    math = "\n:::{math}\n:label: eq-linear\ny = x\n:::\n\nsee {py:func}`dlcourse.numpy.functional.linear` and {py:class}`dlcourse.config.MLPConfig`\n"
    code, messages, html = book("# T\n" + math + API)
    assert code == 0, messages
    assert 'id="dlcourse.numpy.functional.linear"' in html
    assert 'href="#equation-eq-linear">eq-linear</a>' in html
    assert 'href="https://example.org/r/blob/main/dlcourse/numpy/functional.py#L' in html
    assert html.count('href="#dlcourse.config.MLPConfig"') >= 1
    inputs = "numbers in one example: 784 for an image of 28 x 28"  # the comment of a field is its documentation
    assert inputs in html


def test_a_module_without_page_stops_the_build(book):
    code, messages, _ = book("# T\n\n:::{api} dlcourse.config dlcourse.numpy.*\n:::\n")
    assert code != 0
    assert "module dlcourse.state is on no API page" in messages


def test_a_new_module_is_noticed(book):
    code, messages, _ = book("# T\n" + API)
    assert code == 0, messages
    (book.folder / "dlcourse" / "added.py").write_text('"""Added later."""\n\n\ndef added_later(x):\n    """y = x"""\n', encoding="utf-8")
    code, messages, html = book()
    assert code == 0, messages
    assert "added_later" in html


def test_results_come_from_the_recorded_files(book):
    folder = book.folder / "results"
    folder.mkdir()
    recorded = sorted((ROOT / "results").glob("mlp-digits-*.json"))
    assert recorded
    for path in recorded:
        shutil.copy(path, folder)
    code, messages, html = book("# T\n\n:::{results}\n:::\n" + API)
    assert code == 0, messages
    run = json.loads(recorded[0].read_text(encoding="utf-8"))
    assert f"{run['metrics']['test_accuracy']['mean']:.4f} (" in html
    (folder / "broken.json").write_text('{"recipe": "broken"}', encoding="utf-8")
    code, messages, _ = book()
    assert code != 0
    assert "results/broken.json is not a recorded run" in messages


def test_repository_url_is_that_of_the_package():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert config["repository"]["url"] == project["project"]["urls"]["Repository"]
    setup = (ROOT / "book" / "setup.md").read_text(encoding="utf-8")
    assert f"git clone {config['repository']['url']}" in setup


def test_figures_are_what_the_script_draws(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("draw", ROOT / "book" / "figures" / "draw.py")
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    monkeypatch.setattr(draw, "HERE", Path(tmp_path))
    draw.main()
    for path in tmp_path.glob("*.svg"):
        assert path.read_text(encoding="utf-8") == (ROOT / "book" / "figures" / path.name).read_text(encoding="utf-8")


def test_the_book_asks_for_nothing_of_torch_or_mlx():
    """Pages about them are read from source: the extensions import neither, nor the package."""
    for path in (ROOT / "book" / "_ext").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import torch" not in text, path.name
        assert "import mlx" not in text, path.name
        assert "import dlcourse" not in text, path.name
