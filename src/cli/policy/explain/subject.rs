//! What is explained and in which setting: records of files, or one of a cluster with what the cluster says of it.

use serde_json::{Value, json};

use super::{Args, installed};
use crate::api::DeploymentRecordStatus;
use crate::cli::live::{self, Live};
use crate::cli::policy::origin::Origin;
use crate::cli::records;
use crate::cluster::record::RawRecord;
use crate::decision::Setting;
use crate::model::{Class, Schema, parse};
use crate::policy::Inputs;

/// Condition of a class that a change of policy waits for.
const CHANGE_PENDING: &str = "PolicyChangePending";

/// What is asked about, and with what.
pub(super) struct Scene {
    pub setting: Setting,
    pub inputs: Inputs,
    /// What is known of the cluster, in words.
    pub cluster: String,
    pub bundle: Origin,
    /// `None` where no record is named.
    pub subjects: Option<Vec<Subject>>,
}

/// A class that is asked about.
pub(super) struct Subject {
    pub class: Class,
    /// Template that it runs on.
    pub current: Option<String>,
    /// What the cluster says of it.
    pub running: Option<Running>,
}

/// What a cluster says of a record.
pub(super) struct Running {
    status: DeploymentRecordStatus,
    /// Generation of the record.
    generation: Option<i64>,
}

impl Scene {
    /// What the arguments ask about.
    pub(super) fn of(args: &Args) -> Result<Self, String> {
        match &args.from_cluster {
            Some(name) => Self::of_cluster(args, name),
            None => Self::of_files(args),
        }
    }

    fn of_files(args: &Args) -> Result<Self, String> {
        let setting = args.offline.setting();
        let inputs = Inputs { profile: setting.profile.clone(), environment: crate::cli::policy::environment() };
        let subject = |class| Subject { class, current: args.current_template.clone(), running: None };
        let classes = args.record.as_deref().map(|record| classes(args, record)).transpose()?;
        Ok(Self {
            cluster: installed(setting.cluster),
            setting,
            inputs,
            bundle: args.offline.bundle.clone().unwrap_or(Origin::Builtin),
            subjects: classes.map(|classes| classes.into_iter().map(subject).collect()),
        })
    }

    fn of_cluster(args: &Args, name: &str) -> Result<Self, String> {
        let config = live::config(args.offline.profile)?;
        let (record, facts) = crate::cli::block_on(async {
            let cluster = Live::find().await?;
            let namespaces = cluster.namespaces(args.offline.namespace.as_deref(), &config);
            let record = cluster.record(&namespaces, name).await?;
            Ok((record, cluster.facts().await))
        })?;
        let bundle = args.offline.bundle.clone().or(config.policy_dir.clone().map(Origin::Dir));
        let (setting, inputs) = live::setting(&config, args.offline.features.as_deref(), facts);
        Ok(Self {
            cluster: live::known(facts),
            setting,
            inputs,
            bundle: bundle.unwrap_or(Origin::Builtin),
            subjects: Some(vec![subject(&record)?]),
        })
    }
}

/// The class of a record of a cluster, as the controller reads it.
fn subject(record: &RawRecord) -> Result<Subject, String> {
    let name = |part: &Option<String>| part.clone().unwrap_or_default();
    let place = format!("record {}/{}", name(&record.metadata.namespace), name(&record.metadata.name));
    let typed = record.typed().map_err(|error| format!("{place}: {error}; write a value that the field can hold"))?;
    let class = parse(&typed).map_err(|invalid| format!("{place}: {invalid}"))?;
    let status = record.typed_status();
    let current = status.selected_template.clone();
    Ok(Subject { class, current, running: Some(Running { status, generation: record.metadata.generation }) })
}

/// The classes of the file, or all its faults with file and line.
fn classes(args: &Args, record: &str) -> Result<Vec<Class>, String> {
    let schema = Schema::new().map_err(|error| error.to_string())?;
    let text = records::read(record)?;
    let found = records::records(record, &text, args.offline.namespace.as_deref(), &schema)?;
    if found.records.is_empty() {
        return Err(format!("{record}: holds no DeploymentRecord"));
    }
    let mut classes = Vec::new();
    let mut faults = Vec::new();
    for record in found.records {
        match record.class {
            Ok(class) => classes.push(class),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(classes) } else { Err(faults.join("\n")) }
}

impl Running {
    fn revision(&self) -> Option<&str> {
        let decision = self.status.decision.as_ref()?;
        Some(decision.policy_revision.as_str()).filter(|revision| !revision.is_empty())
    }

    /// The change of policy that waits for the class.
    fn pending(&self) -> Option<&str> {
        let pending = |one: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            one.type_ == CHANGE_PENDING && one.status == "True"
        };
        self.status.conditions.iter().find(pending).map(|one| one.message.as_str())
    }

    fn is_behind(&self) -> bool {
        self.status.observed_generation != self.generation
    }

    /// What the class has, in lines of name and text.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let template = match &self.status.selected_template {
            Some(name) => format!("template {name}"),
            None => "nothing yet".to_owned(),
        };
        let phase = self.status.phase.map(|phase| format!(", {phase:?}")).unwrap_or_default();
        let by = self.revision().map(|revision| format!(", decided by policy {revision}")).unwrap_or_default();
        let behind = if self.is_behind() { " (the record has changed since)" } else { "" };
        let mut lines = vec![("runs", format!("{template}{phase}{by}{behind}"))];
        lines.extend(self.pending().map(|message| ("waits for", message.to_owned())));
        lines
    }

    /// The same for machines.
    pub(super) fn json(&self) -> Value {
        json!({
            "template": self.status.selected_template, "phase": self.status.phase, "policy_revision": self.revision(),
            "pending": self.pending(), "generation": self.generation,
            "observed_generation": self.status.observed_generation,
        })
    }
}
