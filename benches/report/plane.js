// A function's contour lines and paths over them, on two canvases.
const Plane = (() => {
  "use strict";

  /** Levels that divide what is seen evenly: a valley's floor gets as many lines as its slopes. */
  function levels(values, count) {
    const sorted = Float64Array.from(values.filter(Number.isFinite)).sort();
    const at = (k) => sorted[Math.floor(((k + 0.5) / count) ** 1.6 * (sorted.length - 1))];
    return [...new Set(Array.from({ length: count }, (_, k) => at(k)))];
  }

  /** Pixels around the picture in which lines are still drawn: their ends are not seen. */
  const MARGIN = 20;

  function make(box) {
    const canvases = [0, 1].map(() => document.createElement("canvas"));
    canvases.forEach((canvas) => canvas.setAttribute("aria-hidden", "true"));
    // Below what the box has: the start must be reached by a finger.
    box.prepend(...canvases);
    let [width, height, window_] = [0, 0, [[0, 1], [0, 1]]];

    /** From the function's plane to the canvas, and back. */
    const to = ([x, y]) => {
      const [[x0, x1], [y0, y1]] = window_;
      return [((x - x0) / (x1 - x0)) * width, (1 - (y - y0) / (y1 - y0)) * height];
    };
    const from = (px, py) => {
      const [[x0, x1], [y0, y1]] = window_;
      return [x0 + (px / width) * (x1 - x0), y0 + (1 - py / height) * (y1 - y0)];
    };

    function context(k) {
      const density = window.devicePixelRatio || 1;
      const canvas = canvases[k];
      canvas.width = Math.round(width * density);
      canvas.height = Math.round(height * density);
      const c = canvas.getContext("2d");
      c.setTransform(density, 0, 0, density, 0, 0);
      return c;
    }

    /** The contour lines of f, and its minimum. */
    function ground(f, view, minimum) {
      [width, height, window_] = [box.clientWidth, box.clientHeight, view];
      if (!width || !height) return;
      const c = context(0);
      const n = 140, m = Math.max(40, Math.round((n * height) / width));
      const values = Array.from({ length: n * m }, (_, i) => f(from((((i % n) + 0.5) / n) * width, ((Math.floor(i / n) + 0.5) / m) * height)));
      const shapes = d3.contours().size([n, m]).thresholds(levels(values, 22))(values);
      c.strokeStyle = Chart.css("--line");
      c.lineWidth = 1;
      for (const shape of shapes) {
        c.beginPath();
        for (const ring of shape.coordinates.flat()) edge(c, ring, n, m);
        c.stroke();
      }
      if (minimum) {
        const [x, y] = to(minimum);
        c.strokeStyle = Chart.css("--fg");
        c.beginPath();
        c.moveTo(x - 5, y); c.lineTo(x + 5, y); c.moveTo(x, y - 5); c.lineTo(x, y + 5);
        c.stroke();
      }
    }

    /** A ring without the parts that run along the border. */
    function edge(c, ring, n, m) {
      let pen = false;
      for (const [gx, gy] of ring) {
        const border = gx <= 0 || gy <= 0 || gx >= n || gy >= m;
        const [x, y] = [(gx / n) * width, (gy / m) * height];
        if (border) pen = false;
        else if (pen) c.lineTo(x, y);
        else { c.moveTo(x, y); pen = true; }
      }
    }

    /**
     * The part of a segment that is in the picture or a little beside it; null if there is none. Canvases do odd things with
     * far coordinates (with dashes and some 1e230 they fill everything), and methods that diverge have them.
     */
    function cut(a, b) {
      const far = (p) => Math.max(...p.map(Math.abs));
      if (!(far(a) < 1e8 || far(b) < 1e8) || !Number.isFinite(far(a) + far(b))) return null;
      // From the nearer end: the other may be so far that nothing is left of the digits.
      if (far(a) > far(b)) return cut(b, a)?.reverse() ?? null;
      const d = [b[0] - a[0], b[1] - a[1]];
      let [first, last] = [0, 1];
      for (const [i, size] of [width, height].entries()) {
        const sides = [-MARGIN, size + MARGIN].map((side) => (side - a[i]) / d[i]).sort((s, t) => s - t);
        if (d[i] === 0 && (a[i] < -MARGIN || a[i] > size + MARGIN)) return null;
        if (d[i] !== 0) [first, last] = [Math.max(first, sides[0]), Math.min(last, sides[1])];
      }
      const at = (s) => [a[0] + s * d[0], a[1] + s * d[1]];
      return first <= last ? [first > 0 ? at(first) : a, last < 1 ? at(last) : b] : null;
    }

    /** A line through the points, without the parts that are not in the picture. */
    function polyline(c, points) {
      let pen = null;
      for (let i = 1; i < points.length; i++) {
        const part = cut(points[i - 1], points[i]);
        if (part && pen !== points[i - 1]) c.moveTo(...part[0]);
        if (part) c.lineTo(...part[1]);
        pen = part?.[1] ?? null;
      }
    }

    const visible = ([x, y]) => x >= 0 && x <= width && y >= 0 && y <= height;

    /** Each path as far as step t (a fraction is a part of a step), with a dot and its name at the end. */
    function paths(lines, t) {
      const c = context(1);
      c.lineJoin = "round";
      c.font = "12px system-ui, sans-serif";
      const taken = [];
      for (const { name, points, color, dash } of lines) {
        const whole = Math.min(Math.floor(t), points.length - 1);
        const shown = points.slice(0, whole + 1).map(to);
        const more = points[whole + 1];
        if (more && t > whole) {
          const [a, b] = [shown[whole], to(more)];
          shown.push([0, 1].map((i) => a[i] + (t - whole) * (b[i] - a[i])));
        }
        c.strokeStyle = color;
        c.fillStyle = color;
        c.lineWidth = 2;
        c.setLineDash(dash);
        c.beginPath();
        polyline(c, shown);
        c.stroke();
        c.setLineDash([]);
        const [x, y] = shown[shown.length - 1];
        if (!visible([x, y])) continue;
        c.beginPath();
        c.arc(x, y, 4.5, 0, 2 * Math.PI);
        c.fill();
        label(c, name, x, y, taken);
      }
    }

    /** A name beside its dot, where no other one is; none if there is no room. */
    function label(c, name, x, y, taken) {
      const w = c.measureText(name).width;
      const places = [[8, 4], [8, -8], [8, 16], [-w - 8, 4], [-w - 8, -8], [-w - 8, 16]];
      for (const [dx, dy] of places) {
        const r = { x: x + dx, y: y + dy - 11, w, h: 13 };
        const free = taken.every((o) => r.x + r.w < o.x || o.x + o.w < r.x || r.y + r.h < o.y || o.y + o.h < r.y);
        if (!free || r.x < 0 || r.x + w > width || r.y < 0 || r.y + 13 > height) continue;
        taken.push(r);
        c.lineWidth = 3;
        c.strokeStyle = Chart.css("--bg");
        c.strokeText(name, r.x, y + dy);
        c.fillText(name, r.x, y + dy);
        return;
      }
    }

    /** Arrows, over the paths: [from, to, colour, name, where the name begins or ends]. */
    function arrows(all) {
      const c = canvases[1].getContext("2d");
      c.font = "12px system-ui, sans-serif";
      for (const [a, b, color, name, side] of all) {
        const [[x0, y0], [x1, y1]] = [to(a), to(b)];
        const angle = Math.atan2(y1 - y0, x1 - x0);
        c.strokeStyle = color;
        c.fillStyle = color;
        c.lineWidth = 2.5;
        c.beginPath();
        polyline(c, [[x0, y0], [x1, y1]]);
        c.stroke();
        if (!visible([x1, y1])) continue;
        c.beginPath();
        c.moveTo(x1, y1);
        for (const turn of [2.6, -2.6]) c.lineTo(x1 + 9 * Math.cos(angle + turn), y1 + 9 * Math.sin(angle + turn));
        c.fill();
        c.textAlign = side;
        c.fillText(name, x1 + (side === "left" ? 8 : -8), y1 + (side === "left" ? 14 : -6));
        c.textAlign = "left";
      }
    }

    return { ground, paths, arrows, to, from };
  }

  return { make };
})();
