"""`python -m tools clean`: remove what can be made again: _build, caches and, with --all, .venv."""

import argparse
import os
import shutil
from pathlib import Path

EXTRAS = None
ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("_build", "build", "dist", ".pytest_cache", ".ruff_cache", ".hypothesis")
EVERYWHERE = ("__pycache__", ".ipynb_checkpoints")
NEVER = (".git", ".venv", "node_modules")


def main(arguments, root=ROOT):
    parser = argparse.ArgumentParser(prog="python -m tools clean", description=__doc__)
    parser.add_argument("--all", action="store_true", help="remove .venv too")
    options = parser.parse_args(arguments)
    found = [root / name for name in FOLDERS] + list(root.glob(".coverage*"))
    for folder, names, _ in os.walk(root):
        found += [Path(folder, name) for name in names if name in EVERYWHERE]
        names[:] = [name for name in names if name not in (*NEVER, *FOLDERS, *EVERYWHERE)]
    if options.all:
        found += [root / ".venv", *root.glob("*.egg-info")]
    removed = [path for path in found if remove(path)]
    print(f"removed {', '.join(sorted({path.name for path in removed}))}" if removed else "nothing to remove")
    return 0


def remove(path):
    """Remove a file, a folder, or a link but not what it points to; say whether there was one."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        return False
    return True
