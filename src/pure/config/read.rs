//! Tree → [`File`]: serde stops at the first thing that is wrong, so what is
//! wrong is reported, mended or taken out of the tree, and the reading starts
//! again.

use serde::Deserialize;

use super::de::{Kind, Refusal, one_of};
use super::file::File;
use super::mistake::Fault;
use super::tree::{Node, Path, Step};
use super::words;

/// What could be read.
pub(super) struct Reading {
    pub file: File,
    /// The tree without what was wrong in it.
    pub tree: Node,
    /// Where something was taken out, so that nobody reports it missing.
    pub refused: Vec<Path>,
    pub faults: Vec<Fault>,
}

/// Most mistakes of this kind that are looked for: each costs a reading.
const MOST_FAULTS: usize = 100;

pub(super) fn read(mut tree: Node) -> Reading {
    let mut faults = Vec::new();
    let mut refused = Vec::new();
    loop {
        let refusal = match File::deserialize(&tree) {
            Ok(file) => {
                return Reading {
                    file,
                    tree,
                    refused,
                    faults,
                };
            }
            Err(refusal) => refusal,
        };
        let path = refusal.path();
        if faults.len() == MOST_FAULTS {
            let note = format!("there are more mistakes; the first {MOST_FAULTS} are shown");
            faults.push(Fault::at(tree.span_of(&path), note).path(&path));
            refused.push(Path::default());
            return unreadable(tree, refused, faults);
        }
        faults.push(fault(&refusal, &tree, &path));
        if mend(&refusal, &mut tree, &path) {
            continue;
        }
        if !tree.remove(&path) {
            refused.push(Path::default());
            return unreadable(tree, refused, faults);
        }
        refused.push(holder(path));
    }
}

/// Nothing more can be said about this document.
fn unreadable(tree: Node, refused: Vec<Path>, faults: Vec<Fault>) -> Reading {
    Reading {
        file: File::default(),
        tree,
        refused,
        faults,
    }
}

/// Elements of a list move when one is taken out: then it is the list.
fn holder(path: Path) -> Path {
    let steps = path.0.into_iter().take_while(|step| matches!(step, Step::Key(_)));
    Path(steps.collect())
}

/// Reads a misspelt key as the one that was meant, so that what is below it is
/// looked at too, and nobody misses it.
fn mend(refusal: &Refusal, tree: &mut Node, path: &Path) -> bool {
    match &refusal.kind {
        Kind::UnknownKey { key, known } => {
            words::nearest(key, known.iter().copied()).is_some_and(|meant| tree.rename(path, meant))
        }
        _ => false,
    }
}

fn fault(refusal: &Refusal, tree: &Node, path: &Path) -> Fault {
    let here = tree.span_of(path);
    match &refusal.kind {
        Kind::UnknownKey { key, known } => Fault::at(tree.key_span_of(path), unknown_key(key, known))
            .help(format!("known keys here: {}", known_keys(known))),
        Kind::UnknownWord { word, known } => {
            let fault = Fault::at(
                here,
                format!("{word:?} has no meaning here, expected {}", one_of(known)),
            );
            match words::meant(word, known.iter().copied()) {
                Some(meant) => fault.help(format!("did you mean {meant:?}?")),
                None => fault,
            }
        }
        Kind::WrongType { found, expected } => {
            let fault = Fault::at(here.clone(), format!("expected {expected}, found {found}"));
            match correction(found, expected) {
                Some(help) => fault.help(help),
                None => fault,
            }
        }
        Kind::Other(text) => match text.split_once('\n') {
            Some((message, help)) => Fault::at(here, message).help(help),
            None => Fault::at(here, text),
        },
    }
    .path(path)
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    match words::meant(key, known.iter().copied()) {
        Some(meant) => format!("unknown key `{key}`; did you mean `{meant}`?"),
        None => format!("unknown key `{key}`"),
    }
}

fn known_keys(known: &[&str]) -> String {
    let shown: Vec<&str> = known
        .iter()
        .copied()
        .filter(|key| !key.starts_with('$'))
        .collect();
    shown.join(", ")
}

/// The right form where it follows from the wrong one.
fn correction(found: &str, expected: &str) -> Option<String> {
    let text = found.strip_prefix("the text ");
    let bare = text.map(|text| text.trim_matches('"'));
    match (expected, text, bare) {
        ("a list", Some(text), _) => Some(format!("write [{text}]")),
        ("a whole number", _, Some(bare)) if bare.parse::<i64>().is_ok() => {
            Some(format!("write {bare} without quotes"))
        }
        ("true or false", _, Some("true" | "yes" | "on" | "1")) => Some("write true without quotes".into()),
        ("true or false", _, Some("false" | "no" | "off" | "0")) => Some("write false without quotes".into()),
        _ => None,
    }
}
