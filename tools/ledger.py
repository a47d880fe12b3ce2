"""The ledger: every numbered equation of the book, the functions that implement it, the tests that check it, and their largest error.

ledger             run the tests of the equations, write results/ledger.json, name every fault
ledger --check     the same, but write nothing: fail when results/ledger.json is out of date
"""

import argparse
import ast
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

EXTRAS = ("test",)
ROOT = Path(__file__).resolve().parents[1]
COMMITTED = ROOT / "results" / "ledger.json"
LABEL = re.compile(r"(?<![\w-])eq-[a-z0-9]+(?:-[a-z0-9]+)*(?![\w-])")
BACKENDS = ("numpy", "torch", "mlx")
FLOOR = -15  # errors below 1e-15 are rounding of the last bit and differ between processors


def main(arguments):
    parser = argparse.ArgumentParser(prog="ledger", description="Collect the book's equations, functions, tests and errors.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when results/ledger.json is out of date")
    options = parser.parse_args(arguments)
    contents, faults, passed = run(ROOT)
    if not passed:
        print("the tests of the equations do not pass: nothing was written", file=sys.stderr)
        return 1
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return 1
    if options.check:
        if difference := differences(read(COMMITTED), contents):
            print("\n".join(difference), file=sys.stderr)
            return 1
    else:
        write(COMMITTED, contents)
    print(f"{len(contents['equations'])} equations, each with its test, in {COMMITTED.relative_to(ROOT).as_posix()}")
    return 0


def run(root, collect_only=False):
    """Run the tests of the equations in `root`: (ledger, faults, whether they pass).  With `collect_only` nothing runs and no error is known."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "ledger.json"
        command = [sys.executable, "-m", "pytest", "tests/ledger", "-q", "--ledger", str(target)]
        command += ["--collect-only"] if collect_only else ["-m", "equation"]
        command += ["-p", "pytest_timeout"]  # pyproject.toml sets its limit; the other plug-ins only cost time here
        environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
        if done.returncode not in (0, 5) or not target.exists():  # 5: no test was collected; the faults say so
            print(done.stdout[-4000:], done.stderr[-2000:], file=sys.stderr)
            return {"equations": []}, [], False
        contents = read(target)
    faults, not_run = contents.pop("faults"), contents.pop("not_run")
    if not collect_only:
        faults += [f"{test} names an equation but did not run: a skipped test proves nothing" for test in not_run]
    return contents, faults, True


def assemble(root, tests):
    """(ledger, faults) from the chapters and the package below `root` and the tests {node id: {"labels": {label: formula_only}, "error"}}."""
    equations, faults = equations_of(root)
    functions, mentions = functions_of(root)
    entries = {equation["label"]: equation for equation in equations}
    for label, places in sorted((mentions | functions).items()):
        if label not in entries:
            faults.append(f"{places[0]} names {label}, which no chapter has: correct the label or write the equation")
    by_label, formula_only = {}, set()
    for nodeid, test in sorted(tests.items()):
        name = re.sub(r"\[.*", "", nodeid)  # parameters of a test are one test
        for label, only in test["labels"].items():
            if label not in entries:
                faults.append(f"{name} is marked with {label}, which no chapter has: correct the label or write the equation")
                continue
            by_label.setdefault(label, []).append((name, test["error"]))
            formula_only |= {label} if only else set()
    for label, entry in entries.items():
        named = functions.get(label, [])
        found = by_label.get(label, [])
        if not found:
            faults.append(f"{entry['chapter']}: {label} has no test: write one in tests/ledger with @pytest.mark.equation({label!r})")
        if not named and found and label not in formula_only:
            faults.append(f"{entry['chapter']}: no function names {label} in its docstring: name it, or mark its test formula_only=True")
        if named and label in formula_only:
            faults.append(f"{found[0][0]} says formula_only=True, but {named[0]} implements {label}: take it out")
        errors = [error for _, error in found if error is not None]
        entry["functions"] = sorted(named, key=in_order)
        entry["tests"] = sorted({name for name, _ in found})
        entry["error"] = rounded_up(max(errors)) if errors else None
    return {"equations": list(entries.values())}, sorted(set(faults))


def equations_of(root):
    """([{label, latex, chapter, anchor}], faults) of the labelled equations in the notebooks below chapters/, in the book's order."""
    found, faults, seen = [], [], {}
    for path in sorted((Path(root) / "chapters").rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        chapter = path.relative_to(root).with_suffix("").as_posix()
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], 1):
            if cell["cell_type"] != "markdown":
                continue
            source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            for label, latex in labelled_math(source):
                place = f"{chapter}, cell {number}"
                if label in seen:
                    faults.append(f"{place}: {label} is already the label of an equation in {seen[label]}: give it another")
                    continue
                seen[label] = place
                if not latex:
                    faults.append(f"{place}: {label} has no formula: write it below the options")
                # Sphinx gives numbered equations this id.
                found.append({"label": label, "latex": latex, "chapter": chapter, "anchor": f"equation-{label}"})
    return found, faults


def labelled_math(source):
    """[(label, LaTeX)] of the {math} directives with a label, in both fences, also inside other directives; not of those shown as code."""
    found, lines, position, code = [], source.splitlines(), 0, None
    while position < len(lines):
        line = lines[position].strip().removeprefix(">").strip()
        position += 1
        if code:
            code = None if line == code else code
            continue
        opening = re.match(r"(`{3,}|~{3,}|:{3,})(?:\{([\w:-]+)\})?", line)
        if not opening:
            continue
        if opening.group(2) != "math":
            if (opening.group(2) is None and line[0] != ":") or opening.group(2) in ("code", "code-block", "raw"):
                code = opening.group(1)
            continue
        label, body = None, []
        while position < len(lines) and (inner := lines[position].strip().removeprefix(">").strip()) != opening.group(1):
            option = re.match(r":([\w-]+):\s*(.*)$", inner)
            if option and not body:
                label = option.group(2).strip() if option.group(1) == "label" else label
            elif inner or body:
                body.append(inner)
            position += 1
        position += 1
        if label and LABEL.fullmatch(label):
            found.append((label, "\n".join(body).strip()))
    return found


def functions_of(root):
    """({label: names} from docstrings, {label: names} from every other string) of the package below `root`, read without importing it."""
    named, mentioned = {}, {}
    for path in sorted((Path(root) / "dlcourse").rglob("*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = set()

        def visit(node, name, docstrings=docstrings):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node, clean=False)
                if text is not None:
                    docstrings.add(id(node.body[0].value))
                    for label in LABEL.findall(text):
                        if name not in named.setdefault(label, []):
                            named[label].append(name)
            for child in ast.iter_child_nodes(node):
                inside = isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                visit(child, f"{name}.{child.name}" if inside else name)

        visit(tree, module)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                for label in LABEL.findall(node.value):
                    mentioned.setdefault(label, []).append(f"{module} (line {node.lineno})")
    return named, mentioned


def in_order(name):
    """NumPy first, then the other backends, then what they share."""
    part = name.split(".")[1]
    return BACKENDS.index(part) if part in BACKENDS else len(BACKENDS), name


def rounded_up(error):
    """The next power of ten, at least 1e-15: 3.2e-13 -> 1e-12.  The file is then the same on another processor."""
    return float(f"1e{max(FLOOR, math.ceil(math.log10(error) - 1e-9))}") if error > 0 else float(f"1e{FLOOR}")


def structure(contents):
    """What must not differ between the committed ledger and the tree: all but the errors."""
    return {entry["label"]: {key: value for key, value in entry.items() if key != "error"} for entry in contents["equations"]}


def differences(committed, current):
    """One sentence for each equation whose entry in the committed ledger is out of date."""
    old, new = structure(committed), structure(current)
    cure = "run  make ledger"
    found = [f"results/ledger.json lacks {label}: {cure}" for label in new if label not in old]
    found += [f"results/ledger.json has {label}, which is gone: {cure}" for label in old if label not in new]
    for label in old.keys() & new.keys():
        parts = [key for key in new[label] if old[label].get(key) != new[label][key]]
        found += [f"results/ledger.json is out of date for {label} ({', '.join(parts)}): {cure}"] if parts else []
    return sorted(found)


def read(path):
    """A ledger file; one without equations where it is missing."""
    return json.loads(Path(path).read_text(encoding="utf-8")) if Path(path).exists() else {"equations": []}


def write(path, contents):
    """Write a ledger file so that an interrupted run leaves the old one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(contents, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
