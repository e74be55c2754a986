//! The JSON Schema of the document, from the types that read it.

use super::file::File;

/// JSON text, the same each time, with a line feed at the end.
pub fn schema() -> String {
    let schema = schemars::schema_for!(File);
    format!("{:#}\n", schema.as_value())
}
