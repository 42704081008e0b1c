//! YAML with places: every value knows its file, line and column.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::caret;
use super::cel::Problem;
use super::diagnostic::{self, Diagnostic, Severity};

/// A file of a bundle.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Where something stands in a file.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    source: Arc<Source>,
    line: u32,
    column: u32,
    start: usize,
    len: usize,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Place,
}

/// A text with its place.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) at: Place,
}

/// A YAML value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Text, Node)>),
}

impl Value {
    /// What it is, in a message.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("{value}"),
            Self::Number(value) => format!("the number {value}"),
            Self::Text(text) if text.chars().count() <= 32 => format!("the text {text:?}"),
            Self::Text(_) => "a text".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }

    /// Writes the value in one canonical form: keys sorted, numbers as doubles, no comments or white space.
    pub(crate) fn canonical(&self, out: &mut String) {
        match self {
            Self::Null => out.push('~'),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(value) => {
                let _ = write!(out, "{value:?}");
            }
            Self::Text(text) => {
                let _ = write!(out, "{text:?}");
            }
            Self::List(items) => {
                out.push('[');
                for item in items {
                    item.value.canonical(out);
                    out.push(',');
                }
                out.push(']');
            }
            Self::Map(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_by(|(left, _), (right, _)| left.text.cmp(&right.text));
                out.push('{');
                for (key, value) in entries {
                    let _ = write!(out, "{:?}:", key.text);
                    value.value.canonical(out);
                    out.push(',');
                }
                out.push('}');
            }
        }
    }
}

impl Place {
    fn new(source: &Arc<Source>, location: Location) -> Self {
        let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let span = location.span();
        let offset = |offset: Option<u64>| usize::try_from(offset.unwrap_or(0)).unwrap_or(0);
        Self {
            source: Arc::clone(source),
            line: number(location.line().max(1)),
            column: number(location.column().max(1)),
            start: offset(span.byte_offset()),
            len: offset(span.byte_len()),
        }
    }

    /// `file:line:column`.
    pub(crate) fn text(&self) -> String {
        format!("{}:{}:{}", self.source.name, self.line, self.column)
    }

    /// The file.
    pub(crate) fn file(&self) -> &str {
        &self.source.name
    }

    /// What stands there, as written.
    pub(crate) fn raw(&self) -> &str {
        self.source.text.get(self.start..self.start + self.len).unwrap_or("")
    }

    /// What follows on its line.
    pub(crate) fn behind(&self) -> &str {
        let rest = self.source.text.get(self.start + self.len..).unwrap_or("");
        rest.lines().next().unwrap_or("")
    }

    /// An error at this place.
    pub(crate) fn error(&self, message: impl Into<String>) -> Diagnostic {
        let first = self.raw().lines().next().unwrap_or("").trim_end();
        self.diagnostic(self.line, self.column, first.chars().count(), message.into())
    }

    fn diagnostic(&self, line: u32, column: u32, width: usize, message: String) -> Diagnostic {
        let source_line = self.source.text.lines().nth(line.saturating_sub(1) as usize).unwrap_or("");
        Diagnostic {
            severity: Severity::Error,
            topic: diagnostic::DOCUMENT,
            file: self.source.name.clone(),
            line,
            column,
            width: u32::try_from(width.max(1)).unwrap_or(1),
            source_line: source_line.to_owned(),
            message,
            help: None,
            related: Vec::new(),
        }
    }

    /// An error within the text that stands here: its characters found back in the file, whatever the quoting.
    pub(crate) fn inside(&self, text: &str, problem: Problem) -> Diagnostic {
        let Problem { start, len, message, help, topic, severity } = problem;
        let (line, column) = self.find(text, start);
        let diagnostic = self.diagnostic(line, column, len, message);
        Diagnostic { severity, topic, help, ..diagnostic }
    }

    /// Line and column of a character of the text that stands here.
    pub(super) fn find(&self, text: &str, index: usize) -> (u32, u32) {
        match caret::find(self.raw(), text, index) {
            None => (self.line, self.column),
            Some((0, column)) => (self.line, self.column + column),
            Some((line, column)) => (self.line + line, column + 1),
        }
    }
}

/// Blanks that a line may start with.
const MAX_INDENT: usize = 200;

/// Parses the documents of a file; a document without content is left out.
pub(crate) fn parse(source: &Arc<Source>) -> Result<Vec<Node>, Box<Diagnostic>> {
    // Policies are flat and small; anchors are a convenience for a few lines.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! { max_depth: 32, flow_nesting_limit: 32, max_nodes: 100_000, max_events: 200_000 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
    };
    // A line that starts this deep is no policy, and costly for the scanner.
    if let Some(line) = source.text.lines().position(|line| line.starts_with(&" ".repeat(MAX_INDENT))) {
        return Err(Box::new(Diagnostic::whole(
            &source.name,
            format!("line {} is indented by more than {MAX_INDENT} blanks", line + 1),
        )));
    }
    let documents: Vec<Spanned<Raw>> = serde_saphyr::from_multiple_with_options(&source.text, options)
        .map_err(|error| Box::new(syntax(source, &error)))?;
    Ok(documents.into_iter().map(|document| node(source, document)).collect())
}

fn syntax(source: &Arc<Source>, error: &serde_saphyr::Error) -> Diagnostic {
    let message = error.without_snippet().to_string();
    let message = match message.rsplit_once(" at line ") {
        Some((text, _)) => text.to_owned(),
        None => message,
    };
    match error.location().filter(|location| location.line() > 0) {
        Some(location) => {
            let twice = message.split_once(", set DuplicateKeyPolicy").map(|(text, _)| text.to_owned());
            let given_twice = twice.is_some();
            let message = match twice {
                Some(text) => format!("{text} is given twice").replace("duplicate mapping key: ", "the key "),
                None => format!("this is no valid YAML: {message}"),
            };
            let place = Place::new(source, location);
            let help = unquoted(&message, &source.text, place.line);
            let error = place.error(message).topic(diagnostic::YAML);
            let error = if let Some(help) = help { error.help(help) } else { error };
            let above = match (given_twice, open_above(&source.text, place.line)) {
                (true, _) => first_above(&source.text, place.line, place.column),
                (false, Some(open)) => vec![open],
                (false, None) => cause_above(&source.text, place.line),
            };
            // What points at the very line of the error says nothing more.
            let told = above.into_iter().filter(|(line, _)| *line != place.line as usize);
            told.fold(error, |error, (line, why)| error.related(format!("{}:{line}", source.name), why))
        }
        None => Diagnostic::whole(&source.name, format!("this is no valid YAML: {message}")).topic(diagnostic::YAML),
    }
}

/// What to write where YAML takes signs of a text for its own.
fn unquoted(message: &str, text: &str, line: u32) -> Option<&'static str> {
    let line = text.lines().nth(line.saturating_sub(1) as usize).unwrap_or_default();
    let value = line.split_once(": ").map_or("", |(_, value)| value.trim_start());
    if message.contains("mapping values are not allowed") && value.contains(':') {
        return Some("put a text that has a `: ` in quotes, such as 'a: b'; a ' within them is written ''");
    }
    if message.contains("trailing content after") {
        return Some("put all of a text that begins with a quote in quotes, such as '\"a\" == class.name'");
    }
    match value.chars().next() {
        Some('[' | '{') if message.contains("did not find expected") => {
            Some("put a text that begins with a bracket in quotes, such as '[1.0, 2.0].size() > 1'")
        }
        Some('!' | '&' | '*' | '%' | '@' | '`') => Some(SIGN),
        _ => None,
    }
}

/// What to write where a text begins with a sign that YAML has a use for.
pub(crate) const SIGN: &str = "put a text that begins with such a sign in quotes, such as '!features.odgm'";

/// The last line up to this one that opens a quote, or a bracket that is still open here.
fn open_above(text: &str, line: u32) -> Option<(usize, &'static str)> {
    let mut open: Vec<usize> = Vec::new();
    let mut quoted = None;
    for (at, line) in text.lines().take(line as usize).enumerate() {
        if line.starts_with("---") {
            open.clear();
            quoted = None;
        }
        let mut quote = None;
        // Only where a value begins do these signs open something: an apostrophe within words does not.
        let mut begins = true;
        let comment = line.find(" #").unwrap_or(line.len());
        for c in line.get(..comment).unwrap_or_default().chars().skip(usize::from(line.starts_with('#')) * line.len()) {
            match (quote, c) {
                (None, '\'' | '"') if begins => quote = Some(c),
                (Some(open), _) if open == c => quote = None,
                (None, '{' | '[') if begins || !open.is_empty() => open.push(at),
                (None, '}' | ']') => drop(open.pop()),
                _ => {}
            }
            begins = matches!(c, ':' | '-' | ',' | '[' | '{') || (begins && c == ' ');
        }
        quoted = quote.map(|_| at).or(quoted);
    }
    let found = open.pop().map(|at| (at, "a bracket is opened here and not closed"));
    found.or(quoted.map(|at| (at, "a quote is opened here and not closed"))).map(|(at, why)| (at + 1, why))
}

/// The block's field of the same name above the one at this line and column, and where a document may end between them.
fn first_above(text: &str, line: u32, column: u32) -> Vec<(usize, &'static str)> {
    let lines: Vec<&str> = text.lines().take(line as usize).collect();
    let Some((own, above)) = lines.split_last() else { return Vec::new() };
    let depth = column.saturating_sub(1) as usize;
    let field = |line: &str| line.get(depth..).and_then(|rest| rest.split_once(':')).map(|(name, _)| name.to_owned());
    // Else it stands within brackets.
    let in_block = own.get(..depth).is_some_and(|before| before.trim_start_matches([' ', '-']).is_empty());
    let Some(name) = field(own).filter(|_| in_block) else { return Vec::new() };
    let mut found = Vec::new();
    for (at, line) in above.iter().enumerate().rev().filter(|(_, line)| !is_blank(line)) {
        let begins = line.len() - line.trim_start_matches([' ', '-']).len();
        if name == "apiVersion" && found.is_empty() {
            found.push((at + 1, "where a document ends here, a line `---` parts it from the next"));
        }
        if begins == depth && field(line).as_ref() == Some(&name) {
            found.push((at + 1, "the first"));
            break;
        }
        // An entry of a list begins with its first field; what stands further to the left is around the block.
        if line.len() - line.trim_start().len() < depth {
            break;
        }
    }
    found
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

/// Where to look for the cause of a fault that the parser notices at a line, but that stands further up: a line without
/// its colon, or the first line of a block that is indented deeper than this line, and the line that the block is part of
/// where that is indented less than this line.
fn cause_above(text: &str, line: u32) -> Vec<(usize, &'static str)> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = text.lines().take(line as usize).collect();
    let Some((own, above)) = lines.split_last() else { return Vec::new() };
    let last = above.iter().rposition(|line| !is_blank(line));
    let field = |line: &str| line.contains(": ") || line.trim_end().ends_with(':');
    let beside = |line: &&str| depth(line) <= depth(own) && !field(line);
    if let Some(last) = last.filter(|last| above.get(*last).is_some_and(beside)) {
        return vec![(last + 1, "this line is no field: a field is written `name: value`")];
    }
    let deeper = |line: &&&str| is_blank(line) || (depth(line) > depth(own) && !line.starts_with("---"));
    let first = above.len() - above.iter().rev().take_while(deeper).count();
    let Some(begin) = above.iter().skip(first).position(|line| !is_blank(line)) else { return Vec::new() };
    let block = "the block above begins here; the line below it is neither part of it nor beside it";
    let mut found = vec![(first + begin + 1, block)];
    // Either of the two is indented wrongly; which one, only its author knows.
    if first.checked_sub(1).and_then(|at| above.get(at)).is_some_and(|of| depth(of) < depth(own)) {
        found.push((first, "and is part of this line, which stands further to the left"));
    }
    found
}

fn node(source: &Arc<Source>, raw: Spanned<Raw>) -> Node {
    let at = Place::new(source, raw.referenced);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Number(value) => Value::Number(value),
        Raw::Text(text) => Value::Text(text),
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(source, item)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let at = Place::new(source, key.referenced);
                    (Text { text: key.value, at }, node(source, value))
                })
                .collect(),
        ),
    };
    Node { value, at }
}

enum Raw {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

#[expect(clippy::cast_precision_loss, reason = "numbers of policies are doubles")]
impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}
