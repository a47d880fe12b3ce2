"""The built book as a site: its size, links, tabs, solutions, search and launch buttons."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin, urlparse

import pytest

from tests.browser import site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]  # some open every page


def test_pages_are_small(built):
    """Below 1 MB of own content a page: the HTML and the pictures that it shows."""
    for name in site.pages(built):
        text = (built / name).read_text(encoding="utf-8")
        pictures = {(built / name).parent / unquote(p) for p in re.findall(r'<img[^>]*src="([^":]+)"', text)}
        size = len(text.encode()) + sum(p.stat().st_size for p in pictures if p.exists())
        assert size < 1_000_000, f"{name} holds {size} bytes"


# ---------------------------------------------------------------- links


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.links, self.loads = set(), [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {attributes[key] for key in ("id", "name") if attributes.get(key)}
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        if tag in ("script", "img", "iframe") and attributes.get("src"):
            self.loads.append(attributes["src"])
        if tag == "link" and attributes.get("href") and attributes.get("rel") not in ("canonical",):
            self.loads.append(attributes["href"])


@pytest.fixture(scope="session")
def parsed(built):
    found = {}
    for name in site.pages(built):
        found[name] = Links()
        found[name].feed((built / name).read_text(encoding="utf-8"))
    return found


def test_links_inside_the_site_lead_somewhere(built, parsed):
    dead = []
    for name, page in parsed.items():
        for link in page.links:
            address, fragment = urldefrag(urljoin(name, link))
            if urlparse(address).scheme or link.startswith("//"):
                continue
            target = unquote(address)
            lost = fragment and target in parsed and unquote(fragment) not in parsed[target].ids
            if lost or not (built / target).exists():
                dead.append(f"{name}: {link}")
    assert dead == []


def test_pages_name_no_foreign_script_style_or_picture(parsed):
    assert [f"{name}: {link}" for name, page in parsed.items() for link in page.loads if re.match(r"(https?:)?//", link)] == []
    assert [name for name in parsed if re.search(r"unpkg|jsdelivr|cdnjs|googleapis", (site.SITE / name).read_text(encoding="utf-8"))] == []


def leave_formulas(page):
    """Load no MathJax: typesetting a chapter takes longer than trying its tabs and solutions."""
    page.route(re.compile("mathjax"), lambda route: route.abort())


# ---------------------------------------------------------------- source tabs


def shown(page):
    """For each set of tabs: the names of the tabs whose panel is visible."""
    return page.eval_on_selector_all(
        ".source-code .sd-tab-set",
        "sets => sets.map(s => [...s.querySelectorAll('.sd-tab-content')].filter(c => c.offsetParent).map(c => c.previousElementSibling.textContent.trim()))",
    )


def test_a_chosen_backend_holds_on_every_page(page, home):
    leave_formulas(page)
    page.goto(f"{home}/book/intro.html")
    assert shown(page) == [["NumPy"]]
    page.get_by_text("PyTorch", exact=True).locator("visible=true").first.click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.sd-tab-content')].some(c => c.offsetParent && /nn\\.Module/.test(c.textContent))"
    )
    assert shown(page) == [["PyTorch"]]
    page.goto(f"{home}/book/api/index.html")
    page.wait_for_function("() => document.querySelector('.sd-tab-set input:checked + label').textContent.trim() == 'PyTorch'")
    assert shown(page) == [["PyTorch"]]
    for chapter in site.chapters():
        page.goto(f"{home}/{chapter}")
        site.settle(page)
        sets = page.eval_on_selector_all(
            ".sd-tab-set",
            "sets => sets.map(s => [[...s.querySelectorAll('label')].map(l => l.textContent.trim()), s.querySelector('input:checked + label').textContent.trim()])",
        )
        assert all(chosen == "PyTorch" for names, chosen in sets if "PyTorch" in names), chapter


def test_tabs_show_the_file_of_the_package(page, home):
    page.goto(f"{home}/book/intro.html")
    text = page.locator(".source-code .sd-tab-content").first.locator("pre").text_content()
    source = (site.ROOT / "dlcourse" / "numpy" / "mlp.py").read_text(encoding="utf-8")
    assert text.strip() in source
    assert text.strip().startswith("class MLP")


# ---------------------------------------------------------------- solutions


def solution_pages(built):
    return [name for name in site.chapters(built) if "solution" in (built / name).read_text(encoding="utf-8")]


def test_solutions_open_and_close(page, built, home):
    leave_formulas(page)
    names = solution_pages(built)
    assert names, "no chapter has a solution"
    for name in names:
        page.goto(f"{home}/{name}")
        site.settle(page)
        solutions = page.locator("div.solution.dropdown")
        assert solutions.count() >= 1
        assert page.locator("div.solution:not(.dropdown)").count() == 0, f"{name} has a solution that is always open"
        for solution in (solutions.nth(i) for i in range(solutions.count())):
            content, button = solution.locator("section").first, solution.locator("button.toggle-button")
            assert not content.is_visible()
            button.focus()
            page.keyboard.press("Enter")
            content.wait_for(state="visible")
            button.click()
            content.wait_for(state="hidden")


# ---------------------------------------------------------------- search


def search(page, home, words):
    page.goto(f"{home}/search.html?q={words}")
    page.wait_for_selector("#search-results ul.search li a", timeout=10_000)
    page.wait_for_function("() => /finished/i.test(document.querySelector('#search-results').textContent)")
    return page.eval_on_selector_all("#search-results ul.search li a", "links => links.map(a => a.getAttribute('href'))")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("backpropagation", "glossary.html"),
        ("linear", "api/numpy.html#dlcourse.numpy.functional.linear"),
        ("MLPConfig", "api/common.html#dlcourse.config.MLPConfig"),
        ("反向传播", "glossary.html"),
    ],
)
def test_search_finds(page, home, words, expected):
    links = search(page, home, words)
    assert any(expected in link for link in links), links


# ---------------------------------------------------------------- from a file


def test_the_entrance_and_the_search_work_from_a_file(page, built):
    home, visit = built.as_uri(), site.Visit("search.html")
    site.watch(page, visit, home)
    page.goto(f"{home}/index.html")
    page.wait_for_url(re.compile("book/intro.html$"))
    assert any("glossary.html" in link for link in search(page, home, "backpropagation"))
    assert visit.faults == []


# ---------------------------------------------------------------- launch buttons


def test_launch_buttons_name_committed_notebooks(built, parsed):
    for name in site.chapters(built):
        notebook = name.removesuffix(".html") + ".ipynb"
        assert (site.ROOT / notebook).exists()
        colab = [link for link in parsed[name].links if link.startswith("https://colab.research.google.com/github/")]
        binder = [link for link in parsed[name].links if link.startswith("https://mybinder.org/v2/gh/")]
        assert colab, f"{name} has no Colab button"
        assert binder, f"{name} has no Binder button"
        assert [link for link in colab if not link.endswith(f"/blob/main/{notebook}")] == []
        assert [link for link in binder if notebook not in unquote(link)] == []
    assert (site.ROOT / "environment.yml").exists(), "Binder reads environment.yml"


# ---------------------------------------------------------------- these tests can fail

BROKEN = """<!doctype html><html lang="en" data-theme="dark"><title>broken</title><body style="background:#111"><article>
<p style="color:#222">raw $x_i$ formula</p><span class="math">\\(y\\)</span><img src="missing.png" alt="missing.png"><img src="good.svg" width="40" alt="small">
<div style="width:3000px;height:9px">wide</div><script src="https://example.invalid/foreign.js"></script><script>console.error("loud"); throw Error("thrown")</script>
</article></body></html>"""


def test_a_broken_page_is_seen(browser, tmp_path):
    (tmp_path / "broken.html").write_text(BROKEN, encoding="utf-8")
    (tmp_path / "good.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"/>', encoding="utf-8")
    context = browser.new_context(viewport={"width": 400, "height": 900})
    with site.serve(tmp_path) as home:
        visit = site.look(context, home, "broken.html", rules={})
    context.close()
    text = "\n".join(visit.faults)
    for fault in (
        "console: loud",
        "script: thrown",
        "404 for",
        "asks for https://example.invalid/foreign.js",
        "raw formula",
        "not typeset",
        "wide in a window of 400",
        "no alternative text",
        "not loaded: missing.png",
        "40 pixels wide",
        "dark ground",
        "color-contrast (serious",
    ):
        assert fault in text, fault
