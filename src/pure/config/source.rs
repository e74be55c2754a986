//! Text → tree, for TOML and for JSON.
//!
//! JSON is read strictly (no comments, no trailing commas): what we take, every
//! other JSON tool takes too.

use std::collections::HashSet;

use jsonc_parser::ast;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::Fault;
use super::tree::{Entry, Node, Path, Span, Value};

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Toml,
    /// For machines.
    Json,
}

impl Format {
    /// By the extension of the file's name; without a known one by the first
    /// character of the text, which is `{` in JSON and never in TOML.
    pub fn of(extension: Option<&str>, text: &str) -> Self {
        match extension {
            Some(e) if e.eq_ignore_ascii_case("toml") => Self::Toml,
            Some(e) if e.eq_ignore_ascii_case("json") => Self::Json,
            _ if text.trim_start_matches('\u{feff}').trim_start().starts_with('{') => Self::Json,
            _ => Self::Toml,
        }
    }
}

/// A tree and what is wrong with it so far, or what is wrong with the text if
/// it is not TOML or JSON at all.
pub(super) fn parse(text: &str, format: Format) -> Result<(Node, Vec<Fault>), Vec<Fault>> {
    match format {
        Format::Toml => parse_toml(text),
        Format::Json => parse_json(text),
    }
}

/// What the TOML parser says of a key that is there twice: the one mistake of
/// syntax after which the rest of the tree can still be trusted.
const TOML_DUPLICATE: &str = "duplicate key";

fn parse_toml(text: &str) -> Result<(Node, Vec<Fault>), Vec<Fault>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let only_duplicates = errors.iter().all(|error| error.message() == TOML_DUPLICATE);
    let mut faults: Vec<Fault> = errors.iter().map(|error| toml_fault(error, text)).collect();
    if !only_duplicates {
        // Recovery after a slip often stumbles again on the same line.
        let line = |fault: &Fault| {
            text.as_bytes()[..fault.span.start.min(text.len())]
                .iter()
                .filter(|b| **b == b'\n')
                .count()
        };
        faults.sort_by_key(|fault| fault.span.start);
        faults.dedup_by_key(|fault| line(fault));
        return Err(faults);
    }
    let span = table.span();
    let mut reader = Reader { faults };
    let value = reader.toml_table(table.into_inner(), &Path::default());
    Ok((Node { span, value }, reader.faults))
}

fn toml_fault(error: &toml::de::Error, text: &str) -> Fault {
    let span = error.span().unwrap_or(0..0);
    if error.message() == TOML_DUPLICATE {
        return Fault::at(span, "this key is already there")
            .help("every key may be written once; remove one of the two");
    }
    if error.message().starts_with("string values must be quoted") {
        let word = text.get(span.clone()).unwrap_or_default().trim();
        let help = format!("write {word:?}");
        return Fault::at(span, "this is not TOML: text must be in quotes").help(help);
    }
    let message = error.message().trim().replace('\n', "; ");
    Fault::at(span, format!("this is not TOML: {message}"))
}

fn parse_json(text: &str) -> Result<(Node, Vec<Fault>), Vec<Fault>> {
    // The parser knows no byte order mark; as many spaces keep every place right.
    let stripped = text.strip_prefix('\u{feff}').map(|rest| format!("   {rest}"));
    let text = stripped.as_deref().unwrap_or(text);
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &strict).map_err(|error| {
        let kind = error.kind().to_string();
        let range = error.range();
        vec![Fault::at(
            range.start..range.end,
            format!("this is not JSON: {}", lower_first(&kind)),
        )]
    })?;
    let Some(ast::Value::Object(object)) = parsed.value else {
        return Err(vec![
            Fault::at(0..0, "the document must be one JSON object")
                .help("write { \"listeners\": …, \"pools\": … }"),
        ]);
    };
    let span = object.range.start..object.range.end;
    let mut reader = Reader { faults: Vec::new() };
    let value = reader.json_object(object, &Path::default());
    Ok((Node { span, value }, reader.faults))
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Turns either parser's tree into ours; a value that has no place in ours is
/// left out and becomes a fault.
struct Reader {
    faults: Vec<Fault>,
}

impl Reader {
    fn toml_table(&mut self, table: DeTable<'_>, path: &Path) -> Value {
        let mut entries: Vec<Entry> = table
            .into_iter()
            .filter_map(|(key, value)| {
                let key_span = key.span();
                let key = key.into_inner().into_owned();
                let node = self.toml_value(value, &path.key(&key))?;
                Some(Entry { key, key_span, node })
            })
            .collect();
        // The parser sorts by name; we want the document's order.
        entries.sort_by_key(|entry| entry.key_span.start);
        Value::Table(entries)
    }

    fn toml_value(&mut self, value: Spanned<DeValue<'_>>, path: &Path) -> Option<Node> {
        let span = value.span();
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Boolean(value) => Value::Bool(value),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(value) => Value::Integer(value),
                Err(_) => return self.leave_out(span, path, TOO_LARGE),
            },
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(value) if value.is_finite() => Value::Float(value),
                _ => return self.leave_out(span, path, TOO_LARGE),
            },
            DeValue::Datetime(_) => {
                return self.leave_out(
                    span,
                    path,
                    "nothing in the document is a date; text is written in quotes",
                );
            }
            DeValue::Array(array) => Value::List(
                array
                    .into_iter()
                    .enumerate()
                    .filter_map(|(index, element)| self.toml_value(element, &path.index(index)))
                    .collect(),
            ),
            DeValue::Table(table) => self.toml_table(table, path),
        };
        Some(Node { span, value })
    }

    fn json_object(&mut self, object: ast::Object<'_>, path: &Path) -> Value {
        let mut seen = HashSet::new();
        let mut entries = Vec::new();
        for property in object.properties {
            let (range, key) = match property.name {
                ast::ObjectPropName::String(name) => (name.range, name.value.into_owned()),
                ast::ObjectPropName::Word(name) => (name.range, name.value.to_string()),
            };
            let key_span = range.start..range.end;
            let path = path.key(&key);
            if !seen.insert(key.clone()) {
                let fault = Fault::at(key_span, "this key is already there")
                    .help("every key may be written once; remove one of the two");
                self.faults.push(fault.path(&path));
                continue;
            }
            if matches!(property.value, ast::Value::NullKeyword(_)) {
                continue;
            }
            if let Some(node) = self.json_value(property.value, &path) {
                entries.push(Entry { key, key_span, node });
            }
        }
        Value::Table(entries)
    }

    fn json_value(&mut self, value: ast::Value<'_>, path: &Path) -> Option<Node> {
        let (range, value) = match value {
            ast::Value::StringLit(text) => (text.range, Value::Text(text.value.into_owned())),
            ast::Value::BooleanLit(literal) => (literal.range, Value::Bool(literal.value)),
            ast::Value::NumberLit(number) => match json_number(number.value) {
                Some(value) => (number.range, value),
                None => return self.leave_out(number.range.start..number.range.end, path, TOO_LARGE),
            },
            ast::Value::NullKeyword(null) => {
                let span = null.range.start..null.range.end;
                return self.leave_out(span, path, "null has no meaning in a list; remove it");
            }
            ast::Value::Array(array) => {
                let elements = array.elements.into_iter().enumerate();
                let nodes = elements
                    .filter_map(|(index, element)| self.json_value(element, &path.index(index)))
                    .collect();
                (array.range, Value::List(nodes))
            }
            ast::Value::Object(object) => (object.range, self.json_object(object, path)),
        };
        Some(Node {
            span: range.start..range.end,
            value,
        })
    }

    fn leave_out(&mut self, span: Span, path: &Path, message: &str) -> Option<Node> {
        self.faults.push(Fault::at(span, message).path(path));
        None
    }
}

const TOO_LARGE: &str = "this number is too large";

fn json_number(text: &str) -> Option<Value> {
    if text.contains(['.', 'e', 'E']) {
        let value: f64 = text.parse().ok()?;
        return value.is_finite().then_some(Value::Float(value));
    }
    text.parse().ok().map(Value::Integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_follows_the_extension_and_then_the_first_character() {
        assert_eq!(Format::of(Some("toml"), "{}"), Format::Toml);
        assert_eq!(Format::of(Some("JSON"), ""), Format::Json);
        assert_eq!(Format::of(None, "\u{feff} \n{}"), Format::Json);
        assert_eq!(Format::of(Some("conf"), "[nodes]"), Format::Toml);
    }

    #[test]
    fn toml_entries_keep_the_order_of_the_document() {
        let (node, faults) = parse("[z.b]\n[a]\n[z.a]\n", Format::Toml).unwrap();
        let keys = |node: &Node| node.entries().iter().map(|e| e.key.clone()).collect::<Vec<_>>();
        assert!(faults.is_empty());
        assert_eq!(keys(&node), ["z", "a"]);
        assert_eq!(keys(&node.entries()[0].node), ["b", "a"]);
    }

    #[test]
    fn json_null_is_the_same_as_leaving_the_key_out() {
        let (node, faults) = parse(r#"{"a": null, "b": 1}"#, Format::Json).unwrap();
        assert!(faults.is_empty());
        assert_eq!(node.entries().len(), 1);
    }

    #[test]
    fn json_with_comments_or_trailing_commas_is_refused() {
        assert!(parse("{ // no\n}", Format::Json).is_err());
        assert!(parse(r#"{"a": [1,]}"#, Format::Json).is_err());
        assert!(parse(r#"{"a": 1,}"#, Format::Json).is_err());
        assert!(parse(r#"{a: 1}"#, Format::Json).is_err());
        assert!(parse("", Format::Json).is_err());
    }
}
