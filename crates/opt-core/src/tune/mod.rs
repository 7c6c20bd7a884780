//! Hyper-parameters of a method that is at work: what schedules and configurations reach.

pub(crate) mod clip;
mod hyper;
mod plateau;
mod schedule;
pub(crate) mod value;

use std::ops::Deref;

pub use clip::{clip_global_norm, clip_global_norm_parts, clip_value};
pub use hyper::{Choice, Field, FieldVisitor, Hyper, list};
pub use plateau::{Plateau, PlateauSchedule};
pub use schedule::{Pieces, Schedule};
pub use value::{Bound, Kind, Value};

use crate::error::Error;
use crate::scalar::Scalar;

/// A change to hyper-parameters.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// A new value.
    Set(Value),
    /// The configured value times this, in place of the last factor.
    Scale(f64),
}

/// Hyper-parameters by name, of a method whose type may have been forgotten.
///
/// A value is the configured one times a factor, which is 1 until [`scale`](Self::scale) says
/// otherwise: a schedule that peaks at 1 is that factor, and where groups of parameters have rates
/// of their own it keeps their ratios. A group's field is named `group/lr`; `lr` alone stands for
/// the field in every group that has it.
pub trait Tune {
    /// All fields with the values in effect, in a fixed order.
    fn list(&self) -> Vec<Field>;

    /// Makes a change to the field, or the fields, of this name.
    ///
    /// # Errors
    /// [`Error::UnknownHyper`]; [`Error::Hyper`], [`Error::HyperRounds`] or
    /// [`Error::HyperConflict`] if a result is out of range; then nothing has changed.
    fn change(&mut self, name: &str, change: &Change) -> Result<(), Error>;

    /// The value in effect; of the first group's, where several have the field.
    ///
    /// # Errors
    /// [`Error::UnknownHyper`].
    fn get(&self, name: &str) -> Result<Value, Error> {
        let fields = self.list();
        let exact = fields.iter().find(|field| field.name == name);
        let bare = || fields.iter().find(|field| bare(&field.name) == name);
        let found = exact.or_else(bare).map(|field| field.value.clone());
        found.ok_or_else(|| unknown(name, &fields))
    }

    /// Sets the value of a field. Where several groups have it with different values, a rate (whose
    /// range has no end) is scaled in all of them by `value`/the first group's, so that they keep
    /// their ratios; any other field is set in each.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    fn set(&mut self, name: &str, value: Value) -> Result<(), Error> {
        self.change(name, &Change::Set(value))
    }

    /// Makes the value of a real field `factor` times the configured one, in every group that has
    /// it. Not cumulative: the next call replaces the factor.
    ///
    /// ```
    /// # use opt_core::{*, Hyper};
    /// # #[derive(Clone, Debug)] struct Sgd { lr: f64 }
    /// # impl Hyper for Sgd {
    /// #     fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
    /// #         visit.real("lr", &mut self.lr, Bound::NonNegative);
    /// #     }
    /// # }
    /// # impl<F: Scalar> Rule<F, 0> for Sgd {
    /// #     fn slots(&self) -> [Slot; 0] { [] }
    /// #     fn update(&self, _: &Step, x: &mut [F], g: &[F], s: [&mut [F]; 0]) -> bool {
    /// #         let lr = F::of(self.lr);
    /// #         each(x, g, s, move |x, g, []| (x - lr * g, []))
    /// #     }
    /// # }
    /// let params = ParamMap::new([("weight", vec![2, 2]), ("bias", vec![2])])?;
    /// let mut sgd: FirstOrder<f32, Sgd, 0> = FirstOrder::with(&params, |segment| Sgd {
    ///     lr: if segment.name == "bias" { 0.2 } else { 0.1 },
    /// })?;
    /// let warm_up = Schedule::Linear { from: 0.0, to: 1.0, steps: 4 };
    /// sgd.scale("lr", warm_up.at(2))?;
    /// assert_eq!(sgd.get("weight/lr")?, Value::Real(0.05));
    /// assert_eq!(sgd.get("bias/lr")?, Value::Real(0.1));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`change`](Self::change); [`Error::UnknownHyper`] also for a field that is not real.
    fn scale(&mut self, name: &str, factor: f64) -> Result<(), Error> {
        self.change(name, &Change::Scale(factor))
    }
}

impl<T: Tune + ?Sized> Tune for Box<T> {
    fn list(&self) -> Vec<Field> {
        (**self).list()
    }

    fn change(&mut self, name: &str, change: &Change) -> Result<(), Error> {
        (**self).change(name, change)
    }
}

/// The name without its group.
pub(crate) fn bare(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

pub(crate) fn unknown(name: &str, known: &[Field]) -> Error {
    let names = known.iter().map(|field| field.name.as_str());
    Error::UnknownHyper {
        name: name.to_owned(),
        known: names.collect::<Vec<_>>().join(", "),
    }
}

/// Settings as they were configured, and as they are in effect: what a method keeps, and hands
/// [`Tune`] on to ([`tune_by!`](crate::tune_by)). It dereferences to those in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned<H> {
    configured: H,
    effective: H,
    factors: Vec<(&'static str, f64)>,
}

impl<H> Deref for Tuned<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.effective
    }
}

impl<H: Hyper> Tuned<H> {
    /// Settings for arithmetic in `F`.
    ///
    /// # Errors
    /// As [`Hyper::check`].
    pub fn new<F: Scalar>(hyper: H) -> Result<Self, Error> {
        hyper.check::<F>()?;
        Ok(Self {
            configured: hyper.clone(),
            effective: hyper,
            factors: Vec::new(),
        })
    }

    /// The settings as they were configured.
    pub fn configured(&self) -> &H {
        &self.configured
    }

    /// Tells the settings something that is none, and needs no check.
    pub(crate) fn inform(&mut self, tell: impl Fn(&mut H)) {
        tell(&mut self.configured);
        tell(&mut self.effective);
    }

    /// See [`Tune::change`].
    ///
    /// # Errors
    /// As there; then nothing has changed.
    pub fn change<F: Scalar>(&mut self, name: &str, change: &Change) -> Result<(), Error> {
        let mut next = self.clone();
        match change {
            Change::Set(value) => {
                next.configured.set(name, value.clone())?;
                let set = hyper::multiply(&mut next.configured.clone(), name, 1.0);
                next.factors.retain(|(field, _)| !set.contains(field));
            }
            &Change::Scale(factor) => {
                let fields = hyper::multiply(&mut next.configured.clone(), name, factor);
                if fields.is_empty() {
                    return Err(hyper::unknown(&self.configured, name));
                }
                next.factors.retain(|(field, _)| !fields.contains(field));
                next.factors
                    .extend(fields.iter().map(|field| (*field, factor)));
            }
        }
        *self = next.refreshed::<F>()?;
        Ok(())
    }

    /// Changes the configured settings by hand; factors stay.
    ///
    /// # Errors
    /// As [`Hyper::check`]; then nothing has changed.
    pub fn adjust<F: Scalar>(&mut self, change: impl FnOnce(&mut H)) -> Result<(), Error> {
        let mut next = self.clone();
        change(&mut next.configured);
        *self = next.refreshed::<F>()?;
        Ok(())
    }

    fn refreshed<F: Scalar>(mut self) -> Result<Self, Error> {
        self.configured.check::<F>()?;
        self.effective = self.configured.clone();
        for (field, factor) in &self.factors {
            hyper::multiply(&mut self.effective, field, *factor);
        }
        self.effective.check::<F>()?;
        Ok(self)
    }
}

/// Implements [`Tune`](crate::Tune) for a method by the [`Tuned`](crate::Tuned) settings in one of
/// its fields: `tune_by!(LbfgsMethod, hyper);` for `LbfgsMethod<F>`.
#[macro_export]
macro_rules! tune_by {
    ($method:ident, $field:ident) => {
        impl<F: $crate::Scalar> $crate::Tune for $method<F> {
            fn list(&self) -> Vec<$crate::Field> {
                $crate::list_hyper(&*self.$field)
            }

            fn change(&mut self, name: &str, change: &$crate::Change) -> Result<(), $crate::Error> {
                self.$field.change::<F>(name, change)
            }
        }
    };
}
