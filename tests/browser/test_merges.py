"""The merges in a browser: their arithmetic, keyboard, dark, narrow, without scripts."""

import json

import pytest

from dlcourse.interactive import merges
from tests.figures import html_of

WORDS = {"low": 5, "lower": 2, "newest": 6, "widest": 3, "学习": 4}


@pytest.fixture(scope="module")
def html():
    return html_of(lambda: merges.show(WORDS, merges=12))


def state(page, copy=0):
    return json.loads(page.locator(".dl-interactive").nth(copy).get_attribute("data-state"))


def test_arithmetic_is_that_of_the_package(visit):
    page, settings = visit(), merges.read_settings(WORDS, 12, "lowest")
    for step in range(len(settings["merges"]) + 1):
        now = state(page)
        assert (now["step"], now["tokens"], now["vocabulary"]) == (step, *merges.totals(settings, step))
        assert page.get_by_role("status").inner_text() == merges.sentence(settings, step)
        pairs = merges.count(settings, step)
        assert [n for *_, n in now["pairs"]] == sorted(pairs.values(), reverse=True)[: len(now["pairs"])]
        assert all(pairs[a, b] == n for a, b, n in now["pairs"])
        if step < len(settings["merges"]):
            assert now["pairs"][0][:2] == settings["merges"][step]
            page.get_by_role("button", name="Merge").click()
    assert page.get_by_role("button", name="Merge").is_disabled()


def test_words_of_the_reader(visit):
    page, settings = visit(), merges.read_settings(WORDS, 12, "lowest")
    page.get_by_role("slider").fill("7")
    for word in ("lowest", "newer", "学习low", "<i>x</i>", "🤖 ?", ""):
        page.get_by_label("A word of your own").fill(word)
        assert state(page)["own"] == merges.segment(word, settings["merges"][:7])
    assert page.locator("i:text('x')").count() == 0  # what is typed is text


def test_keyboard(visit):
    page = visit()
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert state(page)["step"] == 2
    page.get_by_role("button", name="Back").focus()
    page.keyboard.press("Enter")
    assert state(page)["step"] == 1


def test_copies_do_not_disturb_each_other(visit):
    page = visit(copies=2)
    page.get_by_role("button", name="Merge").first.click()
    assert state(page)["step"] == 1 and state(page, 1)["step"] == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_leaves_its_place(visit, theme, width):
    page = visit(theme, width)
    page.get_by_label("A word of your own").fill("w" * 40)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_without_scripts_the_picture_stands(visit):
    page = visit(scripts=False)
    assert page.locator(".dl-words").is_visible() and page.locator("input").count() == 0


def test_the_script_draws_what_the_picture_showed(visit):
    still, moving = visit(scripts=False), visit()
    texts = [page.locator(".dl-words span span").all_text_contents() for page in (still, moving)]
    assert texts[0] == texts[1] == [letter for word in WORDS for letter in word]
