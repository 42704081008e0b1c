//! From a decision to a write.

use serde_json::json;

use super::super::act::{Gate, Write, capped, standing, write};
use super::super::carry::{Stood, settled};
use super::super::now::{Hpa, Replicas};
use super::super::subject::Unmeasured;
use super::{class, class_with, decided, deployment, of, parts_of, replicas, second, spec, steady};
use crate::api::DeploymentRecordStatus;
use crate::audit::{Outcome, WhyNot};
use crate::cluster::ClusterError;
use crate::cluster::scale::Reach;
use crate::decision::nfr::Action;
use crate::policy::{Dimension, Facts};

const MIB: f64 = 1_048_576.0;

#[test]
fn a_number_is_written_to_the_object_that_has_it_and_a_request_to_the_status() {
    let class = class("enforce", &["replicas", "cpu", "memory"]);
    let (part, all) = decided(&class, &replicas(2), &steady(1.6, 300.0 * MIB));
    let field = deployment();

    let found = write(&part, of(&all, "replicas"), (Some(&replicas(2)), Some(&field)), second(0));
    let Some(Write::Scale { owned, reach, taken_back, .. }) = found else { panic!("{found:?}") };
    let enforced = owned.enforced.unwrap();
    assert_eq!((enforced.target, enforced.at, reach, taken_back), (4, second(0), Reach::Seen, None));

    let found = write(&part, of(&all, "cpu"), (Some(&replicas(2)), Some(&field)), second(0));
    let Some(Write::Render(entry)) = found else { panic!("{found:?}") };
    assert_eq!((entry.dimension.as_str(), entry.target.as_str(), entry.base.as_deref()), ("cpu", "920m", Some("500m")));
    assert!(entry.policy.unwrap().starts_with("Recommendation/cpu/usage@"));

    // 300 MiB and 15 %, from 128 MiB: doubled at most in one step.
    let found = write(&part, of(&all, "memory"), (Some(&replicas(2)), Some(&field)), second(0));
    let Some(Write::Render(entry)) = found else { panic!("{found:?}") };
    assert_eq!(
        (entry.target.as_str(), entry.policy.as_deref().map(|rule| rule.contains("bounded-change"))),
        ("256Mi", Some(true))
    );
}

#[test]
fn what_is_rendered_has_not_happened_where_its_status_could_not_be_written() {
    let class = class("enforce", &["replicas", "memory"]);
    let (part, all) = decided(&class, &replicas(2), &steady(1.6, 300.0 * MIB));
    let decided = [(&part, all)];
    let outcomes = |memory: Outcome| vec![(0, Dimension::Replicas, Outcome::Applied), (0, Dimension::Memory, memory)];
    let settle = |stood: &Stood| settled(&decided, outcomes(Outcome::Applied), stood);
    assert_eq!(settle(&Stood::Written(None)), outcomes(Outcome::Applied));
    assert_eq!(settle(&Stood::NoRight), outcomes(Outcome::WouldApply { because: WhyNot::NoRight }));
    let failed = Stood::Failed(ClusterError::Gone);
    assert_eq!(settle(&failed), outcomes(Outcome::Failed { error: ClusterError::Gone.to_string() }));
}

#[test]
fn what_was_applied_stands_while_a_class_is_not_measured_and_goes_with_its_mode() {
    let entry = json!({"component": "f", "dimension": "memory", "target": "345Mi", "base": "128Mi"});
    let status: DeploymentRecordStatus =
        serde_json::from_value(json!({"last_applied_recommendations": [entry]})).unwrap();
    assert_eq!(Unmeasured::NotNow.standing(&status), status.last_applied_recommendations);
    assert!(!status.last_applied_recommendations.is_empty() && Unmeasured::Off.standing(&status).is_empty());
}

#[test]
fn a_hold_and_a_number_that_is_nobodys_of_ours_to_write_are_no_write() {
    let class = class("enforce", &["replicas"]);
    let (part, all) = decided(&class, &replicas(4), &steady(1.5, 100.0 * MIB));
    let held = of(&all, "replicas");
    assert_eq!(held.decision.action, Action::Hold);
    assert!(write(&part, held, (Some(&replicas(4)), Some(&deployment())), second(0)).is_none());
    let (part, all) = decided(&class, &replicas(2), &steady(1.6, 100.0 * MIB));
    assert!(of(&all, "replicas").is_change());
    assert!(write(&part, of(&all, "replicas"), (Some(&replicas(2)), None), second(0)).is_none());
}

#[test]
fn a_number_that_somebody_set_is_taken_back_by_force_and_that_is_told() {
    let class = class("enforce", &["replicas"]);
    let theirs = Replicas { set_at: Some(second(-3600)), changed_by: Some("kubectl".to_owned()), ..replicas(2) };
    let (part, all) = decided(&class, &theirs, &steady(1.6, 100.0 * MIB));
    let found = write(&part, of(&all, "replicas"), (Some(&theirs), Some(&deployment())), second(0));
    let Some(Write::Scale { reach, taken_back, .. }) = found else { panic!("{found:?}") };
    assert_eq!((reach, taken_back.as_deref()), (Reach::Forced, Some("kubectl")));
    // One that is ours and theirs alike, because they set the very number that was wanted, is ours to change.
    let (part, all) = decided(&class, &replicas(2), &steady(1.6, 100.0 * MIB));
    let owner =
        |manager: &str| json!({"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}});
    let mut shared = deployment();
    shared.meta.managed_fields = serde_json::from_value(json!([owner("oprc-crm-scale"), owner("kubectl")])).unwrap();
    let found = write(&part, of(&all, "replicas"), (Some(&replicas(2)), Some(&shared)), second(0));
    let Some(Write::Scale { reach, taken_back, .. }) = found else { panic!("{found:?}") };
    assert_eq!((reach, taken_back), (Reach::Forced, None));
    // Within the grace nothing is done.
    let fresh = Replicas { set_at: Some(second(-60)), ..theirs };
    let (_, all) = decided(&class, &fresh, &steady(1.6, 100.0 * MIB));
    assert!(of(&all, "replicas").decision.by.is("manual-change"));
}

#[test]
fn what_keeps_a_class_from_its_target_is_a_cap_and_nothing_else_is() {
    let class = class("enforce", &["replicas"]);
    let scaled = Replicas {
        hpa: Some(Hpa { min_replicas: 2, max_replicas: 2, desired: None, targets_cpu: true }),
        ..replicas(2)
    };
    let (part, all) = decided(&class, &scaled, &steady(1.6, 100.0 * MIB));
    // The shipped policy leaves an autoscaler alone while the feature is off: a hold, no cap.
    assert!(of(&all, "replicas").decision.by.is("hpa-off"));
    assert!(capped(&part, of(&all, "replicas")).is_none());
    let (part, all) = decided(&class, &replicas(20), &steady(30.0, 100.0 * MIB));
    let problem = capped(&part, of(&all, "replicas")).unwrap();
    assert!(
        problem.message.starts_with("replicas of f stays at 20, though 75 is recommended: "),
        "{}",
        problem.message
    );
    let (part, all) = decided(&class, &replicas(4), &steady(1.5, 100.0 * MIB));
    assert!(capped(&part, of(&all, "replicas")).is_none());
}

#[test]
fn what_was_applied_stands_as_long_as_it_is_enforced_and_its_base_is_the_same_or_below_it() {
    let entry = json!({
        "component": "f", "dimension": "cpu", "target": "920m", "base": "500m", "applied_at": "2026-01-01T00:00:00Z",
        "policy": "Recommendation/cpu/usage@r",
    });
    let status = json!({"last_applied_recommendations": [entry]});
    let typed: DeploymentRecordStatus = serde_json::from_value(status.clone()).unwrap();
    let stands = |spec: &serde_json::Value, feature: bool| {
        let class = class_with(spec, &status);
        let part = parts_of(&class).remove(0);
        standing(&part, Some(&replicas(2)), &typed, &Gate { feature, right: true, class: &class }).len()
    };
    let enforced = spec("enforce", &["cpu"]);
    assert_eq!(stands(&enforced, true), 1);
    assert_eq!(stands(&enforced, false), 1, "the feature off writes nothing, and takes nothing back");
    assert_eq!(stands(&spec("observe", &["cpu"]), true), 0);
    assert_eq!(stands(&spec("enforce", &["memory"]), true), 0);
    let mut other = enforced.clone();
    other["functions"][0]["resources"]["cpu_request"] = json!("600m");
    assert_eq!(stands(&other, true), 1, "what stands above it goes by the safeguards");
    other["functions"][0]["resources"]["cpu_request"] = json!("1");
    assert_eq!(stands(&other, true), 0, "more than what was applied is stated");
    other["functions"][0]["resources"]["cpu_request"] = json!("0.5");
    assert_eq!(stands(&other, true), 1, "the same, written otherwise");
}

#[test]
fn what_was_applied_stands_while_there_is_no_workload_that_could_say_so() {
    let entry = json!({"component": "f", "dimension": "replicas", "target": "10", "base": "1"});
    let status: DeploymentRecordStatus =
        serde_json::from_value(json!({"last_applied_recommendations": [entry]})).unwrap();
    let stands = |mode: &str, replicas: Option<&Replicas>| {
        let class = class(mode, &["replicas"]);
        standing(&parts_of(&class)[0], replicas, &status, &Gate { feature: true, right: true, class: &class }).len()
    };
    assert_eq!(stands("enforce", None), 1);
    assert_eq!(stands("enforce", Some(&replicas(2))), 0, "its number says itself what stands");
    assert_eq!(stands("observe", None), 0);
}

#[test]
fn pods_that_are_ready_are_told_where_an_autoscaler_decides_how_many_there_are() {
    let told = |replicas: &Replicas| {
        let mut facts = Facts::default();
        replicas.bind(&mut facts);
        facts.has("component.ready_replicas")
    };
    let plain = replicas(2);
    let hpa = Some(Hpa { min_replicas: 1, max_replicas: 9, desired: Some(5), targets_cpu: true });
    assert_eq!(
        [&plain, &Replicas { hpa, ..plain.clone() }, &Replicas { knative: true, ..plain.clone() }].map(told),
        [false, true, true]
    );
    let mut facts = Facts::default();
    Replicas { hpa, ..plain.clone() }.bind(&mut facts);
    assert!(facts.has("current.hpa.desired_replicas"));
}
