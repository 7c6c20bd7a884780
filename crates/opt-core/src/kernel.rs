//! Loops at the speed of memory: the fused elementwise pass, and reductions.

use crate::scalar::Scalar;

/// Elements that one thread takes at a time. Small enough to stay in a core's L2 cache with all
/// buffers of a rule, large enough that handing them out costs nothing beside the work. It also
/// fixes the order of summation, so that a reduction does not depend on the number of threads.
pub(crate) const GRAIN: usize = 1 << 15;

/// Elements for which it pays to wake the thread pool from outside, which takes tens of microseconds.
pub(crate) const WAKE: usize = 1 << 18;

/// Both, on two threads if `len` elements are worth it.
pub(crate) fn join<A: Send, B: Send>(
    len: usize,
    a: impl FnOnce() -> A + Send,
    b: impl FnOnce() -> B + Send,
) -> (A, B) {
    let inside = rayon::current_thread_index().is_some();
    if len > if inside { GRAIN } else { WAKE } {
        rayon::join(a, b)
    } else {
        (a(), b())
    }
}

/// Partial sums kept side by side: a sequential float sum may not be reordered by the compiler.
const LANES: usize = 32;

/// Defines a function that is compiled for the build's target, for AVX2 and for AVX-512, and picks
/// at run time. The body is `inline(always)`, and so becomes part of each. None of them fuses a
/// product with a sum, so that all give the same bits.
macro_rules! vectorized {
    ($(#[$doc:meta])* $vis:vis fn $name:ident<$f:ident $(, const $n:ident: usize)?>(
        $($arg:ident: $t:ty),* $(,)?
    ) $(-> $ret:ty)? $body:block) => {
        $(#[$doc])*
        $vis fn $name<$f: Scalar $(, const $n: usize)?>($($arg: $t),*) $(-> $ret)? {
            #[inline(always)]
            fn plain<$f: Scalar $(, const $n: usize)?>($($arg: $t),*) $(-> $ret)? $body

            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            {
                #[target_feature(enable = "avx2")]
                fn avx2<$f: Scalar $(, const $n: usize)?>($($arg: $t),*) $(-> $ret)? {
                    plain($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512<$f: Scalar $(, const $n: usize)?>($($arg: $t),*) $(-> $ret)? {
                    plain($($arg),*)
                }
                if $crate::kernel::has_avx512() {
                    // SAFETY: `avx512` is a safe function but for the features it is compiled
                    // with, and the line above has found them on this machine.
                    return unsafe { avx512($($arg),*) };
                }
                if std::is_x86_feature_detected!("avx2") {
                    // SAFETY: as above, for `avx2`.
                    return unsafe { avx2($($arg),*) };
                }
            }
            plain($($arg),*)
        }
    };
}

pub(crate) use vectorized;

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[inline]
pub(crate) fn has_avx512() -> bool {
    std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vl")
}

vectorized! {
    /// One fused pass over memory: `(x, slots) ← f(x, g, slots)` for every element. Gives whether
    /// all that it wrote is finite, which it sees while it has it in registers.
    ///
    /// `f` takes and returns values, in the paper's symbols; scalars that it needs are converted
    /// and folded above the call. The loop is compiled for AVX2 too and chosen at run time.
    /// Should the slices differ in length, the pass ends with the shortest.
    ///
    /// `f` is `'static`, which makes one write `move`: scalars that it only borrowed might be
    /// overwritten through `x` for all that the compiler knows, and the loop would not vectorize.
    /// Avoid `mul_add` in `f`: without the FMA target feature it is a function call per element.
    ///
    /// ```
    /// let (mut x, g, mut v) = ([1.0_f32, 2.0], [1.0, -1.0], [0.0; 2]);
    /// let finite = opt_core::each(&mut x, &g, [&mut v], move |x, g, [v]| {
    ///     let v = 0.9 * v + 0.1 * g;
    ///     (x - v, [v])
    /// });
    /// assert_eq!((x, v, finite), ([0.9, 2.1], [0.1, -0.1], true));
    /// ```
    pub fn each<F, const N: usize>(
        x: &mut [F],
        g: &[F],
        slots: [&mut [F]; N],
        f: impl Fn(F, F, [F; N]) -> (F, [F; N]) + 'static,
    ) -> bool {
        // Equal, known lengths let the compiler drop the bounds checks and vectorize.
        let n = slots.iter().fold(x.len().min(g.len()), |n, s| n.min(s.len()));
        let (x, g) = (&mut x[..n], &g[..n]);
        let mut slots = slots.map(|s| &mut s[..n]);
        // The greatest magnitude as bits: a float maximum would not vectorize. One for each lane, so
        // that they are compared with each other once, at the end.
        let mut greatest = [F::Bits::default(); LANES];
        let (ahead, whole) = (AHEAD / size_of::<F>(), n - n % LANES);
        for at in (0..whole).step_by(LANES) {
            let next = at + ahead;
            if next + LANES <= n {
                prefetch(&x[next..next + LANES]);
                prefetch(&g[next..next + LANES]);
                slots.iter().for_each(|s| prefetch(&s[next..next + LANES]));
            }
            let (x, g) = (&mut x[at..at + LANES], &g[at..at + LANES]);
            let mut slots = slots.each_mut().map(|s| &mut s[at..at + LANES]);
            for (i, greatest) in greatest.iter_mut().enumerate() {
                *greatest = one(i, x, g, &mut slots, &f).max(*greatest);
            }
        }
        let mut last = F::Bits::default();
        for i in whole..n {
            last = last.max(one(i, x, g, &mut slots, &f));
        }
        greatest.into_iter().fold(last, F::Bits::max) < F::infinity().magnitude()
    }
}

/// One element of [`each`]; the greatest magnitude of what it wrote.
#[inline(always)]
fn one<F: Scalar, const N: usize>(
    i: usize,
    x: &mut [F],
    g: &[F],
    slots: &mut [&mut [F]; N],
    f: &impl Fn(F, F, [F; N]) -> (F, [F; N]),
) -> F::Bits {
    let (new, state) = f(x[i], g[i], std::array::from_fn(|k| slots[k][i]));
    x[i] = new;
    let mut greatest = new.magnitude();
    for k in 0..N {
        slots[k][i] = state[k];
        greatest = greatest.max(state[k].magnitude());
    }
    greatest
}

/// Bytes that a pass asks for in advance. What the processor fetches of itself is enough for one
/// array on some, and a tenth too slow for several at once on others.
const AHEAD: usize = 2048;

/// Tells the processor that these are wanted next. Where a pass goes through one array after another
/// piece by piece, its own prefetching sees each for too short a time.
#[cfg_attr(any(not(target_arch = "x86_64"), miri), allow(unused_variables))]
pub(crate) fn prefetch<T>(a: &[T]) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    for line in a.chunks(64 / size_of::<T>().clamp(1, 64)) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint without any effect on memory, of an address that is borrowed.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}

vectorized! {
    fn greatest_magnitude<F>(a: &[F]) -> F {
        let (pieces, rest) = a.as_chunks::<LANES>();
        let mut greatest = [F::Bits::default(); LANES];
        for (i, piece) in pieces.iter().enumerate() {
            // Four times as far as in a pass over several arrays.
            if let Some(next) = pieces.get(i + 4 * AHEAD / size_of::<[F; LANES]>()) {
                prefetch(next);
            }
            for k in 0..LANES {
                greatest[k] = greatest[k].max(piece[k].magnitude());
            }
        }
        let all = greatest.into_iter().chain(rest.iter().map(|v| v.magnitude()));
        F::from_magnitude(all.fold(F::Bits::default(), F::Bits::max))
    }
}

/// The greatest |aᵢ|; not finite exactly where some element is not. 0 if there are none.
pub fn greatest<F: Scalar>(a: &[F]) -> F {
    if a.len() <= GRAIN {
        return greatest_magnitude(a);
    }
    // From the end to the start, so that what the caches still have of it is what the pass of a step,
    // which follows, reads first.
    let (lo, hi) = a.split_at(a.len() / 2);
    let (hi, lo) = join(a.len(), || greatest(hi), || greatest(lo));
    F::from_magnitude(lo.magnitude().max(hi.magnitude()))
}

/// The first element that is NaN or infinite: its index and value.
pub fn first_non_finite<'a, F: Scalar>(
    values: impl IntoIterator<Item = &'a F>,
) -> Option<(usize, f64)> {
    let mut values = values.into_iter().enumerate();
    values.find_map(|(index, v)| (!v.is_finite()).then(|| (index, v.f64())))
}

/// Whether no element is NaN or infinite.
pub fn all_finite<F: Scalar>(a: &[F]) -> bool {
    greatest(a).is_finite()
}

vectorized! {
    fn dot_lanes<F>(a: &[F], b: &[F]) -> f64 {
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        let mut sum = [0.0; LANES];
        for (a, b) in a.iter().zip(b) {
            for k in 0..LANES {
                sum[k] += a[k].f64() * b[k].f64();
            }
        }
        let rest = a_rest.iter().zip(b_rest).map(|(a, b)| a.f64() * b.f64());
        sum.into_iter().chain(rest).sum()
    }
}

/// Σ aᵢbᵢ over the shorter length, accumulated in double precision; bitwise the same for any
/// number of threads.
pub fn dot<F: Scalar>(a: &[F], b: &[F]) -> f64 {
    let n = a.len().min(b.len());
    if n <= GRAIN {
        return dot_lanes(&a[..n], &b[..n]);
    }
    let ((a_lo, a_hi), (b_lo, b_hi)) = (a[..n].split_at(n / 2), b[..n].split_at(n / 2));
    let (lo, hi) = join(n, || dot(a_lo, b_lo), || dot(a_hi, b_hi));
    lo + hi
}

/// √Σ aᵢ², accumulated in double precision; bitwise the same for any number of threads. Finite
/// whenever the exact norm is a finite `f64`.
pub fn norm<F: Scalar>(a: &[F]) -> f64 {
    let norm = dot(a, a).sqrt();
    let tiny = norm < 1e-150 && a.iter().any(|v| !v.is_zero());
    if (norm.is_finite() && !tiny) || a.iter().any(|v| !v.is_finite()) {
        return norm;
    }
    // The squares left the range of f64: scale by the largest.
    let max = a.iter().fold(0.0_f64, |m, v| m.max(v.f64().abs()));
    let scaled = a.iter().map(|v| (v.f64() / max).powi(2)).sum::<f64>();
    max * scaled.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reductions_against_exact_integers() {
        // Sums of small integers are exact in f64, whatever the order.
        for n in [0_usize, 1, 31, 32, 33, GRAIN, 3 * GRAIN + 7] {
            let a: Vec<f32> = (0..n).map(|i| (i % 11) as f32 - 5.0).collect();
            let exact: i64 = (0..n).map(|i| (i as i64 % 11 - 5).pow(2)).sum();
            assert_eq!(dot(&a, &a), exact as f64);
            assert_eq!(norm(&a), (exact as f64).sqrt());
        }
        assert_eq!(dot(&[2.0, 9.0], &[3.0]), 6.0);
    }

    #[test]
    fn norm_neither_overflows_nor_underflows() {
        // Powers of two, so that 3, 4 and 5 times them are exact.
        for unit in [2.0_f64.powi(700), 2.0_f64.powi(-700)] {
            assert_eq!(norm(&[3.0 * unit, 4.0 * unit]), 5.0 * unit);
        }
        assert_eq!(norm::<f64>(&[]), 0.0);
        assert!(norm(&[1.0, f64::NAN]).is_nan());
        assert_eq!(norm(&[1.0, f64::INFINITY]), f64::INFINITY);
    }

    #[test]
    fn one_bad_element_anywhere_is_found() {
        for n in [1_usize, 32, 33, GRAIN + 40] {
            let good = vec![f32::MAX; n];
            assert!(all_finite(&good));
            assert_eq!(greatest(&good), f32::MAX);
            for at in [0, n / 2, n - 1] {
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let mut a = good.clone();
                    a[at] = bad;
                    assert!(!all_finite(&a), "{bad} at {at} of {n}");
                }
            }
        }
    }

    #[test]
    fn each_ends_with_the_shortest() {
        let (mut x, mut s) = ([1.0; 5], [0.0; 4]);
        assert!(each(&mut x, &[1.0; 3], [&mut s], |x, g, [s]| (
            x + g,
            [s + 1.0]
        )));
        assert_eq!((x, s), ([2.0, 2.0, 2.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]));
    }

    #[test]
    fn each_tells_what_is_not_finite_wherever_it_is_written() {
        // 700: so long that memory is asked for in advance.
        for n in [1_usize, 7, 32, 100, 700] {
            for at in 0..n {
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let (mut x, mut s, mut g) = (vec![f32::MAX; n], vec![0.0; n], vec![0.0; n]);
                    assert!(each(&mut x, &g, [&mut s], |x, g, [s]| (x + g, [s])));
                    g[at] = bad;
                    assert!(!each(&mut x.clone(), &g, [&mut s], |x, g, [s]| (
                        x + g,
                        [s]
                    )));
                    assert!(!each(&mut x, &g, [&mut s], |x, g, [_]| (x, [g])));
                }
            }
        }
    }
}
