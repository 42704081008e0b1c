//! `oprc-crm policy explain`: what a policy decides about a record, and why, rule by rule.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::offline::Offline;
use crate::decision::play::Of;
use crate::decision::{
    AutoscalerPlan, Budget, Candidate, ClusterFacts, Decision, Features, MonitorPlan, PdbPlan, RuleMode, RuleOutcome,
    RuleTrace, Setting, TemplatePlan, WorkloadKind, explain as explained,
};
use crate::model::Resources;

mod decision;
mod nfr;
mod subject;

use subject::{Scene, Subject};

/// Arguments of `policy explain`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// File with `DeploymentRecords`, several documents allowed; - is the standard input.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["target", "from_cluster", "decision"])]
    record: Option<String>,
    /// Record of the cluster that the kubeconfig names, with what it runs on; profile, features, bundle and namespace that
    /// no flag states are those of the controller's variables, else its defaults.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["record", "installed", "cluster_unknown", "current_template"])]
    from_cluster: Option<String>,
    #[command(flatten)]
    sizes: nfr::Sizes,
    #[command(flatten)]
    logged: decision::Logged,
    #[command(flatten)]
    offline: Offline,
    /// Template that the class runs on now.
    #[arg(long, value_name = "NAME")]
    current_template: Option<String>,
    /// Form of the answer.
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match explain(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            crate::cli::complain(error);
            ExitCode::from(2)
        }
    }
}

/// Explains every record that is asked about; whether all of them are accepted and get a template.
fn explain(args: &Args) -> Result<bool, String> {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if let Some(asked) = args.logged.asked() {
        return decision::explain(&asked, (args.format, colour));
    }
    let scene = Scene::of(args)?;
    let bundle = scene.bundle.read().map_err(|refused| refused.to_string())?;
    if let Some(asked) = args.sizes.asked() {
        let class = scene.subjects.as_ref().map(|subjects| match subjects.as_slice() {
            [subject] => Ok(&subject.class),
            more => Err(format!("--target explains one record, here are {}", more.len())),
        });
        let of = class.transpose()?.map(|class| Of { class, setting: &scene.setting });
        super::print(&nfr::explain(&asked, &bundle, of, (args.format, colour))?);
        return Ok(true);
    }
    let (policy, _) = bundle.compile(&scene.inputs).map_err(|found| found.to_string())?;
    let mut accepted = true;
    for (index, subject) in scene.subjects.iter().flatten().enumerate() {
        let decision = explained(&policy, &subject.class, &scene.setting, subject.current.as_deref());
        let between = if index > 0 && args.format == Format::Text { "\n" } else { "" };
        let answer = match args.format {
            Format::Json => format!("{:#}\n", as_json(subject, &scene.setting, &decision)),
            Format::Text => Text { colour }.decision(subject, &scene, &decision),
        };
        super::print(&format!("{between}{answer}"));
        accepted &= decision.admission.denials.is_empty() && decision.template.is_ok();
    }
    Ok(accepted)
}

/// Names of the features that are on.
fn features(features: Features) -> Vec<&'static str> {
    let Features { odgm, knative, prometheus, nfr_enforcement, hpa, leader_election, mtls } = features;
    [
        ("odgm", odgm),
        ("knative", knative),
        ("prometheus", prometheus),
        ("nfr_enforcement", nfr_enforcement),
        ("hpa", hpa),
        ("leader_election", leader_election),
        ("mtls", mtls),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect()
}

/// Names of the features that are on, in words.
pub(super) fn features_text(on: Features) -> String {
    let on = features(on);
    if on.is_empty() { "none".to_owned() } else { on.join(", ") }
}

/// What is assumed of a cluster that is not asked, in words.
fn installed(cluster: ClusterFacts) -> String {
    let facts = [
        ("Knative", cluster.knative),
        ("ServiceMonitor", cluster.service_monitor),
        ("PodMonitor", cluster.pod_monitor),
    ];
    if facts.iter().all(|(_, known)| known.is_none()) {
        return "not known".to_owned();
    }
    let has: Vec<&str> = facts.iter().filter(|(_, known)| *known == Some(true)).map(|(name, _)| *name).collect();
    if has.is_empty() {
        "assumed to have neither Knative nor monitors (--installed says otherwise)".to_owned()
    } else {
        format!("has {}", has.join(", "))
    }
}

/// The answer for people.
struct Text {
    colour: bool,
}

impl Text {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn decision(&self, subject: &Subject, scene: &Scene, decision: &Decision) -> String {
        let mut out = String::new();
        let (class, setting) = (&subject.class, &scene.setting);
        let on = features_text(setting.features);
        let head = |name: &str| self.paint("1", &format!("{name:<11}"));
        let _ = writeln!(out, "{}{}/{}", head("class"), class.namespace, class.name);
        for (name, line) in subject.running.iter().flat_map(subject::Running::lines) {
            let _ = writeln!(out, "{}{line}", head(name));
        }
        let _ = writeln!(out, "{}profile {}, features: {on}", head("setting"), setting.profile);
        let _ = writeln!(out, "{}{}", head("cluster"), scene.cluster);
        let _ = writeln!(out, "{}revision {}\n", head("policy"), decision.revision);
        match &decision.template {
            Ok(chosen) => {
                let name = self.paint("1;32", &chosen.plan.name);
                let why = chosen.why.strip_prefix(&chosen.plan.name).unwrap_or("");
                let why = if why.is_empty() { format!(" ({})", chosen.why) } else { why.to_owned() };
                let _ = writeln!(out, "{}{name}{why}", head("template"));
                for line in plan(&chosen.plan) {
                    let _ = writeln!(out, "{:<11}{line}", "");
                }
            }
            Err(problem) => {
                let _ = writeln!(out, "{}{} {problem}", head("template"), self.paint("1;31", "none:"));
            }
        }
        out.push('\n');
        let chosen = decision.template.as_ref().ok().map(|chosen| chosen.plan.name.as_str());
        for candidate in &decision.candidates {
            self.candidate(candidate, chosen == Some(&candidate.name), &mut out);
        }
        self.admission(decision, &mut out);
        out
    }

    fn candidate(&self, candidate: &Candidate, chosen: bool, out: &mut String) {
        let standing = match (candidate.enabled, candidate.score) {
            (Some(false), _) => "not enabled".to_owned(),
            (None, _) => "could not be evaluated".to_owned(),
            (Some(true), None) => "score could not be evaluated".to_owned(),
            (Some(true), Some(score)) => format!("score {score}"),
        };
        let mark = if chosen { self.paint("1;32", ">") } else { " ".to_owned() };
        let _ = writeln!(out, "{mark} {}  {standing}", self.paint("1", &format!("{:<9}", candidate.name)));
        self.rules(&candidate.trace, out);
        out.push('\n');
    }

    /// Rules in columns: outcome, id, effect, condition; below each what it read. `ok` holds and `--` does not, for all
    /// kinds; what holds and refuses or warns is `!!`.
    fn rules(&self, rules: &[RuleTrace], out: &mut String) {
        let id = |trace: &RuleTrace| trace.rule.split_once('/').map_or("", |(_, rest)| rest).to_owned();
        let short = |trace: &RuleTrace| trace.rule.rsplit('/').next().unwrap_or("").to_owned();
        let admission = rules.iter().any(|trace| trace.rule.starts_with("Admission/"));
        let name = |trace: &RuleTrace| if admission { id(trace) } else { short(trace) };
        let width = rules.iter().map(|trace| name(trace).chars().count()).max().unwrap_or(0);
        let points = |trace: &RuleTrace| {
            if admission { String::new() } else { trace.effect.as_deref().unwrap_or_default().to_owned() }
        };
        let column = rules.iter().map(|trace| points(trace).chars().count()).max().unwrap_or(0);
        for trace in rules {
            let (code, mark) = match (&trace.outcome, admission) {
                (RuleOutcome::True, false) => ("32", "ok"),
                (RuleOutcome::True, true) => ("33", "!!"),
                (RuleOutcome::False, _) => ("2", "--"),
                (RuleOutcome::Error(_), _) => ("31", "??"),
                (RuleOutcome::Inapplicable(_), _) => ("2", "na"),
            };
            let mode = match trace.mode {
                RuleMode::Enforce => "",
                RuleMode::Warn => " [mode warn]",
                RuleMode::DryRun => " [mode dry-run]",
            };
            let indent = 4 + 2 + 2 + width + 2 + if column > 0 { column + 2 } else { 0 };
            let effect = if column > 0 { format!("{:>column$}  ", points(trace)) } else { String::new() };
            let condition = clip(&trace.condition.split_whitespace().collect::<Vec<_>>().join(" "));
            let _ = writeln!(out, "    {}  {:<width$}  {effect}{condition}{mode}", self.paint(code, mark), name(trace));
            let line = |text: String, out: &mut String| {
                let _ = writeln!(out, "{}{}", " ".repeat(indent), self.paint("2", &text));
            };
            if let RuleOutcome::Error(reason) | RuleOutcome::Inapplicable(reason) = &trace.outcome {
                let _ = writeln!(out, "{}{}", " ".repeat(indent), self.paint("31", reason));
            }
            if !trace.values.is_empty() {
                let values: Vec<String> =
                    trace.values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                line(values.join(", "), out);
            }
            for margin in &trace.margins {
                line(margin.to_string(), out);
            }
            if let (true, Some(effect)) = (admission, &trace.effect) {
                line(effect.to_string(), out);
            }
        }
    }

    fn admission(&self, decision: &Decision, out: &mut String) {
        let (denials, warnings) = (decision.admission.denials.len(), decision.admission.warnings.len());
        let verdict = match (denials, warnings) {
            (0, 0) => self.paint("1;32", "accepted"),
            (0, _) => format!("{}, {}", self.paint("1;33", "accepted"), super::count(warnings, "warning")),
            _ => format!("{} by {}", self.paint("1;31", "denied"), super::count(denials, "rule")),
        };
        let _ = writeln!(out, "{}{verdict}", self.paint("1", &format!("{:<11}", "admission")));
        self.rules(&decision.admission.trace, out);
    }
}

/// Long conditions (patterns of images, mostly) are cut: the file has them.
fn clip(text: &str) -> String {
    const MAX: usize = 110;
    if text.chars().count() <= MAX {
        text.to_owned()
    } else {
        text.chars().take(MAX - 3).chain("...".chars()).collect()
    }
}

fn requests(resources: &Resources) -> String {
    let Resources { cpu_request, memory_request, cpu_limit, memory_limit } = resources;
    let parts: Vec<String> =
        [("cpu", cpu_request), ("memory", memory_request), ("cpu limit", cpu_limit), ("memory limit", memory_limit)]
            .into_iter()
            .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name} {value}")))
            .collect();
    if parts.is_empty() { "no resources stated".to_owned() } else { parts.join(", ") }
}

fn plan(plan: &TemplatePlan) -> Vec<String> {
    let kind = match plan.workload {
        WorkloadKind::Deployment => "Deployment",
        WorkloadKind::KnativeService => "Knative Service",
    };
    let mut lines =
        vec![format!("{kind}, {}, {}", super::count(plan.replicas as usize, "replica"), requests(&plan.resources))];
    if let Some(AutoscalerPlan { cpu_utilization, max_replicas }) = plan.autoscaler {
        let most = max_replicas.map(|most| format!(", at most {most}")).unwrap_or_default();
        lines.push(format!("functions with max_scale: scaled to {cpu_utilization} % CPU{most}"));
    }
    for (key, AutoscalerPlan { cpu_utilization, .. }) in &plan.own_autoscalers {
        lines.push(format!("function {key}: scaled to {cpu_utilization} % CPU"));
    }
    if let Some(most) = plan.max_replicas {
        lines.push(format!("at most {} of each function", super::count(most as usize, "replica")));
    }
    if let Some(odgm) = &plan.odgm {
        let pods = super::count(odgm.replicas as usize, "pod");
        lines.push(format!("ODGM, {pods} of {}, {}", odgm.image, requests(&odgm.resources)));
    }
    if let Some(PdbPlan { budget, from_replicas }) = &plan.pdb {
        let says = match budget {
            Budget::MaxUnavailable(most) => format!("at most {} at once", super::count(*most as usize, "pod")),
            Budget::MinAvailable(least) => format!("all but {} at once", super::count(*least as usize, "pod")),
        };
        let from = super::count(*from_replicas as usize, "replica");
        lines.push(format!("PodDisruptionBudget, {says}, from {from} on"));
    }
    if let Some(MonitorPlan { path, interval_seconds }) = &plan.monitor {
        lines.push(format!("scraped at {path} every {interval_seconds} s, where Prometheus' operator is installed"));
    }
    lines
}

fn pdb(PdbPlan { budget, from_replicas }: &PdbPlan) -> Value {
    let (name, pods) = match budget {
        Budget::MaxUnavailable(most) => ("max_unavailable", most),
        Budget::MinAvailable(least) => ("min_available", least),
    };
    json!({name: pods, "from_replicas": from_replicas})
}

fn as_json(subject: &Subject, setting: &Setting, decision: &Decision) -> Value {
    let class = &subject.class;
    let findings = |list: &[crate::decision::Finding]| -> Vec<Value> {
        list.iter().map(|one| json!({"rule": one.rule, "message": one.message})).collect()
    };
    let template = match &decision.template {
        Ok(chosen) => {
            let kept = chosen.kept.as_ref().map(|kept| json!({"rule": kept.rule, "message": kept.message}));
            let odgm = chosen.plan.odgm.as_ref().map(|odgm| json!({"image": odgm.image, "replicas": odgm.replicas}));
            let autoscaler = chosen
                .plan
                .autoscaler
                .map(|one| json!({"cpu_utilization": one.cpu_utilization, "max_replicas": one.max_replicas}));
            let pdb = chosen.plan.pdb.as_ref().map(pdb);
            let monitor = chosen
                .plan
                .monitor
                .as_ref()
                .map(|one| json!({"path": one.path, "interval_seconds": one.interval_seconds}));
            json!({
                "name": chosen.plan.name,
                "why": chosen.why,
                "kept": kept,
                "workload": if chosen.plan.workload == WorkloadKind::Deployment { "Deployment" } else { "KnativeService" },
                "replicas": chosen.plan.replicas,
                "autoscaler": autoscaler,
                "odgm": odgm,
                "pdb": pdb,
                "monitor": monitor,
            })
        }
        Err(problem) => json!({"problem": problem.to_string()}),
    };
    let candidates: Vec<Value> = decision
        .candidates
        .iter()
        .map(|one| json!({"name": one.name, "enabled": one.enabled, "score": one.score, "rules": rules(&one.trace)}))
        .collect();
    json!({
        "class": {"name": class.name, "namespace": class.namespace},
        "running": subject.running.as_ref().map(subject::Running::json),
        "setting": {"profile": setting.profile, "features": features(setting.features), "cluster": setting.cluster},
        "revision": decision.revision,
        "template": template,
        "candidates": candidates,
        "admission": {
            "accepted": decision.admission.denials.is_empty(),
            "denials": findings(&decision.admission.denials),
            "warnings": findings(&decision.admission.warnings),
            "rules": rules(&decision.admission.trace),
        },
    })
}

fn rules(traces: &[RuleTrace]) -> Vec<Value> {
    traces
        .iter()
        .map(|trace| {
            let (outcome, error) = match &trace.outcome {
                RuleOutcome::True => ("true", None),
                RuleOutcome::False => ("false", None),
                RuleOutcome::Error(reason) => ("error", Some(reason)),
                RuleOutcome::Inapplicable(reason) => ("inapplicable", Some(reason)),
            };
            let mode = match trace.mode {
                RuleMode::Enforce => "enforce",
                RuleMode::Warn => "warn",
                RuleMode::DryRun => "dry-run",
            };
            let values: Vec<Value> =
                trace.values.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
            let margins: Vec<Value> = trace
                .margins
                .iter()
                .map(|one| {
                    json!({
                        "comparison": one.comparison, "left": one.left, "right": one.right, "holds": one.holds,
                        "distance": one.distance(), "unit": if one.seconds { Some("s") } else { None },
                    })
                })
                .collect();
            json!({
                "margins": margins,
                "rule": &*trace.rule, "mode": mode, "condition": &*trace.condition, "outcome": outcome, "error": error,
                "values": values, "effect": trace.effect.as_deref(),
            })
        })
        .collect()
}
