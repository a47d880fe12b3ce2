(() => {
  "use strict";
  const ROW = 34, TOP = 30, LEFT = 150, WIDTH = 250, LIMIT = 8;
  const svgTags = ["g", "rect", "text"];

  function element(tag, attributes, ...children) {
    const node = svgTags.includes(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }
  function short(value, digits = 3) {
    const text = value.toFixed(digits);
    return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
  }

  // p = softmax(z / tau), line by line as in the text: the maximum is taken out first.
  function compute({ logits, temperature, chosen }) {
    const z = logits.map(value => value / temperature), largest = Math.max(...z);
    const total = z.reduce((sum, value) => sum + Math.exp(value - largest), 0);
    const logP = z.map(value => value - largest - Math.log(total)), p = logP.map(Math.exp);
    const gradient = p.map((value, i) => (value - (i === chosen ? 1 : 0)) / temperature);
    return { p, gradient, loss: -logP[chosen], entropy: -p.reduce((sum, value, i) => sum + value * logP[i], 0) };
  }

  function mount(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const svg = root.querySelector("svg"), sentence = root.querySelector(".dl-sentence");
    const heads = [...svg.children].filter(node => node.tagName === "text");
    let settings;
    sentence.setAttribute("role", "status");

    const sliders = data.names.map((name, i) => {
      const slider = element("input", { type: "range", min: -LIMIT, max: LIMIT, step: 0.1, "data-logit": i, "aria-label": `logit of ${name}` });
      slider.addEventListener("input", () => { settings.logits[i] = slider.valueAsNumber; draw(slider); });
      return slider;
    });
    // The slider holds the logarithm: as far below 1 as above it.
    const heat = element("input", { type: "range", min: -1, max: 1, step: 0.01, "data-setting": "temperature" });
    heat.addEventListener("input", () => { settings.temperature = 10 ** heat.valueAsNumber; draw(heat); });
    const heatSaid = element("span", { class: "dl-heat", "aria-hidden": "true" }); // the slider says it itself
    const chooser = element("select", {}, ...data.names.map((name, i) => element("option", { value: i }, name)));
    chooser.addEventListener("change", () => { settings.chosen = Number(chooser.value); draw(); });
    const shift = step => {
      const moved = settings.logits.map(value => value + step);
      if (moved.every(value => Math.abs(value) <= LIMIT + 1e-9)) { settings.logits = moved; draw(); }
    };
    const buttons = [["Add one to all logits", () => shift(1)], ["Take one from all", () => shift(-1)], ["Reset", start]].map(([words, action]) => {
      const button = element("button", { type: "button" }, words);
      button.addEventListener("click", action);
      return button;
    });
    sentence.after(element("div", { class: "dl-settings" },
      element("fieldset", {}, element("legend", {}, "Logits"), ...data.names.map((name, i) => element("label", {}, name, sliders[i]))),
      element("div", {},
        element("label", {}, "Temperature", heat, heatSaid),
        element("label", {}, "True class", chooser),
        element("div", { class: "dl-buttons" }, ...buttons))));

    function start() {
      settings = { logits: [...data.logits], temperature: data.temperature, chosen: data.true };
      draw();
    }

    function draw(active) {
      const { p, gradient, loss, entropy } = compute(settings);
      const rows = data.names.map((name, i) => {
        const y = TOP + ROW * i, length = Math.floor(WIDTH * p[i] + 0.5);
        return element("g", { class: i === settings.chosen ? "dl-row dl-true" : "dl-row" },
          element("text", { class: "dl-start", x: 4, y: y + 20 }, name),
          element("text", { class: "dl-end", x: 100, y: y + 20 }, short(settings.logits[i], 1)),
          element("rect", { x: LEFT, y: y + 3, width: length, height: ROW - 10 }),
          element("text", { class: "dl-start dl-value", x: LEFT + length + 6, y: y + 20 }, short(p[i])),
          element("text", { class: "dl-end dl-gradient", x: 540, y: y + 20 }, short(gradient[i])));
      });
      svg.replaceChildren(...heads, ...rows);
      const best = p.indexOf(Math.max(...p));
      svg.setAttribute("aria-label", `A bar for each of ${p.length} classes; the longest is ${data.names[best]}, ${short(p[best])}.`);
      sentence.textContent = `Loss ${short(loss)}. Entropy ${short(entropy)}: as unsure as among ${short(Math.exp(entropy), 1)} equally likely classes.`;
      sliders.forEach((slider, i) => {
        if (slider !== active) slider.value = settings.logits[i];
        slider.setAttribute("aria-valuetext", short(settings.logits[i], 1));
      });
      if (heat !== active) heat.value = Math.log10(settings.temperature);
      const said = settings.temperature.toPrecision(2);
      heat.setAttribute("aria-valuetext", said);
      heatSaid.textContent = said;
      chooser.value = settings.chosen;
      root.dataset.state = JSON.stringify({ ...settings, p, gradient, loss, entropy });
    }
    start();
  }

  for (const root of document.querySelectorAll('.dl-interactive[data-figure="temperature"]:not([data-ready])')) {
    root.dataset.ready = "";
    mount(root);
  }
})();
