// node page.mjs REPORT [--shots DIR]: the page in headless Chromium. A line for each check.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const path = resolve(process.argv[2]);
const shots = process.argv[3] === "--shots" ? process.argv[4] : null;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
let failed = 0;
const check = (what, holds, more = "") => {
  console.log(`${holds ? "ok  " : "FAIL"} ${what}${more ? `: ${more}` : ""}`);
  failed += holds ? 0 : 1;
};

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
const errors = [];
async function open(width, scheme, file = path) {
  const page = await (await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme })).newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") errors.push(message.text()); });
  page.on("request", (request) => { if (!request.url().startsWith("file:") && !request.url().startsWith("data:") && !request.url().startsWith("blob:")) errors.push(`asks for ${request.url()}`); });
  await page.goto(pathToFileURL(file).href);
  return page;
}

/** The page of other data. */
async function changed(width, change) {
  const file = `${path}.changed.html`;
  writeFileSync(file, readFileSync(path, "utf8").replace(/(<script[^>]*id="data"[^>]*>)([^<]*)/, (_, begin, text) => {
    const data = JSON.parse(text);
    change(data);
    return begin + JSON.stringify(data).replaceAll("<", "\\u003c");
  }));
  const page = await open(width, "light", file);
  rmSync(file);
  return page;
}

/** Everything that is drawn when it is near is drawn. */
async function scroll(page) {
  await page.evaluate(async () => {
    for (let y = 0; y < document.body.scrollHeight; y += 500) {
      scrollTo(0, y);
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    }
    scrollTo(0, 0);
  });
}

const megabytes = statSync(path).size / 1e6;
check("the file is under 5 MB", megabytes < 5, `${megabytes.toFixed(2)} MB`);

const wide = await open(1600, "light");
const seconds = await wide.evaluate(() => performance.getEntriesByType("navigation")[0].loadEventEnd / 1000);
check("it loads in under a second", seconds < 1, `${seconds.toFixed(2)} s`);
await scroll(wide);

const ink = await wide.evaluate(() => [...document.querySelectorAll(".chart canvas, .plane canvas:first-of-type")].map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let [marks, own] = [0, canvas.closest("section")?.id];
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 0 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 40) marks++;
  return { own, marks, plane: canvas.parentElement.classList.contains("plane") };
}));
const blank = ink.filter((c) => !c.plane && c.marks < 20);
check("every chart has coloured ink", ink.length > 5 && blank.length === 0, `${ink.length} charts${blank.length ? `, blank in ${blank.map((b) => b.own)}` : ""}`);

const sections = await wide.evaluate(() => [...document.querySelectorAll("section .curves")].map((c) => c.closest("section").id));
const pixels = (id) => wide.evaluate((id) => {
  const canvas = document.getElementById(id).querySelector(".curves canvas");
  return canvas.toDataURL().length + canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.reduce((a, v, i) => (a + v * (i % 251)) % 1e9, 0);
}, id);
const wrong = [];
// By the keyboard: two clicks in a row would be a double click.
for (const id of sections) {
  const chip = wide.locator(`[id="${id}"] .curves .chip`).first();
  const before = await pixels(id);
  await chip.press("Space");
  await wide.waitForTimeout(60);
  const after = await pixels(id);
  await chip.press("Space");
  await wide.waitForTimeout(60);
  if (before === after || (await pixels(id)) !== before) wrong.push(id);
}
check("a toggle hides its curve and brings it back", wrong.length === 0, `${sections.length} figures${wrong.length ? `, not in ${wrong}` : ""}`);

const first = await wide.evaluate((all) => all.find((id) => document.getElementById(id).querySelector('option[value="seconds"]')) ?? all[0], sections);
const ticks = () => wide.evaluate((id) => document.getElementById(id).querySelector(".curves .chart").plot.axes[0]._values?.join(), first);
const label = () => wide.evaluate((id) => document.getElementById(id).querySelector(".curves .chart").getAttribute("aria-label"), first);
const [ticksBefore, labelBefore] = [await ticks(), await label()];
const axis = wide.locator(`[id="${first}"] .curves select`).nth(1);
const others = await axis.locator("option").count();
if (others > 1) {
  await axis.selectOption({ index: others - 1 });
  check("another axis has other ticks", (await ticks()) !== ticksBefore && (await label()) !== labelBefore, await label());
}

// Charts of values made up for it: ticks, cursor, keys, one scale.
const made = await wide.evaluate(async () => {
  const box = document.createElement("div");
  box.className = "chart";
  document.getElementById("main").prepend(box);
  const later = () => new Promise((done) => setTimeout(done, 30));
  const of = (name, xs, y, more = {}) => ({ name, points: xs.map((x) => ({ x, y: y(x), ...more })) });
  const draw = async (series, spec = {}) => {
    Chart.lines(box, { series, x: "x", y: "y", ...spec });
    await later();
    return box.plot.axes.map((a) => new Set(a._values ?? []).size);
  };
  const few = [];
  const sizes = { percent: [20, 100], narrow: [0.93, 1.04], same: [3, 3], decades: [1e-9, 2], huge: [1e290, 1e300], tiny: [1e-300, 1e-290], both: [1e-300, 1e300] };
  for (const [name, [low, high]] of Object.entries(sizes)) {
    for (const logY of [false, true]) {
      const counts = await draw([of("sgd", [0, 1, 2], (x) => (x ? high : low))], { logY });
      if (Math.min(...counts) < 3) few.push(`${name}${logY ? ", log" : ""}: ${counts}`);
    }
    const counts = await draw([{ name: "sgd", points: [{ x: low, y: 1 }, { x: high, y: 2 }] }], { logX: true });
    if (Math.min(...counts) < 3) few.push(`${name}, log x: ${counts}`);
  }
  const text = () => box.querySelector(".readout").textContent;
  const put = (x, y) => { box.plot.setCursor({ left: box.plot.valToPos(x, "x"), top: box.plot.valToPos(y, "y") }); return text(); };
  const names = "abcdefgh".split("");
  const far = names.map((name, k) => of(name, [0, 5, 10], () => k + 1, name === "h" ? { min: 7, max: 9 } : {}));
  await draw([...far, of("short", [0, 2, 4], () => 5.5)]);
  const told = { within: put(2, 5.5), beyond: put(10, 5.5), range: put(5, 8) };
  await draw([of("tried", [1, 10, 100], () => 1), of("other", [30, 1000], () => 2)], { logX: true, exact: true });
  Object.assign(told, { at: put(1, 1), between: put(1.4771, 1), after: put(3, 1) });
  await draw(far);
  const label = () => box.getAttribute("aria-label");
  const all = label();
  box.plot.setSeries(1, { show: false });
  await later();
  const less = label();
  box.plot.setSeries(1, { show: true });
  box.focus();
  const press = (key) => { box.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })); return text(); };
  const keys = ["ArrowRight", "ArrowRight", "ArrowUp", "End", "Home"].map(press);
  const live = box.querySelector(".readout").getAttribute("aria-live");
  keys.push(press("Escape"));
  const left = document.activeElement !== box;
  await draw([of("sgd", [0, 1], () => 2)], { ranges: { x: [0, 50], y: [0, 100] } });
  const scales = [box.plot.scales.x.max, box.plot.scales.y.max];
  box.plot.destroy();
  box.plot = null;
  box.remove();
  return { few, told, all, less, keys, live, left, scales };
});
check("axes have labels, of few values, of many decades and of enormous ones", made.few.length === 0, made.few.join("; "));
check("the cursor tells no values beyond a line's ends", made.told.within.startsWith("x 2: short 5.5;") && !made.told.beyond.includes("short"), made.told.beyond);
check("the nearest line is told first, with its range", made.told.range.startsWith("x 5: h 8 (7 to 9); lowest: a 1 · "), made.told.range);
check("of values that were tried those only", made.told.at.endsWith(": tried 1") && made.told.between.endsWith(": other 2") && made.told.after.endsWith(": other 2"),
  JSON.stringify([made.told.at, made.told.between, made.told.after]));
check("a chart's label follows what is shown", made.all.includes("8 lines") && made.less.includes("7 of 8 lines"), made.less);
check("arrow keys tell values, Escape leaves", made.live === "polite" && made.left && made.keys.at(-1) === ""
  && ["x 0: a 1", "x 5: a 1", "x 5: b 2", "x 10: b 2", "x 0: b 2"].every((text, k) => made.keys[k].startsWith(text)), made.keys.join(" | "));
const grids = await wide.evaluate(() => [...document.querySelectorAll(".grid")].map((grid) => [...grid.querySelectorAll(".chart")].map((box) => box.plot))
  .filter((plots) => plots.length > 1).map((plots) => new Set(plots.map((u) => `${u.scales.y.min} to ${u.scales.y.max}`)).size));
check("charts beside each other have one scale", grids.every((n) => n === 1), `${grids.length} groups`);
const parted = await wide.evaluate(() => [...document.querySelectorAll("td.n")].map((td) => td.textContent).filter((t) => /^100(\.0*)? %$|NaN|undefined/.test(t)));
check("no cell is NaN, or rounded to all of it", parted.length === 0, parted.slice(0, 3).join());
check("charts can have one scale", made.scales[0] === 50 && made.scales[1] >= 100, made.scales.join());

const animated = await wide.evaluate(() => Boolean(document.getElementById("trajectories")));
if (animated) {
  const names = await wide.evaluate(() => [...document.querySelectorAll("#trajectories select")][0].options.length);
  for (let k = 0; k < names; k++) {
    await wide.locator("#trajectories select").first().selectOption({ index: k });
    const apart = await wide.evaluate(() => {
      const a = document.getElementById("trajectories").animation;
      a.seek(1e9);
      const own = Data.results.experiments.filter((e) => e.name.endsWith(`-${a.problem}`)).flatMap((e) => e.runs);
      return Math.max(...Object.entries(a.ends()).map(([name, x]) => {
        const end = own.filter((r) => r.method === name).at(-1).points.map((p) => p.x).filter(Boolean).at(-1);
        return Math.max(...x.map((v, i) => Math.abs(v - end[i])));
      }));
    });
    if (apart !== 0) check("the animation ends where the iterates do", false, `problem ${k}: ${apart}`);
  }
  await wide.locator("#trajectories select").first().selectOption({ index: 0 });
  await wide.evaluate(() => document.getElementById("trajectories").animation.seek(0));
  const start = await wide.evaluate(() => document.getElementById("trajectories").animation.step);
  await wide.getByRole("button", { name: "Play", exact: true }).click();
  await wide.waitForTimeout(700);
  const later = await wide.evaluate(() => document.getElementById("trajectories").animation.step);
  check("the animation moves, and ends where the iterates do", start === 0 && later > 1, `step ${later.toFixed(1)} after 0.7 s; ${names} functions`);
  await wide.evaluate(() => document.getElementById("trajectories").animation.seek(1e9));
  const ends = () => wide.evaluate(() => JSON.stringify(document.getElementById("trajectories").animation.ends()));
  const before = await ends();
  await wide.locator("#trajectories .start").press("ArrowRight");
  check("a start that is moved moves the paths", (await ends()) !== before);
  const motion = wide.locator("#trajectories");
  const shapes = (f, ...more) => wide.evaluate(`(${f})(document.getElementById("trajectories").animation, ${more.map((m) => JSON.stringify(m)).join()})`);
  const press = (name) => motion.getByRole("button", { name, exact: true }).click();
  await press("Reset");
  await motion.locator(".plane").scrollIntoViewIfNeeded();
  const [taken, ring] = [await ends(), await motion.locator(".start").boundingBox()];
  await wide.mouse.move(ring.x + ring.width / 2, ring.y + ring.height / 2);
  await wide.mouse.down();
  await wide.mouse.move(ring.x + 60, ring.y + 50, { steps: 4 });
  await wide.mouse.up();
  const put = await motion.locator(".start").boundingBox();
  check("the start can be dragged by the mouse", (await ends()) !== taken && Math.abs(put.x - ring.x - 60 + ring.width / 2) < 2, `${(put.x - ring.x).toFixed(0)} pixels right`);
  for (let k = 0; k < 60; k++) await motion.locator(".start").press("ArrowLeft");
  check("the start stays in the picture", await wide.evaluate(() => {
    const [a, b] = ["#trajectories .start", "#trajectories .plane"].map((s) => document.querySelector(s).getBoundingClientRect());
    return a.left + a.width / 2 >= b.left && a.left + a.width / 2 < b.left + 3;
  }));
  await press("Reset");
  const slider = motion.getByLabel("learning rates");
  const spoken = [await slider.getAttribute("aria-valuetext")];
  const inked = [];
  for (let k = 0; k < names; k++) {
    await motion.locator("select").first().selectOption({ index: k });
    await slider.fill("1");
    inked.push(await wide.evaluate(() => {
      const canvas = document.querySelectorAll("#trajectories .plane canvas")[1];
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.reduce((sum, v, i) => sum + (i % 4 === 3 && v > 0 ? 1 : 0), 0) / (data.length / 4);
    }));
  }
  check("at ten times the rate the paths leave the picture free", Math.max(...inked) < 0.6, inked.map((v) => `${(100 * v).toFixed(1)} %`).join(", "));
  spoken.push(await slider.getAttribute("aria-valuetext"));
  check("the learning rates are said as factors", spoken.join() === "× 1,× 10", spoken.join());
  await motion.locator("select").first().selectOption({ index: 0 });
  const pressed = () => wide.evaluate(() => [...document.querySelectorAll("#trajectories .chip")].filter((c) => c.getAttribute("aria-pressed") === "true").map((c) => c.dataset.method));
  const lengths = await shapes((a) => Object.fromEntries(Data.results.experiments.filter((e) => e.name.endsWith(`-${a.problem}`)).flatMap((e) => e.runs)
    .map((r) => [r.method, r.points.filter((p) => p.x).length - 1])));
  const longest = async () => (await shapes((a) => a.steps)) === Math.max(...(await pressed()).map((name) => lengths[name]));
  const steps = [await longest()];
  await press("all");
  steps.push(await longest());
  await press("none");
  const chosen = Object.keys(lengths).filter((name) => lengths[name] > 0).reduce((a, b) => (lengths[b] < lengths[a] ? b : a));
  await motion.locator(`.chip[data-method="${chosen}"]`).click();
  steps.push(await longest());
  check("the last step is that of the longest method that is shown", steps.every(Boolean), `${steps}, ${chosen} ${lengths[chosen]}`);
  await press("Reset");
  const kept = [await pressed()];
  await motion.locator("select").first().selectOption({ index: names - 1 });
  await motion.locator("select").first().selectOption({ index: 0 });
  kept.push(await pressed());
  check("Reset and another function keep what is shown", kept.every((k) => k.join() === chosen), kept.join(" and "));
  await press("all");
  const refused = await shapes((a) => Data.results.experiments.filter((e) => e.name.endsWith(`-${a.problem}`)).flatMap((e) => e.runs).filter((r) => r.failed).map((r) => r.method));
  const said = await motion.textContent();
  check("a method that failed is named", refused.every((name) => said.includes(`${name}, refused: `)), refused.join() || "none failed");
  const [told, whole] = [await motion.locator("p[aria-live]").textContent(), await shapes((a) => a.steps)];
  const compared = Object.keys(lengths).filter((name) => told.includes(` ${name} `));
  check("of a method that ended earlier the text says where", compared.length > 0 && told.startsWith(`Step ${whole} of ${whole}.`)
    && compared.every((name) => lengths[name] === whole || told.includes(`(ended at step ${lengths[name]})`)), told.slice(0, 120));
  await shapes((a) => a.seek(0));
  const asked = await wide.evaluate(async () => {
    const [section, own] = [document.getElementById("trajectories"), requestAnimationFrame.bind(window)];
    let [frames, calls] = [0, 0];
    window.requestAnimationFrame = (f) => { calls++; return own(f); };
    const told = () => section.querySelector("[aria-live].note").textContent;
    const before = told();
    const play = [...section.querySelectorAll("button")].find((b) => b.textContent === "Play");
    for (let k = 0; k < 5; k++) play.click();
    calls = 0;
    for (const until = performance.now() + 600; performance.now() < until; frames++) await new Promise(own);
    window.requestAnimationFrame = own;
    return { frames, calls, moved: told() !== before, playing: play.textContent === "Pause", live: section.querySelector("[aria-live].note").getAttribute("aria-live") };
  });
  await press("Pause");
  const live = await motion.locator("p[aria-live]").getAttribute("aria-live");
  check("Play asks for one frame at a time", asked.calls <= asked.frames + 1 && asked.playing, `${asked.calls} in ${asked.frames}`);
  check("the text goes along, and is read out when it stops", asked.moved && asked.live === "off" && live === "polite");
  const touch = await wide.evaluate(() => [".plane", ".start"].map((s) => getComputedStyle(document.querySelector(`#trajectories ${s}`)).touchAction));
  check("a finger on the picture scrolls the page, on the start it drags", touch.join() === "auto,none", touch.join());
  const narrow = await open(320, "light");
  const beyond = await narrow.evaluate(() => Math.max(...[...document.querySelectorAll("#trajectories *")].map((e) => e.getBoundingClientRect().right)) - document.documentElement.clientWidth);
  check("the animation fits in 320 pixels", beyond <= 0, `${beyond} over`);
  await narrow.context().close();
}

for (const [width, scheme] of [[1600, "light"], [1600, "dark"], [400, "light"], [400, "dark"]]) {
  const page = await open(width, scheme);
  await scroll(page);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(`no horizontal scroll at ${width} pixels, ${scheme}`, over <= 0, `${over} over`);
  await page.addScriptTag({ content: axe });
  const found = await page.evaluate(async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
    .map((v) => `${v.id} (${v.nodes.length}: ${v.nodes[0].target} ${v.nodes[0].any[0]?.message ?? ""})`));
  check(`axe finds nothing at ${width} pixels, ${scheme}`, found.length === 0, found.join("; "));
  if (shots) {
    mkdirSync(shots, { recursive: true });
    await page.screenshot({ path: `${shots}/${width}-${scheme}.png`, fullPage: true });
  }
  await page.context().close();
}
const claim = await wide.evaluate(() => {
  const chosen = Data.results.experiments.flatMap((e) => (e.claims ?? []).map((claim) => ({ e, claim })))
    .find(({ e, claim }) => claim.methods?.length && claim.measure !== Data.main(e) && Data.has(e, Data.measures[claim.measure]?.of ?? (() => NaN)));
  if (!chosen) return null;
  const row = [...document.querySelectorAll(".claims tr")].find((tr) => tr.textContent.includes(chosen.claim.measured));
  row.querySelector("a").click();
  const section = document.getElementById(chosen.e.name);
  const shown = (name) => section.querySelector(`.chip[data-method="${name}"]`).getAttribute("aria-pressed") === "true";
  return section.querySelector(".curves select").value === chosen.claim.measure && chosen.claim.methods.every(shown);
});
check("a claim's link shows its measure and its methods", claim !== false, claim === null ? "no claim has another measure" : "");

// One experiment without a point, one without what is optional, one with names that are markup: the rest stands.
const odd = await changed(1600, ({ results }) => {
  const [first, second, third] = results.experiments;
  for (const run of first.runs) Object.assign(run, { failed: "all did", points: [] });
  for (const run of second?.runs ?? []) delete run.hyper;
  for (const run of third?.runs ?? []) run.method = `<img src=x onerror="alert(1)">${run.method}`;
  delete results.commit;
});
const [parts, whole, images] = [await odd.locator("section").count(), await wide.locator("section").count(), await odd.locator("main img").count()];
check("damaged results leave the rest of the page whole", parts === whole && images === 0, `${parts} of ${whole} sections`);

// On paper: charts that nobody has scrolled to, in light colours; and the screen as it was.
const paper = await open(1600, "dark");
await paper.evaluate(() => {
  addEventListener("beforeprint", () => { window.printed = [document.documentElement.dataset.theme, document.querySelectorAll(".chart:not(:has(canvas))").length]; });
});
const sheets = await paper.pdf();
const [light, missing] = await paper.evaluate(() => window.printed ?? []);
const back = await paper.evaluate(() => [document.documentElement.dataset.theme, ...[...document.querySelectorAll(".chart")].map((box) => box.plot.width - Math.max(box.clientWidth, 260))]);
check("all charts are printed, in light colours", light === "light" && missing === 0 && back[0] === "dark" && back.slice(1).every((over) => over === 0),
  `${(sheets.length / 1e6).toFixed(1)} MB`);
await paper.context().close();

// Names of 80 characters.
const names80 = await changed(400, ({ results }) => {
  for (const { runs } of results.experiments) for (const run of runs) if (run.method === runs[0].method && run !== runs[0]) run.method = run.method.padEnd(80, "x");
  for (const { runs } of results.experiments) if (runs[0]) runs[0].method = runs[0].method.padEnd(80, "x");
});
await scroll(names80);
const over80 = await names80.evaluate(() => document.documentElement.scrollWidth - innerWidth);
check("a method's name of 80 characters does not scroll the page", over80 <= 0, `${over80} over`);

check("no error in the console, and nothing is asked of a network", errors.length === 0, errors.slice(0, 3).join("; "));
await browser.close();
process.exit(failed ? 1 : 0);
