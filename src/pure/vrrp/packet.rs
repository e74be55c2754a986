//! Advertisements as bytes (RFC 9568 §5, RFC 3768 §5, RFC 2338 §5.3.10).
//!
//! From the first octet after the IP header to the last octet that the IP
//! header counts. What the IP header itself has to say (protocol, TTL,
//! destination) is checked by those who read it, and whether an advertisement
//! is ours to obey by the virtual router.

use std::fmt;
use std::hint::black_box;
use std::net::IpAddr;

use super::{Centiseconds, Priority, Version, Vrid};

/// The one type of message (RFC 9568 §5.2.2).
const ADVERTISEMENT: u8 = 1;

/// VRRP's IP protocol number (RFC 9568 §5.1.1.4), a part of the pseudo-header.
const PROTOCOL: u16 = 112;

/// The header, from the version to the checksum, in octets.
const HEADER: usize = 8;

/// Version 2's authentication data, in octets.
const AUTHENTICATION_DATA: usize = 8;

/// In octets: what keepalived 2.4 and later append with `auth_hmac` (draft-cassen-vrrp-auth-hmac).
const HMAC_TRAILER: usize = 28;

/// The one message of VRRP.
///
/// Version 3 (RFC 9568 §5.1); addresses are of 4 or of 16 octets:
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-------+-------+---------------+---------------+---------------+
/// |Version| Type  | Virtual Rtr ID|   Priority    |IPvX Addr Count|
/// +-------+-------+---------------+---------------+---------------+
/// |Reserve| Max Advertise Interval|            Checksum           |
/// +-------+-----------------------+-------------------------------+
/// |                     IPvX Address(es) ...                      |
/// +---------------------------------------------------------------+
/// ```
///
/// Version 2 (RFC 3768 §5.1); the authentication data is always there:
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-------+-------+---------------+---------------+---------------+
/// |Version| Type  | Virtual Rtr ID|   Priority    | Count IP Addrs|
/// +-------+-------+---------------+---------------+---------------+
/// |   Auth Type   |   Adver Int   |            Checksum           |
/// +---------------+---------------+-------------------------------+
/// |                      IP Address(es) ...                       |
/// +---------------------------------------------------------------+
/// |                                                               |
/// +                      Authentication Data                      +
/// |                                                               |
/// +---------------------------------------------------------------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// The version it is written in.
    pub version: Version,
    /// The virtual router that it speaks of.
    pub vrid: Vrid,
    /// The sender's priority; `None` is 0 on the wire: the sender leaves.
    pub priority: Option<Priority>,
    /// The sender's advertisement interval; in version 2 whole seconds.
    pub interval: Centiseconds,
    /// Version 2's; version 3 has none.
    pub authentication: Authentication,
    /// The virtual addresses, 1–255, all of the carrying packet's family.
    pub addresses: Vec<IpAddr>,
}

impl Advertisement {
    /// The message to send from `carrier.source` to `carrier.destination`;
    /// with a pseudo-header each destination has a message of its own.
    ///
    /// `form` matters to version 3 over IPv4 alone. Always of the exact length:
    /// addresses of the other family and those beyond 255 are left out, version
    /// 3 leaves the authentication out, and an interval that the version cannot
    /// say becomes the next longer one that it can, or its longest.
    pub fn encode(&self, carrier: Carrier, form: ChecksumForm) -> Vec<u8> {
        let addresses: Vec<IpAddr> = self
            .addresses
            .iter()
            .filter(|address| address.is_ipv4() == carrier.source.is_ipv4())
            .take(usize::from(u8::MAX))
            .copied()
            .collect();
        let head = self.head(u8::try_from(addresses.len()).unwrap_or(u8::MAX));
        let body = self.body(&addresses);
        // The checksum's own place counts as zero, which adds nothing.
        let alone = sum(words(&head).chain(words(&body)));
        let length = HEADER + body.len();
        let checksum = !match (self.version, carrier.source, form) {
            (Version::V2, _, _) | (Version::V3, IpAddr::V4(_), ChecksumForm::MessageOnly) => alone,
            (Version::V3, IpAddr::V4(_), ChecksumForm::PseudoHeader) | (Version::V3, IpAddr::V6(_), _) => {
                sum([alone, pseudo_header(carrier, length)])
            }
        };
        head.into_iter()
            .chain(checksum.to_be_bytes())
            .chain(body)
            .collect()
    }

    /// Read a message that `carrier` brought: all octets after the IP header
    /// that the IP header counts, no padding of the frame.
    ///
    /// The checks that need nothing but the message (RFC 9568 §7.1, RFC 3768
    /// §7.1): the first that fails is the error, and the message is to be
    /// dropped and counted.
    pub fn decode(bytes: &[u8], carrier: Carrier) -> Result<Decoded, Malformed> {
        if carrier.source.is_ipv4() != carrier.destination.is_ipv4() {
            return Err(Malformed::MixedFamilies);
        }
        let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(Malformed::TooShort)?;
        let &[kind, vrid, priority, count, octet_4, octet_5, _, _] = header;
        let version = version(kind, carrier)?;
        let parts = Parts::split(version, carrier, count, rest)?;
        let form = checksum_form(version, carrier, bytes)?;
        let vrid = Vrid::new(vrid).ok_or(Malformed::VridZero)?;
        if count == 0 {
            return Err(Malformed::NoAddresses);
        }
        let interval = match version {
            Version::V2 => Centiseconds::from_seconds(octet_5),
            // The upper four bits are reserved: ignored (RFC 9568 §5.2.6).
            Version::V3 => Centiseconds::new(u16::from_be_bytes([octet_4 & 0x0f, octet_5])),
        };
        let advertisement = Self {
            version,
            vrid,
            priority: Priority::new(priority),
            interval: interval.ok_or(Malformed::IntervalZero)?,
            authentication: parts.authentication(octet_4)?,
            addresses: parts.addresses(carrier),
        };
        Ok(Decoded { advertisement, form })
    }

    /// The six octets before the checksum.
    fn head(&self, count: u8) -> [u8; 6] {
        let [octet_4, octet_5] = match self.version {
            Version::V2 => {
                let seconds = self.interval.get().div_ceil(100);
                [
                    self.authentication.number(),
                    u8::try_from(seconds).unwrap_or(u8::MAX),
                ]
            }
            Version::V3 => self.interval.get().min(4095).to_be_bytes(),
        };
        [
            self.version.get() << 4 | ADVERTISEMENT,
            self.vrid.get(),
            self.priority.map_or(0, Priority::get),
            count,
            octet_4,
            octet_5,
        ]
    }

    /// What comes after the checksum.
    fn body(&self, addresses: &[IpAddr]) -> Vec<u8> {
        let mut body = Vec::new();
        for address in addresses {
            match address {
                IpAddr::V4(address) => body.extend(address.octets()),
                IpAddr::V6(address) => body.extend(address.octets()),
            }
        }
        match (self.version, self.authentication) {
            (Version::V2, Authentication::None) => body.extend([0; AUTHENTICATION_DATA]),
            (Version::V2, Authentication::Password(password)) => body.extend(password),
            (Version::V3, _) => {}
        }
        body
    }
}

/// A message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What it says.
    pub advertisement: Advertisement,
    /// The form that its checksum had, where there are two: version 3 over
    /// IPv4. [`ChecksumForm::PseudoHeader`] when it is right in both.
    pub form: Option<ChecksumForm>,
}

/// Version 2's authentication. It guards against mistakes, such as two
/// clusters with one identifier, not against attackers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// Type 0, and version 3.
    None,
    /// Type 1: a password in clear text, padded with zeros (RFC 2338 §5.3.10).
    Password([u8; 8]),
}

impl Authentication {
    /// A password of 1–8 bytes; `None` for any other length, since a password
    /// that is cut matches others than its own.
    pub fn password(text: &str) -> Option<Self> {
        let mut octets = [0; AUTHENTICATION_DATA];
        octets.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        (!text.is_empty()).then_some(Self::Password(octets))
    }

    /// Whether both are the same. Unlike `==`, it takes the same time however
    /// much of a wrong password is right.
    pub fn matches(self, other: Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Password(ours), Self::Password(theirs)) => {
                let pairs = ours.into_iter().zip(theirs);
                pairs.fold(0, |differing, (a, b)| black_box(differing | (a ^ b))) == 0
            }
            (Self::None, Self::Password(_)) | (Self::Password(_), Self::None) => false,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Password(_) => 1,
        }
    }
}

/// Without the password, which has no place in a log.
impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Password(_) => f.debug_tuple("Password").finish_non_exhaustive(),
        }
    }
}

/// The addresses of the packet that carries an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Of the sender.
    pub source: IpAddr,
    /// The multicast group or, in unicast, the receiver.
    pub destination: IpAddr,
}

/// What the checksum of an IPv4 advertisement in version 3 covers. Version 2
/// has no pseudo-header, IPv6 always has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChecksumForm {
    /// With the IPv4 pseudo-header, as keepalived and others read RFC 5798.
    #[default]
    PseudoHeader,
    /// The message alone (RFC 9568 §5.2.8).
    MessageOnly,
}

/// Why a message is no advertisement. The texts complete "dropped a message
/// from 10.0.0.2: …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Not even a whole header, 8 octets.
    TooShort,
    /// Its source is of one family, its destination of the other.
    MixedFamilies,
    /// Neither 2 nor 3.
    UnknownVersion(u8),
    /// Version 2 has no addresses for IPv6.
    Version2OverIpv6,
    /// Not an advertisement.
    UnknownType(u8),
    /// Not of the length that version, family and address count ask for.
    WrongLength {
        /// In octets.
        found: usize,
        /// In octets.
        expected: usize,
    },
    /// Longer by what keepalived's `auth_hmac` appends.
    HmacTrailer,
    /// The checksum is right in no form.
    Checksum,
    /// Identifiers begin with 1 (RFC 9568 §5.2.3).
    VridZero,
    /// The address count is 0 (RFC 9568 §5.2.5).
    NoAddresses,
    /// An interval in which nobody could ever be on time (erratum 8301).
    IntervalZero,
    /// Version 2's type 2, the IP Authentication Header.
    AuthenticationHeader,
    /// None of version 2's types.
    UnknownAuthentication(u8),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("shorter than the 8 octets of a header"),
            Self::MixedFamilies => f.write_str("sent between an IPv4 and an IPv6 address"),
            Self::UnknownVersion(version) => {
                write!(f, "version {version}, where 2 and 3 are understood")
            }
            Self::Version2OverIpv6 => f.write_str("version 2 over IPv6, which takes version 3"),
            Self::UnknownType(kind) => write!(f, "type {kind}, where an advertisement is type 1"),
            Self::WrongLength { found, expected } => {
                write!(f, "{found} octets long, where its header asks for {expected}")
            }
            Self::HmacTrailer => f.write_str(
                "28 octets longer than its header asks for, as keepalived makes it with auth_hmac, \
                 which is not supported",
            ),
            Self::Checksum => f.write_str("wrong checksum: damaged, or readdressed, on its way"),
            Self::VridZero => f.write_str("virtual router identifier 0, where 1 is the lowest"),
            Self::NoAddresses => f.write_str("no virtual addresses"),
            Self::IntervalZero => f.write_str("advertisement interval 0"),
            Self::AuthenticationHeader => f.write_str(
                "authentication type 2, the IP Authentication Header (keepalived's auth_type AH), \
                 which is not supported",
            ),
            Self::UnknownAuthentication(kind) => write!(
                f,
                "authentication type {kind}, where 0 (none) and 1 (password) are understood"
            ),
        }
    }
}

impl std::error::Error for Malformed {}

/// What follows the header, cut where it is to be cut.
struct Parts<'a> {
    /// A whole number of addresses of the carrier's family.
    addresses: &'a [u8],
    /// Version 2's authentication data.
    data: Option<&'a [u8; AUTHENTICATION_DATA]>,
}

impl<'a> Parts<'a> {
    fn split(version: Version, carrier: Carrier, count: u8, rest: &'a [u8]) -> Result<Self, Malformed> {
        let addresses = usize::from(count) * address_length(carrier);
        let expected = match version {
            Version::V2 => addresses + AUTHENTICATION_DATA,
            Version::V3 => addresses,
        };
        if rest.len() == expected + HMAC_TRAILER {
            return Err(Malformed::HmacTrailer);
        }
        let wrong = Malformed::WrongLength {
            found: HEADER + rest.len(),
            expected: HEADER + expected,
        };
        let (addresses, data) = rest.split_at_checked(addresses).ok_or(wrong)?;
        let data = match version {
            Version::V2 => Some(data.try_into().map_err(|_| wrong)?),
            Version::V3 if data.is_empty() => None,
            Version::V3 => return Err(wrong),
        };
        Ok(Self { addresses, data })
    }

    fn addresses(&self, carrier: Carrier) -> Vec<IpAddr> {
        fn each<const N: usize>(octets: &[u8]) -> Vec<IpAddr>
        where
            IpAddr: From<[u8; N]>,
        {
            octets.as_chunks().0.iter().copied().map(IpAddr::from).collect()
        }
        match carrier.source {
            IpAddr::V4(_) => each::<4>(self.addresses),
            IpAddr::V6(_) => each::<16>(self.addresses),
        }
    }

    /// `number` is version 2's Auth Type. The data of type 0 is ignored (RFC 3768 §5.3.6).
    fn authentication(&self, number: u8) -> Result<Authentication, Malformed> {
        let Some(data) = self.data else {
            return Ok(Authentication::None);
        };
        match number {
            0 => Ok(Authentication::None),
            1 => Ok(Authentication::Password(*data)),
            2 => Err(Malformed::AuthenticationHeader),
            _ => Err(Malformed::UnknownAuthentication(number)),
        }
    }
}

/// In octets.
fn address_length(carrier: Carrier) -> usize {
    match carrier.source {
        IpAddr::V4(_) => 4,
        IpAddr::V6(_) => 16,
    }
}

/// From the first octet: version and type, each a nibble.
fn version(kind: u8, carrier: Carrier) -> Result<Version, Malformed> {
    let version = match (kind >> 4, carrier.source) {
        (2, IpAddr::V4(_)) => Version::V2,
        (2, IpAddr::V6(_)) => return Err(Malformed::Version2OverIpv6),
        (3, _) => Version::V3,
        (unknown, _) => return Err(Malformed::UnknownVersion(unknown)),
    };
    match kind & 0x0f {
        ADVERTISEMENT => Ok(version),
        unknown => Err(Malformed::UnknownType(unknown)),
    }
}

/// Checks the checksum and says which form it has, where there are two.
fn checksum_form(
    version: Version,
    carrier: Carrier,
    bytes: &[u8],
) -> Result<Option<ChecksumForm>, Malformed> {
    // A sum that includes the right checksum is all ones (RFC 1071 §1).
    const RIGHT: u16 = 0xffff;
    let alone = sum(words(bytes));
    let with_pseudo_header = sum([alone, pseudo_header(carrier, bytes.len())]);
    match (version, carrier.source) {
        (Version::V2, _) if alone == RIGHT => Ok(None),
        (Version::V3, IpAddr::V6(_)) if with_pseudo_header == RIGHT => Ok(None),
        (Version::V3, IpAddr::V4(_)) if with_pseudo_header == RIGHT => Ok(Some(ChecksumForm::PseudoHeader)),
        (Version::V3, IpAddr::V4(_)) if alone == RIGHT => Ok(Some(ChecksumForm::MessageOnly)),
        (Version::V2 | Version::V3, _) => Err(Malformed::Checksum),
    }
}

/// The one's complement sum (RFC 1071). Sums may be summed up.
fn sum(words: impl IntoIterator<Item = u16>) -> u16 {
    words.into_iter().fold(0, |sum, word| {
        let (sum, carry) = sum.overflowing_add(word);
        // After a carry the sum is 0xfffe at most.
        sum + u16::from(carry)
    })
}

/// The sum of the pseudo-header of a message of `length` octets.
///
/// IPv4's (RFC 5798 §5.2.8 as keepalived reads it) and IPv6's (RFC 8200 §8.1)
/// have fields of different widths, yet the same sum: zeros add nothing.
fn pseudo_header(carrier: Carrier, length: usize) -> u16 {
    // 255 addresses make 4,088 octets at most.
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    sum(address_words(carrier.source)
        .into_iter()
        .chain(address_words(carrier.destination))
        .chain([PROTOCOL, length]))
}

/// An IPv4 address is its two words and zeros.
fn address_words(address: IpAddr) -> [u16; 8] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_compatible().segments(),
        IpAddr::V6(address) => address.segments(),
    }
}

/// Of an even number of octets, as all messages have.
fn words(octets: &[u8]) -> impl Iterator<Item = u16> {
    let (pairs, _) = octets.as_chunks();
    pairs.iter().copied().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One message: its octets, who carried it, and what it says.
    struct Sample {
        hex: &'static str,
        carrier: Carrier,
        advertisement: Advertisement,
        form: Option<ChecksumForm>,
    }

    impl Sample {
        fn bytes(&self) -> Vec<u8> {
            hex(self.hex)
        }
    }

    const IPV4_GROUP: &str = "224.0.0.18";
    const IPV6_GROUP: &str = "ff02::12";
    const IPV6_A: &str = "fe80::5eff:fe10:a";
    const IPV6_B: &str = "fe80::5eff:fe10:b";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap())
            .collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn carrier(source: &str, destination: &str) -> Carrier {
        Carrier {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    /// What all samples have in common.
    fn advertisement(version: Version, priority: u8, addresses: &[&str]) -> Advertisement {
        Advertisement {
            version,
            vrid: Vrid::new(51).unwrap(),
            priority: Priority::new(priority),
            interval: Centiseconds::SECOND,
            authentication: Authentication::None,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        }
    }

    fn version_2(hex: &'static str, priority: u8, authentication: Authentication) -> Sample {
        Sample {
            hex,
            carrier: carrier("211.183.3.11", IPV4_GROUP),
            advertisement: Advertisement {
                authentication,
                ..advertisement(Version::V2, priority, &["211.183.3.250"])
            },
            form: None,
        }
    }

    fn ipv4(hex: &'static str, priority: u8, source: &str, destination: &str, form: ChecksumForm) -> Sample {
        Sample {
            hex,
            carrier: carrier(source, destination),
            advertisement: advertisement(Version::V3, priority, &["211.183.3.250"]),
            form: Some(form),
        }
    }

    fn ipv6(hex: &'static str, priority: u8, source: &str, destination: &str) -> Sample {
        Sample {
            hex,
            carrier: carrier(source, destination),
            advertisement: advertisement(Version::V3, priority, &["fe80::51", "fd00:51::250"]),
            form: None,
        }
    }

    /// What keepalived sent, octet by octet.
    fn captured() -> Vec<Sample> {
        use ChecksumForm::{MessageOnly, PseudoHeader};
        let password = Authentication::password("1111").unwrap();
        let none = Authentication::None;
        let (a, b) = ("211.183.3.11", "211.183.3.12");
        let mut samples = vec![
            version_2("2133c8010101dbb5 d3b703fa 3131313100000000", 200, password),
            version_2("21330001 0101a3b6 d3b703fa 3131313100000000", 0, password),
            version_2("213364010101 3fb6 d3b703fa 3131313100000000", 100, password),
            version_2("2133c80100013f18 d3b703fa 0000000000000000", 200, none),
            version_2("213364010001a318 d3b703fa 0000000000000000", 100, none),
            version_2("2133000100010719 d3b703fa 0000000000000000", 0, none),
            ipv4("3133c80100647763 d3b703fa", 200, a, IPV4_GROUP, PseudoHeader),
            ipv4("313364010064db62 d3b703fa", 100, b, IPV4_GROUP, PseudoHeader),
            ipv4("3133000100643f64 d3b703fa", 0, a, IPV4_GROUP, PseudoHeader),
            ipv4("3133c801006480b2 d3b703fa", 200, a, b, PseudoHeader),
            ipv4("31330001006448b3 d3b703fa", 0, a, b, PseudoHeader),
            ipv4("313364010064e4b2 d3b703fa", 100, b, a, PseudoHeader),
            ipv6(
                "3133c8020064aca9 fe800000000000000000000000000051 fd000051000000000000000000000250",
                200,
                IPV6_A,
                IPV6_GROUP,
            ),
            ipv6(
                "31330002006474aa fe800000000000000000000000000051 fd000051000000000000000000000250",
                0,
                IPV6_A,
                IPV6_GROUP,
            ),
            ipv6(
                "31336402006410a9 fe800000000000000000000000000051 fd000051000000000000000000000250",
                100,
                IPV6_B,
                IPV6_GROUP,
            ),
            ipv6(
                "31330002006474a9 fe800000000000000000000000000051 fd000051000000000000000000000250",
                0,
                IPV6_B,
                IPV6_GROUP,
            ),
            ipv6(
                "3133c80200640c93 fe800000000000000000000000000051 fd000051000000000000000000000250",
                200,
                "fd00:51::11",
                "fd00:51::12",
            ),
            ipv6(
                "313300020064d493 fe800000000000000000000000000051 fd000051000000000000000000000250",
                0,
                "fd00:51::11",
                "fd00:51::12",
            ),
        ];
        // Without a pseudo-header the carrier makes no difference.
        for (source, destination) in [(a, IPV4_GROUP), (b, IPV4_GROUP), (a, b)] {
            for (hex, priority) in [
                ("3133c80100642eb5 d3b703fa", 200),
                ("31336401006492b5 d3b703fa", 100),
                ("313300010064f6b5 d3b703fa", 0),
            ] {
                samples.push(ipv4(hex, priority, source, destination, MessageOnly));
            }
        }
        let unicast = version_2("2133c8010101dbb5 d3b703fa 3131313100000000", 200, password);
        samples.push(Sample {
            carrier: carrier(a, b),
            ..unicast
        });
        samples
    }

    #[test]
    fn captured_messages_are_read() {
        for sample in captured() {
            let expected = Decoded {
                advertisement: sample.advertisement.clone(),
                form: sample.form,
            };
            let decoded = Advertisement::decode(&sample.bytes(), sample.carrier);
            assert_eq!(decoded, Ok(expected), "{}", sample.hex);
        }
    }

    #[test]
    fn captured_messages_are_written() {
        for sample in captured() {
            let form = sample.form.unwrap_or_default();
            let encoded = sample.advertisement.encode(sample.carrier, form);
            assert_eq!(encoded, sample.bytes(), "{}", sample.hex);
        }
    }

    #[test]
    fn checksum_form_makes_no_difference_where_there_is_one() {
        for sample in captured().iter().filter(|sample| sample.form.is_none()) {
            let encode = |form| sample.advertisement.encode(sample.carrier, form);
            assert_eq!(
                encode(ChecksumForm::PseudoHeader),
                encode(ChecksumForm::MessageOnly)
            );
        }
    }

    // RFC 9568 §5.2.8: 10.0.0.2 and 245.255.255.129 cancel out, so that a
    // pseudo-header adds nothing and both forms are the same.
    #[test]
    fn checksum_that_is_right_in_both_forms_counts_as_pseudo_header() {
        let sent = advertisement(Version::V3, 100, &["10.0.0.250"]);
        // 0x0a00 + 0x0002 + 0xf5ff + 0xff81 + 112 + 12 = 2 × 0xffff
        let carrier = carrier("10.0.0.2", "245.255.255.129");
        let bytes = sent.encode(carrier, ChecksumForm::MessageOnly);
        assert_eq!(bytes, sent.encode(carrier, ChecksumForm::PseudoHeader));
        let form = Advertisement::decode(&bytes, carrier).unwrap().form;
        assert_eq!(form, Some(ChecksumForm::PseudoHeader));
    }

    #[test]
    fn checksum_in_a_form_that_the_version_does_not_have_is_refused() {
        let with_pseudo_header = "2133c8010101245c d3b703fa 3131313100000000";
        let without = "3133c802006407f2 fe800000000000000000000000000051 fd000051000000000000000000000250";
        for (text, carrier) in [
            (with_pseudo_header, carrier("211.183.3.11", IPV4_GROUP)),
            (without, carrier(IPV6_A, IPV6_GROUP)),
        ] {
            assert_eq!(
                Advertisement::decode(&hex(text), carrier),
                Err(Malformed::Checksum),
                "{text}"
            );
        }
    }

    // Computed apart: the longest message, whose length fills two octets of
    // the pseudo-header.
    #[test]
    fn longest_message_has_the_checksum_of_its_whole_length() {
        let sent = advertisement(Version::V3, 200, &["fe80::51"; 255]);
        let bytes = sent.encode(carrier(IPV6_A, IPV6_GROUP), ChecksumForm::default());
        assert_eq!(bytes.len(), 4088);
        assert_eq!(bytes[6..8], hex("c723"));
    }

    // The samples of draft-cassen-vrrp-auth-hmac.
    #[test]
    fn message_with_hmac_trailer_is_refused_by_name() {
        for (message, trailer, carrier) in [
            (
                "3133c80100644402c0000264",
                "0101000068000000800000001b84bc4e8e43892dc6d98448f8ee2265",
                carrier("198.51.100.10", IPV4_GROUP),
            ),
            (
                "3133c8010064a2e9fe800000000000000000000000000100",
                "010100006800000080000000c8c56146ebfd66ee10ec4d8186461b78",
                carrier("fe80::10", IPV6_GROUP),
            ),
        ] {
            let bytes = [hex(message), hex(trailer)].concat();
            assert_eq!(
                Advertisement::decode(&bytes, carrier),
                Err(Malformed::HmacTrailer)
            );
        }
    }

    // IPv4's checksum does not cover the trailer.
    #[test]
    fn message_whose_hmac_trailer_was_cut_is_read() {
        let decoded = Advertisement::decode(
            &hex("3133c80100644402c0000264"),
            carrier("198.51.100.10", IPV4_GROUP),
        );
        let expected = Decoded {
            advertisement: advertisement(Version::V3, 200, &["192.0.2.100"]),
            form: Some(ChecksumForm::MessageOnly),
        };
        assert_eq!(decoded, Ok(expected));
    }

    /// With the checksum that it should have had, version 3's without a pseudo-header.
    fn summed(text: &str) -> Vec<u8> {
        let mut bytes = hex(text);
        let checksum = !sum(words(&bytes));
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    #[test]
    fn malformed_messages_are_refused_by_name() {
        let wrong_length = |found, expected| Malformed::WrongLength { found, expected };
        let carrier = carrier("10.0.0.2", IPV4_GROUP);
        for (text, why) in [
            ("", Malformed::TooShort),
            ("31336401006400", Malformed::TooShort),
            ("01336401006400000a0000fa", Malformed::UnknownVersion(0)),
            ("41336401006400000a0000fa", Malformed::UnknownVersion(4)),
            ("32336401006400000a0000fa", Malformed::UnknownType(2)),
            (
                "20336401006400000a0000fa0000000000000000",
                Malformed::UnknownType(0),
            ),
            ("3133640100640000", wrong_length(8, 12)),
            ("31336402006400000a0000fa", wrong_length(12, 16)),
            ("31336401006400000a0000fa00", wrong_length(13, 12)),
            // Version 3 has no authentication data, version 2 always has.
            ("31336401006400000a0000fa0000000000000000", wrong_length(20, 12)),
            ("21336401000100000a0000fa", wrong_length(12, 20)),
            ("21336401000100000a0000fa000000000000000000", wrong_length(21, 20)),
            ("3133ff00006400000a0000fa", wrong_length(12, 8)),
            ("31006401006400000a0000fa", Malformed::VridZero),
            ("21006401000100000a0000fa0000000000000000", Malformed::VridZero),
            ("3133640000640000", Malformed::NoAddresses),
            ("21336400000100000000000000000000", Malformed::NoAddresses),
            ("31336401000000000a0000fa", Malformed::IntervalZero),
            // The reserved nibble is no part of it.
            ("31336401f00000000a0000fa", Malformed::IntervalZero),
            (
                "21336401000000000a0000fa0000000000000000",
                Malformed::IntervalZero,
            ),
            (
                "21336401020100000a0000fa0000000000000000",
                Malformed::AuthenticationHeader,
            ),
            (
                "21336401030100000a0000fa0000000000000000",
                Malformed::UnknownAuthentication(3),
            ),
            (
                "21336401ff0100000a0000fa0000000000000000",
                Malformed::UnknownAuthentication(255),
            ),
        ] {
            // Those that are too short have no place for a checksum.
            let bytes = if text.len() < 16 { hex(text) } else { summed(text) };
            assert_eq!(Advertisement::decode(&bytes, carrier), Err(why), "{text}");
        }
    }

    #[test]
    fn wrong_checksum_is_refused_in_every_version_and_family() {
        for sample in captured() {
            let mut bytes = sample.bytes();
            bytes[7] ^= 1;
            assert_eq!(
                Advertisement::decode(&bytes, sample.carrier),
                Err(Malformed::Checksum),
                "{}",
                sample.hex
            );
        }
    }

    #[test]
    fn carrier_that_cannot_be_is_refused() {
        let bytes = hex("2133c80100013f18d3b703fa0000000000000000");
        assert_eq!(
            Advertisement::decode(&bytes, carrier(IPV6_A, IPV6_GROUP)),
            Err(Malformed::Version2OverIpv6)
        );
        for (source, destination) in [("10.0.0.2", IPV6_GROUP), (IPV6_A, IPV4_GROUP)] {
            assert_eq!(
                Advertisement::decode(&bytes, carrier(source, destination)),
                Err(Malformed::MixedFamilies)
            );
        }
    }

    #[test]
    fn readdressed_message_is_refused_where_addresses_are_summed() {
        for sample in captured() {
            let covered =
                sample.form != Some(ChecksumForm::MessageOnly) && sample.advertisement.version == Version::V3;
            let elsewhere = match sample.carrier.source {
                IpAddr::V4(_) => carrier("10.9.8.7", IPV4_GROUP),
                IpAddr::V6(_) => carrier("fe80::9:8:7", IPV6_GROUP),
            };
            let decoded = Advertisement::decode(&sample.bytes(), elsewhere);
            assert_eq!(decoded.is_err(), covered, "{}", sample.hex);
        }
    }

    // RFC 9568 §5.2.6
    #[test]
    fn reserved_nibble_is_ignored() {
        let decoded = Advertisement::decode(
            &summed("31336401ffff00000a0000fa"),
            carrier("10.0.0.2", IPV4_GROUP),
        );
        assert_eq!(decoded.unwrap().advertisement.interval.get(), 4095);
    }

    // RFC 3768 §5.3.6
    #[test]
    fn data_without_authentication_is_ignored() {
        let decoded = Advertisement::decode(
            &summed("21336401000100000a0000fa7365637265743132"),
            carrier("10.0.0.2", IPV4_GROUP),
        );
        assert_eq!(
            decoded.unwrap().advertisement.authentication,
            Authentication::None
        );
    }

    #[test]
    fn interval_that_the_version_cannot_say_is_rounded_up() {
        let carrier = carrier("10.0.0.2", IPV4_GROUP);
        let sent_and_read = |version, interval| {
            let sent = Advertisement {
                interval,
                ..advertisement(version, 100, &["10.0.0.250"])
            };
            let bytes = sent.encode(carrier, ChecksumForm::default());
            let interval = Advertisement::decode(&bytes, carrier)
                .unwrap()
                .advertisement
                .interval;
            interval.get()
        };
        let centiseconds = |value| Centiseconds::new(value).unwrap();
        assert_eq!(sent_and_read(Version::V2, centiseconds(1)), 100);
        assert_eq!(sent_and_read(Version::V2, centiseconds(101)), 200);
        let longest = Centiseconds::from_seconds(255).unwrap();
        assert_eq!(sent_and_read(Version::V2, longest), 25_500);
        assert_eq!(sent_and_read(Version::V3, longest), 4095);
    }

    #[test]
    fn addresses_that_do_not_fit_are_left_out() {
        let carrier = carrier("10.0.0.2", IPV4_GROUP);
        let fitting = advertisement(Version::V3, 100, &["10.0.0.250"; 255]);
        let mut sent = advertisement(Version::V3, 100, &["fe80::51"]);
        sent.addresses.extend(&fitting.addresses);
        sent.addresses.extend(&fitting.addresses);
        let bytes = sent.encode(carrier, ChecksumForm::default());
        let read = Advertisement::decode(&bytes, carrier).unwrap().advertisement;
        assert_eq!(read, fitting);
    }

    #[test]
    fn password_is_kept_whole_or_refused() {
        let password = Authentication::password;
        assert_eq!(password(""), None);
        assert_eq!(password("123456789"), None);
        // Bytes count, not characters.
        assert_eq!(password("ÄÖÜß1"), None);
        assert_eq!(password("1111"), Some(Authentication::Password(*b"1111\0\0\0\0")));
        assert_eq!(password("12345678"), Some(Authentication::Password(*b"12345678")));
    }

    #[test]
    fn authentication_matches_its_like_alone() {
        let password = |text| Authentication::password(text).unwrap();
        assert!(Authentication::None.matches(Authentication::None));
        assert!(password("1111").matches(password("1111")));
        for other in ["1112", "0111", "111", "11111111"] {
            assert!(!password("1111").matches(password(other)), "{other}");
        }
        assert!(!password("1111").matches(Authentication::None));
        assert!(!Authentication::None.matches(Authentication::Password([0; 8])));
    }

    #[test]
    fn password_is_not_shown() {
        let sent = Advertisement {
            authentication: Authentication::password("secret").unwrap(),
            ..advertisement(Version::V2, 100, &["10.0.0.250"])
        };
        let shown = format!("{sent:?}");
        assert!(shown.contains("authentication: Password(..)"), "{shown}");
        // As octets it would read 115, 101, …
        assert!(!shown.contains("secret") && !shown.contains("115"), "{shown}");
    }

    #[test]
    fn reasons_read_as_the_end_of_a_sentence() {
        let length = Malformed::WrongLength {
            found: 12,
            expected: 20,
        };
        for (reason, text) in [
            (
                Malformed::UnknownVersion(4),
                "version 4, where 2 and 3 are understood",
            ),
            (length, "12 octets long, where its header asks for 20"),
            (
                Malformed::HmacTrailer,
                "28 octets longer than its header asks for, as keepalived makes it with auth_hmac, which is not supported",
            ),
            (
                Malformed::UnknownAuthentication(3),
                "authentication type 3, where 0 (none) and 1 (password) are understood",
            ),
        ] {
            assert_eq!(reason.to_string(), text);
        }
    }

    /// SplitMix64: enough to vary, the same each time.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn octet(&mut self) -> u8 {
            self.next().to_le_bytes()[0]
        }

        /// `first..=last`.
        fn between(&mut self, first: u16, last: u16) -> u16 {
            let values = u64::from(last - first) + 1;
            first + u16::try_from(self.next() % values).unwrap()
        }

        fn address(&mut self, ipv4: bool) -> IpAddr {
            let bits = u128::from(self.next()) << 64 | u128::from(self.next());
            match ipv4 {
                true => IpAddr::V4((bits as u32).into()),
                false => IpAddr::V6(bits.into()),
            }
        }

        fn carrier(&mut self, ipv4: bool) -> Carrier {
            Carrier {
                source: self.address(ipv4),
                destination: self.address(ipv4),
            }
        }

        fn advertisement(&mut self, version: Version, ipv4: bool) -> Advertisement {
            let count = match self.between(0, 9) {
                0 => self.between(1, 255),
                _ => self.between(1, 4),
            };
            let seconds = u8::try_from(self.between(1, 255)).unwrap();
            Advertisement {
                version,
                vrid: Vrid::new(u8::try_from(self.between(1, 255)).unwrap()).unwrap(),
                priority: Priority::new(self.octet()),
                interval: match version {
                    Version::V2 => Centiseconds::from_seconds(seconds).unwrap(),
                    Version::V3 => Centiseconds::new(self.between(1, 4095)).unwrap(),
                },
                authentication: match (version, self.between(0, 1)) {
                    (Version::V2, 1) => Authentication::Password(self.next().to_le_bytes()),
                    _ => Authentication::None,
                },
                addresses: (0..count).map(|_| self.address(ipv4)).collect(),
            }
        }
    }

    /// Each version, family and form, and what decoding is to find.
    const KINDS: [(Version, bool, Option<ChecksumForm>); 4] = [
        (Version::V2, true, None),
        (Version::V3, true, Some(ChecksumForm::PseudoHeader)),
        (Version::V3, true, Some(ChecksumForm::MessageOnly)),
        (Version::V3, false, None),
    ];

    /// Calls `test` with so many random messages of each kind.
    fn for_random_messages(rounds: u64, mut test: impl FnMut(&Advertisement, Carrier, &[u8], &Decoded)) {
        for seed in 0..rounds {
            let mut random = Random(seed);
            for (version, ipv4, form) in KINDS {
                let (sent, carrier) = (random.advertisement(version, ipv4), random.carrier(ipv4));
                let bytes = sent.encode(carrier, form.unwrap_or_default());
                let decoded = Advertisement::decode(&bytes, carrier)
                    .unwrap_or_else(|why| panic!("seed {seed}: {sent:?}: {why}"));
                assert_eq!(decoded.form, form, "seed {seed}");
                test(&sent, carrier, &bytes, &decoded);
            }
        }
    }

    #[test]
    fn random_advertisements_are_read_as_written() {
        for_random_messages(5_000, |sent, _, _, decoded| {
            assert_eq!(decoded.advertisement, *sent);
        });
    }

    // One octet that changes moves the sum by less than 0xffff, so no change
    // is lost; only where two forms are accepted can one become the other.
    #[test]
    fn one_changed_octet_is_noticed() {
        for_random_messages(10, |sent, carrier, bytes, before| {
            for at in 0..bytes.len().min(64) {
                for change in 1..=u8::MAX {
                    let mut changed = bytes.to_vec();
                    changed[at] ^= change;
                    if let Ok(after) = Advertisement::decode(&changed, carrier) {
                        assert!(before.form.is_some(), "{sent:?}: octet {at} ^ {change}");
                        assert_ne!(after.form, before.form, "{sent:?}: octet {at} ^ {change}");
                    }
                }
            }
        });
    }

    #[test]
    fn truncated_messages_are_refused() {
        for_random_messages(200, |sent, carrier, bytes, _| {
            for length in 0..bytes.len() {
                let refused = Advertisement::decode(&bytes[..length], carrier);
                let why = match length {
                    0..HEADER => Malformed::TooShort,
                    _ => Malformed::WrongLength {
                        found: length,
                        expected: bytes.len(),
                    },
                };
                assert_eq!(refused, Err(why), "{sent:?}");
            }
        });
    }

    #[test]
    fn lengthened_messages_are_refused() {
        for_random_messages(200, |sent, carrier, bytes, _| {
            for surplus in 1..64 {
                let longer = [bytes, &vec![0; surplus]].concat();
                let refused = Advertisement::decode(&longer, carrier);
                let why = match surplus {
                    HMAC_TRAILER => Malformed::HmacTrailer,
                    _ => Malformed::WrongLength {
                        found: longer.len(),
                        expected: bytes.len(),
                    },
                };
                assert_eq!(refused, Err(why), "{sent:?}");
            }
        });
    }

    #[test]
    fn random_octets_never_panic_and_what_is_read_reads_the_same_again() {
        let mut read = 0;
        for seed in 0..200_000 {
            let mut random = Random(seed);
            let ipv4 = seed % 2 == 0;
            let length = usize::from(random.between(0, 60));
            let mut bytes: Vec<u8> = (0..length).map(|_| random.octet()).collect();
            // Most go past the first checks.
            if let (Some([kind, _, _, count, ..]), true) = (bytes.get_mut(..4), seed % 8 != 0) {
                *kind = if ipv4 && seed % 4 == 0 { 0x21 } else { 0x31 };
                let per_address = if ipv4 { 4 } else { 16 };
                let data = if *kind == 0x21 { 2 } else { 0 };
                *count = u8::try_from(length.saturating_sub(8) / per_address)
                    .unwrap()
                    .saturating_sub(data);
            }
            let carrier = random.carrier(ipv4);
            if length >= HEADER && ipv4 {
                bytes[6..8].fill(0);
                let checksum = !sum(words(&bytes));
                bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
            }
            let Ok(decoded) = Advertisement::decode(&bytes, carrier) else {
                continue;
            };
            read += 1;
            let again = decoded
                .advertisement
                .encode(carrier, decoded.form.unwrap_or_default());
            assert_eq!(Advertisement::decode(&again, carrier), Ok(decoded), "seed {seed}");
        }
        assert!(read > 1_000, "only {read} were read");
    }
}
