//! No steady step allocates, be it one that refreshes or one that does not.
//!
//! Counted on the only thread of a rayon pool, so that neither the test harness nor rayon's queue
//! for jobs from outside is in the count. The pure-Rust product allocates packing buffers at every
//! call, aligned to cache lines, and a list of flags, of zeroed bytes. Nothing of ours is either, and
//! so they are told from it, and left out.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ndarray::Array2;
use opt_core::{Layered, Method, Objective};
use opt_natural::{Blocks, Curvature, Kfac, NaturalGradient, Prong, ProngPlus, StepSize};
use opt_nn::{Activation, Init, Mlp, Spec, Target};

thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}

/// Counts the allocations of a thread, but for those of the product's library.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came; the counter is a plain cell without a
// destructor, which neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() < 64 {
            OWN.set(OWN.get() + 1);
        }
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() > 1 && layout.align() < 64 {
            OWN.set(OWN.get() + 1);
        }
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on, for a pointer from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

type Boxed = Box<dyn Method<f32, Mlp<f32>>>;

/// With a period of 4, and layers of which some have low ranks.
fn methods(mlp: &Mlp<f32>) -> Vec<(&'static str, Boxed)> {
    let (params, places) = (mlp.params(), mlp.places());
    let (period, samples) = (4, 40);
    let prong = Prong {
        period,
        samples,
        ..Prong::default()
    };
    let plus = ProngPlus {
        period,
        samples,
        ..ProngPlus::default()
    };
    let kfac = Kfac {
        period,
        damping: 100.0,
        ..Kfac::default()
    };
    let fixed = Kfac {
        step_size: StepSize::Fixed,
        lr: 1e-3,
        ..kfac.clone()
    };
    let natural = NaturalGradient {
        curvature: Curvature::SampledFisher,
        blocks: Blocks::Layers,
        damping: 10.0,
        ..NaturalGradient::default()
    };
    vec![
        ("prong", Box::new(prong.method(params, places).unwrap())),
        ("prong-plus", Box::new(plus.method(params, places).unwrap())),
        ("kfac", Box::new(kfac.method(params, places).unwrap())),
        (
            "kfac, fixed",
            Box::new(fixed.method(params, places).unwrap()),
        ),
        ("natural", Box::new(natural.method(params, places).unwrap())),
    ]
}

fn run(l2: f64) {
    for form in 0..5 {
        let widths: &[usize] = match form {
            4 => &[20, 16, 10],
            _ => &[160, 200, 20, 10],
        };
        let mut spec = Spec::classifier(widths, Activation::Sigmoid);
        spec.l2 = l2;
        let mut mlp = Mlp::<f32>::new(spec).unwrap();
        let mut x = mlp.init(Init::LeCun, 1);
        let labels: Vec<u8> = (0..40).map(|i| i % 10).collect();
        let inputs = Array2::from_shape_fn((40, widths[0]), |(i, j)| {
            ((i * 31 + j * 17) as f32 * 0.37).sin()
        });
        mlp.set_statistics(inputs.to_shared()).unwrap();
        let (name, mut method) = methods(&mlp).into_iter().nth(form).unwrap();
        for step in 0..24 {
            mlp.load(inputs.view(), Target::Classes(&labels), 0)
                .unwrap();
            let before = OWN.get();
            method.step(&mut mlp, &mut x).unwrap();
            let count = OWN.get() - before;
            // The first two periods, in which every buffer comes to its size.
            assert!(
                step < 10 || count == 0,
                "{name}, {l2}, step {step}: {count}"
            );
            assert!(step > 0 || count > 0, "the counter counts");
        }
    }
}

#[test]
fn none_after_the_first_steps() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    pool.install(|| [0.0, 1e-3].map(run));
}
