//! Hyper-parameters: plain public fields that can also be listed, checked and set by name.

use std::fmt;

use super::value::{Bound, Kind, Value};
use crate::error::Error;
use crate::scalar::Scalar;

/// An enum among a method's hyper-parameters.
pub trait Choice: Copy + PartialEq + 'static {
    /// Every value with its name: lower case, with hyphens.
    const ALL: &'static [(&'static str, Self)];
}

impl Choice for bool {
    const ALL: &'static [(&'static str, Self)] = &[("false", false), ("true", true)];
}

/// A field of any choice.
trait AnyChoice {
    fn name(&self) -> &'static str;
    fn names(&self) -> Vec<&'static str>;
    /// Whether there is such a name.
    fn pick(&mut self, name: &str) -> bool;
}

impl<C: Choice> AnyChoice for C {
    fn name(&self) -> &'static str {
        let this = C::ALL.iter().find(|(_, value)| value == self);
        this.map_or("?", |(name, _)| name)
    }

    fn names(&self) -> Vec<&'static str> {
        C::ALL.iter().map(|(name, _)| *name).collect()
    }

    fn pick(&mut self, name: &str) -> bool {
        let found = C::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *self = *value).is_some()
    }
}

/// One field, as [`Hyper::fields`] lends it.
enum Slot<'a> {
    Real(&'a mut f64, Bound),
    Count(&'a mut u64, u64),
    Choice(&'a mut dyn AnyChoice),
}

impl Slot<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Real(_, bound) => Kind::Real(*bound),
            Self::Count(_, least) => Kind::Count(*least),
            Self::Choice(choice) => Kind::Choice(choice.names()),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Real(value, _) => Value::Real(**value),
            Self::Count(value, _) => Value::Count(**value),
            Self::Choice(choice) => Value::Choice(choice.name().to_owned()),
        }
    }

    /// Takes the value; `false` if it is of another kind.
    fn put(&mut self, value: &Value) -> bool {
        match self {
            Self::Real(field, _) => value.real().map(|v| **field = v).is_some(),
            Self::Count(field, _) => value.count().map(|v| **field = v).is_some(),
            Self::Choice(field) => matches!(value, Value::Choice(name) if field.pick(name)),
        }
    }
}

/// What [`Hyper::fields`] shows its fields to.
#[allow(missing_debug_implementations)] // a closure
pub struct FieldVisitor<'a>(&'a mut dyn FnMut(&'static str, Slot<'_>));

impl FieldVisitor<'_> {
    /// A real number and its range.
    pub fn real(&mut self, name: &'static str, field: &mut f64, bound: Bound) {
        (self.0)(name, Slot::Real(field, bound));
    }

    /// A whole number of at least `least`.
    pub fn count(&mut self, name: &'static str, field: &mut u64, least: u64) {
        (self.0)(name, Slot::Count(field, least));
    }

    /// One of several names.
    pub fn choice<C: Choice>(&mut self, name: &'static str, field: &mut C) {
        (self.0)(name, Slot::Choice(field));
    }
}

/// The hyper-parameters of a method: a struct of public fields.
///
/// One function names them all; checking, listing, and setting by name (from a configuration, a
/// command line, or a schedule) follow from it. The first field is the one that a search over
/// learning rates tunes.
pub trait Hyper: Clone + fmt::Debug + Send + Sync + 'static {
    /// Shows every field to the visitor, always in the same order.
    fn fields(&mut self, visit: &mut FieldVisitor<'_>);

    /// Names that set several fields at once: `("gamma", &["gamma_grad", "gamma_update"])`.
    fn aliases() -> &'static [(&'static str, &'static [&'static str])] {
        &[]
    }

    /// Whether two fields contradict each other; ranges are checked before. `Ok` by default.
    ///
    /// # Errors
    /// [`Error::HyperConflict`] that names both.
    fn conflicts(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Checks every field against its range, also after rounding to `F`, in which the method will
    /// compute with it; then [`conflicts`](Self::conflicts).
    ///
    /// # Errors
    /// [`Error::Hyper`] or [`Error::HyperRounds`] with the first field that is out of range, or a
    /// conflict.
    fn check<F: Scalar>(&self) -> Result<(), Error> {
        let mut first = None;
        each_field(&mut self.clone(), |name, slot| {
            let wrong = match slot {
                Slot::Real(&mut value, bound) if !bound.contains(value) => true,
                Slot::Real(&mut value, bound) => {
                    let becomes = F::of(value).f64();
                    if first.is_none() && !bound.contains(becomes) {
                        first = Some(Error::HyperRounds {
                            name: name.to_owned(),
                            value,
                            becomes,
                            dtype: F::DTYPE,
                            bound,
                        });
                    }
                    false
                }
                Slot::Count(&mut value, least) => value < least,
                Slot::Choice(_) => false,
            };
            if first.is_none() && wrong {
                first = Some(Error::Hyper {
                    name: name.to_owned(),
                    value: slot.value(),
                    kind: slot.kind(),
                });
            }
        });
        first.map_or_else(|| self.conflicts(), Err)
    }

    /// Sets the field, or the fields behind the alias, of this name. Ranges are not checked: one
    /// may have to set two fields before they fit each other.
    ///
    /// # Errors
    /// [`Error::UnknownHyper`], which lists the names that exist; [`Error::Hyper`] if the value is
    /// of another kind.
    fn set(&mut self, name: &str, value: impl Into<Value>) -> Result<(), Error> {
        let (value, mut known, mut wrong) = (value.into(), false, None);
        for_name(self, name, |field, mut slot| {
            known = true;
            if !slot.put(&value) && wrong.is_none() {
                wrong = Some(Error::Hyper {
                    name: field.to_owned(),
                    value: value.clone(),
                    kind: slot.kind(),
                });
            }
        });
        match wrong {
            Some(error) => Err(error),
            None if known => Ok(()),
            None => Err(unknown(self, name)),
        }
    }
}

/// Calls `f` with every field.
fn each_field<H: Hyper>(hyper: &mut H, mut f: impl FnMut(&'static str, Slot<'_>)) {
    hyper.fields(&mut FieldVisitor(&mut |name, slot| f(name, slot)));
}

/// Calls `f` with the fields of this name or alias.
fn for_name<H: Hyper>(hyper: &mut H, name: &str, mut f: impl FnMut(&'static str, Slot<'_>)) {
    let alias = H::aliases().iter().find(|(alias, _)| *alias == name);
    each_field(hyper, |field, slot| {
        if field == name || alias.is_some_and(|(_, fields)| fields.contains(&field)) {
            f(field, slot);
        }
    });
}

/// Multiplies the real fields of this name or alias; gives their names, none for an unknown one.
pub(super) fn multiply<H: Hyper>(hyper: &mut H, name: &str, factor: f64) -> Vec<&'static str> {
    let mut names = Vec::new();
    for_name(hyper, name, |field, slot| {
        if let Slot::Real(value, _) = slot {
            *value *= factor;
            names.push(field);
        }
    });
    names
}

/// One hyper-parameter, as [`list`] gives it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Field {
    /// The field's name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// What it can be.
    pub kind: Kind,
}

/// All hyper-parameters with their values, in the order of [`Hyper::fields`].
pub fn list<H: Hyper>(hyper: &H) -> Vec<Field> {
    let mut all = Vec::new();
    each_field(&mut hyper.clone(), |name, slot| {
        all.push(Field {
            name: name.to_owned(),
            value: slot.value(),
            kind: slot.kind(),
        });
    });
    all
}

/// No field or alias has this name.
pub(super) fn unknown<H: Hyper>(hyper: &H, name: &str) -> Error {
    let names = list(hyper).into_iter().map(|field| field.name);
    let aliases = H::aliases().iter().map(|(alias, _)| (*alias).to_owned());
    Error::UnknownHyper {
        name: name.to_owned(),
        known: names.chain(aliases).collect::<Vec<_>>().join(", "),
    }
}
