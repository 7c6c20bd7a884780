//! What PRONG keeps of one layer's input: statistics, and how to whiten by them.

use ndarray::{Array1, Array2, ArrayView2};
use opt_core::{State, Visit};
use opt_linalg::{Accuracy, DampedInverse, Decompose, Eigh, Error, InverseWork, Moments};

/// θ: by what share of itself a whitened gradient may differ from that of the exact inverse. The
/// covariance is of some samples only, and so farther from the true one: of the order of the root of
/// fan_in/samples.
pub(crate) const TOLERANCE: f64 = 0.01;

/// A layer for which a low rank was no gain is asked again at every so manyth refresh.
const AGAIN: u64 = 8;

/// (Σ + εI)⁻¹, from the inputs of a dense layer.
#[derive(Clone, Debug)]
pub(crate) struct Factor<F> {
    moments: Moments<F>,
    /// The moments that a refresh goes by.
    fresh: Moments<F>,
    current: Inverse<F>,
    /// What counts from the next commit on, if it is staged.
    pub(crate) next: Inverse<F>,
    pub(crate) staged: bool,
    /// Rows that the moments take in at the next commit, of this width.
    pending: Vec<F>,
    /// With other processes, in the place of rows: the moments of the minibatch's rows over all of them, and
    /// whether the next commit takes them in.
    batch: Option<Box<Moments<F>>>,
    merges: bool,
    /// The running variances after the step that was proposed.
    followed: Array1<F>,
    work: Work<F>,
}

/// What a factor keeps of (Σ + εI)⁻¹.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All of it.
    Inverse,
    /// That of the diagonal of Σ.
    Scales,
    /// The principal axes, and the running variances along them: the diagonal correction.
    Axes,
}

#[derive(Clone, Debug)]
pub(crate) struct Inverse<F> {
    /// (Σ + εI)⁻¹; of order 0 where something else is kept.
    pub(crate) plain: DampedInverse<F>,
    /// 1/(Σᵢᵢ + ε) of every input, if that is kept; else empty.
    pub(crate) scales: Vec<F>,
    /// With the diagonal correction Eᵀ, whose rows are the principal axes; else empty.
    pub(crate) axes: Array2<F>,
    pub(crate) c: Array1<F>,
    /// With the diagonal correction the variance along every axis, running; else empty.
    pub(crate) variance: Array1<F>,
}

#[derive(Clone, Debug)]
enum Work<F> {
    Plain(Box<InverseWork<F>>),
    Diagonal(Box<Eigh<F>>),
    Scales,
}

impl<F: Decompose> Inverse<F> {
    fn new(n: usize, kept: Kept) -> Self {
        let (plain, scales, axes) = match kept {
            Kept::Inverse => (n, 0, 0),
            Kept::Scales => (0, n, 0),
            Kept::Axes => (0, 0, n),
        };
        Self {
            plain: DampedInverse::new(plain),
            scales: vec![F::zero(); scales],
            axes: Array2::zeros((axes, axes)),
            c: Array1::zeros(n),
            variance: Array1::zeros(axes),
        }
    }
}

impl<F: Decompose> Factor<F> {
    /// Of a layer of `n` inputs.
    pub(crate) fn new(n: usize, kept: Kept) -> Self {
        let work = match kept {
            Kept::Inverse => Work::Plain(Box::default()),
            Kept::Scales => Work::Scales,
            Kept::Axes => Work::Diagonal(Box::new(Eigh::new())),
        };
        let current = Inverse::new(n, kept);
        Self {
            moments: Moments::new(n),
            fresh: Moments::new(n),
            followed: current.variance.clone(),
            next: current.clone(),
            current,
            staged: false,
            pending: Vec::new(),
            batch: None,
            merges: false,
            work,
        }
    }

    /// Its order.
    pub(crate) fn width(&self) -> usize {
        self.current.c.len()
    }

    /// Whether the last estimate was from fewer samples than there are inputs.
    pub(crate) fn few(&self) -> bool {
        self.fresh.count() < self.width() as f64
    }

    /// Forgets what an earlier proposal staged.
    pub(crate) fn unstage(&mut self) {
        self.staged = false;
        self.merges = false;
        self.pending.clear();
    }

    /// Begins the moments of the minibatch's rows, with those of this process.
    pub(crate) fn begin_batch(&mut self, rows: ArrayView2<'_, F>) -> Result<(), Error> {
        let (n, none) = (self.width(), rows.is_empty());
        let batch = (self.batch).get_or_insert_with(|| Box::new(Moments::new(n)));
        batch.discount(0.0)?;
        if none { Ok(()) } else { batch.update(rows) }
    }

    /// The moments of the minibatch's rows, if there are other processes.
    pub(crate) fn batch(&mut self) -> Option<&mut Moments<F>> {
        self.batch.as_deref_mut()
    }

    /// Stages rows for the moments, or those of the minibatch, if there are other processes.
    pub(crate) fn stage(&mut self, input: ArrayView2<'_, F>, united: bool) {
        self.pending.clear();
        self.merges = united;
        if united {
            return;
        }
        match input.as_slice() {
            Some(rows) => self.pending.extend_from_slice(rows),
            None => self.pending.extend(input.iter().copied()),
        }
    }

    /// Elements that are staged.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The moments that a refresh goes by, anew.
    pub(crate) fn begin(&mut self) -> &mut Moments<F> {
        // 0 is a right factor.
        let _ = self.fresh.discount(0.0);
        &mut self.fresh
    }

    /// Takes the moments so far, and these rows, if there are any, for those that a refresh goes by; or in
    /// the place of rows those of the minibatch, if there are other processes.
    pub(crate) fn gather(
        &mut self,
        rows: Option<ArrayView2<'_, F>>,
        united: bool,
    ) -> Result<(), Error> {
        self.fresh.assign(&self.moments)?;
        match (rows, &self.batch) {
            (None, _) => Ok(()),
            (Some(_), Some(batch)) if united => self.fresh.merge(batch),
            (Some(rows), _) => self.fresh.update(rows),
        }
    }

    /// Makes the inverse by the moments that a refresh goes by; it is staged when that is said.
    pub(crate) fn prepare(&mut self, eps: f64, refreshes: u64) -> Result<(), Error> {
        self.next.c.assign(&self.fresh.mean());
        match &mut self.work {
            Work::Plain(work) => {
                let hope = self.current.plain.rank().is_some() || refreshes.is_multiple_of(AGAIN);
                let accuracy = Accuracy {
                    tolerance: if hope { TOLERANCE } else { 0.0 },
                    eigenvectors: true,
                };
                let covariance = self.fresh.lower();
                self.next.plain.update(covariance, eps, accuracy, work)?;
            }
            Work::Scales => {
                let (covariance, eps) = (self.fresh.lower(), F::of(eps));
                let scales = self.next.scales.iter_mut().zip(covariance.diag());
                scales.for_each(|(to, &v)| *to = F::one() / (v.max(F::zero()) + eps));
            }
            Work::Diagonal(eigh) => {
                let eigen = eigh.compute(self.fresh.lower())?;
                self.next.axes.assign(&eigen.vectors);
                let variance = self.next.variance.iter_mut().zip(eigen.values);
                variance.for_each(|(to, &v)| *to = v.max(F::zero()));
            }
        }
        Ok(())
    }

    /// Makes what is staged count. Without `keep` the moments begin anew. Gives whether the moments
    /// could take the rows in.
    pub(crate) fn commit(&mut self, keep: bool) -> bool {
        if std::mem::take(&mut self.staged) {
            std::mem::swap(&mut self.current, &mut self.next);
        }
        if !self.current.variance.is_empty() {
            self.current.variance.assign(&self.followed);
        }
        let n = self.current.c.len();
        let rows = ArrayView2::from_shape((self.pending.len() / n.max(1), n), &self.pending);
        let fits = keep
            && match (rows, &self.batch) {
                (_, Some(batch)) if self.merges => self.moments.merge(batch).is_ok(),
                (Ok(rows), _) if rows.nrows() > 0 => self.moments.update(rows).is_ok(),
                _ => true,
            };
        self.merges = false;
        self.pending.clear();
        if !fits {
            self.forget();
        }
        fits || !keep
    }

    pub(crate) fn forget(&mut self) {
        // 0 is a right factor.
        let _ = self.moments.discount(0.0);
    }

    /// The inverse that counts for this step, and where the running variances are staged.
    pub(crate) fn halves(&mut self) -> (&Inverse<F>, &mut Array1<F>) {
        let inverse = if self.staged {
            &self.next
        } else {
            &self.current
        };
        (inverse, &mut self.followed)
    }
}

impl<F: Decompose> State<F> for Factor<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.moments.visit(visitor);
        self.current.visit(visitor);
    }
}

impl<F: Decompose> State<F> for Inverse<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        let Self {
            plain,
            scales,
            axes,
            c,
            variance,
        } = self;
        if !scales.is_empty() {
            visitor.buffer("scales", &[scales.len()], scales);
        } else if variance.is_empty() {
            plain.visit(visitor);
        } else {
            let (rows, columns) = axes.dim();
            if let Some(data) = axes.as_slice_mut() {
                visitor.buffer("matrix", &[rows, columns], data);
            }
        }
        for (name, vector) in [("c", c), ("variance", variance)] {
            let n = vector.len();
            if let Some(data) = vector.as_slice_mut() {
                visitor.buffer(name, &[n], data);
            }
        }
    }
}
