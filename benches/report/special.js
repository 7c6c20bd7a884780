// Charts made for one kind of experiment.
const Special = (() => {
  "use strict";
  const { el, table } = Dom;

  /** Instead of curves, if the experiment wants something else. */
  function of(experiment) {
    const points = (test) => experiment.runs.some((run) => run.points.some(test));
    if (experiment.runs.some((run) => run.units)) return units(experiment);
    if (points((p) => p.rate)) return rates(experiment);
    if (points((p) => p.condition !== undefined)) return conditioning(experiment);
    if (experiment.kind === "starts") return starts(experiment);
    return null;
  }

  /** Below the curves: what some experiments follow besides. */
  function more(experiment) {
    const parts = [percentiles(experiment), layers(experiment)].filter(Boolean);
    return parts.length ? el("div", {}, parts) : null;
  }

  const words = {
    invariant: ["=", "the same path"], refused: ["–", "refused"], diverges: ["↑", "ends above its start"],
    slower: ["×", "ends higher"], faster: ["×", "ends lower"],
  };

  /** Methods by changes of units. */
  function units(experiment) {
    const key = (u) => (u.parameter === 1 ? `f × ${u.loss.toExponential(0).replace("+", "")}` : `x × ${u.parameter.toExponential(0).replace("+", "")}`);
    const changes = [...new Set(experiment.runs.filter((r) => r.units).map((r) => key(r.units)))];
    const rows = [...Data.byMethod(experiment)].map(([name, runs]) => [name, ...changes.map((change) => {
      const found = runs.find((r) => r.units && key(r.units) === change)?.units;
      if (!found) return el("td", {}, "");
      const [sign, text] = words[found.verdict];
      const same = found.ratio !== undefined && Math.abs(found.ratio - 1) < 1e-3;
      const shown = sign !== "×" ? sign : same ? "≈" : `×${Data.short(found.ratio)}`;
      const near = found.verdict === "invariant" ? 1 : sign === "×" && same ? 0.5 : 0;
      return el("td", { class: "n", style: `--near:${near}`, title: sign === "×" && same ? "another path to the same loss" : text }, shown);
    })]);
    return el("div", {}, table("Methods in other units: = the same path; ≈ another path to the same loss; ×r another path, to r times the loss; "
      + "↑ ends above its start; – refused", [["method"], ...changes.map((c) => [c, true])], rows, { class: "heat" }));
  }

  /** Colours and what they stand for: [text, colour of now]. */
  function key(entries) {
    const swatches = entries.map(([, color]) => [el("i"), color]);
    const paint = () => swatches.forEach(([i, color]) => { i.style.background = color(); });
    paint();
    addEventListener("themed", paint);
    return el("p", {}, entries.map(([text], k) => el("span", { class: "key" }, swatches[k][0], text)));
  }

  /** The least and the greatest of many curves: charts beside each other have one scale. */
  function reach(curves, logY) {
    const ends = (values) => values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    const points = curves.flat();
    const ys = points.flatMap((p) => [p.y, p.min, p.max]).filter((v) => Number.isFinite(v) && (!logY || v > 0));
    const ranges = { x: ends(points.map((p) => p.x)), y: ends(ys) };
    return Object.fromEntries(Object.entries(ranges).filter(([, [least, most]]) => least <= most));
  }

  /** Condition numbers: each layer in one colour, plain as a line and whitened dashed. */
  function conditioning(experiment) {
    const box = el("div", { class: "chart" });
    const hues = [215, 25, 150, 300, 345];
    const layer = (name) => Number(name.match(/\d+/)?.[0] ?? 0);
    const color = (name) => `hsl(${hues[layer(name) % 5]} 70% ${Palette.dark() ? 70 : 40}%)`;
    const draw = () => {
      const series = [...Data.byMethod(experiment)].map(([name, runs]) => {
        return {
          name, points: Data.curve(runs, Data.axes.updates, Data.measures.condition),
          color: color(name), dash: name.includes("whitened") ? [6, 4] : [],
        };
      });
      Chart.lines(box, { series, x: "updates", y: "condition number", logY: true, height: 380 });
    };
    const rows = pairs(experiment).map(({ layer, plain, white }) => [
      layer, Data.short(plain[0]), Data.short(white[0]), factor(plain[0], white[0]),
      Data.short(plain.at(-1)), Data.short(white.at(-1)), factor(plain.at(-1), white.at(-1)),
    ]);
    return el("div", {}, el("p", { class: "note" }, "Solid: plain coordinates. Dashed: whitened. One colour for each layer."),
      key(pairs(experiment).map(({ layer }) => [layer, () => color(layer)])), Dom.lazily(box, draw),
      table("Condition numbers of the Fisher blocks", [["block"], ["plain, at the start", true], ["whitened", true],
        ["less by", true], ["plain, at the end", true], ["whitened", true], ["less by", true]], rows));
  }

  /** With as many digits as tell it from all of it. */
  function factor(plain, white) {
    const left = white / plain;
    if (!Number.isFinite(left)) return "–";
    const digits = left > 0 ? Math.min(Math.max(Math.ceil(-Math.log10(100 * left)), 1), 12) : 1;
    return left > 0 && 100 * left < 1e-12 ? `> ${"99." + "9".repeat(12)} %` : `${(100 - 100 * left).toFixed(digits)} %`;
  }

  function pairs(experiment) {
    const values = (name) => experiment.runs.find((r) => r.method === name)?.points.map((p) => p.condition) ?? [NaN];
    const layers = [...new Set(experiment.runs.map((r) => r.method.replace(/ (plain|whitened)$/, "")))];
    return layers.map((layer) => ({ layer, plain: values(`${layer} plain`), white: values(`${layer} whitened`) }));
  }

  /** The largest stable rate: predicted, by the online estimate, and found. */
  function rates(experiment) {
    const rows = experiment.runs.flatMap((run) => [["at the start", run.points[0]], ["at the minimum", run.points.at(-1)]]
      .filter(([, p]) => p?.rate).map(([where, p]) => [`${run.method}, ${where}`, Data.short(p.rate.predicted), Data.short(p.rate.online),
        Data.short(p.rate.found), Data.short(p.rate.found / p.rate.predicted)]));
    return table("The largest stable learning rate", [["network"], ["2/λ", true], ["online", true], ["found", true], ["found to 2/λ", true]], rows);
  }

  /** Of how many starts a method comes to a solution. */
  function starts(experiment) {
    const rows = [...Data.byMethod(experiment)].map(([name, runs]) => {
      const solved = runs.filter((r) => !r.failed);
      return { name, all: runs.length, solved: solved.length, took: Data.stat(solved.map((r) => r.points.at(-1)?.update))?.median };
    }).sort((a, b) => b.solved - a.solved);
    const bar = (r) => [el("span", {}, r.name),
      el("span", { class: "bar", role: "img", "aria-label": `${r.solved} of ${r.all} starts` },
        el("i", { style: `width:${(100 * r.solved) / r.all}%;background:${Palette.color(r.name)}` })),
      el("span", { class: "unit" }, `${r.solved} of ${r.all}${r.took === undefined ? "" : `, median ${Data.short(r.took)} updates`}`)];
    return el("div", { class: "bars" }, rows.flatMap(bar));
  }

  /** A pre-activation's 15th to 85th percentile, one chart for each method, all on one scale. */
  function percentiles(experiment) {
    const of = (k) => ({ of: (p) => p.percentiles?.[k] });
    if (!Data.has(experiment, of(1).of)) return null;
    const lines = (runs) => {
      const [low, middle, high] = [0, 1, 2].map((k) => Data.curve(runs, Data.axes.updates, of(k)));
      return middle.map((p, i) => ({ x: p.x, y: p.y, min: low[i]?.y, max: high[i]?.y }));
    };
    const all = [...Data.byMethod(experiment)].map(([name, runs]) => ({ name, points: lines(runs) }));
    const ranges = reach(all.map((s) => s.points), false);
    const charts = all.map((series) => {
      const box = el("div", { class: "chart" });
      const draw = () => Chart.lines(box, { series: [series], x: "updates", y: "pre-activation", height: 260, ranges });
      return el("div", {}, el("h4", {}, series.name), Dom.lazily(box, draw));
    });
    return el("div", {}, el("h3", {}, "A pre-activation of the last hidden layer"),
      el("p", { class: "note" }, "The median over the test examples, and the range from the 15th to the 85th percentile."),
      el("div", { class: "grid" }, charts));
  }

  /** Norms of the gradient, layer by layer, one chart for each method. */
  function layers(experiment) {
    const depth = Math.max(0, ...experiment.runs.flatMap((r) => r.points.map((p) => p.layer_gradients?.length ?? 0)));
    if (!depth) return null;
    const color = (k) => `hsl(${215 + (130 * k) / depth} 65% ${(Palette.dark() ? 78 : 30) + ((Palette.dark() ? -24 : 24) * k) / depth}%)`;
    const each = Array.from({ length: depth }, (_, k) => k);
    const all = [...Data.byMethod(experiment)].map(([name, runs]) => ({
      name, curves: each.map((k) => Data.curve(runs, Data.axes.updates, { of: (p) => p.layer_gradients?.[k] })),
    }));
    const ranges = reach(all.flatMap((m) => m.curves), true);
    const charts = all.map(({ name, curves }) => {
      const box = el("div", { class: "chart" });
      const draw = () => {
        const series = curves.map((points, k) => ({ name: `layer ${k}`, points, color: color(k), dash: [] }));
        Chart.lines(box, { series, x: "updates", y: "norm of the gradient", logY: true, height: 260, ranges });
      };
      return el("div", {}, el("h4", {}, name), Dom.lazily(box, draw));
    });
    return el("div", {}, el("h3", {}, "The gradient by layer, from the input (blue) to the output (red)"),
      key(each.map((k) => [`layer ${k}`, () => color(k)])), el("div", { class: "grid" }, charts));
  }

  return { of, more };
})();
