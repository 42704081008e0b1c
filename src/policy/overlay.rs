//! What a bundle that extends another leaves of it: documents, and the tests that still tell the truth.

use super::bundle::{BundleForm, File, documents};
use super::diagnostic::{Diagnostic, Sink};
use super::document::{Body, Document};

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
    shipped.retain(|one| {
        if one.kind == "Bundle" {
            return true;
        }
        if above.iter().any(|own| id(own) == id(one)) {
            return false;
        }
        let Body::Test(suite) = &one.body else { return true };
        let target = &suite.target().text;
        // A choice of template is one among all of them: any of them may change it.
        let touches = |change: &&Change| match target.as_str() {
            "Template" => change.document.starts_with("Template/"),
            target => change.document == target,
        };
        let Some(change) = changes.iter().find(touches) else { return true };
        let message =
            format!("the shipped tests `{}` of {target} drop out: this bundle {}", one.name.text, change.cause);
        let warning = Diagnostic::whole(one.name.at.file(), message).warning();
        sink.push(warning.help("write tests of your own for what you changed"));
        false
    });
    shipped
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
    let given = above.iter().filter(|one| matches!(one.body, Body::Admission(_) | Body::Template(_)));
    let mut changes: Vec<Change> =
        given.map(|one| Change { document: id(one), cause: format!("has its own {}", id(one)) }).collect();
    let Some(own) = form(above) else { return changes };
    let mut shared: Vec<&str> = own.values.iter().map(|(name, _)| name.text.as_str()).collect();
    let known = |name: &str| form(shipped).is_some_and(|form| form.params.iter().any(|one| one.name.text == name));
    shared.extend(own.params.iter().map(|param| param.name.text.as_str()).filter(|name| known(name)));
    for (target, params) in &own.overrides {
        let names = params.iter().map(|(name, _)| name.text.as_str());
        if target.text.starts_with("Bundle/") {
            shared.extend(names);
        } else {
            let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            let cause = format!("overrides {} of {}", names.join(", "), target.text);
            changes.push(Change { document: target.text.clone(), cause });
        }
    }
    for name in shared {
        let readers = shipped.iter().filter(|one| one.kind != "Test" && reads(one, name));
        changes.extend(readers.map(|one| Change {
            document: id(one),
            cause: format!("changes the param `{name}`, which {} reads", id(one)),
        }));
    }
    changes
}

/// Whether a document reads a param. A mention that is no reading at worst drops a suite too many, with its cause.
fn reads(document: &Document, param: &str) -> bool {
    let path = format!("params.{param}");
    document.canonical.match_indices(&path).any(|(at, _)| {
        let next = document.canonical.get(at + path.len()..).and_then(|rest| rest.chars().next());
        !next.is_some_and(|next| next.is_ascii_alphanumeric() || next == '_')
    })
}
