//! What the fuzz targets have in common.
//!
//! The room's sources are taken in by path. The crate itself would bring
//! wasmtime and all else along, which nobody wants to instrument.

/// As in the daemon: what a room may name with `crate::pure`.
pub mod pure {
    pub use crate::addr;
    pub use crate::vrrp;
}

#[path = "../../../src/pure/addr.rs"]
pub mod addr;
#[path = "../../../src/pure/vrrp/mod.rs"]
pub mod vrrp;

#[cfg(feature = "wasm")]
pub mod wasm;

use std::net::IpAddr;

use vrrp::{Advertisement, Carrier, Malformed};

/// Whether to sum up a pseudo-header too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sum {
    Message,
    MessageAndPseudoHeader,
}

/// `data` is source, destination, message; `N` is the family's address length.
pub fn advertisement<const N: usize>(data: &[u8])
where
    IpAddr: From<[u8; N]>,
{
    let Some((source, rest)) = data.split_first_chunk::<N>() else {
        return;
    };
    let Some((destination, message)) = rest.split_first_chunk::<N>() else {
        return;
    };
    let carrier = Carrier {
        source: (*source).into(),
        destination: (*destination).into(),
    };
    let _ = reads_the_same_again(message, carrier);
    // Left alone a fuzzer hardly ever meets a right checksum, and most of the
    // decoder comes after it.
    let sums = match (carrier.source, message) {
        (IpAddr::V4(_), [0x21, ..]) => &[Sum::Message][..],
        (IpAddr::V4(_), _) => &[Sum::Message, Sum::MessageAndPseudoHeader],
        (IpAddr::V6(_), _) => &[Sum::MessageAndPseudoHeader],
    };
    for sum in sums {
        let message = with_checksum(message, carrier, *sum);
        let read = reads_the_same_again(&message, carrier);
        assert_ne!(read, Err(Malformed::Checksum));
    }
}

/// What can be read can be written, and is read the same again.
fn reads_the_same_again(message: &[u8], carrier: Carrier) -> Result<(), Malformed> {
    let decoded = Advertisement::decode(message, carrier)?;
    let again = decoded
        .advertisement
        .encode(carrier, decoded.form.unwrap_or_default());
    assert_eq!(again.len(), message.len());
    assert_eq!(Advertisement::decode(&again, carrier), Ok(decoded));
    Ok(())
}

/// RFC 1071 once more, as plain as can be, so that two have to agree.
fn with_checksum(message: &[u8], carrier: Carrier, sum: Sum) -> Vec<u8> {
    let mut message = message.to_vec();
    if message.len() < 8 {
        return message;
    }
    message[6..8].fill(0);
    let mut summed = match sum {
        Sum::Message => Vec::new(),
        Sum::MessageAndPseudoHeader => pseudo_header(carrier, message.len()),
    };
    summed.extend(&message);
    let total: u64 = summed
        .chunks(2)
        .map(|word| u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0)))
        .sum();
    // 0xffff where 0 could stand is the same to whoever checks it.
    let checksum = 0xffff - (total % 0xffff) as u16;
    message[6..8].copy_from_slice(&checksum.to_be_bytes());
    message
}

fn pseudo_header(carrier: Carrier, length: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    for address in [carrier.source, carrier.destination] {
        match address {
            IpAddr::V4(address) => octets.extend(address.octets()),
            IpAddr::V6(address) => octets.extend(address.octets()),
        }
    }
    match carrier.source {
        IpAddr::V4(_) => {
            octets.extend([0, 112]);
            octets.extend((length as u16).to_be_bytes());
        }
        IpAddr::V6(_) => {
            octets.extend((length as u32).to_be_bytes());
            octets.extend([0, 0, 0, 112]);
        }
    }
    octets
}
