//! Which template a class gets, and what it is for that class.

use std::collections::BTreeMap;

use crate::model::{Class, Function, Quantity, Resources};
use crate::policy::{
    AddonShapes, AutoscalerShape, FALLBACK_TEMPLATE, Facts, Policy, ResourceTexts, RuleOutcome, Scope, Security, Shape,
    Standing,
};
use crate::policy::{RuleMode, TemplatePolicy};

use super::facts::{bind_nfr, nfr_of};
use super::{
    AutoscalerPlan, Candidate, Chosen, Finding, OdgmPlan, SecurityPlan, TemplatePlan, TemplateProblem, WorkloadKind,
};

/// A template with its scope and how it does for the class.
struct Entry<'a> {
    template: &'a TemplatePolicy,
    scope: Scope<'a>,
    standing: Standing,
}

/// What could not be evaluated: a rule and the reason.
type Failure = (String, String);

/// Chooses a template: the one that the record names, else the highest score, ties by name, else `dev`. While
/// anything that the choice rests on can't be evaluated, the class keeps what it has.
pub fn choose(
    policy: &Policy,
    facts: &Facts,
    asked: Option<&str>,
    current: Option<&str>,
) -> (Result<Chosen, TemplateProblem>, Vec<Candidate>) {
    let entries: Vec<Entry<'_>> = policy
        .templates()
        .iter()
        .map(|template| {
            let scope = template.unit().over(facts);
            let standing = template.standing(&scope);
            Entry { template, scope, standing }
        })
        .collect();
    let chosen = match asked {
        Some(asked) => named(&entries, facts, asked, current),
        None => scored(&entries, facts, current),
    };
    (chosen, candidates(entries))
}

/// Best first: those that may be used, by score, then those that could not be evaluated, then the others.
fn candidates(mut entries: Vec<Entry<'_>>) -> Vec<Candidate> {
    let rank = |entry: &Entry<'_>| match (&entry.standing.enabled, &entry.standing.score) {
        (Ok(true), Ok(_)) => 0,
        (Ok(false), _) => 2,
        _ => 1,
    };
    let score = |entry: &Entry<'_>| entry.standing.score.as_ref().map_or(f64::NEG_INFINITY, |score| *score);
    entries.sort_by(|left, right| {
        rank(left)
            .cmp(&rank(right))
            .then(score(right).total_cmp(&score(left)))
            .then_with(|| left.template.name().cmp(right.template.name()))
    });
    entries
        .into_iter()
        .map(|entry| Candidate {
            name: entry.template.name().to_owned(),
            enabled: entry.standing.enabled.ok(),
            score: entry.standing.score.ok(),
            trace: entry.standing.trace,
        })
        .collect()
}

fn named(entries: &[Entry<'_>], facts: &Facts, asked: &str, current: Option<&str>) -> Result<Chosen, TemplateProblem> {
    let choices = || {
        let usable = |entry: &&Entry<'_>| entry.standing.enabled == Ok(true);
        entries.iter().filter(usable).map(|entry| entry.template.name().to_owned()).collect()
    };
    let Some(entry) = entries.iter().find(|entry| entry.template.answers_to(asked)) else {
        return Err(TemplateProblem::Unknown { asked: asked.to_owned(), choices: choices() });
    };
    match &entry.standing.enabled {
        Ok(true) => {
            let why = if entry.template.name() == asked {
                "named by spec.selected_template".to_owned()
            } else {
                format!("named by spec.selected_template as {asked}")
            };
            plan(entry, facts, why, None)
        }
        Ok(false) => {
            let off = entry.standing.trace.iter().find(|trace| trace.outcome == RuleOutcome::False);
            let why = off.map(|trace| format!("{}: {}", trace.rule, trace.condition)).unwrap_or_default();
            Err(TemplateProblem::NotEnabled { asked: asked.to_owned(), why, choices: choices() })
        }
        Err(failure) => keep(entries, facts, current, failure),
    }
}

fn scored(entries: &[Entry<'_>], facts: &Facts, current: Option<&str>) -> Result<Chosen, TemplateProblem> {
    let mut best: Option<(&Entry<'_>, f64)> = None;
    for entry in entries {
        match (&entry.standing.enabled, &entry.standing.score) {
            // What is off can't be chosen, whatever its score could not say.
            (Ok(false), _) => {}
            (Err(failure), _) | (Ok(true), Err(failure)) => return keep(entries, facts, current, failure),
            (Ok(true), Ok(score)) => {
                // Templates come in the order of their names, so a tie stays with the first.
                if best.is_none_or(|(_, highest)| *score > highest) {
                    best = Some((entry, *score));
                }
            }
        }
    }
    if let Some((entry, score)) = best {
        return plan(entry, facts, why(entry, score), None);
    }
    match entries.iter().find(|entry| entry.template.name() == FALLBACK_TEMPLATE) {
        Some(entry) => plan(entry, facts, format!("{FALLBACK_TEMPLATE}: no template is enabled here"), None),
        None => Err(undecided(&("Template".to_owned(), "no template is enabled here".to_owned()))),
    }
}

/// A sentence such as `full (score 120): throughput, availability`.
fn why(entry: &Entry<'_>, score: f64) -> String {
    let counts = |trace: &&crate::policy::RuleTrace| {
        trace.effect.is_some() && trace.mode == RuleMode::Enforce && trace.outcome == RuleOutcome::True
    };
    let ids: Vec<&str> = entry
        .standing
        .trace
        .iter()
        .filter(counts)
        .map(|trace| trace.rule.rsplit('/').next().unwrap_or(&trace.rule))
        .collect();
    let rules = if ids.is_empty() { "no score rule holds for any template".to_owned() } else { ids.join(", ") };
    format!("{} (score {score}): {rules}", entry.template.name())
}

fn keep(
    entries: &[Entry<'_>],
    facts: &Facts,
    current: Option<&str>,
    failure: &Failure,
) -> Result<Chosen, TemplateProblem> {
    let Some(entry) = current.and_then(|name| entries.iter().find(|entry| entry.template.name() == name)) else {
        return Err(undecided(failure));
    };
    let (rule, message) = failure.clone();
    let why = format!("{} is kept: {rule} could not be evaluated ({message})", entry.template.name());
    plan(entry, facts, why, Some(Finding { rule, message }))
}

fn undecided((rule, message): &Failure) -> TemplateProblem {
    TemplateProblem::Undecided { rule: rule.clone(), message: message.clone() }
}

fn plan(entry: &Entry<'_>, facts: &Facts, why: String, kept: Option<Finding>) -> Result<Chosen, TemplateProblem> {
    let shape = entry.template.shape(&entry.scope).map_err(|failure| undecided(&failure))?;
    let Shape {
        knative,
        replicas,
        max_replicas,
        resources: texts,
        probes,
        grace,
        security: safe,
        autoscaler,
        odgm,
        addons,
    } = shape;
    let AddonShapes { pdb, monitor } = addons;
    let failed = |message: String| undecided(&(format!("{}/resources", entry.template.unit().name()), message));
    let odgm = match odgm.filter(|_| facts.has("class.odgm")) {
        None => None,
        Some(odgm) => Some(OdgmPlan {
            image: odgm.image,
            replicas: odgm.replicas,
            resources: resources(&odgm.resources).map_err(failed)?,
            security: security(odgm.security),
        }),
    };
    let plan = TemplatePlan {
        name: entry.template.name().to_owned(),
        workload: if knative { WorkloadKind::KnativeService } else { WorkloadKind::Deployment },
        replicas,
        max_replicas: max_replicas.filter(|_| knative),
        resources: resources(&texts).map_err(failed)?,
        termination_grace_seconds: grace,
        probes,
        security: security(safe),
        autoscaler: autoscaler.map(autoscaler_plan),
        own_autoscalers: BTreeMap::new(),
        odgm,
        pdb,
        monitor,
    };
    Ok(Chosen { plan, why, kept })
}

fn autoscaler_plan(AutoscalerShape { cpu_utilization, max_replicas }: AutoscalerShape) -> AutoscalerPlan {
    AutoscalerPlan { cpu_utilization, max_replicas }
}

/// What scales each function that states a utilisation of its own: the template is asked again, with that of the function
/// in place of the class's.
pub fn own_autoscalers(
    policy: &Policy,
    class: &Class,
    facts: &Facts,
    template: &str,
) -> Result<BTreeMap<String, AutoscalerPlan>, TemplateProblem> {
    let stating = |function: &&Function| function.nfr.cpu_utilization_target.is_some();
    let mut all = BTreeMap::new();
    let Some(template) = policy.templates().iter().find(|one| one.name() == template) else { return Ok(all) };
    for function in class.functions.iter().filter(stating) {
        let mut facts = facts.copied();
        bind_nfr(&mut facts, &nfr_of(class, function));
        let shape = template.autoscaler(&template.unit().over(&facts)).map_err(|failure| undecided(&failure))?;
        all.extend(shape.map(|shape| (function.key.clone(), autoscaler_plan(shape))));
    }
    Ok(all)
}

fn resources(texts: &ResourceTexts) -> Result<Resources, String> {
    let read =
        |text: &Option<String>| text.as_deref().map(Quantity::parse).transpose().map_err(|error| error.to_string());
    Ok(Resources {
        cpu_request: read(&texts.cpu_request)?,
        memory_request: read(&texts.memory_request)?,
        cpu_limit: read(&texts.cpu_limit)?,
        memory_limit: read(&texts.memory_limit)?,
    })
}

fn security(security: Security) -> SecurityPlan {
    let Security { drop_capabilities, run_as_non_root } = security;
    SecurityPlan { drop_capabilities, run_as_non_root }
}
