(() => {
  "use strict";
  const SIDE = 180, LEFT = 40, TOP = 14, WIDTH = 620, MARGIN = 16;
  const svgTags = ["circle", "rect", "path"];
  const hundredth = value => (Math.floor(100 * value + 0.5) / 100).toFixed(2).replace("-", "−");
  const tenth = value => String(Math.floor(10 * value + 0.5) / 10);

  function element(tag, attributes, ...children) {
    const node = svgTags.includes(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function mount(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const strip = root.querySelector(".dl-strip"), [roc, pr] = root.querySelectorAll(".dl-curve");
    const cells = root.querySelectorAll("tbody td");
    const falling = [...new Set(data.scores)].sort((a, b) => b - a);
    const marks = [...strip.querySelectorAll("circle, rect")];

    const slider = element("input", { type: "range", min: 0, max: falling.length, step: 1 });
    slider.addEventListener("input", draw);
    const rarer = element("select", {}, ...data.rarer.map(n => element("option", { value: n }, n === 1 ? "as they are" : `${n} times rarer`)));
    rarer.addEventListener("change", draw);
    const reset = element("button", { type: "button" }, "Reset");
    reset.addEventListener("click", start);
    const said = element("p", { class: "dl-said", role: "status" });
    strip.after(
      element("div", { class: "dl-cutter" }, element("label", {}, "Threshold", slider), element("label", {}, "Positives", rarer), reset),
      said,
    );

    // TP, FP, FN, TN where the first k thresholds are called positive; every negative counts `times` times.
    function counts(k, times) {
      const count = [0, 0, 0, 0];
      data.scores.forEach((score, i) => {
        const called = k > 0 && score >= falling[k - 1], positive = data.labels[i] === 1;
        count[called ? (positive ? 0 : 1) : positive ? 2 : 3] += positive ? 1 : times;
      });
      return count;
    }

    const path = points => "M" + points.map(([x, y]) => `${tenth(LEFT + SIDE * x)} ${tenth(TOP + SIDE * (1 - y))}`).join("L");

    function curve(svg, points, guess, now, across, up, title) {
      svg.querySelector(".dl-line").setAttribute("d", path(points));
      svg.querySelector(".dl-guess").setAttribute("d", path(guess));
      const point = svg.querySelector(".dl-now");
      point.setAttribute("cx", tenth(LEFT + SIDE * now[0]));
      point.setAttribute("cy", tenth(TOP + SIDE * (1 - now[1])));
      svg.querySelector(".dl-title").textContent = title;
      svg.setAttribute("aria-label", `${title}; the point is at ${across} ${hundredth(now[0])}, ${up} ${hundredth(now[1])}.`);
    }

    function draw() {
      const place = falling.length - slider.valueAsNumber, times = Number(rarer.value);
      const steps = falling.map((_, k) => counts(k + 1, times));
      steps.unshift(counts(0, times));
      const [tp, fp, fn, tn] = steps[place], positives = tp + fn, negatives = fp + tn;

      const rates = steps.map(([t, f]) => [f / negatives, t / positives]);
      const shares = steps.slice(1).map(([t, f]) => [t / positives, t / (t + f)]);
      let area = 0, average = 0, before = 0;
      const stairs = [];
      rates.forEach(([x, y], k) => { if (k) area += (x - rates[k - 1][0]) * (y + rates[k - 1][1]) / 2; });
      for (const [recall, precision] of shares) {
        stairs.push([before, precision], [recall, precision]);
        average += (recall - before) * precision;
        before = recall;
      }
      const base = positives / (positives + negatives);
      curve(roc, rates, [[0, 0], [1, 1]], rates[place], "false positive rate", "recall", `ROC, area ${hundredth(area)}`);
      curve(pr, stairs, [[0, base], [1, base]], place ? shares[place - 1] : [0, 1], "recall", "precision", `PR, average precision ${hundredth(average)}`);

      const low = falling[falling.length - 1], scale = (WIDTH - 2 * MARGIN) / (falling[0] - low || 1);
      marks.forEach((mark, i) => mark.classList.toggle("dl-called", place > 0 && data.scores[i] >= falling[place - 1]));
      const x = place ? MARGIN + scale * (falling[place - 1] - low) - 6 : WIDTH - 4;
      strip.querySelector(".dl-cut").setAttribute("d", `M${tenth(x)} 4V100`);
      [tn, fp, fn, tp].forEach((value, i) => { cells[i].textContent = value; });

      said.textContent = `${place ? `Threshold ${hundredth(falling[place - 1])}` : "No threshold"}: ${tp + fp} called ${data.names[1]}. `
        + `Accuracy ${hundredth((tp + tn) / (positives + negatives))}, precision ${tp + fp ? hundredth(tp / (tp + fp)) : "0 / 0"}, `
        + `recall ${hundredth(tp / positives)}, false positive rate ${hundredth(fp / negatives)}, F1 ${hundredth(2 * tp / (2 * tp + fp + fn))}.`;
      strip.setAttribute("aria-label", said.textContent);
      slider.setAttribute("aria-valuetext", `${tp + fp} called ${data.names[1]}`);
      root.dataset.state = JSON.stringify({ place, times, tp, fp, fn, tn, area, average });
    }

    function start() {
      slider.value = falling.length - data.place;
      rarer.value = "1";
      draw();
    }
    start();
  }

  for (const root of document.querySelectorAll('.dl-interactive[data-figure="threshold"]:not([data-ready])')) {
    root.dataset.ready = "";
    mount(root);
  }
})();
