//! Hyper-parameters: plain public `f64` fields that can also be listed, checked and set by name.

use std::fmt;

use crate::Error;

/// The range of a hyper-parameter. NaN and infinities are in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// (0, ∞)
    Positive,
    /// [0, ∞)
    NonNegative,
    /// [0, 1): momenta and decay rates
    Unit,
    /// (0, 1]: factors that shrink
    Shrink,
    /// [1, ∞): factors that grow
    Grow,
    /// 1, 2, 3, …: periods and sample sizes
    Count,
}

impl Bound {
    /// Whether `value` is in the range.
    pub fn contains(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Self::Positive => value > 0.0,
                Self::NonNegative => value >= 0.0,
                Self::Unit => (0.0..1.0).contains(&value),
                Self::Shrink => value > 0.0 && value <= 1.0,
                Self::Grow => value >= 1.0,
                Self::Count => value >= 1.0 && value.fract() == 0.0,
            }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Positive => "finite and above 0",
            Self::NonNegative => "finite and at least 0",
            Self::Unit => "in [0, 1)",
            Self::Shrink => "in (0, 1]",
            Self::Grow => "finite and at least 1",
            Self::Count => "a whole number of at least 1",
        })
    }
}

/// What [`Hyper::fields`] calls with each field: its name, the field, and its range.
pub type FieldVisitor<'a> = dyn FnMut(&'static str, &mut f64, Bound) + 'a;

/// The hyper-parameters of a method: a struct of public `f64` fields.
///
/// One function names them all; checking, listing, and setting by name (from a configuration, a
/// command line, or a schedule) follow from it. The first field is the one that a search over
/// learning rates tunes.
pub trait Hyper: Clone + fmt::Debug + Send + Sync + 'static {
    /// Calls `visit` with every field, always in the same order.
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

    /// Checks every field against its range, then [`conflicts`](Self::conflicts).
    ///
    /// # Errors
    /// [`Error::Hyper`] with the first field that is out of range, or a conflict.
    fn check(&self) -> Result<(), Error> {
        let mut first = None;
        self.clone().fields(&mut |name, value, bound| {
            if first.is_none() && !bound.contains(*value) {
                first = Some((name, *value, bound));
            }
        });
        match first {
            Some((name, value, bound)) => Err(Error::Hyper { name, value, bound }),
            None => self.conflicts(),
        }
    }

    /// Sets the field, or the fields behind the alias, of this name. Does not check the value:
    /// one may have to set two fields before they fit each other.
    ///
    /// # Errors
    /// [`Error::UnknownHyper`], which lists the names that exist.
    fn set(&mut self, name: &str, value: f64) -> Result<(), Error> {
        let alias = Self::aliases().iter().find(|(alias, _)| *alias == name);
        let mut known = false;
        self.fields(&mut |field, slot, _| {
            if field == name || alias.is_some_and(|(_, fields)| fields.contains(&field)) {
                *slot = value;
                known = true;
            }
        });
        if known {
            return Ok(());
        }
        let names = list(self).into_iter().map(|field| field.name);
        let aliases = Self::aliases().iter().map(|(alias, _)| *alias);
        Err(Error::UnknownHyper {
            name: name.to_owned(),
            known: names.chain(aliases).collect::<Vec<_>>().join(", "),
        })
    }

    /// A copy with this field changed, and checked: what [`Method::set`](crate::Method::set) does.
    ///
    /// # Errors
    /// As [`set`](Self::set) and [`check`](Self::check).
    fn with(&self, name: &str, value: f64) -> Result<Self, Error> {
        let mut changed = self.clone();
        changed.set(name, value)?;
        changed.check()?;
        Ok(changed)
    }
}

/// One hyper-parameter, as [`list`] gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// The field's name.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// Its range.
    pub bound: Bound,
}

/// All hyper-parameters with their values, in the order of [`Hyper::fields`].
pub fn list<H: Hyper>(hyper: &H) -> Vec<Field> {
    let mut all = Vec::new();
    hyper.clone().fields(&mut |name, value, bound| {
        all.push(Field {
            name,
            value: *value,
            bound,
        });
    });
    all
}
