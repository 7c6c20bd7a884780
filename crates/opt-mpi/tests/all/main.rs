//! Runs of several ranks on this machine: each test starts `mpirun` on this very binary, whose ranks
//! then find their case in the environment.

mod bits;
mod failures;
mod layers;
mod methods;
mod model;
mod sharded;

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, thread};

use opt_mpi::Ranks;

type Failure = Box<dyn std::error::Error>;
type Outcome = Result<(), Failure>;
type Case = (&'static str, fn(&Ranks) -> Outcome);

const CASE: &str = "OPT_MPI_CASE";

const CASES: [Case; 14] = [
    ("bits", bits::check),
    ("methods", methods::check),
    ("layers", layers::check),
    ("rules", sharded::rules),
    ("shards", sharded::check),
    ("save", sharded::save),
    ("resume", sharded::resume),
    ("errors", failures::errors),
    ("out of step", failures::out_of_step),
    ("panic", failures::panic),
    ("killed", failures::killed),
    ("exits", failures::exits),
    ("alone", failures::alone),
    ("early", failures::early),
];

/// Not a test by itself: what a rank runs.
#[test]
fn rank() {
    let Ok(name) = env::var(CASE) else { return };
    let (_, case) = CASES
        .iter()
        .find(|(case, _)| *case == name)
        .expect("a case");
    opt_mpi::run(case).unwrap_or_else(|error| panic!("{error}"));
}

struct Ended {
    success: bool,
    text: String,
    seconds: f64,
}

/// One at a time: there are fewer cores than ranks.
static TURN: Mutex<()> = Mutex::new(());

fn mpirun(ranks: usize, case: &str) -> Ended {
    let _turn = TURN.lock().unwrap_or_else(|turn| turn.into_inner());
    let mut command = Command::new("mpirun");
    let version = Command::new("mpirun").arg("--version").output();
    let version = version.expect("mpirun: see `cargo xtask setup mpi`").stdout;
    if String::from_utf8_lossy(&version).contains("Open MPI") {
        command.args(["--oversubscribe", "--bind-to", "none"]);
        command.env("OMPI_ALLOW_RUN_AS_ROOT", "1");
        command.env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        // Containers often do not let a process read another's memory.
        command.env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
        // A rank that waits leaves its core to the others.
        command.env("OMPI_MCA_mpi_yield_when_idle", "1");
    }
    command.args(["-n", &ranks.to_string()]);
    command.arg(env::current_exe().expect("this binary"));
    command.args(["rank", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(CASE, case).env("RAYON_NUM_THREADS", "1");
    let start = Instant::now();
    let mut child = (command.stdin(Stdio::null()).stdout(Stdio::piped()))
        .stderr(Stdio::piped())
        .spawn()
        .expect("mpirun starts");
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let readers = thread::spawn(move || {
        let (mut text, mut more) = (String::new(), String::new());
        // What is not text does not matter.
        let _ = err.as_mut().map(|err| err.read_to_string(&mut more));
        let _ = out.as_mut().map(|out| out.read_to_string(&mut text));
        text + &more
    });
    let limit = Duration::from_secs(90);
    let status = loop {
        if let Some(status) = child.try_wait().expect("mpirun can be waited for") {
            break Some(status);
        }
        if start.elapsed() > limit {
            let _ = child.kill();
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    Ended {
        success: status.is_some_and(|status| status.success()),
        text: readers.join().unwrap_or_default(),
        seconds: start.elapsed().as_secs_f64(),
    }
}

fn succeeds(on: &[usize], case: &str) {
    for &ranks in on {
        let Ended {
            success,
            text,
            seconds,
        } = mpirun(ranks, case);
        assert!(success, "{case} on {ranks} ranks:\n{text}");
        // Lines of several ranks may be mixed, but not of all.
        assert!(text.contains("1 passed"), "{text}");
        eprintln!("{case} on {ranks} ranks: {seconds:.1} s");
    }
}

/// The run ends by itself, soon and with an error.
fn fails(case: &str, says: &str) {
    let ended = mpirun(4, case);
    assert!(!ended.success, "{case}:\n{}", ended.text);
    assert!(ended.seconds < 30.0, "{case}: {} s", ended.seconds);
    assert!(ended.text.contains(says), "{case}:\n{}", ended.text);
    eprintln!("{case}: {:.1} s", ended.seconds);
}

#[test]
fn sums_have_the_bits_of_one_process_that_sums_the_same_parts() {
    succeeds(&[1, 2, 4], "bits");
}

#[test]
fn every_method_takes_the_steps_of_one_process() {
    succeeds(&[2, 4], "methods");
}

#[test]
fn layers_have_the_rows_of_all_ranks() {
    succeeds(&[2, 4], "layers");
}

#[test]
fn every_rule_has_the_same_bits_in_shards() {
    succeeds(&[2, 4], "rules");
}

#[test]
fn shards_keep_the_contract_of_an_update() {
    succeeds(&[1, 2, 4], "shards");
}

#[test]
fn state_of_four_ranks_goes_on_with_two_and_of_two_with_three() {
    for (from, to) in [(4, 2), (2, 3)] {
        succeeds(&[from], "save");
        succeeds(&[to], "resume");
    }
}

#[test]
fn an_error_on_one_rank_is_the_same_on_all_and_changes_nothing() {
    succeeds(&[2, 4], "errors");
}

#[test]
fn ranks_that_are_out_of_step_are_told() {
    succeeds(&[2, 4], "out of step");
}

#[test]
fn a_panic_on_one_rank_ends_all() {
    fails("panic", "rank 1 aborts the run: a panic");
}

#[test]
fn a_rank_that_is_killed_ends_all() {
    fails("killed", "signal 9");
}

#[test]
fn a_rank_that_exits_ends_all() {
    fails("exits", "");
}

#[test]
fn a_rank_that_fails_alone_ends_all_and_says_why() {
    fails("alone", "on rank 1: no such file");
}

#[test]
fn a_rank_that_returns_early_is_told_of() {
    succeeds(&[2, 4], "early");
}
