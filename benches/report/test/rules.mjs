// node rules.mjs OPT-BENCH REPORT: every rule of rules.js against `trace`, on every problem.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import vm from "node:vm";

const folder = join(dirname(fileURLToPath(import.meta.url)), "..");
const load = (name) => vm.runInThisContext(`${readFileSync(join(folder, name), "utf8")}\n${name === "rules.js" ? "Rules" : "Problems"}`);
const [Rules, Problems] = [load("rules.js"), load("problems.js")];
const program = process.argv[2];

/** Given to both. */
const defaults = {
  sgd: { lr: 0.01, weight_decay: 0.01 },
  momentum: { lr: 0.002, momentum: 0.9, weight_decay: 0.01 }, nag: { lr: 0.002, momentum: 0.9, weight_decay: 0.01 },
  nesterov: { lr: 0.002, momentum: 0.9, weight_decay: 0.01 },
  manhattan: { step0: 0.03, weight_decay: 0.01 },
  "delta-bar-delta": { lr: 0.002, kappa: 0.0005, phi: 0.3, theta: 0.7, weight_decay: 0.01 },
  gains: { lr: 0.002, momentum: 0.9, up: 0.05, down: 0.95, gain_min: 0.01, gain_max: 100, weight_decay: 0.01 },
  adagrad: { lr: 0.3, eps: 1e-8, initial_accumulator: 0.1, weight_decay: 0.01 },
  rmsprop: { lr: 0.03, gamma: 0.9, eps: 1e-8, weight_decay: 0.01 },
  "rmsprop-centered": { lr: 0.01, gamma: 0.9, eps: 1e-2, weight_decay: 0.01 },
  "rmsprop-momentum": { lr: 0.003, gamma: 0.9, momentum: 0.9, eps: 1e-8, weight_decay: 0.01 },
  adadelta: { lr: 1, gamma_grad: 0.9, gamma_update: 0.95, eps_grad: 1e-6, eps_update: 1e-3, weight_decay: 0.01 },
  "adadelta-immediate": { lr: 0.005, gamma: 0.95, eps_grad: 1e-6, eps_update: 1e-6, weight_decay: 0.01 },
  "adadelta-corrected": { lr: 1, gamma_grad: 0.9, gamma_update: 0.95, eps_grad: 1e-6, eps_update: 1e-3, weight_decay: 0.01 },
  adam: { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 },
  amsgrad: { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 },
  adamw: { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 },
  adamax: { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 },
};
const sizes = { step0: 0.03, grow: 1.2, shrink: 0.5, step_min: 1e-6, step_max: 50 };
for (const name of ["rprop-minus", "rprop-plus", "irprop-minus"]) defaults[name] = { ...sizes, weight_decay: 0.01 };
defaults["irprop-plus"] = sizes;

// Where the function amplifies what is rounded (its Hessian's eigenvalues reach 1,000s), fewer steps.
const problems = {
  beale: { start: [1, 1.5], steps: 100 }, valley: { start: [-2, 0.5], steps: 100 }, saddle: { start: [-1, 1e-3], steps: 100 },
  rosenbrock: { start: [-1.2, 1], steps: 30, scale: 0.05 }, moons: { start: [-3, -2], steps: 100 },
};
// The same points as the page has.
const data = readFileSync(process.argv[3], "utf8").split('id="data">')[1].split("</script>")[0];
const { moons } = JSON.parse(data);

function trace(method, hyper, problem, { start, steps }) {
  const set = Object.entries(hyper).flatMap(([k, v]) => ["--set", `${k}=${v}`]);
  const args = ["trace", "--method", method, ...set, "--problem", problem, "--start", start.join(","), "--steps", String(steps)];
  let text;
  try { text = execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }); }
  catch (error) { text = error.stdout; } // A path that leaves the numbers ends early, here and there.
  return text.trim().split("\n").slice(1).map((line) => line.split(",").map(Number));
}

let [compared, worst] = [0, 0];
for (const method of Rules.names) {
  for (const [problem, at] of Object.entries(problems)) {
    const hyper = { ...defaults[method] };
    if (hyper.lr) hyper.lr *= at.scale ?? 1;
    const rows = trace(method, hyper, problem, at);
    if (rows.length < 10) throw new Error(`${method} on ${problem}: only ${rows.length} steps`);
    const [rule, f] = [Rules.make(method, hyper), Problems.make(problem, moons)];
    let x = at.start;
    for (const [step, , ...expected] of rows) {
      if (step > 0) x = rule.step(f, x);
      for (const i of [0, 1]) {
        const apart = Math.abs(x[i] - expected[i]) / Math.max(1, Math.abs(expected[i]));
        if (!(apart <= 1e-12)) throw new Error(`${method} on ${problem}, step ${step}: ${x} here, ${expected} there`);
        [compared, worst] = [compared + 1, Math.max(worst, apart)];
      }
    }
  }
}
console.log(`${Rules.names.length} rules on ${Object.keys(problems).length} problems: ${compared} numbers agree, the farthest by ${worst.toExponential(1)}`);
