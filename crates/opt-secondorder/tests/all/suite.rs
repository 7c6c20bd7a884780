//! Everything in the zoo passes the suite.

use opt_secondorder::zoo;
use opt_testkit::Skip;

#[test]
fn every_method_passes_every_check() {
    let skips = [Skip {
        method: "newton",
        check: "any number of threads",
        reason: "the check has 140,077 parameters, beyond what a dense Hessian is for",
    }];
    opt_testkit::suite(&zoo(), &zoo(), &skips);
}
