//! Images as files: OCI layouts, in a folder or in an archive.
//!
//! - [`source`]: how one is written on the command line
//! - [`read`]: a layout and its blobs, verified as they are read
//! - [`survey`]: all that belongs to one image, and what is wrong with it

pub mod read;
pub mod source;
pub mod survey;
