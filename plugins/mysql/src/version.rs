//! Versions as servers write them: `8.0.36-0ubuntu0.22.04.1`,
//! `10.11.6-MariaDB-0+deb12u1`.

/// What MariaDB before 11 puts before its own version, for replicas that
/// would otherwise take a 10 for a 1.
const MASK: &str = "5.5.5-";

/// The version that a server means.
pub fn unmasked(version: &str) -> &str {
    match version.strip_prefix(MASK) {
        Some(own) if own.contains("MariaDB") => own,
        _ => version,
    }
}

/// Whether a version is the expected one as far as that goes: number by
/// number, so that `8.0` is no `8.01`, and then in the text behind the first
/// `-`: `10.11-MariaDB` is `10.11.6-MariaDB-0+deb12u1`.
pub fn fits(expected: &str, found: &str) -> bool {
    let (expected, expected_text) = parts(expected);
    let (found, found_text) = parts(found);
    let mut numbers = found.split('.');
    expected.split('.').all(|number| numbers.next() == Some(number)) && found_text.starts_with(expected_text)
}

/// Whether a version could be expected: numbers with points, perhaps a text.
pub fn is_sound(expected: &str) -> bool {
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    parts(expected).0.split('.').all(is_number)
}

fn parts(version: &str) -> (&str, &str) {
    version.split_once('-').unwrap_or((version, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_compared_number_by_number() {
        for (expected, found, fit) in [
            ("8", "8.0.36", true),
            ("8.0", "8.0.36-0ubuntu0.22.04.1", true),
            ("8.0.36", "8.0.36", true),
            ("8.0", "8.01.1", false),
            ("8.0.36.1", "8.0.36", false),
            ("10.1", "10.11.6-MariaDB", false),
            ("10.11-MariaDB", "10.11.6-MariaDB-0+deb12u1", true),
            ("10.11-MariaDB", "10.11.6", false),
            ("8.0-Maria", "8.0.36-log", false),
            ("8.0", "8.0.mysql_aurora.3.04.0", true),
        ] {
            assert_eq!(fits(expected, found), fit, "{expected} {found}");
        }
    }

    #[test]
    fn mask_is_taken_from_what_is_behind_it() {
        assert_eq!(unmasked("5.5.5-10.11.6-MariaDB-log"), "10.11.6-MariaDB-log");
        assert_eq!(unmasked("5.5.5-m3"), "5.5.5-m3");
        assert_eq!(unmasked("11.4.2-MariaDB"), "11.4.2-MariaDB");
    }

    #[test]
    fn expectation_begins_with_numbers() {
        assert!(is_sound("8") && is_sound("8.0.36") && is_sound("10.11-MariaDB"));
        for text in ["", "8.", ".8", "MariaDB", "-MariaDB", "8.x", "v8"] {
            assert!(!is_sound(text), "{text}");
        }
    }
}
