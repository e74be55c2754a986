//! Images as files: OCI layouts, in a folder or in an archive. What is in those
//! that are written is for [`crate::pure::image`] to say.
//!
//! - [`source`]: how one is written on the command line
//! - [`read`]: a layout and its blobs, verified as they are read
//! - [`survey`]: all that belongs to one image, and what is wrong with it
//! - [`pack`]: a layer, compressed
//! - [`folder`] and [`archive`]: a layout, written; [`whole`]: a file that appears at once

mod pack;
pub mod read;
pub mod source;
pub mod survey;
mod write;

pub use pack::pack;
pub use write::{WriteError, archive, folder, whole};
