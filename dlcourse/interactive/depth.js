(() => {
  "use strict";
  const LIMIT = 12;
  const path = sizes => "M" + sizes.map((size, i) => {
    const clipped = Math.min(Math.max(size, -LIMIT), LIMIT);
    return `${(60 + (560 * i) / (sizes.length - 1)).toFixed(1)} ${(140 - 10 * clipped).toFixed(1)}`;
  }).join("L");
  const power = size => "10" + String(Math.floor(size + 0.5)).replace(/[-\d]/g, c => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));

  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function mount(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const drawing = root.querySelector("svg");
    const choices = (name, options) => {
      const select = element("select", { "data-name": name }, ...options.map(option => element("option", { value: option }, option)));
      select.value = data.start[name];
      select.addEventListener("change", draw);
      return select;
    };
    const activation = choices("activation", data.activations), norm = choices("norm", data.norms);
    const gain = element("input", { type: "range", min: 0, max: data.gains.length - 1, step: 1, "data-name": "gain" });
    const shown = element("span", { class: "dl-blue" });
    const said = element("p", { class: "dl-said", role: "status" });
    gain.value = data.gains.indexOf(data.start.gain);
    gain.addEventListener("input", draw);
    root.querySelector(".dl-legend").after(
      element("div", { class: "dl-bar" }, element("label", {}, "Activation ", activation), element("label", {}, "Norm ", norm),
        element("label", {}, "I Var(w) ", gain), shown), said);

    function draw() {
      const value = data.gains[gain.value], run = data.runs[`${activation.value} ${norm.value} ${value}`];
      drawing.querySelector(".dl-values").setAttribute("d", path(run.values));
      drawing.querySelector(".dl-gradients").setAttribute("d", path(run.gradients));
      shown.textContent = value;
      gain.setAttribute("aria-valuetext", value);
      said.textContent = `Activation ${activation.value}, norm ${norm.value}, I Var(w) = ${value}. `
        + `Mean square of the values behind the last layer about ${power(run.values[run.values.length - 1])}, `
        + `of the gradients at the first layer about ${power(run.gradients[0])}. `
        + `Mean cosine between two examples behind the last layer ${run.alike.toFixed(2)}.`;
      drawing.setAttribute("aria-label", said.textContent);
    }
    draw();
  }

  for (const root of document.querySelectorAll('.dl-interactive[data-figure="depth"]:not([data-ready])')) {
    root.dataset.ready = "";
    mount(root);
  }
})();
