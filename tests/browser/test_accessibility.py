"""Chapters and one page of each other kind, judged by axe in light and in dark."""

import pytest

from tests.browser import site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]  # each opens and judges some thirty pages


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_accessibility_fault(browser, built, home, theme):
    from axe_core_python.sync_playwright import Axe

    axe, found = Axe(), []
    # The two themes differ in colours alone: the dark one repeats only the rule about them.
    only = {} if theme == "light" else {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=theme)
    page = context.new_page()
    for name in site.main(built):
        page.goto(f"{home}/{name}")
        site.settle(page)
        # A formula's glyphs are hidden from screen readers, its MathML from the eye; without both a long chapter takes a third of the time.
        hidden = {"exclude": [["mjx-math"], ["mjx-assistive-mml"]]}
        result = axe.run(page, context=hidden, options={"resultTypes": ["violations"], **only})
        for violation in result["violations"]:
            if violation["impact"] in ("serious", "critical"):
                nodes = [node["html"][:160] for node in violation["nodes"][:3]]
                found.append(f"{name}: {violation['id']} ({violation['impact']}, {len(violation['nodes'])} times): {nodes}")
    context.close()
    assert found == []
