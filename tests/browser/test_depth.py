"""The interactive figure of activations through depth, opened from a file."""

import pytest

from dlcourse.interactive import depth
from tests.browser import site
from tests.browser.test_interactive import CELL, PAGE


@pytest.fixture(scope="module")
def html():
    import IPython.display

    shown, patch = [], pytest.MonkeyPatch()
    patch.setattr(IPython.display, "display", lambda bundle, **options: shown.append(bundle["text/html"]))
    depth.show()
    patch.undo()
    return shown[0]


@pytest.fixture
def visit(browser, tmp_path, html):
    contexts, log = [], site.Visit("figure.html")

    def visit(theme="light", width=1400, scripts=True):
        path = tmp_path / "figure.html"
        path.write_text(PAGE.format(theme=theme, body=CELL.format(html)), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, java_script_enabled=scripts)
        context.set_default_timeout(5_000)
        contexts.append(context)
        page = context.new_page()
        site.watch(page, log, path.as_uri())
        page.goto(path.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
    assert log.faults == []


def drawn(page):
    return [page.locator(f".dl-{name}").get_attribute("d") for name in ("values", "gradients")]


def expected(activation, norm, gain):
    run = depth.through_depth(activation, norm, gain, 0)
    return [depth.path(run["values"]), depth.path(run["gradients"])], depth.summary(run, activation, norm, gain)


def test_it_opens_with_the_picture_of_the_notebook(visit):
    curves, text = expected(**depth.START)
    for scripts in (False, True):
        page = visit(scripts=scripts)
        assert drawn(page) == curves and page.locator("svg").get_attribute("aria-label") == text
    assert page.get_by_role("status").inner_text() == text


def test_every_control_moves_the_curves_by_keyboard(visit):
    page = visit()
    page.locator("[data-name=activation]").select_option("gelu")
    page.locator("[data-name=norm]").select_option("batch")
    page.locator("[data-name=gain]").press("ArrowRight")
    curves, text = expected("gelu", "batch", 1.5)
    assert drawn(page) == curves and page.get_by_role("status").inner_text() == text


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_sticks_out(visit, width):
    page = visit("dark", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
