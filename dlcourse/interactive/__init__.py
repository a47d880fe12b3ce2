"""Figures that the reader moves: `interactive` puts one into a cell's output; each module of this folder is one figure with a `show`.

Everything a figure needs stands in that one output: data, picture, script and style. It works from a file, without network, and in
JupyterLab, and it shows the picture where scripts are off. A figure called `name` is name.js, which finds its place by
`.dl-interactive[data-figure=name]`, and name.css; frame.css is common to all."""

import html
import json
import re
from pathlib import Path

from dlcourse.errors import need

KEYS = ' data-lm-suppress-shortcuts="true"'  # in JupyterLab the arrow keys belong to the slider, not to the notebook
FOLDER = Path(__file__).resolve().parent


def interactive(name, data, fallback, text, label):
    """Show the figure `name`. data: what JSON can hold, computed by the cell; fallback: the picture (HTML or SVG with role="img" and a
    description), which the script takes over; text: what stands in the output where there is no HTML; label: the name that is read aloud."""
    bundle = {"text/html": page(name, data, fallback, label), "text/plain": text}
    need("IPython.display", extra="notebook").display(bundle, raw=True)


def page(name, data, fallback, label):
    """The HTML of `interactive`: deterministic, closed in itself."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or not (FOLDER / f"{name}.js").is_file():
        raise ValueError(
            f"there is no interactive figure {name!r}: its script would be dlcourse/interactive/{name}.js"
        )
    if 'role="img"' not in fallback or not re.search(r'(?:aria-label|alt)="[^"]{10,}"', fallback):
        raise ValueError(
            f'the picture of {name!r} is silent: give it role="img" and aria-label="what one sees"'
        )
    style = _read("frame.css") + (
        _read(f"{name}.css") if (FOLDER / f"{name}.css").is_file() else ""
    )
    return "\n".join(
        [
            f'<div class="dl-interactive" data-figure="{name}" role="group" aria-label="{html.escape(label)}"{KEYS}>',
            f"<style>\n{style}</style>",
            fallback.strip(),
            f'<script type="application/json">{island(data)}</script>',
            f"<script>\n{_read(f'{name}.js')}</script>",
            "</div>",
        ]
    )


def island(data):
    """JSON that may stand inside <script>: nothing in it can end the element or begin a comment. NaN and infinity are a ValueError."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=True, sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _read(name):
    text = (FOLDER / name).read_text(encoding="utf-8")
    if re.search(r"</(?:script|style)|<!--", text, re.IGNORECASE):
        raise ValueError(f"{name} would end its own element: write <\\/ in a string")
    return text
