use opt_core::{
    Bound, Direction, Error, Fallback, FieldVisitor, Hyper, LayerPlace, ParamMap, Report,
    SampledFisher, Scalar, Staged, State, Tuned, Visit,
};
use opt_linalg::Decompose;

use crate::Kfac;
use crate::blocks::Blocks;
use crate::dense::Dense;
use crate::kfac::inside;
use crate::team::others;

impl Kfac {
    /// The preconditioned gradient G⁻¹∇A⁻¹ alone, damped by `damping`, which stays. Only `damping`,
    /// `decay` and `period` are read. Parameters outside of layers follow their plain gradient.
    ///
    /// # Errors
    /// As [`Hyper::check`]; [`Error::Layer`].
    pub fn direction<F: Decompose>(
        &self,
        params: &ParamMap,
        places: &[LayerPlace],
    ) -> Result<KfacDirection<F>, Error> {
        let settings = KfacSettings {
            damping: self.damping,
            decay: self.decay,
            period: self.period,
        };
        Ok(KfacDirection {
            settings: Tuned::new::<F>(settings)?,
            blocks: Blocks::new(Dense::all(params, places)?),
            params: params.clone(),
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
struct KfacSettings {
    damping: f64,
    decay: f64,
    period: u64,
}

impl Hyper for KfacSettings {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("damping", &mut self.damping, Bound::NonNegative);
        visit.real("decay", &mut self.decay, Bound::Unit);
        visit.count("period", &mut self.period, 1);
    }
}

/// The gradient as K-FAC preconditions it: made by [`Kfac::direction`].
#[derive(Clone, Debug)]
pub struct KfacDirection<F: Scalar> {
    settings: Tuned<KfacSettings>,
    params: ParamMap,
    pub(crate) blocks: Blocks<F>,
}

opt_core::tune_by!(KfacDirection, settings);

impl<F: Decompose, O: SampledFisher<F> + ?Sized> Direction<F, O> for KfacDirection<F> {
    fn propose(&mut self, objective: &mut O, x: &[F], d: &mut [F]) -> Result<Report<F>, Error> {
        self.params.check_len("x", x.len())?;
        let (blocks, decay) = (&mut self.blocks, self.settings.decay);
        let mut report = blocks.differentiate(objective, &self.params, x, d)?;
        let (t, invert) = blocks.turn(self.settings.period);
        blocks.sample(objective, x, t)?;
        let damping = (self.settings.damping, 1.0);
        let team = others(&*objective);
        let scale = inside(|| {
            let scale = blocks.refresh(team, invert, decay, damping)?;
            blocks.precondition(team, F::one(), d)?;
            Ok::<_, Error>(scale)
        })?;
        if scale > 1.0 {
            report.fallback = Some(Fallback::DampingRaised);
        }
        if blocks.vanishes(x, d) {
            report.fallback = Some(Fallback::Vanishes);
        }
        Ok(report)
    }
}

impl<F: Decompose> Staged for KfacDirection<F> {
    fn commit(&mut self) {
        self.blocks.commit();
    }
}

impl<F: Decompose> State<F> for KfacDirection<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.blocks.visit(visitor);
    }
}
