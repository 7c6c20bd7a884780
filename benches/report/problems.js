// The functions of opt-testkit, with the same operations in the same order.
const Problems = (() => {
  "use strict";

  const rosenbrock = {
    value: ([x, y]) => (1 - x) * (1 - x) + 100 * ((y - x * x) * (y - x * x)),
    gradient: ([x, y]) => { const r = y - x * x; return [-2 * (1 - x) - 400 * x * r, 200 * r]; },
  };

  const powers = (y) => [1, y, y * y, y * y * y];
  const residuals = ([x, y]) => [[1, 1.5], [2, 2.25], [3, 2.625]].map(([n, c]) => {
    const p = powers(y);
    return [c - x * (1 - p[n]), p[n] - 1, x * (n * p[n - 1])];
  });
  const beale = {
    value: (p) => residuals(p).reduce((sum, [r]) => sum + r * r, 0),
    gradient: (p) => residuals(p).reduce(([a, b], [r, dx, dy]) => [a + 2 * r * dx, b + 2 * r * dy], [0, 0]),
  };

  const valley = { value: ([x, y]) => 0.5 * x * x + 50 * y * y, gradient: ([x, y]) => [x, 100 * y] };
  const saddle = { value: ([x, y]) => x * x - y * y, gradient: ([x, y]) => [2 * x, -2 * y] };

  /** Logistic regression on two moons: steps see 16 rows after 16 rows, values are of all. */
  function moons({ inputs, labels, batch }) {
    const sum = (w, rows) => {
      let [value, g] = [0, [0, 0]];
      for (const i of rows) {
        const [a, s] = [inputs[i], labels[i] ? 1 : -1];
        const margin = s * (w[0] * a[0] + w[1] * a[1]);
        const small = Math.exp(-Math.abs(margin));
        const wrong = (margin > 0 ? small : 1) / (1 + small);
        value += Math.log1p(small) + Math.max(-margin, 0);
        g = [g[0] - s * wrong * a[0], g[1] - s * wrong * a[1]];
      }
      const n = rows.length;
      return {
        value: value / n + 0.005 * (w[0] * w[0] + w[1] * w[1]),
        gradient: [g[0] / n + 2 * 0.005 * w[0], g[1] / n + 2 * 0.005 * w[1]],
      };
    };
    const every = inputs.map((_, i) => i);
    const rows = (t) => Array.from({ length: batch }, (_, j) => ((t % inputs.length) * batch + j) % inputs.length);
    return { value: (w) => sum(w, every).value, gradient: (w) => sum(w, every).gradient, minibatch: (w, t) => sum(w, rows(t)) };
  }

  /** A problem at its start: `evaluate` is what a step sees, and counts. */
  function make(name, data) {
    const f = { rosenbrock, beale, valley, saddle }[name] ?? (name === "moons" ? moons(data) : null);
    if (!f) return null;
    let t = 0;
    const evaluate = (x) => (f.minibatch ? f.minibatch(x, t++) : { value: f.value(x), gradient: f.gradient(x) });
    return { value: f.value, gradient: f.gradient, evaluate };
  }

  return { make };
})();
