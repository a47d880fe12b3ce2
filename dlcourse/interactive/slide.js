(() => {
  "use strict";
  const CELL = 26, EDGE = 4, K = 3;
  const LIMITS = { stride: [1, 3], padding: [0, 2], dilation: [1, 2] };
  const svgTags = ["svg", "g", "rect", "text"];

  function element(tag, attributes, ...children) {
    const node = svgTags.includes(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }
  const short = value => String(Number(value.toFixed(2))).replace(/^-0$/, "0").replace("-", "−");

  // y_ab = sum_ij w_ij x_(s a + d i - p)(s b + d j - p), line by line as in the text.
  function convolve(x, w, { stride: s, padding: p, dilation: d }) {
    const places = n => Math.floor((n + 2 * p - d * (K - 1) - 1) / s) + 1;
    const pixel = (q, r) => x[q]?.[r] ?? 0;
    return Array.from({ length: places(x.length) }, (_, a) => Array.from({ length: places(x[0].length) }, (_, b) => {
      let sum = 0;
      for (let i = 0; i < K; i++) for (let j = 0; j < K; j++) sum += w[i][j] * pixel(s * a + d * i - p, s * b + d * j - p);
      return sum;
    }));
  }

  function mount(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const [input, output] = root.querySelectorAll("svg");
    let settings, kernel, place;

    const kernels = element("select", {}, ...[...Object.keys(data.kernels), "your own"].map(name => element("option", { value: name }, name)));
    kernels.lastChild.disabled = true;
    kernels.addEventListener("change", () => { kernel = data.kernels[kernels.value].map(row => [...row]); draw(); });
    const weights = Array.from({ length: K * K }, (_, index) => {
      const box = element("input", { type: "number", step: 1, min: -9, max: 9, "aria-label": `weight, row ${Math.floor(index / K) + 1}, column ${(index % K) + 1}` });
      box.addEventListener("input", () => {
        const value = box.valueAsNumber;
        if (!Number.isFinite(value)) return;
        kernel[Math.floor(index / K)][index % K] = Math.max(-99, Math.min(99, value));
        draw(box);
      });
      return box;
    });
    const boxes = Object.fromEntries(Object.entries(LIMITS).map(([name, [min, max]]) => {
      const box = element("input", { type: "number", min, max, step: 1, "data-setting": name });
      box.addEventListener("input", () => {
        const value = box.valueAsNumber;
        if (!Number.isInteger(value) || value < min || value > max) return;
        settings[name] = value;
        draw(box);
      });
      box.addEventListener("change", () => draw());
      return [name, box];
    }));
    const slider = element("input", { type: "range", class: "dl-place", min: 0, step: 1 });
    slider.addEventListener("input", () => { place = slider.valueAsNumber; draw(slider); });
    const reset = element("button", { type: "button" }, "Reset");
    reset.addEventListener("click", start);
    const said = element("p", { class: "dl-said", role: "status" });
    root.querySelector(".dl-grids").after(
      said,
      element("div", { class: "dl-settings" },
        element("div", {}, element("label", {}, "Kernel", kernels), element("div", { class: "dl-kernel" }, ...weights)),
        element("div", {}, ...Object.entries(boxes).map(([name, box]) => element("label", {}, name[0].toUpperCase() + name.slice(1), box))),
        element("div", {}, element("label", {}, "Place", slider), reset)),
    );
    output.addEventListener("click", event => {
      const cell = event.target.closest("[data-place]");
      if (cell) { place = Number(cell.dataset.place); draw(); }
    });

    function start() {
      settings = { stride: data.stride, padding: data.padding, dilation: data.dilation };
      kernel = data.kernels[data.kernel].map(row => [...row]);
      place = 0;
      draw();
    }

    function grid(svg, values, frame, marked, title, choose) {
      const [height, width] = [values.length, values[0].length];
      const largest = Math.max(1, ...values.flat().map(Math.abs));
      svg.setAttribute("viewBox", `0 0 ${2 * EDGE + CELL * width} ${2 * EDGE + CELL * height}`);
      svg.setAttribute("aria-label", title);
      const cells = values.flatMap((line, row) => line.map((value, column) => {
        const x = EDGE + CELL * column, y = EDGE + CELL * row, size = { x, y, width: CELL, height: CELL };
        const outside = row < frame || row >= height - frame || column < frame || column >= width - frame;
        const isMarked = marked(row, column);
        const kind = ["dl-cell", outside && "dl-frame", value < 0 && "dl-minus", isMarked && "dl-marked"].filter(Boolean).join(" ");
        const cell = element("g", { class: kind, ...(choose ? { "data-place": row * width + column } : {}) },
          element("rect", size), element("rect", { class: "dl-fill", ...size, "fill-opacity": Math.round((60 * Math.abs(value)) / largest) / 100 }),
          element("text", { x: x + CELL / 2, y: y + CELL / 2 + 4 }, short(value)));
        return [isMarked, cell];
      }));
      svg.replaceChildren(...cells.sort((a, b) => a[0] - b[0]).map(pair => pair[1])); // marked cells lie on top
    }

    function draw(active) {
      const { stride: s, padding: p, dilation: d } = settings, x = data.image;
      const y = convolve(x, kernel, settings), [rows, columns] = [y.length, y[0].length];
      place = Math.min(place, rows * columns - 1);
      const a = Math.floor(place / columns), b = place % columns;
      const pixel = (q, r) => x[q]?.[r] ?? 0;
      const padded = Array.from({ length: x.length + 2 * p }, (_, q) => Array.from({ length: x[0].length + 2 * p }, (_, r) => pixel(q - p, r - p)));
      const inWindow = (q, r) => {
        const i = (q - s * a) / d, j = (r - s * b) / d;
        return [i, j].every(n => Number.isInteger(n) && n >= 0 && n < K);
      };
      grid(input, padded, p, inWindow, `The input, ${x.length} by ${x[0].length} pixels, padding ${p}. The window at row ${a + 1}, column ${b + 1} of the output is marked.`);
      grid(output, y, 0, (row, column) => row === a && column === b, `The output, ${rows} by ${columns} numbers, the one at row ${a + 1}, column ${b + 1} is ${short(y[a][b])}.`, true);
      const products = kernel.flatMap((line, i) => line.map((w, j) => [w, pixel(s * a + d * i - p, s * b + d * j - p)])).filter(([w]) => w !== 0);
      const bracket = value => (value < 0 ? `(${short(value)})` : short(value));
      const sum = products.map(([w, v]) => `${bracket(w)}·${short(v)}`).join(" + ") || "0";
      const size = n => `⌊(${n} + 2·${p} − ${d}·${K - 1} − 1) / ${s}⌋ + 1`;
      said.textContent = `Row ${a + 1}, column ${b + 1}: ${sum} = ${short(y[a][b])}. Rows of the output: ${size(x.length)} = ${rows}.`;
      slider.max = rows * columns - 1;
      if (slider !== active) slider.value = place;
      slider.setAttribute("aria-valuetext", `row ${a + 1}, column ${b + 1}`);
      weights.forEach((box, index) => { if (box !== active) box.value = kernel[Math.floor(index / K)][index % K]; });
      for (const [name, box] of Object.entries(boxes)) if (box !== active) box.value = settings[name];
      const known = Object.keys(data.kernels).find(name => JSON.stringify(data.kernels[name]) === JSON.stringify(kernel));
      kernels.value = known ?? "your own";
      root.dataset.state = JSON.stringify({ ...settings, kernel, place, y });
    }
    start();
  }

  for (const root of document.querySelectorAll('.dl-interactive[data-figure="slide"]:not([data-ready])')) {
    root.dataset.ready = "";
    mount(root);
  }
})();
