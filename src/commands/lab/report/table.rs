//! A table for people: figures, and below them whether what was expected held.

use super::Expectation;

/// Rows of cells, as wide as they need to be.
#[derive(Default)]
pub struct Table {
    rows: Vec<(String, Vec<String>)>,
}

/// The words for an expectation.
pub const HELD: &str = "held";
/// And for one that was disappointed.
pub const BROKEN: &str = "BROKEN";

/// Spaces between columns.
const GAP: usize = 3;

impl Table {
    /// Add a row.
    pub fn row(&mut self, caption: &str, cells: Vec<String>) {
        self.rows.push((caption.into(), cells));
    }

    /// Add a row for each thing that was expected, with a column for each of `of`.
    pub fn verdicts<'a>(&mut self, of: impl Iterator<Item = &'a str> + Clone, expectations: &[Expectation]) {
        let mut told: Vec<&str> = Vec::new();
        for Expectation { what, of: whose, .. } in expectations {
            if told.contains(&what.as_str()) || !of.clone().any(|column| column == whose) {
                continue;
            }
            told.push(what);
            let cell = |column| {
                let mut found = expectations
                    .iter()
                    .filter(|one| one.of == column && one.what == *what);
                match found.next() {
                    Some(Expectation { held: true, .. }) => HELD,
                    Some(Expectation { held: false, .. }) => BROKEN,
                    None => "-",
                }
            };
            self.row(what, of.clone().map(|column| cell(column).into()).collect());
        }
    }

    /// Its lines.
    pub fn lines(&self, paint: &Paint) -> String {
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0) + GAP;
        let captions = longest(&mut self.rows.iter().map(|(caption, _)| caption.chars().count()));
        let cells = self.rows.iter().flat_map(|(_, cells)| cells);
        let column = longest(&mut cells.map(|cell| cell.chars().count()));
        let mut out = String::new();
        for (caption, cells) in &self.rows {
            let mut line = format!("{caption:<captions$}");
            for cell in cells {
                let padded = format!("{cell:<column$}");
                line += &match cell.as_str() {
                    HELD => paint.good(&padded),
                    BROKEN => paint.bad(&padded),
                    _ => padded,
                };
            }
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}

/// Colours, where there are any.
pub struct Paint {
    /// There are.
    pub colours: bool,
}

impl Paint {
    /// As it should be.
    pub fn good(&self, text: &str) -> String {
        self.paint(text, 32)
    }

    /// As it should not be.
    pub fn bad(&self, text: &str) -> String {
        self.paint(text, 31)
    }

    fn paint(&self, text: &str, colour: u8) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}

/// Seconds, or "never".
pub fn seconds(value: Option<f64>) -> String {
    value.map_or("never".into(), |value| format!("{value:.2} s"))
}

/// Milliseconds, whole.
pub fn milliseconds(value: f64) -> String {
    format!("{value:.0} ms")
}
