//! `oprc-crm policy diff`: what changed between two bundles in meaning, not in text, or for the classes of a cluster.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::origin::{Origin, Refused};
use crate::policy::{Bundle, Change, Comparison, Part, Stated, compare};

mod effect;

/// Arguments of `policy diff`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Bundle as it was: a directory, `builtin`, or git:REVISION[:DIRECTORY] (without DIRECTORY that of the other).
    #[arg(value_name = "BEFORE")]
    before: Origin,
    /// Bundle as it is to be.
    #[arg(value_name = "AFTER")]
    after: Origin,
    #[command(flatten)]
    asked: effect::Asked,
    /// Form of the answer.
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// Exit 0: the same in meaning, or for every class; 1: not; 2: could not compare.
pub(super) fn run(args: &Args) -> ExitCode {
    let before = args.before.clone().beside(&args.after);
    let after = args.after.clone().beside(&args.before);
    let changed = if args.asked.cluster() {
        args.asked.effect(&before, &after).map(|effect| {
            match args.format {
                Format::Text => super::print(&effect.text(&before, &after)),
                Format::Json => super::line(&format!("{:#}", effect.json(&before, &after))),
            }
            if let Some(doubt) = effect.doubt() {
                crate::cli::complain(format_args!("note: {doubt}"));
            }
            effect.changes()
        })
    } else {
        found(&before, &after).map(|found| {
            match args.format {
                Format::Text => super::print(&text(&found)),
                Format::Json => super::line(&format!("{:#}", document(&before, &after, &found))),
            }
            !found.changes.is_empty()
        })
    };
    match changed {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(1),
        Err(refused) => {
            refused.exit();
            ExitCode::from(2)
        }
    }
}

fn found(before: &Origin, after: &Origin) -> Result<Comparison, Refused> {
    let read = |origin: &Origin| -> Result<Bundle, Refused> { origin.read() };
    Ok(compare(&read(before)?, &read(after)?)?)
}

fn text(found: &Comparison) -> String {
    let mut out = String::new();
    let arrow = if found.before == found.after { String::new() } else { format!(" -> {}", found.after) };
    let _ = writeln!(out, "revision {}{arrow}", found.before);
    changes(&found.changes, &mut out);
    if found.changes.is_empty() {
        out.push_str("nothing changes in meaning\n");
    }
    if !found.tests.is_empty() {
        out.push_str("\ntests, which decide nothing:");
        changes(&found.tests, &mut out);
    }
    out
}

fn changes(changes: &[Change], out: &mut String) {
    let mut document = "";
    for change in changes {
        if document != change.document && change.part != Part::Document {
            let _ = writeln!(out, "\n{}", if change.document == "Bundle" { "all documents" } else { &change.document });
        }
        document = &change.document;
        match (&change.before, &change.after) {
            (Some(before), Some(after)) => {
                let _ = writeln!(out, "  {}", head(change));
                let _ =
                    writeln!(out, "    - {}    {}\n    + {}    {}", before.text, before.place, after.text, after.place);
            }
            (None, Some(added)) => one("+", change, added, out),
            (Some(gone), None) => one("-", change, gone, out),
            (None, None) => {}
        }
    }
}

fn one(sign: &str, change: &Change, stated: &Stated, out: &mut String) {
    let Stated { text, place } = stated;
    if change.part == Part::Document {
        let _ = writeln!(out, "\n{sign} {}    {place}", change.document);
    } else {
        let _ = writeln!(out, "  {}\n    {sign} {text}    {place}", head(change));
    }
}

/// `rule latency: when`, `param rps (profile edge): max`.
fn head(change: &Change) -> String {
    let profiles = match change.profiles.as_slice() {
        [] => String::new(),
        [one] => format!(" (profile {one})"),
        several => format!(" (profiles {})", several.join(", ")),
    };
    let part = match change.part {
        Part::Field => String::new(),
        Part::Order => "order of ".to_owned(),
        part => format!("{} ", part.name()),
    };
    let field = if change.field.is_empty() { String::new() } else { format!(": {}", change.field) };
    format!("{part}{}{profiles}{field}", change.name)
}

fn document(before: &Origin, after: &Origin, found: &Comparison) -> Value {
    let side = |origin: &Origin, revision: &str| json!({"bundle": origin.to_string(), "revision": revision});
    json!({
        "before": side(before, &found.before),
        "after": side(after, &found.after),
        "same": found.changes.is_empty(),
        "changes": found.changes.iter().map(change).collect::<Vec<_>>(),
        "tests": found.tests.iter().map(change).collect::<Vec<_>>(),
    })
}

fn change(change: &Change) -> Value {
    let stated = |one: &Option<Stated>| one.as_ref().map(|one| json!({"text": one.text, "place": one.place}));
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "document": change.document, "part": change.part.name(), "name": some(&change.name),
        "field": some(&change.field), "profiles": change.profiles,
        "before": stated(&change.before), "after": stated(&change.after),
    })
}
