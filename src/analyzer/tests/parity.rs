//! The backtest, the runner of policy tests and the loop itself over one load: the same decisions at the same moments.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::component::Limits;
use super::super::decide::{Frame, Known, decide};
use super::super::now::{Replicas, Since};
use super::{class, of, parts_of, policy, setting};
use crate::api::DeploymentRecordStatus;
use crate::backtest::{Assumptions, Bench, ByPolicy, Demand, Unit, run};
use crate::decision::nfr::{Action, Grid};
use crate::decision::play::Play;
use crate::policy::{Dimension, Given, Scene, Series};

const START: i64 = 1_767_225_600;
const STEP: i64 = 30;
const FIRST: u32 = 2;

/// Cores at each step: calm, a peak that lasts, noise, a spike, and calm again.
fn load() -> Vec<f64> {
    let at = |step: u32| match step {
        20..80 => 3.1,
        100..104 => 2.4,
        _ => 0.7 + if step.is_multiple_of(2) { 0.05 } else { -0.05 },
    };
    (0..240).map(at).collect()
}

/// Changes as seconds from the start, and targets.
type Changes = Vec<(i64, f64)>;

fn by_backtest(load: &[f64]) -> Changes {
    let policy = policy();
    // Pods that are there at once and bear everything: then what is measured is the load, as in the other two.
    let assume =
        Assumptions { start_up: 0, pod_cores: 100.0, most: 20.0, least: f64::from(FIRST), ..Assumptions::default() };
    let bench = Bench { policy: &policy, profile: "edge".to_owned(), given: Given::default(), interval: STEP, assume };
    let demand = Demand {
        name: "shop".to_owned(),
        start: START,
        step: STEP,
        values: load.iter().map(|value| Some(*value)).collect(),
        notes: Vec::new(),
    };
    let mut scaler = ByPolicy::new(&bench, START, f64::from(FIRST)).unwrap();
    let found = run(&demand, Unit::Cores, &assume, (&mut scaler, f64::from(FIRST)), false);
    found.marks.into_iter().map(|mark| (mark.at - START, mark.to)).collect()
}

fn by_test_runner(load: &[f64]) -> Changes {
    let mut text = format!(
        "given: {{profile: edge, component: {{cpu_request: 0.5}}, current: {{replicas: {FIRST}}}}}\nnow: 2026-01-01T00:00:00Z\n\
         step: 30s\nseries:\n  - signal: cpu\n    values: '_"
    );
    for value in load {
        write!(text, " {value}").unwrap();
    }
    text.push_str("'\n");
    let policy = policy();
    let scene = Scene::read("load.yaml", &text).unwrap();
    let mut play = Play::new(&policy, &scene.timeline, Dimension::Replicas, ("edge", &scene.given), None).unwrap();
    let mut changes = Vec::new();
    for step in 1..=i64::try_from(load.len()).unwrap() {
        let elapsed = Duration::from_secs(u64::try_from(step * STEP).unwrap());
        let decision = play.decide(elapsed);
        if let Action::Apply { target } = decision.action {
            changes.push((step * STEP, target));
        }
        play.apply(&decision, elapsed);
    }
    changes
}

fn by_loop(load: &[f64]) -> Changes {
    let class = class("enforce", &["replicas"]);
    let part = parts_of(&class).remove(0);
    let (policy, setting, status) = (policy(), setting(), DeploymentRecordStatus::default());
    let moment = |seconds: i64| Timestamp::from_second(START + seconds).unwrap();
    let mut replicas = Replicas {
        current: FIRST,
        ready: FIRST,
        set_at: None,
        changed_by: None,
        enforced: None,
        hpa: None,
        knative: false,
    };
    let mut changes = Vec::new();
    for step in 1..=load.len() {
        let now = i64::try_from(step).unwrap() * STEP;
        let points = load.iter().take(step).zip(1_i64..).map(|(value, step)| (moment(step * STEP), *value));
        let cpu = Arc::new(Series::new(points).unwrap());
        let samples = BTreeMap::from([("cpu".to_owned(), cpu)]);
        let frame = Frame {
            policy: &policy,
            setting: &setting,
            limits: Limits { max_replicas: 20.0, cpu_per_pod: 0.5 },
            grid: Grid::new(Duration::from_secs(30), Duration::ZERO).unwrap(),
            now: moment(now),
            kept: false,
        };
        let since = Since { generation: Timestamp::MIN, revision: Timestamp::MIN };
        let known =
            Known { class: &class, status: &status, part: &part, replicas: Some(&replicas), since, samples: &samples };
        let all = decide(&frame, &known);
        if let Action::Apply { target } = of(&all, "replicas").decision.action {
            changes.push((now, target));
            let current = (0..=20_u32).find(|count| (f64::from(*count) - target).abs() < 1e-9).unwrap();
            replicas = Replicas { current, ready: current, set_at: Some(moment(now)), ..replicas };
        }
    }
    changes
}

#[test]
fn the_backtest_the_test_runner_and_the_loop_decide_the_same_over_the_same_load() {
    let load = load();
    let found = by_loop(&load);
    let highest = found.iter().map(|(_, target)| *target).fold(0.0, f64::max);
    assert!(found.len() >= 6 && highest >= 8.0, "the load gives something to decide: {found:?}");
    assert_eq!(by_test_runner(&load), found);
    assert_eq!(by_backtest(&load), found);
}
