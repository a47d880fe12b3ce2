"""`python -m tools lab`: open the chapters in JupyterLab, with the MyST of the pages rendered."""

import subprocess
import sys
from pathlib import Path

EXTRAS = ("lab", "torch", "mlx")
ROOT = Path(__file__).resolve().parents[1]


def main(arguments):
    """Trust this folder's own notebooks, so that their interactive figures show before they are run, and start JupyterLab.

    The server's folder is the book's, not chapters/: the pages' figures lie beside it."""
    chapters = sorted(str(path) for path in ROOT.glob("chapters/**/*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    subprocess.run([sys.executable, "-m", "jupyter", "trust", *chapters], check=False, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-m", "jupyterlab", "--notebook-dir", str(ROOT), "--LabApp.default_url=/lab/tree/chapters"]
    return subprocess.run([*command, *arguments]).returncode
