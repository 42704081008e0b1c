//! What a bundle that extends another leaves of it: documents, and the tests that still tell the truth.

use super::bundle::{BundleForm, File, documents};
use super::diagnostic::{Diagnostic, Sink};
use super::document::{Body, Document};
use super::nfr::Dimension;

/// One thing that a bundle changes of the shipped one.
struct Change {
    /// The document whose outcome may differ, as `Kind/name`.
    document: String,
    /// What the bundle does, in words that follow "this bundle".
    cause: String,
}

/// The shipped documents that an overlay leaves in place. Shipped tests of what it changes drop out, with a warning.
pub(super) fn documents_beneath(builtin: &[File], above: &[Document], sink: &mut Sink) -> Vec<Document> {
    let mut shipped = documents(builtin, sink);
    if let (Some(own), Some(theirs)) = (bundle(above), bundle(&shipped))
        && own.name.text == theirs.name.text
    {
        let message = format!("{:?} is the name of the shipped bundle", own.name.text);
        sink.push(own.name.at.error(message).help("give the bundle that extends it a name of its own"));
    }
    let changes = changes(above, &shipped);
    let beneath: Vec<Reader> = shipped.iter().map(Reader::of).collect();
    shipped.retain(|one| {
        if one.kind == "Bundle" {
            return true;
        }
        if above.iter().any(|own| id(own) == id(one)) {
            return false;
        }
        let Body::Test(suite) = &one.body else { return true };
        let target = &suite.target().text;
        let Some(change) = cause(target, &changes, above, &beneath) else { return true };
        let message =
            format!("the shipped tests `{}` of {target} drop out: this bundle {}", one.name.text, change.cause);
        let warning = Diagnostic::whole(one.name.at.file(), message).warning();
        sink.push(warning.help("write tests of your own for what you changed"));
        false
    });
    shipped
}

/// The change that the tests of a target fall to.
fn cause<'a>(target: &str, changes: &'a [Change], above: &[Document], beneath: &[Reader]) -> Option<&'a Change> {
    let ground = rests_on(target, above, beneath);
    // A choice of template is one among all of them: any of them may change it.
    let touches = |change: &&Change| match target {
        "Template" => change.document.starts_with("Template/"),
        _ => ground.contains(&change.document),
    };
    changes.iter().find(touches)
}

/// Whether shipped tests of a target would drop out.
#[cfg(test)]
pub(super) fn dropped(target: &str, above: &[Document], shipped: &[Document]) -> bool {
    let beneath: Vec<Reader> = shipped.iter().map(Reader::of).collect();
    cause(target, &changes(above, shipped), above, &beneath).is_some()
}

fn id(document: &Document) -> String {
    format!("{}/{}", document.kind, document.name.text)
}

fn bundle(documents: &[Document]) -> Option<&Document> {
    documents.iter().find(|one| one.kind == "Bundle")
}

fn form(documents: &[Document]) -> Option<&BundleForm> {
    bundle(documents).and_then(|one| if let Body::Bundle(form) = &one.body { Some(form) } else { None })
}

fn changes(above: &[Document], shipped: &[Document]) -> Vec<Change> {
    let given = above.iter().filter(|one| one.body.definitions().is_some());
    let mut changes: Vec<Change> =
        given.map(|one| Change { document: id(one), cause: format!("has its own {}", id(one)) }).collect();
    let Some(own) = form(above) else { return changes };
    let mut shared: Vec<&str> = own.values.iter().map(|(name, _)| name.text.as_str()).collect();
    shared.extend(own.for_profiles.iter().map(|one| one.name.text.as_str()));
    let known = |name: &str| form(shipped).is_some_and(|form| form.params.iter().any(|one| one.name.text == name));
    shared.extend(own.params.iter().map(|param| param.name.text.as_str()).filter(|name| known(name)));
    for (target, params) in &own.overrides {
        let names = params.iter().map(|(name, _)| name.text.as_str());
        if target.text.starts_with("Bundle/") {
            shared.extend(names);
        } else {
            let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            // One that is no map changes nothing, and is reported as such.
            if names.is_empty() {
                continue;
            }
            let cause = format!("overrides {} of {}", names.join(", "), target.text);
            changes.push(Change { document: target.text.clone(), cause });
        }
    }
    for name in shared {
        let path = format!("params.{name}");
        let readers = shipped.iter().filter(|one| one.kind != "Test" && reads(&one.canonical, &path));
        changes.extend(readers.map(|one| Change {
            document: id(one),
            cause: format!("changes the param `{name}`, which {} reads", id(one)),
        }));
    }
    changes
}

/// What of a document says which tests rest on it.
struct Reader {
    id: String,
    canonical: String,
    /// What it sizes or guards.
    dimension: Option<Dimension>,
}

impl Reader {
    fn of(document: &Document) -> Self {
        let dimension = match &document.body {
            Body::Recommendation(form) => form.dimension(),
            Body::Safeguard(form) => form.dimension(),
            _ => None,
        };
        Self { id: id(document), canonical: document.canonical.clone(), dimension }
    }
}

/// The documents that the tests of one rest on: itself, what a Safeguard is asked about, and the signals behind it.
fn rests_on(target: &str, above: &[Document], beneath: &[Reader]) -> Vec<String> {
    let above: Vec<Reader> = above.iter().map(Reader::of).collect();
    let all = || above.iter().chain(beneath);
    let mut ground = vec![target.to_owned()];
    let guarded = all().find(|one| one.id == target && target.starts_with("Safeguard/")).and_then(|one| one.dimension);
    if let Some(dimension) = guarded {
        let sized = all().filter(|one| one.id.starts_with("Recommendation/") && one.dimension == Some(dimension));
        ground.extend(sized.map(|one| one.id.clone()));
    }
    let readers: Vec<&Reader> = all().filter(|one| ground.contains(&one.id)).collect();
    let read = all().filter_map(|one| {
        let path = format!("signals.{}", one.id.strip_prefix("Signal/")?);
        readers.iter().any(|reader| reads(&reader.canonical, &path)).then(|| one.id.clone())
    });
    let read: Vec<String> = read.collect();
    ground.extend(read);
    ground
}

/// Whether a document reads a path. A mention that is no reading at worst drops a suite too many, with its cause.
fn reads(canonical: &str, path: &str) -> bool {
    canonical.match_indices(path).any(|(at, _)| {
        let next = canonical.get(at + path.len()..).and_then(|rest| rest.chars().next());
        !next.is_some_and(|next| next.is_ascii_alphanumeric() || next == '_')
    })
}
