"""The kernel that slides, in a browser: its arithmetic, keyboard, dark, narrow, without scripts."""

import json

import numpy as np
import pytest

from dlcourse.interactive import slide
from dlcourse.numpy.convolution import conv2d
from tests.figures import html_of

IMAGE = np.arange(64).reshape(8, 8) % 17


@pytest.fixture(scope="module")
def html():
    return html_of(lambda: slide.show(IMAGE, padding=1))


def state(page, copy=0):
    return json.loads(page.locator(".dl-interactive").nth(copy).get_attribute("data-state"))


def expected(now):
    weight = np.array(now["kernel"], float)[None, :, :, None]
    options = {name: now[name] for name in ("stride", "padding", "dilation")}
    return conv2d(IMAGE[None, :, :, None].astype(float), weight, np.zeros(1), **options)[0][0, :, :, 0]


def setting(page, name):
    return page.locator(f"[data-setting={name}]").first


def test_arithmetic_is_that_of_the_package(visit):
    page = visit()
    for stride in (1, 2, 3):
        for padding in (0, 1, 2):
            for dilation in (1, 2):
                for name, value in {"stride": stride, "padding": padding, "dilation": dilation}.items():
                    setting(page, name).fill(str(value))
                now = state(page)
                assert [now[name] for name in ("stride", "padding", "dilation")] == [stride, padding, dilation]
                assert np.array_equal(now["y"], expected(now))
    for name, kernel in slide.KERNELS.items():
        page.locator("select").select_option(name)
        assert state(page)["kernel"] == [list(row) for row in kernel]
        assert np.array_equal(state(page)["y"], expected(state(page)))


def test_own_kernel_and_place(visit):
    page = visit()
    page.get_by_label("weight, row 2, column 3").fill("-2.5")
    now = state(page)
    assert now["kernel"][1][2] == -2.5 and np.allclose(now["y"], expected(now))
    assert page.locator("select").input_value() == "your own"
    page.locator("[data-place='10']").click()
    assert state(page)["place"] == 10
    words = page.get_by_role("status").inner_text()
    value = expected(now).ravel()[10]
    assert "Row 2, column 3:" in words and f"= {value:g}".replace("-", "−") in words and "= 8." in words
    page.get_by_role("button", name="Reset").click()
    assert state(page)["place"] == 0 and state(page)["kernel"] == [list(row) for row in slide.KERNELS["vertical edges"]]


def test_keyboard_moves_the_window(visit):
    page = visit()
    page.get_by_label("Place").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert state(page)["place"] == 2
    page.keyboard.press("End")
    assert state(page)["place"] == 63
    setting(page, "stride").fill("3")  # fewer places: the window stays inside
    assert state(page)["place"] == len(np.ravel(state(page)["y"])) - 1


def test_numbers_out_of_range_change_nothing(visit):
    page = visit()
    before = state(page)
    for text in ("0", "9", "1.5", ""):
        setting(page, "stride").fill(text)
        assert state(page) == before
    setting(page, "stride").blur()
    assert setting(page, "stride").input_value() == "1"


def test_copies_do_not_disturb_each_other(visit):
    page = visit(copies=2)
    setting(page, "padding").fill("0")
    assert state(page)["padding"] == 0 and state(page, 1)["padding"] == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_leaves_its_place(visit, theme, width):
    page = visit(theme, width)
    setting(page, "padding").fill("2")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    letters = page.evaluate("[...document.querySelectorAll('.dl-grids text')].map(t => t.getBoundingClientRect().height)")
    assert min(letters) >= 8


def test_without_scripts_the_picture_stands(visit):
    page = visit(scripts=False)
    assert page.locator(".dl-grids svg").count() == 2
    assert page.locator("input").count() == 0
    assert page.locator("svg").first.is_visible()


def test_the_script_draws_what_the_picture_showed(visit):
    still, moving = visit(scripts=False), visit()
    for index in (0, 1):
        texts = [sorted(page.locator(".dl-grids svg").nth(index).locator("text").all_text_contents()) for page in (still, moving)]
        assert texts[0] == texts[1]
        boxes = [page.locator(".dl-grids svg").nth(index).get_attribute("viewBox") for page in (still, moving)]
        assert boxes[0] == boxes[1]
        assert still.locator(".dl-grids svg").nth(index).locator(".dl-marked").count() == [9, 1][index]
