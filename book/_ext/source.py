"""Source tabs: `:::{source} mlp.MLP` shows the package's own code, NumPy / PyTorch / MLX side by side.

The page includes the lines of dlcourse/<backend>/mlp.py by object name, so page and package cannot differ. A choice
of tab holds for the whole book (`:sync-group: backend`). A backend that lacks the object gets no tab; an object of the
common part of the package (`state.compare`) is shown without tabs; an object that exists nowhere is an error.
The same directive, printed by `dlcourse.book.source` as Markdown output, works in notebooks.
"""

import ast

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from package import BACKENDS, PACKAGE, find, module_path
from sphinx.util.docutils import SphinxDirective


class Source(SphinxDirective):
    required_arguments = 1
    option_spec = {"backends": directives.unchanged}

    def run(self):
        file, _, name = self.arguments[0].partition(".")
        wanted = self.options.get("backends", " ".join(BACKENDS)).replace(",", " ").split()
        unknown = [backend for backend in wanted if backend not in BACKENDS]
        if unknown:
            raise self.error(f"source: unknown backend {unknown[0]!r}: choose from {', '.join(BACKENDS)}")
        if not name:
            raise self.error(f"source: write a file and an object, such as mlp.MLP, in the place of {self.arguments[0]!r}")
        found = {backend: self._node(f"{PACKAGE}.{backend}.{file}", name) for backend in wanted}
        found = {backend: node for backend, node in found.items() if node}
        if found:
            lines = ["::::::{tab-set}", ":sync-group: backend", ""]
            for backend, node in found.items():
                lines += [f":::::{{tab-item}} {BACKENDS[backend]}", f":sync: {backend}", ""]
                lines += self._code(f"{PACKAGE}.{backend}.{file}", name, node)
                lines += [":::::", ""]
            lines += ["::::::"]
        else:
            node = self._node(f"{PACKAGE}.{file}", name)
            if node is None and "." in name:  # text.merges.learn: a file of a folder
                inner, _, rest = name.partition(".")
                if node := self._node(f"{PACKAGE}.{file}.{inner}", rest):
                    file, name = f"{file}.{inner}", rest
            if node is None:
                places = ", ".join(f"{PACKAGE}/{backend}/{file}.py" for backend in wanted)
                raise self.error(f"source: {name} is neither in {places} nor in {PACKAGE}/{file}.py")
            lines = self._code(f"{PACKAGE}.{file}", name, node)
        container = nodes.container(classes=["source-code"])
        self.state.nested_parse(StringList(lines, source=self.get_source_info()[0]), self.content_offset, container)
        return [container]

    def _node(self, module, name):
        # A file that appears later must rebuild the page, so absent files are dependencies as well.
        path = module_path(self.env.srcdir, module)
        if path:
            self.env.note_dependency(str(path))
        return find(self.env.srcdir, module, name)

    def _code(self, module, name, node):
        path = module_path(self.env.srcdir, module).relative_to(self.env.srcdir).as_posix()
        role = "class" if isinstance(node, ast.ClassDef) else "meth" if "." in name else "func"
        private = any(part.startswith("_") for part in name.split("."))  # the API pages leave these out
        return [
            f"`{path}`" if private else f"{{py:{role}}}`{path} <{module}.{name}>`",
            "",
            f"```{{literalinclude}} /{path}",
            f":pyobject: {name}",
            ":language: python",
            "```",
        ]


def setup(app):
    app.add_directive("source", Source)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
