//! Where a layer's units are: the maps that go in and come out, and how many of each.

use crate::{Error, Spec};

/// Maps, channels last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Maps {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl Maps {
    fn flat(channels: usize) -> Self {
        Self {
            height: 1,
            width: 1,
            channels,
        }
    }

    /// Pixels of one map.
    pub(crate) fn positions(self) -> usize {
        self.height * self.width
    }

    /// Of one sample.
    pub(crate) fn len(self) -> usize {
        self.positions() * self.channels
    }

    /// If that is below what a sample can have at all.
    fn checked(self, what: &str) -> Result<Self, Error> {
        let all = [self.width, self.channels, size_of::<f64>()];
        let bytes = (all.into_iter()).try_fold(self.height, usize::checked_mul);
        match bytes.filter(|&bytes| bytes <= isize::MAX as usize) {
            Some(0) => Err(Error::ZeroWidth {
                what: what.to_owned(),
            }),
            Some(_) => Ok(self),
            None => Err(Error::Params(opt_core::Error::SegmentTooLarge(
                what.to_owned(),
            ))),
        }
    }
}

/// The maps of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) input: Maps,
    /// Before pooling.
    pub(crate) output: Maps,
    /// After it.
    pub(crate) above: Maps,
    /// Width of W.
    pub(crate) fan_in: usize,
}

impl Shape {
    /// Rows of a = h·Wᵀ in each sample.
    pub(crate) fn positions(&self) -> usize {
        self.output.positions()
    }
}

/// The windows of `size` along `length` pixels, of which `padding` more are on each side.
fn windows(
    (what, size): (&'static str, usize),
    (layer, stride): (usize, usize),
    (length, padding): (usize, usize),
) -> Result<usize, Error> {
    if size == 0 || stride == 0 || (what == "pool" && size > 255) {
        return Err(Error::Window {
            layer,
            what,
            size,
            stride,
        });
    }
    let padded = padding.checked_mul(2).and_then(|p| p.checked_add(length));
    match padded.and_then(|padded| padded.checked_sub(size)) {
        // Padding that is wider than the kernel has positions that see nothing.
        Some(rest) if padding < size => Ok(rest / stride + 1),
        _ => Err(Error::Kernel {
            layer,
            what,
            size,
            length,
            padding,
        }),
    }
}

/// The shapes of all layers.
pub(crate) fn shapes(spec: &Spec) -> Result<Vec<Shape>, Error> {
    let mut input = Maps::flat(spec.inputs);
    if let Some([height, width, channels]) = spec.image {
        input = Maps {
            height,
            width,
            channels,
        };
        if input.checked("image")?.len() != spec.inputs {
            return Err(Error::Image {
                image: [height, width, channels],
                inputs: spec.inputs,
            });
        }
    }
    let mut shapes = Vec::with_capacity(spec.layers.len());
    for (index, layer) in spec.layers.iter().enumerate() {
        let name = format!("layer{index}");
        let (mut output, mut fan_in) = (Maps::flat(layer.units), input.len());
        if let Some(conv) = layer.convolution {
            let kernel = ("kernel", conv.kernel);
            let along = |length| windows(kernel, (index, conv.stride), (length, conv.padding));
            (output.height, output.width) = (along(input.height)?, along(input.width)?);
            let patch = Maps {
                height: conv.kernel,
                width: conv.kernel,
                channels: input.channels,
            };
            fan_in = patch.checked(&name)?.len();
        }
        let mut above = output.checked(&name)?;
        if let Some(pool) = layer.pool {
            let along = |length| windows(("pool", pool.size), (index, pool.stride), (length, 0));
            (above.height, above.width) = (along(output.height)?, along(output.width)?);
        }
        shapes.push(Shape {
            input,
            output,
            above,
            fan_in,
        });
        input = above;
    }
    Ok(shapes)
}
