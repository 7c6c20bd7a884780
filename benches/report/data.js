// What was measured: the JSON of the page, and what is read off it.
const Data = (() => {
  "use strict";
  const root = JSON.parse(document.getElementById("data").textContent);
  const results = root.results;

  const axes = {
    updates: { label: "updates", of: (p) => p.update },
    passes: { label: "passes over the data", of: (p) => p.passes ?? p.epoch },
    gradients: { label: "gradients evaluated", of: (p) => p.gradient_evaluations },
    seconds: { label: "seconds of training", of: (p) => p.seconds },
  };
  const measures = {
    squared_error: { label: "squared error per image", of: (p) => p.squared_error },
    train_loss: { label: "training loss", of: (p) => p.train_loss },
    test_error: { label: "test error (%)", of: (p) => (p.test_error === undefined ? undefined : 100 * p.test_error) },
    test_loss: { label: "test loss", of: (p) => p.test_loss },
    condition: { label: "condition number", of: (p) => p.condition },
    value: { label: "f", of: (p) => p.value },
    step: { label: "length of the step", of: (p) => p.step },
  };

  const has = (experiment, of) => experiment.runs.some((run) => run.points.some((p) => Number.isFinite(of(p))));

  /** The runs of every method, in the order in which they came. */
  function byMethod(experiment) {
    const groups = new Map();
    for (const run of experiment.runs) {
      if (!groups.has(run.method)) groups.set(run.method, []);
      groups.get(run.method).push(run);
    }
    return groups;
  }

  /** Median, least and greatest of the finite ones; null if there are none. */
  function stat(values) {
    const v = values.filter(Number.isFinite).sort((a, b) => a - b);
    if (v.length === 0) return null;
    const [low, high] = [v[(v.length - 1) >> 1], v[v.length >> 1]];
    return { median: low === high ? low : 0.5 * low + 0.5 * high, min: v[0], max: v[v.length - 1] };
  }

  /** Those that did not fail; if all did, all, as far as they came. */
  function sound(runs) {
    const whole = runs.filter((run) => !run.failed);
    return whole.length ? whole : runs;
  }

  /** The curve of a method: the k-th point of every seed belongs together. */
  function curve(runs, axis, measure) {
    const used = sound(runs);
    const length = Math.min(...used.map((run) => run.points.length));
    const points = [];
    for (let k = 0; k < length; k++) {
      const x = stat(used.map((run) => axis.of(run.points[k])));
      const y = stat(used.map((run) => measure.of(run.points[k])));
      if (x && y) points.push({ x: x.median, y: y.median, min: y.min, max: y.max });
    }
    return points;
  }

  /** What a method ended with; null if all of its runs failed. */
  function final(runs, measure) {
    const whole = runs.filter((run) => !run.failed && run.points.length);
    return stat(whole.map((run) => measure.of(run.points[run.points.length - 1])));
  }

  /** The measure that an experiment is judged by. */
  function main(experiment) {
    const order = ["squared_error", "test_error", "train_loss", "condition", "value", "step"];
    return order.find((name) => has(experiment, measures[name].of));
  }

  const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
  const lines = (rows) => rows.map((row) => row.join(",")).join("\n") + "\n";

  /** Columns of a point: its numbers, and those within its lists and parts. */
  const parts = {
    x: ["x0", "x1"], percentiles: ["percentile_15", "percentile_50", "percentile_85"], rate: ["predicted", "online", "found"],
  };
  function columns(experiment) {
    const points = experiment.runs.flatMap((run) => run.points);
    const fields = ["update", "epoch", "seconds", "gradient_evaluations", "passes", "train_loss", "test_loss", "test_error",
      "squared_error", "condition", "step", "value"];
    const used = fields.filter((name) => points.some((p) => name in p)).map((name) => [name, (p) => p[name]]);
    for (const [field, names] of Object.entries(parts).filter(([field]) => points.some((p) => p[field]))) {
      used.push(...names.map((name, k) => [name, (p) => p[field]?.[k] ?? p[field]?.[name]]));
    }
    const depth = Math.max(0, ...points.map((p) => p.layer_gradients?.length ?? 0));
    for (let k = 0; k < depth; k++) used.push([`gradient_of_layer_${k}`, (p) => p.layer_gradients?.[k]]);
    return used;
  }

  /** One line for each point of each run; what is said of the run, in each of its lines. */
  function csv(experiment) {
    const used = columns(experiment);
    const own = { loss_times: (r) => r.units?.loss, parameters_times: (r) => r.units?.parameter, ratio: (r) => r.units?.ratio,
      verdict: (r) => r.units?.verdict, failed: (r) => r.failed && quoted(r.failed) };
    const told = Object.entries(own).filter(([, of]) => experiment.runs.some((run) => of(run) !== undefined));
    const rows = experiment.runs.flatMap((run) => run.points.map((p) => [
      quoted(run.method), run.seed, ...used.map(([, of]) => of(p) ?? ""), ...told.map(([, of]) => of(run) ?? ""),
    ]));
    return lines([["method", "seed", ...[...used, ...told].map(([name]) => name)], ...rows]);
  }

  /** One line for each value that was tried. */
  function tried(experiment) {
    const rows = (experiment.search ?? []).flatMap((s) => s.tried.map((t) => [quoted(s.method), quoted(s.key), t.value, t.loss ?? ""]));
    return lines([["method", "key", "value", "validation_loss"], ...rows]);
  }

  /** A number in four digits. */
  function short(v) {
    if (!Number.isFinite(v)) return "–";
    if (v === 0) return "0";
    const size = Math.abs(v);
    if (size >= 1e-3 && size < 1e5) return Number(v.toPrecision(4)).toString();
    return v.toExponential(2).replace("e+", "e");
  }

  const duration = (s) => (s < 1e-3 ? `${short(1e6 * s)} µs` : s < 1 ? `${short(1e3 * s)} ms` : `${short(s)} s`);
  const family = (method) => root.methods[method]?.family ?? "other";

  return { root, results, axes, measures, has, byMethod, stat, sound, curve, final, main, csv, tried, short, duration, family };
})();
