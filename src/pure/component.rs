//! What can be told of a WebAssembly component without compiling it.

use wasmparser::BinaryReader;

/// The custom section with the JSON Schema of a plugin's configuration.
pub const SCHEMA_SECTION: &str = "catamaran:config-schema";

/// Magic, then version 13 of layer 1.
const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";

/// Whether the bytes begin as those of a component do.
pub fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(PREAMBLE)
}

/// The content of the first custom section of a name at the component's top
/// level; none where there is none, or the bytes are no component.
pub fn custom_section<'a>(component: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = BinaryReader::new(component.strip_prefix(PREAMBLE)?, PREAMBLE.len());
    while !rest.eof() {
        let id = rest.read_u8().ok()?;
        let mut section = rest.read_reader().ok()?;
        if id == CUSTOM && section.read_string().ok()? == name {
            return section.read_bytes(section.bytes_remaining()).ok();
        }
    }
    None
}

/// The component with one more custom section at its end.
#[must_use]
pub fn with_custom_section(component: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    let mut section = leb128(name.len());
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(content);
    let mut whole = component.to_vec();
    whole.push(CUSTOM);
    whole.extend(leb128(section.len()));
    whole.extend(section);
    whole
}

const CUSTOM: u8 = 0;

/// An unsigned number as sections have it.
fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let part = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            bytes.push(part);
            return bytes;
        }
        bytes.push(part | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_is_found_behind_others() {
        let content = vec![b'x'; 300];
        let one = with_custom_section(PREAMBLE, "a", b"1");
        let both = with_custom_section(&one, "b", &content);
        assert_eq!(custom_section(&both, "a"), Some(&b"1"[..]));
        assert_eq!(custom_section(&both, "b"), Some(&content[..]));
        assert_eq!(custom_section(&both, "c"), None);
        // Section 0 of 303 bytes (0xaf 0x02), then a name of one byte.
        assert_eq!(&both[one.len()..one.len() + 5], b"\0\xae\x02\x01b");
    }

    #[test]
    fn what_is_cut_short_or_no_component_has_no_sections() {
        let whole = with_custom_section(PREAMBLE, "a", b"123");
        for length in 0..whole.len() {
            assert_eq!(custom_section(&whole[..length], "a"), None, "{length}");
        }
        assert_eq!(custom_section(b"\0asm\x01\0\0\0\0\x02\x01a", "a"), None);
        let endless = [PREAMBLE, b"\0\xff\xff\xff\xff\xff\x01"].concat();
        assert_eq!(custom_section(&endless, "a"), None);
    }
}
