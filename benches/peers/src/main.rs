//! Our steps and those of other libraries, in turns and in one run: a table of ratios, and
//! `peers.json`. `cargo xtask bench --peers` builds and calls it.

#![allow(clippy::print_stdout)] // the table is its product

mod args;
mod burn;
mod candle;
/// As `cargo bench -p opt-bench --bench conv` has it.
#[path = "../../criterion/convolutional.rs"]
mod convolutional;
mod machine;
mod ours;
mod python;
mod row;
mod run;
mod table;
mod turns;
mod work;

use std::process::ExitCode;

use args::Args;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args_os().skip(1)) {
        Ok(args) => args,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    machine::mend_openblas();
    match run::all(&args) {
        Ok(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
