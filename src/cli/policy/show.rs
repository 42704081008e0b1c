//! `oprc-crm policy show`: the bundle as it is in effect, and where each part of it comes from.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::origin::{Origin, Refused};
use crate::config::{self, Config, Profile};
use crate::policy::{DocumentOutline, Entry, Inputs, Outline, ParamOutline, ParamStated};

/// Arguments of `policy show`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Directory of the bundle, `builtin`, or git:REVISION[:DIRECTORY]; without it OPRC_CRM_POLICY_DIR, else the
    /// shipped one.
    #[arg(value_name = "BUNDLE")]
    bundle: Option<Origin>,
    /// Profile: dev, edge or full; without it OPRC_CRM_PROFILE, else dev.
    #[arg(short, long, value_parser = crate::cli::offline::profile)]
    profile: Option<Profile>,
    /// Leave the environment of this command out; else it is read as the controller reads its own.
    #[arg(long)]
    no_env: bool,
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
    /// The same as YAML.
    Yaml,
}

/// What is shown.
struct Shown {
    bundle: Origin,
    profile: Profile,
    /// Variables that set a param; `None` where the environment is left out.
    environment: Option<Vec<String>>,
    outline: Outline,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match show(args) {
        Ok(shown) => match args.format {
            Format::Text => super::print(&text(&shown)),
            Format::Json => super::line(&format!("{:#}", document(&shown))),
            Format::Yaml => match serde_saphyr::to_string(&document(&shown)) {
                Ok(yaml) => super::print(&yaml),
                Err(error) => return Refused::Unreadable(error.to_string()).exit(),
            },
        },
        Err(refused) => return refused.exit(),
    }
    ExitCode::SUCCESS
}

fn show(args: &Args) -> Result<Shown, Refused> {
    let environment = if args.no_env { BTreeMap::new() } else { config::process_environment() };
    let config = Config::from_environment(&environment).map_err(|error| Refused::Unreadable(error.to_string()))?;
    let bundle = args.bundle.clone().or(config.policy_dir.map(Origin::Dir)).unwrap_or(Origin::Builtin);
    let profile = args.profile.unwrap_or(config.profile);
    let inputs = Inputs { profile: profile.name().to_owned(), environment };
    let mut outline = bundle.read()?.outline(&inputs)?;
    if let Some(commit) = config.policy_commit {
        outline = outline.with_commit(&commit);
    }
    let set = |param: &ParamOutline| param.env.clone().filter(|name| param.stated.origin == *name);
    let params = outline.params.iter().chain(outline.documents.iter().flat_map(|document| &document.params));
    let mut variables: Vec<String> = params.filter_map(set).collect();
    variables.sort_unstable();
    variables.dedup();
    Ok(Shown { bundle, profile, environment: (!args.no_env).then_some(variables), outline })
}

/// Width of a column of names: wide enough for most, so that what follows stands below each other.
fn column<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|name| name.chars().count()).filter(|width| *width <= 28).max().unwrap_or(0)
}

fn text(shown: &Shown) -> String {
    let Shown { bundle, profile, environment, outline } = shown;
    let environment = match environment {
        None => "left out".to_owned(),
        Some(set) if set.is_empty() => "sets no param".to_owned(),
        Some(set) => set.join(", "),
    };
    let mut out = String::new();
    for (name, value) in [
        ("bundle", bundle.to_string()),
        ("revision", outline.revision.clone()),
        ("profile", profile.to_string()),
        ("environment", environment),
    ] {
        let _ = writeln!(out, "{name:<12}{value}");
    }
    if !outline.params.is_empty() || !outline.entries.is_empty() {
        out.push_str("\nall documents\n");
        params(&outline.params, &mut out);
        entries(&outline.entries, &mut out);
    }
    for document in &outline.documents {
        let _ = writeln!(out, "\n{}  {}", document.name, document.place);
        if let Some(description) = &document.description {
            let owner = document.owner.as_ref().map(|owner| format!(" ({owner})")).unwrap_or_default();
            let _ = writeln!(out, "  {description}{owner}");
        }
        params(&document.params, &mut out);
        entries(entries_of(document), &mut out);
    }
    out
}

/// What Bundle documents say stands under "all documents"; the facts of tests are for their readers.
fn entries_of(document: &DocumentOutline) -> &[Entry] {
    let apart = document.name.starts_with("Bundle/") || document.name.starts_with("Test/");
    if apart { &[] } else { &document.entries }
}

fn params(params: &[ParamOutline], out: &mut String) {
    if !params.is_empty() {
        out.push_str("  params\n");
    }
    let width = column(params.iter().map(|param| param.name.as_str()));
    for param in params {
        let mut line = format!("{} ({})", param.stated.value, origin(&param.stated));
        for replaced in &param.replaced {
            let _ = write!(line, ", in place of {} ({})", replaced.value, origin(replaced));
        }
        let bounds: Vec<String> = [("min", &param.min), ("max", &param.max)]
            .into_iter()
            .filter_map(|(name, bound)| bound.as_ref().map(|bound| format!("{name} {bound}")))
            .collect();
        if !bounds.is_empty() {
            let _ = write!(line, "; {}", bounds.join(", "));
        }
        let _ = writeln!(out, "    {:<width$}  {line}", param.name);
        if let Some(why) = &param.why {
            let _ = writeln!(out, "    {:<width$}  # {why}", "");
        }
    }
}

/// Where a value comes from; what the bundle or a profile states, with its place.
fn origin(stated: &ParamStated) -> String {
    let placed = stated.origin == "bundle.yaml" || stated.origin.starts_with("profile ");
    if !placed {
        return stated.origin.clone();
    }
    // The place names the file already.
    let name = if stated.origin == "bundle.yaml" { "" } else { stated.origin.as_str() };
    format!("{name} {}", stated.place).trim_start().to_owned()
}

fn entries(entries: &[Entry], out: &mut String) {
    let plain = column(entries.iter().filter(|entry| entry.id.is_none()).map(|entry| entry.path.as_str()));
    let mut list = "";
    for entry in entries {
        let Some(id) = &entry.id else {
            list = "";
            for said in &entry.said {
                let default = if said.by_default { " (default)" } else { "" };
                let _ = writeln!(out, "  {:<plain$}  {}{default}", entry.path, said.text);
            }
            continue;
        };
        if list != entry.path {
            list = &entry.path;
            let _ = writeln!(out, "  {list}");
        }
        let ids = entries.iter().filter(|other| other.path == list).filter_map(|other| other.id.as_deref());
        let width = column(ids);
        let said: Vec<String> = entry
            .said
            .iter()
            .filter(|said| !said.by_default)
            .map(|said| format!("{}: {}", said.field, said.text))
            .collect();
        let mut said = said.iter();
        let _ = writeln!(out, "    {id:<width$}  {}", said.next().map_or("", String::as_str));
        for more in said {
            let _ = writeln!(out, "    {:<width$}  {more}", "");
        }
    }
}

fn document(shown: &Shown) -> Value {
    let Shown { bundle, profile, environment, outline } = shown;
    let documents: Vec<Value> = outline
        .documents
        .iter()
        .map(|one| {
            json!({
                "name": one.name, "place": one.place, "shipped": one.shipped, "description": one.description,
                "owner": one.owner, "params": one.params.iter().map(param).collect::<Vec<_>>(),
                "entries": entries_of(one).iter().map(entry).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "bundle": bundle.to_string(),
        "revision": outline.revision,
        "profile": profile.name(),
        "environment": environment,
        "params": outline.params.iter().map(param).collect::<Vec<_>>(),
        "entries": outline.entries.iter().map(entry).collect::<Vec<_>>(),
        "documents": documents,
    })
}

fn param(param: &ParamOutline) -> Value {
    let stated = |one: &ParamStated| json!({"value": one.value, "origin": one.origin, "place": one.place});
    json!({
        "name": param.name, "type": param.ty, "value": param.stated.value, "origin": param.stated.origin,
        "place": param.stated.place, "in_place_of": param.replaced.iter().map(stated).collect::<Vec<_>>(),
        "min": param.min, "max": param.max, "env": param.env, "why": param.why, "declared": param.place,
    })
}

fn entry(entry: &Entry) -> Value {
    let said: serde_json::Map<String, Value> = entry
        .said
        .iter()
        .filter(|said| entry.id.is_some() && !said.by_default)
        .map(|said| (said.field.clone(), said.text.clone().into()))
        .collect();
    match (&entry.id, entry.said.first()) {
        (None, Some(said)) => {
            json!({"path": entry.path, "place": entry.place, "value": said.text, "default": said.by_default})
        }
        _ => json!({"path": entry.path, "id": entry.id, "place": entry.place, "says": said}),
    }
}
