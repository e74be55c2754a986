//! The JSON Schema of a check's settings, for the check's own tests.

use std::path::Path;
use std::{env, fs};

use schemars::{JsonSchema, schema_for};
use serde_json::Value;

/// Compare `config.schema.json` in `folder` with the schema of `C`; with the
/// environment variable `BLESS` set, write it.
///
/// ```no_run
/// # #[derive(schemars::JsonSchema)] struct Ready;
/// // #[test]
/// fn schema_is_that_of_the_settings() {
///     catamaran_check::schema::compare::<Ready>(env!("CARGO_MANIFEST_DIR"));
/// }
/// ```
///
/// # Panics
///
/// When they differ, or the file cannot be read or written.
pub fn compare<C: JsonSchema>(folder: impl AsRef<Path>) {
    let path = folder.as_ref().join("config.schema.json");
    let schema = schema_for!(C).to_value();
    // Not the text: the order of an object's members hangs on how serde_json was built.
    let written = || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };
    if env::var_os("BLESS").is_some() && written() != schema {
        let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        fs::write(&path, text).expect("a folder that can be written");
    }
    assert_eq!(
        written(),
        schema,
        "{} is not the schema of the settings; run the test with BLESS=1",
        path.display()
    );
}
