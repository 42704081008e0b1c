//! What a query is about: the matchers that stand for `$scope`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Stands for the matchers in the text of a query; the policy's check sees to it that it stands among matchers.
const PLACEHOLDER: &str = "$scope";
/// Namespaces that a matcher names; with more of them everything is asked for and the join picks what is ours.
const MAX_NAMED: usize = 64;

/// The namespaces that are measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    matcher: String,
}

impl Scope {
    /// A scope over the namespaces that have something to measure.
    pub fn of<'a>(namespaces: impl IntoIterator<Item = &'a str>) -> Self {
        let named: BTreeSet<&str> = namespaces.into_iter().collect();
        let mut matcher = String::new();
        if named.len() > MAX_NAMED {
            matcher.push_str("namespace!=\"\"");
        } else {
            matcher.push_str("namespace=~\"");
            for (at, name) in named.into_iter().enumerate() {
                // Names of namespaces are labels: nothing in them means anything in a pattern.
                let _ = write!(matcher, "{}{name}", if at == 0 { "" } else { "|" });
            }
            matcher.push('"');
        }
        Self { matcher }
    }

    /// The query with its matchers.
    pub fn fill(&self, query: &str) -> String {
        query.replace(PLACEHOLDER, &self.matcher)
    }
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn the_matchers_name_the_namespaces_once_and_in_order() {
        let scope = Scope::of(["b", "a", "b"]);
        assert_eq!(
            scope.fill("sum(up{$scope}) + x{a=\"b\",$scope}"),
            "sum(up{namespace=~\"a|b\"}) + x{a=\"b\",namespace=~\"a|b\"}"
        );
    }

    #[test]
    fn many_namespaces_are_not_named() {
        let names: Vec<String> = (0..65).map(|i| format!("n{i}")).collect();
        assert_eq!(Scope::of(names.iter().map(String::as_str)).fill("up{$scope}"), "up{namespace!=\"\"}");
    }
}
