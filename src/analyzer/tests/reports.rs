//! The analyzer's part of a status: written where it says something else, and only there.

use serde_json::json;

use super::super::decide::Decided;
use super::super::report::{Observed, analysis};
use super::{class, class_with, decided, parts_of, replicas, second, steady};
use crate::api::DeploymentRecordStatus;
use crate::signals::{Fault, FaultKind};

const MIB: f64 = 1_048_576.0;

fn whole() -> Observed {
    Observed::Measured(Vec::new())
}

#[test]
fn a_recommendation_is_no_news_while_only_its_basis_moves() {
    let class = class("observe", &["replicas"]);
    let (part, before) = decided(&class, &replicas(2), &steady(1.50, 100.0 * MIB));
    let status = DeploymentRecordStatus::default();
    let first = analysis(&status, (&whole(), 1), &[(&part, before)], Vec::new(), second(0));
    assert!(!first.stands_in(&status));
    let status = first.over(&status);
    assert_eq!(status.nfr_recommendations.len(), 3, "replicas, cpu, memory: {:?}", status.nfr_recommendations);

    let (part, later) = decided(&class, &replicas(2), &steady(1.52, 100.0 * MIB));
    let replicas_only = |all: Vec<Decided>| all.into_iter().filter(|one| one.dimension.name() == "replicas").collect();
    let of_before: Vec<Decided> = replicas_only(decided(&class, &replicas(2), &steady(1.50, 100.0 * MIB)).1);
    let of_later: Vec<Decided> = replicas_only(later);
    let basis = |all: &[Decided]| all[0].decision.recommendation.as_ref().unwrap().basis.clone();
    assert_ne!(basis(&of_later), basis(&of_before));
    let base =
        analysis(&DeploymentRecordStatus::default(), (&whole(), 1), &[(&part, of_before)], Vec::new(), second(0));
    let stands = base.over(&DeploymentRecordStatus::default());
    let again = analysis(&stands, (&whole(), 1), &[(&part, of_later)], Vec::new(), second(3600));
    assert!(again.stands_in(&stands), "{again:?}");

    let (part, other) = decided(&class, &replicas(2), &steady(2.5, 100.0 * MIB));
    let news = analysis(&stands, (&whole(), 1), &[(&part, other)], Vec::new(), second(3600));
    assert!(!news.stands_in(&stands));
}

#[test]
fn the_data_grid_and_a_function_of_its_name_have_entries_of_their_own() {
    let names = |keys: &[&str]| -> Vec<String> {
        let functions: Vec<_> = keys.iter().map(|key| json!({"function_key": key, "image": "a/b:1"})).collect();
        let spec = json!({"functions": functions, "odgm_config": {"collections": ["c"]}, "selected_template": "edge"});
        parts_of(&class_with(&spec, &json!({}))).iter().map(|part| part.name().to_owned()).collect()
    };
    assert_eq!(names(&["f"]), ["odgm", "f"]);
    assert_eq!(names(&["odgm"]), ["odgm+grid", "odgm"]);
    assert_eq!(names(&["odgm+grid", "odgm"]), ["odgm+grid+", "odgm+grid", "odgm"]);
}

#[test]
fn a_rule_that_asks_for_the_same_as_another_is_no_news_and_one_that_asks_for_more_is() {
    let class = class("observe", &["replicas"]);
    let with = |target: f64, rule: &str, revision: &str| {
        let (part, all) = decided(&class, &replicas(2), &steady(1.5, 100.0 * MIB));
        let mut all: Vec<Decided> = all.into_iter().filter(|one| one.dimension.name() == "replicas").collect();
        all[0].decision.revision = revision.to_owned();
        let found = all[0].decision.recommendation.as_mut().unwrap();
        (found.target, found.rule) = (target, rule.to_owned());
        (part, all)
    };
    let report = |(part, all): (_, Vec<Decided>), before: &DeploymentRecordStatus| {
        analysis(before, (&whole(), 1), &[(&part, all)], Vec::new(), second(0))
    };
    let none = DeploymentRecordStatus::default();
    let stands = report(with(3.0, "Recommendation/replicas/availability", "r1@c"), &none).over(&none);
    let is_news = |found| !report(found, &stands).stands_in(&stands);
    assert!(!is_news(with(3.0, "Recommendation/replicas/cpu-demand", "r1@c")));
    assert!(is_news(with(4.0, "Recommendation/replicas/cpu-demand", "r1@c")));
    assert!(is_news(with(3.0, "Recommendation/replicas/availability", "r2@c")), "another revision stands by it");
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes_and_names_each_fault_once() {
    let none = DeploymentRecordStatus::default();
    let measured = analysis(&none, (&whole(), 1), &[], Vec::new(), second(0)).over(&none);
    let again = analysis(&measured, (&whole(), 1), &[], Vec::new(), second(600));
    assert!(again.stands_in(&measured));

    let fault = || Fault::new(FaultKind::NoSeries, "the query gives no series of its pods");
    let missing = ["a", "b"].map(|component| (component.to_owned(), "cpu".to_owned(), fault()));
    let blind = analysis(&measured, (&Observed::Measured(missing.to_vec()), 1), &[], Vec::new(), second(600));
    let status = blind.over(&measured);
    let condition = &status.conditions[0];
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "NoSeries"));
    assert_eq!(condition.message, "no data of cpu for a, b: the query gives no series of its pods");
    assert_eq!(condition.last_transition_time.0, second(600));
    let still = analysis(&status, (&Observed::Measured(missing.to_vec()), 1), &[], Vec::new(), second(1200));
    assert!(still.stands_in(&status));
}

#[test]
fn what_is_not_to_be_measured_leaves_nothing_of_the_analyzer_and_everything_of_others() {
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "reason": "R", "message": "m",
               "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1})
    };
    let status: DeploymentRecordStatus = serde_json::from_value(json!({
        "phase": "Available", "conditions": [condition("Available"), condition("NfrObserved")],
        "nfr_recommendations": [{"component": "f", "dimension": "cpu", "target": "1"}],
    }))
    .unwrap();
    let off = analysis(&status, (&Observed::Off, 1), &[], Vec::new(), second(0));
    assert!(!off.stands_in(&status));
    let after = off.clone().over(&status);
    assert_eq!((after.conditions.len(), after.conditions[0].type_.as_str()), (1, "Available"));
    assert!(after.nfr_recommendations.is_empty() && after.phase == status.phase);
    assert!(off.stands_in(&after));
}
