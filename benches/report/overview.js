// All experiments on one screen: who is how close to the best, who gets there first, and what the deck says.
const Overview = (() => {
  "use strict";
  const { el, select, table } = Dom;

  /** Networks: what methods are compared on. */
  const compared = () => Data.results.experiments.filter((e) => e.kind === "training" && Data.main(e)
    && new Set(e.runs.map((r) => r.method)).size > 1);

  function section() {
    const experiments = compared();
    return el("section", { id: "overview", "aria-labelledby": "overview-title" },
      el("h2", { id: "overview-title" }, experiments.length ? "Which method to use" : "What was measured"),
      experiments.length ? best(experiments) : null, claims(),
      experiments.length ? [heat(experiments), profiles(experiments)] : null);
  }

  /** How near to the best of an experiment: 1 for the best itself. */
  function scores(experiments) {
    return experiments.map((e) => {
      const measure = Data.measures[Data.main(e)];
      const ends = new Map([...Data.byMethod(e)].map(([name, runs]) => [name, Data.final(runs, measure)]));
      const least = Math.min(...[...ends.values()].filter(Boolean).map((s) => s.median));
      const near = (name) => (ends.get(name) ? (least <= 0 ? Number(ends.get(name).median <= least) : least / ends.get(name).median) : 0);
      return { e, measure, ends, near };
    });
  }

  /** In words: the best of each experiment. */
  function best(experiments) {
    const items = scores(experiments).map(({ e, measure, ends }) => {
      const order = [...ends].filter(([, s]) => s).sort((a, b) => a[1].median - b[1].median);
      if (!order.length) return null;
      const [[first, s], second] = order;
      const next = second ? `, then ${second[0]} with ${Data.short(second[1].median)}` : "";
      return el("li", {}, el("a", { href: `#${e.name}` }, e.title), `: ${first} with a ${measure.label} of ${Data.short(s.median)}${next}.`);
    });
    return el("div", {}, el("p", {}, "The best of every experiment, each method at the best of its learning rates:"), el("ul", {}, items));
  }

  function heat(experiments) {
    const all = scores(experiments);
    const names = [...new Set(experiments.flatMap((e) => [...Data.byMethod(e).keys()]))];
    const mean = (name) => {
      const own = all.filter((s) => s.ends.has(name));
      return own.reduce((sum, s) => sum + s.near(name), 0) / own.length;
    };
    const often = (name) => all.filter((s) => s.ends.has(name)).length;
    names.sort((a, b) => mean(b) - mean(a));
    const cell = (name) => (s) => {
      if (!s.ends.has(name)) return el("td", { class: "n unit" }, "");
      const end = s.ends.get(name);
      if (!end) return el("td", { class: "n" }, "failed");
      const range = end.min === end.max ? null : el("small", {}, `${Data.short(end.min)}–${Data.short(end.max)}`);
      return el("td", { class: "n", style: `--near:${(s.near(name) ** 3).toFixed(3)}` }, Data.short(end.median), range);
    };
    const heads = () => [["method"], ...all.map((s) => [el("a", { href: `#${s.e.name}`, title: s.e.title }, s.e.name), true])];
    const units = el("tr", {}, el("th", { scope: "row", class: "unit" }, "what is shown"), all.map((s) => el("td", { class: "n unit" }, s.measure.label)));
    const grid = (some, caption) => {
      const box = table(caption, heads(), some.map((name) => [name, ...all.map(cell(name))]), { class: "heat" });
      box.querySelector("tbody").prepend(units.cloneNode(true));
      return box;
    };
    const [several, once] = [names.filter((n) => often(n) > 1), names.filter((n) => often(n) === 1)];
    return el("div", {}, el("h3", {}, "Methods by experiments"),
      grid(several.length ? several : once, "Every experiment's measure at its end, lower is better; the darker, the nearer to the best of its column. Small: the range of the seeds. First the methods that are nearest on average, over the experiments that they are in."),
      several.length && once.length ? el("details", {}, el("summary", {}, `${once.length} more that are in one experiment only`),
        grid(once, "The same, of methods that are in one experiment only.")) : null);
  }

  const LOSS = ["squared_error", "train_loss"];

  /** What a method took on every experiment to come to the goal; Infinity if it never did. */
  function times(experiments, axis) {
    return experiments.map((e) => {
      const measure = Data.measures[LOSS.find((name) => Data.has(e, Data.measures[name].of)) ?? Data.main(e)];
      const groups = [...Data.byMethod(e)];
      const ends = groups.map(([, runs]) => Data.final(runs, measure)?.median).filter(Number.isFinite).sort((a, b) => a - b);
      // At least half of the methods come to it, of two both.
      const goal = ends[ends.length >> 1] ?? -Infinity;
      return new Map(groups.map(([name, runs]) => {
        const hit = runs.some((r) => !r.failed) ? Data.curve(runs, axis, measure).find((p) => p.y <= goal && p.x > 0) : undefined;
        return [name, hit ? hit.x : Infinity];
      }));
    });
  }

  /** Slower than so many times the fastest is not drawn. */
  const MOST = 100;

  /** The steps of a profile: what part of all is within each ratio. */
  function steps(ratios) {
    const points = [{ x: 1, y: 0 }];
    const part = (count) => (100 * count) / ratios.length;
    for (const r of [...new Set(ratios.filter((r) => r <= MOST))].sort((a, b) => a - b)) {
      const [before, until] = [ratios.filter((v) => v < r).length, ratios.filter((v) => v <= r).length];
      points.push({ x: r, y: part(before) }, { x: r * (1 + 1e-9), y: part(until) });
    }
    points.push({ x: MOST, y: points.at(-1).y });
    return points;
  }

  /** Performance profiles (Dolan & Moré 2002; AlgoPerf). */
  function profiles(experiments) {
    const box = el("div", { class: "chart" });
    let axis = "updates";
    const names = [...new Set(experiments.flatMap((e) => [...Data.byMethod(e).keys()]))];
    const often = names.filter((n) => experiments.filter((e) => Data.byMethod(e).has(n)).length > 1);
    if (often.length < 2) return null;
    const draw = () => {
      const all = times(experiments, Data.axes[axis]);
      const series = often.map((name) => {
        const own = all.filter((t) => t.has(name));
        const ratios = own.map((t) => t.get(name) / Math.min(...t.values())).map((r) => (Number.isNaN(r) ? Infinity : r));
        return { name, points: steps(ratios) };
      });
      Chart.lines(box, { series, x: `times the ${Data.axes[axis].label} of the fastest method`, y: "experiments solved (%)", logX: true, height: 320, higher: true });
    };
    const choice = Object.entries(Data.axes).filter(([key]) => key !== "passes").map(([key, a]) => [key, a.label]);
    const keys = el("div", { class: "controls" }, often.map((name) => el("span", { class: "key", markup: Palette.swatch(name) }, ` ${name}`)));
    addEventListener("themed", () => keys.querySelectorAll(".key").forEach((key, i) => { key.innerHTML = Palette.swatch(often[i]); key.append(` ${often[i]}`); }));
    return el("div", {}, el("h3", {}, "How soon"),
      el("p", { class: "note" }, "Of the experiments that a method is in, the part in which it came to the goal in at most so many times what the fastest "
        + "took. The goal is the middle one of all methods' training losses at the end, which at least half of them come to. Only methods that are in several experiments."),
      el("div", { class: "controls" }, select("in", choice, axis, (value) => { axis = value; draw(); })), keys, Dom.lazily(box, draw));
  }

  function claims() {
    const all = Data.results.experiments.flatMap((e) => (e.claims ?? []).map((c) => ({ e, c })));
    const seen = new Set();
    const rows = all.filter(({ c }) => !seen.has(c.claim + c.measured) && seen.add(c.claim + c.measured)).map(({ e, c }) => [
      c.claim, c.source, c.measured, Experiment.verdict(c),
      // The chart shows what the claim is about.
      el("a", { href: `#${e.name}`, onclick: () => dispatchEvent(new CustomEvent("claimed", { detail: { name: e.name, claim: c } })) }, e.name),
    ]);
    return rows.length ? el("div", {}, el("h3", {}, "What the deck says"),
      el("p", { class: "note" }, "The slides “Optimization for Deep Networks” (I. Misra) and the papers that they show."),
      table("Each claim against what was measured here. “Reduced”: in a smaller run than the paper's, so that it supports or questions the claim, and settles nothing.",
        [["claim"], ["where"], ["measured here"], ["verdict"], ["chart"]], rows, { class: "claims" })) : null;
  }

  return { section };
})();
