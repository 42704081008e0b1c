//! What changed between two bundles in meaning, not in text: comments, blanks, quotes and the order of what has none
//! make no difference.

use super::Inputs;
use super::bundle::Bundle;
use super::diagnostic::Diagnostics;
use super::document::PROFILES;
use super::outline::{DocumentOutline, Entry, Outline, Said};
use super::params::ParamOutline;

/// What is different between two bundles.
#[derive(Debug)]
pub struct Comparison {
    /// Revision of the first.
    pub before: String,
    /// Revision of the second.
    pub after: String,
    /// What changed of what decides, by document.
    pub changes: Vec<Change>,
    /// What changed of the tests, which decide nothing.
    pub tests: Vec<Change>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The document, as `Kind/name`; `Bundle` for what all documents share.
    pub document: String,
    /// What of it.
    pub part: Part,
    /// Name of the param, rule or field; empty for the document as a whole.
    pub name: String,
    /// The field within, such as `when` or `max`; empty for the whole.
    pub field: String,
    /// Profiles in which it differs; empty for all.
    pub profiles: Vec<&'static str>,
    /// What it was, and where; `None`: it was not there.
    pub before: Option<Stated>,
    /// What it is, and where; `None`: it is gone.
    pub after: Option<Stated>,
}

/// A value with its place, as `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// The value, on one line.
    pub text: String,
    /// Where it stands.
    pub place: String,
}

/// What a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A document as a whole.
    Document,
    /// A param.
    Param,
    /// A variable.
    Variable,
    /// A rule.
    Rule,
    /// A case of a Test.
    Case,
    /// The order of rules, where it decides something.
    Order,
    /// Any other field.
    Field,
}

impl Part {
    /// Its name, for people and machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Param => "param",
            Self::Variable => "variable",
            Self::Rule => "rule",
            Self::Case => "case",
            Self::Order => "order",
            Self::Field => "field",
        }
    }
}

/// Name of what all documents share.
const SHARED: &str = "Bundle";

/// Compares two bundles under every profile, without an environment.
pub fn compare(before: &Bundle, after: &Bundle) -> Result<Comparison, Diagnostics> {
    let (before, after) = (Side::of(before)?, Side::of(after)?);
    let mut changes = Vec::new();
    params(SHARED, &before.shared(), &after.shared(), &mut changes);
    entries(SHARED, before.entries(), after.entries(), &mut changes);
    let mut tests = Vec::new();
    let mut names: Vec<&str> = before.names().chain(after.names()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names.into_iter().filter(|name| !name.starts_with("Bundle/")) {
        let found = if name.starts_with("Test/") { &mut tests } else { &mut changes };
        match (before.find(name), after.find(name)) {
            (Some(old), Some(new)) => {
                params(name, &before.params(name), &after.params(name), found);
                entries(name, &old.entries, &new.entries, found);
            }
            (old, new) => {
                found.push(Change { before: old.map(whole), after: new.map(whole), ..of(name, Part::Document, "") });
            }
        }
    }
    Ok(Comparison { before: before.revision, after: after.revision, changes, tests })
}

/// One of the two bundles, under every profile.
struct Side {
    revision: String,
    outlines: Vec<(&'static str, Outline)>,
}

/// The params of a document under every profile.
type Params<'a> = Vec<(&'static str, &'a [ParamOutline])>;

impl Side {
    fn of(bundle: &Bundle) -> Result<Self, Diagnostics> {
        let mut outlines = Vec::new();
        for profile in PROFILES {
            let inputs = Inputs { profile: (*profile).to_owned(), ..Inputs::default() };
            outlines.push((*profile, bundle.outline(&inputs)?));
        }
        let revision = outlines.first().map(|(_, one)| one.revision.clone()).unwrap_or_default();
        Ok(Self { revision, outlines })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.outlines.first().into_iter().flat_map(|(_, one)| &one.documents).map(|document| document.name.as_str())
    }

    fn find(&self, name: &str) -> Option<&DocumentOutline> {
        self.outlines.first().and_then(|(_, one)| one.find(name))
    }

    fn entries(&self) -> &[Entry] {
        self.outlines.first().map_or(&[], |(_, one)| &one.entries)
    }

    fn shared(&self) -> Params<'_> {
        self.outlines.iter().map(|(profile, one)| (*profile, one.params.as_slice())).collect()
    }

    fn params(&self, name: &str) -> Params<'_> {
        let own = self.outlines.iter().map(|(profile, one)| (*profile, one.find(name)));
        own.map(|(profile, document)| (profile, document.map_or(&[][..], |one| one.params.as_slice()))).collect()
    }
}

fn of(document: &str, part: Part, name: &str) -> Change {
    Change {
        document: document.to_owned(),
        part,
        name: name.to_owned(),
        field: String::new(),
        profiles: Vec::new(),
        before: None,
        after: None,
    }
}

fn whole(document: &DocumentOutline) -> Stated {
    Stated { text: document.description.clone().unwrap_or_default(), place: document.place.clone() }
}

fn params(document: &str, before: &Params<'_>, after: &Params<'_>, changes: &mut Vec<Change>) {
    let mut names: Vec<&str> =
        before.iter().chain(after).flat_map(|(_, params)| *params).map(|param| param.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let find = |params: &'_ [ParamOutline]| params.iter().find(|param| param.name == name).cloned();
        let pairs: Vec<(&'static str, Option<ParamOutline>, Option<ParamOutline>)> =
            before.iter().zip(after).map(|((profile, old), (_, new))| (*profile, find(old), find(new))).collect();
        values(document, name, &pairs, changes);
        // Bounds and the like are the same under every profile.
        if let Some((_, Some(old), Some(new))) = pairs.first() {
            for (field, before, after) in [
                ("type", Some(old.ty.to_owned()), Some(new.ty.to_owned())),
                ("min", old.min.clone(), new.min.clone()),
                ("max", old.max.clone(), new.max.clone()),
                ("env", variable(old), variable(new)),
            ] {
                if before != after {
                    let at = |text: Option<String>, param: &ParamOutline| {
                        text.map(|text| Stated { text, place: param.place.clone() })
                    };
                    let (before, after) = (at(before, old), at(after, new));
                    changes.push(Change { field: field.to_owned(), before, after, ..of(document, Part::Param, name) });
                }
            }
        }
    }
}

fn variable(param: &ParamOutline) -> Option<String> {
    let name = param.env.as_ref()?;
    Some(if param.env_seconds { format!("{name} (seconds)") } else { name.clone() })
}

/// The values in effect, profiles with the same difference together.
fn values(
    document: &str,
    name: &str,
    pairs: &[(&'static str, Option<ParamOutline>, Option<ParamOutline>)],
    changes: &mut Vec<Change>,
) {
    let stated = |param: &Option<ParamOutline>| {
        param.as_ref().map(|param| {
            let text = format!("{} ({})", param.stated.value, param.stated.origin);
            Stated { text, place: param.stated.place.clone() }
        })
    };
    let mut found: Vec<Change> = Vec::new();
    for (profile, old, new) in pairs {
        let (before, after) = (stated(old), stated(new));
        if text(before.as_ref()) == text(after.as_ref()) {
            continue;
        }
        match found.iter_mut().find(|one| one.before == before && one.after == after) {
            Some(same) => same.profiles.push(profile),
            None => found.push(Change { profiles: vec![profile], before, after, ..of(document, Part::Param, name) }),
        }
    }
    for one in &mut found {
        if one.profiles.len() == pairs.len() {
            one.profiles.clear();
        }
    }
    changes.extend(found);
}

fn text(stated: Option<&Stated>) -> Option<&str> {
    stated.map(|stated| stated.text.as_str())
}

fn entries(document: &str, before: &[Entry], after: &[Entry], changes: &mut Vec<Change>) {
    let same = |left: &Entry, right: &Entry| left.path == right.path && left.id == right.id;
    for new in after {
        match before.iter().find(|old| same(old, new)) {
            Some(old) => fields(document, old, new, changes),
            None if new.is_default() => {}
            None => changes.push(Change { after: Some(summary(new)), ..about(document, new) }),
        }
    }
    for old in before.iter().filter(|old| !old.is_default() && !after.iter().any(|new| same(old, new))) {
        changes.push(Change { before: Some(summary(old)), ..about(document, old) });
    }
    order(document, before, after, changes);
}

fn about(document: &str, entry: &Entry) -> Change {
    let part = match (&entry.id, entry.path.as_str()) {
        (None, _) => Part::Field,
        (Some(_), "variables") => Part::Variable,
        (Some(_), "cases") => Part::Case,
        (Some(_), _) => Part::Rule,
    };
    of(document, part, entry.id.as_ref().unwrap_or(&entry.path))
}

/// All that an entry says, on one line.
fn summary(entry: &Entry) -> Stated {
    let said =
        entry.said.iter().filter(|said| !said.by_default).map(|said| {
            if said.field.is_empty() { said.text.clone() } else { format!("{}: {}", said.field, said.text) }
        });
    Stated { text: said.collect::<Vec<_>>().join("; "), place: entry.place.clone() }
}

fn fields(document: &str, old: &Entry, new: &Entry, changes: &mut Vec<Change>) {
    let mut names: Vec<&str> = new.said.iter().map(|said| said.field.as_str()).collect();
    let gone = old.said.iter().map(|said| said.field.as_str()).filter(|field| !names.contains(field));
    let gone: Vec<&str> = gone.collect();
    names.extend(gone);
    for field in names {
        let find = |entry: &'_ Entry| entry.said.iter().find(|said| said.field == field).cloned();
        let (before, after) = (find(old), find(new));
        if before.as_ref().map(|said| &said.canonical) == after.as_ref().map(|said| &said.canonical) {
            continue;
        }
        let stated = |said: Option<Said>, entry: &Entry| {
            said.map(|said| {
                let text = if said.by_default { format!("{} (default)", said.text) } else { said.text };
                Stated { text, place: entry.place.clone() }
            })
        };
        let (before, after) = (stated(before, old), stated(after, new));
        changes.push(Change { field: field.to_owned(), before, after, ..about(document, new) });
    }
}

/// Lists whose order decides, where what both have stands in another order.
fn order(document: &str, before: &[Entry], after: &[Entry], changes: &mut Vec<Change>) {
    let mut lists: Vec<&str> = after.iter().filter(|entry| entry.ordered).map(|entry| entry.path.as_str()).collect();
    lists.dedup();
    for list in lists {
        let ids = |entries: &'_ [Entry], others: &[Entry]| -> Vec<(String, String)> {
            let inside = |entries: &[Entry], id: &Option<String>| {
                entries.iter().any(|entry| entry.path == list && entry.id == *id)
            };
            let common = entries.iter().filter(|entry| entry.path == list && inside(others, &entry.id));
            common.filter_map(|entry| Some((entry.id.clone()?, entry.place.clone()))).collect()
        };
        let (old, new) = (ids(before, after), ids(after, before));
        if old.iter().map(|(id, _)| id).ne(new.iter().map(|(id, _)| id)) {
            let stated = |ids: Vec<(String, String)>| {
                let place = ids.first().map(|(_, place)| place.clone()).unwrap_or_default();
                let ids: Vec<String> = ids.into_iter().map(|(id, _)| id).collect();
                Stated { text: ids.join(", "), place }
            };
            let (before, after) = (Some(stated(old)), Some(stated(new)));
            changes.push(Change { before, after, ..of(document, Part::Order, list) });
        }
    }
}
