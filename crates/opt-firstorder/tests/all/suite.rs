//! Everything in the zoo passes the suite.

use opt_firstorder::zoo;

#[test]
fn every_method_passes_every_check() {
    opt_testkit::suite(&zoo(), &zoo(), &[]);
}
