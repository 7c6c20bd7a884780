// One colour and dash for each method, everywhere: the hue is its family's.
const Palette = (() => {
  "use strict";
  /** Where a family's hues begin, how far they reach, and which dash is its first: neighbours differ in both. */
  const hues = {
    sgd: [205, 35, 0], adaptive: [12, 40, 0], sign: [262, 32, 2], curvature: [95, 55, 1], natural: [312, 30, 1],
    normalization: [172, 18, 3], other: [58, 10, 4],
  };
  const names = {
    sgd: "gradient descent", adaptive: "adaptive", sign: "signs", curvature: "curvature", natural: "natural gradient",
    normalization: "batch normalization", other: "others",
  };
  const dashes = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2], [12, 4, 2, 4, 2, 4]];
  const places = new Map();

  /** Methods in a fixed order, the registered ones first, so that a method looks the same in every figure of every report. */
  function learn(methods) {
    const counts = {};
    const known = Object.keys(Data.root.methods).filter((name) => Data.root.methods[name].known).sort();
    for (const method of new Set([...known, ...[...methods].sort()])) {
      const family = Data.family(method);
      const place = (counts[family] = (counts[family] ?? -1) + 1);
      places.set(method, { family, place });
    }
  }

  /** Of the sRGB colour, by WCAG. */
  function luminance(hue, saturation, light) {
    const part = (n) => {
      const k = (n + hue / 30) % 12;
      const v = light - saturation * Math.min(light, 1 - light) * Math.max(-1, Math.min(k - 3, 9 - k, 1));
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    };
    return 0.2126 * part(0) + 0.7152 * part(8) + 0.0722 * part(4);
  }

  const dark = () => document.documentElement.dataset.theme === "dark";

  /** Its place in its family, and what the family has. */
  function look(method) {
    const { family, place } = places.get(method) ?? { family: "other", place: 0 };
    const [first, reach, start] = hues[family] ?? hues.other;
    return { place, first, reach, start };
  }

  function color(method) {
    const { place, first, reach } = look(method);
    // By the golden section, so that the next one is far from all before it.
    const hue = first + reach * ((place * 0.618) % 1);
    // Those with the same dash differ in lightness.
    let light = (dark() ? 70 : 38) + [0, dark() ? -14 : 12, dark() ? 10 : -12][(place + Math.floor(place / dashes.length)) % 3];
    // Against the page at least 3 to 1, as graphics must have.
    const ratio = () => {
      const [own, page] = [luminance(hue, 0.7, light / 100), dark() ? 0.009 : 1];
      return (Math.max(own, page) + 0.05) / (Math.min(own, page) + 0.05);
    };
    while (ratio() < 3.2 && light > 5 && light < 95) light += dark() ? 1 : -1;
    return `hsl(${hue.toFixed(1)} 70% ${light}%)`;
  }

  function dash(method) {
    const { place, start } = look(method);
    return dashes[(place + start) % dashes.length];
  }

  /** A line of the method's colour and dash. */
  function swatch(method) {
    return `<svg width="26" height="8" aria-hidden="true"><path d="M0 4H26" stroke="${color(method)}" stroke-width="2.5" `
      + `stroke-dasharray="${dash(method).join(" ")}"/></svg>`;
  }

  const families = (methods) => [...new Set(methods.map(Data.family))].map((id) => ({ id, name: names[id] ?? id }));
  return { learn, dark, color, dash, swatch, families };
})();
