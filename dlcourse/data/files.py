"""Text files of data sets that a reader has: found by the set's name, read strictly, never downloaded."""

import gzip
import os
import zlib
from pathlib import Path
from typing import NamedTuple

from dlcourse.data.download import cache_folder


class FileSet(NamedTuple):
    """`files` are the names in the set's folder; "a|b" means that either serves. `origin` is where a reader gets them."""

    folders: tuple[str, ...]
    files: tuple[str, ...]
    origin: str
    title: str
    licence: str


def find(files):
    """The paths of the files, in order, in DLCOURSE_DATA or the cache.

    Raises FileNotFoundError that names what is missing and where it comes from, ValueError when DLCOURSE_DATA is no folder."""
    places = _places(files.folders)
    for place in places:
        paths = [_either(place, names) for names in files.files]
        if all(paths):
            return paths
        if any(paths):
            missing = [names for names, path in zip(files.files, paths, strict=True) if not path]
            raise FileNotFoundError(f"{place} lacks {_listed(missing)}: get it from {files.origin}")
    raise FileNotFoundError(
        f"{files.title}: no file here, and none is downloaded; put {_listed(files.files)} from {files.origin} "
        f"into a folder {files.folders[0]} of the folder that DLCOURSE_DATA names"
    )


def where(files):
    """One line: the folder in which the files are, or what to do."""
    try:
        first, name = find(files)[0], files.files[0]
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    return f"in {first.parents[name.split('|')[0].count('/')]}"


def data_folder():
    """The folder DLCOURSE_DATA, or None. Raises ValueError when it is not there."""
    if not os.environ.get("DLCOURSE_DATA"):
        return None
    folder = Path(os.environ["DLCOURSE_DATA"])
    if not folder.is_dir():
        raise ValueError(
            f"DLCOURSE_DATA is {folder}, which is not a folder: set it to the folder with your data sets, or unset it"
        )
    return folder


def read(path):
    """The text of a UTF-8 file, compressed with gzip or not. Raises ValueError for a damaged one."""
    content = Path(path).read_bytes()
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged or no UTF-8 text ({error}): fetch it again") from error
    if not text.strip():
        raise ValueError(f"{path} is empty: fetch it again")
    return text


def rows(path, columns):
    """The lines of a table with tabs as tuples of `columns` texts. Raises ValueError for the first line that has another number."""
    table = [tuple(line.split("\t")) for line in read(path).removesuffix("\n").split("\n")]
    for number, row in enumerate(table, 1):
        if len(row) != columns:
            raise refusal(path, number, f"{columns} columns with tabs between them", "\t".join(row))
    return table


def refusal(path, number, wanted, found):
    found = found if len(found) <= 60 else found[:60] + "..."
    return ValueError(
        f"{path}, line {number}: expected {wanted}, found {found!r}: the file is cut off or another one, so fetch it again"
    )


def _places(folders):
    root = data_folder()
    places = [root / name for name in folders] if root else []
    return [*places, cache_folder() / folders[0]]


def _either(place, names):
    return next((place / name for name in names.split("|") if (place / name).is_file()), None)


def _listed(files):
    return ", ".join(names.replace("|", " or ") for names in files)
