"""What the notebook tools share: finding chapters, reading and writing them, their one normal form, and the kernel's environment."""

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
TAGS = frozenset("remove-cell remove-input remove-output hide-cell hide-input hide-output nbval-ignore-output raises-exception".split())
CELL_METADATA = ("jupyter", "mystnb", "tags")
OUTPUT_METADATA = ("scrapbook",)  # glue
SIZE_LIMIT = 1_000_000  # bytes of a committed notebook
SECONDS_LIMIT, MEMORY_LIMIT = 90, 2000  # of a chapter, on one CPU core; MB
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
BUDGET_PLACE = re.compile(r"<!-- budget -->.*?<!-- / -->", re.S)
THREADS = "OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS NUMEXPR_NUM_THREADS VECLIB_MAXIMUM_THREADS".split()
KEPT_VARIABLES = (
    "PATH HOME USER LOGNAME LANG LC_ALL TZ TMPDIR TEMP TMP SYSTEMROOT SYSTEMDRIVE COMSPEC PATHEXT APPDATA LOCALAPPDATA USERPROFILE "
    "VIRTUAL_ENV CONDA_PREFIX LD_LIBRARY_PATH DYLD_LIBRARY_PATH"
).split()


class ChapterFault(RuntimeError):
    """A chapter that cannot be used as it is; the text is the whole report."""


def chapters(names=(), root=ROOT):
    """The notebooks named (path, or slug such as `mlp`), all of chapters/ without names.  Raises ChapterFault for an unknown one."""
    every = sorted(p for p in (Path(root) / "chapters").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    if not names:
        return every
    found = []
    for name in names:
        matches = [Path(name).resolve()] if Path(name).is_file() else [p for p in every if p.stem == Path(name).stem]
        if not matches:
            raise ChapterFault(f"no chapter {name!r}: choose among {', '.join(p.stem for p in every) or 'none yet'}")
        found += matches
    return found


def title(path, root=ROOT):
    """The path as reports print it: relative to the repository where it lies inside."""
    path = Path(path).resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def read(path):
    """The notebook at `path` in nbformat 4.  Raises ChapterFault where the file is no notebook."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.get("nbformat") != 4 or not isinstance(content.get("cells"), list):
            raise ValueError("it has no cells in nbformat 4")
        return nbformat.v4.rwbase.rejoin_lines(nbformat.from_dict(content))
    except (OSError, ValueError) as error:
        raise ChapterFault(f"{title(path)} is no readable notebook: {error}") from error


def text(notebook):
    """The notebook as it is written to disk: keys sorted, texts as lists of lines (for diffs), one newline at the end."""
    notebook = nbformat.v4.rwbase.split_lines(nbformat.from_dict(json.loads(json.dumps(notebook))))
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True, separators=(",", ": ")) + "\n"


def write(path, notebook):
    """Replace `path` at once: a crash leaves the old file or the new one, never half of one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text(notebook))
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def normalised(notebook):
    """A copy of the notebook in normal form; what it says and shows stays as it is.

    Counts run from 1 over the code cells that ran; ids that are valid and unique stay, others are made from position and source;
    metadata is cut down to the tags, `mystnb` and the budget, which is written into its place in the text; the code of solutions is folded;
    outputs lose metadata (except glue's) and traceback frames."""
    out = nbformat.from_dict(json.loads(json.dumps(notebook)))
    out = nbformat.v4.rwbase.rejoin_lines(out)
    metadata = {"kernelspec": dict(KERNELSPEC), "language_info": {"name": "python"}}
    budget = out.metadata.get("dlcourse", {}).get("budget")
    if budget:
        metadata["dlcourse"] = {"budget": {key: budget[key] for key in ("peak_mb", "seconds") if key in budget}}
    out.metadata = nbformat.from_dict(metadata)
    out.nbformat, out.nbformat_minor = 4, 5
    seen, count, solved = set(), 0, False
    for position, cell in enumerate(out.cells):
        if budget and cell.cell_type == "markdown":
            cell.source = BUDGET_PLACE.sub(budget_text(budget), cell.source)
        solved = solved or (cell.cell_type == "markdown" and bool(re.search("^## Solutions$", cell.source, re.M)))
        cell.metadata.pop("jupyter", None)
        if solved and cell.cell_type == "code":
            cell.metadata["jupyter"] = {"outputs_hidden": True, "source_hidden": True}  # JupyterLab opens them by a click
        ran = cell.get("execution_count") is not None
        if cell.cell_type == "code" and ran:
            count += 1
        out.cells[position] = _normal_cell(cell, count if ran else None, _cell_id(cell, position, seen))
    return out


def budget_text(budget):
    """What a chapter costs, in the text itself: JupyterLab knows no directive of ours."""
    return f"<!-- budget -->about {budget['seconds']} seconds and {budget['peak_mb']} MB on one CPU core<!-- / -->"


def _normal_cell(cell, count, cell_id):
    metadata = {key: cell.metadata[key] for key in CELL_METADATA if cell.metadata.get(key)}
    if "tags" in metadata:
        metadata["tags"] = sorted(set(metadata["tags"]))
    normal = {"cell_type": cell.cell_type, "id": cell_id, "metadata": metadata, "source": cell.source.rstrip("\n")}
    if cell.cell_type == "code":
        normal["execution_count"] = count
        normal["outputs"] = _normal_outputs(cell.outputs, count)
    elif cell.get("attachments"):
        normal["attachments"] = cell.attachments
    return nbformat.from_dict(normal)


def _normal_outputs(outputs, count):
    normal = []
    for output in outputs:
        kind = output.output_type
        if kind == "stream":
            if normal and normal[-1]["output_type"] == "stream" and normal[-1]["name"] == output.name:
                normal[-1]["text"] += output.text
            else:
                normal.append({"output_type": kind, "name": output.name, "text": output.text})
        elif kind == "error":
            # The frames hold paths and line numbers; the message is what the chapter shows.
            last = f"{output.ename}: {output.evalue}"
            normal.append({"output_type": kind, "ename": output.ename, "evalue": output.evalue, "traceback": [last]})
        else:
            metadata = {key: output.metadata[key] for key in OUTPUT_METADATA if key in output.get("metadata", {})}
            data = {mime: value.strip() if mime in ("image/png", "image/jpeg") else value for mime, value in output.data.items()}
            entry = {"output_type": kind, "data": data, "metadata": metadata}
            normal.append(entry | ({"execution_count": count} if kind == "execute_result" else {}))
    return normal


def _cell_id(cell, position, seen):
    cell_id = cell.get("id", "")
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell_id) or cell_id in seen:
        salt = 0
        while True:
            cell_id = hashlib.sha256(f"{position} {salt} {cell.source}".encode()).hexdigest()[:8]
            if cell_id not in seen:
                break
            salt += 1
    seen.add(cell_id)
    return cell_id


def is_normal(path):
    """Whether the file holds its notebook in normal form, byte for byte as `write` writes it."""
    return Path(path).read_text(encoding="utf-8") == text(normalised(read(path)))


def environment(root=ROOT, threads=1):
    """The environment in which chapters run and are validated: fixed threads and seeds, none of the user's configuration.

    One thread: tests validate two chapters side by side, and small networks are faster with one."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    settings = Path(root) / "_build" / "settings"
    fixed = {
        "IPYTHONDIR": str(settings / "ipython"),
        "JUPYTER_CONFIG_DIR": str(settings / "jupyter"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": str(settings / "matplotlib"),
        "MLX_DISABLE_COMPILE": "1",  # mx.compile would call a C++ compiler
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(root),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    return kept | fixed | dict.fromkeys(THREADS, str(threads))


def cell_title(path, number):
    """`chapters/foundations/mlp.ipynb: cell 12`, counting all cells from 1."""
    return f"{title(path)}: cell {number}"
