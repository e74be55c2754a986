//! One wording for the same event in every plugin.

use super::Error;

/// The reason of an `unhealthy` verdict after a request or a connection failed.
pub fn reason(error: &Error) -> String {
    match error {
        Error::Denied(what) => format!("denied: {what}"),
        Error::Refused => "connection refused".into(),
        Error::Unreachable(why) => format!("unreachable: {why}"),
        Error::TimedOut => "timed out".into(),
        Error::Closed => "connection closed before the answer was complete".into(),
        Error::Tls(how) => format!("TLS: {how}"),
        Error::Protocol(what) => format!("protocol error: {what}"),
        Error::TooLarge => "answer too large".into(),
    }
}

/// The beginning of an endpoint's answer, fit for one line of a log: quoted,
/// without control characters, at most `most` characters and `…` if cut.
pub fn quote(bytes: &[u8], most: usize) -> String {
    // Four bytes are the longest character, so this much always suffices.
    let start = &bytes[..bytes.len().min(most.saturating_mul(4).saturating_add(4))];
    let text = String::from_utf8_lossy(start);
    let mut quoted = String::from("\"");
    let mut characters = text.chars();
    for character in characters.by_ref().take(most) {
        match character {
            '"' | '\\' | '\r' | '\n' | '\t' => quoted.extend(character.escape_default()),
            '\'' => quoted.push(character),
            // U+202E and its kin turn a line of text around; Debug knows them.
            _ if character.is_control() || character.escape_debug().len() > 1 => quoted.push('\u{fffd}'),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    if characters.next().is_some() || start.len() < bytes.len() {
        quoted.push('…');
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quote_keeps_one_line_and_says_that_it_was_cut() {
        assert_eq!(quote(b"220 ready\r\n", 40), r#""220 ready\r\n""#);
        assert_eq!(quote(b"abcdef", 3), r#""abc"…"#);
        assert_eq!(quote(b"\x00\x1b[31m\xff", 40), "\"\u{fffd}\u{fffd}[31m\u{fffd}\"");
        assert_eq!(quote("a\u{202e}b".as_bytes(), 40), "\"a\u{fffd}b\"");
        assert_eq!(
            quote(b"slave-serve-stale-data is 'no'", 40),
            "\"slave-serve-stale-data is 'no'\""
        );
        assert_eq!(quote("ééé".as_bytes(), 3), "\"ééé\"");
        assert_eq!(quote(b"", 3), "\"\"");
        assert_eq!(quote(&[b'x'; 100], 2), "\"xx\"…");
    }

    #[test]
    fn every_error_has_a_plain_reason() {
        assert_eq!(reason(&Error::Refused), "connection refused");
        assert_eq!(reason(&Error::TimedOut), "timed out");
        assert_eq!(
            reason(&Error::Tls("unknown issuer".into())),
            "TLS: unknown issuer"
        );
    }
}
