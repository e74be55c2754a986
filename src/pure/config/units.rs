//! Values whose unit is part of the text: `"1m30s"`, `"16MiB"`, `"off"`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// A length of time in whole milliseconds, written with its units from the
/// largest to the smallest: `"10ms"`, `"1s"`, `"5m"`, `"1h"`, `"1m30s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

/// Units of time and their milliseconds, largest first.
const TIME_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a duration\nwrite whole numbers with the units h, m, s and ms, such as \"500ms\", \"2s\" or \"1m30s\""
            )
        };
        let mut rest = text;
        let mut total: u64 = 0;
        let mut units = TIME_UNITS.iter();
        while !rest.is_empty() || text.is_empty() {
            let (number, after) = take(rest, |c| c.is_ascii_digit());
            let (unit, after) = take(after, |c| c.is_ascii_alphabetic());
            // Continues behind the last unit found, so that each comes once and in order.
            let (_, milliseconds) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
            let number: u64 = number.parse().map_err(|_| wrong())?;
            total = number
                .checked_mul(*milliseconds)
                .and_then(|part| total.checked_add(part))
                .ok_or_else(|| format!("the duration {text:?} is too long"))?;
            rest = after;
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, milliseconds) in TIME_UNITS {
            if rest >= milliseconds {
                write!(f, "{}{name}", rest / milliseconds)?;
                rest %= milliseconds;
            }
        }
        Ok(())
    }
}

/// A number of bytes: `"512KiB"`, `"16MiB"`, `"1GiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a size\nwrite a whole number with one of the units B, KiB, MiB and GiB, such as \"16MiB\""
            )
        };
        let (number, unit) = take(text, |c| c.is_ascii_digit());
        let (_, bytes) = SIZE_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let total = number
            .checked_mul(*bytes)
            .ok_or_else(|| format!("the size {text:?} is too large"))?;
        Ok(Self(total))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |bytes: &u64| self.0 > 0 && self.0.is_multiple_of(*bytes);
        let (name, bytes) = SIZE_UNITS
            .into_iter()
            .find(|(_, bytes)| fits(bytes))
            .unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / bytes)
    }
}

fn take(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !wanted(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// A value, or `"off"` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrOff<T> {
    /// `"off"`.
    Off,
    /// The value.
    On(T),
}

impl<T> From<Option<T>> for OrOff<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Off, Self::On)
    }
}

impl<T: FromStr<Err = String>> FromStr for OrOff<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            text => text
                .parse()
                .map(Self::On)
                .map_err(|error| format!("{error}, or \"off\"")),
        }
    }
}

impl<T: fmt::Display> fmt::Display for OrOff<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On(value) => value.fmt(f),
        }
    }
}

/// What the document and its schema need to know of a unit.
trait Unit: FromStr<Err = String> + fmt::Display {
    const NAME: &'static str;
    const WHAT: &'static str;
    const PATTERN: &'static str;
    /// The text that was probably meant by a bare number.
    fn example(number: &str) -> String;
    /// The same for a number with a fraction.
    fn example_of_fraction(number: f64) -> String;
}

impl Unit for Time {
    const NAME: &'static str = "Duration";
    const WHAT: &'static str = "a duration, text such as \"2s\"";
    const PATTERN: &'static str = "^(?=.)([0-9]+h)?([0-9]+m(?!s))?([0-9]+s)?([0-9]+ms)?$";

    fn example(number: &str) -> String {
        format!(
            "a duration carries its unit in the text\nwrite \"{number}s\" if you mean seconds, \"{number}ms\" for milliseconds"
        )
    }

    fn example_of_fraction(number: f64) -> String {
        let meant = Time(Duration::try_from_secs_f64(number).unwrap_or_default());
        format!("a duration carries its unit in the text\nwrite \"{meant}\" if you mean seconds")
    }
}

impl Unit for Size {
    const NAME: &'static str = "Size";
    const WHAT: &'static str = "a size, text such as \"16MiB\"";
    const PATTERN: &'static str = "^[0-9]+(B|KiB|MiB|GiB)$";

    fn example(number: &str) -> String {
        format!(
            "a size carries its unit in the text\nwrite \"{number}B\" if you mean bytes, \"{number}MiB\" for mebibytes"
        )
    }

    fn example_of_fraction(number: f64) -> String {
        Self::example(&number.ceil().to_string())
    }
}

impl Unit for OrOff<Time> {
    const NAME: &'static str = "DurationOrOff";
    const WHAT: &'static str = "a duration, text such as \"2s\", or \"off\"";
    const PATTERN: &'static str = "^(off|(?=.)([0-9]+h)?([0-9]+m(?!s))?([0-9]+s)?([0-9]+ms)?)$";

    fn example(number: &str) -> String {
        match number {
            "0" => "a duration carries its unit in the text\nwrite \"off\" for none".into(),
            number => Time::example(number),
        }
    }

    fn example_of_fraction(number: f64) -> String {
        Time::example_of_fraction(number)
    }
}

struct UnitVisitor<T>(PhantomData<T>);

impl<T: Unit> Visitor<'_> for UnitVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        Err(E::custom(T::example(&number.unsigned_abs().to_string())))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        Err(E::custom(T::example_of_fraction(number.abs())))
    }
}

macro_rules! in_the_document {
    ($($unit:ty),*) => {$(
        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(UnitVisitor(PhantomData))
            }
        }

        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $unit {
            fn schema_name() -> Cow<'static, str> {
                <$unit as Unit>::NAME.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": <$unit as Unit>::PATTERN })
            }
        }
    )*};
}

in_the_document!(Time, Size, OrOff<Time>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_means_what_it_says() {
        let cases = [
            ("0s", 0, 0),
            ("10ms", 0, 10_000_000),
            ("1s", 1, 0),
            ("40s950ms", 40, 950_000_000),
            ("5m", 300, 0),
            ("1m30s", 90, 0),
            ("1h", 3600, 0),
            ("1h1ms", 3600, 1_000_000),
            ("24h", 86_400, 0),
        ];
        for (text, seconds, nanoseconds) in cases {
            assert_eq!(
                text.parse(),
                Ok(Time(Duration::new(seconds, nanoseconds))),
                "{text}"
            );
            assert_eq!(
                Time(Duration::new(seconds, nanoseconds))
                    .to_string()
                    .parse::<Time>(),
                text.parse(),
                "{text}"
            );
        }
    }

    #[test]
    fn time_is_written_with_the_largest_units() {
        let text = |milliseconds| Time(Duration::from_millis(milliseconds)).to_string();
        assert_eq!(text(0), "0s");
        assert_eq!(text(1500), "1s500ms");
        assert_eq!(text(90_000), "1m30s");
        assert_eq!(text(3_600_000), "1h");
        assert_eq!(text(86_400_000), "24h");
    }

    #[test]
    fn time_refuses_what_could_mean_two_things() {
        let wrong = [
            "", "2", "s", "1.5s", "-1s", "1S", "1s1m", "1s1s", "1m 30s", " 1s", "1d", "1us", "1ms1s", "１s",
        ];
        for text in wrong {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
        assert!("99999999999999999999h".parse::<Time>().is_err());
        assert!(
            "9999999999999999h"
                .parse::<Time>()
                .unwrap_err()
                .contains("too long")
        );
    }

    #[test]
    fn size_means_what_it_says() {
        let cases: [(&str, u64); 4] = [
            ("1B", 1),
            ("512KiB", 524_288),
            ("16MiB", 16_777_216),
            ("1GiB", 1_073_741_824),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse(), Ok(Size(bytes)));
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(Size(0).to_string(), "0B");
        assert_eq!(Size(1_048_577).to_string(), "1048577B");
    }

    #[test]
    fn size_refuses_decimal_units_and_bare_numbers() {
        for text in ["", "16", "16MB", "16M", "1.5MiB", "-1MiB", "16 MiB", "MiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        assert!(
            "99999999999GiB"
                .parse::<Size>()
                .unwrap_err()
                .contains("too large")
        );
    }

    #[test]
    fn off_is_no_value() {
        assert_eq!("off".parse(), Ok(OrOff::<Time>::Off));
        assert_eq!("1s".parse(), Ok(OrOff::On(Time(Duration::from_secs(1)))));
        assert!(
            "none"
                .parse::<OrOff<Time>>()
                .unwrap_err()
                .ends_with(", or \"off\"")
        );
    }
}
