//! The schedule that looks at the loss, against PyTorch.

use opt_core::{Bound, Error, Kind, Plateau, Snapshot};

use crate::reference::{Reference, near};

#[test]
fn plateaus_that_pytorch_has() {
    let reference = Reference::load();
    let default = || Plateau {
        from: 0.1,
        ..Plateau::default()
    };
    let cases = [
        (
            "plateau",
            Plateau {
                factor: 0.5,
                patience: 2,
                ..default()
            },
        ),
        (
            "plateau-cooldown",
            Plateau {
                patience: 1,
                cooldown: 3,
                threshold: 1e-2,
                ..default()
            },
        ),
        (
            "plateau-least",
            Plateau {
                factor: 0.3,
                patience: 0,
                least: 2e-3,
                ..default()
            },
        ),
    ];
    let losses = reference.row("losses");
    for (name, settings) in cases {
        let mut whole = settings.clone().schedule().unwrap();
        let found: Vec<f64> = losses.iter().map(|&l| whole.observe(l).unwrap()).collect();
        near(name, &found, reference.row(name));
        assert_eq!(whole.best(), Some(2.5));
        // Stopped after any loss and resumed, and with the loss in other units.
        for stop in 0..losses.len() {
            let mut first = settings.clone().schedule().unwrap();
            losses[..stop].iter().for_each(|&l| {
                first.observe(l).unwrap();
            });
            let saved = Snapshot::<f32>::take(&mut [("lr", &mut first)]).unwrap();
            let mut second = settings.clone().schedule().unwrap();
            saved.restore(&mut [("lr", &mut second)]).unwrap();
            losses[stop..].iter().for_each(|&l| {
                second.observe(l).unwrap();
            });
            assert_eq!(second, whole);
        }
        for unit in [2.0_f64.powi(-900), 2.0_f64.powi(900)] {
            let mut scaled = settings.clone().schedule().unwrap();
            let scaled = losses.iter().map(|&l| scaled.observe(unit * l).unwrap());
            assert_eq!(scaled.collect::<Vec<_>>(), found);
        }
    }
}

#[test]
fn a_plateau_below_zero_is_one_and_bad_losses_and_settings_are_refused() {
    let mut lr = Plateau {
        patience: 0,
        ..Plateau::default()
    }
    .schedule()
    .unwrap();
    assert_eq!((lr.best(), lr.value()), (None, 1.0));
    lr.observe(-1.0).unwrap();
    let before = lr.clone();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(lr.observe(bad), Err(Error::NonFiniteLoss(_))));
        assert_eq!(lr, before);
    }
    // Worse, though above best·(1 − threshold).
    assert_eq!(lr.observe(-0.99995).unwrap(), 0.1);
    assert_eq!(lr.observe(-1.1).unwrap(), 0.1);
    assert_eq!(lr.observe(f64::MIN).unwrap(), 0.1);
    for _ in 0..2000 {
        assert!(lr.observe(f64::MIN).unwrap() >= 0.0);
    }
    let ok = Plateau::default;
    let cases = [
        (Plateau { from: 0.0, ..ok() }, "from", Bound::Positive),
        (
            Plateau {
                from: f64::NAN,
                ..ok()
            },
            "from",
            Bound::Positive,
        ),
        (
            Plateau {
                factor: 1.5,
                ..ok()
            },
            "factor",
            Bound::Shrink,
        ),
        (
            Plateau {
                factor: 0.0,
                ..ok()
            },
            "factor",
            Bound::Shrink,
        ),
        (
            Plateau {
                threshold: 1.0,
                ..ok()
            },
            "threshold",
            Bound::Unit,
        ),
        (
            Plateau {
                least: -1.0,
                ..ok()
            },
            "least",
            Bound::NonNegative,
        ),
    ];
    for (settings, expected, range) in cases {
        let error = settings.schedule().unwrap_err();
        assert!(
            matches!(error, Error::Hyper { name, kind: Kind::Real(bound), .. } if name == expected && bound == range)
        );
    }
    let above = Plateau { least: 2.0, ..ok() }.schedule();
    assert!(matches!(above, Err(Error::HyperConflict(_))));
}
