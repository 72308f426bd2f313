//! Problems of a document, drawn into its text.
//!
//! Both the text and the problems are hostile: only a window of the text is drawn for each problem,
//! and control characters never reach the terminal.

use std::fmt::Write;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{
    AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};
use gateway_core::config::{ConfigProblem, Severity};

/// A line longer than this, in bytes, is not drawn: a minified document is one line.
const MAX_LINE: usize = 400;

/// Past this column, in bytes, the renderer cuts off the beginnings of lines: nothing would be left
/// of the lines around.
const MAX_COLUMN: usize = 100;

/// How problems are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// With a terminal's colours.
    Colour,
    /// Characters alone.
    Plain,
}

/// Draws each of `problems` into its place in `text`, which came from `file`.
pub(crate) fn render(file: &str, text: &str, problems: &[ConfigProblem], style: Style) -> String {
    let renderer = match style {
        Style::Colour => Renderer::styled(),
        Style::Plain => Renderer::plain(),
    };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut report = String::new();
    for problem in problems {
        let drawn = renderer.render(&[group(file, text, problem)]);
        write!(report, "{drawn}\n\n").expect("writing to a String does not fail");
    }
    report
}

/// "2 errors and 1 warning".
pub(crate) fn count(problems: &[ConfigProblem]) -> String {
    let of = |severity| {
        problems
            .iter()
            .filter(|problem| problem.severity == severity)
            .count()
    };
    let counted = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    };
    match (of(Severity::Error), of(Severity::Warning)) {
        (errors, 0) => counted(errors, "error"),
        (0, warnings) => counted(warnings, "warning"),
        (errors, warnings) => {
            format!(
                "{} and {}",
                counted(errors, "error"),
                counted(warnings, "warning")
            )
        }
    }
}

fn group<'a>(file: &'a str, text: &'a str, problem: &'a ConfigProblem) -> Group<'a> {
    let file = normalize_untrusted_str(file);
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(normalize_untrusted_str(&problem.message))
        .id(problem.code);
    let mut group = match problem.span.as_ref().and_then(|span| window(text, span)) {
        Some(window) => title.element(
            Snippet::source(&text[window.shown.clone()])
                .path(file)
                .line_start(window.first_line)
                .fold(false)
                .annotation(AnnotationKind::Primary.span(window.marked)),
        ),
        None => {
            let mut origin = Origin::path(file);
            if let Some(position) = problem.position {
                origin = origin.line(position.line).char_column(position.column);
            }
            title.element(origin)
        }
    };
    if !problem.pointer.is_empty() {
        let place = normalize_untrusted_str(&problem.pointer);
        group = group.element(Level::NOTE.message(format!("at {place}")));
    }
    if let Some(remedy) = &problem.remedy {
        group = group.element(Level::HELP.message(normalize_untrusted_str(remedy)));
    }
    group
}

/// The lines to draw.
struct Window {
    /// Their place in the text.
    shown: Range<usize>,
    /// The number of the first, from 1.
    first_line: usize,
    /// The place to mark, in what is shown.
    marked: Range<usize>,
}

impl Window {
    fn new(text: &str, shown: Range<usize>, marked: Range<usize>) -> Self {
        let from = shown.start;
        Self {
            first_line: text[..from].matches('\n').count() + 1,
            marked: marked.start - from..marked.end - from,
            shown,
        }
    }
}

/// The first line of `span` with the lines around it; `None` where they are too long to be read.
fn window(text: &str, span: &Range<usize>) -> Option<Window> {
    let Range { start, end } = *span;
    text.get(start..end)?;
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..]
        .find('\n')
        .map_or(text.len(), |newline| start + newline);
    let is_short = |from: usize, to: usize| to - from <= MAX_LINE;
    if !is_short(line_start, line_end) {
        return None;
    }
    let end = end.min(line_end);
    if end - line_start > MAX_COLUMN {
        return Some(Window::new(text, line_start..line_end, start..end));
    }
    let before = text[..line_start.saturating_sub(1)]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let from = if is_short(before, line_start) {
        before
    } else {
        line_start
    };
    let after = text[line_end..]
        .char_indices()
        .skip(1)
        .find(|(_, character)| *character == '\n');
    let after = after.map_or(text.len(), |(newline, _)| line_end + newline);
    let to = if is_short(line_end, after) {
        after
    } else {
        line_end
    };
    Some(Window::new(text, from..to, start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(span: Range<usize>) -> ConfigProblem {
        ConfigProblem {
            severity: Severity::Error,
            code: "InvalidResourceReference",
            pointer: "/properties/httpListeners/0".to_owned(),
            span: Some(span),
            position: None,
            message: "no port `web`".to_owned(),
            remedy: Some("did you mean `wbe`?".to_owned()),
        }
    }

    #[test]
    fn a_problem_is_drawn_into_its_text() {
        let text = "{\n  \"name\": \"x\",\n  \"port\": \"web\",\n  \"last\": 1\n}\n";
        let at = text.find("\"web\"").unwrap();
        let drawn = render("a.json", text, &[problem(at..at + 5)], Style::Plain);
        let expected = "\
error[InvalidResourceReference]: no port `web`
 --> a.json:3:11
  |
2 |   \"name\": \"x\",
3 |   \"port\": \"web\",
  |           ^^^^^
4 |   \"last\": 1
  |
  = note: at /properties/httpListeners/0
  = help: did you mean `wbe`?

";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn any_span_of_any_text_is_drawn() {
        let texts = [
            "",
            "\n",
            "{}",
            "ä\u{1F600}\n\nö",
            "\u{1b}[31m\r\n\t{\u{0}",
            "a\nb\nc\nd",
        ];
        for text in texts {
            for start in 0..text.len() + 2 {
                for end in 0..text.len() + 2 {
                    let drawn = render("a\u{7}.json", text, &[problem(start..end)], Style::Plain);
                    assert!(drawn.contains("no port"));
                    let controls: Vec<_> = drawn
                        .chars()
                        .filter(|c| c.is_control() && *c != '\n')
                        .collect();
                    assert!(controls.is_empty(), "{text:?} {start}..{end}: {drawn:?}");
                }
            }
        }
    }

    #[test]
    fn a_place_far_to_the_right_is_drawn_without_the_lines_around() {
        let long = format!("  \"id\": \"{}')]\"", "x".repeat(200));
        let text = format!("{{\n{long},\n  \"last\": 1\n}}\n");
        let at = text.find("')]").unwrap();
        let drawn = render("a.json", &text, &[problem(at..at + 3)], Style::Plain);
        let lines: Vec<_> = drawn.lines().skip(2).take(4).collect();
        assert_eq!(lines[0], "  |", "{drawn}");
        assert!(lines[1].starts_with("2 | ..."), "{drawn}");
        assert!(lines[2].ends_with(" ^^^"), "{drawn}");
        assert_eq!(lines[3], "  |", "{drawn}");
    }

    #[test]
    fn a_minified_document_is_not_drawn_whole() {
        let text = "x".repeat(1 << 20);
        let mut problem = problem(500_000..500_001);
        problem.position = Some(gateway_core::config::Position {
            line: 1,
            column: 500_001,
        });
        let drawn = render("a.json", &text, &[problem], Style::Plain);
        assert!(drawn.contains("--> a.json:1:500001"), "{drawn}");
        assert!(drawn.len() < 1000);
    }

    #[test]
    fn counting() {
        let error = problem(0..0);
        let warning = ConfigProblem {
            severity: Severity::Warning,
            ..error.clone()
        };
        let rows: [(&[&ConfigProblem], &str); 4] = [
            (&[], "0 errors"),
            (&[&error], "1 error"),
            (&[&warning, &warning], "2 warnings"),
            (&[&error, &warning], "1 error and 1 warning"),
        ];
        for (problems, expected) in rows {
            let problems: Vec<_> = problems.iter().copied().cloned().collect();
            assert_eq!(count(&problems), expected);
        }
    }
}
