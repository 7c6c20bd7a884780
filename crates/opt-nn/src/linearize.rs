//! The network at a point, kept for products of curvature with many vectors.

use opt_core::Scalar;

use crate::batch::Batch;
use crate::error::Error;
use crate::net::Net;
use crate::pass::Pass;
use crate::spec::Spec;
use crate::tangent::Tangent;

/// The workspace of curvature, and the samples that it is taken on.
#[derive(Clone)]
pub(crate) struct Curvature<F> {
    /// Its own minibatch, if one has been loaded.
    pub(crate) batch: Option<Batch<F>>,
    /// Of the network at `at`.
    pub(crate) pass: Pass<F>,
    at: Vec<F>,
    /// How much of `pass` belongs to `at` and to the minibatch.
    depth: Depth,
    pub(crate) tangent: Tangent<F>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    Nothing,
    Forward,
    Backward,
}

impl<F: Scalar> Curvature<F> {
    pub(crate) fn new(spec: &Spec) -> Self {
        Self {
            batch: None,
            pass: Pass::new(spec),
            at: Vec::new(),
            depth: Depth::Nothing,
            tangent: Tangent::new(spec.layers.len()),
        }
    }

    /// Forgets what was computed on the minibatch before.
    pub(crate) fn invalidate(&mut self) {
        self.depth = Depth::Nothing;
    }

    /// Runs the network forward, or forward and backward, unless that has been done at this `x`.
    pub(crate) fn linearize(
        &mut self,
        net: &Net<F>,
        x: &[F],
        batch: &Batch<F>,
        depth: Depth,
    ) -> Result<(), Error> {
        if self.depth >= depth && self.at == x {
            return Ok(());
        }
        self.depth = Depth::Nothing;
        let pass = &mut self.pass;
        match depth {
            Depth::Backward => {
                net.objective(x, batch, pass)?;
                net.backward(x, batch, pass, None)?;
            }
            _ => net.forward(x, batch, pass, net.spec.layers.len())?,
        }
        self.at.clear();
        self.at.extend_from_slice(x);
        self.depth = depth;
        Ok(())
    }
}
