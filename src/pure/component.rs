//! What can be told of a WebAssembly component without compiling it.

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
    let mut rest = component.strip_prefix(PREAMBLE)?;
    while let Some((id, after)) = rest.split_first() {
        let (length, after) = number(after)?;
        let (section, after) = after.split_at_checked(length)?;
        if *id == CUSTOM {
            let (length, section) = number(section)?;
            let (found, content) = section.split_at_checked(length)?;
            if found == name.as_bytes() {
                return Some(content);
            }
        }
        rest = after;
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

/// An unsigned number of at most 32 bits in LEB128, and what follows it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u32;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        let shift = u32::try_from(7 * at).ok()?;
        let part = u32::from(byte & 0x7f);
        if shift == 28 && part > 0xf {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[at + 1..]));
        }
    }
    None
}

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
