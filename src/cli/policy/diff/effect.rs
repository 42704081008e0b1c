//! The blast radius beforehand: what each class of a cluster gets under one bundle and under another, and what the
//! controller's roll-out would do with the change. Computed by the roll-out itself.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::live::{self, Live};
use crate::cli::offline::Feature;
use crate::cli::policy::origin::{Origin, Refused};
use crate::config::{Namespaces, Profile};
use crate::controller::{Loader, live as live_class};
use crate::decision::{BlastRadius, Change, ClassChange};
use crate::rollout::{self, Basis, LiveClass, Offer, Rollout};

/// Classes that are named where something about them is odd.
const NAMED: usize = 3;

/// What is asked of a cluster.
#[derive(clap::Args)]
pub(super) struct Asked {
    /// Tell what each class of the cluster would get that it does not have, in place of what the bundles say. Exit 0:
    /// no class changes, 1: some do.
    #[arg(long)]
    from_cluster: bool,
    /// Namespace of the classes; without it OPRC_CRM_K8S_NAMESPACE, else the kubeconfig's.
    #[arg(short, long, value_name = "NAMESPACE", requires = "from_cluster")]
    namespace: Option<String>,
    /// The classes of all namespaces.
    #[arg(short = 'A', long, requires = "from_cluster", conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Profile of the controller: dev, edge or full; without it OPRC_CRM_PROFILE, else dev.
    #[arg(short, long, value_parser = crate::cli::offline::profile, requires = "from_cluster")]
    profile: Option<Profile>,
    /// Features of the controller that are on, separated by commas; without it OPRC_CRM_FEATURES_*, else the profile's.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST", requires = "from_cluster")]
    features: Option<Vec<Feature>>,
}

/// What a change does to the classes of a cluster.
pub(super) struct Effect {
    before: Arc<Basis>,
    namespaces: Namespaces,
    /// Records that run nothing: not counted.
    idle: usize,
    radius: BlastRadius,
    /// The roll-out once the change is offered.
    next: Rollout,
    /// Classes that run on another template than the bundle before gives them.
    strangers: Vec<String>,
}

impl Asked {
    /// Whether a cluster is asked at all.
    pub(super) fn cluster(&self) -> bool {
        self.from_cluster
    }

    /// Computes the effect.
    pub(super) fn effect(&self, before: &Origin, after: &Origin) -> Result<Effect, Refused> {
        let config = live::config(self.profile).map_err(Refused::Unreadable)?;
        let (namespaces, records, facts) = crate::cli::block_on(async {
            let cluster = Live::find().await?;
            let namespaces = if self.all_namespaces {
                Namespaces::All
            } else {
                cluster.namespaces(self.namespace.as_deref(), &config)
            };
            let records = cluster.records(&namespaces).await?;
            Ok((namespaces, records, cluster.facts().await))
        })
        .map_err(Refused::Unreadable)?;
        let (setting, inputs) = live::setting(&config, self.features.as_deref(), facts);
        let loader = Loader { inputs, commit: None, fixed: crate::app::fixed(&config) };
        let basis = |origin: &Origin| -> Result<Arc<Basis>, Refused> {
            let found = match origin {
                Origin::Builtin => loader.load(rollout::Origin::Builtin, None),
                other => loader.load(rollout::Origin::Directory(other.to_string()), Some(other.files()?)),
            }?;
            Ok(Arc::new(loader.basis(&found, setting.clone())))
        };
        let (before, after) = (basis(before)?, basis(after)?);
        let classes: Vec<LiveClass> = records.iter().filter_map(live_class).collect();
        let strangers = classes.iter().filter_map(|class| stranger(&before, class)).collect();
        let Offer { next, radius } =
            Rollout::new(Arc::clone(&before), Timestamp::now()).offer(&after, &classes, Timestamp::now());
        Ok(Effect { before, namespaces, idle: records.len() - classes.len(), radius, next, strangers })
    }
}

/// A class that does not run on what a basis gives it.
fn stranger(basis: &Basis, live: &LiveClass) -> Option<String> {
    let has = live.current.as_deref()?;
    let decision = basis.decide(live.class.as_ref()?, Some(has));
    let gets = decision.plan()?.name.as_str();
    (gets != has).then(|| format!("{}/{} has {has}, BEFORE gives {gets}", live.key.namespace, live.key.name))
}

impl Effect {
    /// Whether any class changes.
    pub(super) fn changes(&self) -> bool {
        !self.radius.changes().is_empty()
    }

    /// The answer for people.
    pub(super) fn text(&self, before: &Origin, after: &Origin) -> String {
        let (setting, mut out) = (self.before.setting(), String::new());
        let features = crate::cli::policy::explain::features_text(setting.features);
        for (name, value) in [
            ("before", format!("{before}, revision {}", self.before.policy().revision())),
            ("after", format!("{after}, revision {}", self.next.target().policy().revision())),
            ("setting", format!("profile {}, features: {features}", setting.profile)),
            ("cluster", live::known(setting.cluster)),
            ("namespace", live::shown(&self.namespaces).to_owned()),
        ] {
            let _ = writeln!(out, "{name:<11}{value}");
        }
        for ClassChange { namespace, name, difference } in self.radius.changes() {
            let _ = writeln!(out, "\n{namespace}/{name}\n  {}\n  by {}", difference.change, difference.cause);
            // The cause of another shape names its first field itself.
            let shape = matches!(difference.change, Change::Shape { .. });
            for field in difference.fields.iter().skip(usize::from(shape)) {
                let _ = writeln!(out, "  {field}");
            }
        }
        let _ = writeln!(out, "\n{}", self.radius.summary());
        if let Some(outlook) = self.next.outlook() {
            let _ = writeln!(out, "{outlook}");
        }
        if self.idle > 0 {
            let _ = writeln!(out, "{} that run nothing: not counted", crate::cli::policy::count(self.idle, "record"));
        }
        out
    }

    /// What may be amiss with the question, for people.
    pub(super) fn doubt(&self) -> Option<String> {
        let named = self.strangers.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
        let more = self.strangers.len().saturating_sub(NAMED);
        let more = if more > 0 { format!("; {more} more") } else { String::new() };
        (!self.strangers.is_empty()).then(|| {
            format!(
                "{} of {} classes run on another template than BEFORE gives them ({named}{more}): are bundle, profile and \
                 features those of the controller? (a change that is held or under way looks the same)",
                self.strangers.len(),
                self.radius.live
            )
        })
    }

    /// The answer for machines: the blast radius as `/policy` has it, with every class.
    pub(super) fn json(&self, before: &Origin, after: &Origin) -> Value {
        let side = |origin: &Origin, basis: &Basis| json!({"bundle": origin.to_string(), "revision": basis.policy().revision()});
        let rollout = self.next.target().policy().rollout();
        let mut answer = json!({
            "before": side(before, &self.before), "after": side(after, self.next.target()),
            "setting": self.before.setting(), "namespace": live::shown(&self.namespaces), "not_counted": self.idle,
            "summary": self.radius.summary(), "on_another_template": self.strangers,
            "rollout": {
                "state": self.next.pending().map(|pending| pending.verdict().name()), "outlook": self.next.outlook(),
                "pace": rollout.pace.to_string(), "hold_above": rollout.hold_above / 100.0, "at_least": rollout.at_least,
            },
        });
        if let (Value::Object(answer), Value::Object(mut radius)) = (&mut answer, self.radius.json(usize::MAX)) {
            let classes = radius.remove("examples");
            answer.extend(radius);
            answer.insert("classes".to_owned(), classes.unwrap_or_default());
        }
        answer
    }
}
