//! Hyper-parameters by name: of groups, of every kind, and what is refused.

use opt_core::{
    Bound, Change, Choice, Error, Field, FieldVisitor, FirstOrder, Hyper, Kind, ParamMap, Tune,
    Tuned, Value,
};

use crate::chain::{Chain, PLAIN, map};

type Three = FirstOrder<f32, Chain, 1>;

/// Rates of 0.1, 0.2 and 0.4 over three segments.
fn three() -> Three {
    FirstOrder::with(&map(&[1, 1, 1]), |segment| Chain {
        lr: 0.1 * f64::from(1 << segment.range.start),
        mu: 0.25,
        init: 0.0,
    })
    .unwrap()
}

fn values(sgd: &Three, field: &str) -> [f64; 3] {
    [0, 1, 2].map(|i| sgd.get(&format!("s{i}/{field}")).unwrap().real().unwrap())
}

#[test]
fn fields_are_listed_by_group_and_order() {
    let names = |fields: Vec<Field>| fields.into_iter().map(|f| f.name).collect::<Vec<_>>();
    let listed = three().list();
    assert_eq!(listed[3].kind, Kind::Real(Bound::NonNegative));
    assert_eq!(listed[3].value, Value::Real(0.2));
    let expected = ["lr", "mu", "init"];
    let qualified = (0..3).flat_map(|i| expected.map(|field| format!("s{i}/{field}")));
    assert_eq!(names(listed), qualified.collect::<Vec<_>>());
    let one = FirstOrder::<f64, _, 1>::new(PLAIN, &map(&[1, 1])).unwrap();
    assert_eq!(names(one.list()), expected);
}

#[test]
fn scaling_keeps_ratios_and_is_not_cumulative() {
    let mut sgd = three();
    for factor in [0.5, 0.25, 0.0, 3.0, 1.0] {
        sgd.scale("lr", factor).unwrap();
        assert_eq!(
            values(&sgd, "lr"),
            [0.1 * factor, 0.2 * factor, 0.4 * factor]
        );
        assert_eq!(sgd.get("lr").unwrap(), Value::Real(0.1 * factor));
        assert_eq!(sgd.rule(2).unwrap().lr, 0.4 * factor);
    }
    sgd.scale("s1/lr", 0.5).unwrap();
    assert_eq!(values(&sgd, "lr"), [0.1, 0.1, 0.4]);
    // It is what a step goes by.
    let (mut x, g) = ([0.0_f32; 3], [1.0; 3]);
    sgd.apply(&mut x, &g).unwrap();
    assert_eq!(x, [-0.1, -0.1, -0.4]);
    // By hand, the configured one changes and the factor stays.
    sgd.adjust(|segments, rule| {
        rule.lr = if segments[0].name == "s1" {
            0.8
        } else {
            rule.lr
        }
    })
    .unwrap();
    assert_eq!(values(&sgd, "lr"), [0.1, 0.4, 0.4]);
}

#[test]
fn setting_keeps_the_ratios_of_rates_alone() {
    let mut sgd = three();
    sgd.scale("lr", 0.125).unwrap();
    sgd.set("lr", Value::Real(0.2)).unwrap();
    assert_eq!(values(&sgd, "lr"), [0.2, 0.4, 0.8]);
    sgd.set("lr", Value::Real(0.0)).unwrap();
    assert_eq!(values(&sgd, "lr"), [0.0; 3]);
    // The configured ones are still there.
    sgd.scale("lr", 1.0).unwrap();
    assert_eq!(values(&sgd, "lr"), [0.1, 0.2, 0.4]);
    sgd.scale("lr", 0.5).unwrap();
    sgd.set("s1/lr", Value::Count(2)).unwrap();
    assert_eq!(values(&sgd, "lr"), [0.05, 2.0, 0.2]);
    // One value for all is set in all.
    sgd.set("mu", Value::Real(0.5)).unwrap();
    sgd.set("s0/mu", Value::Real(0.75)).unwrap();
    assert_eq!(values(&sgd, "mu"), [0.75, 0.5, 0.5]);
    sgd.set("mu", Value::Real(0.375)).unwrap();
    assert_eq!(values(&sgd, "mu"), [0.375; 3]);
    // No factor leads from 0 to anywhere.
    sgd.set("s0/lr", Value::Real(0.0)).unwrap();
    let error = sgd.set("lr", Value::Real(0.1)).unwrap_err();
    assert!(
        matches!(&error, Error::HyperConflict(text) if text.contains("s0")),
        "{error}"
    );
}

#[test]
fn what_one_group_refuses_changes_none() {
    let set = |value: Value| Change::Set(value);
    let real = |value: f64| Change::Set(Value::Real(value));
    let cases: [(&str, Change, &str); 14] = [
        ("mu", real(1.0), "s0/mu = 1: must be in [0, 1)"),
        ("s1/mu", real(-0.5), "s1/mu = -0.5: must be in [0, 1)"),
        // Only the last would leave its range.
        ("mu", Change::Scale(2.0), "s2/mu = 1.25: must be in [0, 1)"),
        (
            "lr",
            real(-1.0),
            "s0/lr = -1: must be finite and at least 0",
        ),
        ("lr", real(f64::NAN), "s0/lr = NaN: must be finite"),
        ("lr", Change::Scale(f64::NAN), "s0/lr = NaN: must be finite"),
        (
            "s2/lr",
            Change::Scale(f64::INFINITY),
            "s2/lr = inf: must be",
        ),
        ("s2/lr", real(1e39), "s2/lr = 1e39 becomes inf in F32: must"),
        ("lr", Change::Scale(1e39), "s2/lr = 4"),
        (
            "s1/mu",
            real(1.0 - 1e-9),
            "s1/mu = 0.999999999 becomes 1.0 in F32",
        ),
        ("lr", set("fast".into()), "s0/lr = fast: must be finite"),
        (
            "nope",
            real(1.0),
            "no hyper-parameter `nope`; there are: s0/lr, s0/mu, s0/init, s1/lr",
        ),
        (
            "s3/lr",
            real(1.0),
            "no hyper-parameter `s3/lr`; there are: s0/lr",
        ),
        (
            "s0/nope",
            Change::Scale(1.0),
            "no hyper-parameter `s0/nope`; there are: s0/lr",
        ),
    ];
    for (name, change, text) in cases {
        let mut sgd = three();
        sgd.set("s2/mu", Value::Real(0.625)).unwrap();
        let before = format!("{sgd:?}");
        let error = sgd.change(name, &change).unwrap_err();
        assert!(error.to_string().starts_with(text), "{error}");
        assert_eq!(format!("{sgd:?}"), before, "{name}");
    }
}

#[test]
fn values_that_a_type_rounds_out_of_range_are_refused_when_a_method_is_made() {
    let params = ParamMap::flat(2).unwrap();
    let cases = [
        (
            Chain { lr: 1e39, ..PLAIN },
            "lr = 1e39 becomes inf in F32",
            true,
        ),
        (
            Chain {
                mu: 1.0 - 1e-9,
                ..PLAIN
            },
            "mu = 0.999999999 becomes 1.0 in F32",
            true,
        ),
        (
            Chain {
                init: 4e38,
                ..PLAIN
            },
            "init = 4e38 becomes inf in F32",
            true,
        ),
        // A rate may round to 0.
        (Chain { lr: 1e-50, ..PLAIN }, "", false),
    ];
    for (rule, text, refused) in cases {
        let single = FirstOrder::<f32, _, 1>::new(rule.clone(), &params);
        assert!(FirstOrder::<f64, _, 1>::new(rule, &params).is_ok());
        match single {
            Err(error @ Error::HyperRounds { .. }) => {
                let right = refused && error.to_string().starts_with(text);
                assert!(right, "{error}");
            }
            other => assert!(other.is_ok() && !refused, "{text}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Short,
    VeryLong,
}

impl Choice for Form {
    const ALL: &'static [(&'static str, Self)] =
        &[("short", Self::Short), ("very-long", Self::VeryLong)];
}

#[derive(Clone, Debug, PartialEq)]
struct Settings {
    rate: f64,
    other: f64,
    period: u64,
    seed: u64,
    form: Form,
}

impl Hyper for Settings {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("rate", &mut self.rate, Bound::Positive);
        visit.real("other", &mut self.other, Bound::Grow);
        visit.count("period", &mut self.period, 1);
        visit.count("seed", &mut self.seed, 0);
        visit.choice("form", &mut self.form);
    }

    fn aliases() -> &'static [(&'static str, &'static [&'static str])] {
        &[("both", &["rate", "other"])]
    }

    fn conflicts(&self) -> Result<(), Error> {
        if self.rate <= self.other {
            return Ok(());
        }
        Err(Error::HyperConflict("rate is above other".to_owned()))
    }
}

struct Toy<F> {
    hyper: Tuned<Settings>,
    x: std::marker::PhantomData<F>,
}

opt_core::tune_by!(Toy, hyper);

fn toy() -> Toy<f32> {
    let settings = Settings {
        rate: 1.5,
        other: 2.0,
        period: 10,
        seed: 0,
        form: Form::Short,
    };
    let hyper = Tuned::new::<f32>(settings).unwrap();
    Toy {
        hyper,
        x: std::marker::PhantomData,
    }
}

#[test]
fn values_of_every_kind_are_set_by_name() {
    let choices = Kind::Choice(vec!["short", "very-long"]);
    let kinds: Vec<Kind> = toy().list().into_iter().map(|f| f.kind).collect();
    assert_eq!(kinds[2..], [Kind::Count(1), Kind::Count(0), choices]);
    type Holds = fn(&Settings) -> bool;
    let good: [(&str, Value, Holds); 7] = [
        ("rate", Value::Count(1), |s| s.rate == 1.0),
        ("period", 3.into(), |s| s.period == 3),
        ("period", 4.0.into(), |s| s.period == 4),
        ("seed", u64::MAX.into(), |s| s.seed == u64::MAX),
        ("form", "very-long".into(), |s| s.form == Form::VeryLong),
        ("both", 1.25.into(), |s| (s.rate, s.other) == (1.25, 1.25)),
        ("seed", Value::Real(2_f64.powi(63)), |s| s.seed == 1 << 63),
    ];
    for (name, value, holds) in good {
        let mut toy = toy();
        toy.set(name, value.clone()).unwrap();
        assert!(holds(&toy.hyper) && holds(toy.hyper.configured()), "{name}");
        let listed = toy.list().iter().any(|f| f.name == name);
        // An alias is set, not read.
        assert_eq!(toy.get(name).is_ok(), listed);
    }
    let mut toy = toy();
    toy.scale("both", 2.0).unwrap();
    assert_eq!((toy.hyper.rate, toy.hyper.other), (3.0, 4.0));
    toy.scale("rate", 0.5).unwrap();
    assert_eq!((toy.hyper.rate, toy.hyper.other), (0.75, 4.0));
    toy.set("other", 2.0.into()).unwrap();
    assert_eq!((toy.hyper.rate, toy.hyper.other), (0.75, 2.0));
}

#[test]
fn values_of_the_wrong_kind_or_range_are_refused() {
    let set = Change::Set;
    let cases: [(&str, Change, &str); 14] = [
        (
            "rate",
            set("fast".into()),
            "rate = fast: must be finite and above 0",
        ),
        (
            "rate",
            set(0.0.into()),
            "rate = 0: must be finite and above 0",
        ),
        ("rate", set(1e-50.into()), "rate = 1e-50 becomes 0.0 in F32"),
        (
            "other",
            set(0.5.into()),
            "other = 0.5: must be finite and at least 1",
        ),
        ("rate", set(3.0.into()), "rate is above other"),
        (
            "both",
            set(0.5.into()),
            "other = 0.5: must be finite and at least 1",
        ),
        (
            "period",
            set(0.into()),
            "period = 0: must be a whole number of at least 1",
        ),
        (
            "period",
            set(2.5.into()),
            "period = 2.5: must be a whole number",
        ),
        (
            "period",
            set((-1.0).into()),
            "period = -1: must be a whole number",
        ),
        (
            "seed",
            set(2_f64.powi(64).into()),
            "seed = 18446744073709552000: must be a whole",
        ),
        (
            "form",
            set("long".into()),
            "form = long: must be one of short, very-long",
        ),
        (
            "form",
            set(1.into()),
            "form = 1: must be one of short, very-long",
        ),
        ("period", Change::Scale(2.0), "no hyper-parameter `period`"),
        (
            "nope",
            set(1.into()),
            "no hyper-parameter `nope`; there are: rate, other, period, seed, form, both",
        ),
    ];
    for (name, change, text) in cases {
        let mut toy = toy();
        let before = toy.hyper.clone();
        let error = toy.change(name, &change).unwrap_err();
        assert!(error.to_string().starts_with(text), "{error}");
        assert_eq!(toy.hyper, before);
    }
}

#[test]
fn a_text_is_a_whole_number_a_real_one_or_a_name() {
    let cases = [
        ("3", Value::Count(3)),
        (" 18446744073709551615 ", Value::Count(u64::MAX)),
        ("3.0", Value::Real(3.0)),
        ("-1", Value::Real(-1.0)),
        ("1e-3", Value::Real(1e-3)),
        ("very-long", "very-long".into()),
        ("", "".into()),
    ];
    for (text, value) in cases {
        assert_eq!(Value::parse(text), value, "{text}");
    }
}
