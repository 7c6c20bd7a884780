//! A rule to test with, and what is needed to drive it.

use opt_core::{
    Bound, FieldVisitor, FirstOrder, Hyper, ParamMap, Part, Rule, Scalar, Segment, Slot, Step, each,
};

/// A chain of N momenta, so that no two slots may be taken for each other; lr/t, so that a wrong
/// step count shows.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) lr: f64,
    pub(crate) mu: f64,
    pub(crate) init: f64,
}

impl Hyper for Chain {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("mu", &mut self.mu, Bound::Unit);
        visit.real("init", &mut self.init, Bound::NonNegative);
    }
}

pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];

pub(crate) fn element<F: Scalar, const N: usize>(
    lr: F,
    mu: F,
    x: F,
    g: F,
    mut s: [F; N],
) -> (F, [F; N]) {
    let mut step = lr * g;
    for s in &mut s {
        *s = mu * *s + step;
        step = *s;
    }
    (x - step, s)
}

impl<F: Scalar, const N: usize> Rule<F, N> for Chain {
    fn slots(&self) -> [Slot; N] {
        std::array::from_fn(|k| Slot {
            init: self.init + k as f64,
            ..Slot::zero(NAMES[k])
        })
    }

    fn update(&self, step: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; N]) -> bool {
        let (lr, mu) = (F::of(self.lr / step.t as f64), F::of(self.mu));
        each(x, g, slots, move |x, g, s| element(lr, mu, x, g, s))
    }
}

/// A rule that differs from segment to segment.
pub(crate) fn varied(segment: &Segment) -> Chain {
    let place = (segment.range.start % 97) as f64;
    Chain {
        lr: 0.1 + place / 100.0,
        mu: 0.5 + place / 400.0,
        init: place,
    }
}

pub(crate) const PLAIN: Chain = Chain {
    lr: 0.3,
    mu: 0.7,
    init: 2.0,
};

pub(crate) fn map(lengths: &[usize]) -> ParamMap {
    let named = lengths.iter().enumerate();
    ParamMap::new(named.map(|(i, &n)| (format!("s{i}"), vec![n]))).unwrap()
}

pub(crate) fn wave(i: usize) -> f32 {
    (i.wrapping_mul(2_654_435_761) >> 7 & 0xffff) as f32 / 9_999.0 - 3.0
}

/// Every segment with its gradient.
pub(crate) fn parts<'a>(map: &ParamMap, mut x: &'a mut [f32], g: &'a [f32]) -> Vec<Part<'a, f32>> {
    let segments = map.segments().iter();
    segments
        .map(|s| {
            let x = x.split_off_mut(..s.range.len()).unwrap();
            Part::new(x, &g[s.range.clone()])
        })
        .collect()
}

pub(crate) type Optimizer<const N: usize> = FirstOrder<f32, Chain, N>;

pub(crate) fn optimizer<const N: usize>(map: &ParamMap, per_segment: bool) -> Optimizer<N> {
    if per_segment {
        FirstOrder::with(map, varied).unwrap()
    } else {
        FirstOrder::new(PLAIN, map).unwrap()
    }
}

/// A state buffer of all segments, one after another.
pub(crate) fn slot<const N: usize>(sgd: &Optimizer<N>, name: &str) -> Option<Vec<f32>> {
    let segments = 0..sgd.params().segments().len();
    let buffers: Option<Vec<&[f32]>> = segments.map(|index| sgd.slot(name, index)).collect();
    Some(buffers?.concat())
}
