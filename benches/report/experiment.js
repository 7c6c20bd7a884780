// The curves of one experiment, and what can be switched about them.
const Experiment = (() => {
  "use strict";
  const { el, select, toggle, table } = Dom;

  /** Lines that are shown before anything is switched: a figure with more is a tangle. */
  const FIRST = 8;

  /** The best at the end first; those that failed last. */
  function ranked(experiment, measure) {
    const ends = [...Data.byMethod(experiment)].map(([name, runs]) => ({
      name, runs, end: Data.final(runs, measure)?.median ?? Infinity,
    }));
    return ends.sort((a, b) => a.end - b.end);
  }

  /** Curves with their controls; `shown` tells others which methods come and go. */
  function curves(experiment, shown) {
    const measures = Object.entries(Data.measures).filter(([, m]) => Data.has(experiment, m.of));
    const axes = Object.entries(Data.axes).filter(([, a]) => Data.has(experiment, a.of) && varies(experiment, a.of));
    if (!measures.length || !axes.length) return null;
    const state = { measure: Data.main(experiment), axis: axes[0][0], logX: false, logY: true };
    state.logY = positive(experiment, Data.measures[state.measure].of);
    const all = ranked(experiment, Data.measures[state.measure]);
    const claimed = new Set((experiment.claims ?? []).flatMap((c) => c.methods ?? []));
    const { hidden } = shown;
    all.slice(FIRST).filter((m) => !claimed.has(m.name)).forEach((m) => hidden.add(m.name));
    const box = el("div", { class: "chart" });
    const counter = el("span", { class: "unit", "aria-live": "polite" });
    let drawn = null;
    const draw = () => {
      const [axis, measure] = [Data.axes[state.axis], Data.measures[state.measure]];
      const series = all.map(({ name, runs }) => ({ name, points: Data.curve(runs, axis, measure), show: !hidden.has(name) }));
      drawn = Chart.lines(box, { series, x: axis.label, y: measure.label, logX: state.logX, logY: state.logY });
    };
    const count = () => { counter.textContent = `${all.length - hidden.size} of ${all.length} shown`; };
    const set = (key) => (value) => { state[key] = value; draw(); };
    const chips = legend(all.map((m) => m.name), hidden, (name, on) => {
      [drawn, ...shown.others.map((of) => of())].forEach((chart) => chart?.show(name, on));
      count();
    });
    count();
    const y = select("y", measures.map(([key, m]) => [key, m.label]), state.measure, set("measure"));
    addEventListener("claimed", ({ detail: { name, claim } }) => {
      if (name !== experiment.name) return;
      (claim.methods ?? []).forEach((method) => chips.put(method, true));
      if (!measures.some(([key]) => key === claim.measure) || claim.measure === state.measure) return;
      y.querySelector("select").value = state.measure = claim.measure;
      if (drawn) draw();
    });
    const controls = el("div", { class: "controls" }, y,
      select("x", axes.map(([key, a]) => [key, a.label]), state.axis, set("axis")),
      toggle("log x", state.logX, set("logX")), toggle("log y", state.logY, set("logY")), counter);
    return el("div", { class: "curves" }, controls, chips, Dom.lazily(box, draw));
  }

  const varies = (experiment, of) => {
    const values = new Set(experiment.runs.flatMap((run) => run.points.map(of)).filter(Number.isFinite));
    return values.size > 1;
  };
  const positive = (experiment, of) => experiment.runs.every((run) => run.points.every((p) => !(of(p) <= 0)));

  /** A button for each method and each family; `change` is told of every line that comes or goes, which its `put` can make. */
  function legend(names, hidden, change) {
    const buttons = new Map();
    const put = (name, on) => {
      if (hidden.has(name) === !on || !buttons.has(name)) return;
      on ? hidden.delete(name) : hidden.add(name);
      buttons.get(name).setAttribute("aria-pressed", String(on));
      press();
      change(name, on);
    };
    for (const name of names) {
      const button = toggle(name, !hidden.has(name), (on) => put(name, on), {
        class: "chip", "data-method": name, title: "double click: this one alone",
        ondblclick: () => names.forEach((other) => put(other, other === name)),
      });
      const paint = () => { button.querySelector("svg")?.remove(); button.insertAdjacentHTML("afterbegin", Palette.swatch(name)); };
      paint();
      addEventListener("themed", paint);
      buttons.set(name, button);
    }
    const families = Palette.families(names);
    const members = (id) => names.filter((n) => Data.family(n) === id);
    const groups = families.map(({ id, name }) => {
      const turn = () => {
        const on = members(id).some((n) => hidden.has(n));
        members(id).forEach((n) => put(n, on));
      };
      return { id, button: el("button", { type: "button", onclick: turn }, name) };
    });
    function press() {
      for (const { id, button } of groups) button.setAttribute("aria-pressed", String(members(id).every((n) => !hidden.has(n))));
    }
    press();
    const all = (text, on) => el("button", { type: "button", onclick: () => names.forEach((n) => put(n, on)) }, text);
    const box = el("div", {},
      el("div", { class: "controls", role: "group", "aria-label": "Methods" }, [...buttons.values()]),
      names.length > 3 ? el("div", { class: "controls", role: "group", "aria-label": "Families of methods" },
        el("span", { class: "unit" }, "show or hide:"), families.length > 1 ? groups.map((g) => g.button) : [], all("all", true), all("none", false)) : null);
    return Object.assign(box, { put });
  }

  /** What every method ended with, and its settings. */
  function settings(experiment) {
    const measures = Object.values(Data.measures).filter((m) => Data.has(experiment, m.of));
    const main = Data.measures[Data.main(experiment)];
    const spread = (s) => (!s ? "–" : s.min === s.max ? Data.short(s.median)
      : el("span", {}, Data.short(s.median), el("small", { class: "unit" }, `${Data.short(s.min)} to ${Data.short(s.max)}`)));
    const rows = ranked(experiment, main).map(({ name, runs }) => {
      const last = Data.sound(runs).map((run) => run.points.at(-1)).filter(Boolean);
      const pace = Data.stat(last.map((p) => (p.seconds && p.update ? p.seconds / p.update : NaN)));
      const hyper = Object.entries(runs[0].hyper ?? {}).map(([k, v]) => `${k} ${typeof v === "number" ? Data.short(v) : v}`).join(", ");
      const fallbacks = runs.flatMap((run) => Object.entries(run.fallbacks ?? {}).map(([what, n]) => `${n}× ${what}`));
      const trouble = [...new Set([...runs.map((run) => run.failed).filter(Boolean), ...fallbacks])].join("; ");
      return [name, ...measures.map((m) => spread(Data.final(runs, m))), pace ? Data.duration(pace.median) : "–", hyper, trouble];
    });
    const heads = [["method"], ...measures.map((m) => [m.label, true]), ["per update", true], ["settings"], ["what went otherwise"]];
    const keep = heads.map((_, i) => i === 0 || rows.some((row) => row[i] && row[i] !== "–"));
    const some = (row) => row.filter((_, i) => keep[i]);
    return table("At the end: the median over the seeds that did not fail, and their range", some(heads), rows.map(some));
  }

  /** Loss against the values that were tried, of the methods whose curves are shown. */
  function sensitivity(experiment, shown) {
    const all = experiment.search ?? [];
    const searched = all.filter((s) => s.tried.some((t) => Number.isFinite(t.loss)));
    if (!searched.length) return null;
    let drawn = null;
    shown.others.push(() => drawn);
    const box = el("div", { class: "chart" });
    const series = searched.map((s) => ({
      name: s.method, points: s.tried.filter((t) => Number.isFinite(t.loss)).map((t) => ({ x: t.value, y: t.loss })),
    }));
    const lost = all.flatMap((s) => s.tried.filter((t) => !Number.isFinite(t.loss)).map((t) => `${s.method} at ${Data.short(t.value)}`));
    const draw = () => {
      const visible = series.map((s) => ({ ...s, show: !shown.hidden.has(s.name) }));
      drawn = Chart.lines(box, {
        series: visible, x: "learning rate, or what stands for it", y: "validation loss", logX: true, logY: true, height: 280, exact: true,
      });
    };
    return el("div", {}, el("h3", {}, "How sensitive to the learning rate"),
      el("p", { class: "note" }, `Validation loss after ${searched[0].updates} updates with each value of the grid; the lowest one was taken. Of the methods that are shown above.`
        + (lost.length ? ` Diverged: ${lost.join(", ")}.` : "")),
      Dom.lazily(box, draw));
  }

  /** Where the time of an update goes. */
  function cost(experiment) {
    const parts = ["network", "method", "refresh"];
    const colors = ["hsl(215 55% 50%)", "hsl(25 80% 52%)", "hsl(345 65% 50%)"];
    const rows = [...Data.byMethod(experiment)].map(([name, runs]) => {
      const costs = runs.map((run) => run.cost).filter(Boolean);
      return { name, of: parts.map((part) => Data.stat(costs.map((c) => c[part]))?.median ?? 0), any: costs.length > 0 };
    }).filter((row) => row.any);
    if (!rows.length) return null;
    const sum = (row) => row.of.reduce((a, b) => a + b, 0);
    const most = Math.max(...rows.map(sum));
    rows.sort((a, b) => sum(a) - sum(b));
    const bar = (row) => [
      el("span", {}, row.name),
      el("span", { class: "bar", role: "img", "aria-label": parts.map((p, i) => `${p} ${Data.duration(row.of[i])}`).join(", ") },
        row.of.map((v, i) => el("i", { style: `width:${(100 * v) / most}%;background:${colors[i]}` }))),
      el("span", { class: "unit" }, Data.duration(sum(row))),
    ];
    return el("div", {}, el("h3", {}, "What an update costs"),
      el("p", {}, parts.map((p, i) => el("span", { class: "key" }, el("i", { style: `background:${colors[i]}` }), p))),
      el("div", { class: "bars" }, rows.flatMap(bar)),
      el("p", { class: "note" }, "Network: one gradient of the minibatch, taken alone. Method: all else of a usual update. "
        + "Refresh: what updates that take more than twice the usual time have on top, per update."));
  }

  /** Links to all points, and to all values that were tried. */
  function download(experiment) {
    const link = (file, text, csv) => {
      // Made when it is wanted, by whatever way: a page with all of them would be twice as long.
      let url = null;
      const make = () => { a.href = url ??= URL.createObjectURL(new Blob([csv(experiment)], { type: "text/csv" })); };
      const a = el("a", { href: "#", download: file, onpointerenter: make, onfocus: make, onclick: make }, text);
      return a;
    };
    return el("p", {}, link(`${experiment.name}.csv`, "Data as CSV", Data.csv),
      experiment.search?.length ? [" · ", link(`${experiment.name}-search.csv`, "values that were tried", Data.tried)] : null);
  }

  /** The claims about this experiment. */
  function claims(experiment) {
    const all = experiment.claims ?? [];
    return all.length ? el("ul", {}, all.map((c) => el("li", {}, verdict(c), ` ${c.claim} (${c.source}). `,
      el("span", { class: "unit" }, `${c.measured}.`)))) : null;
  }

  function verdict(claim) {
    const holds = claim.verdict === "holds";
    const text = (holds ? "holds" : "does not hold") + (claim.reduced ? ", reduced" : "");
    return el("span", { class: `verdict ${holds ? "holds" : "not"}` }, text);
  }

  function section(experiment) {
    const [special, shown] = [Special.of(experiment), { hidden: new Set(), others: [] }];
    return el("section", { id: experiment.name, "aria-labelledby": `${experiment.name}-title` },
      el("h2", { id: `${experiment.name}-title` }, experiment.title),
      experiment.deck ? el("p", { class: "deck" }, el("strong", {}, "The deck: "), experiment.deck) : null,
      el("p", { class: "note" }, [experiment.model, experiment.data].filter((t) => t && t !== "none").join("; "),
        experiment.note ? `. ${experiment.note}` : ""),
      claims(experiment), special ?? curves(experiment, shown), Special.more(experiment),
      el("div", { class: "grid" }, sensitivity(experiment, shown), cost(experiment)),
      special ? null : el("details", {}, el("summary", {}, "All numbers and settings"), settings(experiment)), download(experiment));
  }

  return { section, verdict, legend, ranked };
})();
