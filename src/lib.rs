//! Catamaran: an L4 load balancer in one static binary, with health checks as
//! WebAssembly plugins.
//!
//! The map, floor by floor; a room imports only from below, and
//! `tests/architecture.rs` holds that:
//!
//! ```text
//!  cli         words from the shell in, exit code out
//!  commands    one file per subcommand
//!  app         the one composition: builds, connects, starts, reloads, drains
//!  shell       acts: sockets, tasks, time, plugins, files
//!  pure        decides: values in, values out
//! ```

pub mod app;
pub mod cli;
pub mod commands;
pub mod pure;
pub mod shell;
