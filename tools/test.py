"""`python -m tools test`: verify everything, the cheap first, and end with a summary of what was measured.

Arguments name the steps to run; without any, all run. A step that fails does not stop the next ones. Every figure of the summary is
read from a file that a step wrote (JUnit XML and JSON in _build), never from its printed output."""

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from tests.browser import site
from tools import environment

EXTRAS = ("book", "notebook", "test", "torch", "mlx")
ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
REPORTS = BUILD / "test"
COVERAGE_BAR = 95.0  # per cent of the lines of dlcourse
MEASURED = ("ledger.json", "parity.json", "checks.json")
NBVAL = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "180", "--nbval-sanitize-with", "tests/nbval_sanitize.cfg"]
TWO_WORKERS = ["-n", "2", "--dist", "loadfile"]  # the default distribution of xdist breaks notebooks
CLASSES_APART = ["-n", "2", "--dist", "loadscope", "--no-loadscope-reorder"]  # in their order: the longest would come last


@dataclass
class Step:
    """One command; `reports` are the JUnit files it writes, `left_out` says why it does not run."""

    name: str
    command: list[str]
    variables: dict[str, str] | None = None
    left_out: str = ""


@dataclass
class Cases:
    """What a JUnit file says, by outcome."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (test, reason)
    files: dict[str, bool] = field(default_factory=dict)  # file -> everything in it passed


def main(arguments):
    absent = missing()
    steps = plan(absent)
    parser = argparse.ArgumentParser(prog="python -m tools test", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(step.name for step in steps)}")
    chosen = parser.parse_args(arguments).steps
    if unknown := [name for name in chosen if name not in {step.name for step in steps}]:
        parser.error(f"unknown step {unknown[0]!r}: choose of {', '.join(step.name for step in steps)}")
    for sentence in absent.values():
        print(sentence)
    if absent and environment.strict():
        print("In CI nothing may be left out.")
        return 1
    if not chosen:
        forget_measurements()
    failed = run([step for step in steps if not chosen or step.name in chosen])
    lines, faults = summary(absent, complete=not chosen)
    print("\n" + "\n".join(lines))
    for fault in [f"{name} failed" for name in failed] + faults:
        print(f"FAULT: {fault}")
    print("Nothing is wrong." if not failed + faults else "Mend the faults above; `make test ARGS=STEP` repeats one step.")
    return int(bool(failed or faults))


def plan(absent):
    """The steps, the cheap first."""
    python = [sys.executable, "-m"]
    one_thread = threads(1)
    pytest = [*python, "pytest"]
    covered = ["--cov=dlcourse", "--cov-report=", f"--cov-report=json:{REPORTS / 'coverage.json'}"]
    return [
        Step("style", [*python, "ruff", "check", "--output-format=concise", "."]),
        Step("format", [*python, "ruff", "format", "--check", "--output-format=concise", "."]),
        Step("lint", [*python, "tools", "lint"]),
        Step("unit", [*pytest, "tests", "--ignore=tests/browser", *covered, *junit("unit"), *TWO_WORKERS], one_thread),
        Step("book", [*python, "tools", "book"]),
        Step("browser", [*pytest, "tests/browser", *junit("browser"), *CLASSES_APART], one_thread, absent.get("browser", "")),
        nbval("nbval", notebook_variables(), absent),
    ]


def nbval(name, variables, absent):
    """Run the notebooks again and compare every output with the stored one."""
    chapters = [str(path.relative_to(ROOT)) for path in notebooks() if not uses(path, absent)]
    command = [sys.executable, "-m", "pytest", *NBVAL, *TWO_WORKERS, *junit(name), "-W", "default", *chapters]
    return Step(name, command, variables, "" if chapters else "no chapter can run")


def junit(name):
    return [f"--junitxml={REPORTS / name}.xml", "-o", "junit_family=xunit1"]


def threads(count):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    return os.environ | dict.fromkeys(names, str(count)) | {"MLX_DISABLE_COMPILE": "1"}


def notebook_variables():
    from tools.notebooks import environment as notebook_environment

    return notebook_environment() | {name: os.environ[name] for name in ("CI", "DLCOURSE_VENV") if name in os.environ}


def notebooks():
    return sorted(path for path in (ROOT / "chapters").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)


def uses(path, absent):
    """Whether a code cell names a framework that is absent."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return any(name in code for name in absent if name in environment.OPTIONAL)


def missing():
    """{what: one sentence with the command that gets it} of frameworks and browser that this machine lacks."""
    absent = {}
    for name in environment.OPTIONAL:
        if importlib.util.find_spec(name) is None:
            if name == "mlx" and platform.system() == "Windows":
                absent[name] = "MLX has no build for Windows, so what needs it is left out: use Linux (WSL is one) or a Mac to run it."
            else:
                absent[name] = (
                    f"{environment.TITLES[name]} is not installed, so what needs it is left out: get it with  {environment.cure(name)}"
                )
    if site.find_browser() is None:
        absent["browser"] = f"No Chromium or Chrome was found, so the browser tests are left out: get it with  {browser_cure()}"
    return absent


def browser_cure():
    commands = {"Darwin": "brew install --cask chromium", "Windows": "winget install Google.Chrome"}
    return commands.get(platform.system(), "sudo apt install chromium")


def forget_measurements():
    """Remove what an earlier run measured: a file that is there afterwards was written by this run."""
    shutil.rmtree(REPORTS, ignore_errors=True)
    for name in MEASURED:
        (BUILD / name).unlink(missing_ok=True)


def run(steps):
    """Run the steps one after the other; return the names of those that failed."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    (BUILD / "coverage").mkdir(exist_ok=True)
    failed = []
    for step in steps:
        print(f"\n--- {step.name} " + "-" * (100 - len(step.name)), flush=True)
        if step.left_out:
            print(f"left out: {step.left_out}")
            continue
        (REPORTS / f"{step.name}.xml").unlink(missing_ok=True)
        start = time.perf_counter()
        if subprocess.run(step.command, cwd=ROOT, env=step.variables).returncode:
            failed.append(step.name)
        print(f"{step.name}: {'FAILED' if step.name in failed else 'ok'} in {time.perf_counter() - start:.0f} s", flush=True)
    return failed


def summary(absent, complete=True):
    """The lines of the summary, and the faults that no step reports by itself; _build/summary.json holds the same."""
    figures, faults = {}, []
    reports = {path.stem: read_cases(path) for path in sorted(REPORTS.glob("*.xml"))}
    cases = reports.values()
    figures["tests"] = ", ".join(f"{name}: {outcome(c)}" for name, c in reports.items())
    figures["coverage"], low = coverage(absent)
    figures["equations"] = equations(read_json("ledger.json"))
    validated = reports.get("nbval", Cases()).files
    everything = notebooks()
    figures["chapters"] = f"{sum(validated.values())} of {len(everything)} validated" if "nbval" in reports else None
    figures["cells"], figures["exercises"] = count_cells(everything)
    if (checks := read_json("checks.json")) and "exercises" in checks:
        figures["exercises"] = (
            f"{checks['exercises']} kinds of exercise have a check; {figures['exercises'] or 'not counted in the chapters'}"
        )
    parity = read_json("parity.json")
    figures["parity"] = f"worst error {parity['worst']:.1e} ({parity['name']})" if parity else None
    skips = [(name, reason) for c in cases for name, reason in c.skipped]
    left = [f"{environment.TITLES.get(name, name)}" for name in absent] + ([f"{len(skips)} tests skipped"] if skips else [])
    if unread := [path for path in everything if uses(path, absent)]:
        left.append(f"{len(unread)} of {len(everything)} chapters")
    figures["left out"] = ", ".join(left) or "nothing"
    if complete:
        faults += [f"{name}: not measured" for name, text in figures.items() if not text and not absent]
        faults += [f"coverage of dlcourse is {low:.1f} % of lines, below {COVERAGE_BAR:.0f} %"] if low else []
        if "nbval" in reports and not absent and sum(validated.values()) < len(everything):
            faults.append("not every chapter was validated")
        if environment.strict():
            faults += [f"skipped in CI: {name}: {reason}" for name, reason in skips if not reason.startswith("platform:")]
    write_json(BUILD / "summary.json", figures | {"faults": faults})
    width = max(map(len, figures))
    shown = {name: text or "not measured" for name, text in figures.items() if text or complete}
    title = "summary " if complete else "summary (of a step that did not run now: its figures of an earlier run) "
    lines = [f"--- {title}".ljust(104, "-"), *(f"{name:<{width}}  {text}" for name, text in shown.items())]
    lines += [f"{'':<{width}}  {sentence}" for sentence in absent.values()]
    return lines, faults


def read_cases(path):
    """The outcomes in one JUnit file; a file that cannot be read counts as a failure."""
    cases = Cases()
    try:
        tree = xml.etree.ElementTree.parse(path)
    except (OSError, xml.etree.ElementTree.ParseError) as error:
        cases.failed.append(f"{path.name}: {error}")
        return cases
    for case in tree.iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        file = case.get("file") or case.get("classname") or ""
        bad = case.find("failure") is not None or case.find("error") is not None
        cases.files[file] = cases.files.get(file, True) and not bad
        if bad:
            cases.failed.append(name)
        elif (skip := case.find("skipped")) is not None:
            cases.skipped.append((name, skip.get("message") or ""))
        else:
            cases.passed += 1
    return cases


def outcome(cases):
    return f"{cases.passed} passed" + (f" and {len(cases.failed)} FAILED" if cases.failed else "")


def coverage(absent):
    """The sentence on coverage, and its value when it is below the bar. Backends that are absent do not count."""
    report = read_json("test/coverage.json")
    if not report:
        return None, None
    hidden = tuple(f"dlcourse/{name}/" for name in absent)
    files = [value["summary"] for name, value in report["files"].items() if not Path(name).as_posix().startswith(hidden)]
    lines = sum(file["num_statements"] for file in files)
    percent = 100 * sum(file["covered_lines"] for file in files) / max(lines, 1)
    return f"{percent:.1f} % of {lines} lines of dlcourse", None if percent >= COVERAGE_BAR else percent


def equations(ledger):
    rows = (ledger or {}).get("equations")
    if not rows:
        return None
    tested = [row for row in rows if row.get("tests")]
    errors = [(row["error"], row["label"]) for row in tested if isinstance(row.get("error"), int | float)]
    worst = "; largest error {:.1e} ({})".format(*max(errors)) if errors else ""
    return f"{len(tested)} of {len(rows)} tested{worst}"


def count_cells(paths):
    """The sentences on cells and on exercises, from the notebooks' tags."""
    try:
        from tools.lint import counts

        rows = [counts(path) for path in paths]
    except (ImportError, ValueError, OSError) as error:
        print(f"cells were not counted: {error}")
        return None, None
    if not rows:
        return None, None
    total = {name: sum(row.get(name, 0) for row in rows) for name in ("cells", "compared", "ignored", "exercises", "checked")}
    cells = f"{total['compared']} compared, {total['ignored']} ignored, of {total['cells']} code cells"
    return cells, f"{total['checked']} of {total['exercises']} in the chapters have one"


def read_json(name):
    try:
        return json.loads((BUILD / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
