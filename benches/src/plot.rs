//! The report's two kinds of picture, as SVG text: curves, and trajectories over contour lines.
//!
//! Both take plain data, skip what is not finite, and put the legend beside the plot, where it
//! stays readable with all methods of the registry.

mod isolines;
mod pen;
mod scale;

use std::fmt;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use isolines::contour_lines;
use pen::{Mark, color, stroke};
pub(crate) use scale::number;
use scale::{Axis, Window, log_ticks, range, ticks};

/// Plotters rounds to whole pixels, which makes steps of smooth curves: the picture is drawn
/// this many times larger, and its view box scaled back.
const SCALE: i32 = 4;
const WIDTH: i32 = 900;
const HEIGHT: i32 = 560;
const LEGEND: i32 = 205;
const LEGEND_ROW: i32 = 18;
const INK: RGBColor = RGBColor(51, 51, 51);
const GREY: RGBColor = RGBColor(228, 228, 228);

/// The median of a method over its seeds.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// Index of colour and dash: one method has the same in all figures.
    pub(crate) style: usize,
    pub(crate) points: Vec<(f64, f64)>,
    /// `(x, min, max)` over the seeds.
    pub(crate) band: Option<Vec<(f64, f64, f64)>>,
}

/// The path of a method through a landscape.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub(crate) name: String,
    /// Index of colour and dash: one method has the same in all figures.
    pub(crate) style: usize,
    pub(crate) points: Vec<[f64; 2]>,
}

/// A function of two parameters and the window in which it is drawn.
pub(crate) struct Landscape {
    pub(crate) f: Box<dyn Fn(f64, f64) -> f64>,
    pub(crate) x: (f64, f64),
    pub(crate) y: (f64, f64),
    /// Where its minimum is, if it has one.
    pub(crate) minimum: Option<[f64; 2]>,
}

/// The drawing library failed; no input does this, short of exhausted memory.
#[derive(Debug)]
pub(crate) struct PlotError(String);

impl fmt::Display for PlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot draw the plot: {}", self.0)
    }
}

impl std::error::Error for PlotError {}

impl From<DrawingAreaErrorKind<std::io::Error>> for PlotError {
    fn from(e: DrawingAreaErrorKind<std::io::Error>) -> Self {
        PlotError(e.to_string())
    }
}

impl From<contour::Error> for PlotError {
    fn from(e: contour::Error) -> Self {
        PlotError(e.to_string())
    }
}

type Pixel = (i32, i32);
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plane<'a> = DrawingArea<SVGBackend<'a>, Cartesian2d<Axis, Axis>>;

/// Median lines with a faint band from the lowest to the highest seed.
///
/// A method that diverges leaves through the top of the window, and on a logarithmic axis a
/// value of zero or less leaves through the bottom.
pub(crate) fn curves(
    title: &str,
    x_label: &str,
    y_label: &str,
    series: &[Series],
    log_y: bool,
) -> Result<String, PlotError> {
    let mut lines: Vec<_> = series.iter().map(|s| s.points.clone()).collect();
    for band in series.iter().filter_map(|s| s.band.as_ref()) {
        lines.push(band.iter().map(|&(x, low, _)| (x, low)).collect());
        lines.push(band.iter().map(|&(x, _, high)| (x, high)).collect());
    }
    let window = Window::around(&lines, log_y);
    let height = |y: f64| match log_y {
        false => y,
        true if y > 0.0 => y.log10(),
        true => window.y.start - 1.0,
    };
    let names: Vec<_> = series.iter().map(|s| (s.name.as_str(), s.style)).collect();
    picture(title, &names, &[], |root, area| {
        let plane = axes(area, &window, [x_label, y_label], GREY.into(), log_y)?;
        for s in series {
            let band = s
                .band
                .iter()
                .flatten()
                .filter(|(x, a, b)| (x + a + b).is_finite());
            let inside = |x: f64, y: f64| {
                plane.map_coordinate(&(x, height(y).clamp(window.y.start, window.y.end)))
            };
            let (low, mut high): (Vec<_>, Vec<_>) =
                band.map(|&(x, a, b)| (inside(x, a), inside(x, b))).unzip();
            high.reverse();
            root.draw(&Polygon::new(
                [low, high].concat(),
                color(s.style).mix(0.12),
            ))?;
        }
        for s in series.iter().rev() {
            let points = s.points.iter().filter(|(x, y)| (x + y).is_finite());
            let points: Vec<_> = points.map(|&(x, y)| (x, height(y))).collect();
            line(root, &plane, &window, &points, s.style)?;
            if let [only] = points[..] {
                dot(root, &plane, &window, only, color(s.style).filled())?;
            }
        }
        Ok(())
    })
}

/// The paths of methods over the contour lines of the function, with the start and the minimum
/// marked. A dot is where a method ended.
pub(crate) fn trajectories(
    title: &str,
    landscape: &Landscape,
    tracks: &[Track],
) -> Result<String, PlotError> {
    let window = Window {
        x: range(landscape.x),
        y: range(landscape.y),
    };
    let names: Vec<_> = tracks.iter().map(|t| (t.name.as_str(), t.style)).collect();
    let start = |t: &Track| t.points.first().map(|&[x, y]| (x, y));
    let marks = [
        (tracks.iter().any(|t| !t.points.is_empty())).then_some(Mark::Start),
        landscape.minimum.map(|_| Mark::Minimum),
    ];
    let marks: Vec<Mark> = marks.into_iter().flatten().collect();
    picture(title, &names, &marks, |root, area| {
        let plane = axes(area, &window, ["x0", "x1"], TRANSPARENT, false)?;
        contour_lines(root, &plane, &window, &landscape.f)?;
        for t in tracks.iter().rev() {
            let points: Vec<_> = t.points.iter().map(|&[x, y]| (x, y)).collect();
            let points: Vec<_> = points
                .into_iter()
                .filter(|(x, y)| (x + y).is_finite())
                .collect();
            line(root, &plane, &window, &points, t.style)?;
            if let Some(&end) = points.last() {
                dot(root, &plane, &window, end, color(t.style).filled())?;
            }
        }
        let mut starts: Vec<_> = tracks.iter().filter_map(start).collect();
        starts.retain(|&p| window.contains(p));
        starts.dedup();
        for p in starts {
            Mark::Start.draw(root, plane.map_coordinate(&p))?;
        }
        if let Some([x, y]) = landscape.minimum.filter(|&[x, y]| window.contains((x, y))) {
            Mark::Minimum.draw(root, plane.map_coordinate(&(x, y)))?;
        }
        Ok(())
    })
}

/// Title on top, legend at the right; `draw` gets the whole area and the area of the plot, whose
/// coordinates are the same pixels.
fn picture(
    title: &str,
    names: &[(&str, usize)],
    marks: &[Mark],
    draw: impl FnOnce(&Area<'_>, &Area<'_>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let rows = i32::try_from(names.len() + marks.len())
        .unwrap_or(i32::MAX)
        .min(1000);
    let size = (WIDTH, HEIGHT.max(60 + LEGEND_ROW * rows));
    let mut svg = String::new();
    {
        let large = ((size.0 * SCALE) as u32, (size.1 * SCALE) as u32);
        let root = SVGBackend::with_string(&mut svg, large).into_drawing_area();
        root.fill(&WHITE)?;
        let fit = (1.7 * f64::from(WIDTH - 40) / title.chars().count().max(1) as f64).min(17.0);
        let heading = text(fit).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw_text(title, &heading, (20 * SCALE, 21 * SCALE))?;
        let (plot, _) = root.split_horizontally((WIDTH - LEGEND) * SCALE);
        draw(
            &root,
            &plot.margin(40 * SCALE, 10 * SCALE, 12 * SCALE, 14 * SCALE),
        )?;
        legend(&root, names, marks)?;
        root.present()?;
    }
    let large = format!(r#"width="{}" height="{}""#, size.0 * SCALE, size.1 * SCALE);
    let shown = format!(r#"width="{}" height="{}""#, size.0, size.1);
    Ok(svg.replacen(&large, &shown, 1))
}

fn legend(root: &Area<'_>, names: &[(&str, usize)], marks: &[Mark]) -> Result<(), PlotError> {
    let label = text(12.0).pos(Pos::new(HPos::Left, VPos::Center));
    let left = (WIDTH - LEGEND + 6) * SCALE;
    let mut y = 50 * SCALE;
    let mut row = |name: &str| -> Result<Pixel, PlotError> {
        root.draw_text(name, &label, (left + 38 * SCALE, y))?;
        y += LEGEND_ROW * SCALE;
        Ok((left, y - LEGEND_ROW * SCALE))
    };
    for &(name, style) in names {
        let (x, y) = row(name)?;
        stroke(root, vec![(x, y), (x + 30 * SCALE, y)], style)?;
    }
    for mark in marks {
        let (x, y) = row(mark.name())?;
        mark.draw(root, (x + 15 * SCALE, y))?;
    }
    Ok(())
}

/// Draws grid, ticks and axis labels, and returns the plane of the data.
fn axes<'a>(
    area: &Area<'a>,
    window: &Window,
    labels: [&str; 2],
    grid: RGBAColor,
    log_y: bool,
) -> Result<Plane<'a>, PlotError> {
    let y_ticks = if log_y {
        log_ticks(&window.y)
    } else {
        ticks(&window.y, 7)
    };
    let mut chart = ChartBuilder::on(area)
        .x_label_area_size(44 * SCALE)
        .y_label_area_size(62 * SCALE)
        .build_cartesian_2d(
            Axis {
                range: window.x.clone(),
                ticks: ticks(&window.x, 8),
            },
            Axis {
                range: window.y.clone(),
                ticks: y_ticks,
            },
        )?;
    chart
        .configure_mesh()
        .bold_line_style(grid.stroke_width(SCALE as u32))
        .light_line_style(TRANSPARENT)
        .axis_style(RGBColor(140, 140, 140).stroke_width(SCALE as u32))
        .set_all_tick_mark_size(4 * SCALE)
        .label_style(text(11.5))
        .axis_desc_style(text(13.0))
        .x_label_formatter(&|x| number(*x))
        .y_label_formatter(&|y| number(if log_y { 10f64.powf(*y) } else { *y }))
        .x_desc(labels[0])
        .y_desc(labels[1])
        .draw()?;
    Ok(chart.plotting_area().clone())
}

/// A font of the given height in pixels; the SVG backend divides its size by 1.24.
fn text(size: f64) -> TextStyle<'static> {
    ("sans-serif", 1.24 * size * f64::from(SCALE))
        .into_font()
        .color(&INK)
}

/// The line through the points, as far as it is in the window.
fn line(
    root: &Area<'_>,
    plane: &Plane<'_>,
    window: &Window,
    points: &[(f64, f64)],
    style: usize,
) -> Result<(), PlotError> {
    for piece in window.clip(points) {
        let mut pixels: Vec<Pixel> = piece.iter().map(|p| plane.map_coordinate(p)).collect();
        pixels.dedup();
        stroke(root, pixels, style)?;
    }
    Ok(())
}

fn dot(
    root: &Area<'_>,
    plane: &Plane<'_>,
    window: &Window,
    at: (f64, f64),
    style: ShapeStyle,
) -> Result<(), PlotError> {
    if window.contains(at) {
        root.draw(&Circle::new(plane.map_coordinate(&at), 3 * SCALE, style))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(svg: &str) {
        assert!(
            svg.starts_with("<svg width=\"900\" height=\""),
            "{}",
            &svg[..80]
        );
        assert!(svg.trim_end().ends_with("</svg>"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }

    #[test]
    fn curves_take_any_numbers() {
        let hostile = [
            vec![],
            vec![(0.0, 1.0)],
            vec![(0.0, f64::NAN), (1.0, f64::INFINITY)],
            vec![
                (0.0, 2.0),
                (1.0, 0.0),
                (2.0, -3.0),
                (3.0, f64::MAX),
                (4.0, -f64::MAX),
            ],
            vec![(-f64::MAX, 1.0), (f64::MAX, 5e-324)],
        ];
        let series: Vec<Series> = (0..hostile.len() * 9)
            .map(|style| Series {
                name: format!("m{style} <&>"),
                style,
                points: hostile[style % hostile.len()].clone(),
                band: Some(vec![
                    (0.0, f64::NAN, 1.0),
                    (1.0, -1.0, 1e308),
                    (2.0, 0.0, 0.0),
                ]),
            })
            .collect();
        for log_y in [false, true] {
            for n in [0, 1, 2, 3, 4, 5, series.len()] {
                let svg = curves("a < b & c", "x", "y", &series[..n], log_y).unwrap();
                check(&svg);
                assert!(svg.contains("a &lt; b &amp; c"));
                assert!((0..n).all(|i| svg.contains(&format!("m{i} &lt;&amp;&gt;"))));
            }
        }
    }

    #[test]
    fn trajectories_take_any_numbers() {
        let points = vec![[0.5, 0.5], [f64::NAN, 0.0], [1e300, -1e300], [0.1, 0.1]];
        let tracks = [vec![], points].map(|points| Track {
            name: "adam".into(),
            style: 11,
            points,
        });
        let functions: [fn(f64, f64) -> f64; 4] = [
            |x, y| x * y,
            |_, _| 1.0,
            |_, _| f64::NAN,
            |x, y| (x / y).sqrt(),
        ];
        for f in functions {
            for (x, minimum) in [((-1.0, 1.0), Some([0.0, 0.0])), ((f64::NAN, 1.0), None)] {
                let landscape = Landscape {
                    f: Box::new(f),
                    x,
                    y: (1.0, -1.0),
                    minimum,
                };
                let svg = trajectories("t", &landscape, &tracks).unwrap();
                check(&svg);
                assert!(svg.contains("adam") && svg.contains("start"));
                assert_eq!(svg.contains("minimum"), minimum.is_some());
            }
        }
    }
}
