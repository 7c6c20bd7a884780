//! One step of every elementwise rule against a plain loop that streams the same bytes, both in
//! the same run and in turns; and many small tensors against one large one.
//!
//! A step reads x, g and the state and writes x and the state; before that it reads g once to
//! refuse what is not finite. `ratio` is to a loop that does the same reads and writes;
//! `without check` is to a loop that reads g only once.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use opt_core::{Objective, ParamMap, Part, Update};
use opt_firstorder::zoo;
use rayon::prelude::*;

const LARGE: usize = 25_000_000;
const CHUNK: usize = 1 << 14;

/// Buffers that are read and written, and one that is read.
struct Stream {
    buffers: Vec<Vec<f32>>,
    g: Vec<f32>,
}

impl Stream {
    fn run(&mut self) -> Duration {
        // The lists of chunks are not part of the time.
        let mut pieces: Vec<(Vec<&mut [f32]>, &[f32])> =
            self.g.chunks(CHUNK).map(|g| (Vec::new(), g)).collect();
        for buffer in &mut self.buffers {
            for (piece, chunk) in pieces.iter_mut().zip(buffer.chunks_mut(CHUNK)) {
                piece.0.push(chunk);
            }
        }
        let begin = Instant::now();
        pieces.par_iter_mut().for_each(|(buffers, g)| {
            for buffer in buffers {
                buffer.iter_mut().zip(*g).for_each(|(a, g)| *a += *g);
            }
        });
        begin.elapsed()
    }

    /// Reads g alone.
    fn read(&self) -> Duration {
        let begin = Instant::now();
        let sum: f32 = (self.g.par_chunks(CHUNK))
            .map(|g| {
                let (blocks, _) = g.as_chunks::<32>();
                let mut lanes = [0.0_f32; 32];
                for block in blocks {
                    lanes.iter_mut().zip(block).for_each(|(l, v)| *l += *v);
                }
                lanes.iter().sum::<f32>()
            })
            .sum();
        black_box(sum);
        begin.elapsed()
    }
}

/// `None` if a filter on the command line left nothing to measure.
fn median(mut ratios: Vec<f64>) -> Option<f64> {
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied()
}

fn rules(c: &mut Criterion) {
    let params = ParamMap::flat(LARGE).unwrap();
    let mut lines = Vec::new();
    for entry in zoo::<f32, dyn Objective<f32>>() {
        let Some(method) = entry.update(&[], &params) else {
            continue;
        };
        let mut method = method.unwrap();
        // Signs that change now and then, so that every branch is taken.
        let g: Vec<f32> = (0..LARGE).map(|i| (i % 17) as f32 - 8.0).collect();
        let mut x = vec![1.0_f32; LARGE];
        let buffers = vec![vec![0.0; LARGE]; 1 + method.width()];
        let mut stream = Stream {
            buffers,
            g: g.clone(),
        };
        let (mut ratios, mut without) = (Vec::new(), Vec::new());
        c.bench_function(&format!("update/{}", entry.name()), |b| {
            b.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    let plain = stream.run();
                    let read = stream.read();
                    let begin = Instant::now();
                    method.apply(&mut x, &g).unwrap();
                    let step = begin.elapsed();
                    total += step;
                    ratios.push(step.as_secs_f64() / (plain + read).as_secs_f64());
                    without.push(step.as_secs_f64() / plain.as_secs_f64());
                }
                total
            });
        });
        let bytes = 4 * (4 + 2 * method.width());
        if let (Some(ratio), Some(without)) = (median(ratios), median(without)) {
            let name = entry.name();
            lines.push(format!("{name:18} {bytes:5} {ratio:9.2} {without:14.2}"));
        }
    }
    println!(
        "\n{LARGE} f32 parameters, {} threads",
        rayon::current_num_threads()
    );
    println!(
        "{:18} {:>5} {:>9} {:>14}",
        "rule", "bytes", "ratio", "without check"
    );
    lines.iter().for_each(|line| println!("{line}"));
}

fn tensors(c: &mut Criterion) {
    let n = 1000;
    let entries = zoo::<f32, dyn Objective<f32>>();
    let adam = opt_core::find_entry(&entries, "adam").unwrap();
    let build =
        |params: &ParamMap| -> Box<dyn Update<f32>> { adam.update(&[], params).unwrap().unwrap() };
    let shapes = (0..n).map(|i| (format!("w{i}"), vec![n]));
    let (many, one) = (
        ParamMap::new(shapes).unwrap(),
        ParamMap::flat(n * n).unwrap(),
    );
    let (mut many, mut one) = (build(&many), build(&one));
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
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    tensors(&mut criterion);
    rules(&mut criterion);
    criterion.final_summary();
}
