//! Methods by name: what a configuration, a command line, a test suite or a report iterates over.

use std::fmt;

use crate::hyper::{self, Field};
use crate::{Error, FirstOrder, Hyper, Method, Objective, ParamMap, Rule, Scalar, State};

/// A method with its state, whose type has been forgotten.
pub type AnyMethod<F, O> = Box<dyn Method<F, O>>;

/// An elementwise method whose rule has been forgotten: what [`FirstOrder`] offers without an
/// objective.
pub trait Elementwise<F: Scalar>: State<F> {
    /// See [`FirstOrder::apply`].
    ///
    /// # Errors
    /// As there.
    fn apply(&mut self, x: &mut [F], g: &[F]) -> Result<(), Error>;

    /// See [`FirstOrder::apply_parts`].
    ///
    /// # Errors
    /// As there.
    fn apply_parts(&mut self, x: &mut [&mut [F]], g: &[&[F]]) -> Result<(), Error>;

    /// Number of state buffers, each as long as the parameters.
    fn slots(&self) -> usize;
}

impl<F: Scalar, R: Rule<F, N>, const N: usize> Elementwise<F> for FirstOrder<F, R, N> {
    fn apply(&mut self, x: &mut [F], g: &[F]) -> Result<(), Error> {
        self.apply(x, g)
    }

    fn apply_parts(&mut self, x: &mut [&mut [F]], g: &[&[F]]) -> Result<(), Error> {
        self.apply_parts(x, g)
    }

    fn slots(&self) -> usize {
        N
    }
}

type Build<T> = dyn Fn(&[(&str, f64)], &ParamMap) -> Result<T, Error> + Send + Sync;

/// One line of a registry: a name, the hyper-parameters with their defaults, and how to make the
/// method. `O` is the objective that the methods of this registry step.
pub struct Entry<F: Scalar, O: ?Sized> {
    name: &'static str,
    fields: Vec<Field>,
    build: Box<Build<AnyMethod<F, O>>>,
    elementwise: Option<Box<Build<Box<dyn Elementwise<F>>>>>,
}

impl<F: Scalar, O: Objective<F> + ?Sized + 'static> Entry<F, O> {
    /// An elementwise method, by its rule with the default hyper-parameters.
    pub fn rule<R: Rule<F, N>, const N: usize>(name: &'static str, rule: R) -> Self {
        let plain = rule.clone();
        let mut entry = Self::method(name, rule, FirstOrder::new);
        entry.elementwise = Some(Box::new(move |set, params| {
            Ok(Box::new(FirstOrder::new(changed(&plain, set)?, params)?))
        }));
        entry
    }
}

impl<F: Scalar, O: ?Sized> Entry<F, O> {
    /// Any other method, by its default hyper-parameters and its constructor.
    pub fn method<H: Hyper, M: Method<F, O> + 'static>(
        name: &'static str,
        hyper: H,
        build: impl Fn(H, &ParamMap) -> Result<M, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            fields: hyper::list(&hyper),
            build: Box::new(move |set, params| Ok(Box::new(build(changed(&hyper, set)?, params)?))),
            elementwise: None,
        }
    }

    /// The method's name: lower case, with hyphens.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The hyper-parameters with their defaults. The first is the one to tune.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// A new method for these parameters, with the defaults but for those in `set`.
    ///
    /// # Errors
    /// [`Error::UnknownHyper`], [`Error::Hyper`], [`Error::HyperConflict`].
    pub fn build(&self, set: &[(&str, f64)], params: &ParamMap) -> Result<AnyMethod<F, O>, Error> {
        (self.build)(set, params)
    }

    /// The same without an objective, if the method is elementwise.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn elementwise(
        &self,
        set: &[(&str, f64)],
        params: &ParamMap,
    ) -> Option<Result<Box<dyn Elementwise<F>>, Error>> {
        self.elementwise.as_ref().map(|build| build(set, params))
    }
}

fn changed<H: Hyper>(hyper: &H, set: &[(&str, f64)]) -> Result<H, Error> {
    let mut hyper = hyper.clone();
    for &(name, value) in set {
        hyper.set(name, value)?;
    }
    hyper.check()?;
    Ok(hyper)
}

/// The entry of this name.
///
/// # Errors
/// [`Error::UnknownMethod`], which lists the names that exist.
pub fn find<'a, F: Scalar, O: ?Sized>(
    entries: &'a [Entry<F, O>],
    name: &str,
) -> Result<&'a Entry<F, O>, Error> {
    let found = entries.iter().find(|entry| entry.name == name);
    found.ok_or_else(|| Error::UnknownMethod {
        name: name.to_owned(),
        known: (entries.iter().map(|entry| entry.name))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

impl<F: Scalar, O: ?Sized> fmt::Debug for Entry<F, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("fields", &self.fields)
            .field("elementwise", &self.elementwise.is_some())
            .finish_non_exhaustive()
    }
}
