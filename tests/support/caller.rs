//! `catamaran` as somebody calls it who has no login anywhere.

use std::path::Path;
use std::process::{Command, Output};

/// Exit code, standard output, standard error.
pub type Told = (Option<i32>, String, String);

pub fn told(output: Output) -> Told {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// By somebody whose home is `home`.
pub fn catamaran(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catamaran"));
    command.env("HOME", home);
    for variable in [
        "REGISTRY_AUTH_FILE",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "DOCKER_CONFIG",
    ] {
        command.env_remove(variable);
    }
    command
}
