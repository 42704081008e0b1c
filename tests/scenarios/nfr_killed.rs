//! A controller that is killed in the middle of a window and of a cooldown decides what one decides that never was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use oprc_crm::sandbox::exporter::Load;
use serde_json::Value;

use crate::support::nfr::{Lab, WHILE, class};
use crate::support::operator::Operator;
use crate::support::scaling::Numbers;
use crate::support::{eventually, executable, shipped};

/// The falling window of the policy, and the least time between two falls.
const WINDOW: f64 = 12.0;
const COOLDOWN: f64 = 8.0;
/// The rising window, the least time between two rises, and the time between two looks.
const UP_WINDOW: f64 = 3.0;
const UP_COOLDOWN: f64 = 4.0;
const CYCLE: f64 = 1.0;
/// Until a load is seen in full: a scrape, the mean of four seconds that the rules take, and the time that samples are
/// left to settle.
const SEEN: f64 = 1.0 + 4.0 + 5.0;
/// How far two controllers may be apart in the time between two decisions: a look each, and the step of the grid.
const APART: f64 = 3.0;
/// What one replica bears.
const SHARE: f64 = 100e6;

/// A controller that can be killed, with a decision log.
struct Logging<'a> {
    operator: Operator<'a>,
    log: PathBuf,
}

impl<'a> Logging<'a> {
    async fn start(lab: &'a Lab, dir: &Path) -> Self {
        let (policy, log) = (dir.join("policy"), dir.join("decisions.jsonl"));
        policy_of_memory(&policy);
        let url = lab.scraping.prometheus.url();
        let variables = [
            ("OPRC_CRM_FEATURES_PROMETHEUS", "true"),
            ("OPRC_CRM_FEATURES_NFR_ENFORCEMENT", "true"),
            ("OPRC_CRM_PROM_URL", &url),
            ("OPRC_CRM_PROM_STEP", "1s"),
            ("OPRC_CRM_ANALYZER_INTERVAL_SECS", "1"),
            ("OPRC_CRM_POLICY_DIR", policy.to_str().unwrap()),
            ("OPRC_CRM_DECISION_LOG", log.to_str().unwrap()),
        ];
        Self { operator: Operator::start(lab.cluster, &lab.ns.name, &variables).await, log }
    }
}

/// The policy of these stories, with a load that jumps from one sample to the next: a rate would rise over its window,
/// and what is decided meanwhile depend on the moment of the look.
fn policy_of_memory(dir: &Path) {
    fs::create_dir(dir).unwrap();
    for name in ["bundle.yaml", "recommendations.yaml", "signals.yaml"] {
        let text = shipped(&format!("tests/support/nfr/{name}"));
        let rate = "sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{container!=\"\",$scope}[4s]))";
        let held = format!("sum by (namespace, pod) (container_memory_rss{{$scope}}) / {SHARE} * 0.4");
        fs::write(dir.join(name), text.replacen(rate, &held, 1)).unwrap();
    }
}

/// A line of a decision log that was applied.
#[derive(Debug)]
struct Applied {
    target: u32,
    by: String,
    /// Seconds since the load fell.
    at: f64,
}

/// A number of replicas, which the log has as it has all numbers: `8.0`.
fn whole(number: &Value) -> u32 {
    number.to_string().trim_end_matches(".0").parse().unwrap()
}

/// To the millisecond: a difference of two of them is then what it seems.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// What was applied from a moment on, as a decision log has it.
fn applied(log: &Path, since: Timestamp) -> Vec<Applied> {
    let lines: Vec<Value> =
        fs::read_to_string(log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // A line stands there before its write is made: one that was killed in between has done it all the same, as far as
    // this story goes, which waits for the number to be there.
    let done = lines.iter().filter(|line| line["outcome"]["result"] == "begun");
    let done = done.map(|line| {
        let now: Timestamp = line["inputs"]["now"].as_str().unwrap().parse().unwrap();
        let decision = &line["decision"];
        let by = decision["by"].as_str().unwrap().to_owned();
        Applied { target: whole(&decision["target"]), by, at: rounded(now.duration_since(since).as_secs_f64()) }
    });
    done.filter(|one| one.at >= 0.0).collect()
}

/// Seconds from a moment to the first decision, and from each to the next, of so many.
fn pace(log: &Path, since: Timestamp, count: usize) -> Vec<f64> {
    let mut before = 0.0;
    let gap = |one: Applied| rounded(one.at - std::mem::replace(&mut before, one.at));
    applied(log, since).into_iter().take(count).map(gap).collect()
}

/// The product's own commands find nothing wrong with a log, and decide each of its lines again to the same bytes.
fn is_whole(log: &Path) {
    let run = |args: &[&str]| {
        let output = Command::new(executable()).args(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    };
    run(&["policy", "audit", "verify", log.to_str().unwrap()]);
    let text = fs::read_to_string(log).unwrap();
    let decided = text.lines().enumerate().filter(|(_, line)| line.contains("\"decision\":"));
    let all: Vec<usize> = decided.map(|(index, _)| index + 1).collect();
    assert!(all.len() >= 7, "{all:?}");
    for line in all {
        run(&["policy", "explain", "--decision", &format!("{}:{line}", log.display())]);
    }
}

fn set(labs: [&Lab; 2], replicas: f64) {
    for lab in labs {
        lab.scraping.exporter.set(&lab.ns.name, "shop", Load { shared: (replicas - 0.5) * SHARE, ..Load::default() });
    }
}

#[tokio::test]
async fn killed_in_the_middle_of_a_window_and_of_a_cooldown_it_decides_what_one_decides_that_never_was() {
    let (whole, killed) = tokio::join!(Lab::new("nfr-whole"), Lab::new("nfr-killed"));
    let labs = [&whole, &killed];
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let place = dir.path().join(name);
        fs::create_dir(&place).unwrap();
        place
    };
    let (of_whole, of_killed) = (place("whole"), place("killed"));
    let (first, mut second) = tokio::join!(Logging::start(&whole, &of_whole), Logging::start(&killed, &of_killed));
    set(labs, 2.0);
    for lab in labs {
        lab.ns.apply("shop", class("enforce", &["replicas"], 2)).await;
        lab.ns.available("shop").await;
        lab.measured("shop").await;
    }
    let numbers = labs.map(|lab| Numbers::follow(&lab.ns, "shop"));
    let rose = Timestamp::now();
    set(labs, 10.0);
    for numbers in &numbers {
        numbers.until(10).await;
    }

    // Six seconds into a window of twelve, and just after the first of several falls.
    let fell = Timestamp::now();
    set(labs, 2.0);
    tokio::time::sleep(Duration::from_secs(6)).await;
    second.operator.killed().await;
    numbers[1].until(8).await;
    second.operator.killed().await;
    for numbers in &numbers {
        numbers.until(2).await;
    }
    // The line of the last write may be a moment behind it.
    for one in [&first, &second] {
        eventually(WHILE, "the last fall is logged", || async {
            let last = applied(&one.log, fell).pop();
            if last.as_ref().is_some_and(|last| last.target == 2) { Ok(()) } else { Err(format!("{last:?}")) }
        })
        .await;
    }

    let outcomes =
        |log: &Path| -> Vec<(u32, String)> { applied(log, rose).into_iter().map(|one| (one.target, one.by)).collect() };
    assert_eq!(outcomes(&second.log), outcomes(&first.log));
    for one in [&first, &second] {
        let falls = applied(&one.log, fell);
        let targets: Vec<u32> = falls.iter().map(|one| one.target).collect();
        assert_eq!(targets, [8, 6, 5, 4, 3, 2]);
        assert!(falls[0].at >= WINDOW, "before its window was over: {falls:?}");
        assert!(
            falls.windows(2).all(|pair| rounded(pair[1].at - pair[0].at) >= COOLDOWN),
            "within a cooldown: {falls:?}"
        );
        is_whole(&one.log);
    }
    // When each was decided: its time after the one before (the first after the load fell, or rose). A window that began
    // anew would be six seconds late, a cooldown that did eight.
    for (since, count) in [(rose, 3), (fell, 6)] {
        let (of_first, of_second) = (pace(&first.log, since, count), pace(&second.log, since, count));
        println!("seconds between decisions: {of_first:?}, killed: {of_second:?}");
        let apart = of_first.iter().zip(&of_second).map(|(first, second)| (first - second).abs());
        assert!(apart.fold(0.0, f64::max) <= APART, "{of_first:?}, killed: {of_second:?}");
    }
    let end = |log: &Path| applied(log, fell).last().unwrap().at;
    let late = end(&second.log) - end(&first.log);
    assert!(late.abs() < COOLDOWN, "a restart costs no window and no cooldown: {late} s");
    // The first step of a lasting rise comes within window, cooldown and one cycle of what the rules see.
    for one in [&first, &second] {
        let rises = applied(&one.log, rose);
        assert!(rises[0].at <= SEEN + UP_WINDOW + UP_COOLDOWN + CYCLE, "{rises:?}");
    }
    assert!(numbers.into_iter().all(|numbers| numbers.end() == [2, 4, 8, 10, 8, 6, 5, 4, 3, 2]));
}
