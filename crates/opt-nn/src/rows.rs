//! Passes over the rows of a matrix, parallel where that pays.

/// Elements that are not worth a second thread.
const GRAIN: usize = 1 << 13;

/// Calls `f(index, row)` for every row of `width` elements.
pub(crate) fn each_row<T: Send>(rows: &mut [T], width: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    sum_rows(rows, width, |index, row| {
        f(index, row);
        0.0
    });
}

/// As [`each_row`], and sums the results, in an order that does not depend on the number of
/// threads.
pub(crate) fn sum_rows<T: Send>(
    rows: &mut [T],
    width: usize,
    f: impl Fn(usize, &mut [T]) -> f64 + Sync,
) -> f64 {
    halve(rows, width, 0, &f)
}

fn halve<T: Send>(
    rows: &mut [T],
    width: usize,
    first: usize,
    f: &(impl Fn(usize, &mut [T]) -> f64 + Sync),
) -> f64 {
    let count = rows.len() / width;
    // A network that is worth the thread pool runs in it; another would have to wake it.
    if rows.len() <= GRAIN || count < 2 || rayon::current_thread_index().is_none() {
        let rows = rows.chunks_exact_mut(width).enumerate();
        return rows.map(|(i, row)| f(first + i, row)).sum();
    }
    let middle = count / 2;
    let (lo, hi) = rows.split_at_mut(middle * width);
    let (lo, hi) = rayon::join(
        || halve(lo, width, first, f),
        || halve(hi, width, first + middle, f),
    );
    lo + hi
}

/// As [`each_row`], over the rows of two matrices of equal shape side by side.
pub(crate) fn each_pair<T: Send, U: Send>(
    a: &mut [T],
    b: &mut [U],
    width: usize,
    f: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    pairs(a, b, width, 0, &f);
}

fn pairs<T: Send, U: Send>(
    a: &mut [T],
    b: &mut [U],
    width: usize,
    first: usize,
    f: &(impl Fn(usize, &mut [T], &mut [U]) + Sync),
) {
    let count = a.len() / width;
    if a.len() <= GRAIN || count < 2 || rayon::current_thread_index().is_none() {
        let rows = a.chunks_exact_mut(width).zip(b.chunks_exact_mut(width));
        return (rows.enumerate()).for_each(|(i, (a, b))| f(first + i, a, b));
    }
    let middle = count / 2;
    let (a_lo, a_hi) = a.split_at_mut(middle * width);
    let (b_lo, b_hi) = b.split_at_mut(middle * width);
    rayon::join(
        || pairs(a_lo, b_lo, width, first, f),
        || pairs(a_hi, b_hi, width, first + middle, f),
    );
}
