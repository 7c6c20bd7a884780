//! A solver that the tests compare with, and that no LAPACK is in.

use ndarray::Array2;

/// Solves A·X = B by elimination with pivoting.
pub(crate) fn solve(mut a: Array2<f64>, mut b: Array2<f64>) -> Array2<f64> {
    let n = a.nrows();
    for k in 0..n {
        let pivot = (k..n)
            .max_by(|&i, &j| a[[i, k]].abs().total_cmp(&a[[j, k]].abs()))
            .unwrap();
        for matrix in [&mut a, &mut b] {
            for j in 0..matrix.ncols() {
                matrix.swap([k, j], [pivot, j]);
            }
        }
        for i in (0..n).filter(|&i| i != k) {
            let factor = a[[i, k]] / a[[k, k]];
            for matrix in [&mut a, &mut b] {
                for j in 0..matrix.ncols() {
                    let from = matrix[[k, j]];
                    matrix[[i, j]] -= factor * from;
                }
            }
        }
    }
    for k in 0..n {
        let pivot = a[[k, k]];
        b.row_mut(k).mapv_inplace(|v| v / pivot);
    }
    b
}
