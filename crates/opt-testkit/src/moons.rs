//! Two moons, which a line through the middle separates as well as it can: a noisy function of two
//! weights.

use std::sync::OnceLock;

/// Rows of a minibatch.
pub const BATCH: usize = 16;

const ROWS: usize = 124;

/// Half of the weight of |w|²: gives the mean loss a minimum.
const L2: f64 = 0.005;

/// A row of inputs, and its class.
pub type Row = ([f64; 2], bool);

/// 62 points on each of two half circles that reach into each other, about their common middle: the
/// second is the first one turned by half a turn and moved. Classes take turns, angles leap, so that
/// every minibatch has some of all; the noise is a low-discrepancy sequence, so that no random
/// generator has to be the same elsewhere.
pub fn moons() -> &'static [Row] {
    static ROW: OnceLock<Vec<Row>> = OnceLock::new();
    ROW.get_or_init(|| {
        let row = |i: usize| {
            let (half, upper) = (ROWS / 2, i.is_multiple_of(2));
            let angle = (i / 2 * 29 % half) as f64 / (half - 1) as f64 * std::f64::consts::PI;
            let noise = |share: f64| 0.5 * ((i as f64 * share).fract() - 0.5);
            let (a, b) = match upper {
                true => (angle.cos(), angle.sin()),
                false => (1.0 - angle.cos(), 0.5 - angle.sin()),
            };
            // The plastic number's powers, whose multiples fill a square evenly.
            let a = a - 0.5 + noise(0.754_877_666_246_692_8);
            let b = b - 0.25 + noise(0.569_840_290_998_053_2);
            ([a, b], upper)
        };
        (0..ROWS).map(row).collect()
    })
}

/// Mean over some rows of log(1 + exp(−s·wᵀa)) + L2·|w|², with s = ±1 for the classes, and its
/// gradient and Hessian.
struct Sum {
    value: f64,
    gradient: [f64; 2],
    hessian: [[f64; 2]; 2],
}

fn sum<'a>(w: [f64; 2], rows: impl Iterator<Item = &'a Row>) -> Sum {
    let (mut n, mut value, mut gradient, mut hessian) = (0.0, 0.0, [0.0; 2], [[0.0; 2]; 2]);
    for (a, upper) in rows {
        let s = if *upper { 1.0 } else { -1.0 };
        let margin = s * (w[0] * a[0] + w[1] * a[1]);
        // Of the smaller one of the two exponentials, which can't overflow.
        let small = (-margin.abs()).exp();
        let wrong = if margin > 0.0 { small } else { 1.0 } / (1.0 + small);
        n += 1.0;
        value += small.ln_1p() + (-margin).max(0.0);
        for i in 0..2 {
            gradient[i] -= s * wrong * a[i];
            for j in 0..2 {
                hessian[i][j] += wrong * (1.0 - wrong) * a[i] * a[j];
            }
        }
    }
    let squares = w[0] * w[0] + w[1] * w[1];
    let penalty = |i, j| if i == j { 2.0 * L2 } else { 0.0 };
    Sum {
        value: value / n + L2 * squares,
        gradient: [0, 1].map(|i| gradient[i] / n + 2.0 * L2 * w[i]),
        hessian: [0, 1].map(|i| [0, 1].map(|j| hessian[i][j] / n + penalty(i, j))),
    }
}

pub(crate) fn value(w: [f64; 2]) -> f64 {
    sum(w, moons().iter()).value
}

pub(crate) fn gradient(w: [f64; 2]) -> [f64; 2] {
    sum(w, moons().iter()).gradient
}

pub(crate) fn hessian(w: [f64; 2]) -> [[f64; 2]; 2] {
    sum(w, moons().iter()).hessian
}

/// Value and gradient of minibatch `t`: the `BATCH` rows after those of the one before, around and
/// around.
pub(crate) fn minibatch(w: [f64; 2], t: u64) -> (f64, [f64; 2]) {
    let first = (t % ROWS as u64) as usize * BATCH;
    let rows = (first..first + BATCH).map(|i| &moons()[i % ROWS]);
    let Sum {
        value, gradient, ..
    } = sum(w, rows);
    (value, gradient)
}
