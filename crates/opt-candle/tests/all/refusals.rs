use candle_core::{DType, Module, Tensor, Var};
use candle_nn::{Conv2d, Conv2dConfig, Linear, Optimizer as _};
use opt_candle::firstorder::{AdamW, FirstOrder};
use opt_candle::{Error, LayeredModel, Likelihood, Objective, Optimizer, Tape, Vars};
use opt_core::{Fisher, Layered};

use crate::common::{CPU, all, classes, empty_store, gradients, named, store, variables, wave};

fn snapshot(adamw: &mut Optimizer<FirstOrder<f32, AdamW, 2>>) -> opt_core::Snapshot<f32> {
    opt_core::Run::new().with("o", adamw).take().unwrap()
}

/// Every bad gradient is named, and nothing has moved.
#[test]
fn bad_gradients() {
    let vars = variables(&[&[2, 3], &[4]], DType::F32);
    let ours = Vars::new(named(&vars)).unwrap();
    let mut adamw = Optimizer::new(ours, AdamW::default()).unwrap();
    adamw.step(&store(&vars, &gradients(&vars, 0))).unwrap();
    let (x, state) = (all::<f32>(&vars), snapshot(&mut adamw));
    let with = |value: f32| {
        let mut all = [1.0; 4];
        all[2] = value;
        Tensor::new(&all, CPU).unwrap()
    };
    let ones = |shape: &[usize], dtype| Tensor::ones(shape, dtype, CPU).unwrap();
    let cases = [
        ("`v1` has shape [5], must have [4]", ones(&[5], DType::F32)),
        (
            "`v1` has shape [4, 1], must have [4]",
            ones(&[4, 1], DType::F32),
        ),
        ("`v1` is of F64, must be of F32", ones(&[4], DType::F64)),
        ("`v1` is of BF16, must be of F32", ones(&[4], DType::BF16)),
        ("`v1` is of U32, must be of F32", ones(&[4], DType::U32)),
        ("`v1` is NaN at index 2", with(f32::NAN)),
        ("`v1` is inf at index 2", with(f32::INFINITY)),
        ("takes magnitudes", with(3e38)),
    ];
    for (told, bad) in cases {
        let good = ones(&[2, 3], DType::F32);
        let error = adamw.step(&store(&vars, &[good, bad])).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(all::<f32>(&vars), x, "{told}");
        assert_eq!(snapshot(&mut adamw), state, "{told}");
    }
    assert!(matches!(adamw.step(&empty_store()), Err(Error::NoGradient)));
    // A rate that candle's setter can't refuse.
    for rate in [-1.0, f64::NAN] {
        adamw.set_learning_rate(rate);
        let error = adamw.step(&store(&vars, &gradients(&vars, 1))).unwrap_err();
        assert!(error.to_string().contains("lr ="), "{error}");
        assert_eq!(snapshot(&mut adamw), state);
    }
    adamw.step(&store(&vars, &gradients(&vars, 1))).unwrap();
}

#[test]
fn bad_variables() {
    let of = |dtype| Vars::new([("w", Var::zeros(2, dtype, CPU).unwrap())]).unwrap();
    let error = Optimizer::new(of(DType::F64), AdamW::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`w` is of F64: state in F32 goes with f32, bf16 and f16")
    );
    let update =
        |vars: &Vars| FirstOrder::<f64, _, _>::new(AdamW::default(), vars.params()).unwrap();
    for dtype in [DType::F32, DType::BF16] {
        let error = Optimizer::along(of(dtype), update(&of(dtype))).unwrap_err();
        assert!(matches!(error, Error::VarDType { .. }), "{error}");
    }
    let other = Vars::new([("v", Var::zeros(2, DType::F64, CPU).unwrap())]).unwrap();
    let error = Optimizer::along(of(DType::F64), update(&other)).unwrap_err();
    assert!(matches!(error, Error::OtherParams), "{error}");
    let twice = variables(&[&[2], &[2]], DType::F32);
    let error = Vars::new(twice.into_iter().map(|var| ("w", var))).unwrap_err();
    assert!(
        error.to_string().contains("two segments are named `w`"),
        "{error}"
    );
    let none: [(&str, Var); 0] = [];
    assert!(matches!(
        Vars::new(none),
        Err(Error::Method(opt_core::Error::NoParameters))
    ));
    // By candle's trait, in candle's error.
    let empty: Result<Optimizer<FirstOrder<f32, AdamW, 2>>, _> =
        candle_nn::Optimizer::empty(AdamW::default().into());
    assert!(empty.unwrap_err().to_string().contains("no parameters"));
}

#[test]
fn bad_layers() {
    let vars = variables(&[&[4, 3], &[2, 4], &[2, 4, 1, 1]], DType::F64);
    let layer = |i: usize| Linear::new(vars[i].as_tensor().clone(), None);
    let listed = || Vars::new(named(&vars)).unwrap();
    let batch = (wave(&[6, 3], 0.1, DType::F64), classes(6, 2));
    let config = Conv2dConfig {
        groups: 2,
        ..Default::default()
    };
    let grouped = Conv2d::new(vars[2].as_tensor().clone(), None, config);
    assert!(
        Tape::new()
            .conv2d(grouped)
            .unwrap_err()
            .to_string()
            .contains("2 groups")
    );

    let tape = Tape::new();
    let foreign = tape.linear(Linear::new(wave(&[4, 3], 0.0, DType::F64), None));
    let never = |_: &()| {
        foreign
            .forward(foreign.layer().weight())
            .map(|z| (z.clone(), z))
    };
    let error = LayeredModel::double(listed(), &tape, Likelihood::Softmax(2), never).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("layer 0: its weight is not one of"),
        "{error}"
    );

    type Batch = (Tensor, Tensor);
    type Way = fn(&Batch, &dyn Module, &dyn Module) -> candle_core::Result<(Tensor, Tensor)>;
    let cases: [(&str, usize, Way); 6] = [
        ("used twice", 2, |(x, _), a, b| {
            let z = b.forward(&(a.forward(x)? + a.forward(x)?)?)?;
            Ok((z.sqr()?.mean_all()?, z))
        }),
        ("layer 1: the loss does not depend", 4, |(x, _), a, _| {
            let z = a.forward(x)?;
            Ok((z.sqr()?.mean_all()?, z))
        }),
        ("must be (samples, …, 5)", 5, |(x, _), a, b| {
            let z = b.forward(&a.forward(x)?)?;
            Ok((z.sqr()?.mean_all()?, z))
        }),
        ("must be (samples, …, 2)", 2, |(x, _), a, b| {
            let z = b.forward(&a.forward(x)?)?.sum_all()?;
            Ok((z.clone(), z))
        }),
        ("layer 0: it has 6 rows for 4 samples", 3, |(x, _), a, b| {
            let z = b.forward(&a.forward(x)?)?.reshape((4, 3))?;
            Ok((z.sqr()?.mean_all()?, z))
        }),
        ("the loss has shape [6, 2]", 2, |(x, _), a, b| {
            let z = b.forward(&a.forward(x)?)?;
            Ok((z.clone(), z))
        }),
    ];
    for (told, outputs, way) in cases {
        let tape = Tape::new();
        let (a, b) = (tape.linear(layer(0)), tape.linear(layer(1)));
        let pass = |batch: &Batch| way(batch, &a, &b);
        let likelihood = Likelihood::Softmax(outputs);
        let mut model = LayeredModel::double(listed(), &tape, likelihood, pass).unwrap();
        let (x, mut g) = (
            vec![0.3; model.params().len()],
            vec![0.0; model.params().len()],
        );
        let error = model.deltas(&x, &mut g).unwrap_err();
        assert!(error.to_string().contains("no batch"), "{error}");
        model.load(batch.clone());
        let error = model.deltas(&x, &mut g).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert!(model.grad(&x[1..], &mut g).is_err());
        assert!(
            model
                .factor(&x, outputs)
                .unwrap_err()
                .to_string()
                .contains("no factor")
        );
    }
}

/// Several rows of output for each sample: labels can be drawn, but columns do not make the matrix.
#[test]
fn positions_of_the_output() {
    let vars = variables(&[&[2, 3]], DType::F64);
    let tape = Tape::new();
    let only = tape.linear(Linear::new(vars[0].as_tensor().clone(), None));
    let pass = |x: &Tensor| {
        let z = only.forward(x)?;
        Ok((z.sqr()?.mean_all()?, z))
    };
    let ours = Vars::new(named(&vars)).unwrap();
    let mut model = LayeredModel::double(ours, &tape, Likelihood::Gaussian(2), pass).unwrap();
    model.load(wave(&[4, 5, 3], 0.2, DType::F64));
    let x = all::<f64>(&vars);
    opt_core::SampledFisher::sample(&mut model, &x, 1).unwrap();
    let shown = model.layer(0).unwrap();
    assert_eq!(
        (shown.input.dim(), shown.delta.dim(), shown.samples),
        ((20, 3), (20, 2), 4)
    );
    assert!(
        model
            .factor(&x, 0)
            .unwrap_err()
            .to_string()
            .contains("several rows")
    );
}
