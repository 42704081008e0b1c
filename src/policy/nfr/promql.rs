//! What can be said of a PromQL query without a parser of it, and is certain.

use crate::policy::cel::Problem;
use crate::policy::diagnostic::{DOCUMENT, Severity};

/// Stands for the matchers of the component that is measured.
pub(super) const SCOPE: &str = "$scope";
/// Bytes of a query.
const MAX: usize = 4_096;

fn problem(start: usize, len: usize, message: impl Into<String>, help: &str) -> Problem {
    let help = Some(help.to_owned());
    Problem { start, len, message: message.into(), help, topic: DOCUMENT, severity: Severity::Error }
}

/// The first thing that is wrong with a query.
pub(super) fn fault(query: &str, histogram: bool) -> Option<Problem> {
    const USE_SCOPE: &str = "write it among the matchers of each selector: http_requests_total{$scope}";
    if query.trim().is_empty() {
        return Some(problem(0, 1, "an empty query", "write PromQL, such as sum by (pod) (up{$scope})"));
    }
    if query.len() > MAX {
        let message = format!("{} bytes are too long for a query; at most {MAX}", query.len());
        return Some(problem(0, 1, message, "record the inner part by a rule of Prometheus"));
    }
    let scopes = match scan(query) {
        Ok(scopes) => scopes,
        Err(found) => return Some(found),
    };
    if scopes == 0 {
        let message = format!("the query has no {SCOPE}, so it would measure everything at once");
        return Some(problem(0, query.chars().count(), message, USE_SCOPE));
    }
    let quantile = histogram.then(|| query.find("histogram_quantile")).flatten()?;
    let start = query.get(..quantile)?.chars().count();
    let help = "leave it out: buckets of all pods are added up first, then `quantile` is taken of the sum";
    Some(problem(start, "histogram_quantile".len(), "the quantile is taken after pods are put together", help))
}

/// Aggregations that leave only the labels that they are told to keep.
const AGGREGATIONS: [&str; 8] = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];

/// What is wrong with a query whose outermost aggregation takes away labels that samples are joined by; of each set one
/// must be left. What is more than one aggregation is not judged.
pub(super) fn lost_label(query: &str, joined_by: &[&[&str]]) -> Option<Problem> {
    let text = query.trim_start();
    let operator: String = text.chars().take_while(char::is_ascii_alphabetic).collect();
    if !AGGREGATIONS.contains(&operator.as_str()) {
        return None;
    }
    let rest = text.get(operator.len()..)?.trim_start();
    let (kept, body) = match rest.strip_prefix("by") {
        Some(by) => {
            let (labels, body) = enclosed(by.trim_start())?;
            (Some(labels), body.trim_start())
        }
        None => (None, rest),
    };
    let (_, behind) = enclosed(body)?;
    let behind = behind.trim();
    let kept = match (kept, behind.strip_prefix("by")) {
        (Some(labels), None) if behind.is_empty() => labels,
        (None, Some(by)) => enclosed(by.trim_start()).filter(|(_, rest)| rest.is_empty())?.0,
        (None, None) if behind.is_empty() => "",
        _ => return None,
    };
    let kept: Vec<&str> = kept.split(',').map(str::trim).collect();
    let lost = joined_by.iter().find(|names| !names.iter().any(|name| kept.contains(name)))?;
    let (name, all) = (lost.first()?, joined_by.iter().filter_map(|names| names.first().copied()));
    let help = format!("write {operator} by ({}) (…)", all.collect::<Vec<_>>().join(", "));
    let message = format!("the result has no label `{name}`, by which samples find their component");
    Some(problem(query.chars().count() - text.chars().count(), operator.len(), message, &help))
}

/// What stands within the bracket that a text begins with, and what comes behind it.
fn enclosed(text: &str) -> Option<(&str, &str)> {
    let (mut depth, mut quote, mut is_escaped) = (0_usize, None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) => {
                if c == open && !is_escaped {
                    quote = None;
                }
                is_escaped = c == '\\' && !is_escaped && open != '`';
            }
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some((text.get(1..at)?, text.get(at + 1..)?));
                }
            }
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Goes through brackets and quotes; the number of scopes within braces.
fn scan(query: &str) -> Result<usize, Problem> {
    let (mut open, mut scopes): (Vec<(usize, char)>, usize) = (Vec::new(), 0);
    let mut chars = query.char_indices().enumerate().peekable();
    while let Some((at, (byte, c))) = chars.next() {
        match c {
            '"' | '\'' | '`' => {
                let mut closed = false;
                while let Some((_, (_, inner))) = chars.next() {
                    if inner == '\\' && c != '`' {
                        chars.next();
                    } else if inner == c {
                        closed = true;
                        break;
                    }
                }
                if !closed {
                    return Err(problem(at, 1, "a text that does not end", &format!("close it with {c}")));
                }
            }
            '#' => while chars.next_if(|(_, (_, inner))| *inner != '\n').is_some() {},
            '(' | '[' | '{' => open.push((at, c)),
            ')' | ']' | '}' => match (open.pop().map(|(_, opening)| opening), c) {
                (Some('('), ')') | (Some('['), ']') | (Some('{'), '}') => {}
                (Some(opening), _) => {
                    let message = format!("{c} closes what {opening} opened");
                    return Err(problem(at, 1, message, &format!("close it with {}", closing(opening))));
                }
                (None, _) => return Err(problem(at, 1, format!("{c} closes nothing"), "remove it")),
            },
            '$' => {
                let name = query.get(byte..).unwrap_or_default();
                let len = 1 + name.chars().skip(1).take_while(|c| c.is_alphanumeric() || *c == '_').count();
                let name: String = name.chars().take(len).collect();
                if name != SCOPE {
                    return Err(problem(at, len, format!("there is no `{name}`"), "the only one is $scope"));
                }
                if !matches!(open.last(), Some((_, '{'))) {
                    let help = "write it between braces: http_requests_total{$scope}";
                    return Err(problem(at, len, format!("{SCOPE} stands for matchers"), help));
                }
                scopes += 1;
            }
            _ => {}
        }
    }
    match open.last() {
        Some((at, opening)) => {
            let help = format!("close it with {}", closing(*opening));
            Err(problem(*at, 1, format!("{opening} is not closed"), &help))
        }
        None => Ok(scopes),
    }
}

fn closing(opening: char) -> char {
    match opening {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_that_are_right_pass() {
        for query in [
            "up{$scope}",
            r#"sum by (namespace, pod) (rate(x{container!="",$scope}[1m]))"#,
            "sum(a{$scope}) / on (pod) sum(b{$scope}) # ) comment",
            r#"label_replace(up{$scope}, "a", "$1", 'b', '(.*)')"#,
            r#"x{a=~"\"}",$scope} or y{a=`\`,$scope}"#,
        ] {
            assert_eq!(fault(query, false), None, "{query}");
        }
        assert_eq!(fault("sum by (pod, le) (rate(x_bucket{$scope}[1m]))", true), None);
    }

    #[test]
    fn an_aggregation_must_leave_the_labels_that_samples_are_joined_by() {
        let lost = |query: &str| lost_label(query, &[&["namespace", "namespace_name"], &["pod"]]);
        for query in [
            "sum by (namespace, pod) (rate(x{$scope}[1m]))",
            "max by(namespace_name,pod)(x{a=\")\",$scope})",
            "sum(rate(x{$scope}[1m])) by (pod, namespace)",
            "sum(x{$scope}) / on (pod) sum(y{$scope})",
            "sum by (le) (x{$scope}) or y{$scope}",
            "sum without (le) (x{$scope})",
            "topk(3, x{$scope})",
            "summary{$scope}",
        ] {
            assert_eq!(lost(query), None, "{query}");
        }
        for (query, label) in [
            ("sum(rate(x{$scope}[1m]))", "namespace"),
            (" sum by (namespace) (x{$scope})", "pod"),
            ("avg(x{a='(',$scope}) by (pod)", "namespace"),
        ] {
            let found = lost(query).map(|one| (one.start, one.message)).unwrap_or_default();
            let start = query.len() - query.trim_start().len();
            assert!(found.0 == start && found.1.contains(&format!("no label `{label}`")), "{query}: {found:?}");
        }
    }

    #[test]
    fn what_is_certainly_wrong_is_found_where_it_stands() {
        for (query, at, message) in [
            (" ", 0, "an empty query"),
            ("up", 0, "the query has no $scope"),
            ("up{job=\"$scope\"}", 0, "the query has no $scope"),
            ("up{job=\"a", 7, "a text that does not end"),
            ("rate(up{$scope}[1m]", 4, "( is not closed"),
            ("rate(up{$scope}[1m)]", 18, ") closes what [ opened"),
            ("up{$scope})", 10, ") closes nothing"),
            ("up{$scop}", 3, "there is no `$scop`"),
            ("é{a=\"é\"} or up{$namespace}", 15, "there is no `$namespace`"),
            ("rate($scope)", 5, "$scope stands for matchers"),
        ] {
            let found = fault(query, false);
            let found = found.map(|one| (one.start, one.message)).unwrap_or_default();
            assert!(found.0 == at && found.1.starts_with(message), "{query}: {found:?}");
        }
        assert!(fault("histogram_quantile(0.9, x{$scope})", true).is_some());
        assert_eq!(fault("histogram_quantile(0.9, x{$scope})", false), None);
        assert!(fault(&"x".repeat(5_000), false).is_some_and(|one| one.message.contains("too long")));
    }
}
