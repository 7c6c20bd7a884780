//! Moré & Thuente's interval about a step: how trials shrink it, and which is the next.

use crate::trial::Trial;

/// The trials of one search, and where the next may lie.
#[derive(Debug)]
pub(crate) struct Interval {
    /// The lowest trial, and an end of the interval.
    pub(crate) best: Trial,
    /// The other end, if `closed`.
    other: Trial,
    /// Whether a minimum is known to lie between the ends.
    closed: bool,
    /// Whether a trial was low enough and φ rose there: then φ itself is minimized.
    untilted: bool,
    /// Of the interval after this trial and after the last.
    widths: [f64; 2],
    /// Where the next trial may lie.
    range: [f64; 2],
    /// The shortest step beyond the best that is known not to be finite.
    wall: f64,
}

impl Interval {
    /// Before the first trial, `step`; `width` is that of the bounds.
    pub(crate) fn new(start: Trial, step: f64, width: f64) -> Self {
        Self {
            best: start,
            other: start,
            closed: false,
            untilted: false,
            widths: [width, 2.0 * width],
            range: [0.0, 5.0 * step],
            wall: f64::INFINITY,
        }
    }

    /// The next step after a finite trial, section 2 of the paper; `low` if it satisfies the first
    /// condition, whose slope is `tilt`.
    pub(crate) fn narrow(&mut self, trial: Trial, low: bool, tilt: f64) -> f64 {
        self.untilted |= low && trial.slope >= 0.0;
        // Low enough is only asked for in the first stage; a trial that is not is then fitted, and
        // counts, as one that is higher than the best, which is.
        let tilted = trial.value <= self.best.value && !low && !self.untilted;
        let tilt = if tilted { tilt } else { 0.0 };
        let [x, y, t] = [self.best, self.other, trial].map(|p| p.tilted(tilt));
        let higher = tilted || t.value > x.value;
        let opposite = (t.slope > 0.0 && x.slope < 0.0) || (t.slope < 0.0 && x.slope > 0.0);
        let mut step = if higher {
            between(x, t)
        } else if opposite {
            across(x, t)
        } else if t.slope.abs() < x.slope.abs() {
            self.flattening(x, y, t)
        } else {
            self.steepening(x, y, t)
        };
        if higher {
            self.other = trial;
        } else {
            if opposite {
                self.other = self.best;
            }
            self.best = trial;
        }
        self.closed |= higher || opposite;
        if self.closed {
            let width = (self.other.step - self.best.step).abs();
            // Two trials must take off a third.
            if width >= 0.66 * self.widths[1] || !step.is_finite() {
                step = self.best.middle(self.other.step);
            }
            self.widths = [width, self.widths[0]];
            self.range = [self.best.step, self.other.step];
            self.range.sort_by(f64::total_cmp);
        } else {
            if !step.is_finite() {
                step = self.range[1];
            }
            self.range = [1.1, 4.0].map(|k| step + k * (step - self.best.step));
        }
        if step >= self.wall {
            step = self.best.middle(self.wall);
        }
        step
    }

    /// The next step after a trial that was not finite.
    pub(crate) fn shorten(&mut self, step: f64) -> f64 {
        if step > self.best.step {
            self.wall = step;
        }
        self.best.middle(step)
    }

    /// Whether `step` is no use, or the interval too narrow.
    pub(crate) fn is_exhausted(&self, step: f64, tolerance: f64) -> bool {
        let [low, high] = self.range;
        let narrow = high - low <= tolerance * high || step <= low || step >= high;
        let blocked = step >= self.wall || self.best.step >= (1.0 - tolerance) * self.wall;
        self.closed && narrow || blocked
    }

    /// A lower trial `t` where φ falls less: its minimum seems to lie ahead.
    fn flattening(&self, x: Trial, y: Trial, t: Trial) -> f64 {
        let ahead = t.step > x.step;
        let (ratio, root) = cubic(t, x);
        let cubic = if ratio < 0.0 && root != 0.0 {
            t.step + ratio * (x.step - t.step)
        } else {
            self.range[usize::from(ahead)]
        };
        let secant = secant(x, t);
        let cubic_is_nearer = (cubic - t.step).abs() < (secant - t.step).abs();
        let step = if cubic_is_nearer == self.closed {
            cubic
        } else {
            secant
        };
        match (self.closed, ahead) {
            (false, _) => step.max(self.range[0]).min(self.range[1]),
            (true, true) => step.min(t.step + 0.66 * (y.step - t.step)),
            (true, false) => step.max(t.step + 0.66 * (y.step - t.step)),
        }
    }

    /// A lower trial `t` where φ falls no less.
    fn steepening(&self, x: Trial, y: Trial, t: Trial) -> f64 {
        if self.closed {
            return t.step + cubic(t, y).0 * (y.step - t.step);
        }
        self.range[usize::from(t.step > x.step)]
    }
}

/// A higher trial `t`: there is a minimum between it and `x`.
fn between(x: Trial, t: Trial) -> f64 {
    let way = t.step - x.step;
    let cubic = cubic(x, t).0 * way;
    let quadratic = 0.5 * way * x.slope / (x.slope + (x.value - t.value) / way);
    if cubic.abs() <= quadratic.abs() {
        x.step + cubic
    } else {
        x.step + 0.5 * (cubic + quadratic)
    }
}

/// A lower trial `t` where φ rises: there is a minimum between it and `x`.
fn across(x: Trial, t: Trial) -> f64 {
    let cubic = t.step + cubic(t, x).0 * (x.step - t.step);
    let secant = secant(x, t);
    if (cubic - t.step).abs() > (secant - t.step).abs() {
        cubic
    } else {
        secant
    }
}

/// Where the line through both slopes is 0.
fn secant(x: Trial, t: Trial) -> f64 {
    t.step + t.slope / (t.slope - x.slope) * (x.step - t.step)
}

/// The minimum of the cubic through values and slopes of both, as a share of the way from `a` to
/// `b`; and the root of its discriminant, which is 0 if it has no minimum.
fn cubic(a: Trial, b: Trial) -> (f64, f64) {
    let way = b.step - a.step;
    let theta = 3.0 * (a.value - b.value) / way + a.slope + b.slope;
    // Scaled, so that no square overflows.
    let scale = theta.abs().max(a.slope.abs()).max(b.slope.abs());
    let square = (theta / scale).powi(2) - (a.slope / scale) * (b.slope / scale);
    let root = scale * square.max(0.0).sqrt() * way.signum();
    let rise = root - a.slope;
    ((rise + theta) / (rise + root + b.slope), root)
}
