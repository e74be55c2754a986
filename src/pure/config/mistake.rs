//! What is wrong with a document, where, and what would be right.

use serde::Serialize;

use super::tree::{Path, Span};

/// One thing wrong with a document (or, as a warning, doubtful).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// Line in the text, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Characters to underline, at least 1.
    pub width: usize,
    /// The keys on the way there, such as `pools.apiserver.check`; empty for
    /// the document as a whole.
    pub path: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The part of the line that is shown, and the characters before the marker.
    #[serde(skip)]
    excerpt: Excerpt,
}

/// Whether a document with this in it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// No.
    Mistake,
    /// Yes, but the operator should know.
    Warning,
}

impl Mistake {
    /// Several lines for people, without a line feed at the end: place and
    /// message, the source line with a marker, help. Widths are those of a
    /// terminal that gives each character one cell.
    pub fn render(&self, file: &str, severity: Severity) -> String {
        let path = if self.path.is_empty() {
            String::new()
        } else {
            format!("{}: ", self.path)
        };
        let label = if severity == Severity::Warning {
            "warning: "
        } else {
            ""
        };
        let mut text = format!(
            "{file}:{}:{}: {label}{path}{}",
            self.line, self.column, self.message
        );
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let indent = " ".repeat(self.excerpt.before);
        let marker = "^".repeat(self.excerpt.marked);
        if !self.excerpt.text.is_empty() {
            text += &format!(
                "\n{gutter} |\n{number} | {}\n{gutter} | {indent}{marker}",
                self.excerpt.text
            );
        }
        if let Some(help) = &self.help {
            text += &format!("\n{gutter} = help: {help}");
        }
        text
    }
}

/// A mistake before its place is counted out: what the checks produce.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub span: Span,
    path: Path,
    message: String,
    help: Option<String>,
}

impl Fault {
    pub fn at(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            path: Path::default(),
            message: message.into(),
            help: None,
        }
    }

    /// The path it was given.
    pub fn place(&self) -> Path {
        self.path.clone()
    }

    pub fn path(mut self, path: &Path) -> Self {
        self.path = path.clone();
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// In the order of the document; what stands at the same place in the order it
/// was found.
pub(super) fn in_document_order(mut faults: Vec<Fault>, text: &str) -> Vec<Mistake> {
    faults.sort_by_key(|fault| fault.span.start);
    faults.into_iter().map(|fault| placed(fault, text)).collect()
}

fn placed(fault: Fault, text: &str) -> Mistake {
    let start = floor_boundary(text, fault.span.start);
    let end = floor_boundary(text, fault.span.end).max(start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let line = text[line_start..line_end].trim_end_matches('\r');
    let before = text[line_start..start]
        .trim_start_matches('\u{feff}')
        .chars()
        .count();
    let marked = &text[start..end.min(line_start + line.len()).max(start)];
    let width = marked.chars().count().max(1);
    Mistake {
        line: text[..start].matches('\n').count() + 1,
        column: before + 1,
        width,
        path: fault.path.to_string(),
        message: fault.message,
        help: fault.help,
        excerpt: Excerpt::of(line.trim_start_matches('\u{feff}'), before, width),
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Excerpt {
    text: String,
    before: usize,
    marked: usize,
}

/// Longest excerpt; machine-written JSON can be one endless line.
const LONGEST_EXCERPT: usize = 120;

impl Excerpt {
    fn of(line: &str, before: usize, width: usize) -> Self {
        let chars: Vec<char> = line.chars().map(printable).collect();
        if chars.len() <= LONGEST_EXCERPT {
            return Self {
                text: chars.iter().collect::<String>().trim_end().to_string(),
                before,
                marked: width,
            };
        }
        let from = before.saturating_sub(LONGEST_EXCERPT / 3);
        let to = (from + LONGEST_EXCERPT).min(chars.len());
        let left = if from > 0 { "…" } else { "" };
        let right = if to < chars.len() { "…" } else { "" };
        let window: String = chars[from.min(to)..to].iter().collect();
        Self {
            text: format!("{left}{window}{right}"),
            before: before - from + left.chars().count(),
            marked: width.min((to.saturating_sub(before)).max(1)),
        }
    }
}

/// One cell for each character, and nothing that a terminal would obey.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, span: Span) -> String {
        let fault = Fault::at(span, "wrong").help("right");
        in_document_order(vec![fault], text)[0].render("f", Severity::Mistake)
    }

    #[test]
    fn marker_stands_under_the_span() {
        let text = "a = 1\nbb = \"x\"\n";
        assert_eq!(
            render(text, 11..14),
            "f:2:6: wrong\n  |\n2 | bb = \"x\"\n  |      ^^^\n  = help: right"
        );
    }

    #[test]
    fn tabs_and_other_characters_count_one_column() {
        let text = "\t\"ä\" = 1";
        assert_eq!(
            render(text, 8..9),
            "f:1:8: wrong\n  |\n1 |  \"ä\" = 1\n  |        ^\n  = help: right"
        );
    }

    #[test]
    fn windows_line_ends_and_byte_order_mark_are_not_counted() {
        let text = "\u{feff}a = 1\r\n";
        assert_eq!(
            render(text, 7..8),
            "f:1:5: wrong\n  |\n1 | a = 1\n  |     ^\n  = help: right"
        );
    }

    #[test]
    fn an_endless_line_is_cut_around_the_span() {
        let text = format!("{}WRONG{}", " x".repeat(200), "y".repeat(200));
        let shown = render(&text, 400..405);
        let lines: Vec<&str> = shown.lines().collect();
        let column = lines[3].find('^').unwrap();
        let marked: String = lines[2].chars().skip(column).take(5).collect();
        assert_eq!(marked, "WRONG");
        assert!(lines[2].starts_with("1 | …") && lines[2].ends_with('…'));
    }

    #[test]
    fn end_of_text_and_empty_text_have_a_place() {
        assert_eq!(render("", 0..0), "f:1:1: wrong\n  = help: right");
        assert!(render("abc", 9..12).starts_with("f:1:4: "));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(!render("a = \u{1b}[2J", 0..1).contains('\u{1b}'));
    }
}
