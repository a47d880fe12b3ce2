(() => {
  "use strict";
  const STEPS = 60, FAR = 100, WIDTH = 640, HEIGHT = 400, UNIT = 80, LOWEST = 0.621;
  const svgTags = ["circle", "path"];
  const surfaces = {
    "valley": (x, y) => [(x * x + 20 * y * y) / 2, [x, 20 * y]],
    "turned valley": (x, y) => [(10.5 * x * x - 19 * x * y + 10.5 * y * y) / 2, [10.5 * x - 9.5 * y, 10.5 * y - 9.5 * x]],
    "two minima": (x, y) => [((x * x - 4) * (x * x - 4)) / 16 + 0.3 * x + 2 * y * y + LOWEST, [(x * (x * x - 4)) / 4 + 0.3, 4 * y]],
  };

  // One coordinate's move: g its gradient, s what the optimizer keeps of it (m, v: zero at first), t the step from 1, mu the momentum.
  const moves = {
    "gradient descent": (g, s, t, lr) => lr * g,
    "momentum": (g, s, t, lr, mu) => { s.v = mu * s.v + g; return lr * s.v; },
    "Nesterov": (g, s, t, lr, mu) => { s.v = mu * s.v + g; return lr * (g + mu * s.v); },
    "RMSProp": (g, s, t, lr) => { s.v = 0.99 * s.v + (1 - 0.99) * g * g; return (lr * g) / (Math.sqrt(s.v) + 1e-8); },
    "Adam": (g, s, t, lr, mu) => {
      s.m = mu * s.m + (1 - mu) * g;
      s.v = 0.999 * s.v + (1 - 0.999) * g * g;
      return (lr * (s.m / (1 - mu ** t))) / (Math.sqrt(s.v / (1 - 0.999 ** t)) + 1e-8);
    },
    "Lion": (g, s, t, lr, mu) => {
      const c = mu * s.m + (1 - mu) * g;
      s.m = 0.99 * s.m + (1 - 0.99) * g;
      return lr * Math.sign(c);
    },
  };

  function element(tag, attributes, ...children) {
    const node = svgTags.includes(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }
  const rounded = (value, digits = 1) => Math.floor(value * 10 ** digits + 0.5) / 10 ** digits + 0;
  const across = x => rounded(WIDTH / 2 + UNIT * x), down = y => rounded(HEIGHT / 2 - UNIT * y);
  const isFar = point => Math.max(...point.map(Math.abs)) >= FAR;

  function trace({ surface, optimizer, lr, momentum, start }) {
    const points = [start], kept = start.map(() => ({ m: 0, v: 0 }));
    while (points.length <= STEPS && !isFar(points[points.length - 1])) {
      const w = points[points.length - 1], g = surfaces[surface](...w)[1];
      points.push(w.map((value, i) => value - moves[optimizer](g[i], kept[i], points.length, lr, momentum)));
    }
    return points;
  }

  function mount(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const drawing = root.querySelector("svg");
    const part = name => drawing.querySelector(`.dl-${name}`);
    let settings, kept;

    const choices = (name, options) => {
      const select = element("select", { "data-setting": name }, ...options.map(option => element("option", { value: option }, option)));
      select.addEventListener("change", () => { settings[name] = select.value; if (name === "surface") kept = ""; draw(); });
      return select;
    };
    const slider = (name, attributes, change) => {
      const box = element("input", { type: "range", "data-setting": name, ...attributes });
      box.addEventListener("input", () => { change(box.valueAsNumber); draw(); });
      return box;
    };
    const surface = choices("surface", data.surfaces), optimizer = choices("optimizer", data.optimizers);
    const lr = slider("lr", { min: 0, max: data.rates.length - 1, step: 1 }, i => { settings.lr = data.rates[i]; });
    const momentum = slider("momentum", { min: 0, max: data.momenta.length - 1, step: 1 }, i => { settings.momentum = data.momenta[i]; });
    const x = slider("x", { min: -3.75, max: 3.75, step: 0.25 }, value => { settings.start = [value, settings.start[1]]; });
    const y = slider("y", { min: -2.25, max: 2.25, step: 0.25 }, value => { settings.start = [settings.start[0], value]; });
    const rate = element("span", { class: "dl-shown" }), mu = element("span", { class: "dl-shown" });
    const keep = element("button", { type: "button" }, "Keep this path"), reset = element("button", { type: "button" }, "Reset");
    const said = element("p", { class: "dl-said", role: "status" }), before = element("p", { class: "dl-before" });
    keep.addEventListener("click", () => { kept = path(trace(settings)); before.textContent = `Kept, dashed: ${said.textContent}`; draw(); });
    reset.addEventListener("click", start);
    drawing.addEventListener("click", event => {
      const box = drawing.getBoundingClientRect(), grid = value => Math.round(value * 4) / 4;
      const place = [((event.clientX - box.left) / box.width) * WIDTH, ((event.clientY - box.top) / box.height) * HEIGHT];
      const limit = (value, most) => Math.min(most, Math.max(-most, grid(value)));
      settings.start = [limit((place[0] - WIDTH / 2) / UNIT, 3.75), limit((HEIGHT / 2 - place[1]) / UNIT, 2.25)];
      draw();
    });
    drawing.after(said, before, element("div", { class: "dl-bar" },
      element("label", {}, "Surface ", surface), element("label", {}, "Optimizer ", optimizer),
      element("label", {}, "Learning rate ", lr, rate), element("label", {}, "Momentum ", momentum, mu),
      element("label", {}, "Start, across ", x), element("label", {}, "Start, up ", y), keep, reset));

    const path = points => "M" + points.map(([a, b]) => `${across(a)} ${down(b)}`).join("L");

    function start() {
      settings = { surface: data.surface, optimizer: data.optimizer, lr: data.lr, momentum: data.momentum, start: [...data.start] };
      kept = "";
      draw();
    }

    function describe(points) {
      const losses = points.map(point => surfaces[settings.surface](...point)[0]);
      const high = losses.reduce((last, loss, i) => (loss >= losses[0] / 100 ? i : last), 0);
      const end = isFar(points[points.length - 1]) ? `It flies away: far outside after ${points.length - 1} steps.`
        : high === STEPS ? `After ${STEPS} steps the loss is above a hundredth of the first.`
        : `From step ${high + 1} on the loss is below a hundredth of the first.`;
      const [a, b] = settings.start.map(value => String(rounded(value, 2)).replace("-", "−"));
      const momenta = data.without.includes(settings.optimizer) ? "" : `, momentum ${settings.momentum}`;
      const words = `${settings.surface}, ${settings.optimizer}, learning rate ${settings.lr}${momenta}`;
      return `${words[0].toUpperCase()}${words.slice(1)}, from (${a}, ${b}). ${end}`;
    }

    function draw() {
      const points = trace(settings), last = points[points.length - 1];
      part("levels").replaceChildren(...data.contours[settings.surface].map(d => element("path", { class: "dl-level", d })));
      part("kept").setAttribute("d", kept);
      part("path").setAttribute("d", path(points));
      part("dots").replaceChildren(...points.map(([a, b]) => element("circle", { cx: across(a), cy: down(b), r: 2.4 })));
      for (const [name, [a, b]] of [["start", points[0]], ["end", last]]) {
        part(name).setAttribute("cx", across(a));
        part(name).setAttribute("cy", down(b));
      }
      surface.value = settings.surface;
      optimizer.value = settings.optimizer;
      lr.value = data.rates.indexOf(settings.lr);
      momentum.value = data.momenta.indexOf(settings.momentum);
      momentum.disabled = data.without.includes(settings.optimizer);
      [x.value, y.value] = settings.start;
      rate.textContent = settings.lr;
      mu.textContent = settings.momentum;
      lr.setAttribute("aria-valuetext", settings.lr);
      momentum.setAttribute("aria-valuetext", settings.momentum);
      said.textContent = describe(points);
      before.hidden = kept === "";
      drawing.setAttribute("aria-label", said.textContent);
      root.dataset.state = JSON.stringify({ ...settings, points });
    }
    start();
  }

  for (const root of document.querySelectorAll('.dl-interactive[data-figure="paths"]:not([data-ready])')) {
    root.dataset.ready = "";
    mount(root);
  }
})();
