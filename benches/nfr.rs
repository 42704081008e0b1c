//! How long one decision about replicas takes, with the shipped bundle and without explaining:
//! `cargo bench --bench nfr`. Beside it the same rules written by hand in Rust.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use oprc_crm::api::{DeploymentRecord, DeploymentRecordSpec, FunctionShorthand, NfrRequirements};
use oprc_crm::decision::nfr::{Action, Grid, NfrDecision, Question, Range, Samples, State, decide};
use oprc_crm::decision::{ClusterFacts, Features, Setting, facts};
use oprc_crm::model::parse;
use oprc_crm::policy::{ComponentKind, Dimension, FactValue, Facts, Inputs, Policy, Series};

type Failure = Box<dyn std::error::Error>;

const START: i64 = 1_767_225_600;
const STEP: i64 = 30;

/// The facts of a function with a throughput promised.
fn bound() -> Result<Facts, Failure> {
    let spec = DeploymentRecordSpec {
        function: Some(FunctionShorthand { image: "registry.example/team/app:1.2".to_owned(), port: None }),
        nfr_requirements: Some(NfrRequirements {
            min_throughput_rps: Some(900),
            availability_pct: Some(99.9),
            ..NfrRequirements::default()
        }),
        ..DeploymentRecordSpec::default()
    };
    let class = parse(&DeploymentRecord::new("hello", spec))?;
    let setting = Setting {
        profile: "full".to_owned(),
        features: Features { prometheus: true, nfr_enforcement: true, hpa: true, ..Features::default() },
        cluster: ClusterFacts::default(),
    };
    let mut bound = facts(&class, &setting);
    for (path, value) in [
        ("component.cpu_request", 0.5),
        ("limits.max_replicas", 20.0),
        ("limits.req_cpu_per_pod", 0.5),
        ("current.ready_replicas", 8.0),
    ] {
        bound.set(path, FactValue::Number(value));
    }
    for (path, text) in [("component.kind", "function"), ("component.workload", "Deployment")] {
        bound.set(path, FactValue::Text(text.to_owned()));
    }
    Ok(bound)
}

/// Forty minutes of samples, low and then at a level.
fn series(before: f64, after: f64, turn: i64) -> Result<Arc<Series>, Failure> {
    let mut points = Vec::new();
    for index in 0..80 {
        let value = if index < turn { before } else { after };
        points.push((Timestamp::from_second(START + index * STEP)?, value));
    }
    Ok(Arc::new(Series::new(points)?))
}

/// A story that ends in one decision.
struct Story {
    name: &'static str,
    samples: Samples,
    replicas: f64,
}

fn stories() -> Result<Vec<Story>, Failure> {
    let story = |name, (before, after, turn): (f64, f64, i64), replicas| -> Result<Story, Failure> {
        let cpu = ("cpu".to_owned(), series(before, after, turn)?);
        let rps = ("rps".to_owned(), series(before * 100.0, after * 100.0, turn)?);
        Ok(Story { name, samples: Samples::from([cpu, rps]), replicas })
    };
    Ok(vec![
        story("steady: one point, nothing is asked for", (3.0, 3.0, 0), 8.0)?,
        story("rise: one point, all safeguards", (3.0, 6.0, 78), 8.0)?,
        story("fall: six points, all safeguards", (1.0, 1.0, 0), 8.0)?,
        story("trough: the window does not agree", (3.0, 0.5, 75), 8.0)?,
    ])
}

/// The same decision by hand: the shipped rules, their windows, bounds and steps; without names, words or traces.
fn by_hand(story: &Story, now: i64) -> Option<f64> {
    let window = |name: &str, at: i64, length: i64| {
        let points = story.samples.get(name).map(|series| series.points()).unwrap_or_default();
        let from = points.partition_point(|(time, _)| *time <= at - length);
        let to = points.partition_point(|(time, _)| *time <= at);
        points.get(from..to).unwrap_or_default()
    };
    let most = |points: &[(i64, f64)]| points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let asked = |at: i64| {
        let ten = window("cpu", at, 600_000);
        let jump: f64 = ten.windows(2).filter_map(|two| Some((two.last()?.1 - two.first()?.1).abs())).sum();
        #[expect(clippy::cast_precision_loss, reason = "a few points")]
        let step = jump / (ten.len().saturating_sub(1)).max(1) as f64;
        let cpu = (most(window("cpu", at, 120_000)) + step) / (0.5 * 0.8);
        let rps = most(window("rps", at, 120_000)) / 500.0;
        cpu.max(rps).max(2.0)
    };
    let current = story.replicas;
    let newest = asked(now);
    if newest > current * 1.1 {
        let target = newest.ceil().min(current + (current * 1.0).ceil().max(1.0)).min(20.0).min(current * 2.0);
        return (target > current).then_some(target);
    }
    if newest.ceil() < current && newest < current * 0.9 {
        let highest = (0..6).map(|back| asked(now - back * STEP * 1000)).fold(0.0, f64::max);
        if highest.ceil() < current && highest < current * 0.9 {
            let target = highest.ceil().max(current - (current * 0.3).floor().max(1.0)).max((current / 2.0).ceil());
            return (target < current).then_some(target);
        }
    }
    None
}

/// The time of one call, microseconds: median, best and worst of fifty rounds.
fn timed(mut call: impl FnMut()) -> (f64, f64, f64) {
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        for _ in 0..100 {
            call();
        }
        times.push(start.elapsed().as_secs_f64() * 1e6 / 100.0);
    }
    times.sort_by(f64::total_cmp);
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    (at(25), at(0), at(49))
}

fn main() -> Result<(), Failure> {
    let policy = Policy::builtin(&Inputs { profile: "full".to_owned(), ..Inputs::default() })?;
    let grid = Grid::new(Duration::from_secs(30), Duration::ZERO).ok_or("a grid of 30 s")?;
    let now = Timestamp::from_second(START + 79 * STEP)?;
    let long_ago = Timestamp::from_second(START - 86_400)?;
    for story in stories()? {
        let mut facts = bound()?;
        let state = State {
            current: story.replicas,
            applied_at: Some(long_ago),
            changed_by: None,
            generation_since: long_ago,
            revision_since: long_ago,
            recommended: None,
        };
        let question = Question {
            component: ComponentKind::Function,
            dimension: Dimension::Replicas,
            state: &state,
            range: Range::replicas(false, 20.0, None),
            samples: &story.samples,
            grid,
            now,
        };
        let mut ask = || -> NfrDecision { decide(&policy, black_box(&mut facts), black_box(&question)) };
        let NfrDecision { action, by, reason, .. } = ask();
        let target = if let Action::Apply { target } = action { Some(target) } else { None };
        let hand = by_hand(&story, now.as_millisecond());
        if target != hand {
            return Err(format!("{}: by policy {target:?} ({by}: {reason}), by hand {hand:?}", story.name).into());
        }
        let (median, best, worst) = timed(|| {
            black_box(ask());
        });
        let (hand, ..) = timed(|| {
            black_box(by_hand(black_box(&story), now.as_millisecond()));
        });
        println!(
            "{:<42} {median:>7.1} µs (median; {best:.1} best, {worst:.1} worst), {:>4.0} times {hand:.2} µs by hand; {by}",
            story.name,
            median / hand
        );
    }
    Ok(())
}
