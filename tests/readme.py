"""README's snippets and its figures: fenced blocks to run, and text between markers that must be what a record in results/ says.

A figure is written `<!-- results/FILE.json PATH FORMAT -->TEXT<!-- / -->`: PATH leads to a value of the record (`benchmarks.0.ratio`),
FORMAT is Python's (`.1%`). `python -m tests.readme` writes every TEXT anew."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIGURE = re.compile(r"(<!-- (?P<file>results/[\w./-]+\.json) (?P<path>[\w.-]+) (?P<format>\S+) -->)(?P<text>.*?)(<!-- / -->)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text, language):
    """The fenced blocks in one language."""
    return [body for found, body in BLOCK.findall(text) if found == language]


def value(root, file, path):
    """The value at `a.0.b` of a JSON file."""
    found = json.loads((root / file).read_text(encoding="utf-8"))
    for part in path.split("."):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"{file} has no {path}: {part} is not there") from error
    return found


def renewed(text, root=ROOT):
    """The text with every figure as its record has it."""
    return FIGURE.sub(lambda m: f"{m[1]}{format(value(root, m['file'], m['path']), m['format'])}{m[6]}", text)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(renewed(readme.read_text(encoding="utf-8")), encoding="utf-8")
