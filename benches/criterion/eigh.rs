//! The linear algebra of the whitening methods, each job in turns with what it is compared to in the
//! same run: decompositions with faer's (so that, with the feature `lapack`, both backends are
//! measured), the others with a plain matrix product (of the same order, or of the same batch with
//! itself).

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};
use faer::linalg::solvers::DenseSolveCore;
use faer::traits::RealField;
use faer::{MatRef, Side};
use ndarray::{Array2, ArrayView2, aview1};
use opt_linalg::{Cholesky, Decompose, Eigh, Form, Moments, Whitening, WhiteningOptions, gemm};

const ORDERS: [usize; 5] = [100, 250, 500, 785, 1000];
const ROWS: usize = 5_000;

/// Numbers in [−1, 1) without structure.
fn batch(rows: usize, columns: usize) -> Array2<f32> {
    let mut state = 1_u32;
    Array2::from_shape_simple_fn((rows, columns), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as f32 / 2.0_f32.powi(31) - 1.0
    })
}

fn product(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, c: &mut Array2<f32>) {
    gemm(1.0, a, b, 0.0, c.view_mut()).unwrap();
}

fn seconds(job: &mut dyn FnMut()) -> f64 {
    let begin = Instant::now();
    job();
    begin.elapsed().as_secs_f64()
}

/// Runs two jobs in turns; criterion sees the first, and the medians of both are printed.
fn compare(
    criterion: &mut Criterion,
    name: &str,
    mut ours: impl FnMut(),
    reference: (&str, &mut dyn FnMut()),
) {
    let mut times = (Vec::new(), Vec::new());
    let mut group = criterion.benchmark_group("eigh");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function(name, |b| {
        b.iter_custom(|iterations| {
            let mut total = 0.0;
            for _ in 0..iterations {
                times.1.push(seconds(reference.1));
                let time = seconds(&mut ours);
                times.0.push(time);
                total += time;
            }
            Duration::from_secs_f64(total)
        });
    });
    group.finish();
    if times.0.is_empty() {
        return;
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (ours, theirs) = (median(times.0), median(times.1));
    let (ms, reference_ms) = (1e3 * ours, 1e3 * theirs);
    let ratio = ours / theirs;
    println!(
        "{name}: {ms:.2} ms, {ratio:.3} of {} ({reference_ms:.2} ms)",
        reference.0
    );
}

fn decompositions<F: Decompose + RealField>(
    criterion: &mut Criterion,
    n: usize,
    sigma: &Array2<F>,
) {
    let type_name = F::DTYPE;
    let (mut eigh, mut second) = (Eigh::new(), Eigh::new());
    let plain = MatRef::from_row_major_slice(sigma.as_slice().unwrap(), n, n);
    let mut theirs = || {
        std::hint::black_box(plain.self_adjoint_eigen(Side::Lower).unwrap());
    };
    compare(
        criterion,
        &format!("Eigh {type_name} n={n}"),
        || {
            eigh.compute(sigma.view()).unwrap();
        },
        ("faer's", &mut theirs),
    );
    let mut alone = || {
        second.compute(sigma.view()).unwrap();
    };
    let mut pair = [Eigh::new(), Eigh::new()];
    compare(
        criterion,
        &format!("two Eigh at once {type_name} n={n}"),
        || {
            let [a, b] = &mut pair;
            let job = |eigh: &mut Eigh<F>| {
                eigh.compute(sigma.view()).unwrap();
            };
            rayon::join(|| job(a), || job(b));
        },
        ("one", &mut alone),
    );
}

fn inverses<F: Decompose + RealField>(criterion: &mut Criterion, n: usize, sigma: &Array2<F>) {
    let mut damped = sigma.clone();
    damped.diag_mut().map_inplace(|v| *v += F::of(0.1));
    let plain = MatRef::from_row_major_slice(damped.as_slice().unwrap(), n, n);
    let mut factor = Cholesky::new(sigma.view(), 0.1).unwrap();
    let mut inverse = Array2::zeros((n, n));
    let mut theirs = || {
        std::hint::black_box(plain.llt(Side::Lower).unwrap().inverse());
    };
    compare(
        criterion,
        &format!("Cholesky inverse {} n={n}", F::DTYPE),
        || {
            factor.update(sigma.view(), 0.1).unwrap();
            factor.inverse(&mut inverse).unwrap();
        },
        ("faer's", &mut theirs),
    );
}

fn statistics(criterion: &mut Criterion, n: usize, x: &Array2<f32>, sigma: &Array2<f32>) {
    let mut moments = Moments::new(n);
    let mut out = Array2::zeros((n, n));
    let mut plain = || product(x.t(), x.view(), &mut out);
    compare(
        criterion,
        &format!("moments of {ROWS} rows n={n}"),
        || {
            moments.discount(0.0).unwrap();
            moments.update(x.view()).unwrap();
        },
        ("the full product XᵀX", &mut plain),
    );
    let mut eigh = Eigh::new();
    let eigen = eigh.compute(sigma.view()).unwrap();
    let mean = vec![0.0; n];
    for form in [Form::Pca, Form::Zca] {
        let options = WhiteningOptions {
            form,
            ..WhiteningOptions::default()
        };
        let mut whitening = Whitening::identity(n);
        let mut out = Array2::zeros((n, n));
        let mut plain = || product(sigma.view(), sigma.view(), &mut out);
        compare(
            criterion,
            &format!("{form:?} from the eigenvectors n={n}"),
            || whitening.update(aview1(&mean), &eigen, &options).unwrap(),
            ("a product on all threads", &mut plain),
        );
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for n in ORDERS {
        let x = batch(ROWS, n);
        let mut moments = Moments::new(n);
        moments.update(x.view()).unwrap();
        let sigma = moments.covariance();
        decompositions(&mut criterion, n, &sigma);
        inverses(&mut criterion, n, &sigma);
        let double = sigma.mapv(f64::from);
        decompositions(&mut criterion, n, &double);
        inverses(&mut criterion, n, &double);
        statistics(&mut criterion, n, &x, &sigma);
    }
    criterion.final_summary();
}
