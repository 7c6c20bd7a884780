// The elementwise rules of opt-firstorder once more, line by line, in double precision: for paths whose start or learning
// rate is moved in the page. test/rules.mjs holds every one of them to `trace`.
const Rules = (() => {
  "use strict";
  const sign = (v) => (v > 0 ? 1 : v < 0 ? -1 : 0);
  const ratio = (n, d) => (d === 0 ? 0 : n / d);
  const choose = (agreement, positive, negative, zero) => (agreement > 0 ? positive : agreement < 0 ? negative : zero);
  const next = (h, step, agreement) => choose(agreement, Math.min(step * h.grow, h.step_max), Math.max(step * h.shrink, h.step_min), step);

  // Each: the slots at the start, the decays that are corrected for, and one element's move, x and slots to x and slots.
  const zero = (n) => () => new Array(n).fill(0);
  const all = {
    sgd: { slots: zero(0), move: (h, x, g) => [x - h.lr * (g + h.weight_decay * x)] },
    momentum: {
      slots: zero(1),
      move: (h, x, g, [v]) => { v = h.momentum * v + h.lr * (g + h.weight_decay * x); return [x - v, v]; },
    },
    // g is that of the look-ahead point.
    nag: {
      slots: zero(1),
      ahead: (h, x, [v]) => x - h.momentum * v,
      move: (h, x, g, [v]) => {
        v = h.momentum * v + h.lr * (g + h.weight_decay * (x - h.momentum * v));
        return [x - v, v];
      },
    },
    nesterov: {
      slots: zero(1),
      move: (h, x, g, [b]) => {
        g = g + h.weight_decay * x;
        b = h.momentum * b + g;
        return [x - h.lr * (g + h.momentum * b), b];
      },
    },
    "rprop-minus": {
      slots: (h) => [h.step0, 0],
      move: (h, x, g, [step, before]) => {
        g = g + h.weight_decay * x;
        step = next(h, step, sign(g) * sign(before));
        return [x - sign(g) * step, step, g];
      },
    },
    "irprop-minus": {
      slots: (h) => [h.step0, 0],
      move: (h, x, g, [step, before]) => {
        g = g + h.weight_decay * x;
        const agreement = sign(g) * sign(before);
        step = next(h, step, agreement);
        g = agreement < 0 ? 0 : g;
        return [x - sign(g) * step, step, g];
      },
    },
    "rprop-plus": {
      slots: (h) => [h.step0, 0, 0],
      move: (h, x, g, [step, before, delta]) => {
        g = g + h.weight_decay * x;
        const agreement = sign(g) * sign(before);
        step = next(h, step, agreement);
        [delta, g] = agreement < 0 ? [-delta, 0] : [-sign(g) * step, g];
        return [x + delta, step, g, delta];
      },
    },
    "irprop-plus": {
      slots: (h) => [h.step0, 0, 0],
      move: (h, x, g, [step, before, delta], t) => {
        const agreement = sign(g) * sign(before);
        step = next(h, step, agreement);
        [delta, g] = agreement < 0 ? [(t.rose ? -1 : 0) * delta, 0] : [-sign(g) * step, g];
        return [x + delta, step, g, delta];
      },
    },
    manhattan: { slots: zero(0), move: (h, x, g) => [x - h.step0 * sign(g + h.weight_decay * x)] },
    "delta-bar-delta": {
      slots: (h) => [h.lr, 0],
      move: (h, x, g, [rate, trace]) => {
        g = g + h.weight_decay * x;
        const agreement = sign(trace) * sign(g);
        rate = choose(agreement, rate + h.kappa, rate * (1 - h.phi), rate);
        return [x - rate * g, rate, (1 - h.theta) * g + h.theta * trace];
      },
    },
    gains: {
      slots: () => [1, 0],
      move: (h, x, g, [gain, v]) => {
        g = g + h.weight_decay * x;
        const agreement = sign(g) * sign(v);
        gain = choose(agreement, Math.min(gain + h.up, h.gain_max), Math.max(gain * h.down, h.gain_min), gain);
        v = h.momentum * v + h.lr * gain * g;
        return [x - v, gain, v];
      },
    },
    adagrad: {
      slots: (h) => [h.initial_accumulator],
      move: (h, x, g, [r]) => {
        g = g + h.weight_decay * x;
        r = Math.min(r + g * g, Number.MAX_VALUE);
        return [x - h.lr * ratio(g, Math.sqrt(r) + h.eps), r];
      },
    },
    rmsprop: {
      slots: zero(1),
      move: (h, x, g, [r]) => {
        g = g + h.weight_decay * x;
        r = h.gamma * r + (1 - h.gamma) * g * g;
        return [x - h.lr * ratio(g, Math.sqrt(r) + h.eps), r];
      },
    },
    "rmsprop-centered": {
      slots: zero(2),
      move: (h, x, g, [r, mean]) => {
        g = g + h.weight_decay * x;
        r = h.gamma * r + (1 - h.gamma) * g * g;
        mean = h.gamma * mean + (1 - h.gamma) * g;
        const variance = Math.max(r - mean * mean, 0);
        return [x - h.lr * ratio(g, Math.sqrt(variance) + h.eps), r, mean];
      },
    },
    "rmsprop-momentum": {
      slots: zero(2),
      move: (h, x, g, [r, v]) => {
        g = g + h.weight_decay * x;
        r = h.gamma * r + (1 - h.gamma) * g * g;
        v = h.momentum * v + h.lr * ratio(g, Math.sqrt(r) + h.eps);
        return [x - v, r, v];
      },
    },
    adadelta: {
      slots: zero(2),
      move: (h, x, g, [r, d]) => {
        g = g + h.weight_decay * x;
        r = h.gamma_grad * r + (1 - h.gamma_grad) * g * g;
        const step = ratio(Math.sqrt(d + h.eps_update), Math.sqrt(r + h.eps_grad)) * g;
        return [x - h.lr * step, r, h.gamma_update * d + (1 - h.gamma_update) * step * step];
      },
    },
    "adadelta-immediate": {
      slots: zero(2),
      move: (h, x, g, [r, d]) => {
        g = g + h.weight_decay * x;
        [r, d] = [h.gamma * r, h.gamma * d];
        const step = ratio(Math.sqrt(d + h.eps_update), Math.sqrt(r + h.eps_grad)) * g;
        return [x - h.lr * step, r + (1 - h.gamma) * g * g, d + (1 - h.gamma) * step * step];
      },
    },
    "adadelta-corrected": {
      slots: zero(2),
      decays: (h) => [h.gamma_grad, h.gamma_update],
      move: (h, x, g, [r, d], t) => {
        const [weight1, weight2] = [(1 - h.gamma_grad) / t.debias[0], (1 - h.gamma_update) / t.debias[1]];
        g = g + h.weight_decay * x;
        r = (1 - weight1) * r + weight1 * g * g;
        const step = ratio(Math.sqrt(d + h.eps_update), Math.sqrt(r + h.eps_grad)) * g;
        return [x - h.lr * step, r, (1 - weight2) * d + weight2 * step * step];
      },
    },
    adam: {
      slots: zero(2),
      decays: (h) => [h.beta1, h.beta2],
      move: (h, x, g, [m, s], t) => {
        g = g + h.weight_decay * x;
        m = h.beta1 * m + (1 - h.beta1) * g;
        s = h.beta2 * s + (1 - h.beta2) * g * g;
        return [x - (h.lr / t.debias[0]) * ratio(m, Math.sqrt(s * (1 / t.debias[1])) + h.eps), m, s];
      },
    },
    amsgrad: {
      slots: zero(3),
      decays: (h) => [h.beta1, h.beta2],
      move: (h, x, g, [m, s, most], t) => {
        g = g + h.weight_decay * x;
        m = h.beta1 * m + (1 - h.beta1) * g;
        s = h.beta2 * s + (1 - h.beta2) * g * g;
        most = Math.max(most, s);
        return [x - (h.lr / t.debias[0]) * ratio(m, Math.sqrt(most * (1 / t.debias[1])) + h.eps), m, s, most];
      },
    },
    adamw: {
      slots: zero(2),
      decays: (h) => [h.beta1, h.beta2],
      move: (h, x, g, [m, s], t) => {
        m = h.beta1 * m + (1 - h.beta1) * g;
        s = h.beta2 * s + (1 - h.beta2) * g * g;
        const step = (h.lr / t.debias[0]) * ratio(m, Math.sqrt(s * (1 / t.debias[1])) + h.eps);
        return [x - h.lr * h.weight_decay * x - step, m, s];
      },
    },
    adamax: {
      slots: zero(2),
      decays: (h) => [h.beta1, 0],
      move: (h, x, g, [m, u], t) => {
        g = g + h.weight_decay * x;
        m = h.beta1 * m + (1 - h.beta1) * g;
        u = Math.max(h.beta2 * u, Math.abs(g));
        const d = u + h.eps;
        return [x - (h.lr / t.debias[0]) * (d < 2.2250738585072014e-308 ? 0 : m / d), m, u];
      },
    },
  };

  /** A method with these settings: `step(problem, x)` gives the next x; `parts` are the last step's gradient and momentum. */
  function make(name, hyper) {
    const rule = all[name];
    const slots = [0, 1].map(() => rule.slots(hyper));
    const products = [1, 1];
    let last = Infinity;
    return {
      step(problem, x) {
        const at = rule.ahead ? x.map((v, i) => rule.ahead(hyper, v, slots[i])) : x;
        const { value, gradient } = problem.evaluate(at);
        (rule.decays?.(hyper) ?? [0, 0]).forEach((decay, i) => { products[i] *= decay; });
        const t = { debias: products.map((p) => 1 - p), rose: value > last };
        last = value;
        return x.map((v, i) => {
          const [moved, ...rest] = rule.move(hyper, v, gradient[i], slots[i], t);
          slots[i] = rest;
          return moved;
        });
      },
      /** The velocity of momentum and of NAG. */
      velocity: () => slots.map((s) => s[0] ?? 0),
    };
  }

  return { make, has: (name) => name in all, names: Object.keys(all) };
})();
