//! State to and from PyTorch: a run that began there goes on here, and back.
//!
//! The file is safetensors: of every parameter its buffers as PyTorch names them, `layer.weight.exp_avg`
//! for example, and its count `layer.weight.step`; in the metadata the class and its options.
//! `python/opt_torch.py` of this crate writes it there by `save(optimizer, model.named_parameters(),
//! path)`, and makes an optimizer of it by `load`.
//!
//! ```no_run
//! use opt_firstorder::{AdamW, FirstOrder, ParamMap, torch};
//!
//! let params = ParamMap::new([("weight", vec![3, 2]), ("bias", vec![3])])?; // PyTorch's names
//! let mut adamw: FirstOrder<f32, AdamW, 2> = torch::load("adamw.safetensors", &params)?;
//! // … steps …
//! torch::save(&mut adamw, "adamw.safetensors")?;
//! # Ok::<(), torch::TorchError>(())
//! ```
//!
//! | PyTorch | here | kept apart |
//! |---|---|---|
//! | `SGD` | [`Sgd`](crate::Sgd), [`Momentum`](crate::Momentum) (v = α·`momentum_buffer`), [`Nesterov`](crate::Nesterov) | `dampening` must be 0 |
//! | `Adam` | [`Adam`](crate::Adam), [`AmsGrad`](crate::AmsGrad) with `amsgrad` | |
//! | `AdamW` | [`AdamW`](crate::AdamW) | `amsgrad` must be off |
//! | `Adamax` | [`AdaMax`](crate::AdaMax) | `eps` must be 0: there it is within the maximum, of which nothing here is the same |
//! | `RMSprop` | [`RmsProp`](crate::RmsProp), [`RmsPropCentered`](crate::RmsPropCentered), [`RmsPropMomentum`](crate::RmsPropMomentum) (v = α·`momentum_buffer`) | centred with momentum there is none |
//! | `Adagrad` | [`AdaGrad`](crate::AdaGrad) | `lr_decay` must be 0 |
//! | `Adadelta` | [`AdaDelta`](crate::AdaDelta) | one `rho` and one `eps` there |
//! | `Rprop` | [`IRpropMinus`](crate::IRpropMinus) | `weight_decay` must be 0, which it has not there |
//!
//! What differs is refused with its name, as is any option that is not known here. What has α within
//! its velocity goes on as in PyTorch as long as α stays; PyTorch counts no steps of `SGD`, so one
//! that has a velocity counts as 1.

mod options;
mod rules;
mod visit;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use opt_core::{FirstOrder, ParamMap, Rule, Scalar, State, write_whole};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

pub use options::Options;
use visit::{Give, Take};

/// What is refused of a file, or of a state to be one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorchError {
    /// It is no safetensors file, or not one of these.
    #[error("not a file of an optimizer: {0}")]
    Format(String),

    /// It is of another optimizer.
    #[error("the file is of {found}, and this rule is {expected}")]
    Optimizer {
        /// The class in the file.
        found: String,
        /// The rule's.
        expected: &'static str,
    },

    /// An option that the other side has not, or has by another formula.
    #[error("{name} = {value}: {why}")]
    Option {
        /// PyTorch's name.
        name: String,
        /// Its value.
        value: String,
        /// What it must be, or why it can't be.
        why: String,
    },

    /// Tensors that are missing, unknown, or of another shape or type.
    #[error("{}", .0.join("; "))]
    Tensors(Vec<String>),

    /// Segments that follow settings of their own: PyTorch's file has one group.
    #[error("the segments have settings of their own: a file has one group")]
    Groups,

    /// Settings that the rule refuses, or a file that can't be read or written.
    #[error(transparent)]
    Core(#[from] opt_core::Error),
}

/// A buffer there and here.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Buffer {
    /// PyTorch's name.
    pub theirs: &'static str,
    /// The rule's.
    pub ours: &'static str,
    /// Theirs times this is ours.
    pub factor: f64,
}

/// A rule that is in PyTorch. Sealed: it is implemented where the formulas are the same.
pub trait TorchRule: Sized + Clone + PartialEq + sealed::Sealed {
    /// The class there.
    const CLASS: &'static str;

    /// Whether it counts steps.
    const COUNTS: bool = true;

    /// The rule with these options.
    ///
    /// # Errors
    /// [`TorchError::Option`].
    fn of(options: &mut Options) -> Result<Self, TorchError>;

    /// Its options.
    ///
    /// # Errors
    /// [`TorchError::Option`].
    fn options(&self) -> Result<Options, TorchError>;

    /// Its buffers.
    fn buffers(&self) -> Vec<Buffer>;
}

mod sealed {
    #[allow(unnameable_types)]
    pub trait Sealed {}
}

/// The update that PyTorch's file tells of: its settings, and its state.
///
/// # Errors
/// [`opt_core::Error::Io`] within [`TorchError::Core`]; as [`from_bytes`].
pub fn load<F: Scalar, R: Rule<F, N> + TorchRule, const N: usize>(
    path: impl AsRef<Path>,
    params: &ParamMap,
) -> Result<FirstOrder<F, R, N>, TorchError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| opt_core::Error::Io {
        path: path.display().to_string(),
        source,
    })?;
    from_bytes(&bytes, params)
}

/// As [`load`], of a file's content.
///
/// # Errors
/// [`TorchError`], each of them; a tensor that is not of type `F` among them.
pub fn from_bytes<F: Scalar, R: Rule<F, N> + TorchRule, const N: usize>(
    bytes: &[u8],
    params: &ParamMap,
) -> Result<FirstOrder<F, R, N>, TorchError> {
    let format = |e: safetensors::SafeTensorError| TorchError::Format(e.to_string());
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
    let mut options = Options::of(header.metadata().clone().unwrap_or_default());
    if options.take("opt-torch").as_deref() != Some("1") {
        let why = "the metadata has no `opt-torch` = 1: write it by opt_torch.py";
        return Err(TorchError::Format(why.to_owned()));
    }
    let found = options.take("optimizer").unwrap_or_default();
    if found != R::CLASS {
        return Err(TorchError::Optimizer {
            found,
            expected: R::CLASS,
        });
    }
    let rule = R::of(&mut options)?;
    options.finish()?;
    let file = SafeTensors::deserialize(bytes).map_err(format)?;
    let mut give = Give {
        tensors: file.iter().collect(),
        buffers: rule.buffers(),
        decays: Rule::<F, N>::decays(&rule).unwrap_or_default(),
        counts: R::COUNTS,
        problems: Vec::new(),
        used: Vec::new(),
    };
    let mut update = FirstOrder::new(rule, params)?;
    update.visit(&mut give);
    let unknown = give.tensors.keys().filter(|name| !give.used(name));
    let unknown: Vec<_> = unknown.map(|name| format!("`{name}` is unknown")).collect();
    give.problems.extend(unknown);
    if give.problems.is_empty() {
        return Ok(update);
    }
    Err(TorchError::Tensors(give.problems))
}

/// Writes a file that PyTorch goes on from.
///
/// # Errors
/// As [`to_bytes`] and [`write_whole`].
pub fn save<F: Scalar, R: Rule<F, N> + TorchRule, const N: usize>(
    update: &mut FirstOrder<F, R, N>,
    path: impl AsRef<Path>,
) -> Result<(), TorchError> {
    Ok(write_whole(path, &to_bytes(update)?)?)
}

/// As [`save`], the file's content.
///
/// # Errors
/// [`TorchError::Option`] for a setting that PyTorch has not; [`TorchError::Groups`];
/// [`TorchError::Tensors`] for a count beyond 2²⁴, which PyTorch's `f32` can't hold, or state in fewer
/// bits.
pub fn to_bytes<F: Scalar, R: Rule<F, N> + TorchRule, const N: usize>(
    update: &mut FirstOrder<F, R, N>,
) -> Result<Vec<u8>, TorchError> {
    let Some(rule) = update.rule(0).cloned() else {
        return Err(TorchError::Groups);
    };
    let segments = 0..update.params().segments().len();
    if segments.clone().any(|at| update.rule(at) != Some(&rule)) {
        return Err(TorchError::Groups);
    }
    let options = rule.options()?;
    let mut take = Take {
        tensors: BTreeMap::new(),
        buffers: rule.buffers(),
        counts: R::COUNTS,
        // PyTorch's Adagrad has its state from the start.
        from: if R::CLASS == "Adagrad" { 0 } else { 1 },
        steps: HashMap::new(),
        problems: Vec::new(),
    };
    update.visit(&mut take);
    if !take.problems.is_empty() {
        return Err(TorchError::Tensors(take.problems));
    }
    let mut metadata = options.into_map();
    metadata.insert("opt-torch".to_owned(), "1".to_owned());
    metadata.insert("optimizer".to_owned(), R::CLASS.to_owned());
    let format = |e: safetensors::SafeTensorError| TorchError::Format(e.to_string());
    let views = take.tensors.iter().map(|(name, (dtype, shape, bytes))| {
        TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name, view))
    });
    let views: Vec<_> = views.collect::<Result<_, _>>().map_err(format)?;
    safetensors::serialize(views, Some(metadata)).map_err(format)
}
