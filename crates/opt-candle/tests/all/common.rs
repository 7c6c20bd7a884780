use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var, WithDType};
use candle_nn::{VarBuilder, VarMap};

pub(crate) const CPU: &Device = &Device::Cpu;

/// Numbers without a pattern.
pub(crate) fn wave(shape: &[usize], salt: f64, dtype: DType) -> Tensor {
    let count = shape.iter().product::<usize>();
    let at = |i: usize| (1.7 * i as f64 + salt).sin() + 0.3 * (0.9 * (i * i) as f64 + salt).cos();
    let all: Vec<f64> = (0..count).map(at).collect();
    let tensor = Tensor::from_vec(all, shape, CPU).unwrap();
    tensor.to_dtype(dtype).unwrap()
}

pub(crate) fn classes(count: usize, of: usize) -> Tensor {
    let all: Vec<u32> = (0..count).map(|i| (i * 7 % of) as u32).collect();
    Tensor::from_vec(all, count, CPU).unwrap()
}

pub(crate) fn builder(map: &VarMap, dtype: DType) -> VarBuilder<'static> {
    VarBuilder::from_varmap(map, dtype, CPU)
}

/// Variables of these shapes.
pub(crate) fn variables(shapes: &[&[usize]], dtype: DType) -> Vec<Var> {
    let all = shapes.iter().enumerate();
    let all = all.map(|(i, shape)| Var::from_tensor(&wave(shape, i as f64, dtype)).unwrap());
    all.collect()
}

pub(crate) fn named(vars: &[Var]) -> Vec<(String, Var)> {
    let all = vars.iter().enumerate();
    all.map(|(i, var)| (format!("v{i}"), var.clone())).collect()
}

/// Only a backward pass makes one.
pub(crate) fn empty_store() -> GradStore {
    let one = Var::zeros((), DType::F32, CPU).unwrap();
    let mut store = one.as_tensor().sqr().unwrap().backward().unwrap();
    store.remove(&one);
    store
}

pub(crate) fn store(vars: &[Var], gradients: &[Tensor]) -> GradStore {
    let mut grads = empty_store();
    for (var, gradient) in vars.iter().zip(gradients) {
        grads.insert(var, gradient.clone());
    }
    grads
}

pub(crate) fn gradients(vars: &[Var], step: usize) -> Vec<Tensor> {
    let all = vars.iter().enumerate();
    all.map(|(i, var)| wave(var.dims(), 0.7 * step as f64 + i as f64, var.dtype()))
        .collect()
}

pub(crate) fn flat<T: WithDType>(tensor: &Tensor) -> Vec<T> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

pub(crate) fn all<T: WithDType>(vars: &[Var]) -> Vec<T> {
    vars.iter().flat_map(|var| flat::<T>(var)).collect()
}

pub(crate) fn near(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(0.0_f64, |m, b| m.max(b.abs()));
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        let error = (a - b).abs();
        assert!(
            error <= tolerance * scale,
            "{i}: {a} and {b}, beside {scale}"
        );
    }
}
