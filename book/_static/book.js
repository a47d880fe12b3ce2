// Opened from a file, a page may not fetch others: the search then lists titles without excerpts.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// A box that scrolls sideways can be reached by keyboard.
function reachable() {
  for (const box of document.querySelectorAll("div.math, figure, .cell_output, .output, .pst-scrollable-table-container, pre")) {
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
  }
}
// A line does not begin with the comma after a formula: a formula is a box, and a line may break behind a box.
function keepPunctuation() {
  for (const formula of document.querySelectorAll("article span.math")) {
    const next = formula.nextSibling;
    const found = next && next.nodeType === Node.TEXT_NODE && next.data.match(/^[^\s\w]{1,3}/);
    if (!found || formula.offsetWidth > formula.parentElement.clientWidth / 2) continue;
    const together = document.createElement("span");
    together.className = "together";
    formula.before(together);
    together.append(formula, next.splitText(0).splitText(found[0].length).previousSibling);
  }
}

// Docstrings and exercise checks name an equation by its label: show the label under its number.
function nameEquations() {
  for (const equation of document.querySelectorAll('div.math[id^="equation-eq-"]')) {
    const label = document.createElement("span");
    label.className = "eq-label";
    label.textContent = equation.id.replace("equation-", "");
    equation.querySelector(".eqno")?.append(label);
  }
}

// Docutils calls an entry of the references by a role that ARIA has withdrawn and puts it into a list, which takes items alone.
function listReferences() {
  for (const entry of document.querySelectorAll('[role="list"] > [role="doc-biblioentry"]')) entry.setAttribute("role", "listitem");
}

window.addEventListener("load", () => {
  nameEquations();
  listReferences();
  const ready = window.MathJax && MathJax.startup && MathJax.startup.promise;
  Promise.resolve(ready).then(keepPunctuation).then(reachable);
  window.addEventListener("resize", reachable);
  document.addEventListener("change", reachable);
});
