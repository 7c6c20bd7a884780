use super::*;

#[test]
fn claims_are_checked_as_all_else_is() {
    let claim = "[[claims]]\nclaim = \"c\"\nsource = \"s\"\nproblem = \"beale\"\nmeasure = \"updates\"\n\
        to = \"value\"\nof = [\"sgd\"]\nthan = [\"nag\"]\nat_most = 0.5\n";
    let with = |claim: &str| format!("{}\n{claim}", WHOLE[0]);
    assert_eq!(fault("claims", &with(claim)), None);
    let cases = [
        (
            "measure = \"updates\"",
            "measure = \"luck\"",
            "claims.measure",
        ),
        ("at_most = 0.5", "at_most = 0", "claims.at_most"),
        ("of = [\"sgd\"]", "of = \"sgd\"", "claims.of"),
        ("source = \"s\"", "sauce = \"s\"", "claims.sauce"),
        ("than = [\"nag\"]\n", "", "than"),
    ];
    let more = [
        ("of = [\"sgd\"]", "of = [\"luck\"]", "claims.of: no `luck`"),
        ("measure = \"updates\"", "measure = \"value\"", "claims.to"),
        ("to = \"value\"\n", "", "claims.to"),
    ];
    for (right, wrong, named) in cases.into_iter().chain(more) {
        let told = fault("claims", &with(&claim.replace(right, wrong))).unwrap();
        assert!(told.contains(named), "{wrong}: {told}");
    }
}
