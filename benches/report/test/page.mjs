// node page.mjs REPORT [--shots DIR]: the page in headless Chromium. A line for each check.
import { mkdirSync, readFileSync, statSync } from "node:fs";
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
async function open(width, scheme) {
  const page = await (await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme })).newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") errors.push(message.text()); });
  page.on("request", (request) => { if (!request.url().startsWith("file:") && !request.url().startsWith("data:") && !request.url().startsWith("blob:")) errors.push(`asks for ${request.url()}`); });
  await page.goto(pathToFileURL(path).href);
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
check("no error in the console, and nothing is asked of a network", errors.length === 0, errors.slice(0, 3).join("; "));
await browser.close();
process.exit(failed ? 1 : 0);
