"""Texts in files: Tiny Shakespeare, first names, Tang poems."""

import hashlib
import json

import numpy as np

from dlcourse.data import files
from dlcourse.data.download import RemoteFile, cache_folder, fetch
from dlcourse.data.files import FileSet
from dlcourse.data.text import Text

MIRRORS = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/",
)
SHAKESPEARE = RemoteFile(
    "input.txt", 1115394, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
)
NAMES = FileSet(
    ("names",),
    ("names.txt",),
    "github.com/karpathy/makemore",
    "the list of first names",
    "MIT; public domain (US Social Security Administration)",
)
POEMS = FileSet(
    ("tang-poems", "chinese_poetry"),
    ("tangshi300.json|唐诗三百首.json",),
    "github.com/chinese-poetry/chinese-poetry",
    "the 300 Tang poems",
    "MIT",
)


def tinyshakespeare():
    """Some of Shakespeare's plays, with the split of nanoGPT: the first 90 % of the characters train, the rest validates."""
    path = _shakespeare() or fetch(SHAKESPEARE, cache_folder() / "tinyshakespeare", MIRRORS)
    text = path.read_text(encoding="utf-8")
    cut = int(0.9 * len(text))
    source = "Tiny Shakespeare (Karpathy 2015)"
    return Text("tinyshakespeare", text[:cut], text[cut:], "", source, "public domain")


def where_shakespeare():
    try:
        found = _shakespeare()
    except ValueError as error:
        return str(error)
    folder = cache_folder() / "tinyshakespeare"
    if found:
        return f"in {found.parent}"
    if (folder / SHAKESPEARE.name).is_file():
        return f"in the cache {folder}"
    return f"not here: the first use downloads {SHAKESPEARE.bytes / 1e6:.0f} MB into {folder}; or set DLCOURSE_DATA to a folder that holds it"


def names():
    """First names, a line each and each once, in an order drawn from seed 0: 90, 5 and 5 % of them."""
    (path,) = files.find(NAMES)
    lines = files.read(path).split()
    for number, line in enumerate(lines, 1):
        if not line.isalpha():
            raise files.refusal(path, number, "one name of letters", line)
    found = f"first names of makemore, {len(set(lines)):,} different ones among {len(lines):,}"
    return Text("names", *_shuffled(sorted(set(lines)), "\n"), found, NAMES.licence)


def tang_poems():
    """Tang poems in traditional characters: title, poet, lines, and an empty line; 90, 5 and 5 % of the poems, order from seed 0."""
    (path,) = files.find(POEMS)
    try:
        raw = json.loads(files.read(path))
        poems = {"".join(p["paragraphs"]): [p["title"], p["author"], *p["paragraphs"]] for p in raw}
        texts = ["\n".join(lines) for lines in poems.values()]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no list of poems with title, author and paragraphs ({error}): fetch it again"
        ) from error
    found = f"chinese-poetry, {len(texts)} different Tang poems among {len(raw)}"
    return Text("tang-poems", *_shuffled(texts, "\n\n"), found, POEMS.licence)


def _shuffled(pieces, between, shares=(0.9, 0.05)):
    """Three texts made of disjoint pieces."""
    order = np.random.default_rng(0).permutation(len(pieces))
    cuts = np.round(np.cumsum(shares) * len(pieces)).astype(int)
    return [
        between.join(pieces[i] for i in part) + "\n" if len(part) else ""
        for part in np.split(order, cuts)
    ]


def _shakespeare():
    """The path of the file in DLCOURSE_DATA, or None. Raises ValueError for a file that is not the published one."""
    folder = files.data_folder()
    if folder is None or not (path := folder / "tinyshakespeare" / SHAKESPEARE.name).is_file():
        return None
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHAKESPEARE.sha256:
        raise ValueError(
            f"{path} is not the published file (its SHA-256 differs): delete it, or unset DLCOURSE_DATA to download it"
        )
    return path
