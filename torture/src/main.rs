//! `cargo xtask torture`.

fn main() -> std::process::ExitCode {
    opt_torture::run()
}
