//! The contour lines of a function of two parameters.

use std::ops::Range;

use contour::ContourBuilder;
use plotters::prelude::*;

use super::scale::Window;
use super::{Area, Pixel, Plane, PlotError, SCALE};

/// Side of the grid on which the function is evaluated.
const GRID: usize = 240;

/// Shares of the window below each level: lines that are evenly dense to the eye, whatever
/// the function's range, and a few more near its minimum.
const LEVELS: [f64; 14] = [
    0.002, 0.01, 0.03, 0.06, 0.1, 0.16, 0.24, 0.33, 0.42, 0.52, 0.63, 0.74, 0.85, 0.95,
];

type Line = Vec<(f64, f64)>;

/// Contour lines, darker where the function is lower.
pub(crate) fn contour_lines(
    root: &Area<'_>,
    plane: &Plane<'_>,
    window: &Window,
    f: &dyn Fn(f64, f64) -> f64,
) -> Result<(), PlotError> {
    for (lines, shade) in isolines(window, f)?.into_iter().zip((150..=222).step_by(5)) {
        let pen = RGBColor(shade, shade, shade).stroke_width(SCALE as u32);
        for piece in lines.iter().flat_map(|points| window.clip(points)) {
            let mut pixels: Vec<Pixel> = piece.iter().map(|p| plane.map_coordinate(p)).collect();
            pixels.dedup();
            root.draw(&PathElement::new(pixels, pen))?;
        }
    }
    Ok(())
}

/// The isolines at [`LEVELS`], level by level.
fn isolines(window: &Window, f: &dyn Fn(f64, f64) -> f64) -> Result<Vec<Vec<Line>>, PlotError> {
    // The isolines close along the edge of the grid, so the grid is a little wider than the
    // window, which cuts the edge off.
    let cell = |r: &Range<f64>| (r.end - r.start) / (GRID - 4) as f64;
    let (dx, dy) = (cell(&window.x), cell(&window.y));
    let (x0, y0) = (window.x.start - 2.0 * dx, window.y.start - 2.0 * dy);
    // The sample of a cell is in its middle.
    let at = |i: usize| {
        (
            x0 + ((i % GRID) as f64 + 0.5) * dx,
            y0 + ((i / GRID) as f64 + 0.5) * dy,
        )
    };
    let mut values: Vec<f64> = (0..GRID * GRID).map(at).map(|(x, y)| f(x, y)).collect();
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(&highest) = sorted.last() else {
        return Ok(Vec::new());
    };
    values
        .iter_mut()
        .filter(|v| !v.is_finite())
        .for_each(|v| *v = highest);
    let level = |q: f64| sorted.get((q * sorted.len() as f64) as usize).copied();
    let levels: Vec<f64> = LEVELS.iter().filter_map(|&q| level(q)).collect();
    let grid = ContourBuilder::new(GRID, GRID, true)
        .x_origin(x0)
        .y_origin(y0);
    let lines = grid.x_step(dx).y_step(dy).lines(&values, &levels)?;
    let points = |line: &contour::Line| {
        let rings = line.geometry().0.iter();
        rings
            .map(|ring| ring.0.iter().map(|c| (c.x, c.y)).collect())
            .collect()
    };
    Ok(lines.iter().map(points).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolines_of_a_bowl_are_circles() {
        let window = Window {
            x: -1.0..1.0,
            y: -2.0..2.0,
        };
        let levels = isolines(&window, &|x, y| x * x + y * y).unwrap();
        assert_eq!(levels.len(), LEVELS.len());
        // The widest spacing of the samples. A sample grid is 240/236 as wide as the window.
        let h = 4.0 / (GRID - 4) as f64;
        let area = (GRID as f64 * h) * (GRID as f64 * h / 2.0);
        for (level, share) in levels.iter().zip(LEVELS) {
            let inside = level.iter().flatten().filter(|&&p| window.contains(p));
            let radii: Vec<f64> = inside.map(|(x, y)| x.hypot(*y)).collect();
            assert!(radii.len() > 10);
            let r = radii[0];
            // Linear interpolation between samples is off by at most h²/8 · f'' = h²/4 in f, and
            // by 1/(2r) of that in r.
            assert!(
                radii
                    .iter()
                    .all(|other| (other - r).abs() <= h * h / (8.0 * r)),
                "{radii:?}"
            );
            // As long as the circle is inside, its area is the level's share of the grid.
            let expected = (share * area / std::f64::consts::PI).sqrt();
            assert!(expected > 1.0 || (r - expected).abs() < h, "{r} {expected}");
        }
    }
}
