//! `oprc-crm render`: what the controller would apply, offline. The same code as in the controller, with facts given
//! by hand: no cluster, no environment variables, so the same files give the same bytes anywhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use serde_json::Value;

use super::offline::Offline;
use super::policy::origin::Origin;
use super::records::{self, Record};
use crate::decision::{Decision, Setting, decide};
use crate::model::{Class, Schema};
use crate::policy::{Inputs, Policy};
use crate::render::{RenderSettings, Rendered, RenderedObject, Scrape, render};

/// Arguments of `render`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// File of `DeploymentRecords`, several documents allowed; - is the standard input.
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    files: Vec<String>,
    #[command(flatten)]
    offline: Offline,
    /// Image of the data grid, in place of the template's.
    #[arg(long, value_name = "IMAGE")]
    odgm_image: Option<String>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let outcome = match Bench::new(args) {
        Ok(bench) => bench.files(&args.files),
        Err(error) => Outcome { notes: error + "\n", exit: 2, ..Outcome::default() },
    };
    // A reader that went away (`| head`) is no reason to fail.
    let _ = std::io::stdout().write_all(outcome.manifests.as_bytes());
    let _ = std::io::stderr().write_all(outcome.notes.as_bytes());
    ExitCode::from(outcome.exit)
}

/// What goes to the standard output, to the standard error, and the exit code.
#[derive(Default)]
struct Outcome {
    manifests: String,
    notes: String,
    exit: u8,
}

impl Outcome {
    fn note(&mut self, text: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.notes, "{text}");
    }

    /// The highest code is the one that counts: could not run, then no, then done.
    fn fail(&mut self, exit: u8, text: impl std::fmt::Display) {
        self.exit = self.exit.max(exit);
        self.note(text);
    }
}

/// Everything that rendering needs, made once.
struct Bench {
    policy: Policy,
    schema: Schema,
    setting: Setting,
    settings: RenderSettings,
    namespace: Option<String>,
}

impl Bench {
    fn new(args: &Args) -> Result<Self, String> {
        let setting = args.offline.setting();
        let inputs = Inputs { profile: setting.profile.clone(), environment: BTreeMap::new() };
        let origin = args.offline.bundle.as_ref().unwrap_or(&Origin::Builtin);
        let bundle = origin.read().map_err(|refused| refused.to_string())?;
        // Warnings about the bundle are `policy check`'s.
        let (policy, _) = bundle.compile(&inputs).map_err(|diagnostics| diagnostics.to_string())?;
        let monitors = Scrape::default().within(&setting.cluster);
        Ok(Self {
            policy,
            schema: Schema::new().map_err(|error| error.to_string())?,
            setting,
            // A file says what is asked for; what enforcement applied stands in a cluster.
            settings: RenderSettings { odgm_image: args.odgm_image.clone(), monitors, ..RenderSettings::default() },
            namespace: args.offline.namespace.clone(),
        })
    }

    fn files(&self, files: &[String]) -> Outcome {
        let mut outcome = Outcome::default();
        for file in files {
            match records::read(file) {
                Ok(text) => self.text(file, &text, &mut outcome),
                Err(error) => outcome.fail(2, error),
            }
        }
        outcome
    }

    fn text(&self, file: &str, text: &str, outcome: &mut Outcome) {
        match records::records(file, text, self.namespace.as_deref(), &self.schema) {
            Err(error) => outcome.fail(1, error),
            Ok(found) => {
                found.skipped.iter().for_each(|skipped| outcome.note(skipped));
                if found.records.is_empty() {
                    outcome.fail(1, format!("{file}: holds no DeploymentRecord"));
                }
                for record in found.records {
                    self.record(&record, outcome);
                }
            }
        }
    }

    fn record(&self, record: &Record, outcome: &mut Outcome) {
        let Record { place, name, class } = record;
        match class {
            Err(faults) => faults.iter().for_each(|fault| outcome.fail(1, fault)),
            Ok(class) => match self.class(class, place, outcome) {
                Ok(manifests) => outcome.manifests.push_str(&manifests),
                Err(reasons) => reasons.iter().for_each(|why| outcome.fail(1, format!("{place}: {name}: {why}"))),
            },
        }
    }

    /// The manifests of one class, or why there are none.
    fn class(&self, class: &Class, place: &str, outcome: &mut Outcome) -> Result<String, Vec<String>> {
        let Decision { admission, template, .. } = decide(&self.policy, class, &self.setting, None);
        for warning in &admission.warnings {
            outcome.note(format!("{place}: {}: warning: {} ({})", class.name, warning.message, warning.rule));
        }
        if !admission.denials.is_empty() {
            return Err(admission
                .denials
                .iter()
                .map(|one| format!("denied: {} ({})", one.message, one.rule))
                .collect());
        }
        let chosen = template.map_err(|problem| vec![problem.to_string()])?;
        let rendered = render(class, &chosen.plan, &self.settings).map_err(|error| vec![error.to_string()])?;
        for note in rendered.notes(&chosen.plan.name) {
            outcome.note(format!("{place}: {}: {note}", class.name));
        }
        let (template, why) = (&chosen.plan.name, chosen.why.replace('\n', " "));
        let why = why.strip_prefix(template.as_str()).unwrap_or(&why).trim_start();
        let head = format!("# {}: template {template} {why}\n", class.name);
        yaml(&head, &rendered).map_err(|error| vec![format!("cannot be written as YAML: {error}")])
    }
}

fn yaml(head: &str, rendered: &Rendered) -> Result<String, serde_saphyr::ser::Error> {
    let mut text = head.to_owned();
    for object in &rendered.objects {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(&with_replicas(object))?);
    }
    Ok(text)
}

/// The manifest as it is at birth; later the number of replicas has an owner of its own.
fn with_replicas(object: &RenderedObject) -> Value {
    let mut manifest = object.manifest.clone();
    let number = object.replicas.zip(object.kind.scale_field());
    if let (Some((replicas, field)), Some(spec)) = (number, manifest.get_mut("spec").and_then(Value::as_object_mut)) {
        spec.insert(field.to_owned(), replicas.into());
    }
    manifest
}
