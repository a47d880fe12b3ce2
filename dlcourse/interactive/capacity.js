(() => {
  "use strict";
  const HIGHEST = 2.5;
  const place = (x, y) => [170 + 140 * x, 160 - 56 * Math.min(Math.max(y, -HIGHEST), HIGHEST)];
  const path = places => "M" + places.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");

  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function mount(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const drawing = root.querySelector("svg"), here = drawing.querySelector(".dl-here");
    const largest = data.sizes[data.sizes.length - 1];
    const errorPlace = (size, height) => [400 + (280 * Math.log(size)) / Math.log(largest), 20 + 0.5 * (350 - height)];
    const said = element("p", { class: "dl-said", role: "status" });

    function slider(name, options, words) {
      const input = element("input", { type: "range", min: 0, max: options.length - 1, step: 1, "data-name": name });
      const shown = element("span", { class: "dl-blue" });
      input.value = options.indexOf(data.start[name]);
      input.addEventListener("input", draw);
      return { input, shown, value: () => options[input.value], label: element("label", { class: "dl-wide" }, words, input, shown) };
    }
    const size = slider("size", data.sizes, "Cosines "), penalty = slider("penalty", data.penalties, "Penalty ");
    root.querySelector(".dl-legend").after(element("div", { class: "dl-bar" }, size.label, penalty.label), said);

    function words(run) {
      const p = size.value();
      const where = p < data.points ? "fewer cosines than points" : p === data.points ? "as many cosines as points" : "more cosines than points";
      return `${data.points} points, ${p} cosine${p > 1 ? "s" : ""}, penalty ${penalty.value()}: ${where}. Training error ${run.train}, test error ${run.test}.`;
    }

    function draw() {
      const run = data.runs[`${size.value()} ${penalty.value()}`], last = run.curve.length - 1;
      drawing.querySelector(".dl-fit").setAttribute("d", path(run.curve.map((y, i) => place(-1 + (2 * i) / last, y / 100))));
      drawing.querySelector(".dl-errors").setAttribute("d", path(data.sizes.map(p => errorPlace(p, data.runs[`${p} ${penalty.value()}`].height))));
      const [x, y] = errorPlace(size.value(), run.height);
      here.setAttribute("cx", x.toFixed(1));
      here.setAttribute("cy", y.toFixed(1));
      for (const control of [size, penalty]) {
        control.shown.textContent = control.value();
        control.input.setAttribute("aria-valuetext", control.value());
      }
      said.textContent = words(run);
      drawing.setAttribute("aria-label", said.textContent);
    }
    draw();
  }

  for (const root of document.querySelectorAll('.dl-interactive[data-figure="capacity"]:not([data-ready])')) {
    root.dataset.ready = "";
    mount(root);
  }
})();
