//! One step of every elementwise rule against a fused loop over the same arrays, both in the same
//! run and in turns; and many small tensors against one large one, and one small step.
//!
//! For the limit see `limit.rs`. `trusted` is a step of
//! [`opt_core::Trusted`], which reads the gradient once too; `checked` reads it once more before
//! that, to refuse what is not finite.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use opt_core::{Objective, ParamMap, Part, Trusted, Update};
use opt_firstorder::zoo;

mod limit;

const LARGE: usize = 25_000_000;

/// `None` if a filter on the command line left nothing to measure.
fn median(mut ratios: Vec<f64>) -> Option<f64> {
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied()
}

fn rules(c: &mut Criterion) {
    let params = ParamMap::flat(LARGE).unwrap();
    let mut lines = Vec::new();
    // Signs that change now and then, so that every branch is taken.
    let g: Vec<f32> = (0..LARGE).map(|i| (i % 17) as f32 - 8.0).collect();
    for entry in zoo::<f32, dyn Objective<f32>>() {
        let (Some(checked), Some(trusted)) =
            (entry.update(&[], &params), entry.update(&[], &params))
        else {
            continue;
        };
        let (mut checked, mut trusted) = (checked.unwrap(), Trusted(trusted.unwrap()));
        let mut x = vec![1.0_f32; LARGE];
        let mut buffers = vec![vec![0.0; LARGE]; 1 + checked.width()];
        let (mut limits, mut with, mut without) = (Vec::new(), Vec::new(), Vec::new());
        let timed = |update: &mut dyn Update<f32>, x: &mut [f32]| {
            let begin = Instant::now();
            update.apply(x, &g).unwrap();
            begin.elapsed()
        };
        c.bench_function(&format!("update/{}", entry.name()), |b| {
            b.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    let limit = limit::limit(&mut buffers, &g).unwrap();
                    let (a, b) = (timed(&mut trusted, &mut x), timed(&mut checked, &mut x));
                    total += b;
                    limits.push(1e3 * limit.as_secs_f64());
                    without.push(a.as_secs_f64() / limit.as_secs_f64());
                    with.push(b.as_secs_f64() / limit.as_secs_f64());
                }
                total
            });
        });
        black_box(&x);
        let bytes = 4 * (3 + 2 * checked.width());
        if let (Some(limit), Some(a), Some(b)) = (median(limits), median(without), median(with)) {
            let name = entry.name();
            lines.push(format!("{name:18} {bytes:5} {limit:9.1} {a:9.2} {b:9.2}"));
        }
    }
    println!(
        "\n{LARGE} f32 parameters, {} threads",
        rayon::current_num_threads()
    );
    println!(
        "{:18} {:>5} {:>9} {:>9} {:>9}",
        "rule", "bytes", "limit, ms", "trusted", "checked"
    );
    lines.iter().for_each(|line| println!("{line}"));
}

fn adam(params: &ParamMap) -> Box<dyn Update<f32>> {
    let entries = zoo::<f32, dyn Objective<f32>>();
    let adam = opt_core::find_entry(&entries, "adam").unwrap();
    adam.update(&[], params).unwrap().unwrap()
}

fn tensors(c: &mut Criterion) {
    let n = 1000;
    let shapes = (0..n).map(|i| (format!("w{i}"), vec![n]));
    let (many, one) = (
        ParamMap::new(shapes).unwrap(),
        ParamMap::flat(n * n).unwrap(),
    );
    let (mut many, mut one) = (adam(&many), adam(&one));
    let mut x = vec![1.0_f32; n * n];
    let mut parts: Vec<Vec<f32>> = vec![vec![1.0; n]; n];
    let g = vec![0.5_f32; n * n];
    let mut ratios = Vec::new();
    c.bench_function("update/1000 tensors of 1000", |b| {
        b.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                let begin = Instant::now();
                one.apply(&mut x, &g).unwrap();
                let whole = begin.elapsed();
                let mut parts: Vec<Part<'_, f32>> = (parts.iter_mut().zip(g.chunks(n)))
                    .map(|(x, g)| Part::new(x, g))
                    .collect();
                let begin = Instant::now();
                many.apply_parts(&mut parts).unwrap();
                let step = begin.elapsed();
                total += step;
                ratios.push(step.as_secs_f64() / whole.as_secs_f64());
            }
            total
        });
    });
    if let Some(ratio) = median(ratios) {
        println!("adam, 1000 tensors of 1000 to one of 1000000: {ratio:.2}");
    }
    let (mut small, mut x, g) = (
        adam(&ParamMap::flat(n).unwrap()),
        vec![1.0; n],
        vec![0.5; n],
    );
    c.bench_function("update/1000 parameters", |b| {
        b.iter(|| small.apply(black_box(&mut x), black_box(&g)).unwrap());
    });
}

/// Adam from a thousand to a hundred million parameters, on one thread and on all.
fn sizes() {
    let all = rayon::current_num_threads();
    println!("\nadam, ns per parameter");
    println!("{:>11} {:>9} {:>9}", "parameters", "1 thread", "all");
    for n in [
        1_000,
        10_000,
        100_000,
        1_000_000,
        10_000_000,
        100_000_000_usize,
    ] {
        let mut line = format!("{n:11}");
        for threads in [1, all] {
            let (mut update, mut x) = (adam(&ParamMap::flat(n).unwrap()), vec![1.0; n]);
            let (g, steps) = (vec![0.5; n], 1 + 3_000_000 / n);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let pool = pool.build().unwrap();
            let mut times = Vec::new();
            for _ in 0..7 {
                let begin = Instant::now();
                pool.install(|| (0..steps).for_each(|_| update.apply(&mut x, &g).unwrap()));
                times.push(1e9 * begin.elapsed().as_secs_f64() / (steps * n) as f64);
            }
            line += &format!(" {:9.3}", median(times).unwrap());
        }
        println!("{line}");
    }
}

/// State in fewer bits, to a step with whole state, in turns.
fn storages() {
    let params = ParamMap::flat(LARGE).unwrap();
    let entries = zoo::<f32, dyn Objective<f32>>();
    let (g, mut x) = (vec![0.5_f32; LARGE], vec![1.0; LARGE]);
    println!(
        "\nstate in fewer bits, to whole state, trusted\n{:18} {:>6} {:>6}",
        "rule", "bf16", "8 bits"
    );
    for name in ["momentum", "rmsprop", "adadelta", "adam"] {
        let entry = opt_core::find_entry(&entries, name).unwrap();
        let mut all = ["full", "bf16", "8bit"].map(|state| {
            let set = [("state", opt_core::Value::Choice(state.to_owned()))];
            Trusted(entry.update(&set, &params).unwrap().unwrap())
        });
        let mut ratios = [Vec::new(), Vec::new()];
        for _ in 0..9 {
            let [full, bf16, bits8] = all.each_mut().map(|update| {
                let begin = Instant::now();
                update.apply(&mut x, &g).unwrap();
                begin.elapsed().as_secs_f64()
            });
            ratios[0].push(bf16 / full);
            ratios[1].push(bits8 / full);
        }
        let [bf16, bits8] = ratios.map(|r| median(r).unwrap());
        println!("{name:18} {bf16:6.2} {bits8:6.2}");
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    tensors(&mut criterion);
    rules(&mut criterion);
    if !std::env::args().any(|arg| arg == "--test") {
        storages();
        sizes();
    }
    criterion.final_summary();
}
