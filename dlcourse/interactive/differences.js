(() => {
  "use strict";
  const TOP = 0, BOTTOM = -17;
  const place = (power, error) => [60 + (560 * (power + 16)) / 15, 20 + (260 * (TOP - Math.min(Math.max(error, BOTTOM), TOP))) / (TOP - BOTTOM)];
  const point = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  const power = size => "10" + String(Math.floor(size + 0.5)).replace(/[-\d]/g, c => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));

  function measured(run, powers) {
    let pen = "M";
    return run.errors.map((error, i) => {
      if (error === null) { pen = "M"; return ""; }
      const part = pen + point(place(powers[i], error));
      pen = "L";
      return part;
    }).join("");
  }

  function line(predicted) {
    if (predicted === null) return "";
    const [start, slope] = predicted;
    const ends = [-16, -1, (TOP - start) / slope, (BOTTOM - start) / slope].sort((a, b) => a - b).slice(1, 3);
    return "M" + ends.map(p => point(place(p, start + slope * p))).join("L");
  }

  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function mount(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const drawing = root.querySelector("svg"), here = drawing.querySelector(".dl-here");
    const powers = data.steps.map(step => Math.log10(Number(step)));
    const choices = (name, options) => {
      const select = element("select", { "data-name": name }, ...options.map(option => element("option", { value: option }, option)));
      select.value = data.start[name];
      select.addEventListener("change", draw);
      return select;
    };
    const fn = choices("function", Object.keys(data.functions)), precision = choices("precision", data.precisions), method = choices("method", data.methods);
    const step = element("input", { type: "range", min: 0, max: data.steps.length - 1, step: 1, "data-name": "step" });
    const shown = element("span", { class: "dl-blue" });
    const said = element("p", { class: "dl-said", role: "status" });
    step.value = data.steps.indexOf(data.start.step);
    step.addEventListener("input", draw);
    root.querySelector(".dl-legend").after(
      element("div", { class: "dl-bar" }, element("label", {}, "Function ", fn), element("label", {}, "Precision ", precision), element("label", {}, "Method ", method),
        element("label", { class: "dl-wide" }, "Step h ", step, shown)), said);

    function words(run, error) {
      const start = `Function ${fn.value} at x = ${data.functions[fn.value]}, ${precision.value}, ${method.value}, h = ${data.steps[step.value]}: `;
      if (error === null) return start + "x + h rounds to x, so there is no estimate.";
      let text = `relative error about ${power(error)}, about ${Math.max(0, Math.floor(-error + 0.5))} digits are right.`;
      if (error <= BOTTOM) text = "no digit is wrong.";
      if (run.best !== null) text += ` Predicted best step: about ${power(run.best)}.`;
      return start + text;
    }

    function draw() {
      const run = data.runs[`${fn.value} ${precision.value} ${method.value}`], error = run.errors[step.value];
      drawing.querySelector(".dl-measured").setAttribute("d", measured(run, powers));
      for (const name of ["truncation", "rounding"]) drawing.querySelector(`.dl-${name}`).setAttribute("d", line(run[name]));
      const [x, y] = place(powers[step.value], error ?? TOP);
      here.setAttribute("cx", x.toFixed(1));
      here.setAttribute("cy", y.toFixed(1));
      here.style.opacity = error === null ? 0.3 : 1;
      shown.textContent = data.steps[step.value];
      step.setAttribute("aria-valuetext", data.steps[step.value]);
      said.textContent = words(run, error);
      drawing.setAttribute("aria-label", said.textContent);
    }
    draw();
  }

  for (const root of document.querySelectorAll('.dl-interactive[data-figure="differences"]:not([data-ready])')) {
    root.dataset.ready = "";
    mount(root);
  }
})();
