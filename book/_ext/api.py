"""API pages: `{api} dlcourse.numpy.*` describes modules from their source, without importing them.

Each public class, function and method becomes an object of Sphinx's Python domain, so search finds it and
{py:func}`...` links to it. Docstrings stand exactly as written; an equation label in one links to the equation of the
chapter. A public module that is on no page is an error.
"""

import re
from fnmatch import fnmatchcase

from docutils import nodes
from docutils.statemachine import StringList
from package import PACKAGE, module_names, read
from sphinx import addnodes
from sphinx.domains.python import PyClasslike, PyFunction, PyMethod, PyModule, PyProperty, PyVariable
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LOGGER = logging.getLogger(__name__)
LABEL = re.compile(r"\beq-[a-z0-9]+(?:-[a-z0-9]+)*")
DIRECTIVES = {
    "class": PyClasslike,
    "function": PyFunction,
    "method": PyMethod,
    "property": PyProperty,
    "data": PyVariable,
}


class equation_mention(nodes.Inline, nodes.TextElement):
    """An equation label in a docstring; becomes a link when a page of the book holds the equation."""


class Api(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        patterns = self.arguments[0].split()
        everything = module_names(self.env.srcdir)
        names = [name for name in everything if any(fnmatchcase(name, pattern) for pattern in patterns)]
        if not names:
            raise self.error(f"api: no module of the package is called {self.arguments[0]}")
        pages = self.env.dlcourse_api
        pages[self.env.docname] = sorted({*pages.get(self.env.docname, ()), *names})
        aliases = []
        sections = []
        for name in names:
            module = read(self.env.srcdir, name)
            self.env.note_dependency(str(module.path))
            if not module.entries and not module.exports and name != PACKAGE:
                continue
            sections.append(self._module(module))
            aliases += [(f"{name}.{here}", target) for here, target in module.exports.items()]
        self._note_aliases(aliases)
        return sections

    def _module(self, module):
        section = nodes.section(ids=[f"module-of-{module.name.replace('.', '-')}"], names=[])
        section += nodes.title("", "", nodes.literal("", module.name))
        section += self._describe(PyModule, module.name, {})
        section += self._source_link(module, None)
        section += self._docstring(module.doc)
        if module.exports:
            paragraph = nodes.paragraph("", "Names: ")
            for i, (name, target) in enumerate(sorted(module.exports.items())):
                paragraph += nodes.Text(", " if i else "")
                paragraph += self._reference(name, target)
            section += paragraph
        for entry in module.entries:
            section += self._entry(module, entry)
        return section

    def _reference(self, name, target):
        found = addnodes.pending_xref(
            "", nodes.literal("", name), refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refwarn=False
        )
        found["refdoc"] = self.env.docname
        return found

    def _entry(self, module, entry):
        options = {"module": module.name}
        described = self._describe(DIRECTIVES[entry.kind], entry.name + entry.signature, options, entry.kind)
        content = next(node for d in described for node in d.findall(addnodes.desc_content))
        signature = next(node for d in described for node in d.findall(addnodes.desc_signature))
        signature += self._source_link(module, entry)
        content += self._docstring(entry.doc)
        if entry.source:
            content += nodes.literal_block(entry.source, entry.source, language="python")
        for member in entry.members:
            content += self._entry(module, member)
        return described

    def _describe(self, directive, argument, options, kind="module"):
        return directive(
            f"py:{kind}",
            [argument],
            options,
            StringList(),
            self.lineno,
            self.content_offset,
            self.block_text,
            self.state,
            self.state_machine,
        ).run()

    def _docstring(self, text):
        if not text:
            return []
        paragraph = nodes.paragraph(classes=["docstring"])
        end = 0
        for match in LABEL.finditer(text):
            paragraph += nodes.Text(text[end : match.start()])
            paragraph += equation_mention("", match.group(), label=match.group())
            end = match.end()
        paragraph += nodes.Text(text[end:])
        return [paragraph]

    def _source_link(self, module, entry):
        options = self.config.html_theme_options
        path = module.path.relative_to(self.env.srcdir).as_posix()
        uri = f"{options['repository_url'].rstrip('/')}/blob/{options['repository_branch']}/{path}"
        if entry is None:
            return nodes.paragraph("", "", nodes.reference("", "", nodes.literal("", path), refuri=uri), classes=["api-source"])
        uri += f"#L{entry.first}-L{entry.last}"
        return nodes.reference("", "source", refuri=uri, classes=["api-source"])

    def _note_aliases(self, aliases):
        """Let {py:class}`dlcourse.numpy.MLP` find dlcourse.numpy.mlp.MLP where both are on this page."""
        domain = self.env.get_domain("py")
        for name, target in aliases:
            known = domain.objects.get(target)
            if known and known.docname == self.env.docname and name not in domain.objects:
                domain.note_object(name, known.objtype, known.node_id, aliased=True)


def prepare(app):
    if not hasattr(app.env, "dlcourse_api"):
        app.env.dlcourse_api = {}  # docname -> modules on that page
        app.env.dlcourse_equations = None


def purge(app, env, docname):
    env.dlcourse_api.pop(docname, None)


def outdated(app, env, added, changed, removed):
    """A module that was added or removed rebuilds the API pages."""
    listed = {name for names in env.dlcourse_api.values() for name in names}
    return list(env.dlcourse_api) if listed and listed != set(module_names(env.srcdir)) else []


def check_pages(app, env):
    listed = {name for names in env.dlcourse_api.values() for name in names}
    for name in module_names(env.srcdir):
        if name not in listed:
            LOGGER.warning("module %s is on no API page: add it to an {api} directive in book/api", name)
    # Equations that moved or were added change the links of pages that did not change themselves.
    equations = sorted((label, docname) for label, (docname, _) in env.get_domain("math").equations.items())
    changed, env.dlcourse_equations = equations != env.dlcourse_equations, equations
    return list(env.dlcourse_api) if changed else []


def link_equations(app, doctree, docname):
    equations = app.env.get_domain("math").equations
    for node in list(doctree.findall(equation_mention)):
        label = node["label"]
        content = nodes.inline("", label)
        if label in equations:
            target, _ = equations[label]
            uri = app.builder.get_relative_uri(docname, target) + f"#equation-{label}"
            content = nodes.reference("", label, refuri=uri, internal=True, classes=["equation-mention"])
        node.replace_self(content)


def setup(app):
    app.add_node(equation_mention)
    app.add_directive("api", Api)
    app.connect("builder-inited", prepare)
    app.connect("env-purge-doc", purge)
    app.connect("env-get-outdated", outdated)
    app.connect("env-updated", check_pages)
    app.connect("doctree-resolved", link_equations)
    return {"version": "1", "env_version": 1, "parallel_read_safe": False, "parallel_write_safe": True}
