//! One file per subcommand: its flags (`Args`) and what it does (`run`).

pub mod check;
pub mod plugin;
pub mod schema;
