//! The document as a tree: what TOML and JSON have in common, with the place
//! of every key and value in the text.

use std::fmt;
use std::ops::Range;

/// Bytes of the text.
pub(super) type Span = Range<usize>;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub span: Span,
    pub value: Value,
}

/// What a document can hold. JSON's `null` is the same as leaving the key
/// out, so that it does not get this far.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key and its value. The entries of a table are in document order, and no
/// two of them have the same key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub key_span: Span,
    pub node: Node,
}

impl Node {
    /// The entries of a table; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The entry at `path`, or the element, as far down as the path exists:
    /// the place to point at when something is missing.
    fn nearest(&self, path: &Path) -> Found<'_> {
        let mut found = Found {
            key_span: None,
            node: self,
            complete: true,
        };
        for step in &path.0 {
            let next = match step {
                Step::Key(key) => found.node.entry(key).map(|e| (Some(&e.key_span), &e.node)),
                Step::Index(index) => found.node.element(*index).map(|n| (None, n)),
            };
            match next {
                Some((key_span, node)) => {
                    found.key_span = key_span;
                    found.node = node;
                }
                None => {
                    found.complete = false;
                    break;
                }
            }
        }
        found
    }

    /// Where to point when the value at `path` is wrong. A table is shown by
    /// its key, as the whole of it is too much to underline.
    pub fn span_of(&self, path: &Path) -> Span {
        let found = self.nearest(path);
        match (found.key_span, &found.node.value) {
            (Some(key_span), Value::Table(_)) => key_span.clone(),
            (Some(key_span), _) if !found.complete => key_span.clone(),
            (None, Value::Table(_)) if path.0.is_empty() || !found.complete => 0..0,
            _ => found.node.span.clone(),
        }
    }

    /// Where to point when the key at `path` is wrong.
    pub fn key_span_of(&self, path: &Path) -> Span {
        match self.nearest(path).key_span {
            Some(span) => span.clone(),
            None => self.span_of(path),
        }
    }

    /// Whether the document has something at `path`.
    pub fn has(&self, path: &Path) -> bool {
        self.nearest(path).complete
    }

    /// Takes out the entry or element at `path`.
    pub fn remove(&mut self, path: &Path) -> bool {
        let Some((last, parents)) = path.0.split_last() else {
            return false;
        };
        let Some(parent) = self.descend(parents) else {
            return false;
        };
        match (last, &mut parent.value) {
            (Step::Key(key), Value::Table(entries)) => {
                let before = entries.len();
                entries.retain(|entry| entry.key != *key);
                entries.len() < before
            }
            (Step::Index(index), Value::List(nodes)) if *index < nodes.len() => {
                nodes.remove(*index);
                true
            }
            _ => false,
        }
    }

    /// Gives the key at `path` another name, unless its table has that already.
    pub fn rename(&mut self, path: &Path, name: &str) -> bool {
        let Some((Step::Key(key), parents)) = path.0.split_last() else {
            return false;
        };
        let Some(Value::Table(entries)) = self.descend(parents).map(|node| &mut node.value) else {
            return false;
        };
        if entries.iter().any(|entry| entry.key == name) {
            return false;
        }
        match entries.iter_mut().find(|entry| entry.key == *key) {
            Some(entry) => entry.key = name.to_string(),
            None => return false,
        }
        true
    }

    fn descend(&mut self, steps: &[Step]) -> Option<&mut Node> {
        let mut node = self;
        for step in steps {
            node = match (step, &mut node.value) {
                (Step::Key(key), Value::Table(entries)) => {
                    &mut entries.iter_mut().find(|entry| entry.key == *key)?.node
                }
                (Step::Index(index), Value::List(nodes)) => nodes.get_mut(*index)?,
                _ => return None,
            };
        }
        Some(node)
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    fn element(&self, index: usize) -> Option<&Node> {
        match &self.value {
            Value::List(nodes) => nodes.get(index),
            _ => None,
        }
    }
}

struct Found<'a> {
    key_span: Option<&'a Span>,
    node: &'a Node,
    complete: bool,
}

/// The way to a value: `pools.apiserver.endpoints.master1`, `bind[0]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(pub Vec<Step>);

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    pub fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_string()))
    }

    pub fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    /// Whether this is `other` or below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let dot = if position > 0 { "." } else { "" };
                    if is_bare(key) {
                        write!(f, "{dot}{key}")?;
                    } else {
                        write!(f, "{dot}{key:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether TOML takes the key without quotes.
fn is_bare(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_quotes_keys_that_are_not_bare() {
        let path = Path::default().key("pools").key("a.b").key("bind").index(3);
        assert_eq!(path.to_string(), r#"pools."a.b".bind[3]"#);
    }
}
