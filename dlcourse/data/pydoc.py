"""The English of Python's language reference, which lies inside CPython as `pydoc_data.topics`: about 0.27 MB without download.

Two things make it unfit as it is. A topic repeats others word for word (`compound` holds `for`, `try` and `with`), so that the end of
the text would have been seen in training; each paragraph is therefore kept once, where it comes first. And every release changes it, so
that trained numbers would change too; therefore only paragraphs are kept that Python 3.11.2, 3.11.7, 3.12.1 and 3.13.0 have in common, in
the order of 3.11.7's topics. `pydoc_paragraphs.py` lists them by their digests: the text is the same in these versions, and a
version that lacks some of the paragraphs says so in `Text.source`."""

import base64
import hashlib
import platform
import re

from dlcourse.data.pydoc_paragraphs import COUNT, DIGESTS
from dlcourse.data.text import Text, by_position

WIDTH = 4  # bytes of a digest


def load():
    """The Text "pydoc"; see `dlcourse.data.load`."""
    from pydoc_data.topics import topics  # half a megabyte: not at import

    found = {digest(paragraph): paragraph for paragraph in paragraphs(topics)}
    kept = [found[key] for key in digests() if key in found]
    parts = ["\n\n".join(part) for part in by_position(kept)]
    source = f"Python's language reference (pydoc_data.topics), {COUNT:,} paragraphs"
    if len(kept) < COUNT:
        source += f", of which Python {platform.python_version()} has {len(kept):,}"
    return Text("pydoc", *parts, source, "PSF licence, version 2")


def where():
    return "inside Python"


def paragraphs(topics):
    """Every paragraph of {topic: text}, the topics sorted, without the blanks at the ends of lines."""
    for name in sorted(topics):
        for paragraph in re.split(r"\n\s*\n", topics[name]):
            lines = [line.rstrip() for line in paragraph.split("\n")]
            if any(lines):
                yield "\n".join(lines).strip("\n")


def collapsed(paragraph):
    """The paragraph without its line breaks and indentation: two that agree in this count as the same."""
    return " ".join(paragraph.split())


def digest(paragraph):
    return hashlib.sha256(paragraph.encode()).digest()[:WIDTH]


def digests():
    """The digests of the paragraphs that are kept, in their order."""
    packed = base64.b85decode("".join(DIGESTS.split()))
    return [packed[i : i + WIDTH] for i in range(0, len(packed), WIDTH)]
