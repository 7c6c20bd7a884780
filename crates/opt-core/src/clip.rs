//! Gradient clipping: functions on `g`, called before a step.

use crate::{Error, Scalar, norm};

/// Limits every element to [−limit, limit].
///
/// # Errors
/// [`Error::Argument`] unless the limit is finite and above 0. NaN elements stay NaN, for the
/// step to refuse.
pub fn clip_value<F: Scalar>(g: &mut [F], limit: f64) -> Result<(), Error> {
    check("limit", limit)?;
    let limit = F::of(limit);
    for g in g {
        *g = if *g > limit {
            limit
        } else if *g < -limit {
            -limit
        } else {
            *g
        };
    }
    Ok(())
}

/// Scales `g` so that its Euclidean norm is at most `max_norm`: g ← g·min(1, max_norm/‖g‖)
/// (Pascanu, Mikolov & Bengio 2013). Returns ‖g‖ before.
///
/// Differs from PyTorch, which divides by ‖g‖ + 1e-6.
///
/// # Errors
/// [`Error::Argument`] unless `max_norm` is finite and above 0, [`Error::NonFiniteNorm`] if the
/// norm is NaN or infinite; `g` is then untouched.
pub fn clip_global_norm<F: Scalar>(g: &mut [F], max_norm: f64) -> Result<f64, Error> {
    check("max_norm", max_norm)?;
    let norm = norm(g);
    if !norm.is_finite() {
        return Err(Error::NonFiniteNorm(norm));
    }
    if norm > max_norm {
        let scale = F::of(max_norm / norm);
        g.iter_mut().for_each(|g| *g *= scale);
    }
    Ok(norm)
}

fn check(name: &'static str, value: f64) -> Result<(), Error> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(Error::Argument { name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norm_is_clipped_only_above_the_limit() {
        let mut g = [3.0, 4.0];
        assert_eq!(clip_global_norm(&mut g, 10.0).unwrap(), 5.0);
        assert_eq!(g, [3.0, 4.0]);
        assert_eq!(clip_global_norm(&mut g, 2.5).unwrap(), 5.0);
        assert_eq!(g, [1.5, 2.0]);
    }

    #[test]
    fn values_are_clipped_on_both_sides() {
        let mut g = [-3.0, 0.5, 2.0, f64::INFINITY];
        clip_value(&mut g, 1.0).unwrap();
        assert_eq!(g, [-1.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn bad_input_is_refused_and_changes_nothing() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let mut g = [3.0, 4.0];
            assert!(matches!(
                clip_value(&mut g, bad),
                Err(Error::Argument { .. })
            ));
            assert!(matches!(
                clip_global_norm(&mut g, bad),
                Err(Error::Argument { .. })
            ));
            assert_eq!(g, [3.0, 4.0]);
        }
        let mut g = [1.0, f64::NAN];
        assert!(matches!(
            clip_global_norm(&mut g, 1.0),
            Err(Error::NonFiniteNorm(_))
        ));
        assert_eq!(g[0], 1.0);
    }
}
