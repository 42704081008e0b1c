//! The log as the controller writes it: entries through the thread, policies beside them, and each line decided again.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{at, messages, verified};
use crate::audit::{
    Bundles, DecisionLog, Entry, Limits, Line, LogError, Outcome, RecordRef, Target, WhyNot, beside, replay,
};
use crate::decision::nfr::{Action, Grid, Inputs, Question, Range, Samples, State, decide};
use crate::policy::{self, ComponentKind, Dimension, FactValue, Facts, File, Series};
use crate::rollout::{Loaded, Origin, load};
use crate::telemetry::metrics::Metrics;

const PATIENCE: Duration = Duration::from_secs(20);

/// A small policy: enough replicas for the CPU that is used, at most so many.
pub(super) fn policy(most: u32) -> Loaded {
    let text = include_str!("policy.yaml").replace("MOST", &format!("{most}.0"));
    let file = File { name: "policy.yaml".to_owned(), text };
    let inputs = policy::Inputs { profile: "edge".to_owned(), ..policy::Inputs::default() };
    load(Origin::Directory("policies".to_owned()), vec![file], Vec::new(), &inputs, None).unwrap()
}

/// A decision about a class whose load has been at `cores` for five minutes.
pub(super) fn entry(loaded: &Loaded, cores: f64, current: f64, outcome: Outcome) -> Entry {
    let now = at(300);
    let points = (0..=10).map(|index| (at(index * 30), cores));
    let samples = Samples::from([("cpu".to_owned(), Arc::new(Series::new(points).unwrap()))]);
    let long_ago = Timestamp::from_second(1_767_000_000).unwrap();
    let state = State {
        current,
        applied_at: None,
        changed_by: None,
        generation_since: long_ago,
        revision_since: long_ago,
        recommended: None,
    };
    let mut facts = Facts::default();
    facts.set("class.name", FactValue::Text("checkout".to_owned()));
    facts.set("component.cpu_request", FactValue::Number(0.5));
    facts.set("current.ready_replicas", FactValue::Number(current));
    let question = Question {
        component: ComponentKind::Function,
        dimension: Dimension::Replicas,
        state: &state,
        range: Range::replicas(false, 20.0, None),
        samples: &samples,
        grid: Grid::new(Duration::from_secs(30), Duration::ZERO).unwrap(),
        now,
    };
    let decision = decide(&loaded.policy, &mut facts, &question);
    Entry {
        record: RecordRef {
            namespace: "shop".to_owned(),
            name: "checkout".to_owned(),
            uid: "0b7c7a52-5d0f-4a0e-9a53-3b8d6a1f2c11".to_owned(),
            generation: 3,
        },
        component: "checkout".to_owned(),
        inputs: Inputs::capture(&facts, &question, &loaded.policy),
        decision,
        outcome,
        policy: Arc::clone(&loaded.policy),
        source: Arc::clone(&loaded.source),
    }
}

fn start(path: &Path, metrics: &Arc<Metrics>) -> Result<DecisionLog, LogError> {
    let limits = Limits { bytes: 1 << 20, kept: 4 };
    DecisionLog::start(Target::File { path: path.to_owned(), limits }, "pod-1", Arc::clone(metrics))
}

fn lines(path: &Path) -> Vec<Vec<u8>> {
    fs::read(path).unwrap().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn each_line_of_a_log_is_decided_again_by_the_policy_that_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    let metrics = Arc::new(Metrics::default());
    let log = start(&path, &metrics).unwrap();
    let (ten, three) = (policy(10), policy(3));
    let entries = [
        entry(&ten, 3.0, 4.0, Outcome::Applied),
        entry(&three, 3.0, 4.0, Outcome::Held),
        entry(&ten, 3.0, 4.0, Outcome::WouldApply { because: WhyNot::Mode }),
        entry(&three, 3.0, 2.0, Outcome::Failed { error: "409: somebody else owns it".to_owned() }),
    ];
    assert_eq!(entries[0].decision.action, Action::Apply { target: 8.0 });
    assert_eq!(entries[1].decision.action, Action::Hold);
    assert_eq!(entries[3].decision.action, Action::Apply { target: 3.0 });
    entries.iter().cloned().for_each(|entry| log.record(entry));
    assert!(log.close(PATIENCE));
    let lines = lines(&path);
    assert_eq!(lines.len(), 5);
    let head = log.standing().head.unwrap().1;
    let bytes = lines.concat();
    assert_eq!(messages(&verified([("log", bytes.as_slice())], Some(&head))), Vec::<String>::new());
    assert_eq!(fs::read_dir(beside(&path)).unwrap().count(), 2, "each policy once");
    let bundles = Bundles::in_dir(&beside(&path));
    for (line, entry) in lines[1..].iter().zip(&entries) {
        let line = Line::read(line).unwrap();
        let decided = line.decided().unwrap();
        assert_eq!((&decided.record, &decided.outcome), (&entry.record, &entry.outcome));
        assert_eq!((&*decided.revision, &*line.instance), (entry.policy.revision(), "pod-1"));
        let source = bundles.find(&decided.revision, &decided.bundle_id).unwrap();
        let replayed = replay(&decided, &source).unwrap();
        assert_eq!(replayed.difference, None);
        assert_eq!((replayed.decision.action, &replayed.decision.by), (entry.decision.action, &entry.decision.by));
        assert!(decided.decision.contains("\"value\":\"0.5\""), "rules carry what they read: {}", decided.decision);
        // By another policy it is another decision, and the first difference is told.
        let other = if entry.source == ten.source { &three.source } else { &ten.source };
        let told = replay(&decided, other).unwrap().difference.unwrap();
        assert!(told.starts_with("revision: the line has "), "{told}");
    }
    let text = metrics.text();
    for line in
        [format!("oprc_crm_decision_log_head{{hash=\"{head}\"}} 1"), "oprc_crm_decision_log_lines_total 4".to_owned()]
    {
        assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
    }
    let page = log.page();
    assert_eq!(
        (page["head"].as_str(), page["seq"].as_u64(), page["lost"].as_u64()),
        (Some(head.as_str()), Some(5), Some(0))
    );
}

#[test]
fn an_edited_decision_is_not_what_is_decided_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    let loaded = policy(10);
    let log = start(&path, &Arc::default()).unwrap();
    log.record(entry(&loaded, 3.0, 4.0, Outcome::Applied));
    assert!(log.close(PATIENCE));
    let line = String::from_utf8(lines(&path).remove(1)).unwrap();
    for (from, to, told) in [
        (
            "\"target\":8.0,\"window\"",
            "\"target\":9.0,\"window\"",
            "decision.target: the line has 9.0, deciding again gives 8.0",
        ),
        ("\"current\":4.0", "\"current\":5.0", "decision.bounds[0].at_least: the line has 2.0, deciding again gives "),
        ("\"confidence\":1.0", "\"confidence\":1.00", "decision: the same values in other bytes, from byte "),
        (
            "\"binds\":false",
            "\"bonds\":false",
            "decision.bounds[0].bonds: the line has false, deciding again gives nothing",
        ),
    ] {
        assert!(line.contains(from), "{from} in {line}");
        let edited = line.replacen(from, to, 1);
        let edited = Line::read(edited.as_bytes()).unwrap();
        let difference = replay(&edited.decided().unwrap(), &loaded.source).unwrap().difference.unwrap_or_default();
        assert!(difference.starts_with(told), "{difference} / {told}");
    }
}

#[test]
fn a_kept_policy_that_was_edited_is_not_taken_for_the_one_that_decided() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    let log = start(&path, &Arc::default()).unwrap();
    let (ten, three) = (policy(10), policy(3));
    log.record(entry(&ten, 3.0, 4.0, Outcome::Applied));
    log.record(entry(&three, 3.0, 4.0, Outcome::Held));
    assert!(log.close(PATIENCE));
    let mut kept: Vec<_> = fs::read_dir(beside(&path)).unwrap().map(|one| one.unwrap().path()).collect();
    kept.sort();
    fs::copy(&kept[0], &kept[1]).unwrap();
    let bundles = Bundles::in_dir(&beside(&path));
    let found: Vec<_> = lines(&path)[1..]
        .iter()
        .map(|line| {
            let line = Line::read(line).unwrap();
            let decided = line.decided().unwrap();
            bundles.find(&decided.revision, &decided.bundle_id).map_err(|error| error.to_string())
        })
        .collect();
    let errors: Vec<&String> = found.iter().filter_map(|one| one.as_ref().err()).collect();
    assert!(errors.len() == 1 && errors[0].contains("is not the policy that decided: its hash is "), "{errors:?}");
    let error = bundles.find("0123", "4567").unwrap_err().to_string();
    assert!(error.starts_with("the policy 0123 is not kept in ") && error.ends_with("with --bundles"), "{error}");
}

#[test]
fn a_log_has_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    let log = start(&path, &Arc::default()).unwrap();
    let error = start(&path, &Arc::default()).err().unwrap().to_string();
    assert!(error.contains("another process writes") && error.contains("needs a log of its own"), "{error}");
    assert!(log.close(PATIENCE));
    let again = start(&path, &Arc::default()).unwrap();
    again.record(entry(&policy(10), 3.0, 4.0, Outcome::Applied));
    assert!(again.close(PATIENCE));
}

#[test]
fn a_log_that_is_off_takes_entries_and_tells_nothing() {
    let log = DecisionLog::off();
    log.record(entry(&policy(10), 3.0, 4.0, Outcome::Applied));
    assert!(!log.is_on() && log.page().is_null() && log.close(Duration::ZERO));
}

#[tokio::test]
async fn what_is_about_to_be_done_is_on_the_disk_before_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    let log = start(&path, &Arc::default()).unwrap();
    let loaded = policy(10);
    let results = || -> Vec<bool> {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n'), "{text}");
        text.lines().filter(|line| line.contains("\"result\"")).map(|line| line.contains("\"begun\"")).collect()
    };
    log.record_first(entry(&loaded, 2.0, 4.0, Outcome::Begun)).await;
    assert_eq!(results(), [true]);
    log.record(entry(&loaded, 2.0, 4.0, Outcome::Applied));
    // The next one waits for what was recorded before it, too.
    log.record_first(entry(&loaded, 2.0, 4.0, Outcome::Begun)).await;
    assert_eq!(results(), [true, false, true]);
    assert!(log.close(PATIENCE));
}

#[test]
fn lines_that_find_no_place_to_wait_are_counted_and_marked_and_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    let limits = Limits { bytes: u64::MAX, kept: 4 };
    let log = DecisionLog::start(Target::File { path: path.clone(), limits }, "pod-1", Arc::default()).unwrap();
    let (loaded, count) = (policy(10), 12_000);
    let entry = entry(&loaded, 3.0, 4.0, Outcome::Applied);
    let begun = std::time::Instant::now();
    (0..count).for_each(|_| log.record(entry.clone()));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(log.close(PATIENCE * 6));
    let (lost, bytes) = (log.standing().lost, fs::read(&path).unwrap());
    let report = verified([("log", bytes.as_slice())], None);
    assert_eq!(messages(&report), Vec::<String>::new());
    assert!(lost > 0, "the writer is slower than the loop here, else this shows nothing");
    assert_eq!((report.summary.lost, report.summary.decisions), (lost, count - lost));
}

#[test]
fn what_holds_a_change_is_told_once_and_what_changes_something_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    let log = start(&path, &Arc::default()).unwrap();
    let (ten, three) = (policy(10), policy(3));
    let held = entry(&three, 3.0, 4.0, Outcome::Held);
    let applied = entry(&ten, 3.0, 4.0, Outcome::Applied);
    let would = |because| entry(&ten, 3.0, 4.0, Outcome::WouldApply { because });
    let steady = entry(&ten, 1.5, 4.0, Outcome::Held);
    assert_eq!(steady.decision.by.to_string(), "dead-band");
    let wants = |entry: &Entry| log.wants(&entry.record.uid, &entry.component, &entry.decision);
    assert!(wants(&held) && wants(&applied) && !wants(&steady));
    log.record(held.clone());
    assert!(!wants(&held), "the same rule holds it again");
    // Told: 1 held, 2 applied, 3 applied, 4 would, 5 would for another reason, 6 held again.
    let all = [
        held.clone(),
        steady,
        held.clone(),
        applied.clone(),
        applied,
        would(WhyNot::Mode),
        would(WhyNot::Mode),
        would(WhyNot::Gate),
        held.clone(),
        held.clone(),
    ];
    for entry in all {
        log.record(entry);
    }
    let other = Entry { component: "other".to_owned(), ..held.clone() };
    log.record(other);
    log.retain(|_| false);
    log.record(held);
    assert!(log.close(PATIENCE));
    let outcomes: Vec<Outcome> =
        lines(&path).iter().filter_map(|line| Some(Line::read(line).unwrap().decided()?.outcome)).collect();
    let would = |because| Outcome::WouldApply { because };
    assert_eq!(
        outcomes,
        [
            Outcome::Held,
            Outcome::Applied,
            Outcome::Applied,
            would(WhyNot::Mode),
            would(WhyNot::Gate),
            Outcome::Held,
            Outcome::Held,
            Outcome::Held,
        ]
    );
}
