//! Recorded exchanges: what a plugin sends, what it is answered, and what it
//! must say in the end, so that a plugin is tested without a server.
//!
//! It connects to nothing; `shell::wasm` hands the plugin's bytes in and the
//! endpoint's out.
//!
//! - [`file`]: an exchange as people write it, in TOML
//! - [`pattern`]: bytes with places that may differ
//! - [`play`]: one probe against an exchange, step by step
//! - [`recording`]: from the bytes of a real probe to a file

pub mod file;
pub mod pattern;
pub mod play;
pub mod recording;

/// Bytes as people read them: text with escapes, so that both sides of a
/// comparison stand on one line each.
pub fn quote(bytes: &[u8]) -> String {
    /// More than this is counted instead of shown.
    const SHOWN: usize = 200;
    let shown = &bytes[..bytes.len().min(SHOWN)];
    let more = match bytes.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} bytes more"),
    };
    format!("{}{more}", basic_string(shown))
}

/// Bytes that are UTF-8 as a basic string of TOML; of others, what is not
/// UTF-8 is written `\xNN`, which TOML 1.0 does not know.
fn basic_string(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\r' => text.push_str("\\r"),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                letter if letter.is_control() => text.push_str(&format!("\\u{:04X}", u32::from(letter))),
                letter => text.push(letter),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_bytes_stay_on_one_line_and_are_bounded() {
        assert_eq!(
            quote(b"a\r\n\"\0\xff\xc3\xa4"),
            "\"a\\r\\n\\\"\\u0000\\xFF\u{e4}\""
        );
        assert!(quote(&[b'x'; 300]).ends_with("x\" and 100 bytes more"));
    }
}
