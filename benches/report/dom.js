// Elements, and what every part of the page is made of.
const Dom = (() => {
  "use strict";

  /** An element with attributes and children; texts are texts, never markup. */
  function el(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (key === "markup") node.innerHTML = value;
      else if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return node;
  }

  /** A choice among names. */
  function select(label, options, value, change) {
    const box = el("select", { onchange: () => change(box.value) });
    for (const [key, text] of options) box.append(el("option", { value: key, selected: key === value }, text));
    return el("label", {}, label, box);
  }

  function toggle(text, on, change, more = {}) {
    const button = el("button", { type: "button", "aria-pressed": String(on), ...more }, text);
    button.addEventListener("click", () => {
      const now = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(now));
      change(now);
    });
    return button;
  }

  /** A table in a box that scrolls by itself. */
  function table(caption, heads, rows, more = {}) {
    const cell = (tag, content, numeric) => {
      const inside = content instanceof Node ? content : document.createTextNode(content ?? "–");
      return el(tag, { class: numeric ? "n" : undefined }, inside);
    };
    const head = heads.map(([text, numeric]) => {
      const th = cell("th", text, numeric);
      th.scope = "col";
      return th;
    });
    const body = rows.map((row) => el("tr", {}, row.map((content, i) => {
      if (content instanceof HTMLTableCellElement) return content;
      const td = cell(i === 0 ? "th" : "td", content, heads[i][1]);
      if (i === 0) td.scope = "row";
      return td;
    })));
    const inner = el("table", more, el("caption", {}, caption), el("thead", {}, el("tr", {}, head)), el("tbody", {}, body));
    return el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, inner);
  }

  /** Calls `draw` when the element comes near the window; and again when the theme changes, if it was drawn. */
  const [waiting, drawn] = [new Set(), new Set()];
  function take(node) {
    near.unobserve(node);
    waiting.delete(node);
    drawn.add(node);
  }
  const near = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      take(target);
      target.draw();
    }
  }, { rootMargin: "600px" });
  function lazily(node, draw) {
    node.draw = draw;
    waiting.add(node);
    near.observe(node);
    return node;
  }
  /** What has the theme's colours gets those of now. */
  function redraw() {
    dispatchEvent(new Event("themed"));
    drawn.forEach((node) => node.draw());
  }

  // On paper is all of it, in light colours, charts as wide as the sheet or its half: as on screen their texts would shrink.
  let screen = null;
  const sheet = (width, box) => (!screen ? width : box.closest(".grid")?.children.length > 1 ? 340 : 700);
  function paint(theme) {
    document.documentElement.dataset.theme = theme;
    redraw();
  }
  addEventListener("beforeprint", () => {
    screen ??= { theme: document.documentElement.dataset.theme };
    waiting.forEach(take);
    paint("light");
  });
  addEventListener("afterprint", () => {
    const { theme } = screen ?? {};
    screen = null;
    if (theme) paint(theme);
  });

  return { el, select, toggle, table, lazily, redraw, sheet };
})();
