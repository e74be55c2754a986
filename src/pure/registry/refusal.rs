//! A registry's own words for an error.

use serde::Deserialize;

/// The longest that is quoted.
const LONGEST: usize = 500;

/// The body that registries send with an error (OCI distribution
/// specification, "Error codes").
#[derive(Deserialize)]
struct Errors {
    errors: Vec<Error>,
}

#[derive(Deserialize)]
struct Error {
    code: String,
    #[serde(default)]
    message: String,
}

/// What token services send instead, some of them (RFC 6749 §5.2).
#[derive(Deserialize)]
struct TokenError {
    #[serde(alias = "details", alias = "error_description")]
    error: String,
}

/// Code and message of each error in a body; empty when it has none.
///
/// Nothing in it can move a terminal's cursor or fill its screen.
pub fn words(body: &[u8]) -> String {
    let said = serde_json::from_slice::<Errors>(body).map_or_else(
        |_| serde_json::from_slice::<TokenError>(body).map_or(String::new(), |token| token.error),
        |body| body.errors.iter().map(sentence).collect::<Vec<_>>().join("; "),
    );
    let shown = said.chars().map(|c| if c.is_control() { ' ' } else { c });
    shown.take(LONGEST).collect()
}

fn sentence(error: &Error) -> String {
    let message = error.message.trim();
    if message.is_empty() {
        error.code.clone()
    } else {
        format!("{}: {message}", error.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_message_of_each_error_are_said() {
        let body = br#"{"errors": [{"code": "DENIED", "message": "not you", "detail": [1]}, {"code": "TOOMANYREQUESTS"}]}"#;
        assert_eq!(words(body), "DENIED: not you; TOOMANYREQUESTS");
        assert_eq!(
            words(br#"{"details": "incorrect username or password"}"#),
            "incorrect username or password"
        );
    }

    #[test]
    fn body_of_another_form_says_nothing() {
        for body in [&b""[..], b"<html>", b"[]", b"{\"errors\": 1}", b"\xff"] {
            assert_eq!(words(body), "");
        }
    }

    #[test]
    fn message_cannot_play_with_the_terminal() {
        let body = br#"{"errors": [{"code": "A", "message": "b\u001b[2J\nc"}]}"#;
        assert_eq!(words(body), "A: b [2J c");
        let long = format!(r#"{{"error": "{}"}}"#, "x".repeat(10_000));
        assert_eq!(words(long.as_bytes()).len(), LONGEST);
    }
}
