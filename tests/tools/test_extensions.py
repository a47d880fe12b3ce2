"""The ledger's page, the budget's place, glued numbers and source cells in a small site, built with warnings as errors."""

import html
import json
import re
import subprocess
import sys

import nbformat
import pytest

from tests.tools.fixtures import code, markdown, notebook
from tools import notebooks

CONF = """
import sys
sys.path.insert(0, {ext!r})
extensions = ["myst_nb", "ledger", "fakesource"]
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_mime_priority_overrides = [["html", "text/markdown", 5]]
myst_enable_extensions = ["colon_fence", "dollarmath"]
numfig = math_numfig = True
nitpicky = True
html_theme = "basic"
"""
FAKE_SOURCE = """
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

class Source(SphinxDirective):
    required_arguments = 1
    def run(self):
        return [nodes.paragraph("", "TABS OF " + self.arguments[0])]

def setup(app):
    app.add_directive("source", Source)
"""
ENTRY = {
    "label": "eq-double",
    "latex": "y = 2 x",
    "chapter": "chapters/one",
    "anchor": "equation-eq-double",
    "functions": ["dlcourse.f.double", "dlcourse.f._hidden"],
    "tests": ["tests/ledger/test_double.py::test_double"],
    "error": 1e-12,
}
CELL = """from dlcourse.book import glue, source
glue("share", 0.970, ".1%")
glue("mean", 0.970, ".3f")
source("mlp.MLP")"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A chapter run by the tool itself, so that the page is built from real stored outputs."""
    from tools.execute import execute

    path = tmp_path_factory.mktemp("site") / "chapters" / "one.ipynb"
    text = "# One\n\n**Budget:** <!-- budget --><!-- / -->.\n\n:::{math}\n:label: eq-double\ny = 2 x\n:::\n\nShare {glue:text}`share`, mean {glue:text}`mean`. {glue:text}`mean:.2f`"
    execute(path, notebook=notebook(markdown(text), code(CELL, run=False)))
    return path


@pytest.fixture
def site(tmp_path, executed):
    def write(entries=(ENTRY,), **edit):
        (tmp_path / "chapters").mkdir(exist_ok=True)
        (tmp_path / "results").mkdir(exist_ok=True)
        chapter = json.loads(executed.read_text())
        chapter["metadata"].update(edit)
        (tmp_path / "chapters/one.ipynb").write_text(json.dumps(chapter))
        (tmp_path / "results/ledger.json").write_text(json.dumps({"equations": list(entries)}))
        (tmp_path / "fakesource.py").write_text(FAKE_SOURCE)
        ext = str(notebooks.ROOT / "book" / "_ext")
        (tmp_path / "conf.py").write_text(CONF.format(ext=ext) + f"sys.path.insert(0, {str(tmp_path)!r})\n")
        api = "```{py:function} dlcourse.f.double(x)\n```\n"
        (tmp_path / "index.md").write_text(f"# Ledger\n\n```{{toctree}}\nchapters/one\n```\n\n:::{{ledger}}\n:::\n\n{api}")
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(tmp_path), str(tmp_path / "out")]
        return tmp_path / "out", subprocess.run(command, capture_output=True, text=True)

    return write


def test_pages(site):
    out, done = site()
    assert done.returncode == 0, done.stdout + done.stderr
    page = (out / "index.html").read_text()
    assert "1 numbered equations, checked by 1 tests. The largest error is below" in page
    assert r"\(10^{-12}\)" in page
    assert 'id="ledger-eq-double"' in page
    assert 'href="chapters/one.html#equation-eq-double"' in page
    assert 'href="#dlcourse.f.double"' in page
    assert "_hidden" in page
    assert "#dlcourse.f._hidden" not in page
    assert "test_double.py::test_double" in page
    assert r"\[y = 2 x\]" in page
    assert (out / "_static/ledger.css").exists()
    chapter = html.unescape(re.sub("<[^>]+>", "", (out / "chapters/one.html").read_text()))
    assert re.search(r"Budget: about \d+ seconds and \d+ MB on one CPU core\.", chapter)
    assert "Share 97.0%, mean 0.970. 0.97" in chapter
    assert "mean = 0.970" not in chapter  # what JupyterLab shows below the cell, the page shows in its prose
    assert "TABS OF mlp.MLP" in chapter
    assert "class MLP" not in chapter


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"entries": [{**ENTRY, "label": "eq-gone"}]}, ["eq-gone"]),
        ({"entries": [{**ENTRY, "error": None}]}, ["eq-double lacks error"]),
    ],
)
def test_faults_fail_the_build(site, parts, words):
    _, done = site(**parts)
    assert done.returncode != 0
    for word in words:
        assert word in done.stderr


def test_glue_matches_myst_nb(executed):
    """myst-nb finds the values in the stored outputs and hides them from the page."""
    from myst_nb.ext.glue import extract_glue_data_cell

    cell = next(cell for cell in nbformat.read(executed, as_version=4).cells if cell.cell_type == "code")
    found = dict(extract_glue_data_cell(cell))
    assert {name: data["data"]["text/plain"] for name, data in found.items()} == {"share": "'97.0%'", "mean": "'0.970'"}
    assert len(cell.outputs) == 1  # the source


FAQ = """## FAQ

### Is $2 x$ a `double`?

**Often written:** no. It is, <!-- number: of the cell above --> in {glue:text}`share` of
all cases:

### Is this one refuted?

Nobody writes it.

### And this?

**Often seen** in books. Is it?"""


REFUTED = {  # what articles get wrong: each in the chapter that it belongs to, by words of its heading
    "mlp": (
        "softmax layer needed",
        "the output error",
        "the logistic loss",
        "the weight gradient",
        "batch and stochastic",
        "random numbers",
        "biases start at random",
    ),
    "optimizers": ("dynamic gradient descent", "weight decay", "no learning rate", "same in every library", "fall at every step"),
    "large-models": ("more computing", "train what I can run", "three times the cost", "a FLOP a FLOP", "117 million"),
    "vectors-gradients": ("smaller step", "matrix inverses", "shapes were wrong", "take differences"),
    "autograd": ("Inference uses back-propagation", "kind of finite difference"),
    "losses": ("regression predict the number", "constant in the logarithm", "softmax turns outputs"),
    "regularization": ("Dropout always", "parameters always overfit", "L1 penalty into the loss"),
    "evaluation": ("higher accuracy in the table", "An AUC near one", "Overlapping confidence", "no test set", "mean and deviation"),
    "frameworks-devices": ("same seed", "hundred times faster", "on the GPU"),
    "cnn": ("92 % on CIFAR-10", "the last batch", "y_hat >= 0.5"),
    "attention": ("heads averaged", "explain the decision"),
    "transformer": ("98 % accuracy",),
    "gpt": ("MLPs or CNNs",),
    "bert": ("two terms for each sentence", "at translation"),
}


@pytest.fixture
def myths(monkeypatch):
    monkeypatch.syspath_prepend(str(notebooks.ROOT / "book" / "_ext"))
    import myths

    return myths


@pytest.mark.parametrize("chapter", REFUTED)
def test_the_appendix_holds_what_the_chapter_refutes(myths, chapter):
    (path,) = (notebooks.ROOT / "chapters").glob(f"*/{chapter}.ipynb")
    found = [question for question, _ in myths.refutations(path)]
    for words in REFUTED[chapter]:
        assert sum(words.lower() in question.lower() for question in found) == 1, f"{words!r} is no refutation: {found}"


def test_a_refutation_begins_as_the_appendix_asks(myths):
    """A paragraph that begins with "Often" in bold and is not collected would be missing there without a word."""
    for path in notebooks.chapters([]):
        faq = "".join("".join(c["source"]) + "\n\n" for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "markdown")
        faq = faq.partition("## FAQ")[2].partition("\n## ")[0]
        often = re.findall(r"^\*\*Often.*", faq, re.MULTILINE)
        assert len(often) == len(list(myths.refutations(path))) and all(map(myths.BEGIN.match, often)), path.name


def test_myths_are_collected_from_the_chapters(tmp_path, executed):
    chapter = json.loads(executed.read_text())
    chapter["cells"] += [
        {**cell, "id": f"faq-{i}"}
        for i, cell in enumerate(notebook(markdown(FAQ), markdown("## Exercises\n\n**Often written:** outside of the FAQ.")).cells)
    ]
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters/one.ipynb").write_text(json.dumps(chapter))
    (tmp_path / "results").mkdir()
    (tmp_path / "results/ledger.json").write_text(json.dumps({"equations": [ENTRY]}))
    (tmp_path / "_toc.yml").write_text("parts:\n- chapters:\n  - file: book/setup\n  - file: chapters/one\n")
    (tmp_path / "fakesource.py").write_text(FAKE_SOURCE)
    ext = str(notebooks.ROOT / "book" / "_ext")
    (tmp_path / "conf.py").write_text(CONF.format(ext=ext) + f"sys.path.insert(0, {str(tmp_path)!r})\nextensions.append('myths')\n")
    (tmp_path / "index.md").write_text("# Myths\n\n```{toctree}\nchapters/one\n```\n\n:::{myths}\n:::\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "out/index.html").read_text()
    listed = page.split('<ul class="myths')[1].split("</ul>")[0]
    items = [html.unescape(re.sub("<[^>]+>", "", item)) for item in re.findall(r"<li>(.*?)</li>", listed, re.DOTALL)]
    assert [" ".join(item.split()) for item in items] == [
        r"Is \(2 x\) a double? Often written: no. It is, in 97.0% of all cases.",
        "And this? Often seen in books. Is it?",
    ]
    targets = re.findall(r'href="chapters/one.html#([^"]+)"', listed)
    chapter = (tmp_path / "out/chapters/one.html").read_text()
    assert len(targets) == 2 and all(f'id="{target}"' in chapter for target in targets)
