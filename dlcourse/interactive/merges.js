(() => {
  "use strict";
  const SHOWN = 6;

  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  // The pieces of a word after these merges, each applied in turn, from the left.
  function segment(word, merges) {
    let pieces = Array.from(word);
    for (const [a, b] of merges) {
      const next = [];
      for (let i = 0; i < pieces.length; i++) {
        if (pieces[i] === a && pieces[i + 1] === b) { next.push(a + b); i++; } else next.push(pieces[i]);
      }
      pieces = next;
    }
    return pieces;
  }

  function count(words, merges) {
    const pairs = new Map();
    for (const [word, n] of words) {
      const pieces = segment(word, merges);
      for (let i = 0; i + 1 < pieces.length; i++) {
        const key = JSON.stringify([pieces[i], pieces[i + 1]]);
        pairs.set(key, (pairs.get(key) ?? 0) + n);
      }
    }
    return pairs;
  }

  function drawn(pieces, next) {
    const spans = [];
    for (let i = 0; i < pieces.length; i++) {
      const first = next && pieces[i] === next[0] && pieces[i + 1] === next[1];
      const kind = Array.from(pieces[i]).length > 1 ? "dl-long" : "";
      spans.push(element("span", { class: first ? `${kind} dl-next` : kind }, pieces[i]));
      if (first) { i++; spans.push(element("span", { class: `${Array.from(pieces[i]).length > 1 ? "dl-long" : ""} dl-next` }, pieces[i])); }
    }
    return spans;
  }

  function mount(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const shown = root.querySelector(".dl-words"), last = data.merges.length;
    let step = 0;

    const slider = element("input", { type: "range", min: 0, max: last, step: 1, value: 0 });
    const back = element("button", { type: "button" }, "Back"), forward = element("button", { type: "button" }, "Merge");
    const trial = element("input", { type: "text", value: data.trial, maxlength: 40, spellcheck: "false", autocomplete: "off" });
    const cut = element("span", { class: "dl-word", "data-trial": "" });
    const said = element("p", { class: "dl-said", role: "status" });
    const list = element("ol", { class: "dl-pairs" });
    slider.addEventListener("input", () => { step = slider.valueAsNumber; draw(); });
    back.addEventListener("click", () => { step = Math.max(0, step - 1); draw(); });
    forward.addEventListener("click", () => { step = Math.min(last, step + 1); draw(); });
    trial.addEventListener("input", draw);
    shown.after(
      said,
      element("div", { class: "dl-steps" }, element("label", {}, "Merges ", slider), back, forward),
      element("p", {}, "The most frequent pairs:"),
      list,
      element("div", { class: "dl-steps" }, element("label", {}, "A word of your own ", trial), cut),
    );

    function draw() {
      const merges = data.merges.slice(0, step), next = data.merges[step];
      const pairs = count(data.words, merges), letters = new Set(data.words.flatMap(([word]) => Array.from(word)));
      for (const [a, b] of merges) letters.add(a + b);
      let tokens = 0;
      shown.replaceChildren(...data.words.map(([word, n]) => {
        const pieces = segment(word, merges);
        tokens += n * pieces.length;
        return element("span", { class: "dl-word" }, ...drawn(pieces, next), element("small", {}, `×${n}`));
      }));
      let text = `After ${step} merge${step === 1 ? "" : "s"}: ${tokens} tokens, vocabulary of ${letters.size}.`;
      if (next) text += ` Next: ${next[0]} + ${next[1]}, which occurs ${pairs.get(JSON.stringify(next))} times.`;
      said.textContent = text;
      shown.setAttribute("aria-label", text);
      const chosen = next ? JSON.stringify(next) : "";
      const first = [...pairs].sort((p, q) => q[1] - p[1] || (q[0] === chosen) - (p[0] === chosen)).slice(0, SHOWN);
      const most = first.length ? first[0][1] : 1;
      list.replaceChildren(...first.map(([key, n]) => {
        const [a, b] = JSON.parse(key);
        return element("li", key === chosen ? { class: "dl-first" } : {}, element("span", {}, `${a} + ${b}`), element("span", {}, String(n)),
          element("i", { style: `width:${Math.round((100 * n) / most)}%` }));
      }));
      const own = segment(trial.value, merges);
      cut.replaceChildren(...drawn(own));
      slider.value = step;
      slider.setAttribute("aria-valuetext", `${step} merges`);
      back.disabled = step === 0;
      forward.disabled = step === last;
      root.dataset.state = JSON.stringify({ step, tokens, vocabulary: letters.size, own, pairs: first.map(([key, n]) => [...JSON.parse(key), n]) });
    }
    draw();
  }

  for (const root of document.querySelectorAll('.dl-interactive[data-figure="merges"]:not([data-ready])')) {
    root.dataset.ready = "";
    mount(root);
  }
})();
