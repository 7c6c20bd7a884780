use candle_core::{DType, Module, Tensor, Var};
use candle_nn::loss::mse;
use candle_nn::{Linear, VarMap};
use opt_candle::firstorder::{AdamW, FirstOrder, IRpropPlus, Nag};
use opt_candle::secondorder::{Lbfgs, Scg};
use opt_candle::{Error, Method, Model, Objective, Optimizer, Vars};
use opt_core::{Train, check_gradient};

use crate::common::{all, builder, named, variables, wave};

type Batch = (Tensor, Tensor);

/// 3-6-2, tanh.
struct Net(Linear, Linear);

impl Net {
    fn new(map: &VarMap, dtype: DType) -> Self {
        let vb = builder(map, dtype);
        let first = candle_nn::linear(3, 6, vb.pp("a")).unwrap();
        let net = Self(first, candle_nn::linear(6, 2, vb.pp("b")).unwrap());
        for (i, var) in Vars::from_varmap(map).unwrap().vars().iter().enumerate() {
            let start = (wave(var.dims(), i as f64, dtype) * 0.5).unwrap();
            var.set(&start).unwrap();
        }
        net
    }

    fn loss(&self, (x, y): &Batch) -> candle_core::Result<Tensor> {
        mse(&self.1.forward(&self.0.forward(x)?.tanh()?)?, y)
    }
}

fn batch(dtype: DType) -> Batch {
    (wave(&[20, 3], 0.4, dtype), wave(&[20, 2], 1.3, dtype))
}

#[test]
fn the_gradient_is_that_of_differences() {
    let map = VarMap::new();
    let net = Net::new(&map, DType::F64);
    let vars = Vars::from_varmap(&map).unwrap();
    let x: Vec<f64> = all(vars.vars());
    let mut model = Model::double(vars, |batch: &Batch| net.loss(batch)).unwrap();
    model.load(batch(DType::F64));
    let check = check_gradient(&mut model, &x, 1e-5).unwrap();
    assert!(check.error < 1e-8, "{check:?}");
}

/// What picks its own points, on one batch.
#[test]
fn other_methods_train_it() {
    fn run<M, L>(model: &mut Model<Batch, L>, mut method: M, steps: usize) -> f64
    where
        L: FnMut(&Batch) -> candle_core::Result<Tensor>,
        M: Method<f32, Model<Batch, L>>,
    {
        for _ in 0..steps {
            model.step(&mut method).unwrap();
        }
        model.loss().unwrap()
    }
    let map = VarMap::new();
    let net = Net::new(&map, DType::F32);
    let vars = Vars::from_varmap(&map).unwrap();
    let start: Vec<_> = vars.vars().iter().map(|var| var.copy().unwrap()).collect();
    let mut model = Model::new(vars.clone(), |batch: &Batch| net.loss(batch)).unwrap();
    model.load(batch(DType::F32));
    let first = model.loss().unwrap();
    let params = model.params().clone();
    let reset = || {
        vars.vars()
            .iter()
            .zip(&start)
            .for_each(|(v, s)| v.set(s).unwrap())
    };
    let lbfgs = run(&mut model, Lbfgs::default().method(&params).unwrap(), 60);
    reset();
    let scg = run(&mut model, Scg::default().method(&params).unwrap(), 60);
    reset();
    let nag = Nag {
        lr: 0.05,
        ..Nag::default()
    };
    let nag = run(&mut model, nag.method(&params).unwrap(), 150);
    reset();
    let rprop = run(
        &mut model,
        IRpropPlus::default().method(&params).unwrap(),
        60,
    );
    for loss in [lbfgs, scg, nag, rprop] {
        assert!(
            loss < 0.5 * first,
            "{lbfgs} {scg} {nag} {rprop} from {first}"
        );
    }
}

/// A method by way of the model's vector, and the optimizer on the variables.
#[test]
fn it_goes_the_optimizers_way() {
    let (one, other) = (VarMap::new(), VarMap::new());
    let (net, same) = (Net::new(&one, DType::F64), Net::new(&other, DType::F64));
    let (ours, theirs) = (
        Vars::from_varmap(&one).unwrap(),
        Vars::from_varmap(&other).unwrap(),
    );
    let update = || FirstOrder::<f64, _, _>::new(AdamW::default(), ours.params()).unwrap();
    let mut train = Train::new(update());
    let mut model = Model::double(ours.clone(), |batch: &Batch| net.loss(batch)).unwrap();
    let mut optimizer = Optimizer::along(theirs.clone(), update()).unwrap();
    for step in 0..8 {
        let batch = (
            wave(&[5, 3], f64::from(step), DType::F64),
            wave(&[5, 2], 0.3, DType::F64),
        );
        optimizer
            .backward_step(&same.loss(&batch).unwrap())
            .unwrap();
        model.load(batch);
        model.step(&mut train).unwrap();
        assert_eq!(all::<f64>(ours.vars()), all::<f64>(theirs.vars()));
    }
}

#[test]
fn a_refused_step_leaves_the_variables() {
    let list = variables(&[&[4]], DType::F64);
    let vars = Vars::new(named(&list)).unwrap();
    let x = list[0].clone();
    // Not to be had beyond the first point.
    let start: Vec<f64> = all(&list);
    let expected = start.clone();
    let mut model = Model::double(vars, |fails: &bool| match *fails {
        true if all::<f64>(std::slice::from_ref(&x)) != start => candle_core::bail!("too far"),
        _ => x.as_tensor().sqr()?.sum_all(),
    })
    .unwrap();
    let mut lbfgs = Lbfgs::default().method(model.params()).unwrap();
    let error = model.step(&mut lbfgs).unwrap_err();
    assert!(error.to_string().contains("no batch"), "{error}");
    model.load(false);
    model.step(&mut lbfgs).unwrap();
    let list = [x.clone()];
    list[0]
        .set(&Tensor::new(expected.clone(), x.device()).unwrap())
        .unwrap();
    model.load(true);
    let mut nag = Nag {
        lr: 0.1,
        ..Nag::default()
    }
    .method(model.params())
    .unwrap();
    for _ in 0..3 {
        // The first step is from where it can be had.
        let _ = model.step(&mut nag);
    }
    let moved: Vec<f64> = all(&list);
    let error = model.step(&mut nag).unwrap_err();
    assert!(error.to_string().contains("too far"), "{error}");
    assert_eq!(all::<f64>(&list), moved);
}

#[test]
fn what_is_no_loss_is_refused() {
    let list = variables(&[&[4]], DType::F32);
    let other = Var::ones(2, DType::F32, &candle_core::Device::Cpu).unwrap();
    let (x, far) = (list[0].clone(), other.clone());
    let mut model = Model::new(
        Vars::new(named(&list)).unwrap(),
        move |kind: &usize| match kind {
            0 => x.as_tensor().sqr(),
            1 => far.as_tensor().sqr()?.sum_all(),
            _ => (x.as_tensor() * 1e30)?.sqr()?.sum_all(),
        },
    )
    .unwrap();
    let mut x: Vec<f32> = all(&list);
    let mut g = vec![0.0; 4];
    let mut refusal = |model: &mut Model<_, _>, kind: usize| {
        model.load(kind);
        model.grad(&x, &mut g).map_err(|e| e.to_string())
    };
    assert!(refusal(&mut model, 0).unwrap_err().contains("shape [4]"));
    assert!(
        refusal(&mut model, 1)
            .unwrap_err()
            .contains("no variable has a gradient")
    );
    // An objective returns a loss that is not finite as it is.
    assert_eq!(refusal(&mut model, 2), Ok(f32::INFINITY));
    assert!(model.value(&x[..3]).is_err() && model.grad(&x, &mut []).is_err());
    let mut lbfgs = Lbfgs::default().method(model.params()).unwrap();
    let error = model.step(&mut lbfgs).unwrap_err();
    assert!(
        matches!(error, Error::Method(opt_core::Error::NonFiniteLoss(_))),
        "{error}"
    );
    x.clear();
}
