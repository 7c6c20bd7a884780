use crate::moons;
use crate::quadratic::one_sample;
use opt_core::{
    Error, GaussNewton, HessianDiag, HessianProduct, Objective, ParamMap, PerSample, Scalar,
};

/// A matrix, row by row.
pub type Matrix = [[f64; 2]; 2];

/// Value and gradient at a point.
pub type Evaluated = (f64, [f64; 2]);

/// A function of two variables with its derivatives and what is known of it. It computes in
/// double precision whatever the type of the parameters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plane {
    /// Its name on the command line.
    pub name: &'static str,
    /// f.
    pub value: fn([f64; 2]) -> f64,
    /// f′.
    pub gradient: fn([f64; 2]) -> [f64; 2],
    /// f″.
    pub hessian: fn([f64; 2]) -> Matrix,
    /// Where gradients are noisy: value and gradient of f over minibatch t, which the t-th gradient
    /// that is asked for has, from 0 on.
    pub minibatch: Option<fn([f64; 2], u64) -> Evaluated>,
    /// Of a sum of squares Σrᵢ² the Gauss–Newton matrix 2JᵀJ.
    pub gauss_newton: Option<fn([f64; 2]) -> Matrix>,
    /// Where trajectories start.
    pub start: [f64; 2],
    /// The only minimum, if there is one.
    pub minimum: Option<[f64; 2]>,
    /// The window that a plot shows: (from, to) of both axes.
    pub window: [(f64, f64); 2],
    /// Gradients so far.
    gradients: u64,
    params: ParamMap,
}

/// The problems of the deck's visualization slides, Rosenbrock's, and a noisy one: logistic regression
/// on [two moons](crate::moons), by minibatches of 16.
///
/// The formulas of the slides' valley and saddle, and all their starting points, are not
/// published: these are our own.
///
/// # Errors
/// None in practice: that of making a map of two parameters.
pub fn planes() -> Result<Vec<Plane>, Error> {
    let params = ParamMap::flat(2)?;
    Ok(vec![
        Plane {
            name: "rosenbrock",
            value: |[x, y]| (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2),
            gradient: |[x, y]| {
                let r = y - x * x;
                [-2.0 * (1.0 - x) - 400.0 * x * r, 200.0 * r]
            },
            hessian: |[x, y]| {
                let cross = -400.0 * x;
                [[2.0 - 400.0 * (y - 3.0 * x * x), cross], [cross, 200.0]]
            },
            // Of the residuals 1 − x and 10(y − x²).
            minibatch: None,
            gauss_newton: Some(|[x, _]| {
                let cross = -400.0 * x;
                [[2.0 + 800.0 * x * x, cross], [cross, 200.0]]
            }),
            start: [-1.2, 1.0],
            minimum: Some([1.0, 1.0]),
            window: [(-2.0, 2.0), (-1.0, 3.0)],
            gradients: 0,
            params: params.clone(),
        },
        Plane {
            name: "beale",
            value: |p| beale(p).iter().map(|[r, ..]| r * r).sum(),
            gradient: |p| {
                let mut g = [0.0; 2];
                for [r, dx, dy, ..] in beale(p) {
                    g[0] += 2.0 * r * dx;
                    g[1] += 2.0 * r * dy;
                }
                g
            },
            hessian: |p| {
                let mut h = [[0.0; 2]; 2];
                for [r, dx, dy, dxy, dyy] in beale(p) {
                    h[0][0] += 2.0 * dx * dx;
                    h[0][1] += 2.0 * (dx * dy + r * dxy);
                    h[1][1] += 2.0 * (dy * dy + r * dyy);
                }
                h[1][0] = h[0][1];
                h
            },
            minibatch: None,
            gauss_newton: Some(|p| {
                let mut h = [[0.0; 2]; 2];
                for [_, dx, dy, ..] in beale(p) {
                    h[0][0] += 2.0 * dx * dx;
                    h[0][1] += 2.0 * dx * dy;
                    h[1][1] += 2.0 * dy * dy;
                }
                h[1][0] = h[0][1];
                h
            }),
            start: [1.0, 1.5],
            minimum: Some([3.0, 0.5]),
            window: [(-1.0, 4.5), (-2.0, 2.5)],
            gradients: 0,
            params: params.clone(),
        },
        Plane {
            name: "valley",
            value: |[x, y]| 0.5 * x * x + 50.0 * y * y,
            gradient: |[x, y]| [x, 100.0 * y],
            hessian: |_| [[1.0, 0.0], [0.0, 100.0]],
            minibatch: None,
            gauss_newton: Some(|_| [[1.0, 0.0], [0.0, 100.0]]),
            start: [-2.0, 0.5],
            minimum: Some([0.0, 0.0]),
            window: [(-2.5, 1.5), (-1.0, 1.0)],
            gradients: 0,
            params: params.clone(),
        },
        Plane {
            name: "saddle",
            value: |[x, y]| x * x - y * y,
            gradient: |[x, y]| [2.0 * x, -2.0 * y],
            hessian: |_| [[2.0, 0.0], [0.0, -2.0]],
            minibatch: None,
            gauss_newton: None,
            start: [-1.0, 1e-3],
            minimum: None,
            window: [(-1.25, 1.25), (-1.25, 1.25)],
            gradients: 0,
            params: params.clone(),
        },
        Plane {
            name: "moons",
            value: moons::value,
            gradient: moons::gradient,
            hessian: moons::hessian,
            minibatch: Some(moons::minibatch),
            gauss_newton: None,
            start: [-3.0, -2.0],
            minimum: None,
            window: [(-4.0, 3.0), (-3.0, 6.0)],
            gradients: 0,
            params,
        },
    ])
}

/// The one of these of this name.
pub fn plane(name: &str) -> Option<Plane> {
    planes().ok()?.into_iter().find(|plane| plane.name == name)
}

/// The residuals c − x(1 − yⁿ) for n = 1, 2, 3, each with ∂x, ∂y, ∂x∂y and ∂y².
fn beale([x, y]: [f64; 2]) -> [[f64; 5]; 3] {
    [(1, 1.5), (2, 2.25), (3, 2.625)].map(|(n, c)| {
        let k = f64::from(n);
        let power = |p: i32| if p < 0 { 0.0 } else { y.powi(p) };
        let slope = k * power(n - 1);
        let bend = x * k * (k - 1.0) * power(n - 2);
        [
            c - x * (1.0 - power(n)),
            power(n) - 1.0,
            x * slope,
            slope,
            bend,
        ]
    })
}

impl Plane {
    fn at<F: Scalar>(&self, x: &[F]) -> Result<[f64; 2], Error> {
        self.params.check_len("x", x.len())?;
        Ok([x[0].f64(), x[1].f64()])
    }

    fn product<F: Scalar>(&self, matrix: Matrix, v: &[F], out: &mut [F]) -> Result<(), Error> {
        let [a, b] = self.at(v)?;
        self.params.check_len("product", out.len())?;
        out.copy_from_slice(&matrix.map(|[p, q]| F::of(p * a + q * b)));
        Ok(())
    }
}

impl<F: Scalar> Objective<F> for Plane {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    /// Of a noisy function, over the minibatch of the next gradient.
    fn value(&mut self, x: &[F]) -> Result<F, Error> {
        let at = self.at(x)?;
        Ok(F::of(match self.minibatch {
            Some(minibatch) => minibatch(at, self.gradients).0,
            None => (self.value)(at),
        }))
    }

    fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error> {
        let at = self.at(x)?;
        self.params.check_len("gradient", g.len())?;
        let (value, gradient) = match self.minibatch {
            Some(minibatch) => minibatch(at, self.gradients),
            None => ((self.value)(at), (self.gradient)(at)),
        };
        self.gradients = self.gradients.wrapping_add(1);
        g.copy_from_slice(&gradient.map(F::of));
        Ok(F::of(value))
    }
}

impl<F: Scalar> HessianDiag<F> for Plane {
    fn hessian_diag(&mut self, x: &[F], h: &mut [F]) -> Result<(), Error> {
        let [[xx, _], [_, yy]] = (self.hessian)(self.at(x)?);
        self.params.check_len("diagonal", h.len())?;
        h.copy_from_slice(&[F::of(xx), F::of(yy)]);
        Ok(())
    }
}

impl<F: Scalar> HessianProduct<F> for Plane {
    fn hessian_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), Error> {
        self.product((self.hessian)(self.at(x)?), v, out)
    }
}

/// An error where the function is not a sum of squares.
impl<F: Scalar> GaussNewton<F> for Plane {
    fn gauss_newton_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), Error> {
        let matrix = self.gauss_newton.ok_or_else(|| {
            let name = self.name;
            Error::objective(format!(
                "{name} is not a sum of squares, and so has no Gauss–Newton matrix"
            ))
        })?;
        self.product(matrix(self.at(x)?), v, out)
    }
}

/// A function without samples counts as one of a single sample.
impl<F: Scalar> PerSample<F> for Plane {
    fn samples(&self) -> usize {
        1
    }

    fn grad_moments(&mut self, x: &[F], g: &mut [F], square: &mut [F]) -> Result<F, Error> {
        one_sample(self, x, g, square)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opt_core::check_gradient;

    #[test]
    fn derivatives_agree_with_central_differences() {
        for mut plane in planes().unwrap() {
            for x in [plane.start, [0.3, -0.7], [-1.1, 0.4]] {
                plane.minibatch = None;
                let check = check_gradient(&mut plane, &x, 1e-5).unwrap();
                assert!(check.error < 1e-8, "{}: {check:?}", plane.name);
                let hessian = (plane.hessian)(x);
                for axis in 0..2 {
                    let (mut hi, mut lo) = (x, x);
                    hi[axis] += 1e-5;
                    lo[axis] -= 1e-5;
                    let (hi, lo) = ((plane.gradient)(hi), (plane.gradient)(lo));
                    for row in 0..2 {
                        let numeric = (hi[row] - lo[row]) / 2e-5;
                        let error = (numeric - hessian[row][axis]).abs();
                        let scale = numeric.abs().max(1.0);
                        assert!(error < 1e-7 * scale, "{} {x:?} {row} {axis}", plane.name);
                    }
                }
            }
        }
    }

    #[test]
    fn gauss_newton_is_the_hessian_where_the_residuals_are_zero() {
        for plane in planes().unwrap() {
            let (Some(at), Some(matrix)) = (plane.minimum, plane.gauss_newton) else {
                continue;
            };
            assert_eq!(matrix(at), (plane.hessian)(at), "{}", plane.name);
            // Away from there it is positive semidefinite, which the Hessian need not be.
            for x in [plane.start, [0.3, -0.7], [-1.1, 3.0]] {
                let [[a, b], [_, d]] = matrix(x);
                assert!(a >= 0.0 && a * d - b * b >= 0.0, "{}", plane.name);
            }
        }
    }

    #[test]
    fn minibatches_take_turns_and_are_the_whole_together() {
        let mut moons = plane("moons").unwrap();
        let (minibatch, at) = (moons.minibatch.unwrap(), [0.3, -0.7]);
        // 31 minibatches of 16 go four times around 124 rows.
        let all: Vec<_> = (0..31).map(|t| minibatch(at, t)).collect();
        let mean = |of: &dyn Fn(&Evaluated) -> f64| all.iter().map(of).sum::<f64>() / 31.0;
        assert!((mean(&|b| b.0) - (moons.value)(at)).abs() < 1e-15);
        for axis in 0..2 {
            assert!((mean(&|b| b.1[axis]) - (moons.gradient)(at)[axis]).abs() < 1e-15);
        }
        for batch in &all {
            assert_eq!(Objective::<f64>::value(&mut moons, &at).unwrap(), batch.0);
            let mut g = [0.0; 2];
            assert_eq!(moons.grad(&at, &mut g).unwrap(), batch.0);
            assert_eq!(g, batch.1);
        }
        assert_ne!(all[0], all[1]);
    }

    #[test]
    fn published_minima() {
        for plane in planes().unwrap() {
            if let Some(at) = plane.minimum {
                assert_eq!((plane.value)(at), 0.0, "{}", plane.name);
                assert_eq!(
                    (plane.gradient)(at).map(f64::abs),
                    [0.0; 2],
                    "{}",
                    plane.name
                );
            }
        }
        // Beale's value at the origin: 1.5² + 2.25² + 2.625².
        let beale = plane("beale").unwrap();
        assert_eq!((beale.value)([0.0, 0.0]), 14.203125);
    }
}
