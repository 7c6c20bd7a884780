use candle_core::backprop::GradStore;
use candle_core::{DType, Module, Tensor, Var};
use candle_nn::loss::{cross_entropy, mse};
use candle_nn::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, Linear, VarMap};
use ndarray::Array2;
use opt_candle::firstorder::{AdamW, Groups, Sgd};
use opt_candle::natural::{Kfac, Prong, fisher, sampled_fisher};
use opt_candle::{LayeredModel, Likelihood, Objective, Tape, Taped, Vars};
use opt_core::{Fallback, Layered, SampledFisher, Train, check_gradient};
use opt_nn::{Activation, Convolution, Layer, Loss, Mlp, Spec, Target};

use crate::common::{all, builder, classes, flat, named, near, variables, wave};

type Batch = (Tensor, Tensor);
type Pass = candle_core::Result<(Tensor, Tensor)>;

/// In the order and the layout of a method's vector.
fn reference(vars: &[Var], grads: &GradStore) -> Vec<f64> {
    let one = |var: &Var| {
        let g = grads
            .get(var)
            .map_or_else(|| var.zeros_like().unwrap(), Clone::clone);
        match var.rank() {
            4 => flat::<f64>(&g.permute((0, 2, 3, 1)).unwrap()),
            3 => flat::<f64>(&g.permute((0, 2, 1)).unwrap()),
            _ => flat::<f64>(&g),
        }
    };
    vars.iter().flat_map(one).collect()
}

/// Of one with as many dimensions, x as a method's vector.
fn vector(vars: &[Var]) -> Vec<f64> {
    let mut grads = crate::common::empty_store();
    for var in vars {
        grads.insert(var, var.as_detached_tensor());
    }
    reference(vars, &grads)
}

fn conv2d(vars: &[Var], config: Conv2dConfig) -> Conv2d {
    let bias = vars.get(1).map(|b| b.as_tensor().clone());
    Conv2d::new(vars[0].as_tensor().clone(), bias, config)
}

fn linear(vars: &[Var]) -> Linear {
    let bias = vars.get(1).map(|b| b.as_tensor().clone());
    Linear::new(vars[0].as_tensor().clone(), bias)
}

/// The tape's gradient, made of the rows that it shows, beside differences and candle's own.
fn compare(vars: &[Var], tape: &Tape, batch: Batch, pass: impl Fn(&Batch) -> Pass, outputs: usize) {
    let x = vector(vars);
    let (loss, _) = pass(&batch).unwrap();
    let expected = reference(vars, &loss.backward().unwrap());
    let expected_loss: f64 = loss.to_scalar().unwrap();
    let likelihood = Likelihood::Softmax(outputs);
    let ours = Vars::new(named(vars)).unwrap();
    let mut model = LayeredModel::double(ours, tape, likelihood, &pass).unwrap();
    model.load(batch);
    let mut g = vec![9.0; x.len()];
    assert!(model.layer(0).is_none());
    near(&[model.grad(&x, &mut g).unwrap()], &[expected_loss], 1e-14);
    let check = check_gradient(&mut model, &x, 1e-5).unwrap();
    assert!(check.error < 1e-8, "{check:?}");
    // candle 0.11's gradient of a conv1d weight is not that of differences here, where the slope has strides.
    if vars[0].rank() != 3 {
        near(&g, &expected, 1e-13);
    }
    near(&[model.value(&x).unwrap()], &[expected_loss], 1e-14);
    // Drawn with a pass kept, and anew.
    model.deltas(&x, &mut g).unwrap();
    model.resample(&x, 5).unwrap();
    let kept: Vec<_> = (0..tape_len(&model))
        .map(|i| model.layer(i).unwrap().delta.to_owned())
        .collect();
    model.sample(&x, 5).unwrap();
    for (index, kept) in kept.iter().enumerate() {
        assert_eq!(model.layer(index).unwrap().delta, kept);
    }
    assert!(model.layer(kept.len()).is_none());
}

fn tape_len<L: Layered<f64>>(model: &L) -> usize {
    model.places().len()
}

#[test]
fn convolutions_of_any_geometry_show_what_makes_candles_gradient() {
    for (stride, padding, dilation, size) in [
        (1, 0, 1, 6),
        (1, 1, 1, 5),
        (2, 1, 1, 7),
        (2, 0, 1, 6),
        (1, 2, 2, 6),
    ] {
        let vars = variables(
            &[&[3, 2, 3, 2], &[3], &[4, 3, 2, 2], &[3, 4], &[3]],
            DType::F64,
        );
        let config = Conv2dConfig {
            stride,
            padding,
            dilation,
            ..Default::default()
        };
        let tape = Tape::new();
        let first = tape.conv2d(conv2d(&vars[..2], config)).unwrap();
        let second = tape
            .conv2d(conv2d(&vars[2..3], Conv2dConfig::default()))
            .unwrap();
        let last = tape.linear(linear(&vars[3..]));
        let pass = |(x, y): &Batch| {
            let h = second.forward(&first.forward(x)?.tanh()?)?.tanh()?;
            let z = last.forward(&h.mean((2, 3))?)?;
            Ok((cross_entropy(&z, y)?, z))
        };
        let batch = (wave(&[4, 2, size, size], 0.2, DType::F64), classes(4, 3));
        // candle's own backward pass does not do every geometry that its forward pass does.
        if pass(&batch)
            .and_then(|(loss, _): (Tensor, Tensor)| loss.backward())
            .is_ok()
        {
            compare(&vars, &tape, batch, pass, 3);
        } else {
            assert_ne!((stride, dilation), (1, 1));
        }
    }
}

#[test]
fn one_dimension_and_positions_show_what_makes_the_gradient() {
    let vars = variables(
        &[&[4, 3, 3], &[4], &[5, 4], &[2, 5], &[2], &[5]],
        DType::F64,
    );
    let config = Conv1dConfig {
        padding: 1,
        ..Default::default()
    };
    let tape = Tape::new();
    let bias = Some(vars[1].as_tensor().clone());
    let first = tape
        .conv1d(Conv1d::new(vars[0].as_tensor().clone(), bias, config))
        .unwrap();
    let inner = tape.linear(linear(&vars[2..3]));
    let last = tape.linear(linear(&vars[3..5]));
    let scale = vars[5].as_tensor().clone();
    let pass = move |(x, y): &Batch| {
        let h = first.forward(x)?.tanh()?.transpose(1, 2)?;
        // (samples, positions, channels), not contiguous; and a parameter outside of layers.
        let h = inner
            .forward(&h.contiguous()?)?
            .tanh()?
            .broadcast_mul(&scale)?;
        let z = last.forward(&h.mean(1)?)?;
        Ok((cross_entropy(&z, y)?, z))
    };
    let batch = (wave(&[6, 3, 7], 0.2, DType::F64), classes(6, 2));
    compare(&vars, &tape, batch, pass, 2);
}

/// 4-5-3, with half a squared norm of the first weight as a penalty.
fn mlp(vars: &[Var], tape: &Tape, penalty: f64) -> impl Fn(&Batch) -> Pass + use<> {
    let (first, last): (Taped<_>, Taped<_>) = (
        tape.linear(linear(&vars[..2])),
        tape.linear(linear(&vars[2..])),
    );
    let weight = vars[0].as_tensor().clone();
    move |(x, y)| {
        let z = last.forward(&first.forward(x)?.tanh()?)?;
        let penalty = (weight.sqr()?.sum_all()? * (0.5 * penalty))?;
        let loss = match y.dtype() {
            DType::U32 => cross_entropy(&z, y)?,
            _ => mse(&z, y)?,
        };
        Ok(((loss + penalty)?, z))
    }
}

const MLP: &[&[usize]] = &[&[5, 4], &[5], &[3, 5], &[3]];

#[test]
fn the_rest_is_the_penalty() {
    let (vars, tape) = (variables(MLP, DType::F64), Tape::new());
    let pass = mlp(&vars, &tape, 0.3);
    let x = vector(&vars);
    let ours = Vars::new(named(&vars)).unwrap();
    let mut model = LayeredModel::double(ours, &tape, Likelihood::Softmax(3), pass).unwrap();
    model.load((wave(&[6, 4], 0.1, DType::F64), classes(6, 3)));
    let mut g = vec![9.0; x.len()];
    model.deltas(&x, &mut g).unwrap();
    let expected: Vec<f64> = x[..20].iter().map(|w| 0.3 * w).collect();
    near(&g[..20], &expected, 1e-14);
    assert!(g[20..].iter().all(|&g| g == 0.0));
}

/// Jᵀ H J of every sample, by candle's own backward pass of every output.
#[test]
fn the_fisher_matrix_is_that_of_the_jacobian() {
    let (n, outputs) = (4, 3);
    for likelihood in [
        Likelihood::Softmax(outputs),
        Likelihood::Sigmoid(outputs),
        Likelihood::Gaussian(outputs),
    ] {
        let (vars, tape) = (variables(MLP, DType::F64), Tape::new());
        let pass = mlp(&vars, &tape, 0.0);
        let x = vector(&vars);
        let batch = (wave(&[n, 4], 0.1, DType::F64), classes(n, outputs));
        let z = pass(&batch).unwrap().1;
        let mut expected = Array2::<f64>::zeros((x.len(), x.len()));
        for row in z.chunk(n, 0).unwrap() {
            let p = row.detach();
            let rows: Vec<_> = row.flatten_all().unwrap().chunk(outputs, 0).unwrap();
            let rows = rows
                .iter()
                .flat_map(|z| reference(&vars, &z.backward().unwrap()));
            let j = Array2::from_shape_vec((outputs, x.len()), rows.collect()).unwrap();
            let softmax: Vec<f64> = flat(&candle_nn::ops::softmax(&p, 1).unwrap());
            let sigmoid: Vec<f64> = flat(&candle_nn::ops::sigmoid(&p).unwrap());
            let h = Array2::from_shape_fn((outputs, outputs), |(a, b)| {
                let same = f64::from(u8::from(a == b));
                match likelihood {
                    Likelihood::Softmax(_) => softmax[a] * (same - softmax[b]),
                    Likelihood::Sigmoid(_) => same * sigmoid[a] * (1.0 - sigmoid[a]) / 3.0,
                    _ => same * 2.0 / 3.0,
                }
            });
            expected += &(j.t().dot(&h).dot(&j) / n as f64);
        }
        let ours = Vars::new(named(&vars)).unwrap();
        let mut model = LayeredModel::double(ours, &tape, likelihood, pass).unwrap();
        model.load(batch);
        let found = fisher(&mut model, &x, None).unwrap();
        near(
            found.as_slice().unwrap(),
            expected.as_slice().unwrap(),
            1e-12,
        );
        // Drawn labels come to it in the mean, as one over the root of their number.
        let mut mean = Array2::<f64>::zeros(found.dim());
        let draws = 600;
        for seed in 0..draws {
            mean += &(sampled_fisher(&mut model, &x, seed, None).unwrap() / draws as f64);
        }
        let norm = |m: &Array2<f64>| m.iter().map(|v| v * v).sum::<f64>().sqrt();
        let error = norm(&(&mean - &found)) / norm(&found);
        assert!(error < 0.15, "{likelihood:?}: {error}");
    }
}

/// The same network, weights and batch in opt-nn, whose maps have their channels last.
#[test]
fn prong_goes_the_way_it_goes_on_another_network() {
    let shapes: &[&[usize]] = &[
        &[3, 2, 3, 3],
        &[3],
        &[2, 3, 2, 2],
        &[2],
        &[3, 2 * 4 * 4],
        &[3],
    ];
    let vars = variables(shapes, DType::F64);
    let (samples, tape) = (9, Tape::new());
    let padded = Conv2dConfig {
        padding: 1,
        ..Default::default()
    };
    let first = tape.conv2d(conv2d(&vars[..2], padded)).unwrap();
    let second = tape
        .conv2d(conv2d(&vars[2..4], Conv2dConfig::default()))
        .unwrap();
    let last = tape.linear(linear(&vars[4..]));
    let pass = move |(x, y): &Batch| {
        let h = second.forward(&first.forward(x)?.tanh()?)?.tanh()?;
        let z = last.forward(&h.permute((0, 2, 3, 1))?.contiguous()?.flatten_from(1)?)?;
        Ok((cross_entropy(&z, y)?, z))
    };
    let mut spec = Spec::classifier(&[5 * 5 * 2, 3], Activation::Tanh);
    spec.loss = Loss::SoftmaxCrossEntropy;
    spec.image = Some([5, 5, 2]);
    let layer = |units, kernel, padding| {
        let window = Convolution {
            kernel,
            stride: 1,
            padding,
        };
        Layer::convolution(units, window, Activation::Tanh)
    };
    spec.layers.splice(..0, [layer(3, 3, 1), layer(2, 2, 0)]);
    let mut net = Mlp::<f64>::new(spec).unwrap();
    let mut x = vector(&vars);

    let ours = Vars::new(named(&vars)).unwrap();
    let mut model = LayeredModel::double(ours, &tape, Likelihood::Softmax(3), pass).unwrap();
    let prong = Prong {
        samples: 18,
        period: 3,
        lr: 0.05,
        eps: 0.3,
        ..Prong::default()
    };
    let mut here = prong.method(model.params(), model.places()).unwrap();
    let mut there = prong.method(net.params(), net.places()).unwrap();
    for step in 0..10 {
        let images = wave(&[samples, 2, 5, 5], f64::from(step), DType::F64);
        let rows = flat(&images.permute((0, 2, 3, 1)).unwrap());
        let rows = Array2::from_shape_vec((samples, 50), rows).unwrap();
        let labels: Vec<u8> = (0..samples).map(|i| (i * 7 % 3) as u8).collect();
        net.load(rows.view(), Target::Classes(&labels), 0).unwrap();
        model.load((images, classes(samples, 3)));
        let (a, b) = (
            model.step(&mut here).unwrap(),
            there.step(&mut net, &mut x).unwrap(),
        );
        assert_eq!(a.fallback, b.fallback);
        assert_eq!(a.fallback == Some(Fallback::Collecting), step == 0);
        near(&vector(&vars), &x, 1e-10);
    }
}

/// K-FAC's direction for the layers, AdamW for what is outside; all of K-FAC where nothing is.
#[test]
fn kfac_trains_and_resumes_bit_by_bit() {
    let map = VarMap::new();
    let vb = builder(&map, DType::F32);
    let tape = Tape::new();
    let first = tape.linear(candle_nn::linear(6, 12, vb.pp("first")).unwrap());
    // With a bias, candle's is fused, and has no backward pass.
    let norm = candle_nn::layer_norm_no_bias(12, 1e-5, vb.pp("norm")).unwrap();
    let last = tape.linear(candle_nn::linear(12, 3, vb.pp("last")).unwrap());
    let vars = Vars::from_varmap(&map).unwrap();
    for (i, var) in vars.vars().iter().enumerate() {
        let start = (wave(var.dims(), i as f64, DType::F32) * 0.4).unwrap();
        var.set(&start).unwrap();
    }
    let pass = |(x, y): &Batch| {
        let z = last.forward(&norm.forward(&first.forward(x)?)?.tanh()?)?;
        Ok((cross_entropy(&z, y)?, z))
    };
    let likelihood = Likelihood::Softmax(3);
    let mut model = LayeredModel::new(vars.clone(), &tape, likelihood, pass).unwrap();
    model.load((wave(&[30, 6], 0.4, DType::F32), classes(30, 3)));
    // A method for the whole wants every parameter in a layer.
    assert!(
        Kfac::default()
            .method::<f32>(model.params(), model.places())
            .is_err()
    );
    let before = model.loss().unwrap();
    let mut train = joined(&model);
    for _ in 0..8 {
        model.step(&mut train).unwrap();
    }
    let saved = opt_core::Run::new()
        .with("kfac", &mut train)
        .take()
        .unwrap();
    let middle: Vec<_> = vars.vars().iter().map(|var| var.copy().unwrap()).collect();
    let mut go_on = |train: &mut Joined| {
        for _ in 0..92 {
            model.step(train).unwrap();
        }
        (model.loss().unwrap(), all::<f32>(vars.vars()))
    };
    let end = go_on(&mut train);
    assert!(end.0 < 0.5 * before, "{} from {before}", end.0);
    vars.vars()
        .iter()
        .zip(&middle)
        .for_each(|(var, x)| var.set(x).unwrap());
    // With the same settings, for the same layers.
    let never = |_: &Batch| -> Pass { candle_core::bail!("not evaluated") };
    let mut resumed = joined(&LayeredModel::new(vars.clone(), &tape, likelihood, never).unwrap());
    opt_core::Run::new()
        .with("kfac", &mut resumed)
        .restore(&saved)
        .unwrap();
    assert_eq!(go_on(&mut resumed), end);
}

type Joined = Train<f32, opt_candle::natural::KfacDirection<f32>, Groups<f32>>;

fn joined<L: FnMut(&Batch) -> Pass>(model: &LayeredModel<Batch, L>) -> Joined {
    let kfac = Kfac {
        damping: 0.03,
        ..Kfac::default()
    };
    let direction = kfac.direction(model.params(), model.places()).unwrap();
    let layers = Sgd {
        lr: 0.5,
        weight_decay: 0.0,
    };
    let others = AdamW {
        lr: 0.01,
        ..AdamW::default()
    };
    let groups = Groups::<f32>::builder()
        .rule("layers", |s| model.in_layers(&s.name), layers)
        .rule("others", |s| !model.in_layers(&s.name), others)
        .build(model.params())
        .unwrap();
    Train::along(direction, groups)
}
