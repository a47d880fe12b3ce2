"""The interactive figure of a kernel that slides: closed in itself, deterministic, and its numbers those of the package."""

import json
import re

import numpy as np
import pytest

from dlcourse.interactive import slide
from dlcourse.numpy.convolution import conv2d
from tests.figures import displayed
from tests.test_interactive import Elements
from tools.lint import FLOAT, SIGNIFICANT_DIGITS, VOLATILE

IMAGE = np.arange(64).reshape(8, 8) % 17


@pytest.fixture(scope="module")
def output():
    first, second = displayed(
        lambda: slide.show(IMAGE, padding=1),
        lambda: slide.show(IMAGE[:, :, None].astype(float), padding=1),  # with axes of length 1, as data sets have them
    )
    assert first == second
    return first


def test_html_is_closed_in_itself(output):
    found = Elements(output["text/html"])
    assert found.open == []
    assert not {"link", "img", "iframe", "object"} & set(found.tags)
    assert not {"src", "href", "id"} & {name for name, _ in found.attributes}
    text = output["text/html"].replace('"http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\(|@import|fetch\(|import\(|XMLHttpRequest|localStorage", text)
    assert json.loads(found.data["script"][0])["image"] == IMAGE.tolist()


def test_picture_stands_without_the_script(output):
    without = re.sub(r"<(script|style).*?</\1>", "", output["text/html"], flags=re.DOTALL)
    assert without.count('role="img"') == 2 and without.count("<g ") == 100 + 64
    assert without.count("dl-marked") == 9 + 1 and without.count("dl-frame") == 36
    assert not re.search("<(button|input|select)", without)


def test_stored_text_passes_the_lint(output):
    text = re.sub(r"<[^>]*>", " ", output["text/html"]) + output["text/plain"]
    assert [pattern.search(text) for pattern, _ in VOLATILE] == [None] * len(VOLATILE)
    digits = [len(re.sub(r"\D", "", m[0].split("e")[0]).lstrip("0")) for m in FLOAT.finditer(text)]
    assert max(digits, default=0) <= SIGNIFICANT_DIGITS


@pytest.mark.parametrize("kernel", slide.KERNELS)
def test_text_says_the_output(kernel):
    settings = slide.read_settings(IMAGE, kernel, 2, 1, 2)
    rows = [line.split() for line in slide.describe(settings).splitlines()[2:]]
    weight = np.array(slide.KERNELS[kernel], float)[None, :, :, None]
    expected = conv2d(IMAGE[None, :, :, None].astype(float), weight, np.zeros(1), 2, 1, 2)[0][0, :, :, 0]
    assert np.array_equal(np.array(rows, float), expected)


def test_numbers_have_a_true_minus():
    assert [slide.number(value) for value in (-3.0, 0, 12)] == ["−3", "0", "12"]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match=r"pass an array \(H, W\), rounded"):
        slide.show(IMAGE + 0.5)
    with pytest.raises(ValueError, match=r"pass an array \(H, W\), rounded"):
        slide.show(np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="unknown kernel 'edges': choose one of vertical edges"):
        slide.show(IMAGE, kernel="edges")
