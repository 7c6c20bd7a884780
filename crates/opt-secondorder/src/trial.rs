/// A step α with φ(α) and φ′(α), where φ(α) = f(θ + αp) along a direction p.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// α.
    pub step: f64,
    /// φ(α).
    pub value: f64,
    /// φ′(α).
    pub slope: f64,
}

impl Trial {
    pub(crate) fn new(step: f64, (value, slope): (f64, f64)) -> Self {
        Self { step, value, slope }
    }

    pub(crate) fn is_finite(self) -> bool {
        self.value.is_finite() && self.slope.is_finite()
    }

    /// Whether there is something to search from here.
    pub(crate) fn descends(self) -> bool {
        self.is_finite() && self.slope < 0.0
    }

    /// The same of φ(α) − tilt·α.
    pub(crate) fn tilted(self, tilt: f64) -> Self {
        Self {
            step: self.step,
            value: self.value - tilt * self.step,
            slope: self.slope - tilt,
        }
    }

    /// Half-way to another step.
    pub(crate) fn middle(self, step: f64) -> f64 {
        self.step + 0.5 * (step - self.step)
    }
}
