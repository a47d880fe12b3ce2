"""Opens pages of the built book in a browser and says what is wrong with them."""

import contextlib
import functools
import http.server
import os
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("DLCOURSE_SITE", ROOT / "_build" / "html"))
FLAGS = (
    "--no-sandbox --headless --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
).split()
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
PLACES = (
    "/usr/bin/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)


def find_browser():
    """The path of Chromium: the variable CHROMIUM, then PATH, then the usual places; None where there is none."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named if Path(named).exists() else None
    return next((path for path in (*map(shutil.which, PROGRAMS), *PLACES) if path and Path(path).exists()), None)


def pages(folder=SITE):
    """All pages as addresses relative to the site, without the redirect at its root."""
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*.html") if p.relative_to(folder).parts[0] != "_static")


def chapters(folder=SITE):
    return [page for page in pages(folder) if page.startswith("chapters/")]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serve(folder):
    """The folder at http://127.0.0.1:PORT while the block runs."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Visit:
    """What a page did and how it looked; each list holds faults in words."""

    page: str
    errors: list = field(default_factory=list)  # console errors, failed and missing files
    foreign: list = field(default_factory=list)  # requests to other hosts
    formulas: list = field(default_factory=list)
    overflow: list = field(default_factory=list)
    figures: list = field(default_factory=list)
    accessibility: list = field(default_factory=list)
    formula_count: int = 0
    figure_count: int = 0
    dark: bool = False

    @property
    def faults(self):
        return self.errors + self.foreign + self.formulas + self.overflow + self.figures + self.accessibility


def watch(page, visit, home):
    """Collect errors and foreign requests of `page`; a foreign request is refused, it never leaves the machine."""

    def answer(route):
        address = route.request.url
        if address.startswith((home, "data:", "blob:")):
            route.continue_()
        else:
            visit.foreign.append(f"{visit.page} asks for {address}")
            route.abort()

    def unanswered(request):
        # A page that sends its reader on, as index.html does, drops what it still waits for; a missing file fails in another way.
        if request.url.startswith(home) and request.failure != "net::ERR_ABORTED":
            visit.errors.append(f"{visit.page}: no answer for {request.url}")

    page.route("**/*", answer)
    page.on("console", lambda message: visit.errors.append(f"{visit.page}: console: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: visit.errors.append(f"{visit.page}: script: {error}"))
    page.on("response", lambda r: visit.errors.append(f"{visit.page}: {r.status} for {r.url}") if r.status >= 400 else None)
    page.on("requestfailed", unanswered)


def settle(page):
    """Wait until formulas are typeset, pictures loaded and colours have their last values: the theme fades in, and half-way nothing has contrast."""
    page.wait_for_load_state("load")
    page.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise")
    page.evaluate(
        "() => Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.complete ? 0 : new Promise(f => { i.onload = i.onerror = f }) }))"
    )
    page.evaluate(
        "() => Promise.all(document.getAnimations().filter(a => a.effect.getComputedTiming().endTime < Infinity).map(a => a.finished.catch(() => 0)))"
    )


def look(context, home, name, rules=None):
    """Open one page, look at it and close it; with `rules`, options of axe, it is judged by axe too."""
    visit = Visit(name)
    page = context.new_page()
    watch(page, visit, home)
    page.goto(f"{home}/{name}")
    settle(page)
    found = page.evaluate(INSPECT)
    visit.formulas += [f"{name}: {fault}" for fault in found["formulas"]]
    visit.overflow += [f"{name}: {fault}" for fault in found["overflow"]]
    visit.figures += [f"{name}: {fault}" for fault in found["figures"]]
    visit.formula_count, visit.figure_count, visit.dark = found["formulaCount"], found["figureCount"], found["dark"]
    if rules is not None:
        page.set_viewport_size({"width": 1400, "height": 900})  # where nothing is folded away
        visit.accessibility += [f"{name}: {fault}" for fault in serious_faults(page, rules)]
    page.close()
    return visit


def serious_faults(page, rules):
    """What axe calls serious or critical, a sentence each."""
    from axe_core_python.sync_playwright import Axe

    # A formula's glyphs are hidden from screen readers, its MathML from the eye. A word in the place of both keeps the formula's colour,
    # and axe needs a third of its time.
    page.evaluate("() => document.querySelectorAll('mjx-container').forEach(formula => formula.replaceChildren('formula'))")
    for violation in Axe().run(page, options={"resultTypes": ["violations"], **rules})["violations"]:
        if violation["impact"] in ("serious", "critical"):
            nodes = [node["html"][:160] for node in violation["nodes"][:3]]
            yield f"{violation['id']} ({violation['impact']}, {len(violation['nodes'])} times): {nodes}"


INSPECT = r"""() => {
  const article = document.querySelector("article") || document.querySelector("main") || document.body;
  const found = {formulas: [], overflow: [], figures: []};
  const short = text => text.trim().replace(/\s+/g, " ").slice(0, 60);

  // Formulas: each is typeset, none has an error, and no delimiter is left in the text.
  const formulas = [...article.querySelectorAll(".math")];
  found.formulaCount = formulas.length;
  for (const f of formulas) if (!f.querySelector("mjx-container")) found.formulas.push("not typeset: " + short(f.textContent));
  for (const e of article.querySelectorAll("mjx-merror, [data-mjx-error]")) found.formulas.push("error in a formula: " + short(e.textContent));
  const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    if (node.parentElement.closest("script, style, code, pre, .docstring, .highlight, mjx-container")) continue;
    if (/\\\(|\\\[|\$[^$\n]*\$|\$\$|\\begin\{/.test(node.data)) found.formulas.push("raw formula: " + short(node.data));
  }

  // Overflow: the page is as wide as the window, and what sticks out lies in a box that scrolls.
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide + 1) found.overflow.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${wide}`);
  const scrolls = e => { for (; e && e !== document.body; e = e.parentElement) if (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(e).overflowX)) return true; return false; };
  for (const e of article.querySelectorAll(":not(mjx-container *)")) {
    const box = e.getBoundingClientRect();
    if (box.width > 1 && box.height > 1 && box.right > wide + 1 && !e.closest("svg") && !scrolls(e.parentElement) && !scrolls(e))
      found.overflow.push(`<${e.tagName.toLowerCase()} class="${e.getAttribute("class") || ""}"> ends at ${Math.round(box.right)}, the window at ${wide}`);
  }

  // Figures: an alternative text that is not a file name, a size that can be read, and a light ground in dark mode unless drawn for both.
  found.dark = document.documentElement.dataset.theme === "dark";
  const figures = [...article.querySelectorAll("img")];
  found.figureCount = figures.length;
  for (const image of figures) {
    const name = image.src.split("/").pop().slice(0, 40), style = getComputedStyle(image);
    if (!image.alt.trim() || /\.(png|svg|jpe?g)$/i.test(image.alt)) found.figures.push(`no alternative text: ${name}`);
    if (!image.naturalWidth) { found.figures.push(`not loaded: ${name}`); continue; }
    if (image.closest("details:not([open]), .toggle-hidden, .tag_hide-output")) continue;
    if (image.getBoundingClientRect().width < 100) found.figures.push(`${Math.round(image.getBoundingClientRect().width)} pixels wide: ${name}`);
    if (found.dark && !image.classList.contains("dark-light") && !image.classList.contains("only-dark")) {
      const colour = (style.backgroundColor.match(/[\d.]+/g) || []).map(Number);
      if (colour.length === 4 && colour[3] < .5 || colour.slice(0, 3).reduce((a, b) => a + b, 0) < 450) found.figures.push(`dark ground under ${name}`);
    }
  }
  return found;
}"""
