//! What a convolution sees: patches of its maps, and back.

use rayon::prelude::*;

/// Of one or two dimensions; in one, of height 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
}

/// Of the maps: channels, height and width; and height and width of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maps {
    pub(crate) samples: usize,
    pub(crate) channels: usize,
    pub(crate) size: [usize; 2],
    pub(crate) out: [usize; 2],
}

impl Window {
    pub(crate) fn pixels(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Calls `f(pixel of the kernel, pixel of the map)` for the pixels of the patch at `(row, column)` of the
    /// output that are not in the padding.
    fn each(&self, maps: &Maps, at: [usize; 2], mut f: impl FnMut(usize, usize)) {
        for ky in 0..self.kernel[0] {
            let y = at[0] * self.stride + ky * self.dilation;
            let Some(y) = y.checked_sub(self.padding[0]).filter(|y| *y < maps.size[0]) else {
                continue;
            };
            for kx in 0..self.kernel[1] {
                let x = at[1] * self.stride + kx * self.dilation;
                let x = x.checked_sub(self.padding[1]);
                if let Some(x) = x.filter(|x| *x < maps.size[1]) {
                    f(ky * self.kernel[1] + kx, y * maps.size[1] + x);
                }
            }
        }
    }

    fn positions(maps: &Maps) -> impl Iterator<Item = [usize; 2]> + use<> {
        let [height, width] = maps.out;
        (0..height).flat_map(move |y| (0..width).map(move |x| [y, x]))
    }

    /// Rows of patches, channels last: (samples·positions, pixels·channels), of maps (samples, channels,
    /// height, width).
    pub(crate) fn patches<F: Copy + Default + Send + Sync>(
        &self,
        maps: &Maps,
        from: &[F],
        to: &mut Vec<F>,
    ) {
        let (channels, plane) = (maps.channels, maps.size[0] * maps.size[1]);
        let row = self.pixels() * channels;
        let each = maps.out[0] * maps.out[1] * row;
        to.clear();
        to.resize(maps.samples * each, F::default());
        let samples = to.par_chunks_mut(each.max(1));
        let samples = samples.zip(from.par_chunks((channels * plane).max(1)));
        samples.for_each(|(to, from)| {
            for (to, at) in to.chunks_exact_mut(row).zip(Self::positions(maps)) {
                self.each(maps, at, |pixel, place| {
                    let to = &mut to[pixel * channels..(pixel + 1) * channels];
                    for (channel, to) in to.iter_mut().enumerate() {
                        *to = from[channel * plane + place];
                    }
                });
            }
        });
    }

    /// The transpose of [`patches`](Self::patches): adds every place of a patch to where it came from.
    pub(crate) fn scatter<F>(&self, maps: &Maps, from: &[F]) -> Vec<F>
    where
        F: Copy + Default + Send + Sync + std::ops::AddAssign,
    {
        let (channels, plane) = (maps.channels, maps.size[0] * maps.size[1]);
        let row = self.pixels() * channels;
        let each = maps.out[0] * maps.out[1] * row;
        let mut to = vec![F::default(); maps.samples * channels * plane];
        let samples = to.par_chunks_mut((channels * plane).max(1));
        let samples = samples.zip(from.par_chunks(each.max(1)));
        samples.for_each(|(to, from)| {
            for (from, at) in from.chunks_exact(row).zip(Self::positions(maps)) {
                self.each(maps, at, |pixel, place| {
                    let from = &from[pixel * channels..(pixel + 1) * channels];
                    for (channel, &from) in from.iter().enumerate() {
                        to[channel * plane + place] += from;
                    }
                });
            }
        });
        to
    }
}
