use std::ops::AddAssign;

use crate::scalar::Scalar;
use crate::state::visit::{State, Visit};

/// A kind of evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Call {
    /// [`Objective::value`](super::Objective::value).
    Value,
    /// A gradient: [`Objective::grad`](super::Objective::grad), or a call that costs one.
    Gradient,
    /// [`HessianDiag::hessian_diag`](super::HessianDiag::hessian_diag).
    Diagonal,
    /// [`HessianProduct::hessian_product`](super::HessianProduct::hessian_product).
    HessianProduct,
    /// [`GaussNewton::gauss_newton_product`](super::GaussNewton::gauss_newton_product).
    GaussNewtonProduct,
    /// Samples run forward by [`Layered::observe`](super::Layered::observe).
    Observe(usize),
}

/// Implements every trait of an objective for a wrapper `$wrapper<O>` by its field `$inner`, after
/// telling its method `$note(&mut self, call: Call)` of each evaluation.
///
/// ```
/// use opt_core::{Call, Objective};
///
/// struct Timid<O> {
///     inner: O,
///     evaluations: u64,
/// }
///
/// impl<O> Timid<O> {
///     fn note(&mut self, _: Call) {
///         self.evaluations += 1;
///     }
/// }
///
/// opt_core::forward_objective!(Timid, inner, note);
///
/// fn is_objective<O: Objective<f32>>() {}
/// fn wrapped_is_objective<O: Objective<f32>>() {
///     is_objective::<Timid<O>>();
/// }
/// ```
#[macro_export]
macro_rules! forward_objective {
    ($wrapper:ident, $inner:ident, $note:ident) => {
        $crate::forward_objective! { @trait $wrapper, $inner, $note, Objective,
            fn params(&self) -> &$crate::ParamMap;
            fn gradient_bound(&self) -> Option<F>;
            [Value] fn value(&mut self, x: &[F]) -> Result<F, $crate::Error>;
            [Gradient] fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, $crate::Error>;
            [] fn accept(&mut self) -> ();
        }
        $crate::forward_objective! { @trait $wrapper, $inner, $note, HessianDiag,
            [Diagonal] fn hessian_diag(&mut self, x: &[F], h: &mut [F]) -> Result<(), $crate::Error>;
        }
        $crate::forward_objective! { @trait $wrapper, $inner, $note, HessianProduct,
            [HessianProduct] fn hessian_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), $crate::Error>;
        }
        $crate::forward_objective! { @trait $wrapper, $inner, $note, GaussNewton,
            [GaussNewtonProduct] fn gauss_newton_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), $crate::Error>;
        }
        $crate::forward_objective! { @trait $wrapper, $inner, $note, PerSample,
            fn samples(&self) -> usize;
            fn penalty(&self, d: &mut [F]) -> ();
            [Gradient] fn grad_moments(&mut self, x: &[F], g: &mut [F], square: &mut [F]) -> Result<F, $crate::Error>;
        }
        impl<F: $crate::Scalar, O: $crate::Layered<F>> $crate::Layered<F> for $wrapper<O> {
            fn places(&self) -> &[$crate::LayerPlace] {
                self.$inner.places()
            }

            fn deltas(&mut self, x: &[F], g: &mut [F]) -> Result<F, $crate::Error> {
                self.$note($crate::Call::Gradient);
                self.$inner.deltas(x, g)
            }

            fn layer(&self, index: usize) -> Option<$crate::Layer<'_, F>> {
                self.$inner.layer(index)
            }

            fn team(&self) -> Option<&dyn $crate::Team<F>> {
                self.$inner.team()
            }

            fn observe(
                &mut self,
                x: &[F],
                samples: usize,
                visit: &mut $crate::ObserveInputs<'_, F>,
            ) -> Result<usize, $crate::Error> {
                let shown = self.$inner.observe(x, samples, visit)?;
                self.$note($crate::Call::Observe(shown));
                Ok(shown)
            }
        }
        $crate::forward_objective! { @trait $wrapper, $inner, $note, SampledFisher,
            [Gradient] fn sample(&mut self, x: &[F], seed: u64) -> Result<(), $crate::Error>;
            [Gradient] fn resample(&mut self, x: &[F], seed: u64) -> Result<(), $crate::Error>;
        }
        $crate::forward_objective! { @trait $wrapper, $inner, $note, Fisher,
            fn outputs(&self) -> usize;
            [Gradient] fn factor(&mut self, x: &[F], index: usize) -> Result<(), $crate::Error>;
        }
        impl<F: $crate::Scalar, O: $crate::Reparametrized<F>> $crate::Reparametrized<F> for $wrapper<O> {
            fn set_whitening(
                &mut self,
                index: usize,
                u: $crate::MatrixView<'_, F>,
                c: $crate::VectorView<'_, F>,
            ) -> Result<(), $crate::Error> {
                self.$inner.set_whitening(index, u, c)
            }

            fn clear_whitening(&mut self) {
                self.$inner.clear_whitening();
            }
        }
    };
    (@trait $wrapper:ident, $inner:ident, $note:ident, $trait:ident,
        $(fn $get:ident(&self $(, $garg:ident: $gty:ty)*) -> $gret:ty;)*
        $([$($call:ident)?] fn $do:ident(&mut self $(, $arg:ident: $ty:ty)*) -> $ret:ty;)*
    ) => {
        impl<F: $crate::Scalar, O: $crate::$trait<F>> $crate::$trait<F> for $wrapper<O> {
            $(fn $get(&self $(, $garg: $gty)*) -> $gret {
                self.$inner.$get($($garg),*)
            })*
            $(fn $do(&mut self $(, $arg: $ty)*) -> $ret {
                $(self.$note($crate::Call::$call);)?
                self.$inner.$do($($arg),*)
            })*
        }
    };
}

/// Counts the evaluations of the objective that it wraps: the honest price of a method.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Counted<O> {
    /// The objective itself.
    pub inner: O,
    /// Calls of [`Objective::value`](super::Objective::value).
    pub values: u64,
    /// Calls of [`Objective::grad`](super::Objective::grad), and of what costs as much.
    pub gradients: u64,
    /// Calls for a Hessian's diagonal.
    pub diagonals: u64,
    /// Hessian–vector products.
    pub hessian_products: u64,
    /// Gauss–Newton–vector products.
    pub gauss_newton_products: u64,
    /// Samples run forward to observe the layers' inputs.
    pub observed: u64,
}

impl<O> Counted<O> {
    /// Starts counting at zero.
    pub fn new(inner: O) -> Self {
        Self {
            inner,
            values: 0,
            gradients: 0,
            diagonals: 0,
            hessian_products: 0,
            gauss_newton_products: 0,
            observed: 0,
        }
    }

    fn note(&mut self, call: Call) {
        match call {
            Call::Value => self.values.add_assign(1),
            Call::Gradient => self.gradients.add_assign(1),
            Call::Diagonal => self.diagonals.add_assign(1),
            Call::HessianProduct => self.hessian_products.add_assign(1),
            Call::GaussNewtonProduct => self.gauss_newton_products.add_assign(1),
            Call::Observe(samples) => self.observed.add_assign(samples as u64),
        }
    }

    /// What gradients alone cost, in gradients, by the matrix products of a dense network: a
    /// value is a third of one.
    pub fn first_order(&self) -> f64 {
        self.gradients as f64 + self.values as f64 / 3.0
    }

    /// What curvature cost, in gradients: a diagonal one, a Gauss–Newton product 4/3 and a Hessian
    /// product 2, without the passes that are made once at each point.
    pub fn second_order(&self) -> f64 {
        let products = 4.0 / 3.0 * self.gauss_newton_products as f64;
        self.diagonals as f64 + products + 2.0 * self.hessian_products as f64
    }
}

forward_objective!(Counted, inner, note);

/// That of the objective under its own names, and the counts by theirs.
impl<F: Scalar, O: State<F>> State<F> for Counted<O> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.inner.visit(visitor);
        for (name, count) in [
            ("values", &mut self.values),
            ("gradients", &mut self.gradients),
            ("diagonals", &mut self.diagonals),
            ("hessian_products", &mut self.hessian_products),
            ("gauss_newton_products", &mut self.gauss_newton_products),
            ("observed", &mut self.observed),
        ] {
            visitor.count(name, count);
        }
    }
}
