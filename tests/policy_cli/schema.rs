//! The JSON Schema of the documents and the reader agree: what one of them has never heard of, the other refuses too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use oprc_crm::policy::{Bundle, Diagnostics, File, json_schema};
use serde_json::{Map, Value};

/// Every field of every kind, beside the shipped bundle.
const FORMS: &str = include_str!("forms.yaml");

fn validator() -> Validator {
    jsonschema::draft7::new(&json_schema()).expect("a schema")
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

fn faults(validator: &Validator, document: &Value) -> Vec<String> {
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// What the reader says about one document among others that are right.
fn refused(documents: &[Value]) -> Vec<String> {
    // JSON is YAML: a mutated document needs no writer of its own.
    let files: Vec<File> = documents
        .iter()
        .enumerate()
        .map(|(index, document)| File { name: format!("{index}.yaml"), text: document.to_string() })
        .collect();
    let shipped: Vec<File> = shipped()
        .iter()
        .map(|path| File { name: format!("builtin/{}", path.display()), text: std::fs::read_to_string(path).unwrap() })
        .collect();
    match Bundle::read(&files, &shipped) {
        Ok(_) => Vec::new(),
        Err(Diagnostics(found)) => found.iter().map(ToString::to_string).collect(),
    }
}

/// The files of the shipped bundle.
fn shipped() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() >= 8, "{found:?}");
    found
}

#[test]
fn shipped_files_are_valid_and_name_the_schema_for_editors() {
    let validator = validator();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for path in shipped() {
        let text = std::fs::read_to_string(&path).unwrap();
        let up = "../".repeat(path.strip_prefix(&root).unwrap().components().count() - 1);
        let modeline = format!("# yaml-language-server: $schema={up}policy.schema.json");
        assert_eq!(text.lines().next(), Some(modeline.as_str()), "{}", path.display());
        for document in documents(&text) {
            assert_eq!(faults(&validator, &document), Vec::<String>::new(), "{}", path.display());
        }
    }
}

#[test]
fn every_field_has_a_correct_form_that_both_accept() {
    let validator = validator();
    let forms = documents(FORMS);
    assert_eq!(refused(&forms), Vec::<String>::new());
    for document in &forms {
        assert_eq!(faults(&validator, document), Vec::<String>::new());
    }
    // Names of fields in the schema that neither these forms nor the shipped bundle use: there must be none.
    let mut used = BTreeSet::new();
    let texts = shipped().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<Vec<_>>();
    for document in forms.into_iter().chain(texts.iter().flat_map(|text| documents(text))) {
        keys(&document, &mut used);
    }
    let mut known = BTreeSet::new();
    properties(&json_schema(), &mut known);
    assert!(known.len() > 60, "{known:?}");
    assert_eq!(known.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new());
}

fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                found.insert(name.clone());
                keys(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

fn properties(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let (true, Value::Object(own)) = (name == "properties", value) {
                    found.extend(own.keys().cloned());
                }
                properties(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| properties(item, found)),
        _ => {}
    }
}

/// Paths of all maps and fields of a document, as JSON pointers.
fn maps(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(at.to_owned());
            for (name, value) in fields {
                maps(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| maps(item, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

/// Maps whose keys are free: a name more in them is no unknown field.
fn is_free(path: &str) -> bool {
    let within = |part: &str| path.contains(part);
    path.ends_with("/params")
        || path.ends_with("/labels")
        || within("/spec/metadata")
        || path.rsplit('/').next().is_some_and(|last| last.contains("~1"))
        || path.rsplit('/').nth(1) == Some("profiles")
}

fn with(forms: &[Value], index: usize, change: impl FnOnce(&mut Value)) -> Vec<Value> {
    let mut changed = forms.to_vec();
    change(&mut changed[index]);
    changed
}

fn map<'a>(document: &'a mut Value, path: &str) -> &'a mut Map<String, Value> {
    document.pointer_mut(path).unwrap().as_object_mut().unwrap()
}

#[test]
fn an_unknown_field_is_refused_by_both_wherever_it_stands() {
    let validator = validator();
    let forms = documents(FORMS);
    let mut tried = 0;
    for (index, document) in forms.iter().enumerate() {
        let mut paths = Vec::new();
        maps(document, "", &mut paths);
        for path in paths.iter().filter(|path| !is_free(path)) {
            let changed = with(&forms, index, |document| {
                map(document, path).insert("zzz".to_owned(), Value::from("x"));
            });
            assert!(!validator.is_valid(&changed[index]), "the schema takes an unknown field at {index}{path}");
            assert!(!refused(&changed).is_empty(), "the reader takes an unknown field at {index}{path}");
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}

#[test]
fn a_field_left_out_is_missed_by_both_or_by_neither() {
    let validator = validator();
    let forms = documents(FORMS);
    let mut missed = 0;
    for (index, document) in forms.iter().enumerate() {
        let mut paths = Vec::new();
        maps(document, "", &mut paths);
        for path in paths {
            let names: Vec<String> = map(&mut document.clone(), &path).keys().cloned().collect();
            for name in names {
                let changed = with(&forms, index, |document| {
                    map(document, &path).remove(&name);
                });
                let found = refused(&changed).join("\n");
                let wanted = ["needs the field", "has either", "expects either", "needs either"];
                let reader = wanted.iter().any(|words| found.contains(words));
                let schema = !validator.is_valid(&changed[index]);
                assert_eq!(schema, reader, "{index}{path}: without {name}: {found}");
                missed += usize::from(schema);
            }
        }
    }
    assert!(missed > 20, "{missed}");
}

#[test]
fn wrong_words_and_wrong_types_are_refused_by_both() {
    let validator = validator();
    let forms = documents(FORMS);
    for (index, path, wrong) in [
        (0, "/apiVersion", Value::from("policy.oaas.io/v2")),
        (0, "/kind", "Bundel".into()),
        (0, "/metadata/name", "No Name".into()),
        (0, "/spec/extends", "other".into()),
        (0, "/spec/params/window/type", "time".into()),
        (0, "/spec/params/window/env_unit", "ms".into()),
        (0, "/spec/profiles", serde_json::json!({"moon": {"window": "1m"}})),
        (1, "/spec/rules/0/mode", "loud".into()),
        (1, "/spec/rules/0/deny", serde_json::json!(["a"])),
        (1, "/spec/rules", serde_json::json!({"id": "a"})),
        (1, "/spec/variables/0/name", "with-dash".into()),
        (2, "/spec/workload/kind", "Pod".into()),
        (2, "/spec/workload/probes", "yes".into()),
        (2, "/spec/workload/termination_grace_seconds", serde_json::json!(1.5)),
        (2, "/spec/workload/termination_grace_seconds", serde_json::json!(4000)),
        (2, "/spec/workload/resources/cpu_request", "lots".into()),
        (2, "/spec/score/0/add", "1".into()),
        (3, "/spec/target", "Bundle/x".into()),
        (3, "/spec/given/class/functions/0/port", "80".into()),
        (3, "/spec/given/features/odgm", "unknown".into()),
    ] {
        let changed = with(&forms, index, |document| *document.pointer_mut(path).unwrap() = wrong.clone());
        assert!(!validator.is_valid(&changed[index]), "the schema takes {wrong} at {index}{path}");
        assert!(!refused(&changed).is_empty(), "the reader takes {wrong} at {index}{path}");
    }
}
