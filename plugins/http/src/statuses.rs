//! Which statuses are healthy: `200`, `"200-299"`, `"200-299,301"`.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A list of statuses and ranges of them; never empty.
#[derive(Debug)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Default for Statuses {
    /// What a browser would take for an answer.
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

impl Statuses {
    /// Whether a status is among them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }

    fn parse(text: &str) -> Option<Self> {
        let ranges: Option<Vec<_>> = text
            .split(',')
            .map(|part| {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let range = status(first)?..=status(last)?;
                (!range.is_empty()).then_some(range)
            })
            .collect();
        ranges.map(Self)
    }
}

/// Three digits, as on the wire (RFC 9112 §4).
fn status(text: &str) -> Option<u16> {
    text.trim()
        .parse()
        .ok()
        .filter(|status| (100..=999).contains(status))
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, range) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;

        impl Visitor<'_> for Seen {
            type Value = Statuses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("statuses such as 200 or \"200-299,301\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
                Statuses::parse(text).ok_or_else(|| {
                    E::custom(format_args!(
                        "`status` is {text:?}, expected statuses such as 200 or \"200-299,301\""
                    ))
                })
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Statuses, E> {
                self.visit_str(&number.to_string())
            }
        }

        deserializer.deserialize_any(Seen)
    }
}

#[cfg(test)]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use serde::{Serialize, Serializer};

    use super::Statuses;

    impl JsonSchema for Statuses {
        fn schema_name() -> Cow<'static, str> {
            "Statuses".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            let status = "[1-9][0-9]{2}";
            let part = format!(" *{status} *(- *{status} *)?");
            json_schema!({
                "type": ["integer", "string"],
                "minimum": 100,
                "maximum": 999,
                "pattern": format!("^{part}(,{part})*$"),
            })
        }

        fn inline_schema() -> bool {
            true
        }
    }

    impl Serialize for Statuses {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_are_understood() {
        let statuses = Statuses::parse("200-299, 301,404").unwrap();
        for status in [200, 250, 299, 301, 404] {
            assert!(statuses.contains(status), "{status}");
        }
        for status in [199, 300, 302, 403] {
            assert!(!statuses.contains(status), "{status}");
        }
        assert_eq!(statuses.to_string(), "200-299,301,404");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "ok",
            "2xx",
            "200-",
            "-200",
            "299-200",
            "99",
            "1000",
            "200,,300",
            "65736",
            "200-300-400",
        ] {
            assert!(Statuses::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_number_is_as_good_as_a_text() {
        let read = catamaran_check::config::<Statuses>;
        assert_eq!(read("204").unwrap().to_string(), "204");
        assert_eq!(
            read("7").unwrap_err(),
            r#"config: `status` is "7", expected statuses such as 200 or "200-299,301""#
        );
        assert_eq!(
            read("true").unwrap_err(),
            r#"config: invalid type: boolean `true`, expected statuses such as 200 or "200-299,301""#
        );
    }
}
