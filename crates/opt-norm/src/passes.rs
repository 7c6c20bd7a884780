//! The two passes over a batch that normalization is made of: a sum for every channel, and a map
//! of every value.
//!
//! Arithmetic is in double precision. Every channel is summed in one order, whatever is split
//! over threads: results are bitwise the same for any number of them.

use std::array::from_fn;

use opt_core::Scalar;

use crate::Layout;

/// Values that one thread takes at a time.
const GRAIN: usize = 1 << 15;

/// Channels at a time. Their numbers stay on the stack and in L1, and need no buffer.
const BLOCK: usize = 128;

/// Partial sums kept side by side: a sequential float sum may not be reordered by the compiler.
const LANES: usize = 8;

/// out\[channel\] = Σ f(values, of(channel)) over batch and positions, of A sums at once.
pub(crate) fn reduce<F: Scalar, const M: usize, const K: usize, const A: usize>(
    layout: Layout,
    values: [&[F]; M],
    of: &(impl Fn(usize) -> [f64; K] + Sync),
    out: [&mut [f64]; A],
    f: &(impl Fn([f64; M], [f64; K]) -> [f64; A] + Sync),
) {
    reduce_from(layout, values, 0, of, out, f);
}

fn reduce_from<F: Scalar, const M: usize, const K: usize, const A: usize>(
    layout: Layout,
    values: [&[F]; M],
    first: usize,
    of: &(impl Fn(usize) -> [f64; K] + Sync),
    mut out: [&mut [f64]; A],
    f: &(impl Fn([f64; M], [f64; K]) -> [f64; A] + Sync),
) {
    let channels = out[0].len();
    // Positions are summed along memory, channels across it: few of those are not worth a split.
    let few = if layout.positions == 1 { BLOCK } else { 1 };
    if channels > few && channels * layout.count() > GRAIN {
        let (lo, hi) = split(out, channels / 2);
        rayon::join(
            || reduce_from(layout, values, first, of, lo, f),
            || reduce_from(layout, values, first + channels / 2, of, hi, f),
        );
        return;
    }
    for start in (0..channels).step_by(BLOCK) {
        let width = BLOCK.min(channels - start);
        let sums = reduce_block(layout, values, first + start, width, of, f);
        for (out, sums) in out.iter_mut().zip(&sums) {
            out[start..start + width].copy_from_slice(&sums[..width]);
        }
    }
}

fn reduce_block<F: Scalar, const M: usize, const K: usize, const A: usize>(
    layout: Layout,
    values: [&[F]; M],
    first: usize,
    width: usize,
    of: &impl Fn(usize) -> [f64; K],
    f: &impl Fn([f64; M], [f64; K]) -> [f64; A],
) -> [[f64; BLOCK]; A] {
    let mut sums = [[0.0; BLOCK]; A];
    let numbers = numbers(first, width, of);
    for start in starts(layout, layout.batch, first) {
        let row = values.map(|v| &v[start..start + width * layout.positions]);
        if layout.positions == 1 {
            let numbers = numbers.each_ref().map(|k| &k[..width]);
            let sums = sums.each_mut().map(|s| &mut s[..width]);
            for i in 0..width {
                let new = f(row.map(|v| v[i].f64()), numbers.map(|k| k[i]));
                for a in 0..A {
                    sums[a][i] += new[a];
                }
            }
            continue;
        }
        for c in 0..width {
            let run = row.map(|v| &v[c * layout.positions..(c + 1) * layout.positions]);
            let new = reduce_run(run, from_fn(|k| numbers[k][c]), f);
            for a in 0..A {
                sums[a][c] += new[a];
            }
        }
    }
    sums
}

#[inline(always)]
fn reduce_run<F: Scalar, const M: usize, const K: usize, const A: usize>(
    run: [&[F]; M],
    numbers: [f64; K],
    f: &impl Fn([f64; M], [f64; K]) -> [f64; A],
) -> [f64; A] {
    let mut sums = [[0.0; LANES]; A];
    let chunks = run.map(|v| v.as_chunks::<LANES>());
    for i in 0..chunks[0].0.len() {
        let chunk = chunks.map(|(whole, _)| &whole[i]);
        for lane in 0..LANES {
            let new = f(chunk.map(|v| v[lane].f64()), numbers);
            for a in 0..A {
                sums[a][lane] += new[a];
            }
        }
    }
    for i in 0..chunks[0].1.len() {
        let new = f(chunks.map(|(_, rest)| rest[i].f64()), numbers);
        for a in 0..A {
            sums[a][i] += new[a];
        }
    }
    sums.map(|lanes| lanes.iter().sum())
}

/// values ← f(values, of(channel)), for every value.
pub(crate) fn map<F: Scalar, const M: usize, const K: usize>(
    layout: Layout,
    values: [&mut [F]; M],
    of: &(impl Fn(usize) -> [f64; K] + Sync),
    f: &(impl Fn([f64; M], [f64; K]) -> [f64; M] + Sync),
) {
    let sample = layout.channels * layout.positions;
    let batch = values[0].len() / sample;
    if batch > 1 && values[0].len() > GRAIN {
        let (lo, hi) = split(values, batch / 2 * sample);
        rayon::join(|| map(layout, lo, of, f), || map(layout, hi, of, f));
        return;
    }
    let mut values = values;
    for first in (0..layout.channels).step_by(BLOCK) {
        let width = BLOCK.min(layout.channels - first);
        let numbers = numbers(first, width, of);
        for start in starts(layout, batch, first) {
            let row = values.each_mut();
            let row = row.map(|v| &mut v[start..start + width * layout.positions]);
            map_row(
                layout.positions,
                row,
                numbers.each_ref().map(|k| &k[..width]),
                f,
            );
        }
    }
}

#[inline(always)]
fn map_row<F: Scalar, const M: usize, const K: usize>(
    positions: usize,
    mut row: [&mut [F]; M],
    numbers: [&[f64]; K],
    f: &impl Fn([f64; M], [f64; K]) -> [f64; M],
) {
    if positions == 1 {
        return each(row, |i| numbers.map(|k| k[i]), f);
    }
    for c in 0..row[0].len() / positions {
        let run = row.each_mut();
        let run = run.map(|v| &mut v[c * positions..(c + 1) * positions]);
        let numbers = numbers.map(|k| k[c]);
        each(run, |_| numbers, f);
    }
}

#[inline(always)]
fn each<F: Scalar, const M: usize, const K: usize>(
    values: [&mut [F]; M],
    numbers: impl Fn(usize) -> [f64; K],
    f: &impl Fn([f64; M], [f64; K]) -> [f64; M],
) {
    // Equal, known lengths let the compiler drop the bounds checks and vectorize.
    let n = values[0].len();
    let mut values = values.map(|v| &mut v[..n]);
    for i in 0..n {
        let new = f(values.each_ref().map(|v| v[i].f64()), numbers(i));
        for (values, new) in values.iter_mut().zip(new) {
            values[i] = F::of(new);
        }
    }
}

/// Where the channels from `first` on start in every sample.
fn starts(layout: Layout, batch: usize, first: usize) -> impl Iterator<Item = usize> {
    (0..batch).map(move |n| (n * layout.channels + first) * layout.positions)
}

fn numbers<const K: usize>(
    first: usize,
    width: usize,
    of: &impl Fn(usize) -> [f64; K],
) -> [[f64; BLOCK]; K] {
    let mut numbers = [[0.0; BLOCK]; K];
    for c in 0..width {
        for (numbers, new) in numbers.iter_mut().zip(of(first + c)) {
            numbers[c] = new;
        }
    }
    numbers
}

fn split<T, const N: usize>(all: [&mut [T]; N], at: usize) -> ([&mut [T]; N], [&mut [T]; N]) {
    let mut hi = from_fn(|_| Default::default());
    let mut rest = hi.iter_mut();
    let lo = all.map(|slice| {
        let (lo, end) = slice.split_at_mut(at);
        if let Some(hi) = rest.next() {
            *hi = end;
        }
        lo
    });
    (lo, hi)
}
