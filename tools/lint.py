"""Check chapters against the rules of their form: sections, exercises, figures, outputs, and numbers in prose.

lint [CHAPTER ...]     one line a fault, `chapters/part/slug.ipynb: cell 12: ...`; 1 when there is one
"""

import argparse
import ast
import re
import sys

from tools import claims, notebooks
from tools.notebooks import ChapterFault

EXTRAS = ("test",)
SECTIONS = ("Background", "Concepts", "Math", "Code", "Outlook", "FAQ", "Exercises", "Solutions")
KINDS = ("Warm-up", "Derive", "Implement", "Experiment")
CODE_LINES = 15
SIGNIFICANT_DIGITS = 4
VOLATILE = (  # (pattern in stored text, what it is)
    (re.compile(r"(?<![\w/.:])/(?:[\w.-]+/)+[\w.-]+|\b[A-Z]:\\[\w.-]+|site-packages"), "a path"),
    (re.compile(r"\b0x[0-9a-f]{6,}\b"), "a memory address"),
    (re.compile(r"(?<![\w.])(?:\d+(?:\.\d+)?(?:\s?(?:ns|µs|us|ms|secs?|seconds?|minutes?)| s)|\d+\.\d+s)(?![\w/])"), "a time"),
    (re.compile(r"\d\s?(?:it|batch|batches|samples|images)/s\b|\d%\|"), "a progress bar"),
    (re.compile(r"\b\w*Warning:"), "a warning"),
)
FLOAT = re.compile(r"(?<![\w.])\d+\.\d+(?:e[+-]?\d+)?(?![\w.])")
DIRECTIVE = re.compile(r"^[ \t]*(:{3,}|`{3,})\{([\w:-]+)\}[ \t]*(.*)$", re.M)


def main(arguments):
    parser = argparse.ArgumentParser(prog="lint", description="Check chapters against the rules of their form.")
    parser.add_argument("chapters", nargs="*", help="paths or slugs (mlp); all chapters when none is named")
    try:
        paths = notebooks.chapters(parser.parse_args(arguments).chapters)
        found = [fault for path in paths for fault in lint(path)]
        totals = [counts(path) for path in paths]
    except ChapterFault as fault:
        print(fault, file=sys.stderr)
        return 1
    print("\n".join(found) or "no faults")
    summary = {key: sum(total[key] for total in totals) for key in (totals[0] if totals else ())}
    print(f"{len(paths)} chapters, {len(found)} faults; " + ", ".join(f"{value} {key}" for key, value in summary.items()))
    return 1 if found else 0


def lint(path):
    """All faults of the chapter at `path`, one line each."""
    notebook = notebooks.read(path)
    name = notebooks.title(path)
    found = []

    def fault(index, sentence):
        place = f"{name}: cell {index + 1}" if index is not None else name
        found.append(f"{place}: {sentence}")

    for rule in (_sections, _opening, _code_cells, _outputs, _images, _exercises, _questions, _equations, _numbers):
        rule(notebook, fault)
    return sorted(found, key=lambda line: int(m.group(1)) if (m := re.search(r": cell (\d+): ", line)) else 0)


def counts(path):
    """{"cells": code cells, "compared", "ignored": their outputs by nbval, "exercises", "checked": those with a check, "escapes": typed numbers allowed}."""
    notebook = notebooks.read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    ignored = sum("nbval-ignore-output" in _tags(cell) for cell in code)
    exercises = _exercise_list(notebook)
    return {
        "cells": len(code),
        "compared": len(code) - ignored,
        "ignored": ignored,
        "exercises": len(exercises),
        "checked": sum(item["checked"] for item in exercises),
        "escapes": sum(len(claims.escapes(cell.source)) for cell in notebook.cells if cell.cell_type == "markdown"),
    }


def headings(notebook):
    """[(cell index, level, text)] of all headings outside code, in order."""
    found = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown":
            continue
        fence = None
        for line in cell.source.splitlines():
            mark = re.match(r"\s*(`{3,}|~{3,})", line)
            if mark and fence is None:
                fence = mark.group(1)
            elif fence and line.strip() == fence:
                fence = None
            elif fence is None and (heading := re.match(r"(#{1,6})\s+(.+?)\s*#*$", line)):
                found.append((index, len(heading.group(1)), heading.group(2)))
    return found


# ---------------------------------------------------------------- rules: each takes the notebook and reports through `fault(cell index, sentence)`


def _sections(notebook, fault):
    titles = [(index, text) for index, level, text in headings(notebook) if level == 1]
    if len(titles) != 1 or (titles[0][0] != 0 and any(c.cell_type == "markdown" for c in notebook.cells[: titles[0][0]])):
        fault(None, f"{len(titles)} titles (# ...) where one belongs, in the first text cell")
    found = [(index, text) for index, level, text in headings(notebook) if level == 2]
    for index, text in found:
        if text not in SECTIONS:
            fault(index, f"section {text!r} is not one of {', '.join(SECTIONS)}: make it a ### heading inside one of them")
    names = [text for _, text in found if text in SECTIONS]
    for section in SECTIONS:
        if names.count(section) != 1:
            fault(None, f"section {section!r} stands there {names.count(section)} times instead of once")
    if sorted(names, key=SECTIONS.index) != names:
        fault(None, f"the sections are in the order {', '.join(names)}, and it must be {', '.join(SECTIONS)}")


def _opening(notebook, fault):
    text = _markdown(notebook, None)
    able = re.search(r"you will be able to(.*?)(?:\n\s*\n(?!\s*(?:[-*+]|\d+[.)])\s)|\Z)", text, re.S | re.I)
    if not able:
        fault(None, "the opening does not say 'You will be able to' with a list of 3 to 5 items")
    elif not 3 <= len(items := re.findall(r"^\s*(?:[-*+]|\d+[.)])\s", able.group(1), re.M)) <= 5:
        fault(None, f"'You will be able to' has {len(items)} items: 3 to 5 belong there")
    if not re.search("prerequisites", text, re.I):
        fault(None, "the opening names no prerequisites")
    if not notebooks.BUDGET_PLACE.search(text):
        fault(None, "the opening has no place for the budget: write **Budget:** <!-- budget --><!-- / -->.")
    if not notebook.metadata.get("dlcourse", {}).get("budget"):
        fault(None, "no measured budget in the metadata: run  make execute")


def _code_cells(notebook, fault):
    expected = 0
    for index, cell in enumerate(notebook.cells):
        for tag in _tags(cell):
            if tag not in notebooks.TAGS:
                fault(index, f"tag {tag!r} is not allowed: use {', '.join(sorted(notebooks.TAGS))}")
        if cell.cell_type == "raw":
            fault(index, "raw cell: make it text or code")
        if cell.cell_type != "code":
            continue
        expected += 1
        lines = [line for line in cell.source.splitlines() if line.strip()]
        if not 1 <= len(lines) <= CODE_LINES:
            fault(index, f"{len(lines)} lines of code: a cell has 1 to {CODE_LINES}")
        if cell.get("execution_count") != expected:
            fault(
                index,
                f"execution count {cell.get('execution_count')} where {expected} belongs, so nbval may not compare it: run  make execute",
            )
        if re.search(r"#\s*(NBVAL_|PYTEST_VALIDATE)", cell.source):
            fault(index, "a comment switches nbval's comparison off: use the tag nbval-ignore-output and an assert")
        if "nbval-ignore-output" in _tags(cell) and not _asserted(notebook, index):
            fault(index, "its output is not compared and no assert stands in it or in the next code cell: state the claim")


def _outputs(notebook, fault):
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        ignored = "nbval-ignore-output" in _tags(cell)
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                fault(index, f"output on stderr ({output.text.strip().splitlines()[-1][:60]!r}): mend the cause")
            if output.output_type == "error" and "raises-exception" not in _tags(cell):
                fault(index, f"ends in {output.ename}: mend it, or tag the cell raises-exception when the failure is the lesson")
        if "raises-exception" in _tags(cell) and not any(output.output_type == "error" for output in cell.outputs):
            fault(index, "is tagged raises-exception and raises nothing: take the tag out")
        for text in _stored_text(cell):
            for pattern, what in VOLATILE:
                if match := pattern.search(text):
                    fault(index, f"the output holds {what} ({match.group(0)!r}): print something that is the same on every machine")
            long = next((m.group(0) for m in FLOAT.finditer(text) if _digits(m.group(0)) > SIGNIFICANT_DIGITS), None)
            if long and not ignored:
                fault(index, f"the output shows {long}: {SIGNIFICANT_DIGITS} significant digits at most agree between processors")


def _images(notebook, fault):
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            shown = any(mime.startswith("image/") for output in cell.outputs for mime in output.get("data", {}))
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            if shown and len(alt.strip()) < 10:
                fault(index, "shows an image without a description: set mystnb.image.alt in the cell's metadata")
            framed = [output for output in cell.outputs if "data" in output and "scrapbook" not in output.metadata]
            if "figure" in cell.metadata.get("mystnb", {}) and len(framed) != 1:
                fault(index, f"is a figure with {len(framed)} outputs, each of which would get its label: show the image alone")
            continue
        source = claims.without_code(cell.source) if cell.cell_type == "markdown" else ""
        if re.search(r"!\[\s*\]\(", source):
            fault(index, "image without a description: write it between the brackets of ![ ]")
        for name, _, options, _ in _directives(cell.source):
            if name in ("figure", "image") and not options.get("alt", "").strip():
                fault(index, f"{{{name}}} without :alt: describe it")


def _exercises(notebook, fault):
    found = _exercise_list(notebook)
    if not 4 <= len(found) <= 8:
        fault(None, f"{len(found)} exercises: 4 to 8 belong there")
    for item in found:
        index, title = item["index"], item["title"]
        kind = title.split(":")[0].strip()
        if kind not in KINDS or ":" not in title:
            fault(index, f"exercise {title!r}: begin its title with {', '.join(f'{kind}:' for kind in KINDS[:-1])} or {KINDS[-1]}:")
        if not item["label"]:
            fault(index, f"exercise {title!r} has no :label:, so no solution can name it")
            continue
        if item["section"] != "Exercises":
            fault(index, f"exercise {item['label']} stands in section {item['section']}, not in Exercises")
        if kind == "Implement" and not item["checked"]:
            fault(index, f"exercise {item['label']} asks for an implementation and no code cell after it calls check.<name>(...)")
        if item["solution"] is None:
            fault(index, f"exercise {item['label']} has no {{solution}} under Solutions")
            continue
        if not item["collapsed"]:
            fault(item["solution"], f"the solution of {item['label']} is not collapsed: add  :class: dropdown")
        if kind == "Implement" and not item["solution_checked"]:
            fault(item["solution"], f"the solution of {item['label']} does not pass through its check: call check.<name>(...) in its code")


def _questions(notebook, fault):
    section, entries = None, 0
    for _, level, text in headings(notebook):
        section = text if level <= 2 else section
        entries += section == "FAQ" and level == 3
    if entries < 3:
        fault(None, f"{entries} questions in the FAQ (### ...): at least 3 belong there")


def _equations(notebook, fault):
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown":
            continue
        if match := re.search(r"\$\$\s*\(([\w-]+)\)", cell.source):
            fault(index, f"equation label ({match.group(1)}) after $$: write a {{math}} directive with :label: so that the ledger finds it")
        for name, _, options, _ in _directives(cell.source):
            label = options.get("label", "")
            if name == "math" and label and not re.fullmatch(r"eq-[a-z0-9]+(-[a-z0-9]+)*", label):
                fault(index, f"equation label {label!r}: write eq- and a slug of small letters, digits and hyphens")


def _numbers(notebook, fault):
    glued = {
        output.metadata["scrapbook"]["name"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "scrapbook" in output.get("metadata", {})
    }
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown":
            continue
        for _, number, words in claims.typed_numbers(cell.source):
            fault(index, f"{number!r} is typed in prose ({words!r}): glue it, cite it, or write it as a word, code or mathematics")
        for reason in claims.escapes(cell.source):
            if len(reason) < 10:
                fault(index, f"<!-- number: {reason} --> gives no reason why this number may be typed")
        for role, name in re.findall(r"\{(glue[:\w]*)\}`([^`]+)`", cell.source):
            if role != "glue:text":
                fault(index, f"{{{role}}}`{name}`: write {{glue:text}}, the form that works with dlcourse.book.glue")
            elif "::" not in name and name.split(":")[0] not in glued:
                fault(index, f"{name.split(':')[0]!r} is glued by no cell of this chapter")


# ---------------------------------------------------------------- reading a notebook


def _tags(cell):
    return cell.metadata.get("tags", [])


def _digits(number):
    return len(re.sub(r"\D", "", number.split("e")[0]).lstrip("0"))


def _stored_text(cell):
    """What the cell shows as text; the package's source, which `source` stores, is no output."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.text
        elif output.output_type == "error":
            yield output.evalue
        elif not output.data.get("text/markdown", "").startswith(":::{source}"):
            yield output.data.get("text/plain", "")
            if "text/html" in output.data:
                yield re.sub(r"<[^>]*>", " ", output.data["text/html"])


def _asserted(notebook, index):
    following = next((cell for cell in notebook.cells[index + 1 :] if cell.cell_type == "code"), None)
    return any(_has(cell, ast.Assert) for cell in (notebook.cells[index], following) if cell is not None)


def _has(cell, kind):
    return any(isinstance(node, kind) for node in _nodes(cell))


def _calls_check(cell):
    """Whether the cell calls `check.<name>(...)`."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "check"
        for node in _nodes(cell)
    )


def _nodes(cell):
    lines = [line if not re.match(r"\s*[%!]", line) else re.match(r"\s*", line).group(0) + "pass" for line in cell.source.splitlines()]
    try:
        return list(ast.walk(ast.parse("\n".join(lines))))
    except SyntaxError:
        return []


def _markdown(notebook, section):
    """The text of a section, of the opening when `section` is None."""
    parts, current = [], None
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        for line in cell.source.splitlines():
            if heading := re.match(r"##\s+(.+?)\s*$", line):
                current = heading.group(1)
            elif current == section:
                parts.append(line)
        parts.append("")
    return "\n".join(parts)


def _directives(source):
    """[(name, argument, options, line)] of the directives in a text cell."""
    found, lines = [], source.splitlines()
    for match in DIRECTIVE.finditer(source):
        line = source[: match.start()].count("\n")
        if match.group(0)[0] == "\n":
            line += 1
        options = {}
        for following in lines[line + 1 :]:
            option = re.match(r"\s*:([\w-]+):\s*(.*)$", following)
            if not option:
                break
            options[option.group(1)] = option.group(2).strip()
        found.append((match.group(2), match.group(3).strip(), options, line))
    return found


def _exercise_list(notebook):
    """One dictionary an exercise: index, title, label, section, checked, solution (cell index or None), collapsed, solution_checked."""
    found, section, current, solving = [], None, None, None
    solutions = {}
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            if _calls_check(cell):
                if solving:
                    solving["checked"] = True
                elif current:
                    current["checked"] = True
            continue
        events = [(number, "heading", line) for number, line in enumerate(cell.source.splitlines()) if re.match(r"##?\s", line)]
        events += [(line, name, (argument, options)) for name, argument, options, line in _directives(cell.source)]
        for _, kind, content in sorted(events, key=lambda event: event[0]):
            if kind == "heading":
                section, current, solving = content.lstrip("# ").strip(), None, None
            elif kind in ("exercise", "exercise-start"):
                argument, options = content
                current = {"index": index, "title": argument, "label": options.get("label", ""), "section": section, "checked": False}
                found.append(current)
                solving = None
            elif kind in ("solution", "solution-start"):
                argument, options = content
                solving = {"index": index, "collapsed": "dropdown" in options.get("class", "").split(), "checked": False}
                solutions[argument] = solving
                current = None
            elif kind == "solution-end":
                solving = None
    for item in found:
        solution = solutions.get(item["label"])
        item["solution"] = solution["index"] if solution else None
        item["collapsed"] = bool(solution) and solution["collapsed"]
        item["solution_checked"] = bool(solution) and solution["checked"]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
