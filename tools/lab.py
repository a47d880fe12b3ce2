"""`python -m tools lab`: open the chapters in JupyterLab, with the MyST of the pages rendered."""

import subprocess
import sys
from pathlib import Path

EXTRAS = ("lab", "torch", "mlx")
ROOT = Path(__file__).resolve().parents[1]


def main(arguments):
    return subprocess.run([sys.executable, "-m", "jupyterlab", "--notebook-dir", str(ROOT / "chapters"), *arguments]).returncode
