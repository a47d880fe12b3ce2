(() => {
  "use strict";
  const STEP = 58, LEFT = 34, BAR = 74, TOP = 112, BOTTOM = 216, HEIGHT = 232;
  const svgTags = ["line", "g", "rect", "text"];
  const at = position => LEFT + STEP * position;

  function element(tag, attributes, ...children) {
    const node = svgTags.includes(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  // a_j = e^(s_j) / sum_l e^(s_l) over the tokens that may be seen, line by line as in the text.
  function softmax(scores, seen) {
    const allowed = scores.slice(0, seen), largest = Math.max(...allowed);
    const e = allowed.map(score => Math.exp(score - largest)), sum = e.reduce((a, b) => a + b, 0);
    return scores.map((_, j) => (j < seen ? e[j] / sum : 0));
  }

  function mount(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const svg = root.querySelector("svg"), { tokens } = data;
    let head, query, sharpness, causal;

    const heads = element("select", {}, ...data.order.map(name => element("option", { value: name }, name)));
    heads.addEventListener("change", () => { head = heads.value; draw(); });
    const slider = element("input", { type: "range", class: "dl-position", min: 0, max: tokens.length - 1, step: 1 });
    slider.addEventListener("input", () => { query = slider.valueAsNumber; draw(); });
    const sharp = element("input", { type: "range", class: "dl-sharpness", min: 0, max: data.sharpness.length - 1, step: 1 });
    sharp.addEventListener("input", () => { sharpness = data.sharpness[sharp.valueAsNumber]; draw(); });
    const mask = element("input", { type: "checkbox" });
    mask.addEventListener("change", () => { causal = mask.checked; draw(); });
    const reset = element("button", { type: "button" }, "Reset");
    reset.addEventListener("click", start);
    const said = element("p", { class: "dl-said", role: "status" });
    svg.after(said, element("div", { class: "dl-heads-settings" },
      element("label", {}, "Head", heads), element("label", {}, "Query", slider), element("label", {}, "Sharpness", sharp),
      element("label", {}, mask, "causal mask"), reset));
    const choose = event => {
      const box = event.target.closest("[data-query]");
      if (box && Number(box.dataset.query) !== query) { query = Number(box.dataset.query); draw(); }
    };
    svg.addEventListener("click", choose);
    svg.addEventListener("pointerover", event => { if (event.pointerType === "mouse") choose(event); });

    function start() {
      head = data.order[0];
      ({ query, causal } = data);
      sharpness = 1;
      draw();
    }

    function sentence(a) {
      const rounded = a.map(weight => Number(weight.toFixed(2)));
      const order = a.map((_, j) => j).sort((i, j) => rounded[j] - rounded[i] || i - j).slice(0, 3).filter(j => a[j] >= 0.005);
      const most = order.map(j => `${tokens[j]} (position ${j + 1}) ${a[j].toFixed(2)}`).join(", ");
      return `Head ${head}: ${tokens[query]} at position ${query + 1} looks most at ${most}.`;
    }

    function draw() {
      const seen = causal ? query + 1 : tokens.length;
      const a = softmax(data.heads[head][query].map(score => sharpness * score), seen);
      const lines = [], bars = [], words = [];
      a.forEach((weight, j) => {
        const hidden = j >= seen ? " dl-hidden" : "", height = Math.floor(BAR * weight + 0.5);
        if (!hidden) lines.push(element("line", { class: "dl-look", x1: at(query), y1: BOTTOM - 18, x2: at(j), y2: TOP + 10, "stroke-opacity": weight.toFixed(2) }));
        bars.push(element("rect", { class: "dl-column", x: at(j) - 13, y: TOP - 20 - height, width: 26, height }),
          element("text", { class: `dl-weight${hidden}`, x: at(j), y: TOP - 24 - height }, hidden ? "" : weight.toFixed(2)));
        words.push(element("text", { class: `dl-token${hidden}`, x: at(j), y: TOP }, tokens[j]),
          element("g", { class: `dl-query${j === query ? " dl-chosen" : ""}`, "data-query": j },
            element("rect", { x: at(j) - 24, y: BOTTOM - 18, width: 48, height: 26, rx: 5 }),
            element("text", { class: "dl-token", x: at(j), y: BOTTOM }, tokens[j])));
      });
      svg.setAttribute("viewBox", `0 0 ${2 * LEFT + STEP * (tokens.length - 1)} ${HEIGHT}`);
      svg.replaceChildren(...lines, ...bars, ...words);
      const spoken = sentence(a);
      svg.setAttribute("aria-label", spoken);
      said.textContent = `${spoken} Scores times ${sharpness}.`;
      heads.value = head;
      slider.value = query;
      slider.setAttribute("aria-valuetext", `${tokens[query]}, position ${query + 1}`);
      sharp.value = data.sharpness.indexOf(sharpness);
      sharp.setAttribute("aria-valuetext", `scores times ${sharpness}`);
      mask.checked = causal;
      root.dataset.state = JSON.stringify({ head, query, sharpness, causal, weights: a });
    }
    start();
  }

  for (const root of document.querySelectorAll('.dl-interactive[data-figure="heads"]:not([data-ready])')) {
    root.dataset.ready = "";
    mount(root);
  }
})();
