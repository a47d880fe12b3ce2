import os

import pytest

from tests.browser import site
from tests.figures import CELL, PAGE


def _leave_out(reason):
    """A reader's machine may lack a browser; a test server may not."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser():
    path = site.find_browser()
    if path is None:
        _leave_out("Chromium is not installed, so the pages are not tested: sudo apt install chromium, or name the program in CHROMIUM")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _leave_out("playwright is not installed, so the pages are not tested: pip install -e '.[test]'")
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=path, args=site.FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def built():
    """The folder of the built book."""
    if not (site.SITE / "index.html").exists():
        _leave_out("the book is not built, so its pages are not tested: make book")
    return site.SITE


@pytest.fixture(scope="session")
def home(built):
    with site.serve(built) as address:
        yield address


@pytest.fixture
def page(browser, home):
    """An empty tab of a fresh browser profile: nothing is remembered from another test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme="light")
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def visit(browser, tmp_path, html):
    """`visit(theme, width, copies, scripts)` opens the module's figure, its fixture `html`, from a file as a reader without network does;
    the page must stay without errors and ask for nothing."""
    contexts, log = [], site.Visit("figure.html")

    def visit(theme="light", width=1400, copies=1, scripts=True):
        path = tmp_path / "figure.html"
        path.write_text(PAGE.format(theme=theme, body=CELL.format(html) * copies), encoding="utf-8")
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
