"""The appendix on common errors: `{myths}` collects what the chapters refute, so that nothing is claimed in two places.

An entry of a chapter's FAQ is a refutation when its text begins with "Often written", "Often seen" or "Often quoted". The page shows its
question, as a link to the chapter that runs it, and its first paragraph, with the numbers that the notebook computed."""

import ast
import json
import re
from pathlib import Path

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

BEGIN = re.compile(r"\*\*Often (written|seen|quoted)\b")
GLUED = re.compile(r"\{glue:text\}`([^`:]+)`")
RECORD = "application/papermill.record/text/plain"


def refutations(path):
    """Pairs (question, first paragraph) of a notebook's FAQ."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    values = {
        output["metadata"]["scrapbook"]["name"]: str(ast.literal_eval(output["data"][RECORD]))
        for cell in cells
        for output in cell.get("outputs", ())
        if RECORD in output.get("data", ())
    }
    section = question = None
    for cell in cells:
        if cell["cell_type"] != "markdown":
            continue
        for block in re.split(r"\n\s*\n", "".join(cell["source"])):
            if block.startswith("## "):
                section = block.removeprefix("## ").strip()
            elif block.startswith("### "):
                question = block.removeprefix("### ").strip()
            elif section == "FAQ" and BEGIN.match(block):
                yield question, GLUED.sub(lambda match: values[match[1]], block)


def chapters(root):
    """The files of the book in its order, without their extension."""
    parts = yaml.safe_load(Path(root, "_toc.yml").read_text(encoding="utf-8"))["parts"]
    return [chapter["file"] for part in parts for chapter in part["chapters"]]


def anchor(question):
    """The id that docutils gives to a section of this title."""
    return nodes.make_id(nodes.fully_normalize_name(re.sub(r"[$`*]", "", question)))


class Myths(SphinxDirective):
    def run(self):
        shown = []
        for name in chapters(self.env.srcdir):
            path = Path(self.env.srcdir, f"{name}.ipynb")
            if not path.exists():
                continue
            self.env.note_dependency(str(path))
            items = [self._item(name, *refutation) for refutation in refutations(path)]
            if items:
                shown += [self._heading(name), nodes.bullet_list("", *items, classes=["myths"])]
        return shown or [nodes.paragraph("", "No chapter refutes anything yet.")]

    def _heading(self, name):
        link = addnodes.pending_xref(
            "", nodes.inline(), refdomain="std", reftype="doc", reftarget=f"/{name}", refexplicit=False, refwarn=True
        )
        link["refdoc"] = self.env.docname
        return nodes.paragraph("", "Chapter: ", link, classes=["ledger-chapter"])

    def _item(self, name, question, paragraph):
        uri = self.env.app.builder.get_relative_uri(self.env.docname, name) + f"#{anchor(question)}"
        link = nodes.reference("", "", *self._inline(question), refuri=uri, internal=True)
        said = re.sub(r"\s*<!--.*?-->", "", " ".join(paragraph.split()))
        said = re.sub(":$", ".", said)  # where it leads to a cell
        return nodes.list_item("", nodes.paragraph("", "", link, nodes.Text(" "), *self._inline(said)))

    def _inline(self, text):
        return self.state.inline_text(text, self.lineno)[0]


def setup(app):
    app.add_directive("myths", Myths)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
