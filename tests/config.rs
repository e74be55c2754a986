//! The document, from outside: every file in `tests/config/valid` is good and
//! says what its `.effective.toml` says; every file in `tests/config/invalid`
//! is refused with exactly the words in its `.err`. `BLESS=1` writes both anew:
//! read what it wrote.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use catamaran::pure::config::{Checked, Format, Refused, Severity, check, effective, schema};

const STANDARD: [&str; 4] = ["tcp", "http", "apiserver-healthz", "tls-handshake"];

#[test]
fn every_valid_document_says_what_is_expected() {
    let mut wrong = Vec::new();
    for path in documents("valid") {
        let checked = read(&path).unwrap_or_else(|refused| panic!("{}", render(&path, &refused)));
        let mut shown = effective(&checked.config, Format::Toml).unwrap();
        for warning in &checked.warnings {
            let text = warning.render(&file_name(&path), Severity::Warning);
            shown += &text.lines().map(|line| format!("\n# {line}")).collect::<String>();
            shown += "\n";
        }
        wrong.extend(compare(&expectation(&path, "effective.toml"), &shown));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_invalid_document_is_refused_with_the_expected_words() {
    let mut wrong = Vec::new();
    for path in documents("invalid") {
        match read(&path) {
            Ok(_) => wrong.push(format!("{} is not refused", path.display())),
            Err(refused) => wrong.extend(compare(&expectation(&path, "err"), &render(&path, &refused))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_expectation_is_without_its_document() {
    for folder in ["valid", "invalid"] {
        let documents: BTreeSet<PathBuf> = documents(folder)
            .iter()
            .map(|path| path.with_extension(""))
            .collect();
        for path in files(folder) {
            let name = path.display().to_string();
            let stem = name.strip_suffix(".err").or(name.strip_suffix(".effective.toml"));
            if let Some(stem) = stem {
                assert!(documents.contains(Path::new(stem)), "{name} has no document");
            }
        }
    }
}

#[test]
fn effective_document_reads_back_as_the_same() {
    for path in documents("valid") {
        let config = read(&path).unwrap().config;
        for format in [Format::Toml, Format::Json] {
            let text = effective(&config, format).unwrap();
            let again =
                check(&text, format, &STANDARD).unwrap_or_else(|refused| panic!("{text}\n{refused:?}"));
            assert_eq!(again.config, config, "{} as {format:?}", path.display());
            assert_eq!(effective(&again.config, format).unwrap(), text);
        }
    }
}

#[test]
fn readmes_document_is_good() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, rest) = readme.split_once("```toml\n").expect("a document");
    let (document, _) = rest.split_once("```").unwrap();
    let checked = check(document, Format::Toml, &STANDARD).unwrap();
    assert_eq!((checked.config.listeners.len(), checked.warnings.len()), (1, 0));
}

#[test]
fn founding_document_is_the_same_in_toml_and_json() {
    let toml = read(&folder("valid").join("founding.toml")).unwrap();
    let json = read(&folder("valid").join("json-founding.json")).unwrap();
    assert_eq!(toml.config, json.config);
}

#[test]
fn schema_describes_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let tables = schema["$defs"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, table)| (name.as_str(), table));
    for (name, table) in tables.chain([("the document", &schema)]) {
        let keys = table["properties"].as_object();
        for (key, value) in keys.into_iter().flatten() {
            assert!(
                value["description"].is_string(),
                "`{key}` of {name} has no description"
            );
        }
    }
    assert_eq!(
        schema["$defs"]["Listener"]["required"],
        serde_json::json!(["bind", "pool"])
    );
}

#[test]
fn mutilated_documents_are_refused_or_read_but_never_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for path in documents("valid") {
        let text = fs::read_to_string(&path).unwrap();
        let format = format(&path);
        for _ in 0..300 {
            let mutilated = mutilate(&text, &mut random);
            if let Ok(checked) = check(&mutilated, format, &STANDARD) {
                effective(&checked.config, Format::Toml).unwrap();
            } else if let Err(refused) = check(&mutilated, format, &STANDARD) {
                assert!(!refused.mistakes.is_empty());
                render(&path, &refused);
            }
        }
    }
}

#[test]
fn thousands_of_mistakes_are_cut_off_and_say_so() {
    let endpoints: String = (0..4096)
        .map(|number| format!("e{number} = {number}\n"))
        .collect();
    let text = format!("[listeners.l]\nbind = [\"*:80\"]\npool = \"p\"\n[pools.p.endpoints]\n{endpoints}");
    let mistakes = check(&text, Format::Toml, &STANDARD).unwrap_err().mistakes;
    assert_eq!(mistakes.len(), 101);
    assert_eq!(
        mistakes[100].message,
        "there are more mistakes; the first 100 are shown"
    );
}

#[test]
fn largest_pool_is_read() {
    let endpoints = |count: usize| -> String {
        let address = |number: usize| format!("10.1.{}.{}:80", number / 256, number % 256);
        (0..count)
            .map(|number| format!("e{number} = {:?}\n", address(number)))
            .collect()
    };
    let text = |count| {
        format!(
            "[listeners.l]\nbind = [\"*:80\"]\npool = \"p\"\n[pools.p.endpoints]\n{}",
            endpoints(count)
        )
    };
    let checked = check(&text(4096), Format::Toml, &STANDARD).unwrap();
    assert_eq!(checked.config.pools[0].endpoints.len(), 4096);
    let refused = check(&text(4097), Format::Toml, &STANDARD).unwrap_err();
    assert_eq!(refused.mistakes[0].message, "4097 endpoints are too many");
}

#[test]
fn deeply_nested_documents_are_refused_without_overflowing_the_stack() {
    let lists = format!("a = {}", "[".repeat(100_000));
    let json = format!("{{\"a\": {}", "[".repeat(100_000));
    let keys = format!("{}a = 1", "a.".repeat(20_000));
    assert!(check(&lists, Format::Toml, &STANDARD).is_err());
    assert!(check(&json, Format::Json, &STANDARD).is_err());
    assert!(check(&keys, Format::Toml, &STANDARD).is_err());
}

/// One to three of: cut, flip, drop a line, double a line, put in a foreign piece.
fn mutilate(text: &str, random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes = without_line(&bytes, at, random),
            3 => bytes.extend_from_within(at..),
            4 => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.bytes());
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                let end = (at + piece.len()).min(bytes.len());
                bytes.splice(at..end, piece.bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const PIECES: [&str; 16] = [
    "\"",
    "[",
    "]",
    "{",
    "}",
    "=",
    ".",
    "\n",
    "0",
    "-1",
    "99999999999999999999",
    "ä",
    "\u{feff}",
    "null",
    "1.5",
    "\t\r\n",
];

fn without_line(bytes: &[u8], at: usize, random: &mut Random) -> Vec<u8> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let gone = (at + random.below(7)) % lines.len();
    lines
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != gone)
        .flat_map(|(_, line)| line.iter().copied())
        .collect()
}

/// splitmix64: enough to vary, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/config")
        .join(name)
}

fn files(name: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

fn documents(name: &str) -> Vec<PathBuf> {
    let is_document = |path: &PathBuf| {
        let name = file_name(path);
        (name.ends_with(".toml") || name.ends_with(".json")) && !name.ends_with(".effective.toml")
    };
    let documents: Vec<PathBuf> = files(name).into_iter().filter(is_document).collect();
    assert!(documents.len() > 3, "no documents in {name}");
    documents
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn format(path: &Path) -> Format {
    Format::of(path.extension().and_then(|extension| extension.to_str()), "")
}

fn read(path: &Path) -> Result<Checked, Refused> {
    check(&fs::read_to_string(path).unwrap(), format(path), &STANDARD)
}

fn render(path: &Path, refused: &Refused) -> String {
    let name = file_name(path);
    let warnings = refused
        .warnings
        .iter()
        .map(|warning| warning.render(&name, Severity::Warning));
    let mistakes = refused
        .mistakes
        .iter()
        .map(|mistake| mistake.render(&name, Severity::Mistake));
    warnings
        .chain(mistakes)
        .map(|text| text + "\n")
        .collect::<Vec<_>>()
        .join("\n")
}

fn expectation(path: &Path, extension: &str) -> PathBuf {
    path.with_extension(extension)
}

/// What differs, unless it is written anew.
fn compare(expected: &Path, found: &str) -> Option<String> {
    if std::env::var_os("BLESS").is_some() {
        fs::write(expected, found).unwrap();
        return None;
    }
    match fs::read_to_string(expected) {
        Ok(text) if text == found => None,
        Ok(text) => Some(format!(
            "{}:\n--- expected\n{text}\n--- found\n{found}",
            expected.display()
        )),
        Err(_) => Some(format!(
            "{} is missing (BLESS=1 writes it):\n{found}",
            expected.display()
        )),
    }
}
