//! What is wrong with a manifest, where, and how to mend it.

use std::fmt::{self, Write};

use crate::yaml::Place;

/// A text and the name under which it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// A file's name, or `<stdin>`.
    pub name: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is created.
    Error,
    /// The pod is created all the same.
    Warning,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is.
    pub place: Place,
    /// The object it is in, as in `Pod "kubia"`, where that is known.
    pub object: Option<String>,
    /// What is wrong, in Kubernetes' words where it has some.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

/// All problems of a manifest, in the order of their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    /// The problem with its line of the text and a caret under the place.
    pub fn render(&self, source: &Source<'_>) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let Place { line, column } = self.place;
        let mut text = format!("{}:{line}:{column}: {word}: {}\n", source.name, self.message);
        if let Some(content) = source.text.lines().nth(line.saturating_sub(1)) {
            let (shown, column) = excerpt(content, column);
            let blank = " ".repeat(column.saturating_sub(1));
            // A String takes whatever is written to it.
            let _ = write!(text, "  {line:>4} | {shown}\n       | {blank}^\n");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "       = {hint}");
        }
        text
    }
}

/// The part of a long line that is around a column, and where the column is in it. What a terminal
/// would not show as one character is shown as a blank.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    const WIDEST: usize = 110;
    let first = if column > WIDEST { column - WIDEST / 2 } else { 0 };
    let shown = line.chars().skip(first).take(WIDEST);
    let shown = shown.map(|c| if c.is_control() { ' ' } else { c }).collect();
    (shown, column - first)
}

impl Problems {
    /// All problems as text, those of a wrong object below its name as kubectl writes it.
    pub fn render(&self, source: &Source<'_>) -> String {
        let mut text = String::new();
        let mut current = None;
        for problem in &self.0 {
            if problem.object != current && self.is_wrong(problem.object.as_deref()) {
                let object = problem.object.as_deref().unwrap_or_default();
                let _ = writeln!(text, "The {object} is invalid:"); // a String takes it all
                current.clone_from(&problem.object);
            }
            text.push_str(&problem.render(source));
        }
        text
    }

    /// Whether anything but warnings is said about the object.
    fn is_wrong(&self, object: Option<&str>) -> bool {
        let mut about =
            self.0.iter().filter(|one| object.is_some() && one.object.as_deref() == object);
        about.any(|one| one.severity == Severity::Error)
    }

    /// How many of them are errors.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|problem| problem.severity == Severity::Error).count()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.0.iter().map(|problem| problem.message.as_str()).collect();
        f.write_str(&texts.join("; "))
    }
}

/// The known word that is most like a wrong one, if any is.
pub(crate) fn near<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = wrong.chars().count() / 3 + 1;
    known
        .into_iter()
        .map(|word| (distance(&wrong.to_lowercase(), &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// How many characters have to be added, removed or changed (Levenshtein distance).
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
