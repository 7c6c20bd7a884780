//! The limit of a step: a fused loop over the same arrays, which reads the gradient once, and reads
//! and writes x and every buffer of the state, all side by side, and computes next to nothing.

use std::time::{Duration, Instant};

use rayon::prelude::*;

/// Elements that a thread takes at a time.
const CHUNK: usize = 1 << 15;

/// Elements between two requests to memory, and how far ahead they are: what measured best.
const LINE: usize = 64;
const AHEAD: usize = 512;

/// One pass; `None` over more buffers than a rule has.
pub(crate) fn limit(buffers: &mut [Vec<f32>], g: &[f32]) -> Option<Duration> {
    match buffers.len() {
        1 => Some(pass::<1>(buffers, g)),
        2 => Some(pass::<2>(buffers, g)),
        3 => Some(pass::<3>(buffers, g)),
        4 => Some(pass::<4>(buffers, g)),
        _ => None,
    }
}

fn pass<const N: usize>(buffers: &mut [Vec<f32>], g: &[f32]) -> Duration {
    let mut rest: Vec<_> = buffers.iter_mut().map(|b| b.chunks_mut(CHUNK)).collect();
    // The list of pieces is not part of the time.
    let mut pieces: Vec<(&[f32], [&mut [f32]; N])> = (g.chunks(CHUNK))
        .map(|g| {
            let next = |k: usize| rest[k].next().unwrap_or_default();
            (g, std::array::from_fn(next))
        })
        .collect();
    let begin = Instant::now();
    pieces.par_iter_mut().for_each(|(g, buffers)| {
        let buffers = buffers.each_mut().map(|b| &mut **b);
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the line above has found the feature on this machine.
            return unsafe { add_avx2(g, buffers) };
        }
        add(g, buffers);
    });
    begin.elapsed()
}

/// Twice as wide is not faster: memory decides.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_avx2<const N: usize>(g: &[f32], buffers: [&mut [f32]; N]) {
    add(g, buffers);
}

#[inline(always)]
fn add<const N: usize>(g: &[f32], buffers: [&mut [f32]; N]) {
    // All of one length, as the compiler sees, so that the loop needs no checks.
    let mut buffers = buffers.map(|b| &mut b[..g.len()]);
    for at in (0..g.len()).step_by(LINE) {
        request(g, at + AHEAD);
        buffers.iter().for_each(|b| request(b, at + AHEAD));
        let end = (at + LINE).min(g.len());
        let g = &g[at..end];
        let mut buffers = buffers.each_mut().map(|b| &mut b[at..end]);
        for i in 0..g.len() {
            for b in &mut buffers {
                b[i] += g[i];
            }
        }
    }
}

#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
#[inline(always)]
fn request(a: &[f32], at: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in a.get(at..at + LINE).unwrap_or_default().chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint without any effect on memory, of an address that is borrowed.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}
