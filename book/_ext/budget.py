"""`{budget}`: how long a chapter runs and how much memory it takes, from the notebook's metadata, where `make execute` wrote what it measured."""

import json
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Budget(SphinxDirective):
    def run(self):
        path = Path(self.env.doc2path(self.env.docname))
        try:
            budget = json.loads(path.read_text(encoding="utf-8"))["metadata"]["dlcourse"]["budget"]
            seconds, megabytes = budget["seconds"], budget["peak_mb"]
        except (KeyError, TypeError, ValueError, OSError):
            raise self.error(f"budget: {path.name} has no measured budget in its metadata: run  make execute") from None
        return [nodes.paragraph("", f"Runs in about {seconds} seconds and {megabytes} MB on one CPU core.", classes=["budget"])]


def setup(app):
    app.add_directive("budget", Budget)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
