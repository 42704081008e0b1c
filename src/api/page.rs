//! The page for people: every field of the custom resource, from the very schema that the API server is given.

// Indexing a JSON value never panics: what is not there is null.
#![allow(clippy::indexing_slicing)]

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// What stands above everything that is generated.
const HEAD: &str = "A record is one class. [`k8s/samples`](../k8s/samples) holds records to begin with; the shortest that works is

```yaml
apiVersion: oaas.io/v1alpha1
kind: DeploymentRecord
metadata: {name: hello}
spec:
  function: {image: docker.io/library/nginx:1.27, port: 80}
```

Whoever applies a record writes `spec`; `status` is the controller's. What the tables call required must be there wherever
the object around it is; everything else may be left out. The API server refuses a record that is outside the limits, or that a
rule below a table refuses, and names the field. What needs more than the record itself to judge is refused or
warned about by the policy, see [policy.md](policy.md); what can never work and no schema can say, by the condition
`Degraded`.
";

/// Objects of the schema in the order of the page, with their paths.
type Sections<'a> = Vec<(String, &'a Value)>;

/// The page for a `CustomResourceDefinition` with one version.
pub(super) fn markdown(definition: &Value) -> String {
    let version = &definition["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let mut sections = Vec::new();
    for part in ["spec", "status"] {
        collect(part, &schema["properties"][part], &mut sections);
    }
    let mut out = String::from("# DeploymentRecord\n\nWritten by `oprc-crm crd --doc`; do not edit.\n\n");
    head(&mut out, &definition["spec"], version);
    out.push_str(HEAD);
    out.push_str("\n## Contents\n\n");
    for (path, schema) in &sections {
        let depth = path.matches('.').count();
        let _ = writeln!(out, "{}- [`{path}`](#{}): {}", "  ".repeat(depth), anchor(path), sentence(text(schema)));
    }
    let _ = writeln!(out, "- [Columns of `kubectl get`](#columns)");
    for (path, schema) in &sections {
        section(&mut out, path, schema);
    }
    columns(&mut out, version);
    out
}

fn head(out: &mut String, spec: &Value, version: &Value) {
    let names = &spec["names"];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = |list: &Value| -> Vec<String> {
        entries(list).iter().filter_map(|name| Some(format!("`{}`", name.as_str()?))).collect()
    };
    let _ = writeln!(
        out,
        "Kind `{}` of `apiVersion: {}/{}`, {}. `kubectl get` knows it as `{}` or {}, and lists it among {}.\n",
        word(&names["kind"]),
        word(&spec["group"]),
        word(&version["name"]),
        word(&spec["scope"]).to_lowercase(),
        word(&names["plural"]),
        all(&names["shortNames"]).join(", "),
        all(&names["categories"]).join(", "),
    );
}

/// This object, then all objects in it.
fn collect<'a>(path: &str, schema: &'a Value, sections: &mut Sections<'a>) {
    let (path, schema) = within(path, schema);
    if schema["properties"].is_object() {
        sections.push((path.clone(), schema));
        for (name, field) in fields(schema) {
            collect(&format!("{path}.{name}"), field, sections);
        }
    }
}

/// What the entries of a list or a map are, with their path; anything else is itself.
fn within<'a>(path: &str, schema: &'a Value) -> (String, &'a Value) {
    if schema["items"].is_object() {
        return within(&format!("{path}[]"), &schema["items"]);
    }
    if schema["additionalProperties"].is_object() {
        return within(&format!("{path}{{}}"), &schema["additionalProperties"]);
    }
    (path.to_owned(), schema)
}

/// Fields of an object: the required ones first, each group by name.
fn fields(schema: &Value) -> Vec<(&String, &Value)> {
    let mut fields: Vec<_> = schema["properties"].as_object().into_iter().flat_map(Map::iter).collect();
    fields.sort_by_key(|(name, _)| (!required(schema, name), name.as_str()));
    fields
}

fn required(schema: &Value, name: &str) -> bool {
    entries(&schema["required"]).iter().any(|one| one == name)
}

fn entries(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn text(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

/// The first sentence of a description: all that a list of contents has room for.
fn sentence(text: &str) -> String {
    let end = text.find(". ").unwrap_or(text.len());
    text.get(..end).unwrap_or(text).trim_end_matches('.').to_owned()
}

/// Where a section is found: `spec.functions[].resources` is `spec-functions-resources`.
fn anchor(path: &str) -> String {
    path.replace("[]", "").replace("{}", "").replace(['.', '_'], "-")
}

fn section(out: &mut String, path: &str, schema: &Value) {
    let level = if path.contains('.') { "###" } else { "##" };
    let _ = write!(out, "\n<a id=\"{}\"></a>\n{level} `{path}`\n\n{}\n\n", anchor(path), text(schema));
    out.push_str(
        "| field | type | required | default | limits | what it is |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for (name, field) in fields(schema) {
        let (what, default) = default(field);
        let cells = [
            format!("`{name}`"),
            kind(&format!("{path}.{name}"), field),
            if required(schema, name) { "yes".to_owned() } else { String::new() },
            default,
            limits(field).join("; "),
            what,
        ];
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    let rules: Vec<String> = rules("", schema)
        .chain(fields(schema).into_iter().flat_map(|(name, field)| rules(name, field).collect::<Vec<_>>()))
        .collect();
    if !rules.is_empty() {
        let _ = writeln!(out, "\nWhat does not hold is refused with the message beside it:\n\n{}", rules.join("\n"));
    }
}

/// The validations of one place, a line each.
fn rules<'a>(field: &'a str, schema: &'a Value) -> impl Iterator<Item = String> + 'a {
    entries(&schema["x-kubernetes-validations"]).iter().map(move |rule| {
        let word = |name: &str| rule[name].as_str().unwrap_or_default();
        let of = if field.is_empty() { String::new() } else { format!(" of `{field}`") };
        format!("- `{}`{of}: “{}”", word("rule"), word("message"))
    })
}

/// The type of a field; one that is an object, or holds objects, links to their section.
fn kind(path: &str, schema: &Value) -> String {
    let inner = |path: &str, schema: &Value| {
        let (at, schema) = within(path, schema);
        let name = name(schema);
        let many = if name == "time" { "times".to_owned() } else { format!("{name}s") };
        if schema["properties"].is_object() { format!("[{many}](#{})", anchor(&at)) } else { many }
    };
    match () {
        () if schema["items"].is_object() => format!("list of {}", inner(path, schema)),
        () if schema["additionalProperties"].is_object() => format!("map of {}", inner(path, schema)),
        () if schema["properties"].is_object() => format!("[object](#{})", anchor(path)),
        () => name(schema).to_owned(),
    }
}

fn name(schema: &Value) -> &str {
    if schema["format"] == "date-time" { "time" } else { schema["type"].as_str().unwrap_or("value") }
}

/// Description and default of a field. The schema states a default where the API server fills it in; what the
/// controller takes instead of nothing stands in the description, as `(default 8080)`.
fn default(schema: &Value) -> (String, String) {
    let description = text(schema);
    match &schema["default"] {
        Value::Null => {}
        Value::String(text) if !text.is_empty() => return (description.to_owned(), format!("`{text}`")),
        other => return (description.to_owned(), format!("`{other}`")),
    }
    let stated = description.split_once(" (default ").and_then(|(before, rest)| {
        let (value, after) = rest.split_once(')')?;
        Some((format!("{before}{after}"), format!("`{}`", value.trim_matches('`'))))
    });
    stated.unwrap_or_else(|| (description.to_owned(), String::new()))
}

/// What a value must keep to, in words.
fn limits(schema: &Value) -> Vec<String> {
    let mut limits = Vec::new();
    let choices: Vec<String> =
        entries(&schema["enum"]).iter().filter_map(|one| Some(format!("`{}`", one.as_str()?))).collect();
    if !choices.is_empty() {
        limits.push(choices.join(", "));
    }
    for (least, most, unit) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
        ("minProperties", "maxProperties", " entries"),
    ] {
        match (schema[least].as_f64(), schema[most].as_f64()) {
            (None, None) => {}
            (Some(least), None) => limits.push(format!("at least {least}{unit}")),
            (None, Some(most)) => limits.push(format!("at most {most}{unit}")),
            (Some(least), Some(most)) => limits.push(format!("{least} to {most}{unit}")),
        }
    }
    let keys: Vec<String> = entries(&schema["x-kubernetes-list-map-keys"])
        .iter()
        .filter_map(|key| Some(format!("`{}`", key.as_str()?)))
        .collect();
    if !keys.is_empty() {
        limits.push(format!("no two of the same {}", keys.join(", ")));
    }
    for inner in [&schema["items"], &schema["additionalProperties"]] {
        limits.extend(self::limits_of_each(inner));
    }
    limits
}

/// What each entry of a list or a map must keep to.
fn limits_of_each(entry: &Value) -> Vec<String> {
    if entry.is_object() { limits(entry).iter().map(|limit| format!("each {limit}")).collect() } else { Vec::new() }
}

fn columns(out: &mut String, version: &Value) {
    out.push_str("\n<a id=\"columns\"></a>\n## Columns of `kubectl get`\n\n| column | shows |\n| --- | --- |\n");
    for column in entries(&version["additionalPrinterColumns"]) {
        let word = |name: &str| column[name].as_str().unwrap_or_default();
        let _ = writeln!(out, "| {} | `{}` |", word("name"), word("jsonPath"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use serde_json::{Map, json};

    use super::{default, kind, limits, markdown};
    use crate::api::{DeploymentRecord, crd_markdown};

    #[test]
    fn every_field_rule_and_column_of_the_schema_is_on_the_page() {
        let definition = crate::api::crd::definition().unwrap();
        let page = markdown(&definition);
        let (mut fields, mut rules) = (0, 0);
        let mut open = vec![&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]];
        while let Some(value) = open.pop() {
            for name in value["properties"].as_object().into_iter().flat_map(Map::keys) {
                fields += 1;
                assert!(
                    page.contains(&format!("\n| `{name}` | ")) || ["spec", "status"].contains(&name.as_str()),
                    "{name}"
                );
            }
            if let (Some(rule), Some(message)) = (value["rule"].as_str(), value["message"].as_str()) {
                rules += 1;
                assert!(page.contains(rule) && page.contains(message), "{message}");
            }
            open.extend(value.as_object().into_iter().flat_map(Map::values));
            open.extend(value.as_array().into_iter().flatten());
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!((rows + 2, rules), (fields, 5), "a row for each field below spec and status");
        for column in ["Template", "Phase", "Ready", "Replicas", "Mode", "Age"] {
            assert!(page.contains(&format!("\n| {column} | `.")), "{column}");
        }
    }

    #[test]
    fn every_link_within_the_page_leads_to_one_place() {
        let page = crd_markdown().unwrap();
        let places: Vec<&str> = page.split("<a id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let links: BTreeSet<&str> = page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), places.len(), "no place twice");
        assert_eq!(places.into_iter().collect::<BTreeSet<_>>(), links);
    }

    #[test]
    fn the_record_that_the_page_begins_with_is_a_class() {
        let page = crd_markdown().unwrap();
        let yaml = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let record: DeploymentRecord = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(record.spec.function.unwrap().port, Some(80));
    }

    #[test]
    fn limits_and_types_are_told_in_words() {
        let list = json!({"type": "array", "maxItems": 3, "items": {"type": "string", "minLength": 1, "maxLength": 9}});
        assert_eq!(limits(&list), ["at most 3 entries", "each 1 to 9 characters"]);
        assert_eq!(kind("spec.x", &list), "list of strings");
        let keyed = json!({
            "type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}},
            "x-kubernetes-list-map-keys": ["k"],
        });
        assert_eq!(limits(&keyed), ["no two of the same `k`"]);
        assert_eq!(kind("spec.a_b", &keyed), "list of [objects](#spec-a-b)");
        let map = json!({"type": "object", "additionalProperties": {"type": "integer", "minimum": 0.0}});
        assert_eq!(
            (kind("spec.x", &map).as_str(), limits(&map)),
            ("map of integers", vec!["each at least 0".to_owned()])
        );
        let choice = json!({"type": "string", "enum": ["a", "b"]});
        assert_eq!(limits(&choice), ["`a`, `b`"]);
    }

    #[test]
    fn a_default_is_the_schemas_or_the_one_that_the_description_states() {
        let cell = |schema| default(&schema);
        assert_eq!(cell(json!({"default": 0, "description": "N."})), ("N.".to_owned(), "`0`".to_owned()));
        let stated = cell(json!({"description": "Port (default 8080)."}));
        assert_eq!(stated, ("Port.".to_owned(), "`8080`".to_owned()));
        assert_eq!(cell(json!({"description": "Port."})), ("Port.".to_owned(), String::new()));
    }
}
