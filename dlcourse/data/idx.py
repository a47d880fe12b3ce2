"""The IDX format of MNIST: a header, then bytes."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np


def read_idx(path):
    """Read an IDX file of unsigned bytes, gzip-compressed or not -> array of dtype uint8.

    The header is 0, 0, type (8: unsigned byte), number of axes, then the length of each axis as a big-endian uint32.
    Raises ValueError unless the header is whole and the bytes that follow are exactly as many as it announces."""
    content = Path(path).read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"{path} is a damaged gzip file ({error}): delete it and load the data set again"
            ) from error
    return parse_idx(content, path)


def parse_idx(content, name="the file"):
    """The array in the bytes of an IDX file (see `read_idx`)."""
    if (
        len(content) < 4
        or content[:2] != b"\0\0"
        or content[2] != 8
        or content[3] not in (1, 2, 3, 4)
    ):
        raise ValueError(
            f"{name} is not an IDX file of unsigned bytes (it begins with {content[:4].hex(' ') or 'nothing'}): delete it and load the data set again"
        )
    axes = content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise ValueError(f"{name} ends within its header: delete it and load the data set again")
    shape = struct.unpack(f">{axes}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise ValueError(
            f"{name} holds {len(content) - start} bytes but its header announces {shape}: delete it and load the data set again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
