//! Networks, minibatches and snapshots of everything.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use ndarray::{Array2, s};
use opt_core::{
    Direction, FirstOrder, Method, Objective, Parameters, Rule, Scalar, Snapshot, State, Train,
    Visit, all_finite,
};
use opt_nn::{Activation, BatchNorm, Init, Loss, Mlp, Spec, Target};

/// Numbers without a pattern.
pub(crate) fn wave(rows: usize, columns: usize, salt: f64) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        (1.7 * i as f64 + 2.3 * j as f64 + salt).sin() + 0.3 * (0.9 * (i * j) as f64 + salt).cos()
    })
}

/// A classifier of waves on one minibatch, with its parameters.
pub(crate) fn classifier(widths: &[usize], rows: usize) -> (Mlp<f64>, Vec<f64>) {
    let classes = *widths.last().unwrap();
    let mut mlp = Mlp::new(Spec::classifier(widths, Activation::Tanh)).unwrap();
    let labels: Vec<u8> = (0..rows).map(|i| (i * 7 % classes) as u8).collect();
    let inputs = wave(rows, widths[0], 0.4);
    mlp.load(inputs.view(), Target::Classes(&labels), 0)
        .unwrap();
    let x = mlp.init(Init::LeCun, 2);
    (mlp, x)
}

/// 5-6-4-3, if `norm` with γ and β outside of the layers; without a minibatch.
pub(crate) fn small<F: Scalar>(norm: bool, loss: Loss) -> (Mlp<F>, Vec<F>) {
    let mut spec = Spec::classifier(&[5, 6, 4, 3], Activation::Tanh);
    spec.loss = loss;
    if norm {
        spec.layers[0].norm = Some(BatchNorm::default());
    }
    let mlp = Mlp::new(spec).unwrap();
    let x = mlp.init(Init::LeCun, 2);
    (mlp, x)
}

/// Minibatch number `step` of 24 rows.
pub(crate) fn rows_of<F: Scalar>(step: usize) -> (Array2<F>, Vec<u8>) {
    let inputs = wave(24, 5, 0.3 + step as f64).mapv(F::of);
    (
        inputs,
        (0..24).map(|i| ((i * 7 + step) % 3) as u8).collect(),
    )
}

/// Loads minibatch number `step` into a [`small`] network.
pub(crate) fn load<F: Scalar>(mlp: &mut Mlp<F>, step: usize) {
    let (inputs, labels) = rows_of(step);
    mlp.load(inputs.view(), Target::Classes(&labels), step as u64)
        .unwrap();
}

/// 8×8 digits in single or double precision.
pub(crate) fn digits<F: Scalar>(rows: usize) -> (Array2<F>, Vec<u8>) {
    let digits = opt_data::digits().unwrap();
    let inputs = digits
        .inputs
        .slice(s![..rows, ..])
        .mapv(|v| F::of(v.into()));
    (inputs, digits.labels[..rows].to_vec())
}

/// The method, the parameters and the model.
pub(crate) fn everything<F, O, M>(model: &mut O, method: &mut M, x: &mut [F]) -> Snapshot<F>
where
    F: Scalar,
    O: Objective<F> + State<F>,
    M: Method<F, O> + ?Sized,
{
    let map = model.params().clone();
    let mut parameters = Parameters::new(&map, x).unwrap();
    let mut method = Whole(method, PhantomData);
    Snapshot::take(&mut [
        ("method", &mut method as &mut dyn State<F>),
        ("x", &mut parameters),
        ("model", model),
    ])
    .unwrap()
}

/// Puts everything back.
pub(crate) fn restore<F, O, M>(saved: &Snapshot<F>, model: &mut O, method: &mut M, x: &mut [F])
where
    F: Scalar,
    O: Objective<F> + State<F>,
    M: Method<F, O> + ?Sized,
{
    let map = model.params().clone();
    let mut parameters = Parameters::new(&map, x).unwrap();
    let mut method = Whole(method, PhantomData);
    saved
        .restore(&mut [
            ("method", &mut method as &mut dyn State<F>),
            ("x", &mut parameters),
            ("model", model),
        ])
        .unwrap();
}

/// A method of any type as state.
struct Whole<'a, O, M: ?Sized>(&'a mut M, PhantomData<O>);

impl<F: Scalar, O, M: Method<F, O> + ?Sized> State<F> for Whole<'_, O, M> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.0.visit(visitor);
    }
}

/// A direction with a rule, whose types have been forgotten.
pub(crate) fn along<F, O, D, R, const N: usize>(
    direction: D,
    rule: R,
    objective: &O,
) -> Box<dyn Method<F, O>>
where
    F: Scalar,
    O: Objective<F> + 'static,
    D: Direction<F, O> + 'static,
    R: Rule<F, N>,
{
    let update = FirstOrder::new(rule, objective.params()).unwrap();
    Box::new(Train::along(direction, update))
}

/// All buffers of a state.
pub(crate) fn buffers<F: Scalar>(state: &mut impl State<F>) -> BTreeMap<String, Array2<F>> {
    struct Read<F>(BTreeMap<String, Array2<F>>);
    impl<F: Scalar> Visit<F> for Read<F> {
        fn packed(&mut self, _: &str, _: &[usize], _: opt_core::Bits<'_>) {}

        fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]) {
            let shape = (shape[0], shape[1..].iter().product());
            let matrix = Array2::from_shape_vec(shape, data.to_vec()).unwrap();
            self.0.insert(name.to_owned(), matrix);
        }
        fn count(&mut self, _: &str, _: &mut u64) {}
        fn number(&mut self, name: &str, number: &mut f64) {
            let matrix = Array2::from_elem((1, 1), F::of(*number));
            self.0.insert(name.to_owned(), matrix);
        }
    }
    let mut read = Read(BTreeMap::new());
    state.visit(&mut read);
    read.0
}

/// Whether the parameters and all state are finite.
pub(crate) fn is_finite<F, O, M>(model: &mut O, method: &mut M, x: &[F]) -> bool
where
    F: Scalar,
    O: State<F>,
    M: Method<F, O> + ?Sized,
{
    let states = [
        buffers(model),
        buffers(&mut Whole(method, PhantomData::<O>)),
    ];
    let finite = |m: &Array2<F>| m.iter().all(|v| v.is_finite());
    all_finite(x) && states.iter().all(|state| state.values().all(finite))
}
