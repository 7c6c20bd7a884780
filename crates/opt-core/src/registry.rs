//! Methods by name: what a configuration, a command line, a test suite or a report iterates over.

use std::fmt;

use crate::error::Error;
use crate::method::Method;
use crate::objective::Objective;
use crate::params::{ParamMap, Segment};
use crate::scalar::Scalar;
use crate::train::Train;
use crate::tune::{Field, Hyper, Value, list};
use crate::update::{FirstOrder, Groups, Rule, Storage, Update};

/// A method with its state, whose type has been forgotten.
pub type AnyMethod<F, O> = Box<dyn Method<F, O>>;

/// Hyper-parameters that differ from the defaults, by name.
pub type Set<'a> = [(&'a str, Value)];

/// A group's name, the settings of its own, and whether it has a segment.
pub type Grouped<'a> = (&'a str, &'a Set<'a>, &'a dyn Fn(&Segment) -> bool);

type BuildUpdate<F> = Build<Box<dyn Update<F>>, ParamMap>;
type BuildGroups<F> = dyn Fn(&[Grouped<'_>], &ParamMap) -> Result<Groups<F>, Error> + Send + Sync;
type Check = dyn Fn(&Set<'_>) -> Result<(), Error> + Send + Sync;
type Build<T, O> = dyn Fn(&Set<'_>, &O) -> Result<T, Error> + Send + Sync;

/// One line of a registry: a name, the hyper-parameters with their defaults, and how to make the
/// method. `O` is the objective that the methods of this registry step.
pub struct Entry<F: Scalar, O: ?Sized> {
    name: &'static str,
    fields: Vec<Field>,
    check: Box<Check>,
    build: Box<Build<AnyMethod<F, O>, O>>,
    update: Option<Box<BuildUpdate<F>>>,
    groups: Option<Box<BuildGroups<F>>>,
}

impl<F: Scalar, O: Objective<F> + ?Sized + 'static> Entry<F, O> {
    /// An elementwise method, by its rule with the default hyper-parameters.
    ///
    /// The setting `state` says how its state is stored: `full`, `bf16` or `8bit`, see [`Storage`].
    pub fn rule<R: Rule<F, N>, const N: usize>(name: &'static str, rule: R) -> Self {
        let (fields, checked) = (list(&rule), rule.clone());
        let make = move |set: &Set<'_>, params: &ParamMap| {
            let (storage, set) = stored(set)?;
            let mut update = FirstOrder::new(changed(&rule, &set)?, params)?;
            update.store(storage, &|_| false)?;
            Ok::<_, Error>(update)
        };
        let (same, each) = (make.clone(), checked.clone());
        Self {
            name,
            fields,
            check: Box::new(move |set| {
                let (_, set) = stored(set)?;
                changed(&checked, &set)?.check::<F>()
            }),
            build: Box::new(move |set, objective| {
                Ok(Box::new(Train::new(make(set, objective.params())?)))
            }),
            update: Some(Box::new(move |set, params| {
                Ok(Box::new(same(set, params)?))
            })),
            groups: Some(Box::new(move |groups, params| {
                let mut builder = Groups::builder();
                for (name, set, chooses) in groups {
                    builder = builder.rule(*name, chooses, changed(&each, set)?);
                }
                builder.build(params)
            })),
        }
    }
}

impl<F: Scalar, O: ?Sized> Entry<F, O> {
    /// Any other method, by its default settings and how they make it for an objective.
    pub fn method<H: Hyper, M: Method<F, O> + 'static>(
        name: &'static str,
        hyper: H,
        build: impl Fn(H, &O) -> Result<M, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            fields: list(&hyper),
            check: Box::new({
                let hyper = hyper.clone();
                move |set| changed(&hyper, set)?.check::<F>()
            }),
            build: Box::new(move |set, objective| {
                Ok(Box::new(build(changed(&hyper, set)?, objective)?))
            }),
            update: None,
            groups: None,
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

    /// Whether it moves every parameter by itself, so that [`update`](Self::update) and
    /// [`groups`](Self::groups) have it.
    pub fn is_elementwise(&self) -> bool {
        self.update.is_some()
    }

    /// Whether these settings are in range, without an objective.
    ///
    /// # Errors
    /// As [`build`](Self::build), but for what the objective's layers are refused for.
    pub fn check(&self, set: &Set<'_>) -> Result<(), Error> {
        (self.check)(set)
    }

    /// A new method for this objective, with the defaults but for those in `set`.
    ///
    /// # Errors
    /// [`Error::UnknownHyper`], [`Error::Hyper`], [`Error::HyperRounds`],
    /// [`Error::HyperConflict`]; [`Error::Layer`] if it cannot take the objective's layers.
    pub fn build(&self, set: &Set<'_>, objective: &O) -> Result<AnyMethod<F, O>, Error> {
        (self.build)(set, objective)
    }

    /// How it moves parameters, without an objective, if the method is elementwise.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn update(
        &self,
        set: &Set<'_>,
        params: &ParamMap,
    ) -> Option<Result<Box<dyn Update<F>>, Error>> {
        self.update.as_ref().map(|build| build(set, params))
    }

    /// The same in groups of segments, each with settings of its own, if the method is elementwise.
    ///
    /// # Errors
    /// As [`build`](Self::build), and [`Error::Groups`] as of
    /// [`GroupsBuilder::build`](crate::GroupsBuilder::build).
    pub fn groups(
        &self,
        groups: &[Grouped<'_>],
        params: &ParamMap,
    ) -> Option<Result<Groups<F>, Error>> {
        self.groups.as_ref().map(|build| build(groups, params))
    }
}

/// How state is stored, and the other settings.
type Stored<'a> = (Storage, Vec<(&'a str, Value)>);

fn stored<'a>(set: &Set<'a>) -> Result<Stored<'a>, Error> {
    let (mut storage, mut others) = (Storage::Full, Vec::with_capacity(set.len()));
    for (name, value) in set {
        if *name != "state" {
            others.push((*name, value.clone()));
            continue;
        }
        let named = match value {
            Value::Choice(choice) => Storage::named(choice, 0),
            _ => None,
        };
        storage = named.ok_or_else(|| {
            Error::Storage(format!("state = {value} is none of full, bf16, 8bit"))
        })?;
    }
    Ok((storage, others))
}

fn changed<H: Hyper>(hyper: &H, set: &Set<'_>) -> Result<H, Error> {
    let mut hyper = hyper.clone();
    for (name, value) in set {
        hyper.set(name, value.clone())?;
    }
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
            .field("elementwise", &self.is_elementwise())
            .finish_non_exhaustive()
    }
}
