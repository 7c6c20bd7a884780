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
    const state = { problem: names[0], t: 0, playing: false, speed: 20, scale: 1, start: null, arrows: false, hidden: new Set() };
    const view = build(section, names, state);
    const plane = Plane.make(view.plane);
    let current = null, last = null;

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
        f: Problems.make(name, Data.root.moons), window: window_, minimum, lines, moved, steps: Math.max(...lines.map((l) => l.points.length - 1), 1),
        gone: moved ? runs.filter((r) => !Rules.has(r.method)).map((r) => r.method) : [],
      };
      view.time.max = current.steps;
    }

    function ground() {
      plane.ground(current.f.value, current.window, current.minimum);
      const [x, y] = plane.to(state.start);
      Object.assign(view.start.style, { left: `${x}px`, top: `${y}px` });
    }

    const shown = () => current.lines.filter((l) => !state.hidden.has(l.name));

    function frame() {
      plane.paths(shown().map((l) => ({ ...l, color: Palette.color(l.name), dash: Palette.dash(l.name) })), state.t);
      if (state.arrows) plane.arrows(Velocity.arrows(current, state));
      view.time.value = Math.floor(state.t);
      view.time.setAttribute("aria-valuetext", `step ${Math.floor(state.t)} of ${current.steps}`);
      view.at.textContent = `step ${Math.floor(state.t)} of ${current.steps}`;
    }

    /** In words, when nothing moves. */
    function tell() {
      const at = (l) => l.points[Math.min(Math.floor(state.t), l.points.length - 1)];
      const order = shown().map((l) => ({ name: l.name, f: current.f.value(at(l)) })).filter((l) => Number.isFinite(l.f)).sort((a, b) => a.f - b.f);
      const out = shown().filter((l) => !inside(at(l), current.window)).map((l) => l.name);
      view.told.textContent = `Step ${Math.floor(state.t)} of ${current.steps}. Lowest: `
        + `${order.slice(0, 3).map((l) => `${l.name} ${Data.short(l.f)}`).join(", ") || "none"}.`
        + (out.length ? ` Outside of the picture: ${out.join(", ")}.` : "")
        + (current.gone.length ? ` Not computed in the page, and so only there from the recorded start: ${current.gone.join(", ")}.` : "");
    }

    const still = () => { frame(); tell(); };
    const fresh = (t) => { load(); state.t = t ?? Math.min(state.t, current.steps); ground(); still(); };

    function play(on) {
      state.playing = on;
      view.play.textContent = on ? "Pause" : "Play";
      if (!on) { tell(); return; }
      if (state.t >= current.steps) state.t = 0;
      last = null;
      requestAnimationFrame(tick);
    }

    function tick(now) {
      if (!state.playing) return;
      last ??= now;
      state.t = Math.min(state.t + ((now - last) / 1000) * state.speed, current.steps);
      last = now;
      frame();
      if (state.t >= current.steps) play(false);
      else requestAnimationFrame(tick);
    }

    const seek = (t) => { state.playing = false; view.play.textContent = "Play"; state.t = Math.max(0, Math.min(t, current.steps)); still(); };

    /** Chips for the methods of this problem. */
    function legend() {
      view.legend.replaceChildren(Experiment.legend(current.lines.map((l) => l.name), state.hidden, still));
    }

    function choose(name) {
      Object.assign(state, { problem: name, start: null, scale: 1, playing: false });
      view.scale.value = 0;
      view.scaled.textContent = "× 1";
      view.play.textContent = "Play";
      load();
      state.hidden = new Set(current.lines.filter((l) => !FIRST.includes(l.name)).map((l) => l.name));
      legend();
      fresh(current.steps);
    }

    view.on({ play: () => play(!state.playing), seek, step: (d) => seek(Math.floor(state.t) + d), choose,
      speed: (v) => { state.speed = Number(v); }, arrows: (on) => { state.arrows = on; still(); },
      scale: (v) => { state.scale = v; fresh(); }, reset: () => choose(state.problem),
      move: (p) => { state.start = p; fresh(); }, from: (x, y) => plane.from(x, y), start: () => state.start, window: () => current.window });
    Dom.lazily(view.plane, () => { if (current) { ground(); still(); } else choose(state.problem); });
    new ResizeObserver(() => current && (ground(), frame())).observe(view.plane);
    section.animation = {
      seek, play: () => play(true), pause: () => play(false), choose: (name) => choose(name),
      get step() { return state.t; }, get problem() { return state.problem; },
      ends: () => Object.fromEntries(current.lines.map((l) => [l.name, l.points[Math.min(Math.floor(state.t), l.points.length - 1)]])),
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
    const [at, scaled] = [el("output", { class: "unit" }), el("output", { class: "unit" }, "× 1")];
    const start = el("button", { type: "button", class: "start", "aria-label": "Start of all methods: drag it, or move it with the arrow keys" });
    const plane = el("div", { class: "plane" });
    const told = el("p", { class: "note", "aria-live": "polite" });
    const legend = el("div");
    const view = { play, time, scale, at, scaled, start, plane, told, legend };
    view.on = (act) => {
      play.onclick = act.play;
      back.onclick = () => act.step(-1);
      forth.onclick = () => act.step(1);
      reset.onclick = act.reset;
      time.oninput = () => act.seek(Number(time.value));
      scale.oninput = () => { const v = 10 ** Number(scale.value); scaled.textContent = `× ${Data.short(Number(v.toPrecision(2)))}`; act.scale(Number(scale.value) === 0 ? 1 : v); };
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
      controls, second, plane, told, legend);
    plane.append(start);
    return view;
  }

  function drag(start, plane, act) {
    const move = (event) => {
      const r = plane.getBoundingClientRect();
      act.move(act.from(Math.max(0, Math.min(event.clientX - r.left, r.width)), Math.max(0, Math.min(event.clientY - r.top, r.height))));
    };
    start.addEventListener("pointerdown", (event) => { start.setPointerCapture(event.pointerId); start.dragged = true; });
    start.addEventListener("pointermove", (event) => { if (start.dragged) move(event); });
    start.addEventListener("pointerup", () => { start.dragged = false; });
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
