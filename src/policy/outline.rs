//! A bundle as it is in effect, for people and for comparisons: what each document says, from where, and in which form
//! two of them can be compared. It goes by the table of fields alone, so a new kind needs no line here.

use super::Inputs;
use super::bundle::Bundle;
use super::cel;
use super::diagnostic::{Diagnostics, Sink};
use super::document::Document;
use super::fields::{Fields, KINDS, Order, Takes};
use super::params::{ParamForm, ParamOutline};
use super::revision::Revision;
use super::units;
use super::yaml::{Node, Text, Value};

/// An effective bundle.
#[derive(Debug)]
pub struct Outline {
    /// Its revision, as decisions carry it.
    pub revision: String,
    identity: Revision,
    /// Params that all documents see.
    pub params: Vec<ParamOutline>,
    /// What its Bundle documents say besides; an overlay's own before the shipped one that it extends.
    pub entries: Vec<Entry>,
    /// Its documents, by kind and name.
    pub documents: Vec<DocumentOutline>,
}

/// One document of it.
#[derive(Debug)]
pub struct DocumentOutline {
    /// `Kind/name`.
    pub name: String,
    /// Where it stands, as `file:line:column`.
    pub place: String,
    /// It came with the program.
    pub shipped: bool,
    /// What it is for.
    pub description: Option<String>,
    /// Whom to ask.
    pub owner: Option<String>,
    /// Its own params.
    pub params: Vec<ParamOutline>,
    /// What it says.
    pub entries: Vec<Entry>,
}

/// One thing that a document says: a rule, a variable, or a plain field.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Name of the list or field it stands in, such as `score` or `workload.replicas`.
    pub path: String,
    /// Name within the list.
    pub id: Option<String>,
    /// Where it stands.
    pub place: String,
    /// What it says, by field; a plain field has one without a name.
    pub said: Vec<Said>,
    /// Its place in the list decides something.
    pub ordered: bool,
}

/// The value of one field.
#[derive(Clone, Debug)]
pub struct Said {
    /// The field; empty for a plain one.
    pub field: String,
    /// As people read it, on one line.
    pub text: String,
    /// Equal where the meaning is.
    pub(crate) canonical: String,
    /// It is left out, and this is what holds then.
    pub by_default: bool,
}

impl Bundle {
    /// The bundle as it is in effect for a profile and an environment.
    pub fn outline(&self, inputs: &Inputs) -> Result<Outline, Diagnostics> {
        let (policy, _) = self.compile(inputs)?;
        // What could not be resolved has been reported by compiling.
        let mut sink = Sink::default();
        let (params, documents) = self.with_shared(|shared| {
            let own = |name: &str, form: &ParamForm, sink: &mut Sink| {
                form.outline(inputs, shared.override_of(name, &form.name.text), sink)
            };
            let documents: Vec<DocumentOutline> = self
                .documents()
                .iter()
                .map(|document| {
                    let name = document.id();
                    // A Bundle's params are everybody's.
                    let forms = if document.kind == "Bundle" { &[] } else { document.body.params() };
                    let params = forms.iter().filter_map(|form| own(&name, form, &mut sink)).collect();
                    outline(document, name, params)
                })
                .collect();
            let all = shared.params.iter();
            let all = all.filter_map(|one| one.form.outline(inputs, shared.override_of_shared(one), &mut sink));
            (all.collect(), documents)
        });
        let mut entries: Vec<Entry> = Vec::new();
        let mut bundles: Vec<&DocumentOutline> =
            documents.iter().filter(|document| document.name.starts_with("Bundle/")).collect();
        bundles.sort_by_key(|document| document.shipped);
        for entry in bundles.into_iter().flat_map(|document| &document.entries) {
            let known = entries.iter_mut().find(|known| known.path == entry.path);
            match known {
                // What is stated beneath counts before what is only the default above.
                Some(known) if known.is_default() && !entry.is_default() => *known = entry.clone(),
                Some(_) => {}
                None => entries.push(entry.clone()),
            }
        }
        Ok(Outline { revision: policy.revision().to_owned(), identity: policy.revision, params, entries, documents })
    }
}

impl Outline {
    /// The same, of a bundle that came from this commit; it is shown in the revision.
    #[must_use]
    pub fn with_commit(mut self, commit: &str) -> Self {
        self.identity.with_commit(commit).shown().clone_into(&mut self.revision);
        self
    }

    /// The document of this name, as `Kind/name`.
    pub fn find(&self, name: &str) -> Option<&DocumentOutline> {
        self.documents.iter().find(|document| document.name == name)
    }
}

impl Entry {
    /// Nobody wrote it: it is what holds where nothing is said.
    pub fn is_default(&self) -> bool {
        self.said.iter().all(|said| said.by_default)
    }
}

fn outline(document: &Document, name: String, params: Vec<ParamOutline>) -> DocumentOutline {
    let at = &document.name.at;
    DocumentOutline {
        name,
        place: at.text(),
        shipped: at.file().starts_with("builtin/"),
        description: text_of(&document.node, &["metadata", "description"]),
        owner: text_of(&document.node, &["metadata", "owner"]),
        params,
        entries: entries(document),
    }
}

fn text_of(node: &Node, path: &[&str]) -> Option<String> {
    let found = path.iter().try_fold(node, |node, name| get(node, name))?;
    if let Value::Text(text) = &found.value { Some(line(text)) } else { None }
}

fn get<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let Value::Map(fields) = &node.value else { return None };
    let (_, node) = fields.iter().find(|(key, _)| key.text == name)?;
    (!matches!(node.value, Value::Null)).then_some(node)
}

/// Everything that a document says, but for its params.
pub(super) fn entries(document: &Document) -> Vec<Entry> {
    let kind = KINDS.iter().find(|kind| kind.name == document.kind);
    let mut found = Vec::new();
    if let (Some(kind), Some(spec)) = (kind, get(&document.node, "spec")) {
        walk(kind.spec, spec, "", &mut found);
    }
    found
}

/// Fields that are no rules: params have an outline of their own, the rest of a Bundle says where it comes from.
const APART: [&str; 4] = ["params", "profiles", "extends", "metadata"];

fn walk(fields: &'static Fields, node: &Node, within: &str, found: &mut Vec<Entry>) {
    for field in fields.all {
        if within.is_empty() && APART.contains(&field.name) {
            continue;
        }
        let path = if within.is_empty() { field.name.to_owned() } else { format!("{within}.{}", field.name) };
        match (get(node, field.name), field.default) {
            (Some(value), _) => part(&field.takes, value, &path, found),
            (None, Some(default)) => found.push(Entry {
                path,
                id: None,
                place: node.at.text(),
                said: vec![by_default(&field.takes, "", default)],
                ordered: false,
            }),
            (None, None) => {}
        }
    }
}

fn part(takes: &'static Takes, node: &Node, path: &str, found: &mut Vec<Entry>) {
    match (takes, &node.value) {
        (Takes::Fields(fields), Value::Map(_)) => walk(fields, node, path, found),
        (Takes::Keyed { by, of, order }, Value::List(items)) => {
            found.extend(items.iter().map(|item| keyed(by, of, *order, item, path)));
        }
        // The cases of a Test, whose fields depend on its target.
        (Takes::List(_), Value::List(items)) if items.iter().all(|item| name_of(item).is_some()) => {
            found.extend(items.iter().map(|item| case(item, path)));
        }
        (Takes::Either(choices), value) => {
            let fits = |choice: &&Takes| match choice {
                Takes::Fields(_) | Takes::Entries(..) | Takes::ByName { .. } | Takes::Facts(_) => {
                    matches!(value, Value::Map(_))
                }
                Takes::List(_) | Takes::Keyed { .. } => matches!(value, Value::List(_)),
                _ => !matches!(value, Value::Map(_) | Value::List(_)),
            };
            if let Some(choice) = choices.iter().find(fits) {
                part(choice, node, path, found);
            }
        }
        _ => found.push(Entry {
            path: path.to_owned(),
            id: None,
            place: node.at.text(),
            said: vec![said(takes, "", node)],
            ordered: false,
        }),
    }
}

fn keyed(by: &str, of: &'static Fields, order: Order, item: &Node, path: &str) -> Entry {
    let id = get(item, by).and_then(|node| if let Value::Text(text) = &node.value { Some(text.clone()) } else { None });
    let said = of.all.iter().filter(|field| field.name != by).filter_map(|field| {
        match (get(item, field.name), field.default) {
            (Some(node), _) => Some(self::said(&field.takes, field.name, node)),
            (None, Some(default)) => Some(by_default(&field.takes, field.name, default)),
            (None, None) => None,
        }
    });
    let place = get(item, by).unwrap_or(item).at.text();
    Entry { path: path.to_owned(), id, place, said: said.collect(), ordered: order != Order::Free }
}

fn name_of(item: &Node) -> Option<&Node> {
    get(item, "name").filter(|name| matches!(name.value, Value::Text(_)))
}

fn case(item: &Node, path: &str) -> Entry {
    let fields = if let Value::Map(fields) = &item.value { fields.as_slice() } else { &[] };
    let fields = fields.iter().filter(|(field, _)| field.text != "name");
    Entry {
        path: path.to_owned(),
        id: name_of(item).map(shown),
        place: name_of(item).unwrap_or(item).at.text(),
        said: fields.map(|(field, node)| said(&Takes::Free, &field.text, node)).collect(),
        ordered: false,
    }
}

fn said(takes: &'static Takes, field: &str, node: &Node) -> Said {
    let canonical = canonical(takes, node);
    let text = match (takes, &node.value) {
        (Takes::Expression, Value::Number(value)) => format!("{value:?}"),
        _ => shown(node),
    };
    Said { field: field.to_owned(), text, canonical, by_default: false }
}

fn by_default(takes: &'static Takes, field: &str, default: &str) -> Said {
    let canonical = of_text(takes, default);
    Said { field: field.to_owned(), text: default.to_owned(), canonical, by_default: true }
}

/// Equal where the meaning of two values is.
fn canonical(takes: &Takes, node: &Node) -> String {
    match (takes, &node.value) {
        (_, Value::Text(text)) => of_text(takes, text),
        (Takes::Expression, Value::Number(value)) => of_text(takes, &format!("{value:?}")),
        (Takes::Expression | Takes::Quantity | Takes::Flag | Takes::Number { .. }, _) => of_text(takes, &shown(node)),
        (_, value) => {
            let mut out = String::new();
            value.canonical(&mut out);
            out
        }
    }
}

fn of_text(takes: &Takes, text: &str) -> String {
    match takes {
        Takes::Expression => cel::canonical(text),
        Takes::Quantity => units::quantity(text).map_or_else(|| text.to_owned(), |value| format!("{value:?}")),
        Takes::Number { .. } => text.parse::<f64>().map_or_else(|_| text.to_owned(), |value| format!("{value:?}")),
        _ => text.to_owned(),
    }
}

/// A value on one line.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::Text(text) => line(text),
        Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entry = |(name, node): &(Text, Node)| format!("{}: {}", name.text, shown(node));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
