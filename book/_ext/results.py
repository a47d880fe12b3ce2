"""Recorded runs: `{results}` renders every results/*.json, a table a recipe with a row a backend.

Numbers stand in the files that `python -m dlcourse train` wrote; nothing is typed into the page. `{results} NAME`
shows one recipe, for use in a chapter.
"""

import json
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from package import BACKENDS
from sphinx.util.docutils import SphinxDirective

SHOWN = ("test_accuracy", "test_loss")  # of runs recorded before they named what people read, and what they measured besides


def summary(values, digits):
    """'0.9922 (0.9861 to 0.9944)' from {"mean", "min", "max"}; one value stands alone."""
    mean, low, high = (f"{values[name]:.{digits}f}" for name in ("mean", "min", "max"))
    return mean if low == high else f"{mean} ({low} to {high})"


def shown(run):
    return run.get("shown") or dict.fromkeys([*SHOWN, *(name for name in run["metrics"] if name.startswith("test_"))])


def head(run):
    return ("backend", "seeds", *(name.replace("_", " ") for name in shown(run)), "seconds a seed")


def row(run):
    return (
        f"{BACKENDS[run['backend']]}, {run['device']}",
        ", ".join(str(seed) for seed in run["seeds"]),
        *(summary(run["metrics"][name], 4) for name in shown(run)),
        summary(run["seconds"], 1),
    )


def versions(run):
    machine = run["machine"]
    names = ", ".join(f"{name} {version}" for name, version in run["versions"].items() if name != "dlcourse")
    return f"{BACKENDS[run['backend']]}: {names}; {machine['system']} {machine['processor']}, threads: {machine['threads']}"


def description(run):
    settings, data = run["settings"], run["data"]
    test = f"{data['test']:,}" if data["test"] else "none"
    yield f"- Data: {data['source']} (`{data['name']}`): {data['train']:,} examples to train, {data['validation']:,} to validate, {test} to test"
    yield "- Network: " + ", ".join(f"`{name}={value}`" for name, value in run["config"].items())
    names = ("loss", "optimizer", "epochs", "steps", "batch_size", "schedule", "clip", "patience")
    yield "- Training: " + ", ".join(f"`{name}={settings[name]}`" for name in names if settings.get(name) is not None)


def tables(root, wanted):
    """Pairs (recipe, MyST lines)."""
    runs = {}
    for path in sorted(Path(root, "results").glob("*.json")):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            if "recipe" not in run:  # the ledger and the benchmarks lie in the same folder
                continue
            if wanted in (None, run["recipe"]):
                runs.setdefault(run["recipe"], []).append((run, row(run), versions(run), list(description(run))))
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(
                f"results/{path.name} is not a recorded run ({error!r}): write it with `python -m dlcourse train ... --record`"
            ) from error
    for recipe, found in runs.items():
        found.sort(key=lambda item: list(BACKENDS).index(item[0]["backend"]))
        lines = [*found[0][3], ""]
        columns = head(found[0][0])
        lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(cells) + " |" for _, cells, _, _ in found]
        lines += ["", f"Run it: `python -m dlcourse train {recipe} --backend {found[0][0]['backend']}`", ""]
        lines += ["Made with " + "; ".join(made_with for _, _, made_with, _ in found) + ".", ""]
        yield recipe, found[0][0]["title"], lines


class Results(SphinxDirective):
    optional_arguments = 1

    def run(self):
        folder = Path(self.env.srcdir, "results")
        for path in (folder, *folder.glob("*.json")):  # the folder itself: its time changes with each new file
            if path.exists():
                self.env.note_dependency(str(path))
        wanted = self.arguments[0] if self.arguments else None
        try:
            found = list(tables(self.env.srcdir, wanted))
        except ValueError as error:
            raise self.error(str(error)) from error
        if wanted and not found:
            raise self.error(f"results: nothing is recorded for {wanted}: run `python -m dlcourse train {wanted} --record`")
        if not found:
            return [nodes.paragraph("", "Nothing is recorded yet.")]
        return [self._section(*one, whole=wanted is None) for one in found]

    def _section(self, recipe, title, lines, whole):
        if whole:
            box = nodes.section(ids=[f"results-{recipe}"], names=[])
            box += nodes.title("", "", nodes.literal("", recipe), nodes.Text(f": {title}"))
        content = nodes.container(classes=["results-table"])
        self.state.nested_parse(StringList(lines, source=self.get_source_info()[0]), self.content_offset, content)
        if not whole:
            return content
        box += content
        return box


def setup(app):
    app.add_directive("results", Results)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
