// The deck's visualization (after A. Radford): all methods start together and run over the contour lines.
const Animation = (() => {
  "use strict";
  const { el, select, toggle } = Dom;
  const TITLES = {
    beale: "Beale's function", valley: "the long valley", saddle: "the saddle", rosenbrock: "Rosenbrock's function",
    moons: "two moons, by minibatches (noisy)",
  };

  /** The hyper-parameter that the slider multiplies. */
  const rate = (hyper) => ["lr", "step0"].find((key) => typeof hyper[key] === "number");

  function mount(section, experiments) {
    const names = Object.keys(TITLES).filter((name) => experiments.some((e) => e.name.endsWith(`-${name}`)));
    const state = { problem: names[0], t: 0, playing: false, speed: 20, scale: 1, start: null, arrows: false };
    // By name, and so kept over another function.
    state.hidden = new Set(experiments.flatMap((e) => e.runs.map((r) => r.method)).filter((name) => !FIRST.includes(name)));
    const view = build(section, names, state);
    const plane = Plane.make(view.plane);
    let current = null, last = null, said = 0, loop = 0;

    /** Everything that the problem, its start and the rates decide. */
    function load() {
      const name = state.problem;
      const { start, window: window_, minimum } = Data.root.planes[name];
      state.start ??= start;
      const own = experiments.filter((e) => e.name.endsWith(`-${name}`)).flatMap((e) => e.runs);
      const moved = state.scale !== 1 || state.start.some((v, i) => v !== start[i]);
      const runs = [...new Map(own.map((run) => [run.method, run])).values()];
      const steps = Math.max(...runs.filter((r) => Rules.has(r.method)).map((r) => r.points.length - 1), 1);
      const lines = runs.filter((r) => r.points.length > 1 && (!moved || Rules.has(r.method))).map((run) => ({
        name: run.method, run, points: moved ? compute(run, name, state, steps) : run.points.map((p) => p.x).filter(Boolean),
      }));
      current = {
        f: Problems.make(name, Data.root.moons), window: window_, minimum, lines, moved, failed: runs.filter((r) => r.failed),
        gone: moved ? runs.filter((r) => r.points.length > 1 && !Rules.has(r.method)).map((r) => r.method) : [],
      };
      measure();
    }

    /** The last step is that of the longest method that is shown: one that is hidden would leave steps in which nothing moves. */
    function measure() {
      const seen = shown().length ? shown() : current.lines;
      current.steps = Math.max(...seen.map(reach), 1);
      view.time.max = current.steps;
    }

    function ground() {
      plane.ground(current.f.value, current.window, current.minimum);
      const [x, y] = plane.to(state.start);
      Object.assign(view.start.style, { left: `${x}px`, top: `${y}px` });
    }

    const shown = () => current.lines.filter((l) => !state.hidden.has(l.name));
    const reach = (l) => l.points.length - 1;

    function frame() {
      plane.paths(shown().map((l) => ({ ...l, color: Palette.color(l.name), dash: Palette.dash(l.name) })), state.t);
      if (state.arrows) plane.arrows(Velocity.arrows(current, state));
      view.time.value = Math.floor(state.t);
      view.time.setAttribute("aria-valuetext", `step ${Math.floor(state.t)} of ${current.steps}`);
      view.at.textContent = `step ${Math.floor(state.t)} of ${current.steps}`;
    }

    /** In words; while it plays they are not read out. */
    function tell() {
      view.told.setAttribute("aria-live", state.playing ? "off" : "polite");
      const t = Math.floor(state.t);
      const at = (l) => l.points[Math.min(t, reach(l))];
      const ended = (l) => (reach(l) < t ? ` (ended at step ${reach(l)})` : "");
      const order = shown().map((l) => ({ l, f: current.f.value(at(l)) })).filter(({ f }) => Number.isFinite(f)).sort((a, b) => a.f - b.f);
      const out = shown().filter((l) => !inside(at(l), current.window)).map((l) => l.name + ended(l));
      const gone = current.gone.filter((name) => !state.hidden.has(name));
      view.told.textContent = `Step ${t} of ${current.steps}. Lowest: `
        + `${order.slice(0, 3).map(({ l, f }) => `${l.name} ${Data.short(f)}${ended(l)}`).join(", ") || "none"}.`
        + (out.length ? ` Outside of the picture: ${out.join(", ")}.` : "")
        + (gone.length ? ` Not computed in the page, and so only there from the recorded start: ${gone.join(", ")}.` : "");
    }

    const still = () => { frame(); tell(); };
    /** Over a change of the last step the end stays the end. */
    function keep(change) {
      const end = state.t >= current.steps;
      change();
      state.t = end ? current.steps : Math.min(state.t, current.steps);
    }
    const fresh = () => { keep(load); ground(); still(); };
    const toggled = () => { keep(measure); still(); };

    /** Methods without a path, or with a part of one, and why. */
    function refused() {
      const of = (drawn) => current.failed.filter((r) => r.points.length > 1 === drawn).map((r) => `${r.method}, refused: ${r.failed}`).join("; ");
      const texts = [["Not drawn", of(false)], ["Drawn as far as it came", of(true)]].filter(([, text]) => text);
      view.refused.textContent = texts.map(([head, text]) => `${head}: ${text}.`).join(" ");
      view.refused.hidden = !texts.length;
    }

    function play(on) {
      state.playing = on;
      view.play.textContent = on ? "Pause" : "Play";
      if (!on) { tell(); return; }
      if (state.t >= current.steps) state.t = 0;
      last = null;
      next();
    }

    /** At most one frame is asked for, however often Play was clicked. */
    function next() {
      cancelAnimationFrame(loop);
      loop = requestAnimationFrame(tick);
    }

    function tick(now) {
      if (!state.playing) return;
      last ??= now;
      state.t = Math.min(state.t + ((now - last) / 1000) * state.speed, current.steps);
      last = now;
      frame();
      if (state.t >= current.steps) { play(false); return; }
      if (now - said > 250) { said = now; tell(); }
      next();
    }

    const seek = (t) => { state.playing = false; view.play.textContent = "Play"; state.t = Math.max(0, Math.min(t, current.steps)); still(); };

    /** Chips for the methods of this problem. */
    function legend() {
      view.legend.replaceChildren(Experiment.legend(current.lines.map((l) => l.name), state.hidden, toggled));
    }

    function choose(name) {
      Object.assign(state, { problem: name, start: null, scale: 1, playing: false });
      view.scale.value = 0;
      view.say(1);
      view.play.textContent = "Play";
      load();
      legend();
      refused();
      state.t = current.steps;
      ground();
      still();
    }

    view.on({ play: () => play(!state.playing), seek, step: (d) => seek(Math.floor(state.t) + d), choose,
      speed: (v) => { state.speed = Number(v); }, arrows: (on) => { state.arrows = on; still(); },
      scale: (v) => { state.scale = v; fresh(); }, reset: () => choose(state.problem),
      move: (p) => { state.start = p.map((v, i) => Math.max(current.window[i][0], Math.min(v, current.window[i][1]))); fresh(); },
      from: plane.from, to: plane.to, start: () => state.start, window: () => current.window });
    Dom.lazily(view.plane, () => { if (current) { ground(); still(); } else choose(state.problem); });
    new ResizeObserver(() => current && (ground(), frame())).observe(view.plane);
    section.animation = {
      seek, play: () => play(true), pause: () => play(false), choose: (name) => choose(name),
      get step() { return state.t; }, get problem() { return state.problem; },
      get steps() { return current.steps; }, get start() { return state.start; },
      ends: () => Object.fromEntries(current.lines.map((l) => [l.name, l.points[reach(l)]])),
    };
  }

  /** Shown first: those of the deck's pictures. */
  const FIRST = ["sgd", "momentum", "nag", "adagrad", "adadelta", "rmsprop", "adam", "newton", "lbfgs"];

  const inside = ([x, y], [[x0, x1], [y0, y1]]) => x >= x0 && x <= x1 && y >= y0 && y <= y1;

  function compute(run, name, { start, scale }, steps) {
    const key = rate(run.hyper);
    const rule = Rules.make(run.method, key ? { ...run.hyper, [key]: run.hyper[key] * scale } : run.hyper);
    const f = Problems.make(name, Data.root.moons);
    const points = [start];
    while (points.length <= steps) {
      const x = rule.step(f, points[points.length - 1]);
      if (!x.every(Number.isFinite)) break;
      points.push(x);
    }
    return points;
  }

  /** The elements, and what calls whom. */
  function build(section, names, state) {
    const button = (text) => el("button", { type: "button" }, text);
    const play = button("Play"), back = button("Step back"), forth = button("Step forward"), reset = button("Reset");
    const time = el("input", { type: "range", min: "0", max: "1", value: "0", step: "1" });
    const scale = el("input", { type: "range", min: "-1", max: "1", value: "0", step: "0.05" });
    // Silent: what the sliders have in aria-valuetext need not be read out twice.
    const [at, scaled] = [0, 1].map(() => el("output", { class: "unit", "aria-live": "off" }));
    const start = el("button", { type: "button", class: "start", "aria-label": "Start of all methods: drag it, or move it with the arrow keys" });
    const plane = el("div", { class: "plane" });
    const told = el("p", { class: "note", "aria-live": "polite" });
    const refused = el("p", { class: "note", hidden: true });
    const legend = el("div");
    const view = { play, time, scale, at, start, plane, told, refused, legend };
    view.say = (v) => { scaled.textContent = `× ${Data.short(Number(v.toPrecision(2)))}`; scale.setAttribute("aria-valuetext", scaled.textContent); };
    view.say(1);
    view.on = (act) => {
      play.onclick = act.play;
      back.onclick = () => act.step(-1);
      forth.onclick = () => act.step(1);
      reset.onclick = act.reset;
      time.oninput = () => act.seek(Number(time.value));
      scale.oninput = () => { const v = 10 ** Number(scale.value); view.say(v); act.scale(Number(scale.value) === 0 ? 1 : v); };
      drag(start, plane, act);
      controls.prepend(select("function", names.map((n) => [n, TITLES[n]]), state.problem, act.choose));
      second.append(select("speed", [["5", "slow"], ["20", "usual"], ["60", "fast"]], "20", act.speed),
        toggle("arrows: NAG against momentum", false, act.arrows));
    };
    const controls = el("div", { class: "controls" }, play, back, forth, el("label", {}, "time", time), at);
    const second = el("div", { class: "controls" }, el("label", {}, "learning rates", scale), scaled, reset);
    section.append(el("h2", { id: "trajectories-title" }, "The deck's animation"),
      el("p", { class: "deck" }, el("strong", {}, "The deck: "), "momentum and NAG shoot off on Beale's function; SGD is slow along the valley and stuck at "
        + "the saddle, which the adaptive methods leave at once."),
      controls, second, plane, told, refused, legend);
    plane.append(start);
    return view;
  }

  function drag(start, plane, act) {
    const place = (event) => {
      const r = plane.getBoundingClientRect();
      return [event.clientX - r.left - plane.clientLeft, event.clientY - r.top - plane.clientTop];
    };
    // Where the start was taken, from its middle: it does not jump under the finger.
    let held = null;
    start.addEventListener("pointerdown", (event) => {
      start.setPointerCapture(event.pointerId);
      const middle = act.to(act.start());
      held = place(event).map((v, i) => v - middle[i]);
    });
    start.addEventListener("pointermove", (event) => { if (held) act.move(act.from(...place(event).map((v, i) => v - held[i]))); });
    for (const end of ["pointerup", "pointercancel"]) start.addEventListener(end, () => { held = null; });
    start.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!by) return;
      event.preventDefault();
      const window_ = act.window();
      act.move(act.start().map((v, i) => v + (by[i] * (window_[i][1] - window_[i][0])) / 50));
    });
  }

  return { mount, rate };
})();

// The deck's "NAG against momentum": what a step is made of.
const Velocity = (() => {
  "use strict";

  /** At the step that is shown: the momentum's part, the gradient's part, and the step. */
  function arrows(current, state) {
    return ["momentum", "nag"].flatMap((name) => {
      const line = current.lines.find((l) => l.name === name && !state.hidden.has(name));
      const t = Math.floor(state.t);
      if (!line || t + 1 >= line.points.length) return [];
      const [x, next] = [line.points[t], line.points[t + 1]];
      const before = line.points[t - 1] ?? x;
      // x − (μv + αg): the momentum's part goes on as the last step went.
      const mu = line.run.hyper.momentum;
      const ahead = x.map((v, i) => v + mu * (v - before[i]));
      const color = Palette.color(name);
      const gradient = name === "nag" ? "−α∇f there" : "−α∇f here";
      return [[x, ahead, color, `${name}: μv`, "right"], [ahead, next, color, gradient, "left"]];
    });
  }

  return { arrows };
})();
