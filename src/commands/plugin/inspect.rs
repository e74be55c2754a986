//! `catamaran plugin inspect`: what a plugin is and what it would be allowed.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::pure::anatomy::Anatomy;
use crate::pure::component::{SCHEMA_SECTION, custom_section};
use crate::pure::config::units::Size;
use crate::pure::config::{USUAL_MEMORY, USUAL_PLUGIN_MEMORY};
use crate::pure::digest::sha256;
use crate::shell::plugin_store;
use crate::shell::wasm::{Grant, Host, grant};

/// What is looked at.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The component
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Look at a plugin; the report, and whether it would be loaded.
///
/// # Errors
/// When the file cannot be read, or is no component.
pub fn run(args: &Args) -> Result<(String, bool), String> {
    let bytes = plugin_store::read_file(&args.file, None).map_err(|error| error.to_string())?;
    let anatomy = Anatomy::read(&bytes).map_err(|why| format!("{}: {why}", args.file.display()))?;
    let loads = Host::new(None, USUAL_PLUGIN_MEMORY)?
        .load(&bytes, USUAL_MEMORY, &mut |_| {})
        .map(drop);
    let schema = custom_section(&bytes, SCHEMA_SECTION);
    let schema = schema.map(|text| serde_json::from_slice(text).unwrap_or(Value::Null));
    let found = Found {
        name: args.file.display().to_string(),
        size: bytes.len(),
        digest: sha256(&bytes).to_string(),
        anatomy,
        schema,
        loads,
    };
    let report = match args.json {
        true => format!("{:#}\n", found.json()),
        false => found.text(),
    };
    Ok((report, found.loads.is_ok()))
}

struct Found {
    name: String,
    size: usize,
    digest: String,
    anatomy: Anatomy,
    schema: Option<Value>,
    loads: Result<(), String>,
}

impl Found {
    fn json(&self) -> Value {
        let anatomy = &self.anatomy;
        let imports: Vec<Value> = anatomy
            .imports
            .iter()
            .map(|import| {
                let (word, text) = granted(import);
                json!({ "name": import, "grant": word, "what": text })
            })
            .collect();
        let producers: serde_json::Map<String, Value> = anatomy
            .producers
            .iter()
            .map(|(kind, tools)| {
                let tools = tools
                    .iter()
                    .map(|(tool, version)| json!({ "name": tool, "version": version }));
                (kind.clone(), tools.collect())
            })
            .collect();
        json!({
            "file": self.name,
            "bytes": self.size,
            "digest": self.digest,
            "contract": anatomy.contract(),
            "world": anatomy.world(),
            "memory-bytes": anatomy.memory,
            "imports": imports,
            "exports": anatomy.exports,
            "producers": producers,
            "config-schema": self.schema,
            "loads": self.loads.is_ok(),
            "why-not": self.loads.as_ref().err(),
        })
    }

    fn text(&self) -> String {
        let anatomy = &self.anatomy;
        let mut text = format!("{}\n", self.name);
        let mut line = |key: &str, value: String| {
            let _ = writeln!(text, "  {key:<10}{value}");
        };
        line("size", format!("{} bytes", self.size));
        line("digest", self.digest.clone());
        let version = anatomy.contract().unwrap_or("none imported");
        line("contract", format!("{version}, world {}", anatomy.world()));
        for (kind, tools) in &anatomy.producers {
            let tools = tools
                .iter()
                .map(|(tool, version)| format!("{tool} {version}").trim().to_owned());
            let key = if kind == "processed-by" { "made by" } else { kind };
            line(key, tools.collect::<Vec<_>>().join(", "));
        }
        line(
            "memory",
            format!(
                "{} to begin with; a check has {} unless its `memory` says otherwise",
                mebibytes(anatomy.memory),
                Size(USUAL_MEMORY)
            ),
        );
        text.push_str("imports\n");
        let widest = anatomy.imports.iter().map(String::len).max().unwrap_or(0);
        for import in &anatomy.imports {
            let (word, what) = granted(import);
            let _ = writeln!(text, "  {import:widest$}  {word:7}  {what}");
        }
        let _ = writeln!(text, "exports\n  {}", anatomy.exports.join("\n  "));
        text.push_str("configuration\n");
        text.push_str(&self.settings());
        let _ = match &self.loads {
            Ok(()) => writeln!(text, "loads: yes"),
            Err(why) => writeln!(text, "loads: no: {why}"),
        };
        text
    }

    /// The schema's keys as a table.
    fn settings(&self) -> String {
        let Some(schema) = &self.schema else {
            return "  no schema: `catamaran check` cannot look at its settings\n".into();
        };
        let Some(properties) = schema["properties"].as_object() else {
            return "  a schema without a list of keys\n".into();
        };
        let required = |key: &str| {
            let list = schema["required"].as_array();
            list.is_some_and(|list| list.iter().any(|name| name == key))
        };
        let mut rows = vec![["key", "type", "default", ""].map(String::from)];
        rows.extend(properties.iter().map(|(key, value)| {
            let default = match value.get("default") {
                _ if required(key) => "required".into(),
                None | Some(Value::Null) => "none".into(),
                Some(default) => default.to_string(),
            };
            let what = value["description"].as_str().unwrap_or_default();
            [key.clone(), kinds(value), default, what.replace('\n', " ")]
        }));
        let width = |column: usize| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let (first, second, third) = (width(0), width(1), width(2));
        let line = |[key, kind, default, what]: &[String; 4]| {
            let line = format!("  {key:first$}  {kind:second$}  {default:third$}  {what}");
            line.trim_end().to_owned() + "\n"
        };
        rows.iter().map(line).collect()
    }
}

/// What a value may be; `null` only says that it may be left out.
fn kinds(value: &Value) -> String {
    let kinds: Vec<_> = match &value["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .filter(|kind| *kind != "null")
            .collect(),
        _ => vec!["any"],
    };
    kinds.join(" or ")
}

/// What an import gives, in a word and a sentence.
fn granted(import: &str) -> (&'static str, String) {
    match grant(import) {
        Ok(Grant::Served(what)) => ("served", what.to_owned()),
        Ok(Grant::Empty(what)) => ("empty", what.to_owned()),
        Err(why) => ("refused", why),
    }
}

/// Bytes in MiB, with a decimal.
pub fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_never_told_too_small() {
        assert_eq!(mebibytes(0), "0.0 MiB");
        assert_eq!(mebibytes(17 * 65_536), "1.1 MiB");
        assert_eq!(mebibytes(16 << 20), "16.0 MiB");
    }

    #[test]
    fn imports_are_explained() {
        assert_eq!(granted("wasi:filesystem/types@0.2.9").0, "empty");
        assert_eq!(granted("catamaran:health/http@1.0.0").0, "served");
        assert_eq!(granted("wasi:nn/graph@0.2.0").0, "refused");
    }
}
