// One colour and dash for each method, everywhere: the hue is its family's.
const Palette = (() => {
  "use strict";
  const hues = { sgd: 215, adaptive: 25, sign: 285, curvature: 150, natural: 345, normalization: 185, other: 50 };
  const names = {
    sgd: "gradient descent", adaptive: "adaptive", sign: "signs", curvature: "curvature", natural: "natural gradient",
    normalization: "batch normalization", other: "others",
  };
  const dashes = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2], [12, 4, 2, 4, 2, 4]];
  const places = new Map();

  /** Methods in a fixed order, so that a method looks the same in every figure. */
  function learn(methods) {
    const counts = {};
    for (const method of [...methods].sort()) {
      const family = Data.family(method);
      const place = (counts[family] = (counts[family] ?? -1) + 1);
      places.set(method, { family, place });
    }
  }

  function color(method) {
    const { family, place } = places.get(method) ?? { family: "other", place: 0 };
    const dark = document.documentElement.dataset.theme === "dark";
    // By the golden section, so that the next one is far from all before it.
    const hue = hues[family] + 64 * (((place * 0.618) % 1) - 0.5);
    const light = (dark ? 72 : 38) + [0, dark ? -16 : 12, dark ? 8 : -10][place % 3];
    // Blue and violet look darker than other hues of the same lightness.
    const lift = dark && hue > 225 && hue < 300 ? 10 : 0;
    return `hsl(${hue} ${dark ? 70 : 72}% ${light + lift}%)`;
  }

  const dash = (method) => dashes[(places.get(method)?.place ?? 0) % dashes.length];

  /** A line of the method's colour and dash. */
  function swatch(method) {
    return `<svg width="26" height="8" aria-hidden="true"><path d="M0 4H26" stroke="${color(method)}" stroke-width="2.5" `
      + `stroke-dasharray="${dash(method).join(" ")}"/></svg>`;
  }

  const families = (methods) => [...new Set(methods.map(Data.family))].map((id) => ({ id, name: names[id] ?? id }));
  return { learn, color, dash, swatch, families };
})();
