"""Every page of the built book, opened in two ways in which readers see it; all that is judged is judged on that one visit.

Typesetting the formulas of a long chapter takes seconds, so a page is not opened again for each question. Each class is one task
for a worker.
"""

import pytest

from tests.browser import site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]  # the first test of a class opens every page


@pytest.fixture(scope="class")
def visits(request, browser, built, home):
    """{page: what was seen} in the way of the class."""
    way = request.cls
    context = browser.new_context(viewport={"width": way.width, "height": 900}, color_scheme=way.theme)
    context.set_default_timeout(30_000)
    address = built.as_uri() if way.from_a_file else home
    yield {name: site.look(context, address, name, way.rules) for name in site.pages(built) if name != "index.html"}
    context.close()


def faults(visits, kind):
    return [fault for visit in visits.values() for fault in getattr(visit, kind)]


class Pages:
    width: int
    theme: str
    rules: dict  # options of axe
    from_a_file: bool

    def test_they_load_without_errors(self, visits):
        assert len(visits) >= 20
        assert faults(visits, "errors") == []

    def test_no_request_leaves_the_site(self, visits):
        assert faults(visits, "foreign") == []

    def test_formulas_are_typeset(self, visits):
        assert sum(visit.formula_count for visit in visits.values()) >= 20
        assert faults(visits, "formulas") == []

    def test_nothing_is_wider_than_the_window(self, visits):
        assert faults(visits, "overflow") == []

    def test_figures_can_be_read(self, visits):
        assert visits["book/intro.html"].figure_count >= 1
        assert faults(visits, "figures") == []

    def test_the_theme_follows_the_system(self, visits):
        assert all(visit.dark == (self.theme == "dark") for visit in visits.values())

    def test_no_serious_accessibility_fault(self, visits):
        assert faults(visits, "accessibility") == []


class TestWideAndLight(Pages):
    """From a file, as readers have them who unpacked the book: no server, and the rules for scripts in files."""

    width, theme, rules, from_a_file = 1400, "light", {}, True


class TestNarrowAndDark(Pages):
    """From a server. Dark differs in colours alone: only axe's rule about them is repeated."""

    width, theme, rules, from_a_file = 400, "dark", {"runOnly": {"type": "rule", "values": ["color-contrast"]}}, False
