//! The nearest right word for a wrong one, and lists of words for people.

/// The word of `known` that was probably meant by `word`.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    known
        .into_iter()
        .map(|candidate| (distance(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed(word.len().max(candidate.len())))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The same, or the word that `word` is the beginning of: `leastconn`.
pub(super) fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let folded = fold(word);
    let begins = |candidate: &&str| folded.len() > 3 && fold(candidate).starts_with(&folded);
    nearest(word, known.clone()).or_else(|| known.into_iter().find(begins))
}

/// `did you mean "x"?`, or else `known THINGS: "a", "b"`.
pub(super) fn suggest(word: &str, known: &[&str], things: &str) -> String {
    if let Some(meant) = meant(word, known.iter().copied()) {
        return format!("did you mean {meant:?}?");
    }
    if known.is_empty() {
        return format!("the document has no {things} yet; add [{things}.{word}]");
    }
    let shown: Vec<String> = known
        .iter()
        .take(MOST_SHOWN)
        .map(|name| format!("{name:?}"))
        .collect();
    let more = if known.len() > MOST_SHOWN { ", …" } else { "" };
    format!("known {things}: {}{more}", shown.join(", "))
}

const MOST_SHOWN: usize = 12;

/// Slips in a word of this length that still let it be recognised.
fn allowed(length: usize) -> usize {
    match length {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    }
}

/// Longest word that is compared; the distance takes quadratic time.
const LONGEST: usize = 64;

fn distance(a: &str, b: &str) -> usize {
    if a.len() > LONGEST || b.len() > LONGEST {
        return usize::MAX;
    }
    strsim::damerau_levenshtein(a, b)
}

/// Spelling that people mix up: `idle_timeout`, `idleTimeout`, `Idle-Timeout`.
fn fold(word: &str) -> String {
    word.chars()
        .filter(|c| *c != '-' && *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips_and_other_spellings() {
        let known = ["interval", "fast-interval", "idle-timeout", "tls", "rise"];
        assert_eq!(nearest("interwal", known), Some("interval"));
        assert_eq!(nearest("idleTimeout", known), Some("idle-timeout"));
        assert_eq!(nearest("idle_timeout", known), Some("idle-timeout"));
        assert_eq!(nearest("rsie", known), Some("rise"));
    }

    #[test]
    fn beginning_of_a_word_stands_for_it() {
        assert_eq!(
            meant("leastconn", ["first", "least-connections"]),
            Some("least-connections")
        );
        assert_eq!(meant("lea", ["least-connections"]), None);
    }

    #[test]
    fn nearest_does_not_guess_wildly() {
        assert_eq!(nearest("x", ["tls", "a"]), None);
        assert_eq!(nearest("weight", ["pool", "bind"]), None);
        assert_eq!(nearest(&"a".repeat(100_000), ["aaa"]), None);
    }

    #[test]
    fn suggestion_lists_what_there_is_when_nothing_is_near() {
        assert_eq!(
            suggest("x", &["tcp", "http"], "plugins"),
            "known plugins: \"tcp\", \"http\""
        );
        assert_eq!(
            suggest("x", &[], "checks"),
            "the document has no checks yet; add [checks.x]"
        );
    }
}
