(() => {
  "use strict";
  const PARAMETERS = ["w11", "w12", "b1", "w21", "w22", "b2", "v1", "v2", "c"];
  const GROUPS = [
    [["Hidden units", ["w11", "w12", "b1", "w21", "w22", "b2"]]],
    [["Output", ["v1", "v2", "c"]], ["Example", ["x1", "x2", "t"]]],
  ];
  const RATES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
  const ROLES = { w: "weight", v: "weight", b: "bias", c: "bias", x: "input", t: "target" };

  // The forward and the backward pass, line by line as in the text.
  function pass(s) {
    const z1 = s.w11 * s.x1 + s.w12 * s.x2 + s.b1, z2 = s.w21 * s.x1 + s.w22 * s.x2 + s.b2;
    const h1 = Math.max(z1, 0), h2 = Math.max(z2, 0);
    const y = s.v1 * h1 + s.v2 * h2 + s.c, L = (y - s.t) ** 2;
    const dy = 2 * (y - s.t), dt = -dy;
    const dv1 = dy * h1, dv2 = dy * h2, dc = dy, dh1 = dy * s.v1, dh2 = dy * s.v2;
    const dz1 = z1 > 0 ? dh1 : 0, dz2 = z2 > 0 ? dh2 : 0;
    const dw11 = dz1 * s.x1, dw12 = dz1 * s.x2, db1 = dz1, dw21 = dz2 * s.x1, dw22 = dz2 * s.x2, db2 = dz2;
    const dx1 = dz1 * s.w11 + dz2 * s.w21, dx2 = dz1 * s.w12 + dz2 * s.w22;
    return { ...s, z1, z2, h1, h2, y, L, dy, dt, dv1, dv2, dc, dh1, dh2, dz1, dz2, dw11, dw12, db1, dw21, dw22, db2, dx1, dx2 };
  }

  const minus = text => text.replaceAll("-", "−");
  const trimmed = text => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  function short(value) {
    if (!Number.isFinite(value)) return "∞";
    const size = Math.abs(value);
    if (size && (size < 0.01 || size >= 1e4)) return minus(value.toExponential(0).replace("+", ""));
    const text = trimmed(value.toFixed(size < 100 ? 2 : 0));
    return text === "-0" ? "0" : minus(text);
  }
  const long = value => (Math.abs(value) < 1e4 ? minus(trimmed(value.toFixed(4))).replace(/^−0$/, "0") : short(value));
  const symbol = name => name.replace(/\d/g, digit => "₀₁₂"[digit]);

  function element(tag, attributes, ...children) {
    const svg = ["svg", "path", "text", "circle"].includes(tag);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function mount(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const drawing = root.querySelector("svg");
    const rows = {};
    let settings, selected, losses, gesture;

    const meanLoss = s => data.points.reduce((sum, [x1, x2, t]) => sum + pass({ ...s, x1, x2, t }).L, 0) / data.points.length;
    function gradients(everything) {
      const passes = everything ? data.points.map(([x1, x2, t]) => pass({ ...settings, x1, x2, t })) : [pass(settings)];
      return Object.fromEntries(PARAMETERS.map(p => [p, passes.reduce((sum, found) => sum + found["d" + p], 0) / passes.length]));
    }

    // Controls
    function control(name) {
      const role = ROLES[name[0]], title = `${role} ${symbol(name)}`;
      const slider = element("input", { type: "range", min: -3, max: 3, step: 0.05, "aria-label": `${title}, slider` });
      const number = element("input", { type: "number", step: 0.01, "aria-label": title });
      const gradient = element("span", { class: "dl-orange" });
      const row = element("div", { class: "dl-row-control", "data-row": name }, element("span", { class: "dl-blue" }, symbol(name)), slider, number, gradient);
      for (const input of [slider, number]) {
        input.addEventListener("input", () => {
          if (input.value !== "" && Number.isFinite(input.valueAsNumber)) move(name, input.valueAsNumber, input);
        });
        input.addEventListener("change", () => { gesture = null; draw(); });
        input.addEventListener("focus", () => { selected = name; draw(input); });
      }
      rows[name] = { row, slider, number, gradient };
      return row;
    }
    const button = (text, action) => {
      const made = element("button", { type: "button" }, text);
      made.addEventListener("click", action);
      return made;
    };
    const choices = (label, options) => {
      const select = element("select", {}, ...options.map(([value, text]) => element("option", { value }, text)));
      return [element("label", {}, label, select), select];
    };
    const [pointLabel, point] = choices("one of the four: ", [
      ...data.points.map(([x1, x2, t], i) => [i, `(${short(x1)}, ${short(x2)}), target ${short(t)}`]), ["", "your own"],
    ]);
    point.lastChild.disabled = true;
    const [rateLabel, rate] = choices("Learning rate", RATES.map(value => [value, value]));
    const off = element("p", { class: "dl-off" });
    const said = element("p", { class: "dl-said", role: "status" });
    const slope = element("svg", { class: "dl-plot", viewBox: "0 0 320 190", role: "img" });
    const history = element("svg", { class: "dl-plot", viewBox: "0 0 320 190", role: "img" });
    const columns = GROUPS.map(column => element("div", {}, ...column.map(([title, names]) =>
      element("fieldset", {}, element("legend", {}, title), ...(names.includes("t") ? [pointLabel] : []), ...names.map(control)))));
    root.querySelector(".dl-legend").after(
      off,
      element("div", { class: "dl-columns" }, ...columns),
      element("div", { class: "dl-bar" }, rateLabel, button("Step on this example", () => step(false)),
        button("Step on all " + ["no", "one", "two", "three", "four"][data.points.length], () => step(true)), button("Reset", reset)),
      said,
      element("div", { class: "dl-columns" }, slope, history),
    );
    point.addEventListener("change", () => {
      const [x1, x2, t] = data.points[point.value];
      Object.assign(settings, { x1, x2, t });
      restart();
      said.textContent = "Another example: the weights are the same, the gradients are not.";
      draw();
    });

    // Actions
    function restart() {
      losses = [[pass(settings).L, meanLoss(settings)]];
      gesture = null;
    }
    function reset() {
      settings = { ...data.settings };
      selected = data.selected;
      rate.value = 0.02;
      restart();
      said.textContent = "Move something. Every value and every gradient follows at once.";
      draw();
    }
    function move(name, value, input) {
      if (!gesture || gesture.name !== name) gesture = { name, before: pass(settings) };
      const { before } = gesture;
      settings[name] = value;
      selected = name;
      losses = [[pass(settings).L, meanLoss(settings)]];
      const by = value - before[name], slopeThere = before["d" + name];
      said.textContent = `${symbol(name)} moved by ${long(by)}. The gradient predicts that the loss changes by ` +
        `${long(slopeThere)} · ${by < 0 ? `(${long(by)})` : long(by)} = ${long(slopeThere * by)}; it changed by ${long(pass(settings).L - before.L)}.`;
      draw(input);
    }
    function step(everything) {
      const g = gradients(everything), eta = Number(rate.value);
      const loss = everything ? meanLoss : s => pass(s).L;
      const next = { ...settings };
      for (const p of PARAMETERS) next[p] -= eta * g[p];
      const before = loss(settings), after = loss(next);
      if (!(after < 1e9)) {
        said.textContent = "The steps are too large and the loss runs away. Reset, and take a smaller learning rate.";
        return;
      }
      const promised = -eta * PARAMETERS.reduce((sum, p) => sum + g[p] ** 2, 0);
      settings = next;
      gesture = null;
      losses = [...losses, [pass(next).L, meanLoss(next)]];
      const what = everything ? "The mean loss" : "The loss";
      said.textContent = promised === 0 ? "Every gradient is zero: the step changes nothing." :
        `${what} goes from ${short(before)} to ${short(after)}. The gradient promised a change of ${long(promised)}; it changed by ${long(after - before)}.` +
        (after > before ? " The step was too large: it leapt over the valley." : "");
      draw();
    }

    // Drawing
    function draw(active) {
      const now = pass(settings);
      for (const place of drawing.querySelectorAll("[data-value]")) place.textContent = short(now[place.dataset.value]);
      for (const place of drawing.querySelectorAll("[data-unit]")) place.toggleAttribute("data-off", !(now["z" + place.dataset.unit] > 0));
      off.textContent = ["1", "2"].filter(unit => !(now["z" + unit] > 0)).map(unit =>
        `${symbol("h" + unit)} is off: ${symbol("z" + unit)} is not positive, so ${symbol("dz" + unit)} = 0, and nothing flows back through it.`).join(" ");
      for (const place of drawing.querySelectorAll("[data-name]")) place.toggleAttribute("data-selected", place.dataset.name === selected);
      const n = name => short(now[name]);
      drawing.setAttribute("aria-label", `Inputs ${n("x1")} and ${n("x2")}, hidden units ${n("h1")} and ${n("h2")}, output ${n("y")}, ` +
        `target ${n("t")}, loss ${n("L")}. Gradients: dy = ${n("dy")}, dh₁ = ${n("dh1")}, dh₂ = ${n("dh2")}.`);
      for (const [name, { row, slider, number, gradient }] of Object.entries(rows)) {
        row.toggleAttribute("data-selected", name === selected);
        if (slider !== active) slider.value = now[name];
        if (number !== active) number.value = Number(now[name].toFixed(3));
        gradient.textContent = `d${symbol(name)} = ${n("d" + name)}`;
      }
      const found = data.points.findIndex(([x1, x2, t]) => x1 === now.x1 && x2 === now.x2 && t === now.t);
      point.value = found < 0 ? "" : found;
      drawSlope(now);
      drawHistory();
      root.dataset.state = JSON.stringify(now); // all digits, for whoever wants to check them
    }

    const text = (x, y, side, content, colour = "") => element("text", { x, y, class: `dl-${side} ${colour}` }, content);
    const path = (points, kind) => element("path", { class: kind, d: "M" + points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L") });
    const axes = () => path([[34, 24], [34, 160], [312, 160]], "dl-axis");

    function drawSlope(now) {
      const at = now[selected], rise = now["d" + selected], low = at < -3 ? at - 1 : -3, high = at > 3 ? at + 1 : 3;
      const xs = Array.from({ length: 121 }, (_, i) => low + ((high - low) * i) / 120);
      const ys = xs.map(value => pass({ ...settings, [selected]: value }).L);
      const top = Math.max(2 * now.L, Math.min(Math.max(...ys), 9), 0.5);
      const place = (x, y) => [34 + (278 * (x - low)) / (high - low), 160 - (136 * y) / top];
      const half = Math.min((high - low) / 5, rise ? (0.45 * top) / Math.abs(rise) : Infinity);
      const [cx, cy] = place(at, now.L);
      slope.replaceChildren(axes(), element("svg", { class: "dl-clip", x: 34, y: 24, width: 278, height: 137, viewBox: "34 24 278 137" },
        path(xs.map((x, i) => place(x, ys[i])), "dl-curve"), path([place(at - half, now.L - half * rise), place(at + half, now.L + half * rise)], "dl-tangent")),
        element("circle", { cx, cy, r: 5 }),
        text(34, 14, "left", `loss against ${symbol(selected)}`, "dl-blue"), text(312, 14, "right", `slope d${symbol(selected)} = ${short(rise)}`, "dl-orange"),
        text(34, 176, "left", short(low)), text(312, 176, "right", short(high)), text(28, 30, "right", short(Number(top.toPrecision(2)))), text(28, 163, "right", "0"));
      slope.setAttribute("aria-label", `The loss against ${symbol(selected)}, which is ${short(at)}; the slope there is ${short(rise)}.`);
    }
    function drawHistory() {
      const top = Math.max(0.01, ...losses.flat()), last = Math.max(losses.length - 1, 5);
      const [one, all] = losses[losses.length - 1];
      const line = k => losses.map((pair, i) => [34 + (278 * i) / last, 160 - (136 * pair[k]) / top]);
      history.replaceChildren(axes(), path(line(1), "dl-mean"), path(line(0), "dl-curve"), ...line(0).map(([cx, cy]) => element("circle", { cx, cy, r: 3 })),
        text(34, 14, "left", `loss, this example: ${short(one)}`, "dl-blue"), text(312, 14, "right", `mean over all: ${short(all)}`),
        text(34, 176, "left", "0"), text(312, 176, "right", `${last} steps`), text(28, 30, "right", short(Number(top.toPrecision(2)))), text(28, 163, "right", "0"));
      history.setAttribute("aria-label", `After ${losses.length - 1} steps the loss is ${short(one)} on this example and ${short(all)} on average over all.`);
    }
    reset();
  }

  for (const root of document.querySelectorAll('.dl-interactive[data-figure="backprop"]:not([data-ready])')) {
    root.dataset.ready = "";
    mount(root);
  }
})();
