"""What makes the built site stand on its own: MathJax from the site itself, and no page that the book no longer has.

Sphinx would load MathJax from a CDN. The files come from the package sphinx-mathjax-offline instead. It is read as
data and not loaded as an extension, because as an extension it copies 24 MB where 4 MB are needed.
"""

import importlib.metadata
import shutil
from pathlib import Path

from sphinx.errors import ExtensionError

PACKAGE = "sphinx-mathjax-offline"
MATHJAX = "tex-chtml-full.js"  # TeX in, HTML and fonts out, all TeX packages in the one file
NEEDED = (
    MATHJAX,
    "output/chtml/fonts/woff-v2/",
    "a11y/",  # the formula explorer of MathJax's menu, and the speech rules that it reads
    "sre/mathmaps/base.json",
    "sre/mathmaps/en.json",
    "sre/mathmaps/nemeth.json",
)


def mathjax_files():
    """Pairs (path inside MathJax, file on disk) of the part of MathJax 3.2.2 that the site needs."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ExtensionError(f"{PACKAGE} is not installed: pip install 'dlcourse[book]'") from error
    for file in files:
        _, found, inside = file.as_posix().partition("static/mathjax/")
        if found and inside.startswith(NEEDED):
            yield inside, Path(file.locate())


def use_own_mathjax(app, config):
    config.mathjax_path = f"mathjax/{MATHJAX}"


def copy_mathjax(app):
    if app.builder.format != "html":
        return
    target = Path(app.outdir, "_static", "mathjax")
    for inside, file in mathjax_files():
        copy = target / inside
        if not copy.exists() or copy.stat().st_size != file.stat().st_size:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    if not (target / MATHJAX).exists():
        raise ExtensionError(f"{PACKAGE} holds no {MATHJAX}: install the version that constraints.txt names")


def remove_stale_pages(app, exception):
    """An incremental build leaves the page of a removed document behind, and search engines and readers find it."""
    if exception is not None or app.builder.name != "html":
        return
    extra = {"genindex", "search", "index"}
    for page in Path(app.outdir).rglob("*.html"):
        name = page.relative_to(app.outdir).with_suffix("").as_posix()
        if name not in app.env.found_docs and name not in extra and not name.startswith("_static/"):
            page.unlink()


def setup(app):
    # Jupyter Book always sets this value of sphinx_comments, which names foreign hosts and is not loaded.
    app.add_config_value("comments_config", {}, "")
    app.connect("config-inited", use_own_mathjax)
    app.connect("builder-inited", copy_mathjax)
    app.connect("build-finished", remove_stale_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
