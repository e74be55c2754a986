//! Messages of the Domain Name System (RFC 1035 §4) over TCP: one question
//! out, the records that answer it in.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

/// The message's number. One question is asked on a connection, and nobody
/// else can answer there, so that it need not be hard to guess.
const ID: u16 = 0x6361;

/// The class of the Internet.
const IN: u16 = 1;

/// The longest name, in bytes on the wire (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 255;
/// The longest part of a name.
const LONGEST_LABEL: usize = 63;
/// A name that is no longer than that has no more parts, each of which can be
/// elsewhere.
const MOST_LABELS: usize = 127;

/// Types of records that can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// IPv4 addresses.
    #[default]
    A = 1,
    /// Name servers.
    Ns = 2,
    /// What the name is another name of.
    Cname = 5,
    /// Beginning of a zone: `ns1.example.org hostmaster.example.org 2024010101`.
    Soa = 6,
    /// The name of an address, which is asked for as `1.2.0.192.in-addr.arpa`.
    Ptr = 12,
    /// Mail servers: `10 mail.example.org`.
    Mx = 15,
    /// Texts.
    Txt = 16,
    /// IPv6 addresses.
    Aaaa = 28,
    /// Servers of a service: `0 5 5060 sip.example.org`.
    Srv = 33,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The name, with or without the point at its end.
    pub name: &'a str,
    /// Records of this type.
    pub kind: Kind,
    /// Whether the server is to ask others.
    pub recursion: bool,
}

/// What a server answers.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// How it went, 0 to 15 (RFC 1035 §4.1.1).
    pub rcode: u8,
    /// Whether the server would ask others.
    pub offers_recursion: bool,
    /// The data of the records that were asked for, as text, in the order of
    /// the answer.
    pub records: Vec<String>,
}

/// A name as it stands in messages.
///
/// # Errors
///
/// What is wrong with it.
pub fn encode(name: &str) -> Result<Vec<u8>, &'static str> {
    let mut wire = Vec::new();
    let name = name.strip_suffix('.').unwrap_or(name);
    // The root has no labels; what is left of it is nothing.
    for label in name.split('.').filter(|_| !name.is_empty()) {
        if label.is_empty() || label.len() > LONGEST_LABEL {
            return Err("has a part that is empty or longer than 63 bytes");
        }
        if !label.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err("is not ASCII without spaces and `\\`; other letters are written as `xn--…`");
        }
        wire.push(u8::try_from(label.len()).unwrap_or_default());
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    if wire.len() > LONGEST_NAME {
        return Err("is longer than 253 bytes");
    }
    Ok(wire)
}

impl Question<'_> {
    /// The question as a message, behind its length (RFC 1035 §4.2.2).
    ///
    /// # Errors
    ///
    /// As [`encode`].
    pub fn message(&self) -> Result<Vec<u8>, &'static str> {
        let name = encode(self.name)?;
        let length = u16::try_from(12 + name.len() + 4).unwrap_or(u16::MAX);
        let mut bytes = Vec::new();
        let header = [length, ID, u16::from(self.recursion) << 8, 1, 0, 0, 0];
        bytes.extend(header.into_iter().flat_map(u16::to_be_bytes));
        bytes.extend(name);
        bytes.extend([self.kind as u16, IN].into_iter().flat_map(u16::to_be_bytes));
        Ok(bytes)
    }

    /// Read the answer, without its length.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn answer(&self, message: &[u8]) -> Result<Answer, &'static str> {
        let mut bytes = Bytes {
            whole: message,
            at: 0,
        };
        if bytes.short()? != ID {
            return Err("the answer is not to our question: another id");
        }
        let flags = bytes.short()?;
        if flags & 0x8000 == 0 || flags & 0x7800 != 0 {
            return Err("what came is no answer to a query");
        }
        if flags & 0x0200 != 0 {
            return Err("the answer is truncated, over TCP");
        }
        let mut answer = Answer {
            rcode: (flags & 0xf) as u8,
            offers_recursion: flags & 0x80 != 0,
            records: Vec::new(),
        };
        let (questions, answers) = (bytes.short()?, bytes.short()?);
        // What follows the answers, authorities and more, is of no interest.
        bytes.take(4)?;
        self.compare(questions, answer.rcode, &mut bytes)?;
        answer.records = self.records(answers, &mut bytes)?;
        Ok(answer)
    }

    /// Whether the question that comes back is ours. One that the server could
    /// not read may be missing.
    fn compare(&self, questions: u16, rcode: u8, bytes: &mut Bytes) -> Result<(), &'static str> {
        match questions {
            0 if rcode != 0 => return Ok(()),
            1 => {}
            _ => return Err("the answer has not one question in it"),
        }
        let is_ours =
            self.owns(&bytes.name()?) & (bytes.short()? == self.kind as u16) & (bytes.short()? == IN);
        if is_ours {
            Ok(())
        } else {
            Err("the answer is not to our question: another name or type")
        }
    }

    fn owns(&self, name: &str) -> bool {
        is_same(self.name, name)
    }

    /// The data of those that were asked for, behind the other names that lead
    /// to them (RFC 1034 §3.6.2).
    fn records(&self, count: u16, bytes: &mut Bytes) -> Result<Vec<String>, &'static str> {
        let mut owner = self.name.to_owned();
        let mut records = Vec::new();
        for _ in 0..count {
            let name = bytes.name()?;
            let (kind, class) = (bytes.short()?, bytes.short()?);
            bytes.take(4)?;
            let end = usize::from(bytes.short()?) + bytes.at;
            if end > bytes.whole.len() {
                return Err(SHORT);
            }
            let is_owner = class == IN && is_same(&owner, &name);
            if is_owner && kind == self.kind as u16 {
                records.push(bytes.data(self.kind, end)?);
            } else if is_owner && kind == Kind::Cname as u16 {
                owner = bytes.data(Kind::Cname, end)?;
            }
            bytes.at = end;
        }
        Ok(records)
    }
}

/// Whether two names are the same (RFC 4343), with or without the point at the
/// end.
pub fn is_same(one: &str, other: &str) -> bool {
    let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    bare(one) == bare(other)
}

const SHORT: &str = "the answer ends too early";

/// A message, and how far it is read.
struct Bytes<'a> {
    whole: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let taken = self.whole.get(self.at..).and_then(|rest| rest.get(..count));
        self.at += taken.map_or(0, <[u8]>::len);
        taken.ok_or(SHORT)
    }

    fn short(&mut self) -> Result<u16, &'static str> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A name without the point at its end. Those that are compressed go on
    /// elsewhere (RFC 1035 §4.1.4); each time that must be further in front
    /// than where the part before began, so that none goes in circles.
    fn name(&mut self) -> Result<String, &'static str> {
        let mut text = String::new();
        let mut length = 1;
        let mut begin = self.at;
        let mut end = None;
        let mut jumps = 0;
        loop {
            let head = self.take(1)?[0];
            match head {
                0 => break,
                1..=63 => {
                    length += 1 + usize::from(head);
                    if length > LONGEST_NAME {
                        return Err("a name in the answer is too long");
                    }
                    if !text.is_empty() {
                        text.push('.');
                    }
                    self.take(usize::from(head))?
                        .iter()
                        .for_each(|byte| write(&mut text, *byte));
                }
                0xc0.. => {
                    let place = usize::from(head & 0x3f) << 8 | usize::from(self.take(1)?[0]);
                    jumps += 1;
                    if place >= begin || jumps > MOST_LABELS {
                        return Err("a compressed name in the answer does not lead back");
                    }
                    end.get_or_insert(self.at);
                    (self.at, begin) = (place, place);
                }
                _ => return Err("a name in the answer is malformed"),
            }
        }
        self.at = end.unwrap_or(self.at);
        Ok(text)
    }

    /// A record's data as text; it must end there.
    fn data(&mut self, kind: Kind, end: usize) -> Result<String, &'static str> {
        let text = match kind {
            Kind::A => Ipv4Addr::from(self.array()?).to_string(),
            Kind::Aaaa => Ipv6Addr::from(self.array()?).to_string(),
            Kind::Ns | Kind::Cname | Kind::Ptr => self.shown_name()?,
            Kind::Mx => format!("{} {}", self.short()?, self.shown_name()?),
            Kind::Srv => {
                let (priority, weight, port) = (self.short()?, self.short()?, self.short()?);
                format!("{priority} {weight} {port} {}", self.shown_name()?)
            }
            Kind::Soa => {
                let (server, person) = (self.shown_name()?, self.shown_name()?);
                let serial = u32::from_be_bytes(self.array()?);
                self.take(16)?;
                format!("{server} {person} {serial}")
            }
            Kind::Txt => self.texts(end)?,
        };
        if self.at == end {
            Ok(text)
        } else {
            Err("a record in the answer has another length than its data")
        }
    }

    /// Texts in a row are one (RFC 7208 §3.3 has them so; others follow).
    fn texts(&mut self, end: usize) -> Result<String, &'static str> {
        let mut whole = Vec::new();
        while self.at < end {
            let length = self.take(1)?[0];
            whole.extend_from_slice(self.take(usize::from(length))?);
        }
        Ok(String::from_utf8_lossy(&whole).into_owned())
    }

    /// A name that is not empty even for the root.
    fn shown_name(&mut self) -> Result<String, &'static str> {
        let name = self.name()?;
        Ok(if name.is_empty() { ".".into() } else { name })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| SHORT)
    }
}

/// A byte of a name as zone files have it (RFC 4343 §2.1).
fn write(text: &mut String, byte: u8) {
    match byte {
        b'.' | b'\\' => text.extend(['\\', char::from(byte)]),
        b'!'..=b'~' => text.push(char::from(byte)),
        _ => text.push_str(&format!("\\{byte:03}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WWW: Question = Question {
        name: "www.example.org",
        kind: Kind::A,
        recursion: true,
    };

    /// `www.example.org`, whose `example.org` is at 16.
    const NAME: &[u8] = b"\x03www\x07example\x03org\0";

    /// A message with our question and records behind it.
    fn message(flags: u16, kind: Kind, records: &[&[u8]]) -> Vec<u8> {
        let header = [ID, flags, 1, records.len() as u16, 0, 0];
        let mut bytes: Vec<u8> = header.into_iter().flat_map(u16::to_be_bytes).collect();
        bytes.extend_from_slice(NAME);
        bytes.extend([0, kind as u8, 0, 1]);
        bytes.extend(records.concat());
        bytes
    }

    /// A record of the name at a place.
    fn record(place: u8, kind: Kind, data: &[u8]) -> Vec<u8> {
        let head = [0xc0, place, 0, kind as u8, 0, 1, 0, 0, 0, 60, 0, data.len() as u8];
        [&head, data].concat()
    }

    fn texts(kind: Kind, data: &[u8]) -> Result<Vec<String>, &'static str> {
        let question = Question { kind, ..WWW };
        let answer = question.answer(&message(0x8180, kind, &[&record(12, kind, data)]))?;
        Ok(answer.records)
    }

    #[test]
    fn question_is_counted_and_names_its_type() {
        let wanted = b"\0\x21ca\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03org\0\0\x01\0\x01";
        assert_eq!(WWW.message().unwrap(), wanted);
        let root = Question {
            name: ".",
            kind: Kind::Soa,
            recursion: false,
        };
        assert_eq!(
            root.message().unwrap(),
            b"\0\x11ca\0\0\0\x01\0\0\0\0\0\0\0\0\x06\0\x01"
        );
    }

    #[test]
    fn names_that_cannot_be_asked_for_are_refused() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(encode(&longest).unwrap().len(), 255);
        for name in [
            "",
            ".",
            "a",
            "a.",
            "_sip._tcp.example.org",
            &format!("{longest}."),
        ] {
            assert!(encode(name).is_ok(), "{name}");
        }
        for name in [
            "..",
            ".a",
            "a..b",
            "ä.org",
            "a b",
            r"a\.b",
            &format!("{label}a.org"),
            &format!("{longest}a"),
        ] {
            assert!(encode(name).is_err(), "{name}");
        }
    }

    #[test]
    fn records_behind_another_name_are_found() {
        // web.example.org, whose `web` is at 45.
        let other = record(12, Kind::Cname, b"\x03web\xc0\x10");
        let first = record(45, Kind::A, &[192, 0, 2, 1]);
        let second = record(45, Kind::A, &[192, 0, 2, 2]);
        let stranger = record(16, Kind::A, &[192, 0, 2, 3]);
        let bytes = message(0x8180, Kind::A, &[&other, &stranger, &first, &second]);
        let answer = WWW.answer(&bytes).unwrap();
        assert_eq!(answer.records, ["192.0.2.1", "192.0.2.2"]);
        assert!(answer.offers_recursion);
        assert_eq!(answer.rcode, 0);
    }

    #[test]
    fn each_type_has_its_text() {
        for (kind, data, text) in [
            (Kind::A, &[192, 0, 2, 1][..], "192.0.2.1"),
            (
                Kind::Aaaa,
                b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01",
                "2001:db8::1",
            ),
            (Kind::Ns, b"\x02ns\xc0\x10", "ns.example.org"),
            (Kind::Cname, b"\xc0\x10", "example.org"),
            (Kind::Ptr, b"\0", "."),
            (Kind::Mx, b"\0\x0a\x04mail\xc0\x10", "10 mail.example.org"),
            (
                Kind::Srv,
                b"\0\0\0\x05\x13\xc4\x03sip\xc0\x10",
                "0 5 5060 sip.example.org",
            ),
            (
                Kind::Soa,
                b"\x02ns\xc0\x10\x02me\xc0\x10\x78\xa3\xf1\x75\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01",
                "ns.example.org me.example.org 2024010101",
            ),
            (Kind::Txt, b"\x03v=s\x02pf\0", "v=spf"),
            (Kind::Ns, b"\x04a.\\\x07\0", r"a\.\\\007"),
        ] {
            assert_eq!(
                texts(kind, data).as_deref(),
                Ok(&[text.to_owned()][..]),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn data_of_another_length_is_malformed() {
        for (kind, data) in [
            (Kind::A, &[192, 0, 2][..]),
            (Kind::A, &[192, 0, 2, 1, 1]),
            (Kind::Aaaa, &[0; 15]),
            (Kind::Mx, b"\0"),
            (Kind::Ns, b"\x02ns"),
            (Kind::Txt, b"\x05abc"),
            (Kind::Soa, b"\0\0\0\0\0\x01"),
        ] {
            assert!(texts(kind, data).is_err(), "{kind:?} {data:?}");
        }
    }

    #[test]
    fn compressed_names_never_go_in_circles() {
        // The record's data is at 45: itself, behind itself, and each other.
        for data in [
            &b"\xc0\x2d"[..],
            b"\x01a\xc0\x2d",
            b"\xc0\x2f\xc0\x2d",
            b"\xff\xff",
            b"\x80\0",
            b"\x40\0",
        ] {
            assert!(texts(Kind::Ns, data).is_err(), "{data:?}");
        }
    }

    /// Each name leads to the one before it, which nobody has to follow far.
    #[test]
    fn compressed_names_are_followed_as_far_as_names_go() {
        let mut bytes = message(0x8180, Kind::Ns, &[]);
        let mut refused = Vec::new();
        for depth in 1..=MOST_LABELS + 1 {
            let [high, low] = (0xc000 | (bytes.len() - 2) as u16).to_be_bytes();
            bytes.extend([high, low]);
            let mut name = Bytes {
                whole: &bytes,
                at: bytes.len() - 2,
            };
            if name.name().is_err() {
                refused.push(depth);
            } else {
                assert_eq!(name.at, bytes.len());
            }
        }
        assert_eq!(refused, [MOST_LABELS + 1]);
    }

    #[test]
    fn name_that_grows_too_long_is_refused() {
        let mut data = Vec::new();
        for _ in 0..4 {
            data.push(60);
            data.extend([b'a'; 60]);
        }
        // With the 13 bytes of `example.org` 257, with `org` 249.
        assert!(texts(Kind::Ns, &[&data[..], &[0xc0, 16]].concat()).is_err());
        assert!(texts(Kind::Ns, &[&data[..], &[0xc0, 24]].concat()).is_ok());
    }

    #[test]
    fn beginnings_of_an_answer_are_too_short() {
        let records = [
            record(12, Kind::Cname, b"\x03web\xc0\x10"),
            record(45, Kind::A, &[192, 0, 2, 1]),
        ];
        let whole = message(0x8180, Kind::A, &[&records[0], &records[1]]);
        assert_eq!(WWW.answer(&whole).unwrap().records, ["192.0.2.1"]);
        for end in 0..whole.len() {
            assert_eq!(WWW.answer(&whole[..end]), Err(SHORT), "{end} bytes");
        }
    }

    /// Every byte of an answer, wrong in every way: read or refused, no more.
    #[test]
    fn no_byte_makes_the_reader_panic() {
        let records = [
            record(12, Kind::Cname, b"\x03web\xc0\x10"),
            record(45, Kind::Mx, b"\0\x0a\x04mail\xc0\x10"),
        ];
        let question = Question {
            kind: Kind::Mx,
            ..WWW
        };
        let whole = message(0x8180, Kind::Mx, &[&records[0], &records[1]]);
        let mut refused = 0;
        for place in 0..whole.len() {
            for byte in 0..=255 {
                let mut bytes = whole.clone();
                bytes[place] = byte;
                refused += usize::from(question.answer(&bytes).is_err());
            }
        }
        assert!(refused > 1000, "only {refused} were wrong");
    }

    #[test]
    fn answers_that_are_not_ours_are_refused() {
        let good = message(0x8180, Kind::A, &[]);
        assert!(WWW.answer(&good).unwrap().records.is_empty());
        let told = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            WWW.answer(&bytes).unwrap_err()
        };
        assert!(told(0, 0).contains("another id"));
        assert!(told(2, 1).contains("no answer"));
        assert!(told(2, 0xa1).contains("no answer"));
        assert!(told(2, 0x83).contains("truncated"));
        assert!(told(5, 2).contains("one question"));
        assert!(told(5, 0).contains("one question"));
        assert!(told(13, b'x').contains("another name"));
        assert!(told(30, 2).contains("another name or type"));
        assert!(told(32, 3).contains("another name or type"));
        // Letters may come back in the other case.
        let mut bytes = good;
        bytes[13] = b'W';
        assert!(WWW.answer(&bytes).is_ok());
    }

    #[test]
    fn refusal_may_come_without_the_question() {
        let bytes = [ID, 0x8105, 0, 0, 0, 0].map(u16::to_be_bytes).concat();
        assert_eq!(WWW.answer(&bytes).unwrap().rcode, 5);
    }
}
