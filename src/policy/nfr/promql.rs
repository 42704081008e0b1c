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
