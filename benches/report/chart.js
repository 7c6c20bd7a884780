// Curves, by uPlot: one set of options for all of them.
const Chart = (() => {
  "use strict";
  const { el } = Dom;

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** What uPlot is given of the values, and back: of a log axis the exponents; of enormous and tiny ones a part, as it has no ticks for 1e300. */
  function units(values, log) {
    if (log) return { log, fits: (v) => Number.isFinite(v) && v > 0, to: Math.log10, from: (v) => 10 ** v };
    const most = values.reduce((most, v) => (Number.isFinite(v) ? Math.max(most, Math.abs(v)) : most), 0);
    const unit = most >= 1e12 || (most > 0 && most < 1e-9) ? 10 ** Math.max(Math.floor(Math.log10(most)), -300) : 1;
    return { log, fits: Number.isFinite, to: (v) => v / unit, from: (v) => v * unit };
  }

  const spread = (p) => [p.y, p.max ?? p.y, p.min ?? p.y];

  /** Every x of every series, and the values of each there; null where it has none that fits. */
  function align(series, x, y) {
    const xs = [...new Set(series.flatMap((s) => s.points.map((p) => p.x)).filter(x.fits).map(x.to))].sort((a, b) => a - b);
    const place = new Map(xs.map((x, i) => [x, i]));
    const columns = series.flatMap((s) => {
      const all = [0, 1, 2].map(() => new Array(xs.length).fill(undefined));
      for (const p of s.points.filter((p) => x.fits(p.x))) {
        spread(p).forEach((v, k) => { all[k][place.get(x.to(p.x))] = y.fits(v) ? y.to(v) : null; });
      }
      return all;
    });
    return [xs, ...columns];
  }

  /** Multiples of 1, 2 or 5 times a power of ten, `gap` apart or more, unless fewer than three would be left. */
  function even(low, high, gap) {
    const power = 10 ** Math.floor(Math.log10(gap));
    const step = power * [1, 2, 5, 10].find((m) => m * power >= gap * (1 - 1e-9));
    const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
    if (last - first < 2 && high > low) return even(low, high, Math.min(gap, high - low) * 0.6);
    return Array.from({ length: Math.max(last - first + 1, 0) }, (_, k) => (first + k) * step);
  }

  /** Between two exponents: as many of 1 to 9 times the powers of ten as have room, else every k-th power; at least three, if need be others. */
  function decades(low, high, gap) {
    const powers = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, k) => Math.floor(low) + k);
    const enough = (ticks) => ticks.length >= 3 && ticks.every((v, k) => k === 0 || v - ticks[k - 1] >= gap);
    for (const digits of [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1, 3], [1]]) {
      const ticks = powers.flatMap((k) => digits.map((d) => k + Math.log10(d))).filter((v) => v >= low - 1e-9 && v <= high + 1e-9);
      if (enough(ticks)) return ticks;
    }
    if (high - low > 2) return even(low, high, Math.max(gap, 1));
    const [least, most] = [10 ** low, 10 ** high];
    return even(least, most, (most - least) * Math.min(gap / (high - low), 1 / 3)).map(Math.log10);
  }

  /** Outwards to 1, 2 or 5 times a power of ten: the ends of a log axis have labels. */
  function outwards(low, high) {
    const steps = (v) => [1, 2, 5, 10].map((m) => Math.floor(v) + Math.log10(m));
    const ends = (low, high) => [steps(low).findLast((v) => v <= low + 1e-9), steps(high).find((v) => v >= high - 1e-9)];
    const found = ends(low, high);
    return found[0] < found[1] ? found : ends(low - 0.1, high + 0.1);
  }

  /** Labels of ticks, all different. */
  function labels(values) {
    const brief = values.map((v) => Data.short(v).replace(/\.?0+e/, "e"));
    return new Set(brief).size === brief.length ? brief : values.map((v) => String(Number(v.toPrecision(12))));
  }

  /** `space`: pixels from one label to the next, at least. */
  function axis(label, unit, size, space) {
    const line = { stroke: css("--line"), width: 1 };
    let length = 1;
    return {
      label, labelSize: 18, size, stroke: css("--fg"), grid: line, ticks: line, font: "12px system-ui", labelFont: "12px system-ui", space,
      // uPlot's own ticks know neither many decades nor few: an increment that it takes, and ours instead.
      incrs: (_, __, low, high, pixels) => { length = pixels; return [Math.max(5, high - low)]; },
      splits: (_, __, low, high) => (unit.log ? decades : even)(low, high, (space * (high - low)) / length),
      values: (_, splits) => labels(splits.map(unit.from)),
    };
  }

  /**
   * Draws into `box`. `spec`: series [{ name, color, dash, points [{x, y, min, max}] }], x and y (labels), logX, logY, height;
   * exact: points that were tried, with no value between them; higher: what is higher is better;
   * ranges { x, y }: the least and the greatest that the axes reach at least, if several charts are to have one scale.
   * Returns what can hide a series.
   */
  function lines(box, spec) {
    box.plot?.destroy();
    box.querySelector(".readout")?.remove();
    const points = spec.series.flatMap((s) => s.points);
    const x = units([...points.map((p) => p.x), ...(spec.ranges?.x ?? [])], spec.logX);
    const y = units([...points.flatMap(spread), ...(spec.ranges?.y ?? [])], spec.logY);
    const data = align(spec.series, x, y);
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
    const size = () => ({ width: Dom.sheet(Math.max(box.clientWidth, 260), box), height: spec.height ?? 340 });
    const ends = (own, low, high) => (own ? [Math.min(low, own[0]), Math.max(high, own[1])] : [low, high]);
    const given = (range, unit) => (range && range.every(unit.fits) ? range.map(unit.to) : null);
    const [ownX, ownY] = [given(spec.ranges?.x, x), given(spec.ranges?.y, y)];
    const rangeX = (u, low, high) => {
      if (low === null || low === undefined) return ownX ?? [null, null];
      // Of a part that was chosen with the mouse nothing more.
      const [least, most] = low <= data[0][0] && high >= data[0].at(-1) ? ends(ownX, low, high) : [low, high];
      const more = x.log ? 0.3 : Math.abs(least) / 10 || 1;
      return least < most ? [least, most] : [least - more, least + more];
    };
    const rangeY = (u, low, high) => {
      if (low === null || low === undefined) return ownY ?? [null, null];
      const [least, most] = ends(ownY, low, high);
      return y.log ? outwards(least, most) : uPlot.rangeNum(least, most, 0.1, true);
    };
    const plot = new uPlot({
      ...size(), series, bands, legend: { show: false }, focus: { alpha: 0.35 },
      cursor: {
        points: { size: 7 }, dataIdx: (u, k, i) => (k === 0 ? i : value(u, k, here(u, spec), spec.exact)?.index ?? null),
        // The line itself, not the edges of its band; the one that the keys chose, of several in one place.
        focus: {
          prox: 24,
          dist: (u, k, _, __, top) => (k % 3 !== 1 || (u.picked && u.picked !== k) ? Infinity : value(u, k, here(u, spec), spec.exact)?.top - top),
        },
      },
      scales: { x: { time: false, range: rangeX }, y: { range: rangeY } },
      axes: [axis(spec.x, x, 42, 60), axis(spec.y, y, 62, 18)],
      hooks: { setCursor: [(u) => tell(u, spec, readout, x, y)], draw: [(u) => describe(box, u, spec)] },
    }, data, box);
    box.plot = plot;
    box.append(readout);
    if (!box.watched) {
      box.watched = new ResizeObserver(() => box.plot && box.plot.width !== box.size().width && box.plot.setSize(box.size()));
      box.watched.observe(box);
      keyboard(box);
    }
    Object.assign(box, { size, spec });
    describe(box, plot, spec);
    return {
      show: (name, on) => {
        const k = spec.series.findIndex((s) => s.name === name);
        if (k >= 0) [1, 2, 3].forEach((i) => plot.setSeries(3 * k + i, { show: on }));
      },
    };
  }

  /** The colour, nearly transparent. */
  const tint = (color) => color.replace(/^hsl\((.*)\)$/, "hsl($1 / 0.16)");

  /**
   * What a line has at an x: the index of its own point there, or else of the nearest, and how far down the line is.
   * Nothing beyond its ends, save for a pixel; of exact points nothing between them either.
   */
  function value(u, series, i, exact) {
    const [xs, ys] = [u.data[0], u.data[series]];
    const has = (k) => Number.isFinite(ys[k]);
    const top = (y) => u.valToPos(y, "y");
    if (i === null || i === undefined) return null;
    if (has(i)) return { index: i, top: top(ys[i]) };
    let [before, after] = [i, i];
    while (before >= 0 && !has(before)) before--;
    while (after < xs.length && !has(after)) after++;
    const far = (k) => (has(k) ? Math.abs(u.valToPos(xs[k], "x") - u.valToPos(xs[i], "x")) : Infinity);
    const index = far(before) <= far(after) ? before : after;
    if (far(index) <= 1.5) return { index, top: top(ys[index]) };
    if (exact || !has(before) || !has(after)) return null;
    const part = (xs[i] - xs[before]) / (xs[after] - xs[before]);
    return { index, top: top(ys[before] + part * (ys[after] - ys[before])) };
  }

  /** The index of the x that the cursor is at: of exact points one that a line which is shown was tried at, some pixels around. */
  function here(u, spec) {
    const i = u.cursor.idx;
    if (!spec.exact || i === null || i === undefined) return i;
    const far = (k) => Math.abs(u.valToPos(u.data[0][k], "x") - u.cursor.left);
    const any = (k) => spec.series.some((_, n) => u.series[1 + 3 * n].show && Number.isFinite(u.data[1 + 3 * n][k]));
    const tried = u.data[0].map((_, k) => k).filter((k) => far(k) < 24 && any(k));
    return tried.length ? tried.reduce((a, b) => (far(b) < far(a) ? b : a)) : i;
  }

  /** The line that the cursor is nearest to, with the range of its seeds; then the best ones. */
  function tell(u, spec, readout, x, y) {
    const i = here(u, spec);
    readout.replaceChildren();
    if (i === null || i === undefined) return;
    const told = spec.series.flatMap((s, k) => {
      const at = u.series[1 + 3 * k].show ? value(u, 1 + 3 * k, i, spec.exact) : null;
      if (!at) return [];
      const [middle, max, min] = [1, 2, 3].map((e) => u.data[e + 3 * k][at.index]);
      const range = Number.isFinite(min) && Number.isFinite(max) && min < max ? ` (${Data.short(y.from(min))} to ${Data.short(y.from(max))})` : "";
      const far = u.picked === 1 + 3 * k ? -1 : Math.abs(at.top - u.cursor.top);
      return [{ y: middle, text: `${s.name} ${Data.short(y.from(middle))}`, range, far }];
    }).sort((a, b) => (spec.higher ? b.y - a.y : a.y - b.y));
    readout.append(`${spec.x} ${Data.short(x.from(u.data[0][i]))}: `);
    if (!told.length) { readout.append("none"); return; }
    const near = told.reduce((a, b) => (b.far < a.far ? b : a));
    readout.append(el("strong", {}, near.text), near.range);
    if (told.length === 1) return;
    readout.append(`; ${spec.higher ? "highest" : "lowest"}: ${told.slice(0, 6).map((s) => s.text).join(" · ")}${told.length > 6 ? " …" : ""}`);
  }

  /** Arrows left and right go along x, up and down from line to line, Escape leaves. */
  function keyboard(box) {
    let line = null;
    const leave = () => {
      box.plot?.setCursor({ left: -10, top: -10 });
      box.querySelector(".readout")?.setAttribute("aria-live", "off");
    };
    box.addEventListener("blur", leave);
    box.addEventListener("keydown", (event) => {
      const { plot: u, spec } = box, { key } = event;
      if (key === "Escape") box.blur();
      if (!/^(Arrow(Left|Right|Up|Down)|Home|End)$/.test(key) || event.altKey || event.ctrlKey || event.metaKey || !u) return;
      event.preventDefault();
      const shown = spec.series.map((_, k) => 1 + 3 * k).filter((k) => u.series[k].show);
      const [first, last] = u.series[0].idxs ?? [0, -1];
      const stops = u.data[0].map((_, i) => i).slice(first, last + 1).filter((i) => shown.some((k) => Number.isFinite(u.data[k][i])));
      if (!stops.length) return;
      const left = (i) => u.valToPos(u.data[0][i], "x");
      const now = here(u, spec) ?? null;
      // At least some pixels on: curves by seconds have thousands of different x.
      const to = now === null || key === "Home" ? (key === "End" ? stops.at(-1) : stops[0])
        : key === "End" ? stops.at(-1)
          : key === "ArrowRight" ? stops.find((i) => left(i) >= left(now) + 6) ?? stops.at(-1)
            : key === "ArrowLeft" ? stops.findLast((i) => left(i) <= left(now) - 6) ?? stops[0] : now;
      const there = shown.map((k) => ({ k, at: value(u, k, to, spec.exact) })).filter(({ at }) => at).sort((a, b) => b.at.top - a.at.top);
      if (!there.length) return;
      const place = there.findIndex(({ k }) => k === line);
      const step = { ArrowUp: 1, ArrowDown: -1 }[key] ?? 0;
      const chosen = there[place < 0 ? 0 : Math.min(Math.max(place + step, 0), there.length - 1)];
      box.querySelector(".readout").setAttribute("aria-live", "polite");
      line = u.picked = chosen.k;
      u.setCursor({ left: Math.max(left(to), 0), top: Math.max(chosen.at.top, 0) });
      u.picked = null;
    });
  }

  /** In words what is shown now. */
  function describe(box, u, spec) {
    const shown = spec.series.filter((_, k) => u.series[1 + 3 * k].show);
    const ends = shown.map((s) => ({ name: s.name, y: s.points.at(-1)?.y })).filter((s) => Number.isFinite(s.y));
    ends.sort((a, b) => (spec.higher ? b.y - a.y : a.y - b.y));
    const best = ends.slice(0, 3).map((s) => `${s.name} ${Data.short(s.y)}`).join(", ");
    const all = spec.series.length;
    const count = `${shown.length === all ? all : `${shown.length} of ${all}`} ${all === 1 ? "line" : "lines"}`;
    const text = `${spec.y} against ${spec.x}, ${count}. ${spec.higher ? "Highest" : "Lowest"} at the end: ${best || "none"}. `
      + "Arrow keys tell the values.";
    if (box.getAttribute("aria-label") === text) return;
    // An application, so that it gets the arrow keys from those who can't see it.
    const attributes = { role: "application", "aria-roledescription": "chart", tabindex: "0", "aria-label": text };
    for (const [name, value] of Object.entries(attributes)) box.setAttribute(name, value);
  }

  return { lines, css };
})();
