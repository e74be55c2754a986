//! Processes in a host, which end with their handle.

use std::io;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

use super::world::Host;

/// Start a process in a host; call it in a runtime, which then waits for it.
///
/// # Errors
/// When it cannot be had.
pub fn start(host: &Host, command: &mut Command) -> io::Result<Child> {
    command.kill_on_drop(true);
    let runtime = Handle::current();
    host.within(|| {
        let _runtime = runtime.enter();
        command.spawn()
    })
}

/// Send it a signal.
///
/// # Errors
/// When it runs no more.
pub fn signal(child: &Child, signal: Signal) -> Result<(), String> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.ok_or("does not run")?;
    kill(Pid::from_raw(pid), signal).map_err(|error| error.to_string())
}
