//! Measure, recommend, enforce: on a real Prometheus, at a speed at which windows and cooldowns pass in seconds.

use std::time::Duration;

use crate::idle::settled;
use crate::support::class::condition;
use crate::support::crm::Crm;
use crate::support::faults::Faults;
use crate::support::nfr::{Lab, Proxy, QUIET, WHILE, applied, class, recommended};
use crate::support::scaling::{Numbers, writes_to_deployments};
use crate::support::{eventually, executable, http_get};

#[tokio::test]
async fn a_class_is_measured_and_its_recommendation_stands_in_its_status_while_nothing_is_written() {
    let lab = Lab::new("nfr-observe").await;
    let crm = lab.crm(&[]).await;
    lab.cores("seen", 2.0);
    lab.ns.apply("seen", class("observe", &["replicas"], 2)).await;
    lab.ns.available("seen").await;
    let status = lab
        .ns
        .status("seen", "a recommendation of 5", |status| {
            recommended(status, "replicas").is_some_and(|one| one.target == "5")
                && condition(status, "NfrObserved").0 == "True"
        })
        .await;
    let found = recommended(&status, "replicas").unwrap();
    assert!(found.basis.as_deref().is_some_and(|basis| basis.starts_with("mean of ")), "{found:?}");
    assert!(found.policy.as_deref().is_some_and(|policy| policy.starts_with("Recommendation/replicas/cpu-demand@")));
    assert!(found.since.is_some() && found.confidence.is_some_and(|confidence| confidence > 0.9), "{found:?}");
    assert_eq!(condition(&status, "NfrObserved").1, "Measured");

    // A steady load is no news: in a whole minute nothing is written at all, neither to the workload nor to the status.
    settled(&crm).await;
    let (before, to_workload) = (crm.writes(), writes_to_deployments(&lab.ns).await);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((crm.writes(), writes_to_deployments(&lab.ns).await), (before, to_workload));
    assert!(applied(&status, "replicas").is_none());
    crm.stop().await;
}

#[tokio::test]
async fn replicas_follow_a_lasting_load_by_bounded_steps_and_never_pass_through_one() {
    let lab = Lab::new("nfr-replicas").await;
    let crm = lab.crm(&[]).await;
    let numbers = Numbers::follow(&lab.ns, "busy");
    lab.cores("busy", 0.7);
    lab.ns.apply("busy", class("enforce", &["replicas"], 2)).await;
    lab.ns.available("busy").await;
    lab.measured("busy").await;
    settled(&crm).await;
    assert_eq!(numbers.so_far(), [2], "a load that two replicas bear");

    lab.cores("busy", 2.3);
    numbers.until(6).await;
    let event = lab.ns.event("busy", "NfrApplied").await;
    assert!(event.contains("replicas of f 2 -> ") && event.contains("(policy "), "{event}");
    let status =
        lab.ns.status("busy", "6 stand applied", |s| applied(s, "replicas").is_some_and(|one| one.target == "6"));
    let found = applied(&status.await, "replicas").cloned().unwrap();
    assert!(
        found.applied_at.is_some() && found.policy.as_ref().is_some_and(|policy| policy.contains('@')),
        "{found:?}"
    );
    // By no more than the bound a step: each at most double the one before.
    let seen = numbers.so_far();
    assert!(seen.windows(2).all(|pair| pair[1] > pair[0] && pair[1] <= pair[0] * 2), "{seen:?}");

    lab.cores("busy", 0.7);
    let before = std::time::Instant::now();
    numbers.until(2).await;
    assert!(before.elapsed() >= Duration::from_secs(12), "only after the falling window");
    let seen = numbers.end();
    assert!(!seen.contains(&1), "{seen:?}");
    let falls: Vec<_> = seen.windows(2).filter(|pair| pair[1] < pair[0]).collect();
    // At most 30 % and at least one a step.
    assert!(falls.iter().all(|pair| pair[0] - pair[1] <= (pair[0] * 3 / 10).max(1)), "{seen:?}");
    crm.stop().await;
}

#[tokio::test]
async fn noise_of_a_fifth_changes_nothing_at_all() {
    let lab = Lab::new("nfr-noise").await;
    let crm = lab.crm(&[]).await;
    let numbers = Numbers::follow(&lab.ns, "noisy");
    lab.cores("noisy", 1.0);
    lab.ns.apply("noisy", class("enforce", &["replicas"], 3)).await;
    lab.ns.available("noisy").await;
    lab.measured("noisy").await;
    let end = std::time::Instant::now() + 2 * QUIET;
    let mut up = false;
    while std::time::Instant::now() < end {
        lab.cores("noisy", if up { 1.2 } else { 0.8 });
        up = !up;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(numbers.end(), [3]);
    crm.stop().await;
}

#[tokio::test]
async fn what_is_not_measured_says_so_and_an_operator_without_an_address_too() {
    let lab = Lab::new("nfr-blind").await;
    let crm = lab.crm(&[("OPRC_CRM_PROM_URL", "")]).await;
    lab.ns.apply("blind", class("enforce", &["replicas"], 1)).await;
    let status = lab.ns.status("blind", "it is said", |status| condition(status, "NfrObserved").0 == "False").await;
    let (_, reason, message) = condition(&status, "NfrObserved");
    assert!(reason == "NoSource" && message.contains("OPRC_CRM_PROM_URL is not set"), "{reason}: {message}");
    crm.stop().await;

    // Nothing listens there.
    let crm = lab.crm_at("http://127.0.0.1:9", &[], &Faults::default()).await;
    let unreachable =
        |status: &oprc_crm::api::DeploymentRecordStatus| condition(status, "NfrObserved").1 == "Unreachable";
    let status = lab.ns.status("blind", "it is unreachable", unreachable).await;
    let (_, _, message) = condition(&status, "NfrObserved");
    assert!(message.contains("no data of cpu for f: Prometheus can't be reached"), "{message}");
    crm.stop().await;

    // The record lets nobody measure it: no condition, no recommendation.
    let crm = lab.crm(&[]).await;
    lab.ns.apply("blind", class("off", &["replicas"], 1)).await;
    let gone = |status: &oprc_crm::api::DeploymentRecordStatus| {
        status.conditions.iter().all(|one| one.type_ != "NfrObserved") && status.nfr_recommendations.is_empty()
    };
    lab.ns.status("blind", "nothing is said of NFRs", gone).await;
    crm.stop().await;
}

#[tokio::test]
async fn a_load_that_prometheus_recorded_is_played() {
    let lab = Lab::new("nfr-backtest").await;
    let crm = lab.crm(&[]).await;
    lab.cores("played", 1.5);
    lab.ns.apply("played", class("observe", &["replicas"], 2)).await;
    lab.ns.available("played").await;
    lab.measured("played").await;
    let query = "sum by (namespace) (rate(container_cpu_usage_seconds_total[4s]))";
    let url = lab.scraping.prometheus.url();
    let ask = || async {
        let mut command = tokio::process::Command::new(executable());
        command.args([
            "policy",
            "backtest",
            "--prom-url",
            &url,
            "--query",
            query,
            "--last",
            "1m",
            "--step",
            "5s",
            "--json",
        ]);
        let output = command.output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    };
    let found: serde_json::Value = serde_json::from_str(&eventually(WHILE, "enough samples", ask).await).unwrap();
    let class = &found["classes"][0];
    assert_eq!(class["name"], format!("namespace={:?}", lab.ns.name));
    assert!(class["figures"]["candidate"]["asked_core_hours"].as_f64().unwrap() > 0.0, "{found:#}");
    crm.stop().await;
}

/// A number from `/metrics`.
async fn metric(crm: &Crm, name: &str) -> u64 {
    let (_, text) = http_get(crm.address, "/metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{name} in:\n{text}"))
}

/// Queries that a look makes, as Prometheus' own side counts them, and classes that have been decided about.
async fn queries_of_a_look(proxy: &Proxy, crm: &Crm) -> f64 {
    const LOOKS: &str = "oprc_crm_nfr_looks_total";
    let (asked, looks) = (proxy.asked(), metric(crm, LOOKS).await);
    eventually(WHILE, "ten more looks", || async {
        let now = metric(crm, LOOKS).await;
        if now >= looks + 10 { Ok(()) } else { Err(format!("{looks} and now {now}")) }
    })
    .await;
    let (asked, looks) = (proxy.asked() - asked, metric(crm, LOOKS).await - looks);
    f64::from(u32::try_from(asked).unwrap()) / f64::from(u32::try_from(looks).unwrap())
}

#[tokio::test]
async fn a_look_asks_each_signal_once_however_many_classes_there_are() {
    const SIGNALS: f64 = 7.0;
    const CLASSES: usize = 40;
    let lab = Lab::new("nfr-many").await;
    let proxy = Proxy::start(lab.scraping.prometheus.url()).await;
    let crm = lab.crm_at(&proxy.url, &[], &Faults::default()).await;
    let spec = class("observe", &["replicas"], 1);
    lab.cores("many-0", 0.3);
    lab.ns.apply("many-0", spec.clone()).await;
    lab.measured("many-0").await;
    let of_one = queries_of_a_look(&proxy, &crm).await;
    for index in 1..CLASSES {
        let name = format!("many-{index}");
        lab.cores(&name, 0.3);
        lab.ns.apply(&name, spec.clone()).await;
    }
    eventually(WHILE, "all of them are decided about", || async {
        let (_, page) = http_get(crm.address, "/nfr").await;
        let measured = page.matches("\"recommended\":\"1\"").count();
        if measured >= CLASSES { Ok(()) } else { Err(format!("{measured} of {CLASSES}")) }
    })
    .await;
    let of_many = queries_of_a_look(&proxy, &crm).await;
    // The look that is under way may have asked or not: one in ten looks, and a rounding.
    for found in [of_one, of_many] {
        assert!((found - SIGNALS).abs() <= SIGNALS * 0.11, "{of_one} and {of_many} queries a look");
    }
    crm.stop().await;
}
