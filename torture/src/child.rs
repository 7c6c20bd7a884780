//! The process that is killed, or whose disk is full: it trains, keeps checkpoints in a folder, and says
//! what its end is.
//!
//! `opt-torture child FOLDER METHOD STEPS [K]`: after step K the folder is made read-only.

use std::io::Write;
use std::path::Path;

use opt_core::{Checkpoints, Error, Tune, run};
use opt_data::Batches;
use opt_nn::{Activation, Init, Mlp, Spec, Target};

use crate::bits::Bits;
use crate::faulty::Faulty;
use crate::models::{subjects, text};

/// Of its checkpoints.
pub(crate) const KEEP: usize = 3;

/// The exit code if another process has the folder.
pub(crate) const REFUSED: i32 = 3;

/// What a child says at its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) digest: u128,
    /// The step that it went on from.
    pub(crate) resumed: u64,
    pub(crate) saved: u64,
    /// Checkpoints that could not be written, each with a typed error.
    pub(crate) refused: u64,
}

impl End {
    /// What the last line of this output says.
    pub(crate) fn parse(output: &str) -> Option<Self> {
        let mut words = output.lines().last()?.strip_prefix("done ")?.split(' ');
        Some(Self {
            digest: u128::from_str_radix(words.next()?, 16).ok()?,
            resumed: words.next()?.parse().ok()?,
            saved: words.next()?.parse().ok()?,
            refused: words.next()?.parse().ok()?,
        })
    }
}

/// Returns at the end of the run.
pub(crate) fn main(args: &[String]) -> Result<(), String> {
    let [folder, method, steps, rest @ ..] = args else {
        return Err("child FOLDER METHOD STEPS [K]".to_owned());
    };
    let steps: u64 = steps.parse().map_err(text)?;
    let lock_after = rest.first().map(|k| k.parse::<u64>()).transpose();
    let lock_after = lock_after.map_err(text)?;
    let mut checkpoints = match Checkpoints::open(folder) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::WouldBlock => {
            std::process::exit(REFUSED);
        }
        opened => opened.map_err(text)?,
    };
    (checkpoints.every, checkpoints.keep) = (1, KEEP);
    train(Path::new(folder), method, steps, lock_after, &checkpoints)
}

fn train(
    folder: &Path,
    method: &str,
    steps: u64,
    lock_after: Option<u64>,
    checkpoints: &Checkpoints,
) -> Result<(), String> {
    let digits = opt_data::digits().map_err(text)?;
    // Some megabytes of state, by what a method keeps.
    let hidden = match method {
        "adam" | "momentum" | "irprop-plus" => 2048,
        "lbfgs" => 1024,
        _ => 256,
    };
    let spec = Spec::classifier(&[64, hidden, 10], Activation::Tanh);
    let mut network = Faulty::new(Mlp::<f32>::new(spec).map_err(text)?);
    network
        .net
        .set_statistics(digits.inputs.clone())
        .map_err(text)?;
    let subject = subjects()
        .into_iter()
        .find(|subject| subject.name == method);
    let subject = subject.ok_or_else(|| format!("no method `{method}`"))?;
    let mut method = subject.build(&network).map_err(text)?;
    let mut x = network.net.init(Init::Glorot, 1);
    let mut batches = Batches::new(digits.labels.len(), 30, 1).map_err(text)?;
    let mut step = 0_u64;
    let found = checkpoints.resume(&method.list(), &mut run![x, method, network, step]);
    let resumed = found.map_err(text)?.map_or(0, |resumed| resumed.step);
    say("open")?;
    let (mut saved, mut refused) = (0_u64, 0_u64);
    while step < steps {
        let classes = Target::Classes(&digits.labels);
        let rows = batches.rows(step);
        let loaded = network
            .net
            .load_rows(digits.inputs.view(), classes, rows, step);
        loaded.map_err(text)?;
        method.step(&mut network, &mut x).map_err(text)?;
        network.seen.clear();
        step += 1;
        let list = method.list();
        match checkpoints.save_every(step, &list, &mut run![x, method, network, step]) {
            Ok(_) => saved += 1,
            Err(Error::Io { .. }) => refused += 1,
            Err(error) => return Err(format!("step {step}: {error}")),
        }
        if lock_after == Some(step) {
            set_read_only(folder)?;
        }
    }
    let digest = Bits::of(&mut [
        ("x", &mut x),
        ("method", &mut method),
        ("network", &mut network),
    ])
    .digest();
    say(&format!("done {digest:032x} {resumed} {saved} {refused}"))
}

fn say(line: &str) -> Result<(), String> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(text)
}

/// So that nothing can be made in it.
pub(crate) fn set_read_only(folder: &Path) -> Result<(), String> {
    let mut permissions = std::fs::metadata(folder).map_err(text)?.permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(folder, permissions).map_err(text)
}
