//! The language for editors and readers: a JSON Schema of the documents, and the table of facts as Markdown.
//!
//! Draft 7, which editors' YAML servers know best. It says no less than the reader about fields, and no more about
//! expressions than that they are some: `policy check` tells about those.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::document::PROFILES;
use super::facts::{self, FACTS, Fact, FactKind};
use super::fields::{DOCUMENT, Field, Fields, KINDS, Keys, Narrowed, Takes};

const NAME: &str = "^[a-z][a-z0-9-]{0,62}$";
const IDENTIFIER: &str = "^[a-z][a-z0-9_]{0,62}$";
const DOCUMENT_NAME: &str = "^[A-Z][A-Za-z]*/[a-z][a-z0-9-]{0,62}$";
const QUANTITY: &str = "^([0-9]+\\.?[0-9]*|\\.[0-9]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$";

/// The JSON Schema of policy documents.
pub fn json_schema() -> Value {
    let mut schema = Schema::default();
    let kinds: Vec<Value> = KINDS
        .iter()
        .map(|kind| json!({"const": kind.name, "description": format!("{}: {}", kind.name, kind.doc)}))
        .collect();
    let specs: Vec<Value> = KINDS
        .iter()
        .map(|kind| {
            json!({
                "if": {"properties": {"kind": {"const": kind.name}}, "required": ["kind"]},
                "then": {"properties": {"spec": schema.reference(kind.spec, kind.doc)}},
            })
        })
        .collect();
    let mut root = schema.object(&DOCUMENT);
    if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("kind".to_owned(), json!({"description": "what the document decides", "oneOf": kinds}));
        properties.insert("spec".to_owned(), json!({"description": "what it says", "type": "object"}));
    }
    root.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
    root.insert("title".to_owned(), "oprc-crm policy document".into());
    root.insert("allOf".to_owned(), specs.into());
    let definitions: Map<String, Value> = schema.definitions.into_iter().map(|one| (one.name, one.schema)).collect();
    root.insert("definitions".to_owned(), definitions.into());
    Value::Object(root)
}

/// Definitions as they are met; a table of fields is defined once.
#[derive(Default)]
struct Schema {
    definitions: Vec<Definition>,
}

struct Definition {
    name: String,
    of: &'static Fields,
    schema: Value,
}

impl Schema {
    /// A reference beside a description: validators of this draft overlook what stands beside a bare `$ref`.
    fn reference(&mut self, fields: &'static Fields, doc: &str) -> Value {
        let known = self.definitions.iter().find(|one| std::ptr::eq(one.of, fields)).map(|one| one.name.clone());
        let name = known.unwrap_or_else(|| self.define(fields));
        json!({"description": doc, "allOf": [{"$ref": format!("#/definitions/{name}")}]})
    }

    fn define(&mut self, fields: &'static Fields) -> String {
        let slug = slug(fields.what);
        let count = self.definitions.iter().filter(|one| slug_of(&one.name) == slug).count();
        let name = if count == 0 { slug } else { format!("{slug}.{}", count + 1) };
        let index = self.definitions.len();
        // Its place is taken first, so that a table may contain itself.
        self.definitions.push(Definition { name: name.clone(), of: fields, schema: Value::Null });
        let object = Value::Object(self.object(fields));
        if let Some(definition) = self.definitions.get_mut(index) {
            definition.schema = object;
        }
        name
    }

    fn object(&mut self, fields: &'static Fields) -> Map<String, Value> {
        let properties: Map<String, Value> =
            fields.all.iter().map(|field| (field.name.to_owned(), self.field(field))).collect();
        let required: Vec<&str> = fields.all.iter().filter(|field| field.required).map(|field| field.name).collect();
        let mut object = Map::new();
        object.insert("type".to_owned(), "object".into());
        object.insert("additionalProperties".to_owned(), false.into());
        object.insert("properties".to_owned(), properties.into());
        if !required.is_empty() {
            object.insert("required".to_owned(), required.into());
        }
        if !fields.one_of.is_empty() {
            let choices: Vec<Value> = fields.one_of.iter().map(|name| json!({"required": [name]})).collect();
            object.insert("oneOf".to_owned(), choices.into());
        }
        if !fields.narrowed.is_empty() {
            let narrowed: Vec<Value> = fields.narrowed.iter().map(|one| self.narrowed(one)).collect();
            object.insert("allOf".to_owned(), narrowed.into());
        }
        object
    }

    fn narrowed(&mut self, one: &'static Narrowed) -> Value {
        json!({
            "if": {"properties": {one.given: {"pattern": one.matches}}, "required": [one.given]},
            "then": {"properties": {one.field: self.takes(&one.takes, one.field)}},
        })
    }

    fn field(&mut self, field: &'static Field) -> Value {
        let doc =
            if matches!(field.takes, Takes::Expression) { format!("{} (CEL)", field.doc) } else { field.doc.into() };
        let mut schema = self.takes(&field.takes, &doc);
        if let Some(fields) = schema.as_object_mut() {
            fields.entry("description").or_insert_with(|| doc.into());
            if let Some(default) = field.default {
                let typed = matches!(field.takes, Takes::Flag | Takes::Number { .. });
                let value = if typed { serde_json::from_str(default).ok() } else { None };
                fields.insert("default".to_owned(), value.unwrap_or_else(|| default.into()));
            }
        }
        schema
    }

    fn takes(&mut self, takes: &'static Takes, doc: &str) -> Value {
        match takes {
            Takes::Text => json!({"type": "string"}),
            Takes::Name => json!({"type": "string", "pattern": NAME}),
            Takes::Identifier => json!({"type": "string", "pattern": IDENTIFIER}),
            Takes::OneOf(words) => json!({"type": "string", "enum": words}),
            Takes::Like { pattern, example } => json!({"type": "string", "pattern": pattern, "examples": [example]}),
            Takes::Expression | Takes::Scalar => json!({"type": ["string", "number", "boolean"]}),
            Takes::Number { min, max, whole } => number(*min, *max, *whole),
            Takes::Flag => json!({"type": "boolean"}),
            Takes::Quantity => {
                json!({"type": ["string", "number"], "pattern": QUANTITY, "minimum": 0, "examples": ["250m", "128Mi"]})
            }
            Takes::Free => json!({}),
            Takes::Fields(fields) => self.reference(fields, doc),
            Takes::List(of) => json!({"type": "array", "items": self.takes(of, doc)}),
            Takes::Keyed { of, .. } => json!({"type": "array", "items": self.reference(of, of.what)}),
            Takes::Entries(keys, of) => self.entries(*keys, of, doc),
            Takes::ByName { identifiers, documents } => json!({
                "type": "object",
                "patternProperties": {
                    IDENTIFIER: self.takes(identifiers, doc), DOCUMENT_NAME: self.takes(documents, doc),
                },
                "additionalProperties": false,
            }),
            Takes::Either(choices) => {
                let choices: Vec<Value> = choices.iter().map(|choice| self.takes(choice, doc)).collect();
                json!({"anyOf": choices})
            }
            Takes::Facts(path) => facts(path),
        }
    }

    fn entries(&mut self, keys: Keys, of: &'static Takes, doc: &str) -> Value {
        let of = self.takes(of, doc);
        match keys {
            Keys::Any => json!({"type": "object", "additionalProperties": of}),
            Keys::Identifiers => {
                json!({"type": "object", "propertyNames": {"pattern": IDENTIFIER}, "additionalProperties": of})
            }
            Keys::Profiles => {
                let properties: Map<String, Value> =
                    PROFILES.iter().map(|name| ((*name).to_owned(), of.clone())).collect();
                json!({"type": "object", "properties": properties, "additionalProperties": false})
            }
        }
    }
}

fn number(min: f64, max: f64, whole: bool) -> Value {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), if whole { "integer" } else { "number" }.into());
    for (name, bound) in [("minimum", min), ("maximum", max)] {
        if bound.is_finite() {
            schema.insert(name.to_owned(), bound.into());
        }
    }
    schema.into()
}

/// `spec of a Template` -> `template`, `a rule of `enabled`` -> `rule-of-enabled`.
fn slug(what: &str) -> String {
    let words = what.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.skip_while(|word| matches!(*word, "spec" | "of" | "a" | "an")).collect();
    words.join("-").to_ascii_lowercase()
}

fn slug_of(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Facts below a path, as a Test gives them.
fn facts(path: &str) -> Value {
    let properties: Map<String, Value> = facts::below(path)
        .into_iter()
        .map(|name| {
            let below = format!("{path}.{name}");
            let schema = facts::find(&below).map_or_else(|| facts(&below), fact);
            // What a cluster has may not be known; nothing else of a test is in doubt.
            let schema = if path == "cluster" { json!({"anyOf": [schema, {"const": "unknown"}]}) } else { schema };
            (name, schema)
        })
        .collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn fact(fact: &Fact) -> Value {
    let mut schema = match fact.kind {
        FactKind::Bool => json!({"type": "boolean"}),
        FactKind::Number => json!({"type": "number"}),
        FactKind::Text => json!({"type": "string"}),
        FactKind::Texts => json!({"type": "array", "items": {"type": "string"}}),
        FactKind::TextMap => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        FactKind::Groups => json!({"type": "array", "items": facts(&format!("{}[]", fact.path))}),
        FactKind::Group => facts(fact.path),
    };
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("description".to_owned(), fact.doc.into());
        let choices = facts::choices(fact.path);
        if !choices.is_empty() {
            fields.insert("enum".to_owned(), choices.into());
        }
    }
    schema
}

/// The table of facts, for authors.
pub fn facts_markdown() -> String {
    let mut out = String::from(
        "# Facts\n\n\
         What the expressions of a policy may read. Written by `oprc-crm policy schema --facts`; do not edit.\n\n\
         Every number is a double. A fact that may be absent must be guarded by `has()`, and `policy check` refuses an\n\
         expression that does not. Besides these there are `params.NAME` and `variables.NAME`, of the document itself and\n\
         of the bundle. A fact that is not known (no right to look, no answer) is an error in the rule, never a zero or\n\
         a false.\n",
    );
    let mut root = "";
    for fact in FACTS {
        let own = fact.path.split(['.', '[']).next().unwrap_or(fact.path);
        if own != root {
            root = own;
            let _ =
                write!(out, "\n## {root}\n\n| fact | type | may be absent | what it is |\n| --- | --- | --- | --- |\n");
        }
        let absent = if fact.optional { "yes" } else { "" };
        let choices = facts::choices(fact.path);
        let choices = if choices.is_empty() || choices.iter().all(|choice| fact.doc.contains(choice)) {
            String::new()
        } else {
            format!(" ({})", choices.join(", "))
        };
        let _ = writeln!(out, "| `{}` | {} | {absent} | {}{choices} |", fact.path, type_name(fact.kind), fact.doc);
    }
    out
}

fn type_name(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Bool => "bool",
        FactKind::Number => "double",
        FactKind::Text => "string",
        FactKind::Texts => "list of strings",
        FactKind::TextMap => "map of strings",
        FactKind::Groups => "list of the groups below",
        FactKind::Group => "group",
    }
}
