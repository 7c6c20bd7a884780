//! Which rule is which optimizer: where the formulas are the same.

use super::options::{Options, refused};
use super::{Buffer, TorchError, TorchRule, sealed::Sealed};
use crate::{
    AdaDelta, AdaGrad, AdaMax, Adam, AdamW, AmsGrad, IRpropMinus, Momentum, Nesterov, RmsProp,
    RmsPropCentered, RmsPropMomentum, Sgd,
};

const OTHER_RULE: &str = "load it as the rule that has it";

fn same(theirs: &'static str, ours: &'static str) -> Buffer {
    let factor = 1.0;
    Buffer {
        theirs,
        ours,
        factor,
    }
}

/// A velocity with the rate within.
fn velocity(lr: f64) -> Buffer {
    Buffer {
        theirs: "momentum_buffer",
        ours: "v",
        factor: lr,
    }
}

/// Of a velocity that is divided by it.
fn rate(lr: f64) -> Result<f64, TorchError> {
    if lr > 0.0 {
        return Ok(lr);
    }
    let why = "must be above 0: the velocity has it as a factor";
    Err(refused("lr", lr, why))
}

impl Sealed for Sgd {}

impl TorchRule for Sgd {
    const CLASS: &'static str = "SGD";
    const COUNTS: bool = false;

    fn of(o: &mut Options) -> Result<Self, TorchError> {
        o.must("momentum", "0", OTHER_RULE)?;
        o.must("nesterov", "False", OTHER_RULE)?;
        o.take("dampening"); // has no effect
        Ok(Self {
            lr: o.real("lr")?,
            weight_decay: o.real("weight_decay")?,
        })
    }

    fn options(&self) -> Result<Options, TorchError> {
        let o = Options::default().with("lr", self.lr);
        Ok(o.with("weight_decay", self.weight_decay))
    }

    fn buffers(&self) -> Vec<Buffer> {
        Vec::new()
    }
}

macro_rules! momentum {
    ($rule:ident, $nesterov:literal, $checks:expr, $buffers:expr) => {
        impl Sealed for $rule {}

        impl TorchRule for $rule {
            const CLASS: &'static str = "SGD";
            const COUNTS: bool = false;

            fn of(o: &mut Options) -> Result<Self, TorchError> {
                o.must("nesterov", $nesterov, OTHER_RULE)?;
                o.must("dampening", "0", "no rule here has it")?;
                let rule = Self {
                    lr: $checks(o.real("lr")?)?,
                    momentum: o.real("momentum")?,
                    weight_decay: o.real("weight_decay")?,
                };
                if rule.momentum == 0.0 {
                    let why = "is plain descent: load it as Sgd";
                    return Err(refused("momentum", rule.momentum, why));
                }
                Ok(rule)
            }

            fn options(&self) -> Result<Options, TorchError> {
                let o = Options::default().with("lr", $checks(self.lr)?);
                let o = o.with("momentum", self.momentum);
                let o = o.with("weight_decay", self.weight_decay);
                Ok(o.text("nesterov", $nesterov))
            }

            fn buffers(&self) -> Vec<Buffer> {
                vec![$buffers(self.lr)]
            }
        }
    };
}

momentum!(Momentum, "False", rate, velocity);
momentum!(Nesterov, "True", Ok::<f64, TorchError>, |_| same(
    "momentum_buffer",
    "b"
));

macro_rules! adam {
    ($rule:ident, $class:literal, $amsgrad:literal, $decoupled:literal, $buffers:expr) => {
        impl Sealed for $rule {}

        impl TorchRule for $rule {
            const CLASS: &'static str = $class;

            fn of(o: &mut Options) -> Result<Self, TorchError> {
                o.must(
                    "amsgrad",
                    $amsgrad,
                    "AmsGrad is Adam with it, and AdamW has none here",
                )?;
                o.must("decoupled_weight_decay", $decoupled, OTHER_RULE)?;
                let [beta1, beta2] = o.reals("betas")?;
                Ok(Self {
                    lr: o.real("lr")?,
                    beta1,
                    beta2,
                    eps: o.real("eps")?,
                    weight_decay: o.real("weight_decay")?,
                })
            }

            fn options(&self) -> Result<Options, TorchError> {
                let o = Options::default().with("lr", self.lr);
                let o = o.pair("betas", [self.beta1, self.beta2]);
                let o = o.with("eps", self.eps).text("amsgrad", $amsgrad);
                Ok(o.with("weight_decay", self.weight_decay))
            }

            fn buffers(&self) -> Vec<Buffer> {
                $buffers
            }
        }
    };
}

fn moments() -> Vec<Buffer> {
    vec![same("exp_avg", "m"), same("exp_avg_sq", "s")]
}

fn moments_and_most() -> Vec<Buffer> {
    let mut all = moments();
    all.push(same("max_exp_avg_sq", "s_max"));
    all
}

adam!(Adam, "Adam", "False", "False", moments());
adam!(AmsGrad, "Adam", "True", "False", moments_and_most());
adam!(AdamW, "AdamW", "False", "True", moments());

impl Sealed for AdaMax {}

impl TorchRule for AdaMax {
    const CLASS: &'static str = "Adamax";

    fn of(o: &mut Options) -> Result<Self, TorchError> {
        let why = "PyTorch adds it within the maximum, and here it is outside";
        o.must("eps", "0", why)?;
        let [beta1, beta2] = o.reals("betas")?;
        Ok(Self {
            lr: o.real("lr")?,
            beta1,
            beta2,
            eps: 0.0,
            weight_decay: o.real("weight_decay")?,
        })
    }

    fn options(&self) -> Result<Options, TorchError> {
        if self.eps != 0.0 {
            let why = "must be 0: PyTorch adds it within the maximum, and here it is outside";
            return Err(refused("eps", self.eps, why));
        }
        let o = Options::default().with("lr", self.lr).with("eps", 0.0);
        let o = o.pair("betas", [self.beta1, self.beta2]);
        Ok(o.with("weight_decay", self.weight_decay))
    }

    fn buffers(&self) -> Vec<Buffer> {
        vec![same("exp_avg", "m"), same("exp_inf", "u")]
    }
}

macro_rules! rmsprop {
    ($rule:ident, $centered:literal, {$($field:ident: $of:expr, $to:expr)?}, $buffers:expr) => {
        impl Sealed for $rule {}

        impl TorchRule for $rule {
            const CLASS: &'static str = "RMSprop";

            fn of(o: &mut Options) -> Result<Self, TorchError> {
                o.must("centered", $centered, OTHER_RULE)?;
                let rule = Self {
                    lr: o.real("lr")?,
                    gamma: o.real("alpha")?,
                    eps: o.real("eps")?,
                    weight_decay: o.real("weight_decay")?,
                    $($field: $of(o)?,)?
                };
                o.must("momentum", "0", "RmsPropMomentum has it, without centring")?;
                Ok(rule)
            }

            fn options(&self) -> Result<Options, TorchError> {
                let o = Options::default().with("lr", self.lr);
                let o = o.with("alpha", self.gamma).with("eps", self.eps);
                let o = o.text("centered", $centered);
                $(let o = $to(o, self.lr, self.$field)?;)?
                Ok(o.with("weight_decay", self.weight_decay))
            }

            fn buffers(&self) -> Vec<Buffer> {
                let mut all = vec![same("square_avg", "r")];
                all.extend($buffers(self.lr));
                all
            }
        }
    };
}

fn momentum(o: &mut Options) -> Result<f64, TorchError> {
    match o.real("momentum")? {
        0.0 => Err(refused("momentum", 0, "load it as RmsProp")),
        momentum => Ok(momentum),
    }
}

fn with_momentum(o: Options, lr: f64, momentum: f64) -> Result<Options, TorchError> {
    rate(lr)?;
    Ok(o.with("momentum", momentum))
}

rmsprop!(RmsProp, "False", {}, |_| None::<Buffer>);
rmsprop!(RmsPropCentered, "True", {}, |_| Some(same(
    "grad_avg", "mean"
)));
rmsprop!(
    RmsPropMomentum,
    "False",
    { momentum: momentum, with_momentum },
    |lr| Some(velocity(lr))
);

impl Sealed for AdaGrad {}

impl TorchRule for AdaGrad {
    const CLASS: &'static str = "Adagrad";

    fn of(o: &mut Options) -> Result<Self, TorchError> {
        o.must(
            "lr_decay",
            "0",
            "a schedule of lr has it: 1/(1 + t·lr_decay)",
        )?;
        Ok(Self {
            lr: o.real("lr")?,
            eps: o.real("eps")?,
            initial_accumulator: o.real("initial_accumulator_value")?,
            weight_decay: o.real("weight_decay")?,
        })
    }

    fn options(&self) -> Result<Options, TorchError> {
        let o = Options::default().with("lr", self.lr).with("eps", self.eps);
        let o = o.with("initial_accumulator_value", self.initial_accumulator);
        Ok(o.with("weight_decay", self.weight_decay))
    }

    fn buffers(&self) -> Vec<Buffer> {
        vec![same("sum", "r")]
    }
}

impl Sealed for AdaDelta {}

impl TorchRule for AdaDelta {
    const CLASS: &'static str = "Adadelta";

    fn of(o: &mut Options) -> Result<Self, TorchError> {
        let (gamma, eps) = (o.real("rho")?, o.real("eps")?);
        Ok(Self {
            lr: o.real("lr")?,
            gamma_grad: gamma,
            gamma_update: gamma,
            eps_grad: eps,
            eps_update: eps,
            weight_decay: o.real("weight_decay")?,
        })
    }

    fn options(&self) -> Result<Options, TorchError> {
        for (name, [a, b]) in [
            ("rho", [self.gamma_grad, self.gamma_update]),
            ("eps", [self.eps_grad, self.eps_update]),
        ] {
            if a != b {
                let value = format!("{a:?} and {b:?}");
                return Err(refused(name, value, "PyTorch has one for both averages"));
            }
        }
        let o = Options::default().with("lr", self.lr);
        let o = o.with("rho", self.gamma_grad).with("eps", self.eps_grad);
        Ok(o.with("weight_decay", self.weight_decay))
    }

    fn buffers(&self) -> Vec<Buffer> {
        vec![same("square_avg", "r"), same("acc_delta", "d")]
    }
}

impl Sealed for IRpropMinus {}

impl TorchRule for IRpropMinus {
    const CLASS: &'static str = "Rprop";

    fn of(o: &mut Options) -> Result<Self, TorchError> {
        let ([shrink, grow], [step_min, step_max]) = (o.reals("etas")?, o.reals("step_sizes")?);
        Ok(Self {
            step0: o.real("lr")?,
            grow,
            shrink,
            step_min,
            step_max,
            weight_decay: 0.0,
        })
    }

    fn options(&self) -> Result<Options, TorchError> {
        if self.weight_decay != 0.0 {
            let why = "PyTorch's Rprop has none";
            return Err(refused("weight_decay", self.weight_decay, why));
        }
        let o = Options::default().with("lr", self.step0);
        let o = o.pair("etas", [self.shrink, self.grow]);
        Ok(o.pair("step_sizes", [self.step_min, self.step_max]))
    }

    fn buffers(&self) -> Vec<Buffer> {
        vec![same("step_size", "step"), same("prev", "g_prev")]
    }
}
