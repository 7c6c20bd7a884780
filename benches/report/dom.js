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
  const drawn = new Set();
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((entry) => entry.isIntersecting)) {
      near.unobserve(entry.target);
      drawn.add(entry.target);
      entry.target.draw();
    }
  }, { rootMargin: "600px" });
  function lazily(node, draw) {
    node.draw = draw;
    near.observe(node);
    return node;
  }
  const redraw = () => drawn.forEach((node) => node.draw());

  return { el, select, toggle, table, lazily, redraw };
})();
