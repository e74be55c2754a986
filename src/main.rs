//! Words from the shell in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    catamaran::cli::run()
}
