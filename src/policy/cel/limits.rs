//! Limits of expressions, and the parser's errors in readable form.

use cel_interpreter::common::ast::{EntryExpr, Expr};
use cel_interpreter::{IdedExpr, ParseErrors};

use super::check::Problem;
use crate::policy::diagnostic::{LIMIT, SYNTAX, Severity};

/// Bytes of one expression.
pub(super) const MAX_SOURCE: usize = 2_048;
/// Brackets and operators within each other.
const MAX_BRACKETS: usize = 24;
/// Nodes of a syntax tree.
const MAX_NODES: usize = 400;
/// Depth of a syntax tree.
pub(super) const MAX_DEPTH: usize = 48;
/// Bytes of a variable's string.
pub(super) const MAX_VALUE: usize = 4_096;
/// Items of a variable's list.
pub(super) const MAX_ITEMS: usize = 1_024;

fn problem(start: usize, len: usize, message: String, help: &str) -> Problem {
    let help = Some(help.to_owned());
    Problem { start, len, message, help, topic: LIMIT, severity: Severity::Error }
}

/// Refuses what is too long or too deep to be parsed at all.
pub(super) fn source(source: &str) -> Result<(), Problem> {
    const SPLIT: &str = "split it with variables";
    if source.trim().is_empty() {
        return Err(problem(0, 1, "an empty expression".to_owned(), "write a CEL expression, such as true"));
    }
    if source.len() > MAX_SOURCE {
        let message = format!("{} bytes are too long for an expression; at most {MAX_SOURCE}", source.len());
        return Err(problem(0, 1, message, SPLIT));
    }
    let (mut depth, mut signs, mut questions) = (0_usize, 0_usize, 0_usize);
    for (index, c) in source.chars().enumerate() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '?' => questions += 1,
            _ => {}
        }
        // The parser descends once for each sign of a row such as !!!!x.
        signs = if matches!(c, '!' | '-') {
            signs + 1
        } else if c.is_whitespace() {
            signs
        } else {
            0
        };
        if depth > MAX_BRACKETS || signs > MAX_BRACKETS || questions > MAX_BRACKETS {
            let message = format!("nested more than {MAX_BRACKETS} deep");
            return Err(problem(index, 1, message, SPLIT));
        }
    }
    Ok(())
}

/// Refuses trees that would be costly or deep to walk.
pub(super) fn tree(tree: &IdedExpr) -> Result<(), Problem> {
    let mut nodes = 0;
    let mut rest = vec![(tree, 1)];
    while let Some((node, depth)) = rest.pop() {
        nodes += 1;
        if nodes > MAX_NODES {
            let message = format!("an expression has at most {MAX_NODES} parts");
            return Err(problem(0, 1, message, "split it with variables"));
        }
        if depth > MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} deep");
            return Err(problem(0, 1, message, "split it with variables"));
        }
        rest.extend(children(node).into_iter().map(|child| (child, depth + 1)));
    }
    Ok(())
}

/// Number of parts of a tree.
pub(super) fn parts(tree: &IdedExpr) -> usize {
    let (mut count, mut rest) = (0, vec![tree]);
    while let Some(node) = rest.pop() {
        count += 1;
        rest.extend(children(node));
    }
    count
}

fn children(node: &IdedExpr) -> Vec<&IdedExpr> {
    match &node.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(inner) => {
            vec![&inner.iter_range, &inner.accu_init, &inner.loop_cond, &inner.loop_step, &inner.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => map.entries.iter().flat_map(|one| entry_children(&one.expr)).collect(),
        Expr::Struct(inner) => inner.entries.iter().flat_map(|one| entry_children(&one.expr)).collect(),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn entry_children(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// The parser's errors, the first of them (the others mostly follow from it).
pub(super) fn syntax(source: &str, errors: &ParseErrors) -> Vec<Problem> {
    let first = errors.errors.first();
    let (line, column) = first.map_or((1, 1), |error| error.pos);
    let before: usize = source
        .split_inclusive('\n')
        .take(usize::try_from(line - 1).unwrap_or(0))
        .map(|line| line.chars().count())
        .sum();
    let start = before + usize::try_from(column - 1).unwrap_or(0);
    let text = first.map_or("", |error| error.msg.as_str());
    let text = text.strip_prefix("Syntax error: ").unwrap_or(text);
    // The list of every token that could follow helps nobody.
    let text = text.split(" expecting ").next().unwrap_or(text);
    let ends = text.contains("<EOF>");
    let (start, message) = match unclosed(source).filter(|_| ends) {
        // The end of a text is seldom where a bracket is missing.
        Some((at, bracket)) => (at, format!("no CEL expression: this `{bracket}` is not closed")),
        None if ends && text.starts_with("mismatched") => (start, "the expression ends too early".to_owned()),
        None => (start, format!("no CEL expression: {text}")),
    };
    let help = slip(source).map(str::to_owned);
    vec![Problem { start, len: 1, message, help, topic: SYNTAX, severity: Severity::Error }]
}

/// What to write in place of what other languages have.
fn slip(source: &str) -> Option<&'static str> {
    let bare = without_strings(source);
    let has = |word: &str| bare.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|one| one == word);
    let single = |sign: char| {
        bare.match_indices(sign).any(|(at, _)| {
            let before = bare.get(..at).and_then(|text| text.chars().next_back());
            let after = bare.get(at + 1..).and_then(|text| text.chars().next());
            !before.is_some_and(|c| c == sign || "!<>=".contains(c)) && after != Some(sign)
        })
    };
    if single('=') {
        return Some("write == to compare");
    }
    if has("and") || has("or") || has("not") || single('&') || single('|') {
        return Some("write && for and, || for or, ! for not");
    }
    None
}

/// The last bracket that is open at the end of an expression, with the number of characters before it.
fn unclosed(source: &str) -> Option<(usize, char)> {
    let mut open = Vec::new();
    for (at, sign) in outside_strings(source) {
        match sign {
            '(' | '[' | '{' => open.push((at, sign)),
            ')' | ']' | '}' => drop(open.pop()),
            _ => {}
        }
    }
    open.pop()
}

/// An expression without what stands in its strings.
fn without_strings(source: &str) -> String {
    outside_strings(source).into_iter().map(|(_, sign)| sign).collect()
}

/// The characters that stand in no string, with their numbers.
fn outside_strings(source: &str) -> Vec<(usize, char)> {
    let mut quote = None;
    let mut bare = Vec::with_capacity(source.len());
    let mut rest = source.chars().enumerate();
    while let Some((at, sign)) = rest.next() {
        match quote {
            Some(_) if sign == '\\' => drop(rest.next()),
            Some(open) if sign == open => quote = None,
            None if sign == '"' || sign == '\'' => quote = Some(sign),
            None => bare.push((at, sign)),
            Some(_) => {}
        }
    }
    bare
}
