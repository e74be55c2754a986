//! Telling the cores that there are connections to reset.

use tokio::sync::watch;

/// Tells the cores; a copy tells the same ones.
#[derive(Clone, Default)]
pub struct Resets {
    cores: watch::Sender<()>,
}

impl Resets {
    /// Let every core look which of its connections are ordered to end.
    pub fn carry_out(&self) {
        self.cores.send_replace(());
    }

    /// What a core listens to.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.cores.subscribe()
    }
}
