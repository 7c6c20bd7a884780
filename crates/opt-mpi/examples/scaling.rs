//! What ranks cost, and that they train the same network: started by `cargo xtask bench --ranks N`.
//!
//! First by itself, `scaling alone --parts N --out DIR`: the runs of one process with the whole
//! minibatch, and of one that sums over the parts that N ranks would have. Then under `mpirun -n N`,
//! `scaling ranks --out DIR`: the same runs on N ranks, and how they compare.

#![allow(clippy::print_stdout)] // what an example is for

mod scaling {
    pub(crate) mod paper;
    pub(crate) mod runs;
    pub(crate) mod sums;
}

use std::path::PathBuf;
use std::process::ExitCode;

use scaling::runs::{Failure, alone, together};

struct Args {
    command: String,
    parts: usize,
    updates: u64,
    out: PathBuf,
}

fn args() -> Result<Args, Failure> {
    let mut all = std::env::args().skip(1);
    let mut args = Args {
        command: all.next().unwrap_or_default(),
        parts: 2,
        updates: 20,
        out: PathBuf::from("target/bench"),
    };
    while let Some(name) = all.next() {
        let value = all.next().ok_or_else(|| format!("{name} needs a value"))?;
        match &*name {
            "--parts" => args.parts = value.parse()?,
            "--updates" => args.updates = value.parse()?,
            "--out" => args.out = value.into(),
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(args)
}

fn run() -> Result<(), Failure> {
    let args = args()?;
    match &*args.command {
        "alone" => alone(args.parts, args.updates, &args.out),
        "ranks" => opt_mpi::run(|ranks| together(ranks, args.updates, &args.out)),
        other => Err(format!("`{other}`: must be `alone` or `ranks`").into()),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scaling: {error}");
            ExitCode::FAILURE
        }
    }
}
