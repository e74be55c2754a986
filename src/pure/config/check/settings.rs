//! `[checks.NAME.config]`, by the schema that the plugin brings.

use std::slice;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::super::file::PluginConfig;
use super::super::tree::Path;
use super::super::words;
use super::report::Report;

/// Most mistakes that are shown of one check's settings.
const MOST: usize = 20;

/// Report what the schema does not allow; `path` is the check's. A schema that
/// is none is the plugin's fault and only warned of.
pub(super) fn check(config: Option<&PluginConfig>, schema: &str, path: &Path, report: &mut Report<'_>) {
    let (schema, validator) = match read(schema) {
        Ok(read) => read,
        Err(why) => {
            let message = format!("the plugin's configuration schema cannot be used: {why}");
            return report.warn(&path.key("plugin"), message, "ask the plugin's author");
        }
    };
    let place = path.key("config");
    if report.was_refused(&place) {
        return;
    }
    let settings = Value::Object(config.cloned().unwrap_or_default());
    for error in validator.iter_errors(&settings).take(MOST) {
        let at = below(&place, error.instance_path());
        tell(&error, &at, &schema, report);
    }
}

/// The schema, and what holds settings against it. No pattern of a plugin may
/// take long: only those that regular expressions proper have are understood.
fn read(schema: &str) -> Result<(Value, Validator), String> {
    let schema: Value = serde_json::from_str(schema).map_err(|error| error.to_string())?;
    let validator = jsonschema::options()
        .with_pattern_options(PatternOptions::regex().size_limit(1 << 20))
        .build(&schema)
        .map_err(|error| error.to_string())?;
    Ok((schema, validator))
}

fn below(place: &Path, location: &Location) -> Path {
    location.iter().fold(place.clone(), |path, step| match step {
        LocationSegment::Property(key) => path.key(&key),
        LocationSegment::Index(index) => path.index(index),
    })
}

fn tell(error: &ValidationError<'_>, at: &Path, schema: &Value, report: &mut Report<'_>) {
    let help = || described(schema, error.schema_path()).unwrap_or_default();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = known_keys(schema, error.schema_path());
            for key in unexpected {
                let help = unknown_key(key, &known);
                report.wrong_key(&at.key(key), format!("the plugin knows no key {key:?}"), help);
            }
        }
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            report.missing(at, key, "the plugin cannot do without it");
        }
        ValidationErrorKind::Type { kind } => {
            report.wrong(at, format!("the plugin wants {}", types(kind)), help());
        }
        ValidationErrorKind::Enum { .. }
        | ValidationErrorKind::OneOfNotValid { .. }
        | ValidationErrorKind::AnyOf { .. }
            if let Some(options) = options(error) =>
        {
            report.wrong(
                at,
                "the plugin does not know this value",
                one_of(error.instance(), &options),
            );
        }
        ValidationErrorKind::Pattern { pattern } => {
            let message = format!("the plugin wants text of the form {pattern}");
            report.wrong(at, message, help());
        }
        // Their words name the value and the limit.
        _ => report.wrong(at, format!("the plugin does not take this: {error}"), help()),
    }
}

/// The values that would have done, where there are just some; how schemas are made out of types
/// says whether they are in one `enum` or each a `const` of its own, with a description.
fn options(error: &ValidationError<'_>) -> Option<Vec<Value>> {
    match error.kind() {
        ValidationErrorKind::Enum { options } => options.as_array().cloned(),
        ValidationErrorKind::Constant { expected_value } => Some(vec![Value::clone(expected_value)]),
        ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
            let of_branch = |errors: &Vec<ValidationError<'_>>| errors.iter().find_map(options);
            let branches = context.iter().map(of_branch);
            Some(branches.collect::<Option<Vec<_>>>()?.concat())
        }
        _ => None,
    }
}

fn one_of(written: &Value, options: &[Value]) -> String {
    let words = options.iter().filter_map(Value::as_str);
    match written.as_str().and_then(|written| words::meant(written, words)) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => {
            let options: Vec<_> = options.iter().map(Value::to_string).collect();
            format!("write one of {}", options.join(", "))
        }
    }
}

/// What the schema says of the value whose keyword stands at `place`.
fn described(schema: &Value, place: &Location) -> Option<String> {
    let (parent, _) = place.as_str().rsplit_once('/')?;
    let (_, name) = parent.rsplit_once('/')?;
    let text = schema.pointer(parent)?.get("description")?.as_str()?;
    Some(format!("`{name}`: {text}"))
}

/// The keys of the object whose `additionalProperties` stands at `place`.
fn known_keys(schema: &Value, place: &Location) -> Vec<String> {
    let place = place.as_str();
    let parent = place.rsplit_once('/').map_or("", |(parent, _)| parent);
    let properties = schema.pointer(&format!("{parent}/properties"));
    let properties = properties.and_then(Value::as_object);
    properties
        .into_iter()
        .flat_map(|keys| keys.keys().cloned())
        .collect()
}

fn unknown_key(key: &str, known: &[String]) -> String {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    match (words::meant(key, known.iter().copied()), known.is_empty()) {
        (Some(meant), _) => format!("did you mean {meant:?}?"),
        (None, true) => "remove it".into(),
        (None, false) => format!("its keys: {}", super::checks::quoted(&known)),
    }
}

fn types(kind: &TypeKind) -> String {
    let types = match kind {
        TypeKind::Single(one) => slice::from_ref(one).to_vec(),
        TypeKind::Multiple(many) => many.iter().collect(),
    };
    let words: Vec<_> = types.iter().filter_map(|kind| word(&kind.to_string())).collect();
    words.join(" or ")
}

/// What the document's readers call it; they never write `null`.
fn word(json: &str) -> Option<String> {
    let word = match json {
        "null" => return None,
        "string" => "text in quotes",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        other => other,
    };
    Some(word.into())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::{Format, PluginSource, Plugins, Schema, Severity};

    /// One plugin with this schema.
    struct Brings(&'static str);

    impl Plugins for Brings {
        fn standard(&self) -> &[&str] {
            &["it"]
        }

        fn schema(&self, plugin: &PluginSource, _: Option<&Path>) -> Schema {
            match plugin {
                PluginSource::Standard(name) if name == "it" => Schema::Text(self.0.into()),
                _ => Schema::None,
            }
        }
    }

    const SCHEMA: &str = r#"{
        "type": "object",
        "properties": {
            "path": {"type": "string", "pattern": "^/", "description": "Where to ask."},
            "role": {"enum": ["primary", "standby"]},
            "alarm": {"oneOf": [{"const": "NOSPACE", "type": "string"}, {"const": "CORRUPT", "type": "string"}]},
            "steps": {"type": "array", "items": {"type": "object", "properties": {"send": {"type": ["string", "null"]}}}},
            "retries": {"type": "integer", "maximum": 5}
        },
        "required": ["path"],
        "additionalProperties": false
    }"#;

    /// Line, column, and what is said there.
    fn told(schema: &'static str, config: &str) -> Vec<String> {
        let document = format!(
            "[listeners.a]\nbind = ['*:1']\npool = 'a'\n[pools.a]\ncheck = 'c'\nendpoints = {{ e = '192.0.2.1:1' }}\n\
             [checks.c]\nplugin = 'it'\n{config}"
        );
        let (mistakes, severity) = match super::super::check(&document, Format::Toml, &Brings(schema)) {
            Ok(checked) => (checked.warnings, Severity::Warning),
            Err(refused) => (refused.mistakes, Severity::Mistake),
        };
        mistakes
            .iter()
            .map(|mistake| mistake.render("x", severity))
            .collect()
    }

    #[test]
    fn good_settings_pass() {
        let config = "config = { path = '/x', role = 'primary', steps = [{ send = 'x' }], retries = 5 }";
        assert_eq!(told(SCHEMA, config), [""; 0]);
    }

    #[test]
    fn each_mistake_is_told_at_its_place() {
        let config = "[checks.c.config]\npath = 'x'\nrol = 'primary'\nsteps = [{ send = 1 }]\nretries = 6\n";
        let told = told(SCHEMA, config).join("\n");
        for (place, text) in [
            ("x:10:8", "the plugin wants text of the form ^/"),
            ("x:11:1", "the plugin knows no key \"rol\""),
            ("x:12:19", "the plugin wants text in quotes"),
            ("x:13:11", "6 is greater than the maximum of 5"),
        ] {
            let line = told.lines().find(|line| line.contains(place));
            assert!(line.is_some() && told.contains(text), "{place} {text}\n{told}");
        }
        assert!(
            told.contains("did you mean \"role\"?") && told.contains("`path`: Where to ask."),
            "{told}"
        );
    }

    #[test]
    fn missing_key_is_told_where_the_check_is() {
        let [told] = &told(SCHEMA, "")[..] else { panic!() };
        assert!(
            told.contains("`path` is missing") && told.contains("x:7:"),
            "{told}"
        );
    }

    #[test]
    fn value_that_is_none_of_several_is_told_with_them() {
        for (setting, help) in [
            ("role = 'main'", "write one of \"primary\", \"standby\""),
            ("role = 'primry'", "did you mean \"primary\"?"),
            ("alarm = 'FULL'", "write one of \"NOSPACE\", \"CORRUPT\""),
            ("alarm = 'CORUPT'", "did you mean \"CORRUPT\"?"),
            ("alarm = 1", "write one of \"NOSPACE\", \"CORRUPT\""),
        ] {
            let told = told(SCHEMA, &format!("config = {{ path = '/', {setting} }}")).join("");
            assert!(told.contains("the plugin does not know this value"), "{told}");
            assert!(told.contains(help), "{told}");
        }
    }

    #[test]
    fn schema_that_is_none_is_warned_of() {
        for schema in [
            "{",
            r#"{"type": "tabel"}"#,
            r#"{"$ref": "https://example.org/schema"}"#,
            r#"{"pattern": "("}"#,
        ] {
            let told = told(schema, "config = { path = 1 }").join("");
            assert!(
                told.contains("the plugin's configuration schema cannot be used"),
                "{schema}\n{told}"
            );
        }
    }
}
