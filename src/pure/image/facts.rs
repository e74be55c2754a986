//! What every image of one build says about itself.

use std::collections::HashMap;

use oci_spec::image::{
    ANNOTATION_CREATED, ANNOTATION_DESCRIPTION, ANNOTATION_LICENSES, ANNOTATION_REVISION, ANNOTATION_SOURCE,
    ANNOTATION_TITLE, ANNOTATION_VERSION,
};

/// The facts of one build.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The program's version.
    pub version: &'a str,
    /// An SPDX expression.
    pub licenses: &'a str,
    /// Where the sources are, if that is known.
    pub source: Option<&'a str>,
    /// Which sources, if that is known.
    pub revision: Option<&'a str>,
    /// The time of everything in the image.
    pub created: Moment,
}

impl Facts<'_> {
    /// The `org.opencontainers.image.…` labels.
    pub(super) fn labels(&self, title: &str, description: &str) -> HashMap<String, String> {
        let always = [
            (ANNOTATION_TITLE, title),
            (ANNOTATION_DESCRIPTION, description),
            (ANNOTATION_VERSION, self.version),
            (ANNOTATION_LICENSES, self.licenses),
        ];
        let perhaps = [
            (ANNOTATION_SOURCE, self.source),
            (ANNOTATION_REVISION, self.revision),
        ];
        let known = perhaps.into_iter().filter_map(|(key, value)| Some((key, value?)));
        always
            .into_iter()
            .chain(known)
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// The labels, and the time, which a configuration has elsewhere.
    pub(super) fn annotations(&self, title: &str, description: &str) -> HashMap<String, String> {
        let mut annotations = self.labels(title, description);
        annotations.insert(ANNOTATION_CREATED.into(), self.created.rfc3339());
        annotations
    }
}

/// A time in whole seconds since 1970, up to the end of the year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(u64);

impl Moment {
    /// # Errors
    ///
    /// When RFC 3339 has no words for it.
    pub fn new(seconds: u64) -> Result<Self, String> {
        const LAST: u64 = 253_402_300_799;
        match seconds {
            0..=LAST => Ok(Self(seconds)),
            _ => Err(format!(
                "{seconds} is after the year 9999; a time is in seconds since 1970"
            )),
        }
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// As text: `1970-01-01T00:00:00Z`.
    pub fn rfc3339(self) -> String {
        let (mut days, second) = (self.0 / 86_400, self.0 % 86_400);
        let mut year = 1970;
        while days >= days_of(year) {
            days -= days_of(year);
            year += 1;
        }
        let mut month = 0;
        let months = months_of(year);
        while days >= months[month] {
            days -= months[month];
            month += 1;
        }
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!(
            "{year:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
            month + 1,
            days + 1
        )
    }
}

fn days_of(year: u64) -> u64 {
    months_of(year).iter().sum()
}

fn months_of(year: u64) -> [u64; 12] {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if is_leap { 29 } else { 28 };
    [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_as_rfc_3339() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_000_000_000, "2001-09-09T01:46:40Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Moment::new(seconds).unwrap().rfc3339(), expected);
        }
        assert!(Moment::new(253_402_300_800).is_err());
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let facts = Facts {
            version: "1.0.0",
            licenses: "MIT",
            source: None,
            revision: Some("abc"),
            created: Moment::new(0).unwrap(),
        };
        let annotations = facts.annotations("t", "d");
        let mut keys: Vec<_> = annotations
            .keys()
            .map(|key| key.rsplit('.').next().unwrap())
            .collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "created",
                "description",
                "licenses",
                "revision",
                "title",
                "version"
            ]
        );
    }
}
