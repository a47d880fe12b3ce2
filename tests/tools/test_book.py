"""Pictures of the built book."""

import numpy as np
from PIL import Image

from tools.book import drop_unused_transparency


def test_opaque_pictures_lose_their_opacity_and_nothing_else(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    opaque, clear = colours.copy(), colours.copy()
    opaque[..., 3] = 255
    clear[3, 4, 3] = 254
    for name, pixels in (("opaque", opaque), ("clear", clear)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    before = (tmp_path / "clear.png").read_bytes()
    drop_unused_transparency(tmp_path)
    with Image.open(tmp_path / "opaque.png") as picture:
        assert picture.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(picture), opaque[..., :3])
    assert (tmp_path / "clear.png").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clear.png", "opaque.png"]
    once = (tmp_path / "opaque.png").stat().st_mtime_ns
    drop_unused_transparency(tmp_path)
    assert (tmp_path / "opaque.png").stat().st_mtime_ns == once
