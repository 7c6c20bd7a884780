//! The window of a plot: its limits, its ticks, and what of a line lies inside.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use crate::results::Stat;

/// The part of the plane that is drawn; on a logarithmic axis `y` is the decimal logarithm.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) x: Range<f64>,
    pub(crate) y: Range<f64>,
}

impl Window {
    /// Shows all of the lines, but ends at three times the typical (median) start value, so that
    /// a line that diverges leaves through the top and does not squash the others.
    pub(crate) fn around(lines: &[Vec<(f64, f64)>], log_y: bool) -> Self {
        let drawn = |&&(x, y): &&(f64, f64)| (x + y).is_finite() && (y > 0.0 || !log_y);
        let points = || lines.iter().flatten().filter(drawn);
        let starts = Stat::of(lines.iter().filter_map(|l| Some(l.iter().find(drawn)?.1)));
        let (x, y) = (
            Stat::of(points().map(|p| p.0)),
            Stat::of(points().map(|p| p.1)),
        );
        let (Some(x), Some(y), Some(starts)) = (x, y, starts) else {
            return Window {
                x: 0.0..1.0,
                y: 0.0..1.0,
            };
        };
        let limit = if starts.median > 0.0 {
            3.0 * starts.median
        } else {
            f64::INFINITY
        };
        let (mut low, mut high) = (y.min, y.max.min(limit));
        if log_y {
            // A method that reaches 1e-300 would squash the others too.
            high = high.log10();
            low = low.log10().max(high - 12.0);
        }
        let pad = 0.03 * (high - low);
        let floor = if low >= 0.0 && !log_y {
            0.0
        } else {
            f64::NEG_INFINITY
        };
        Window {
            x: range((x.min, x.max)),
            y: range(((low - pad).max(floor), high + pad)),
        }
    }

    pub(crate) fn contains(&self, (x, y): (f64, f64)) -> bool {
        let inside = |v: f64, r: &Range<f64>| r.start <= v && v <= r.end;
        inside(x, &self.x) && inside(y, &self.y)
    }

    /// The pieces of a line of finite points that are inside.
    pub(crate) fn clip(&self, points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
        let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
        for (a, b) in points.iter().zip(points.iter().skip(1)) {
            let Some((from, to)) = self.clip_segment(*a, *b) else {
                continue;
            };
            match pieces.last_mut() {
                Some(piece) if piece.last() == Some(&from) => piece.push(to),
                _ => pieces.push(vec![from, to]),
            }
        }
        pieces
    }

    /// Liang and Barsky's clipping: the share of the segment on the inner side of each edge.
    fn clip_segment(&self, a: (f64, f64), b: (f64, f64)) -> Option<((f64, f64), (f64, f64))> {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
        for (slope, room) in [
            (-dx, a.0 - self.x.start),
            (dx, self.x.end - a.0),
            (-dy, a.1 - self.y.start),
            (dy, self.y.end - a.1),
        ] {
            if slope < 0.0 {
                enter = enter.max(room / slope);
            } else if slope > 0.0 {
                leave = leave.min(room / slope);
            } else if room < 0.0 {
                return None;
            }
        }
        let at = |t: f64| match t {
            0.0 => a,
            1.0 => b,
            _ => (a.0 + t * dx, a.1 + t * dy),
        };
        // Segments so long that their length overflows are left out.
        (enter <= leave && (dx + dy).is_finite()).then(|| (at(enter), at(leave)))
    }
}

/// A linear axis with given ticks. (Plotters' own ticks on a logarithmic axis shorter than a
/// decade are none, or one.)
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub(crate) range: Range<f64>,
    pub(crate) ticks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Without "light points", which would be a finer grid.
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// The limits as a range that is finite, in order and not empty.
pub(crate) fn range((a, b): (f64, f64)) -> Range<f64> {
    let (low, high) = (a.min(b), a.max(b));
    if !(high - low).is_finite() {
        0.0..1.0
    } else if high - low > 1e-9 * high.abs() {
        low..high
    } else {
        let pad = 0.1 * high.abs().max(1.0);
        low - pad..high + pad
    }
}

/// At most `count` + 1 round numbers in the range.
pub(crate) fn ticks(range: &Range<f64>, count: u32) -> Vec<f64> {
    let raw = (range.end - range.start) / f64::from(count.max(1));
    let unit = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * unit)
        .into_iter()
        .find(|s| *s >= raw);
    let Some(step) = step.filter(|s| s.is_normal()) else {
        return Vec::new();
    };
    let first = (range.start / step).ceil();
    let steps = (0..=count).map(|k| (first + f64::from(k)) * step);
    steps.take_while(|v| *v <= range.end).collect()
}

/// Ticks of a logarithmic axis, as decimal logarithms like the range itself: powers of ten, or
/// as many numbers between them as it takes to have four, or else evenly spaced ones.
pub(crate) fn log_ticks(range: &Range<f64>) -> Vec<f64> {
    let (first, last) = (range.start.floor() as i32, range.end.ceil() as i32);
    let stride = 1 + ((last - first).max(0) / 9) as usize;
    let within = |v: &f64| range.start <= *v && *v <= range.end;
    for digits in [
        &[1.0_f64][..],
        &[1.0, 2.0, 5.0],
        &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
    ] {
        let decades = (first..=last).step_by(stride);
        let all = decades.flat_map(|d| digits.iter().map(move |m| f64::from(d) + m.log10()));
        let inside: Vec<f64> = all.filter(within).collect();
        if inside.len() >= 4 {
            return inside;
        }
    }
    let values = 10f64.powf(range.start)..10f64.powf(range.end);
    ticks(&values, 5)
        .into_iter()
        .map(f64::log10)
        .filter(within)
        .collect()
}

/// A number in at most six digits, without trailing zeros.
pub(crate) fn number(v: f64) -> String {
    let size = v.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        let text = format!("{v:.3e}");
        return match text.split_once('e') {
            Some((m, e)) => format!("{}e{e}", m.trim_end_matches('0').trim_end_matches('.')),
            None => text,
        };
    }
    let decimals = if size == 0.0 {
        0
    } else {
        (5 - size.log10().floor() as i32).max(0) as usize
    };
    let text = format!("{v:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (-2.5, "-2.5"),
            (20000.0, "20000"),
            (1e-8, "1e-8"),
            (0.001, "0.001"),
            (1.5e7, "1.5e7"),
        ];
        for (v, text) in cases {
            assert_eq!(number(v), text);
        }
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            ticks(&(0.0..1000.0), 5),
            [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]
        );
        assert_eq!(ticks(&(-1.1..1.1), 5), [-1.0, -0.5, 0.0, 0.5, 1.0]);
        assert!(ticks(&(0.0..f64::INFINITY), 5).is_empty());
        let text = |r| {
            log_ticks(&r)
                .iter()
                .map(|v| number(10f64.powf(*v)))
                .collect::<Vec<_>>()
        };
        assert_eq!(text(-3.1..0.5), ["0.001", "0.01", "0.1", "1"]);
        assert_eq!(text(-1.1..0.4), ["0.1", "0.2", "0.5", "1", "2"]);
        assert_eq!(text(-0.6..-0.35), ["0.3", "0.35", "0.4"]);
    }

    #[test]
    fn lines_are_cut_at_the_edges() {
        let w = Window {
            x: 0.0..1.0,
            y: 0.0..1.0,
        };
        // In through the left at (0, 0.5), out through the top at (0.5, 1), back in at (0.75, 1).
        let pieces = w.clip(&[(-0.5, 0.0), (1.0, 1.5), (0.5, 0.5)]);
        assert_eq!(
            pieces,
            [vec![(0.0, 0.5), (0.5, 1.0)], vec![(0.75, 1.0), (0.5, 0.5)]]
        );
        assert!(w.clip(&[(2.0, 0.0), (2.0, 1.0)]).is_empty());
        assert!(w.clip(&[(-f64::MAX, 0.5), (f64::MAX, 0.5)]).is_empty());
    }

    #[test]
    fn a_diverged_line_does_not_squash_the_others() {
        let good = vec![(0.0, 2.0), (1.0, 1.0)];
        let bad = vec![(0.0, 2.0), (1.0, 1e30), (2.0, f64::NAN)];
        let linear = Window::around(&[good.clone(), bad.clone()], false);
        assert!(
            linear.y.start <= 1.0 && (6.0..6.5).contains(&linear.y.end),
            "{linear:?}"
        );
        let log = Window::around(&[good, bad], true);
        assert!(log.y.start <= 0.0 && log.y.end < 0.9, "{log:?}");
        let empty = Window::around(&[vec![], vec![(f64::NAN, 1.0)]], true);
        assert_eq!((empty.x, empty.y), (0.0..1.0, 0.0..1.0));
    }
}
