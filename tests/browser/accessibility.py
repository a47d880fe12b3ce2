"""Chapters and one page of each other kind, judged by axe. Light and dark are tests in files of their own, which two workers run side by side."""

from tests.browser import site


def serious_faults(browser, built, home, theme, **options):
    """What axe finds on all these pages, a sentence each."""
    from axe_core_python.sync_playwright import Axe

    axe, found = Axe(), []
    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=theme)
    page = context.new_page()
    for name in site.main(built):
        page.goto(f"{home}/{name}")
        site.settle(page)
        # A formula's glyphs are hidden from screen readers, its MathML from the eye; without both a long chapter takes a third of the time.
        hidden = {"exclude": [["mjx-math"], ["mjx-assistive-mml"]]}
        result = axe.run(page, context=hidden, options={"resultTypes": ["violations"], **options})
        for violation in result["violations"]:
            if violation["impact"] in ("serious", "critical"):
                nodes = [node["html"][:160] for node in violation["nodes"][:3]]
                found.append(f"{name}: {violation['id']} ({violation['impact']}, {len(violation['nodes'])} times): {nodes}")
    context.close()
    return found
