use std::fmt;

use crate::direction::{Direction, Gradient};
use crate::error::Error;
use crate::method::{Method, Report};
use crate::objective::Objective;
use crate::params::ParamMap;
use crate::scalar::Scalar;
use crate::state::visit::{Prefixed, State, Visit};
use crate::tune::clip::clip_global_norm;
use crate::tune::{Change, Field, Tune, Value, unknown};
use crate::update::Update;

/// A direction and an update, joined to a method: the one place for the order of things.
///
/// ```text
/// d ← direction at x        statistics are staged
/// d ← d·min(1, c/‖d‖)       if it clips
/// the update checks d       nothing has changed until here
/// the update moves x by d
/// the direction's statistics count, and the objective accepts, if x was to move
/// ```
///
/// A field that both halves have is named `direction/eps` or `update/eps`; any other by its name
/// alone.
pub struct Train<F, D, U> {
    direction: D,
    update: U,
    /// Empty until the first step.
    d: Vec<F>,
    max_norm: Option<f64>,
}

impl<F: Scalar, U: Update<F>> Train<F, Gradient, U> {
    /// Moves by the gradient.
    pub fn new(update: U) -> Self {
        Self::along(Gradient, update)
    }
}

impl<F: Scalar, D, U: Update<F>> Train<F, D, U> {
    /// Moves by another direction.
    pub fn along(direction: D, update: U) -> Self {
        Self {
            direction,
            update,
            d: Vec::new(),
            max_norm: None,
        }
    }

    /// Clips what the update gets by its global norm, see
    /// [`clip_global_norm`](crate::clip_global_norm).
    ///
    /// # Errors
    /// [`Error::Argument`] unless `max_norm` is finite and above 0.
    pub fn clip(mut self, max_norm: f64) -> Result<Self, Error> {
        clip_global_norm::<F>(&mut [], max_norm)?;
        self.max_norm = Some(max_norm);
        Ok(self)
    }

    /// See [`Method::step`].
    ///
    /// # Errors
    /// As there.
    pub fn step<O>(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error>
    where
        O: Objective<F> + ?Sized,
        D: Direction<F, O>,
    {
        self.update.params().check_len("x", x.len())?;
        self.d.resize(x.len(), F::zero());
        let report = self.direction.propose(objective, x, &mut self.d)?;
        if report.moves {
            if let Some(max_norm) = self.max_norm {
                self.update.params().check_gradient(&self.d)?;
                clip_global_norm(&mut self.d, max_norm)?;
            }
            let clips = self.max_norm.is_some();
            let known = report.bound.filter(|_| !clips);
            if !known.is_some_and(|bound| self.update.takes_up_to(bound)) {
                self.update.check_whole(&self.d)?;
            }
            self.update.advance_whole(x, &self.d)?;
        }
        self.direction.commit();
        if report.moves {
            objective.accept();
        }
        Ok(report)
    }

    /// The names and places of the parameters.
    pub fn params(&self) -> &ParamMap {
        self.update.params()
    }

    /// Which way x moves.
    pub fn direction(&self) -> &D {
        &self.direction
    }

    /// Which way x moves, mutable.
    pub fn direction_mut(&mut self) -> &mut D {
        &mut self.direction
    }

    /// How x moves.
    pub fn update(&self) -> &U {
        &self.update
    }

    /// How x moves, mutable.
    pub fn update_mut(&mut self) -> &mut U {
        &mut self.update
    }
}

impl<F, O, D, U> Method<F, O> for Train<F, D, U>
where
    F: Scalar,
    O: Objective<F> + ?Sized,
    D: Direction<F, O>,
    U: Update<F>,
{
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        Self::step(self, objective, x)
    }
}

impl<F: Scalar, D: State<F>, U: State<F>> State<F> for Train<F, D, U> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.update.visit(visitor);
        self.direction
            .visit(&mut Prefixed::new("direction", visitor));
    }
}

impl<F, D: Tune, U: Tune> Train<F, D, U> {
    /// Whether the name is the direction's, and the name that it has there.
    fn resolve<'n>(&self, name: &'n str) -> Result<(bool, &'n str), Error> {
        for (half, of_direction) in [("direction/", true), ("update/", false)] {
            if let Some(field) = name.strip_prefix(half) {
                return Ok((of_direction, field));
            }
        }
        match (
            self.direction.get(name).is_ok(),
            self.update.get(name).is_ok(),
        ) {
            (true, true) => Err(Error::UnknownHyper {
                name: name.to_owned(),
                known: format!("direction/{name}, update/{name}"),
            }),
            (direction, _) => Ok((direction, name)),
        }
    }
}

impl<F, D: Tune, U: Tune> Tune for Train<F, D, U> {
    fn list(&self) -> Vec<Field> {
        let (direction, update) = (self.direction.list(), self.update.list());
        let both = |name: &str| {
            let has = |all: &[Field]| all.iter().any(|field| field.name == name);
            has(&direction) && has(&update)
        };
        let named = |half: &str, field: &Field| Field {
            name: match both(&field.name) {
                true => format!("{half}/{}", field.name),
                false => field.name.clone(),
            },
            ..field.clone()
        };
        let update = update.iter().map(|field| named("update", field));
        let direction = direction.iter().map(|field| named("direction", field));
        update.chain(direction).collect()
    }

    fn get(&self, name: &str) -> Result<Value, Error> {
        let (of_direction, field) = self.resolve(name)?;
        let result = if of_direction {
            self.direction.get(field)
        } else {
            self.update.get(field)
        };
        result.map_err(|_| unknown(name, &self.list()))
    }

    fn change(&mut self, name: &str, change: &Change) -> Result<(), Error> {
        let (of_direction, field) = self.resolve(name)?;
        let result = if of_direction {
            self.direction.change(field, change)
        } else {
            self.update.change(field, change)
        };
        match result {
            Err(Error::UnknownHyper { .. }) => Err(unknown(name, &self.list())),
            other => other,
        }
    }
}

impl<F, D: fmt::Debug, U: fmt::Debug> fmt::Debug for Train<F, D, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Train")
            .field("direction", &self.direction)
            .field("update", &self.update)
            .field("max_norm", &self.max_norm)
            .finish_non_exhaustive()
    }
}
