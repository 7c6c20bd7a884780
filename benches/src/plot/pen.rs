//! Colours, dashes and marks: what distinguishes the lines of a plot.

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::{Area, Pixel, PlotError, SCALE};

/// Ten solid lines, then ten dashed, then dotted ones.
pub(crate) fn stroke(root: &Area<'_>, pixels: Vec<Pixel>, style: usize) -> Result<(), PlotError> {
    let pen = color(style).mix(0.9).stroke_width((SCALE as u32 * 17) / 10);
    match style / 10 % 3 {
        0 => root.draw(&PathElement::new(pixels, pen))?,
        1 => root.draw(&DashedPathElement::new(pixels, 7 * SCALE, 3 * SCALE, pen))?,
        _ => root.draw(&DashedPathElement::new(pixels, 2 * SCALE, 2 * SCALE, pen))?,
    }
    Ok(())
}

/// Cycles through 25 colours; those of the solid lines differ most.
pub(crate) fn color(style: usize) -> RGBColor {
    const PALETTE: [u32; 25] = [
        0x1f77b4, 0xd62728, 0x2ca02c, 0x9467bd, 0xff7f0e, 0x17becf, 0x8c564b, 0xe377c2, 0x111111,
        0xbcbd22, 0x0b3d91, 0x8b0000, 0x0b5d1e, 0x5b1a8b, 0xb35900, 0x006d77, 0xc2185b, 0x6b7d23,
        0x777777, 0x5c4033, 0x4f9fe0, 0xff6f61, 0x4fc46a, 0xa88be0, 0xf0a830,
    ];
    let [_, r, g, b] = PALETTE[style % PALETTE.len()].to_be_bytes();
    RGBColor(r, g, b)
}

/// A point that is marked in the plot and named in the legend.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    Start,
    Minimum,
}

impl Mark {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mark::Start => "start",
            Mark::Minimum => "minimum",
        }
    }

    pub(crate) fn draw(self, root: &Area<'_>, at: Pixel) -> Result<(), PlotError> {
        match self {
            Mark::Start => {
                root.draw(&Circle::new(at, 6 * SCALE, WHITE.filled()))?;
                root.draw(&Circle::new(
                    at,
                    6 * SCALE,
                    BLACK.stroke_width(2 * SCALE as u32),
                ))?;
            }
            Mark::Minimum => {
                root.draw(&Cross::new(
                    at,
                    6 * SCALE,
                    WHITE.stroke_width(5 * SCALE as u32),
                ))?;
                root.draw(&Cross::new(
                    at,
                    6 * SCALE,
                    BLACK.stroke_width(2 * SCALE as u32),
                ))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_styles_differ() {
        let all: std::collections::BTreeSet<_> = (0..30)
            .map(|s| (color(s).0, color(s).1, color(s).2, s / 10 % 3))
            .collect();
        assert_eq!(all.len(), 30);
    }
}
