//! gRPC's framing of messages, and the two of `grpc.health.v1` that a check
//! needs; in protobuf each has one field, number 1.

/// `HealthCheckRequest`, a text: the service.
///
/// ```text
/// 0 | length of what follows, 4 bytes | 0x0a | length | service
/// ```
///
/// The whole server is the empty text, which protobuf leaves out.
pub fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        message.extend(varint(service.len()));
        message.extend(service.as_bytes());
    }
    let mut framed = vec![0];
    // Settings are far smaller than 4 GiB.
    framed.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend(message);
    framed
}

/// The status in a framed `HealthCheckResponse`; 0 where it is left out.
///
/// # Errors
///
/// What is wrong with it.
pub fn status(body: &[u8]) -> Result<u64, &'static str> {
    let Some(([compressed, length @ ..], message)) = body.split_first_chunk::<5>() else {
        return Err("the answer has no message");
    };
    if *compressed != 0 {
        return Err("the message is compressed, which nobody asked for");
    }
    if usize::try_from(u32::from_be_bytes(*length)) != Ok(message.len()) {
        return Err("the message has not the length it says");
    }
    first_field(message).ok_or("the message is not grpc.health.v1's")
}

/// Field 1 as a number; the last one counts, and others are passed over.
fn first_field(message: &[u8]) -> Option<u64> {
    let mut rest = message;
    let mut found = 0;
    while !rest.is_empty() {
        let key = take_varint(&mut rest)?;
        match (key >> 3, key & 7) {
            (0, _) => return None,
            (1, 0) => found = take_varint(&mut rest)?,
            (1, _) => return None,
            (_, 0) => drop(take_varint(&mut rest)?),
            (_, 1) => drop(take(&mut rest, 8)?),
            (_, 2) => {
                let length = take_varint(&mut rest)?;
                take(&mut rest, usize::try_from(length).ok()?)?;
            }
            (_, 5) => drop(take(&mut rest, 4)?),
            _ => return None,
        }
    }
    Some(found)
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// At most ten bytes; what is over 64 bits falls away, as protobuf has it.
fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap();
        [&[0], &length.to_be_bytes()[..], message].concat()
    }

    #[test]
    fn request_names_the_service_or_nothing() {
        assert_eq!(request(""), b"\0\0\0\0\0");
        assert_eq!(request("a.B"), b"\0\0\0\0\x05\x0a\x03a.B");
        let long = request(&"x".repeat(300));
        assert_eq!(long[..8], *b"\0\0\0\x01\x2f\x0a\xac\x02");
    }

    #[test]
    fn status_is_read_among_fields_of_later_versions() {
        assert_eq!(status(&framed(b"\x08\x01")), Ok(1));
        assert_eq!(status(&framed(b"")), Ok(0));
        assert_eq!(status(&framed(b"\x08\x01\x08\x02")), Ok(2));
        let others = b"\x12\x02ab\x19\0\0\0\0\0\0\0\0\x25\0\0\0\0\x28\x96\x01\x08\x03";
        assert_eq!(status(&framed(others)), Ok(3));
        let negative = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(status(&framed(negative)), Ok(u64::MAX));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert!(status(b"\0\0\0\0").unwrap_err().contains("no message"));
        assert!(status(b"\x01\0\0\0\0").unwrap_err().contains("compressed"));
        assert!(status(b"\0\0\0\0\x03\x08\x01").unwrap_err().contains("length"));
        assert!(
            status(b"\0\xff\xff\xff\xff\x08\x01")
                .unwrap_err()
                .contains("length")
        );
        for message in [
            &b"\x08"[..],
            b"\x0a\x01a",
            b"\x00\x01",
            b"\x13",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert!(status(&framed(message)).is_err(), "{message:x?}");
        }
    }
}
