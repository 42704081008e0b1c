//! Events: each change is said once, because it is told from the status that was there before.

use super::context::Context;
use super::reconcile::Pass;
use super::status::PolicyReport;
use crate::api::DeploymentRecordStatus;
use crate::cluster::events::Reason;
use crate::cluster::record::RawRecord;

/// Publishes what changed. An event that cannot be published is logged: it is news, not state.
pub async fn announce(ctx: &Context, record: &RawRecord, before: &DeploymentRecordStatus, pass: &Pass) {
    for (reason, note) in news(before, pass) {
        if let Err(error) = ctx.recorder.publish(&record.metadata, reason, &note).await {
            tracing::warn!(%error, ?reason, note, "event not published");
        }
    }
}

fn news(before: &DeploymentRecordStatus, pass: &Pass) -> Vec<(Reason, String)> {
    let mut news = Vec::new();
    if let (Some(template), Some(why)) = (&pass.report.template, &pass.why)
        && before.selected_template.as_ref() != Some(template)
    {
        let revision = pass.report.decision.as_ref().map(|d| d.policy_revision.as_str()).unwrap_or_default();
        let from = before.selected_template.as_ref().map(|old| format!(", instead of {old}")).unwrap_or_default();
        // A scored choice says the name itself.
        let why = if why.starts_with(template.as_str()) { why.clone() } else { format!("{template}: {why}") };
        news.push((Reason::TemplateSelected, format!("template {why}{from} (policy {revision})")));
    }
    let done: Vec<&str> = pass.outcome.applied.iter().chain(&pass.outcome.pruned).map(String::as_str).collect();
    if !done.is_empty() {
        news.push((Reason::Applied, done.join(", ")));
    }
    news.extend(
        pass.outcome
            .drift
            .iter()
            .map(|drift| (Reason::DriftCorrected, format!("put back what others changed: {drift}"))),
    );
    policy(before, pass, &mut news);
    degraded(before, pass, &mut news);
    news.extend(pass.outcome.taken.iter().map(|taken| (Reason::ScaleTakenBack, taken.clone())));
    for held in &pass.outcome.held {
        if !before.message.as_deref().is_some_and(|message| message.contains(held.as_str())) {
            news.push((Reason::ScaleHeld, held.clone()));
        }
    }
    news
}

fn policy(before: &DeploymentRecordStatus, pass: &Pass, news: &mut Vec<(Reason, String)>) {
    let said = |message: &str| {
        before.conditions.iter().any(|condition| condition.type_ == "PolicyViolation" && condition.message == message)
    };
    match &pass.report.policy {
        PolicyReport::Denied(problem) if !said(&problem.message) => {
            let revision = pass.report.decision.as_ref().map(|d| d.policy_revision.as_str()).unwrap_or_default();
            news.push((Reason::PolicyDenied, format!("{} (policy {revision})", problem.message)));
        }
        PolicyReport::Accepted(warnings) if !warnings.is_empty() && !said(&warnings.join("; ")) => {
            news.push((Reason::PolicyWarning, warnings.join("; ")));
        }
        _ => {}
    }
}

fn degraded(before: &DeploymentRecordStatus, pass: &Pass, news: &mut Vec<(Reason, String)>) {
    let old = before.conditions.iter().find(|condition| condition.type_ == "Degraded" && condition.status == "True");
    match (&pass.report.degraded, old) {
        // Said as a denial.
        (Some(_), _) if matches!(pass.report.policy, PolicyReport::Denied(_)) => {}
        (Some(problem), old) if old.is_none_or(|old| old.message != problem.message) => {
            news.push((Reason::Degraded, format!("{}: {}", problem.reason, problem.message)));
        }
        (None, Some(old)) => news.push((Reason::Recovered, format!("no longer: {}", old.message))),
        _ => {}
    }
}
