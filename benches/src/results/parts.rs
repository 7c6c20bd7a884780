//! What stands beside the runs: how rates were chosen, what an update costs, and what came of claims.

use serde::{Deserialize, Serialize};

/// The values that a method's first hyper-parameter was tried with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Search {
    pub(crate) method: String,
    /// The hyper-parameter's name.
    pub(crate) key: String,
    /// Updates for each value.
    pub(crate) updates: u64,
    /// Ascending.
    pub(crate) tried: Vec<Tried>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tried {
    pub(crate) value: f64,
    /// The validation loss; none where it diverged.
    pub(crate) loss: Option<f64>,
}

/// Where the time of an update goes, in seconds: one gradient of the minibatch, taken alone; what the
/// method does beside it; and what its refreshes (new factors, decompositions) come to per update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) network: f64,
    pub(crate) method: f64,
    pub(crate) refresh: f64,
}

/// A claim and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Judged {
    pub(crate) claim: String,
    pub(crate) source: String,
    /// Trajectories only: the test function that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// What is compared, or what must be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) measure: Option<Measure>,
    /// Of both sides.
    #[serde(default)]
    pub(crate) methods: Vec<String>,
    /// The numbers of both sides.
    pub(crate) measured: String,
    pub(crate) verdict: Outcome,
    /// Whether the run was smaller than the one that the claim is of.
    pub(crate) reduced: bool,
}

/// What is compared, at the end of the runs; the median over the seeds. But for
/// the last two by the names that points have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    TrainLoss,
    TestLoss,
    TestError,
    SquaredError,
    Condition,
    Value,
    /// Until `to` is reached.
    Updates,
    /// Until `to` is reached.
    Seconds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    #[serde(rename = "holds")]
    Holds,
    #[serde(rename = "does not hold")]
    DoesNot,
}

/// The largest stable learning rate of gradient descent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rate {
    /// 2/λ, of the Hessian's greatest eigenvalue.
    pub(crate) predicted: f64,
    /// 2/λ by the online estimate of λ.
    pub(crate) online: f64,
    /// By trying.
    pub(crate) found: f64,
}

/// What a run keeps in memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) parameters: u64,
    pub(crate) gradient: u64,
    /// All that a snapshot of the method has.
    pub(crate) state: u64,
    /// The minibatch and what the passes over it keep.
    pub(crate) activations: u64,
}

impl Memory {
    /// All of it, in units of 2²⁰ bytes.
    pub(crate) fn mebibytes(&self) -> f64 {
        let all = self.parameters + self.gradient + self.state + self.activations;
        all as f64 / 1_048_576.0
    }
}
