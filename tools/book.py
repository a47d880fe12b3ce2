"""`python -m tools book`: build the book's HTML, warnings as errors, and say where it is."""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

EXTRAS = ("book",)
ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
ENVIRONMENT = BUILD / ".doctrees"
PAGES = (BUILD / "html", BUILD / "jupyter_execute")
INDEX = BUILD / "html" / "index.html"


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m tools book", description=__doc__)
    parser.add_argument("--all", action="store_true", help="forget the last build and build every page")
    parser.add_argument("--verbose", action="store_true", help="show what Jupyter Book prints")
    options = parser.parse_args(arguments)
    if options.all:
        forget(ENVIRONMENT, *PAGES)
    start = time.perf_counter()
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(ROOT), "-n", "-W", "--keep-going"]
    environment = {**os.environ, "PYTHONUTF8": "1", "JUPYTER_PLATFORM_DIRS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    if options.verbose or done.returncode:
        print(done.stdout if options.verbose else "\n".join(worth_reading(done.stdout)))
    if done.returncode:
        # The pages that warned are in the pickled environment: without this the next build would pass in silence.
        forget(ENVIRONMENT)
        print("The book was not built: the lines with WARNING or ERROR above name the file and the line to mend.")
        return 1
    drop_unused_transparency(BUILD / "html" / "_images")
    pages = sum(1 for _ in (BUILD / "html").rglob("*.html"))
    print(f"{pages} pages in {time.perf_counter() - start:.0f} s. Open {INDEX.as_uri()}")
    return 0


def worth_reading(output):
    """The lines that say what is wrong; everything when none of them looks like it."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines()
    return [line for line in lines if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)] or lines


def drop_unused_transparency(folder):
    """Write opaque pictures again as RGB: matplotlib stores an opacity for each pixel, which a reader would load with every figure."""
    from PIL import Image

    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            if picture.mode != "RGBA" or picture.getchannel("A").getextrema() != (255, 255):
                continue
            smaller = path.with_suffix(".part")
            picture.convert("RGB").save(smaller, format="png", optimize=True)
        os.replace(smaller, path)  # in one step: a page that is not written again keeps its pictures as they are


def forget(*folders):
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
