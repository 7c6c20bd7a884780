// node equations.mjs: the equations of all pages, set by docs/katex-header.html as docs.rs would, in headless Chromium.
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { chromium } from "playwright-core";

const root = resolve(import.meta.dirname, "../../..");
const header = readFileSync(join(root, "docs/katex-header.html"), "utf8");
const katex = dirname(createRequire(import.meta.url).resolve("katex/dist/katex.min.js"));

/** The blocks of text in a file's documentation, as rustdoc shows them. */
function blocks(file) {
  const [found, lines] = [[], readFileSync(file, "utf8").split("\n")];
  let block = null;
  for (const line of lines) {
    const text = line.match(/^\s*\/\/[/!] ?(.*)$/)?.[1];
    if (text === undefined) block = null;
    else if (block === null && text.trim() === "```text") block = [];
    else if (block !== null && text.trim() === "```") { found.push(block.join("\n")); block = null; }
    else if (block !== null) block.push(text);
  }
  return found;
}

const sources = readdirSync(join(root, "crates"), { recursive: true }).filter((name) => /^[^/]+\/src\/.*\.rs$/.test(name));
const equations = sources.flatMap((name) => blocks(join(root, "crates", name)).map((text) => ({ name, text })))
  .filter(({ text }) => text.includes("←"));
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const body = equations.map(({ text }) => `<div class="block"><pre class="language-text"><code>${escaped(text)}</code></pre></div>`);

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage();
const errors = [];
page.on("pageerror", (error) => errors.push(String(error)));
// What the header asks the network for comes from the package; the browser compares it with the header's hashes.
await page.route("**/*", (route) => {
  const url = route.request().url();
  if (url.startsWith("https://page.test")) return route.fulfill({ contentType: "text/html; charset=utf-8", body: `<head>${header}</head><body>${body.join("")}</body>` });
  const path = join(katex, url.includes("/fonts/") ? "fonts" : "", basename(url));
  return route.fulfill({ path, headers: { "access-control-allow-origin": "*" } });
});
page.on("console", (message) => { if (message.type() === "error") errors.push(message.text()); });
await page.goto("https://page.test/");
const set = await page.evaluate(() => [...document.querySelectorAll(".block")].map((block) =>
  block.querySelector(".equations .katex") !== null && block.querySelector(".katex-error, pre") === null));
const styled = await page.evaluate(() => document.fonts.size > 0);
await browser.close();

const plain = equations.filter((_, i) => !set[i]);
for (const { name, text } of plain) console.log(`FAIL left as plain text, ${name}:\n${text}`);
for (const error of errors) console.log(`FAIL ${error}`);
console.log(`${plain.length || errors.length ? "FAIL" : "ok  "} ${equations.length} blocks of equations are set by KaTeX`);
process.exit(plain.length || errors.length || !styled || equations.length < 30 ? 1 : 0);
