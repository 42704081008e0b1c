//! What a name says of what is counted: `http_requests_total`, `used_cores`, `memory_bytes`.

use super::Unit;

/// Ends of names by which they say what they count; where several fit, the first says it.
const ENDS: [(&str, Counts); 16] = [
    ("millicores", Counts::Other("millicores")),
    ("bytes", Counts::Other("bytes")),
    ("bytes_total", Counts::Other("bytes")),
    ("cores", Counts::Cpu),
    ("cpu_seconds", Counts::Cpu),
    ("cpu_seconds_total", Counts::Cpu),
    ("cpu_usage", Counts::Cpu),
    ("cpu_usage_seconds", Counts::Cpu),
    ("cpu_usage_seconds_total", Counts::Cpu),
    ("requests", Counts::Requests),
    ("requests_total", Counts::Requests),
    ("requests_per_second", Counts::Requests),
    ("request_rate", Counts::Requests),
    ("rps", Counts::Requests),
    ("qps", Counts::Requests),
    ("rps_total", Counts::Requests),
];

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// CPU: cores, or seconds of them.
    Cpu,
    /// Requests.
    Requests,
    /// Something that no load is.
    Other(&'static str),
}

impl Counts {
    /// What a name says; most say nothing.
    pub fn of(name: &str) -> Option<Self> {
        let name = bare(name).to_ascii_lowercase();
        let ends = |end: &str| {
            name.strip_suffix(end).is_some_and(|before| !before.ends_with(|last: char| last.is_ascii_alphanumeric()))
        };
        ENDS.iter().find(|(end, _)| ends(end)).map(|(_, counts)| *counts)
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Requests => "requests",
            Self::Other(what) => what,
        }
    }

    /// Whether it can be what is played.
    pub fn fits(self, unit: Unit) -> bool {
        matches!((self, unit), (Self::Cpu, Unit::Cores) | (Self::Requests, Unit::Rps))
    }
}

/// A name says that its values only ever grow.
pub fn is_counter(name: &str) -> bool {
    bare(name).ends_with("_total")
}

/// A name without labels.
fn bare(name: &str) -> &str {
    name.split('{').next().unwrap_or(name).trim()
}

/// Names within a query, in PromQL: which are of counters that nothing makes a rate of, and what the others say, where the query
/// does not convert them.
#[derive(Debug, Default, PartialEq)]
pub struct Queried {
    /// Counters as they are.
    pub raw: Vec<String>,
    /// Metrics that say what they count.
    pub counts: Vec<(String, Counts)>,
}

/// Functions that make rates of counters.
const RATES: [&str; 6] = ["rate", "irate", "increase", "delta", "idelta", "deriv"];

/// Goes through a query. What stands in quotes, and labels in braces, are no metrics.
pub fn queried(query: &str) -> Queried {
    let mut found = Queried::default();
    let (mut quote, mut braces, mut converts) = (None, 0_usize, false);
    let mut calls: Vec<String> = Vec::new();
    let mut word = String::new();
    for sign in query.chars().chain([' ']) {
        match quote {
            Some(open) if sign == open => quote = None,
            Some(_) => {}
            None if braces == 0 && (sign.is_ascii_alphanumeric() || "_:".contains(sign)) => word.push(sign),
            None => {
                let name = std::mem::take(&mut word);
                match sign {
                    '(' => calls.push(name),
                    _ if name.is_empty() => {}
                    _ => {
                        let is_rate = calls.iter().any(|call| RATES.contains(&call.as_str()));
                        if is_counter(&name) && !is_rate {
                            found.raw.push(name);
                        } else if let Some(counts) = Counts::of(&name) {
                            found.counts.push((name, counts));
                        }
                    }
                }
                match sign {
                    ')' => drop(calls.pop()),
                    '"' | '\'' | '`' => quote = Some(sign),
                    '{' => braces += 1,
                    '}' => braces = braces.saturating_sub(1),
                    '*' | '/' => converts = true,
                    _ => {}
                }
            }
        }
    }
    if converts {
        found.counts.clear();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_count_or_nothing() {
        for (name, counts) in [
            ("used_cores", Some(Counts::Cpu)),
            ("container_cpu_usage_seconds_total{pod=\"a\"}", Some(Counts::Cpu)),
            ("http_requests_total", Some(Counts::Requests)),
            ("http_requests", Some(Counts::Requests)),
            ("RPS", Some(Counts::Requests)),
            ("shop_millicores", Some(Counts::Other("millicores"))),
            ("memory_bytes", Some(Counts::Other("bytes"))),
            ("shop", None),
            ("corps", None),
            ("cpu-bound", None),
            ("a{b=\"http_requests\"}", None),
        ] {
            assert_eq!(Counts::of(name), counts, "{name}");
        }
        assert!(is_counter("a_total{b=\"c\"}") && !is_counter("total") && !is_counter("a{b=\"c_total\"}"));
    }

    #[test]
    fn a_query_reads_counters_as_rates_or_not() {
        let raw = |query: &str| queried(query).raw;
        assert_eq!(raw("sum by (namespace) (rate(http_requests_total{code=\"a_total\"}[1m]))"), Vec::<String>::new());
        assert_eq!(raw("sum(http_requests_total{job=\"rate(\"})"), ["http_requests_total"]);
        assert_eq!(raw("max_over_time(a_total[5m]) + rate(b_total[5m])"), ["a_total"]);
        assert_eq!(raw("increase(a_total[1m]) / 60"), Vec::<String>::new());
        assert_eq!(raw("a_total"), ["a_total"]);
        assert_eq!(raw("job:http_requests_total:rate5m"), Vec::<String>::new());
        let counts = |query: &str| queried(query).counts.first().map(|(_, counts)| *counts);
        assert_eq!(counts("sum(rate(http_requests_total[1m]))"), Some(Counts::Requests));
        assert_eq!(counts("sum(rate(http_requests_total[1m])) * 0.01"), None);
        assert_eq!(counts("sum(rate(container_cpu_usage_seconds_total[1m]))"), Some(Counts::Cpu));
    }
}
