// Opened from a file, a page may not fetch others: the search then lists titles without excerpts.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// A box that scrolls sideways can be reached by keyboard.
function reachable() {
  for (const box of document.querySelectorAll("div.math, .cell_output, .output, .pst-scrollable-table-container, pre")) {
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
  }
}
window.addEventListener("load", () => {
  const ready = window.MathJax && MathJax.startup && MathJax.startup.promise;
  Promise.resolve(ready).then(reachable);
  window.addEventListener("resize", reachable);
  document.addEventListener("change", reachable);
});
