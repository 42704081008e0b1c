//! What is wrong with a policy file: where, what, and what to write instead.

use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The bundle is refused.
    Error,
    /// The bundle works, but its author should look at this.
    Warning,
}

/// Topic of findings about the form of documents.
pub(crate) const DOCUMENT: &str = "document";
pub(crate) const YAML: &str = "yaml";
pub(crate) const DUPLICATE: &str = "duplicate";
pub(crate) const SYNTAX: &str = "syntax";
pub(crate) const LIMIT: &str = "limit";
pub(crate) const UNKNOWN: &str = "unknown-name";
pub(crate) const UNGUARDED: &str = "unguarded";
pub(crate) const NUMBER: &str = "number-type";
pub(crate) const TYPE: &str = "type";
pub(crate) const UNREACHABLE: &str = "unreachable";
pub(crate) const CONSTANT: &str = "constant";
pub(crate) const DIVISION: &str = "division-by-zero";
pub(crate) const RANGE: &str = "range";
pub(crate) const UNUSED: &str = "unused";
pub(crate) const WINDOW: &str = "signal-window";

const TOPICS: &[(&str, &str)] = &[
    (DOCUMENT, "a document, field or value that is not as it must be"),
    (YAML, "the file is no valid YAML"),
    (DUPLICATE, "a name is given twice"),
    (SYNTAX, "the expression is no CEL"),
    (LIMIT, "the expression is too long or too deep"),
    (UNKNOWN, "a name that is not known here"),
    (UNGUARDED, "a fact that may be absent is read without has()"),
    (NUMBER, "a whole number among doubles"),
    (TYPE, "a value of the wrong type"),
    (UNREACHABLE, "a condition that can never hold"),
    (CONSTANT, "a condition that always holds"),
    (DIVISION, "a division that can be by zero"),
    (RANGE, "a value that can never do"),
    (UNUSED, "something that nothing reads"),
    (WINDOW, "rules look further back than samples are kept"),
];

/// All topics with what they are about.
pub(crate) fn topics() -> impl Iterator<Item = (&'static str, &'static str)> {
    TOPICS.iter().copied()
}

/// One finding about a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of finding it is: a stable id, such as `unguarded`.
    pub topic: &'static str,
    /// File, relative to the bundle's directory (`builtin/...` for shipped files, `environment` for variables).
    pub file: String,
    /// Line, from 1; 0 where the finding is about a whole file or a variable.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Characters that the caret spans.
    pub width: u32,
    /// The line as written.
    pub source_line: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Other places that belong to the finding (`file:line:column`, why).
    pub related: Vec<(String, String)>,
}

impl Diagnostic {
    /// Place as `file:line:column`, as editors and terminals understand it.
    pub fn place(&self) -> String {
        if self.line == 0 { self.file.clone() } else { format!("{}:{}:{}", self.file, self.line, self.column) }
    }

    /// An error that has no line: about a file, a directory or an environment variable.
    pub(crate) fn whole(file: &str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            topic: DOCUMENT,
            file: file.to_owned(),
            line: 0,
            column: 0,
            width: 0,
            source_line: String::new(),
            message: message.into(),
            help: None,
            related: Vec::new(),
        }
    }

    /// The same finding with what to write instead.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same finding under another topic.
    #[must_use]
    pub(crate) fn topic(mut self, topic: &'static str) -> Self {
        self.topic = topic;
        self
    }

    /// The same finding as a warning.
    #[must_use]
    pub(crate) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same finding with another place that belongs to it.
    #[must_use]
    pub(crate) fn related(mut self, place: String, why: impl Into<String>) -> Self {
        self.related.push((place, why.into()));
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{kind}: {}\n  --> {}", self.message, self.place())?;
        if self.line > 0 {
            let number = self.line.to_string();
            let gutter = " ".repeat(number.len());
            let (line, before) = self.excerpt();
            // Tabs stay tabs under the caret, so that it points at the same place in any terminal.
            let lead: String = line.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let room = line.chars().count().saturating_sub(before).max(1);
            let carets = "^".repeat((self.width as usize).clamp(1, room));
            write!(f, "\n{gutter} |\n{number} | {line}\n{gutter} | {lead}{carets}")?;
        }
        for (place, why) in &self.related {
            write!(f, "\n  --> {place}: {why}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl Diagnostic {
    /// The source line as far as it can be read, and how many characters of it stand before the place. Of a line that is
    /// longer than any person writes, what is around the place.
    fn excerpt(&self) -> (String, usize) {
        const LONGEST: usize = 300;
        const AROUND: usize = 100;
        let before = self.column.max(1) as usize - 1;
        let length = self.source_line.chars().count();
        if length <= LONGEST {
            return (self.source_line.clone(), before);
        }
        let from = before.saturating_sub(AROUND);
        let kept: String = self.source_line.chars().skip(from).take(2 * AROUND).collect();
        let left = if from > 0 { "…" } else { "" };
        let right = if from + 2 * AROUND < length { "…" } else { "" };
        (format!("{left}{kept}{right}"), before - from + left.chars().count())
    }
}

/// Everything that is wrong with a bundle, errors first, in the order of files and lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{one}")?;
        }
        Ok(())
    }
}

/// Place of findings about a bundle as a whole; they come first, since others follow from them.
pub(crate) const BUNDLE: &str = "the bundle";

/// Collects findings while a bundle is read, so that one run reports them all.
#[derive(Debug, Default)]
pub(crate) struct Sink(Vec<Diagnostic>);

impl Sink {
    /// Adds a finding. One that has no line and differs from another only in the places that belong to it is the same.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let bare = |one: &Diagnostic| Diagnostic { related: Vec::new(), ..one.clone() };
        let same = |one: &&mut Diagnostic| **one == diagnostic || (one.line == 0 && bare(one) == bare(&diagnostic));
        match self.0.iter_mut().find(same) {
            None => self.0.push(diagnostic),
            Some(known) => {
                let new: Vec<_> = diagnostic.related.into_iter().filter(|one| !known.related.contains(one)).collect();
                known.related.extend(new);
            }
        }
    }

    /// Adds the findings of another that are wanted.
    pub(crate) fn take(&mut self, other: Self, wanted: impl Fn(&Diagnostic) -> bool) {
        other.0.into_iter().filter(wanted).for_each(|one| self.push(one));
    }

    /// Whether an error stands in a file.
    pub(crate) fn has_errors_in(&self, file: &str) -> bool {
        self.0.iter().any(|one| one.severity == Severity::Error && one.file == file)
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(|one| one.severity == Severity::Error)
    }

    /// Whether one of the messages begins like this.
    pub(crate) fn has(&self, start: &str) -> bool {
        self.0.iter().any(|one| one.message.starts_with(start))
    }

    /// Splits into warnings, or everything where there is an error.
    pub(crate) fn finish(mut self) -> Result<Vec<Diagnostic>, Diagnostics> {
        self.0.sort_by(|a, b| {
            (a.severity, a.file != BUNDLE, &a.file, a.line, a.column, &a.message).cmp(&(
                b.severity,
                b.file != BUNDLE,
                &b.file,
                b.line,
                b.column,
                &b.message,
            ))
        });
        if self.has_errors() { Err(Diagnostics(self.0)) } else { Ok(self.0) }
    }
}

/// The known name nearest to a wrong one, where one is near enough to be meant.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = (wrong.chars().count() / 3).max(1) + 1;
    known
        .into_iter()
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, name)| {
            let letters = name.chars().count();
            // What has no letter in common is not meant.
            *distance <= far && *distance < letters.max(2) && *distance < letters.max(wrong.chars().count())
        })
        .min()
        .map(|(_, name)| name)
}

/// Edit distance (insert, delete, replace), regardless of case.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.to_lowercase().chars().take(64).enumerate() {
        let mut previous = i;
        let mut next = vec![i + 1];
        for (r, above) in right.iter().zip(row.iter().skip(1)) {
            let last = next.last().copied().unwrap_or_default();
            next.push((previous + usize::from(l != *r)).min(above + 1).min(last + 1));
            previous = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
