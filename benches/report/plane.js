// A function's contour lines and paths over them, on two canvases.
const Plane = (() => {
  "use strict";

  /** Levels that divide what is seen evenly: a valley's floor gets as many lines as its slopes. */
  function levels(values, count) {
    const sorted = Float64Array.from(values.filter(Number.isFinite)).sort();
    const at = (k) => sorted[Math.floor(((k + 0.5) / count) ** 1.6 * (sorted.length - 1))];
    return [...new Set(Array.from({ length: count }, (_, k) => at(k)))];
  }

  function make(box) {
    const canvases = [0, 1].map(() => box.appendChild(document.createElement("canvas")));
    canvases.forEach((canvas) => canvas.setAttribute("aria-hidden", "true"));
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
        shown.forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
        c.stroke();
        c.setLineDash([]);
        const [x, y] = shown[shown.length - 1];
        if (!(x >= 0 && x <= width && y >= 0 && y <= height)) continue;
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
        c.moveTo(x0, y0); c.lineTo(x1, y1);
        c.stroke();
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
