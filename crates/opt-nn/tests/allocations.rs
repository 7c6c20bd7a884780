//! Nothing is allocated after the first step at a batch size.
//!
//! Counted on the only thread of a rayon pool, so that neither the test harness nor rayon's
//! queue for jobs from outside is in the count. The pure-Rust GEMM allocates a packing buffer at
//! every product: what a step allocates is compared with what its products alone do.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{data, labels, parameters, spec};
use ndarray::Array2;
use opt_core::Objective;
use opt_nn::{Activation, Loss, Mlp, Target, gemm};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came; the counter is a plain cell
// without a destructor, which neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on, for a pointer from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(f: impl FnOnce()) -> usize {
    let before = COUNT.get();
    f();
    COUNT.get() - before
}

const WIDTHS: [usize; 4] = [300, 512, 256, 10];

/// Allocations of the products of one forward pass, and of one backward pass.
fn products(rows: usize) -> [usize; 2] {
    let (mut forward, mut backward) = (0, 0);
    for (index, shape) in WIDTHS.windows(2).enumerate() {
        let (mut below, mut above) = (
            Array2::<f32>::zeros((rows, shape[0])),
            Array2::zeros((rows, shape[1])),
        );
        let mut weight = Array2::zeros((shape[1], shape[0]));
        forward += count(|| gemm(1.0, below.view(), weight.t(), 0.0, above.view_mut()).unwrap());
        backward += count(|| gemm(1.0, above.t(), below.view(), 0.0, weight.view_mut()).unwrap());
        if index > 0 {
            backward +=
                count(|| gemm(1.0, above.view(), weight.view(), 0.0, below.view_mut()).unwrap());
        }
    }
    [forward, backward]
}

fn run() {
    let mut spec = spec(&WIDTHS, Activation::Relu, Loss::SoftmaxCrossEntropy);
    (spec.input_dropout, spec.layers[0].dropout, spec.l2) = (0.2, 0.5, 1e-4);
    let mut net = Mlp::<f32>::new(spec).unwrap();
    let (x, inputs, classes) = (parameters(&net, 1), data(128, 300), labels(128, 10));
    let mut g = vec![0.0; x.len()];
    let mut step = |rows: usize| {
        let inputs = inputs.view().split_at(ndarray::Axis(0), rows).0;
        let target = Target::Classes(&classes[..rows]);
        let load = count(|| net.load(inputs, target, 7).unwrap());
        let grad = count(|| assert!(net.grad(&x, &mut g).unwrap().is_finite()));
        let value = count(|| assert!(net.value(&x).unwrap().is_finite()));
        let evaluate =
            count(|| assert!(net.evaluate(&x, inputs, target).unwrap().loss.is_finite()));
        [load, grad, value, evaluate]
    };
    let first = step(128);
    assert!(first[0] > 0, "the counter counts");
    for rows in [128, 50, 1, 127, 128] {
        let [forward, backward] = products(rows);
        assert!(!cfg!(feature = "openblas") || forward + backward == 0);
        assert_eq!(
            step(rows),
            [0, forward + backward, forward, forward],
            "{rows} rows"
        );
    }
}

#[test]
fn none_after_the_first_step() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    pool.install(run);
}
