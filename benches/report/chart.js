// Curves, by uPlot: one set of options for all of them.
const Chart = (() => {
  "use strict";
  const { el } = Dom;

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** Every x of every series, and the values of each there; null where it has none, or none that fits. */
  function align(series, logX, logY) {
    const fits = (v, log) => Number.isFinite(v) && (!log || v > 0);
    const xs = [...new Set(series.flatMap((s) => s.points.map((p) => p.x)))].filter((x) => fits(x, logX)).sort((a, b) => a - b);
    const place = new Map(xs.map((x, i) => [x, i]));
    const columns = series.flatMap((s) => {
      const all = [0, 1, 2].map(() => new Array(xs.length).fill(undefined));
      for (const p of s.points) {
        const i = place.get(p.x);
        if (i === undefined) continue;
        [p.y, p.max ?? p.y, p.min ?? p.y].forEach((v, k) => { all[k][i] = fits(v, logY) ? v : null; });
      }
      return all;
    });
    return [xs, ...columns];
  }

  function axis(label, log, size) {
    const line = { stroke: css("--line"), width: 1 };
    return {
      label, labelSize: 18, size, stroke: css("--fg"), grid: line, ticks: line, font: "12px system-ui", labelFont: "12px system-ui",
      values: (_, splits) => splits.map((v) => (v === null || (log && Math.abs(Math.log10(v) % 1) > 1e-9 && splits.length > 8) ? "" : Data.short(v))),
    };
  }

  /**
   * Draws into `box`. `spec`: series [{ name, color, dash, points [{x, y, min, max}] }], x and y (labels), logX, logY, height.
   * Returns what can hide a series.
   */
  function lines(box, spec) {
    box.plot?.destroy();
    box.querySelector(".readout")?.remove();
    const data = align(spec.series, spec.logX, spec.logY);
    const series = [{}], bands = [];
    spec.series.forEach((s, k) => {
      const at = 1 + 3 * k, color = s.color ?? Palette.color(s.name);
      const common = { spanGaps: true, points: { show: s.points.length < 2 }, show: s.show !== false };
      series.push({ ...common, label: s.name, stroke: color, width: 2, dash: s.dash ?? Palette.dash(s.name) });
      for (const edge of ["greatest", "least"]) {
        series.push({ ...common, label: `${s.name} ${edge}`, stroke: "transparent", points: { show: false } });
      }
      bands.push({ series: [at + 1, at + 2], fill: tint(color) });
    });
    const readout = el("div", { class: "readout", "aria-live": "off" });
    const size = () => ({ width: Math.max(box.clientWidth, 260), height: spec.height ?? 340 });
    const distr = (log) => (log ? { distr: 3, log: 10 } : {});
    const plot = new uPlot({
      ...size(), series, bands, legend: { show: false }, cursor: { points: { size: 7 }, focus: { prox: 24 } }, focus: { alpha: 0.35 },
      scales: { x: { time: false, ...distr(spec.logX) }, y: distr(spec.logY) },
      axes: [axis(spec.x, spec.logX, 42), axis(spec.y, spec.logY, 62)],
      hooks: { setCursor: [(u) => tell(u, spec, readout)] },
    }, data, box);
    box.plot = plot;
    box.append(readout);
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", describe(spec));
    if (!box.watched) {
      box.watched = new ResizeObserver(() => box.plot && box.plot.width !== size().width && box.plot.setSize(size()));
      box.watched.observe(box);
    }
    return {
      show: (name, on) => {
        const k = spec.series.findIndex((s) => s.name === name);
        if (k >= 0) [1, 2, 3].forEach((i) => plot.setSeries(3 * k + i, { show: on }));
      },
    };
  }

  /** The colour, nearly transparent. */
  const tint = (color) => color.replace(/^hsl\((.*)\)$/, "hsl($1 / 0.16)");

  function tell(u, spec, readout) {
    const i = u.cursor.idx;
    if (i === null || i === undefined) { readout.textContent = ""; return; }
    const told = spec.series.map((s, k) => ({ name: s.name, y: nearest(u.data[1 + 3 * k], i), on: u.series[1 + 3 * k].show }))
      .filter((s) => s.on && Number.isFinite(s.y)).sort((a, b) => a.y - b.y);
    const shown = told.slice(0, 6).map((s) => `${s.name} ${Data.short(s.y)}`).join(" · ");
    readout.textContent = `${spec.x} ${Data.short(u.data[0][i])}: ${shown}${told.length > 6 ? " …" : ""}`;
  }

  /** The value here, or the last one before. */
  function nearest(column, i) {
    for (let k = i; k >= 0; k--) if (Number.isFinite(column[k])) return column[k];
    return undefined;
  }

  function describe(spec) {
    const ends = spec.series.map((s) => ({ name: s.name, y: s.points.at(-1)?.y })).filter((s) => Number.isFinite(s.y));
    ends.sort((a, b) => a.y - b.y);
    const best = ends.slice(0, 3).map((s) => `${s.name} ${Data.short(s.y)}`).join(", ");
    return `${spec.y} against ${spec.x}, ${spec.series.length} lines. Lowest at the end: ${best || "none"}.`;
  }

  return { lines, css };
})();
