"""The ledger's page: `{ledger}` renders results/ledger.json, an entry an equation, grouped by chapter.

Each entry shows the formula as the chapter prints it, its number there, the code that implements it, the test that checks it and the
largest error that the test met. An equation that no page has is an error: the file is out of date, and `make ledger` renews it."""

import json
import math
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

FIELDS = ("label", "latex", "chapter", "functions", "tests", "error")


class object_mention(nodes.Inline, nodes.TextElement):
    """The name of a function; becomes a link when an API page describes it."""


class Ledger(SphinxDirective):
    def run(self):
        path = Path(self.env.srcdir, "results", "ledger.json")
        self.env.note_dependency(str(path))
        self.env.dlcourse_ledgers.add(self.env.docname)
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))["equations"]
            missing = [f"{entry.get('label')} lacks {name}" for entry in entries for name in FIELDS if entry.get(name) is None]
        except FileNotFoundError:
            raise self.error("ledger: there is no results/ledger.json: run  make ledger") from None
        except (KeyError, TypeError, ValueError) as error:
            raise self.error(f"ledger: results/ledger.json is not a ledger ({error!r}): run  make ledger") from error
        if missing:
            raise self.error(f"ledger: in results/ledger.json {missing[0]}: run  make ledger")
        if not entries:
            return [nodes.paragraph("", "No chapter has a numbered equation yet.")]
        shown = [summary(entries)]
        for position, entry in enumerate(entries):
            if not position or entry["chapter"] != entries[position - 1]["chapter"]:
                chapter = self._reference("std", "doc", "/" + entry["chapter"], "")
                shown.append(nodes.paragraph("", "Chapter: ", chapter, classes=["ledger-chapter"]))
            shown.append(self._entry(entry))
        return shown

    def _entry(self, entry):
        box = nodes.container(ids=[f"ledger-{entry['label']}"], classes=["ledger-entry"])
        head = nodes.paragraph(classes=["ledger-head"])
        head += [nodes.literal("", entry["label"]), nodes.Text(" "), self._reference("math", "eq", entry["label"], entry["label"])]
        box += head
        box += nodes.math_block(entry["latex"], entry["latex"], nowrap=False, number=None, label=None, docname=self.env.docname)
        fields = nodes.definition_list(classes=["ledger-fields"])
        code = [object_mention("", name, name=name) for name in entry["functions"]] or [nodes.Text("a step of derivations only")]
        fields += self._field("Code", code)
        fields += self._field("Test", [nodes.literal("", name.removeprefix("tests/ledger/")) for name in entry["tests"]])
        fields += self._field("Error below", [power_of_ten(entry["error"])])
        box += fields
        return box

    def _field(self, name, values):
        definition = nodes.definition()
        definition += [nodes.paragraph("", "", value) for value in values]
        return nodes.definition_list_item("", nodes.term("", name), definition)

    def _reference(self, domain, kind, target, text):
        content = nodes.inline("", text, classes=["xref"])
        found = addnodes.pending_xref("", content, refdomain=domain, reftype=kind, reftarget=target, refexplicit=False, refwarn=True)
        found["refdoc"] = self.env.docname
        return found


def summary(entries):
    tests = {name for entry in entries for name in entry["tests"]}
    worst = power_of_ten(max(entry["error"] for entry in entries))
    begin = f"{len(entries)} numbered equations, checked by {len(tests)} tests. The largest error is below "
    return nodes.paragraph("", begin, worst, nodes.Text(", relative to the largest entry of what is compared."))


def power_of_ten(error):
    """1e-09 as a formula; `make ledger` rounds errors up to powers of ten."""
    latex = f"10^{{{math.floor(math.log10(error) + 0.5)}}}"
    return nodes.math(latex, latex)


def link_objects(app, doctree, docname):
    """Link the functions that an API page describes; nitpicky references would make every private helper an error."""
    objects = app.env.get_domain("py").objects
    for node in list(doctree.findall(object_mention)):
        text = nodes.literal("", node["name"])
        known = objects.get(node["name"])
        if known:
            uri = app.builder.get_relative_uri(docname, known.docname) + f"#{known.node_id}"
            text = nodes.reference("", "", text, refuri=uri, internal=True)
        node.replace_self(text)


def prepare(app):
    if not hasattr(app.env, "dlcourse_ledgers"):
        app.env.dlcourse_ledgers = set()


def purge(app, env, docname):
    env.dlcourse_ledgers.discard(docname)


def rewrite(app, env):
    """The page links to numbers and pages that change without it."""
    return sorted(env.dlcourse_ledgers)


def style(app, config):
    config.html_static_path.append(str(Path(__file__).parent / "static"))


def setup(app):
    app.add_node(object_mention)
    app.add_directive("ledger", Ledger)
    app.add_css_file("ledger.css")
    app.connect("config-inited", style)
    app.connect("builder-inited", prepare)
    app.connect("env-purge-doc", purge)
    app.connect("env-updated", rewrite)
    app.connect("doctree-resolved", link_objects)
    return {"version": "1", "env_version": 1, "parallel_read_safe": False, "parallel_write_safe": True}
