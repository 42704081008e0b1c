//! Records in YAML files, offline: what an API server would refuse is told with file and line.

use std::fmt;
use std::io::Read as _;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::api::{DeploymentRecord, GROUP, VERSION};
use crate::model::{Class, FieldError, Schema, parse};

/// Kind of the records.
const KIND: &str = "DeploymentRecord";

/// One record of a file.
pub(super) struct Record {
    /// `FILE:LINE` of its first line.
    pub place: String,
    /// Its name, or what stands in for one in messages.
    pub name: String,
    /// The class, or all faults as `FILE:LINE: field: message`.
    pub class: Result<Class, Vec<String>>,
}

/// What a file holds.
#[derive(Default)]
pub(super) struct Records {
    /// Its records, in order.
    pub records: Vec<Record>,
    /// Documents of other kinds, as `FILE:LINE: message`.
    pub skipped: Vec<String>,
}

/// Text of a file; `-` is the standard input.
pub(super) fn read(file: &str) -> Result<String, String> {
    let read = if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    read.map_err(|error| format!("{}: cannot be read: {error}", shown(file)))
}

/// The records in a text. An error is a fault of the YAML itself, as `FILE:LINE:COLUMN: message`.
pub(super) fn records(file: &str, text: &str, namespace: Option<&str>, schema: &Schema) -> Result<Records, String> {
    let file = shown(file);
    let documents: Vec<Spanned<Node>> = serde_saphyr::from_multiple(text).map_err(|error| {
        let error = error.without_snippet();
        let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
        let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
        // The place is said in front, in the form that editors know.
        let message = message.lines().next().unwrap_or_default();
        let message = message.split(" at line ").next().unwrap_or_default();
        format!("{file}{place}: not valid YAML: {message}")
    })?;
    let mut found = Records::default();
    for document in documents {
        let line = line(&document);
        let place = format!("{file}:{line}");
        let value = document.value.json();
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
        if kind != KIND {
            let what = if kind.is_empty() { "a document without a kind".to_owned() } else { format!("a {kind}") };
            found.skipped.push(format!("{place}: skipped: {what} is no {KIND}"));
            continue;
        }
        let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("(no name)").to_owned();
        let class = class(&value, namespace, schema).map_err(|faults| {
            let mut faults: Vec<(u64, FieldError)> =
                faults.into_iter().map(|fault| (place_of(&document, &fault.field), fault)).collect();
            faults.sort_by_key(|(line, _)| *line);
            faults.iter().map(|(line, fault)| format!("{file}:{line}: {fault}")).collect()
        });
        found.records.push(Record { place, name, class });
    }
    Ok(found)
}

fn shown(file: &str) -> &str {
    if file == "-" { "<stdin>" } else { file }
}

/// One document as a class. What the schema says of a field is not said a second time in other words.
fn class(value: &Value, namespace: Option<&str>, schema: &Schema) -> Result<Class, Vec<FieldError>> {
    let mut faults = schema.faults(value);
    let version = format!("{GROUP}/{VERSION}");
    if value.get("apiVersion").and_then(Value::as_str) != Some(&version) {
        faults.push(FieldError { field: "apiVersion".to_owned(), message: format!("must be {version}") });
    }
    let record: Result<DeploymentRecord, _> = serde_json::from_value(value.clone());
    match record {
        Ok(mut record) => {
            if let Some(namespace) = namespace {
                record.metadata.namespace = Some(namespace.to_owned());
            }
            match parse(&record) {
                Ok(class) if faults.is_empty() => return Ok(class),
                Ok(_) => {}
                Err(invalid) => {
                    let told: Vec<String> = faults.iter().map(|fault| fault.field.clone()).collect();
                    faults.extend(invalid.0.into_iter().filter(|fault| !told.contains(&fault.field)));
                }
            }
        }
        // Where the schema has found nothing, the types must say what is wrong.
        Err(error) if faults.is_empty() => {
            faults.push(FieldError { field: "the record".to_owned(), message: error.to_string() });
        }
        Err(_) => {}
    }
    Err(faults)
}

/// A YAML value that knows where it stands.
enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Node {
    fn json(&self) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::List(items) => items.iter().map(|item| item.value.json()).collect(),
            Self::Map(entries) => entries.iter().map(|(key, value)| (key.value.clone(), value.value.json())).collect(),
        }
    }
}

fn line<T>(node: &Spanned<T>) -> u64 {
    node.referenced.line().max(1)
}

/// Line of a field such as `spec.functions[1].env["A"]`, or of the nearest thing around it that is there.
fn place_of(document: &Spanned<Node>, field: &str) -> u64 {
    let (mut node, mut at) = (document, line(document));
    for segment in segments(field) {
        let next = match &node.value {
            Node::List(items) => {
                segment.parse().ok().and_then(|index: usize| items.get(index)).map(|item| (line(item), item))
            }
            Node::Map(entries) => {
                entries.iter().find(|(key, _)| key.value == segment).map(|(key, value)| (line(key), value))
            }
            Node::Scalar(_) => None,
        };
        let Some((line, value)) = next else { break };
        (at, node) = (line, value);
    }
    at
}

/// `a.b[1]["c.d"]` -> `a`, `b`, `1`, `c.d`.
fn segments(field: &str) -> Vec<String> {
    let mut segments = Vec::new();
    let mut rest = field;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let end = quoted.find("\"]").unwrap_or(quoted.len());
            segments.push(quoted.get(..end).unwrap_or_default().to_owned());
            rest = quoted.get(end + 2..).unwrap_or_default();
        } else if let Some(index) = rest.strip_prefix('[') {
            let end = index.find(']').unwrap_or(index.len());
            segments.push(index.get(..end).unwrap_or_default().to_owned());
            rest = index.get(end + 1..).unwrap_or_default();
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            segments.push(rest.get(..end).unwrap_or_default().to_owned());
            rest = rest.get(end..).unwrap_or_default();
        }
    }
    segments
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        let number = serde_json::Number::from_f64(value);
        number.map(|number| Node::Scalar(number.into())).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::{Records, records, segments};
    use crate::model::Schema;

    fn read(text: &str) -> Result<Records, String> {
        records("f.yaml", text, None, &Schema::new().unwrap())
    }

    fn head(spec: &str) -> String {
        format!("apiVersion: oaas.io/v1alpha1\nkind: DeploymentRecord\nmetadata: {{name: a}}\nspec:\n{spec}")
    }

    #[test]
    fn paths_are_taken_apart() {
        assert_eq!(segments("spec.f[1].env[\"A.B\"].x"), ["spec", "f", "1", "env", "A.B", "x"]);
        assert_eq!(segments("spec.env[\"open"), ["spec", "env", "open"]);
    }

    #[test]
    fn every_fault_has_the_line_of_its_field() {
        let text = head(
            "  functions:\n  - function_key: f\n    image: a\n    port: 0\n    env:\n      A=B: x\n  - function_key: g\n  nfr: {mode: x}\n",
        );
        let second = format!("# first\n{}---\n{text}", head("  function: {image: a}\n"));
        let found = read(&second).unwrap();
        assert_eq!(found.records.len(), 2);
        assert_eq!(found.records[0].class.as_ref().unwrap().name, "a");
        let faults = found.records[1].class.as_ref().unwrap_err().join("\n");
        for expected in [
            "f.yaml:15: spec.functions[0].port: 0 is below 1",
            "f.yaml:16: spec.functions[0].env: ",
            "f.yaml:18: spec.functions[1].image: must not be empty",
            "f.yaml:19: spec.nfr.mode: there is no such field; known here: enforcement",
        ] {
            assert!(faults.contains(expected), "{expected} is not in\n{faults}");
        }
    }

    #[test]
    fn broken_yaml_is_told_with_line_and_column() {
        let error = read("a: [1\nb: 2\n").err().unwrap();
        assert!(error.starts_with("f.yaml:") && error.contains("not valid YAML"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn faults_of_the_yaml_are_told_in_plain_words() {
        for (text, expected) in [
            (
                head("  function: {image: a}\n  function: {image: b}\n"),
                "f.yaml:6:3: not valid YAML: duplicate mapping key",
            ),
            (format!("kind: DeploymentRecord\nspec: {}", "[".repeat(5000)), "recursion limit"),
        ] {
            let error = read(&text).err().unwrap();
            assert!(error.contains(expected) && !error.contains(" at line "), "{expected}: {error}");
        }
    }

    #[test]
    fn anchors_and_merged_keys_are_followed() {
        let text = head("  functions:\n  - &f {function_key: f, image: a}\n  - {<<: *f, function_key: g}\n");
        let class = read(&text).unwrap().records.remove(0).class.unwrap();
        assert_eq!(class.functions[1].key, "g");
        assert_eq!(class.functions[1].image, "a");
    }

    #[test]
    fn other_kinds_are_skipped_and_said() {
        let found = read(&format!("kind: Namespace\n---\n{}", head("  function: {image: a}\n"))).unwrap();
        assert_eq!(found.skipped, ["f.yaml:1: skipped: a Namespace is no DeploymentRecord"]);
        assert_eq!(found.records[0].place, "f.yaml:3");
    }

    #[test]
    fn another_version_is_refused() {
        let text = head("  function: {image: a}\n").replace("v1alpha1", "v2");
        let faults = read(&text).unwrap().records.remove(0).class.unwrap_err();
        assert_eq!(faults, ["f.yaml:1: apiVersion: must be oaas.io/v1alpha1"]);
    }
}
