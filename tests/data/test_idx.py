import gzip
import struct

import numpy as np
import pytest

from dlcourse.data.idx import parse_idx, read_idx

HEADER = b"\0\0\x08\x02" + struct.pack(">II", 2, 3)


def test_reads_plain_and_compressed(tmp_path):
    (tmp_path / "plain").write_bytes(HEADER + bytes(range(6)))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(HEADER + bytes(range(6))))
    for name in ("plain", "packed.gz"):
        array = read_idx(tmp_path / name)
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"PK\x03\x04" + bytes(20), "not an IDX file"),
        (b"\x80\x04\x95" + bytes(20), "not an IDX file"),  # a pickle
        (b"\0\0\x0d\x01" + bytes(8), "not an IDX file"),  # float32
        (b"\0\0\x08\x00", "not an IDX file"),
        (b"\0\0\x08\x09" + bytes(40), "not an IDX file"),
        (HEADER[:7], "within its header"),
        (HEADER + bytes(5), "holds 5 bytes"),
        (HEADER + bytes(7), "holds 7 bytes"),
        (b"\0\0\x08\x04" + b"\xff" * 16, "holds 0 bytes"),  # announces 3 * 10^38 bytes
    ],
)
def test_refuses_what_is_no_idx(content, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_idx(content, "the file")


def test_refuses_a_cut_or_damaged_gzip(tmp_path):
    whole = gzip.compress(HEADER + bytes(6))
    for name, content in (("cut", whole[:-9]), ("damaged", whole[:-6] + b"\1\2\3" + whole[-3:])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="damaged gzip"):
            read_idx(tmp_path / name)
