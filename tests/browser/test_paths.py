"""The interactive figure of optimizer paths, opened from a file: its arithmetic is the package's, keyboard, dark, narrow, without scripts."""

import json

import numpy as np
import pytest

from dlcourse.interactive import paths
from tests.figures import html_of


@pytest.fixture(scope="module")
def html():
    return html_of(paths.show)


def state(page, copy=0):
    return json.loads(page.locator(".dl-interactive").nth(copy).get_attribute("data-state"))


def setting(page, name):
    return page.locator(f"[data-setting={name}]").first


def agrees(page):
    """Path and words of the page are those of the package for the settings that the page has."""
    now = state(page)
    settings = {name: now[name] for name in paths.START}
    np.testing.assert_allclose(now["points"], paths.trace(settings), rtol=1e-9, atol=1e-9)
    assert page.get_by_role("status").first.inner_text() == paths.summary(settings)
    return settings


def test_arithmetic_is_that_of_the_package(visit):
    page = visit()
    for surface in paths.SURFACES:
        setting(page, "surface").select_option(surface)
        for optimizer in paths.OPTIMIZERS:
            setting(page, "optimizer").select_option(optimizer)
            for rate in (2, 4, 6):
                setting(page, "lr").fill(str(rate))
                settings = agrees(page)
                assert (settings["surface"], settings["optimizer"], settings["lr"]) == (surface, optimizer, paths.RATES[rate])


def test_every_control_by_keyboard(visit):
    page = visit()
    setting(page, "optimizer").select_option("momentum")
    setting(page, "momentum").press("ArrowLeft")
    setting(page, "lr").press("ArrowLeft")
    setting(page, "x").press("ArrowRight")
    setting(page, "y").press("ArrowLeft")
    settings = agrees(page)
    assert settings["momentum"] == 0.8 and settings["lr"] == 0.05 and settings["start"] == [-2.75, 1.25]
    page.get_by_role("button", name="Reset").press("Enter")
    assert agrees(page) == paths.START | {"start": list(paths.START["start"])}


def test_a_click_moves_the_start(visit):
    page = visit()
    box = page.locator(".dl-paths").bounding_box()
    page.mouse.click(box["x"] + box["width"] * (320 + 80 * 2) / 640, box["y"] + box["height"] * (200 + 80) / 400)
    assert agrees(page)["start"] == [2, -1]


def test_a_kept_path_stays_until_the_surface_changes(visit):
    page = visit()
    first = page.locator(".dl-path").get_attribute("d")
    page.get_by_role("button", name="Keep this path").click()
    setting(page, "optimizer").select_option("Adam")
    assert page.locator(".dl-kept").get_attribute("d") == first != page.locator(".dl-path").get_attribute("d")
    assert page.locator(".dl-before").inner_text() == f"Kept, dashed: {paths.summary(paths.START)}"
    setting(page, "surface").select_option("two minima")
    assert page.locator(".dl-kept").get_attribute("d") == "" and not page.locator(".dl-before").is_visible()


def test_momentum_rests_where_there_is_none(visit):
    page = visit()
    assert setting(page, "momentum").is_disabled()
    setting(page, "optimizer").select_option("Lion")
    assert setting(page, "momentum").is_enabled()


def test_copies_do_not_disturb_each_other(visit):
    page = visit(copies=2)
    setting(page, "optimizer").select_option("Adam")
    assert state(page)["optimizer"] == "Adam" and state(page, 1)["optimizer"] == "gradient descent"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_leaves_its_place(visit, theme, width):
    page = visit(theme, width)
    setting(page, "lr").fill("9")  # it flies away
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_script_draws_what_the_picture_showed(visit):
    still, moving = visit(scripts=False), visit()
    for name in ("path", "start", "end"):
        attributes = ("d",) if name == "path" else ("cx", "cy")
        for attribute in attributes:
            values = [page.locator(f".dl-{name}").get_attribute(attribute) for page in (still, moving)]
            assert values[0] == values[1]
    labels = [page.locator(".dl-paths").get_attribute("aria-label") for page in (still, moving)]
    assert labels[0] == labels[1] and still.locator("input").count() == 0
    assert still.locator(".dl-level").count() == moving.locator(".dl-level").count()
