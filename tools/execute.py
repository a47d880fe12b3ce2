"""Run chapters in fresh kernels, bring them to normal form, measure their budget: the only way in which outputs are made.

execute [CHAPTER ...]             run them (all without names) and write their outputs
execute --check [CHAPTER ...]     say which are not in normal form; change nothing
execute --from draft.md CHAPTER   take the text from a MyST file, then run (ids and budget of the notebook stay)
"""

import argparse
import asyncio
import inspect
import math
import subprocess
import sys
import time
from pathlib import Path

from tools import notebooks
from tools.notebooks import ChapterFault

EXTRAS = ("notebook", "torch", "mlx", "test")
PEAK_MEMORY = """
def _peak():
    import pathlib, sys
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
    if sys.platform == "win32":
        import psutil
        return psutil.Process().memory_info().peak_wset
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""


def main(arguments):
    parser = argparse.ArgumentParser(prog="execute", description="Run chapters and write their outputs in normal form.")
    parser.add_argument("chapters", nargs="*", help="paths or slugs (mlp); all chapters when none is named")
    parser.add_argument("--check", action="store_true", help="change nothing, fail when a chapter is not in normal form")
    parser.add_argument("--from", dest="draft", metavar="DRAFT.md", help="take the text of the one chapter named from this MyST file")
    options = parser.parse_args(arguments)
    try:
        if options.draft:
            return _from_draft(options)
        paths = notebooks.chapters(options.chapters)
        return check(paths) if options.check else _run_all(paths)
    except ChapterFault as fault:
        print(fault, file=sys.stderr)
        return 1


def check(paths):
    """Print one line for each notebook that is not in normal form or too big; 1 when there is one."""
    faults = []
    for path in paths:
        if not notebooks.is_normal(path):
            faults.append(f"{notebooks.title(path)}: not in normal form: run  make execute")
        if path.stat().st_size > notebooks.SIZE_LIMIT:
            faults.append(
                f"{notebooks.title(path)}: {path.stat().st_size / 1e6:.1f} MB, and the limit is 1 MB: use smaller or fewer figures"
            )
    print("\n".join(faults) or f"{len(paths)} notebooks in normal form")
    return 1 if faults else 0


def _run_all(paths):
    if not paths:
        print("no chapters found under chapters/")
    failed = 0
    for path in paths:  # one after the other: a budget measured beside another chapter would say nothing
        try:
            _report(path, execute(path))
        except ChapterFault as fault:
            print(fault, file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def _report(path, measured):
    print(f"{notebooks.title(path)}: {measured['seconds']:.1f} s, peak {measured['peak_mb']:.0f} MB", flush=True)


def _from_draft(options):
    if len(options.chapters) != 1 or options.check:
        raise ChapterFault("--from takes one MyST file and the path of one notebook: execute --from draft.md chapters/part/slug.ipynb")
    target = Path(options.chapters[0])
    _report(target, execute(target, notebook=from_text(options.draft, target if target.exists() else None)))
    return 0


def from_text(draft, previous=None):
    """The notebook that the MyST file `draft` describes; cells that `previous` has as well keep their ids.  Raises ChapterFault."""
    import jupytext
    from jupytext.combine import combine_inputs_with_outputs

    try:
        notebook = jupytext.read(draft, fmt="md:myst")
    except Exception as error:  # jupytext raises its own, YAML's and nbformat's
        raise ChapterFault(f"{draft}: cannot be read as MyST text: {error}") from error
    if previous is None:
        return notebook
    old = notebooks.read(previous)
    notebook.nbformat, notebook.nbformat_minor = old.nbformat, old.nbformat_minor
    combined = combine_inputs_with_outputs(notebook, old, fmt="md:myst")
    for cell, new in zip(combined.cells, notebook.cells, strict=True):
        cell.metadata = new.metadata  # the text decides: a tag that was taken out there must not come back
    combined.metadata = old.metadata
    return combined


def execute(path, notebook=None, environment=None):
    """Run the notebook (the one at `path` without `notebook`), write it to `path` in normal form, return {"seconds", "peak_mb"}.

    Raises ChapterFault, and leaves the file as it was, when a cell fails or the chapter is over its budget."""
    path = Path(path).resolve()
    notebook = notebooks.read(path) if notebook is None else notebook
    environment = environment or notebooks.environment()
    _prepare(environment)
    measured = _run(path, notebook, environment)
    for key, limit, unit in (("seconds", notebooks.SECONDS_LIMIT, "s"), ("peak_mb", notebooks.MEMORY_LIMIT, "MB")):
        if measured[key] > limit:
            raise ChapterFault(
                f"{notebooks.title(path)}: took {measured[key]:.0f} {unit}, and the limit is {limit} {unit}: shorten it or make it a recipe"
            )
    course = notebook.metadata.setdefault("dlcourse", {})
    course["budget"] = budget(measured, course.get("budget"))
    notebook = notebooks.normalised(notebook)
    size = len(notebooks.text(notebook).encode())
    if size > notebooks.SIZE_LIMIT:
        raise ChapterFault(
            f"{notebooks.title(path)}: {size / 1e6:.1f} MB with outputs, and the limit is 1 MB: use smaller or fewer figures"
        )
    notebooks.write(path, notebook)
    return measured


def budget(measured, old=None):
    """Seconds rounded up to 5, MB up to 50; an old value stays while the new one lies between its half and itself: timings wander."""
    new = {}
    for key, step in (("seconds", 5), ("peak_mb", 50)):
        rounded = max(step, math.ceil(measured[key] / step) * step)
        before = (old or {}).get(key)
        new[key] = before if before and before / 2 <= rounded <= before else rounded
    return new


def _prepare(environment):
    """Matplotlib writes about its font cache when it is first used; let that happen here and not in a chapter."""
    settings = Path(environment["MPLCONFIGDIR"])
    if not list(settings.glob("fontlist-*.json")):
        settings.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], env=environment, capture_output=True, check=False)


def _run(path, notebook, environment):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    if not any(cell.cell_type == "code" for cell in notebook.cells):
        raise ChapterFault(f"{notebooks.title(path)}: has no code cell")
    path.parent.mkdir(parents=True, exist_ok=True)
    current = [0]
    client = NotebookClient(
        notebook, timeout=notebooks.SECONDS_LIMIT, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}},
        record_timing=False, shutdown_kernel="immediate", on_cell_start=lambda cell, cell_index: current.__setitem__(0, cell_index),
    )  # fmt: skip
    if sys.platform == "win32":  # zmq needs it
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
    with client.setup_kernel(env=environment, stderr=subprocess.DEVNULL):
        start = time.perf_counter()
        try:
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
        except CellExecutionError as error:
            raise ChapterFault(_failure(path, notebook, current[0], f"{error.ename}: {error.evalue}")) from error
        except CellTimeoutError as error:
            raise ChapterFault(_failure(path, notebook, current[0], f"not done after {notebooks.SECONDS_LIMIT} s")) from error
        except DeadKernelError as error:
            raise ChapterFault(_failure(path, notebook, current[0], "the kernel died (out of memory?)")) from error
        seconds = time.perf_counter() - start
        peak = _peak_memory(client)
    return {"seconds": seconds, "peak_mb": peak / 1e6}


def _failure(path, notebook, index, last):
    source = "\n".join(f"    {line}" for line in notebook.cells[index].source.splitlines())
    return f"{notebooks.cell_title(path, index + 1)} failed; the file is as it was\n{source}\n{last}"


def _peak_memory(client):
    reply = client.kc.execute(PEAK_MEMORY, silent=False, store_history=False, user_expressions={"peak": "_peak()"}, reply=True, timeout=20)
    if inspect.isawaitable(reply):
        reply = asyncio.get_event_loop().run_until_complete(reply)
    return float(reply["content"]["user_expressions"]["peak"]["data"]["text/plain"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
