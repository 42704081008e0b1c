//! The rule that makes the difference between two decisions.

use std::fmt;

use super::super::{Candidate, Decision, RuleMode, RuleOutcome, RuleTrace, TemplateProblem};
use super::{Change, FieldChange};

/// What came out another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Stable name of the rule, `kind/name/id`, or of the template's field.
    pub rule: String,
    /// What came of it before.
    pub before: String,
    /// What comes of it now.
    pub after: String,
    /// What the rule reads, where the decisions were explained, and how that changed.
    pub values: Vec<Reading>,
}

/// A fact, param or variable that a rule reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its path.
    pub name: String,
    /// Its value before; `None` where the rule did not read it.
    pub before: Option<String>,
    /// Its value now.
    pub after: Option<String>,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) if before != after => write!(f, "{} = {before} -> {after}", self.name),
            (Some(value), _) | (None, Some(value)) => write!(f, "{} = {value}", self.name),
            (None, None) => f.write_str(&self.name),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.rule, self.before, self.after)?;
        let values: Vec<String> = self.values.iter().map(ToString::to_string).collect();
        if values.is_empty() { Ok(()) } else { write!(f, " ({})", values.join(", ")) }
    }
}

/// Finds the cause of a change.
pub(super) fn of(change: &Change, fields: &[FieldChange], before: &Decision, after: &Decision) -> Cause {
    let denied = |decision: &Decision| decision.admission.denials.first().map(|one| one.rule.clone());
    match change {
        Change::Denied => rule(&denied(after).unwrap_or_default(), before, after),
        Change::Accepted => rule(&denied(before).unwrap_or_default(), before, after),
        Change::NoTemplate { from } => problem(&after.template, &format!("Template/{from}"), before, after),
        Change::HasTemplate { to } => problem(&before.template, &format!("Template/{to}"), before, after),
        Change::Template { from, to } => switched(from, to, before, after),
        Change::Shape { template } => field(template, fields),
    }
}

fn field(template: &str, fields: &[FieldChange]) -> Cause {
    let (name, before, after) = fields
        .first()
        .map_or_else(Default::default, |one| (format!("/{}", one.field), one.before.clone(), one.after.clone()));
    Cause { rule: format!("Template/{template}{name}"), before, after, values: Vec::new() }
}

/// A rule as it came out in both decisions.
fn rule(name: &str, before: &Decision, after: &Decision) -> Cause {
    let (old, new) = (find(before, name), find(after, name));
    let mut values: Vec<Reading> = Vec::new();
    for (name, value) in new.map(|trace| trace.values.as_slice()).unwrap_or_default() {
        values.push(Reading { name: name.clone(), before: None, after: Some(value.clone()) });
    }
    for (name, value) in old.map(|trace| trace.values.as_slice()).unwrap_or_default() {
        match values.iter_mut().find(|known| known.name == *name) {
            Some(known) => known.before = Some(value.clone()),
            None => values.push(Reading { name: name.clone(), before: Some(value.clone()), after: None }),
        }
    }
    let effect = |trace: Option<&RuleTrace>| trace.and_then(|trace| trace.effect.clone());
    let weight = effect(old) != effect(new) && holds(old) == holds(new);
    Cause { rule: name.to_owned(), before: shown(old, weight), after: shown(new, weight), values }
}

fn find<'a>(decision: &'a Decision, name: &str) -> Option<&'a RuleTrace> {
    let of_templates = decision.candidates.iter().flat_map(|candidate| &candidate.trace);
    decision.admission.trace.iter().chain(of_templates).find(|trace| *trace.rule == *name)
}

/// An outcome in a word or two; `weight` asks for what the rule adds as well.
fn shown(trace: Option<&RuleTrace>, weight: bool) -> String {
    let Some(trace) = trace else { return "not there".to_owned() };
    let outcome = match &trace.outcome {
        RuleOutcome::True => "true".to_owned(),
        RuleOutcome::False => "false".to_owned(),
        RuleOutcome::Error(reason) => format!("not evaluated ({reason})"),
        RuleOutcome::Inapplicable(reason) => format!("does not apply ({reason})"),
    };
    let mode = match trace.mode {
        RuleMode::Enforce => "",
        RuleMode::Warn => " in mode warn",
        RuleMode::DryRun => " in mode dry-run",
    };
    let effect = trace.effect.as_ref().filter(|_| weight).map(|effect| format!(" ({effect})")).unwrap_or_default();
    format!("{outcome}{effect}{mode}")
}

fn holds(trace: Option<&RuleTrace>) -> bool {
    trace.is_some_and(|trace| trace.outcome == RuleOutcome::True && trace.mode == RuleMode::Enforce)
}

/// What a score rule adds to its template.
fn points(trace: Option<&RuleTrace>) -> f64 {
    let effect = trace.filter(|_| holds(trace)).and_then(|trace| trace.effect.as_deref());
    effect.and_then(|effect| effect.parse().ok()).unwrap_or_default()
}

/// Another template was chosen: by a rule that could or can't be evaluated, by one that lets a template be used, or by
/// the score rule that moved the two furthest apart.
fn switched(from: &str, to: &str, before: &Decision, after: &Decision) -> Cause {
    let kept = [after, before].into_iter().find_map(|decision| decision.template.as_ref().ok()?.kept.as_ref());
    if let Some(kept) = kept {
        return rule(&kept.rule, before, after);
    }
    for (template, wanted) in [(from, true), (to, false)] {
        let (old, new) = (candidate(before, template), candidate(after, template));
        if let Some(cause) = admitted(template, old, new, wanted, before, after) {
            return cause;
        }
    }
    let mut names: Vec<&str> = Vec::new();
    let candidates = [before, after].into_iter().flat_map(|decision| &decision.candidates);
    for trace in candidates.filter(|one| one.name == from || one.name == to).flat_map(|one| &one.trace) {
        if !names.contains(&&*trace.rule) {
            names.push(&trace.rule);
        }
    }
    names.sort_unstable();
    let gain = |name: &str| {
        let gained = points(find(after, name)) - points(find(before, name));
        if name.starts_with(&format!("Template/{to}/")) { gained } else { -gained }
    };
    let most = names.iter().copied().map(|name| (gain(name), name)).filter(|(gain, _)| *gain > 0.0);
    // The first of those that gain most: names are in order.
    match most.reduce(|best, one| if one.0 > best.0 { one } else { best }) {
        Some((_, name)) => rule(name, before, after),
        None => chosen(to, before, after),
    }
}

/// Whether a template may be used changed, away from `wanted`: the rule that says so, or that the template is new or gone.
fn admitted(
    template: &str,
    old: Option<&Candidate>,
    new: Option<&Candidate>,
    wanted: bool,
    before: &Decision,
    after: &Decision,
) -> Option<Cause> {
    let there = |candidate: Option<&Candidate>| if candidate.is_some() { "there" } else { "not there" }.to_owned();
    if old.is_some() != new.is_some() {
        let rule = format!("Template/{template}");
        return Some(Cause { rule, before: there(old), after: there(new), values: Vec::new() });
    }
    let (was, is) = (old?.enabled?, new?.enabled?);
    if was != wanted || is == wanted {
        return None;
    }
    let refusing = if wanted { new? } else { old? };
    let switch = refusing.trace.iter().find(|trace| trace.effect.is_none() && trace.outcome == RuleOutcome::False)?;
    Some(rule(&switch.rule, before, after))
}

fn candidate<'a>(decision: &'a Decision, name: &str) -> Option<&'a Candidate> {
    decision.candidates.iter().find(|candidate| candidate.name == name)
}

/// No rule of the two templates explains it (an alias moved, say): what each decision says itself.
fn chosen(to: &str, before: &Decision, after: &Decision) -> Cause {
    let why = |decision: &Decision| match &decision.template {
        Ok(chosen) => chosen.why.clone(),
        Err(problem) => problem.to_string(),
    };
    Cause { rule: format!("Template/{to}"), before: why(before), after: why(after), values: Vec::new() }
}

/// Why one of the decisions has no template.
fn problem(
    template: &Result<super::super::Chosen, TemplateProblem>,
    fallback: &str,
    before: &Decision,
    after: &Decision,
) -> Cause {
    let named = match template {
        Err(TemplateProblem::Undecided { rule, .. }) => Some(rule.as_str()),
        // `why` begins with the rule that keeps the template off.
        Err(TemplateProblem::NotEnabled { why, .. }) => why.split_once(": ").map(|(rule, _)| rule),
        Err(TemplateProblem::Unknown { .. }) | Ok(_) => None,
    };
    if let Some(name) = named.filter(|name| find(before, name).is_some() || find(after, name).is_some()) {
        return rule(name, before, after);
    }
    let said = |decision: &Decision| match &decision.template {
        Ok(chosen) => chosen.plan.name.clone(),
        Err(problem) => problem.to_string(),
    };
    let rule = named.unwrap_or(fallback).to_owned();
    Cause { rule, before: said(before), after: said(after), values: Vec::new() }
}
