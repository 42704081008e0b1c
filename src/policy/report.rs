//! Findings for machines: one JSON document, annotations of GitHub, and SARIF 2.1.0.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::diagnostic::{Diagnostic, Severity, topics};

const SARIF_SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Numbers of errors and warnings.
pub fn counts(found: &[Diagnostic]) -> (usize, usize) {
    let errors = found.iter().filter(|one| one.severity == Severity::Error).count();
    (errors, found.len() - errors)
}

/// One JSON document; its keys are an interface. `bundle` is the number of documents and the revision, where the
/// bundle is right.
pub fn json(found: &[Diagnostic], bundle: Option<(usize, &str)>) -> Value {
    let (errors, warnings) = counts(found);
    let bundle = bundle.map(|(documents, revision)| json!({"documents": documents, "revision": revision}));
    let found: Vec<Value> = found.iter().map(one).collect();
    json!({"bundle": bundle, "errors": errors, "warnings": warnings, "diagnostics": found})
}

fn one(one: &Diagnostic) -> Value {
    let Diagnostic { severity, topic, file, line, column, width, source_line, message, help, related } = one;
    let related: Vec<Value> =
        related.iter().map(|(place, message)| json!({"place": place, "message": message})).collect();
    json!({
        "severity": level(*severity), "rule": topic, "file": file, "line": line, "column": column, "width": width,
        "source_line": source_line, "message": message, "help": help, "related": related,
    })
}

/// Annotations as GitHub's runners read them from the output of a step, one a line.
pub fn github(found: &[Diagnostic]) -> String {
    let mut out = String::new();
    for one in found {
        let mut text = one.message.clone();
        for (place, why) in &one.related {
            let _ = write!(text, "\n{place}: {why}");
        }
        if let Some(help) = &one.help {
            let _ = write!(text, "\nhelp: {help}");
        }
        let mut place = format!("file={}", property(&one.file));
        if one.line > 0 {
            let end = one.column + one.width.max(1);
            let _ = write!(place, ",line={},col={},endColumn={end}", one.line, one.column);
        }
        let (level, title) = (level(one.severity), property(&format!("policy {}", one.topic)));
        let _ = writeln!(out, "::{level} {place},title={title}::{}", data(&text));
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// One run of SARIF 2.1.0, as code-scanning services take it.
pub fn sarif(found: &[Diagnostic], version: &str) -> Value {
    let rules: Vec<Value> = topics().map(|(id, text)| json!({"id": id, "shortDescription": {"text": text}})).collect();
    let results: Vec<Value> = found.iter().map(result).collect();
    json!({
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "oprc-crm policy check", "version": version, "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(one: &Diagnostic) -> Value {
    let index = topics().position(|(id, _)| id == one.topic);
    let text = match &one.help {
        Some(help) => format!("{}. Help: {help}", one.message),
        None => one.message.clone(),
    };
    let region = (one.line > 0).then(|| {
        json!({
            "startLine": one.line, "startColumn": one.column, "endColumn": one.column + one.width.max(1),
            "snippet": {"text": one.source_line},
        })
    });
    let mut result = json!({
        "ruleId": one.topic, "ruleIndex": index, "level": level(one.severity), "message": {"text": text},
        "locations": [{"physicalLocation": physical(&one.file, region)}],
    });
    let related: Vec<Value> = one.related.iter().map(|(place, why)| elsewhere(place, why)).collect();
    if let (false, Some(fields)) = (related.is_empty(), result.as_object_mut()) {
        fields.insert("relatedLocations".to_owned(), Value::Array(related));
    }
    result
}

fn physical(file: &str, region: Option<Value>) -> Value {
    let mut place = json!({"artifactLocation": {"uri": uri(file)}});
    if let (Some(region), Some(fields)) = (region, place.as_object_mut()) {
        fields.insert("region".to_owned(), region);
    }
    place
}

fn elsewhere(place: &str, why: &str) -> Value {
    let mut parts = place.rsplitn(3, ':');
    let (column, line, file) = (parts.next(), parts.next(), parts.next());
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let location = match (number(line), number(column), file) {
        (Some(line), Some(column), Some(file)) => {
            physical(file, Some(json!({"startLine": line, "startColumn": column})))
        }
        _ => physical(place, None),
    };
    json!({"physicalLocation": location, "message": {"text": why}})
}

/// A path as a URI reference.
fn uri(path: &str) -> String {
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~+@=".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn finding() -> Diagnostic {
        Diagnostic {
            line: 7,
            column: 5,
            width: 3,
            source_line: "    foo: 100%".to_owned(),
            ..Diagnostic::whole("my dir/a,b.yaml", "`x` is 100%: wrong\nand more").topic("duplicate")
        }
        .help("write y")
        .related("b:c.yaml:3:9".to_owned(), "the first")
    }

    #[test]
    fn of_a_line_that_nobody_can_read_only_what_is_around_the_place_is_shown() {
        let line = format!("{}foo: bar{}", " ".repeat(500), "[".repeat(100_000));
        let wrong = Diagnostic { source_line: line, column: 501, width: 3, message: "m".to_owned(), ..finding() };
        let shown = wrong.to_string();
        assert!(shown.len() < 1200, "{}", shown.len());
        let lines: Vec<&str> = shown.lines().collect();
        let at = lines[3].find("foo").map(|at| lines[3][..at].chars().count());
        assert_eq!(at, lines[4].find("^^^").map(|at| lines[4][..at].chars().count()), "{shown}");
        assert!(lines[3].contains('…') && !lines[4].contains("^^^^"), "{shown}");
    }

    #[test]
    fn json_has_stable_keys() {
        let document = json(&[finding(), Diagnostic::whole("b.yaml", "m").warning()], None);
        assert_eq!((&document["errors"], &document["warnings"]), (&json!(1), &json!(1)));
        assert_eq!(
            document["diagnostics"][0],
            json!({
                "severity": "error", "rule": "duplicate", "file": "my dir/a,b.yaml", "line": 7, "column": 5, "width": 3,
                "source_line": "    foo: 100%", "message": "`x` is 100%: wrong\nand more", "help": "write y",
                "related": [{"place": "b:c.yaml:3:9", "message": "the first"}],
            })
        );
        assert_eq!(json(&[], Some((3, "abc")))["bundle"], json!({"documents": 3, "revision": "abc"}));
    }

    #[test]
    fn annotations_escape_what_their_readers_split_at() {
        assert_eq!(
            github(&[finding(), Diagnostic::whole("b.yaml", "m").warning()]),
            "::error file=my dir/a%2Cb.yaml,line=7,col=5,endColumn=8,title=policy duplicate::`x` is 100%25: \
             wrong%0Aand more%0Ab:c.yaml:3:9: the first%0Ahelp: write y\n::warning file=b.yaml,title=policy \
             document::m\n"
        );
    }

    #[test]
    fn sarif_names_rule_file_and_region() {
        let log = sarif(&[finding(), Diagnostic::whole("/abs/b.yaml", "m").warning()], "1.2.3");
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        assert_eq!(run["tool"]["driver"]["version"], "1.2.3");
        let first = &run["results"][0];
        let index = usize::try_from(first["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], first["ruleId"]);
        assert_eq!(first["level"], "error");
        let place = &first["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "my%20dir/a%2Cb.yaml");
        assert_eq!(
            place["region"],
            json!({"startLine": 7, "startColumn": 5, "endColumn": 8, "snippet": {"text": "    foo: 100%"}})
        );
        let related = &first["relatedLocations"][0]["physicalLocation"];
        assert_eq!(related["artifactLocation"]["uri"], "b%3Ac.yaml");
        assert_eq!(related["region"], json!({"startLine": 3, "startColumn": 9}));
        let second = &run["results"][1]["locations"][0]["physicalLocation"];
        assert_eq!(*second, json!({"artifactLocation": {"uri": "file:///abs/b.yaml"}}));
    }

    #[test]
    fn every_topic_has_one_description() {
        let ids: Vec<&str> = topics().map(|(id, _)| id).collect();
        let mut unique = ids.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), ids.len());
    }
}
