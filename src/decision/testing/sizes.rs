//! Tests of Signals, Recommendations and Safeguards.

use std::fmt::Write as _;
use std::time::Duration;

use crate::decision::coverage::Coverage;
use crate::decision::nfr::{self, Action, NfrDecision};
use crate::decision::play::{Play, samples};
use crate::policy::{Case, Policy, RecommendationExpect, Recommended, Step, Suite};

use super::compare;

/// Moments that a failure shows before and after its own.
const AROUND: usize = 3;

/// Whether a class needs a signal.
pub(super) fn signal(policy: &Policy, suite: &Suite, case: &Case, required: bool, seen: &mut Coverage) -> Vec<String> {
    let target = suite.target_name();
    let Some(signal) = policy.signals().iter().find(|one| one.unit().name() == target) else {
        return vec![format!("there is no document {target}")];
    };
    let got = signal.required(&case.facts());
    if let (Some(name), Ok(got)) = (signal.required_when(), &got) {
        seen.outcome(name, *got);
    }
    match got {
        Ok(got) if got == required => Vec::new(),
        Ok(got) => vec![format!("expected required: {required}, got {got}")],
        Err(reason) => vec![format!("expected required: {required}, but it could not be evaluated: {reason}")],
    }
}

/// What a document recommends at one moment.
pub(super) fn recommendation(
    policy: &Policy,
    suite: &Suite,
    case: &Case,
    expect: &RecommendationExpect,
    seen: &mut Coverage,
) -> Vec<String> {
    let target = suite.target_name();
    let Some(document) = policy.recommendations().iter().find(|one| one.unit().name() == target) else {
        return vec![format!("there is no document {target}")];
    };
    let Some(timeline) = case.timeline() else { return vec!["the case has no timeline".to_owned()] };
    let samples = match samples(policy, timeline) {
        Ok(samples) => samples,
        Err(fault) => return vec![fault],
    };
    let elapsed = expect.at.unwrap_or_else(|| timeline.length());
    let now = timeline.start().checked_add(elapsed).unwrap_or(timeline.start());
    let said = nfr::recommend(policy, &mut case.facts(), document, &samples, now);
    said.trace.iter().for_each(|trace| seen.see(trace));
    recommended(expect, &said)
}

fn recommended(expect: &RecommendationExpect, said: &Recommended) -> Vec<String> {
    let mut faults = Vec::new();
    let failed = said.error.as_ref().map(|(rule, reason)| format!("{rule} could not be evaluated: {reason}"));
    match (&said.proposal, expect.target) {
        (None, None) => {}
        (None, Some(wanted)) => {
            let why = failed.clone().unwrap_or_else(|| "no rule applies".to_owned());
            faults.push(format!("expected target {wanted}, got none: {why}"));
        }
        (Some(got), None) => faults.push(format!("expected no target, got {} by {}", got.target, got.rule)),
        (Some(got), Some(wanted)) => {
            compare("target", Some(wanted), Some(got.target), &mut faults);
            compare("confidence", expect.confidence, Some(got.confidence), &mut faults);
            if let Some(rule) = expect.rule.as_ref().filter(|rule| !is_rule(&got.rule, rule)) {
                faults.push(format!("expected rule {rule}, got {}", got.rule));
            }
            if let Some(basis) = expect.basis.as_ref().filter(|basis| !got.basis.contains(basis.as_str())) {
                faults.push(format!("expected a basis with {basis:?}, got {:?}", got.basis));
            }
        }
    }
    match (&expect.failed, &said.error, failed) {
        (None, Some(_), Some(failed)) if expect.target.is_some() && said.proposal.is_some() => faults.push(failed),
        (Some(wanted), None, _) => faults.push(format!("expected that {wanted} can't be evaluated, all can")),
        (Some(wanted), Some((rule, _)), Some(failed)) if !is_rule(rule, wanted) => {
            faults.push(format!("expected that {wanted} can't be evaluated, but {failed}"));
        }
        _ => {}
    }
    faults
}

/// Whether a name means a rule: its whole name, or its id.
fn is_rule(rule: &str, name: &str) -> bool {
    rule == name || rule.rsplit('/').next() == Some(name)
}

/// One moment as it went.
struct Moment {
    elapsed: Duration,
    current: f64,
    decision: NfrDecision,
}

/// What is done over time; at every moment that is not listed nothing is.
pub(super) fn safeguard(
    policy: &Policy,
    suite: &Suite,
    case: &Case,
    steps: &[Step],
    seen: &mut Coverage,
) -> Vec<String> {
    let target = suite.target_name();
    let Some(document) = policy.safeguards().iter().find(|one| one.unit().name() == target) else {
        return vec![format!("there is no document {target}")];
    };
    let Some(timeline) = case.timeline() else { return vec!["the case has no timeline".to_owned()] };
    let given = (case.profile(), case.given());
    let mut play = match Play::new(policy, timeline, document.dimension(), given, None) {
        Ok(play) => play,
        Err(fault) => return vec![fault],
    };
    let mut moments = Vec::new();
    let mut elapsed = Duration::ZERO;
    while elapsed <= timeline.length() {
        let decision = play.decide(elapsed);
        seen.decided(&decision.trace);
        let current = play.current();
        play.apply(&decision, elapsed);
        moments.push(Moment { elapsed, current, decision });
        elapsed += timeline.step();
    }
    let mut faults = Vec::new();
    for (index, moment) in moments.iter().enumerate() {
        let step = steps.iter().find(|step| step.at() == moment.elapsed);
        let fault = match step {
            Some(step) => differs(step, moment),
            None => unlisted(moment),
        };
        if let Some(fault) = fault {
            let place = step.map(|step| format!(" ({})", step.place())).unwrap_or_default();
            let at = humantime::format_duration(moment.elapsed);
            faults.push(format!("at {at}{place}: {fault}\n{}", shown(&moments, index)));
        }
    }
    // The first is the cause as often as not: what follows it differs for that alone.
    faults.truncate(3);
    faults
}

fn unlisted(moment: &Moment) -> Option<String> {
    match moment.decision.action {
        Action::Hold => None,
        Action::Apply { target } => Some(format!(
            "{target} is applied by {}, but the step is not listed: steps that are not must hold",
            moment.decision.by
        )),
    }
}

fn differs(step: &Step, moment: &Moment) -> Option<String> {
    let decision = &moment.decision;
    let target = match decision.action {
        Action::Apply { target } => Some(target),
        Action::Hold => None,
    };
    let same = |wanted: f64, got: f64| (wanted - got).abs() <= 1e-9 * wanted.abs().max(1.0);
    let action = step.apply == target.is_some();
    let size = match (step.target, target) {
        (Some(wanted), Some(got)) => same(wanted, got),
        _ => true,
    };
    let by = step.by.as_ref().is_none_or(|by| decision.by.is(by));
    let proposed = decision.recommendation.as_ref().map(|one| one.rule.as_str());
    let rule = step.rule.as_ref().is_none_or(|rule| proposed.is_some_and(|proposed| is_rule(proposed, rule)));
    let reason = step.reason.as_ref().is_none_or(|reason| decision.reason.contains(reason.as_str()));
    if action && size && by && rule && reason {
        return None;
    }
    let mut wanted = if step.apply { "apply".to_owned() } else { "hold".to_owned() };
    if let Some(target) = step.target {
        let _ = write!(wanted, " {target}");
    }
    for (word, value) in [(" by ", &step.by), (" on the word of ", &step.rule), (" because ", &step.reason)] {
        if let Some(value) = value {
            let _ = write!(wanted, "{word}{value}");
        }
    }
    let got = target.map_or_else(|| "hold".to_owned(), |target| format!("apply {target}"));
    let on = proposed.filter(|_| step.rule.is_some()).map(|rule| format!(" on the word of {rule}")).unwrap_or_default();
    Some(format!("expected {wanted}, got {got} by {}{on}: {}", decision.by, decision.reason))
}

/// The timeline around a moment, one line each.
fn shown(moments: &[Moment], index: usize) -> String {
    let from = index.saturating_sub(AROUND);
    let mut out = String::new();
    for (at, moment) in moments.iter().enumerate().skip(from).take(index - from + AROUND + 1) {
        let mark = if at == index { '>' } else { ' ' };
        let elapsed = humantime::format_duration(moment.elapsed).to_string();
        let asks = moment.decision.recommendation.as_ref().map_or_else(|| "-".to_owned(), |one| digits(one.raw));
        let action = match moment.decision.action {
            Action::Apply { target } => format!("apply {target}"),
            Action::Hold => "hold".to_owned(),
        };
        let (current, by) = (moment.current, &moment.decision.by);
        let _ = writeln!(out, "    {mark} {elapsed:<8} has {current:<6} asked {asks:<8} {action:<10} {by}");
    }
    out.truncate(out.trim_end().len());
    out
}

/// A number with few digits.
fn digits(value: f64) -> String {
    ((value * 1000.0).round() / 1000.0).to_string()
}
