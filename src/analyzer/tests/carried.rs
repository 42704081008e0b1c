//! A decision carried out: its status, and what is said of it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::look::Report;
use super::super::moment::Moment;
use super::super::now::Since;
use super::super::page::Page;
use super::super::report::Observed;
use super::super::subject::{Measured, Present};
use super::super::{Analyzer, Limits, Options, Sight, Wiring};
use super::{class, decided, deployment, replicas, second, steady};
use crate::api::DeploymentRecordStatus;
use crate::audit::DecisionLog;
use crate::cluster::pods::PodIndex;
use crate::cluster::record::RawRecord;
use crate::cluster::right::Right;
use crate::controller::fake::{self, Asked};

/// Seconds between the begin of a look and its writes.
const LATE: u64 = 7;

/// Carries out that a class gets another CPU request. What was asked of the API server, which answers to a status that
/// `right` is held, or is not.
async fn carried_out(right: bool) -> Vec<Asked> {
    let held = Right::default();
    let taken = held.clone();
    let (client, requests) = fake::server(move |_, asked: &Asked| {
        taken.set(right);
        fake::applied(asked)
    });
    let (relook, _looks) = tokio::sync::mpsc::unbounded_channel();
    let wiring = Wiring {
        context: Arc::new(fake::context(client)),
        pods: PodIndex::default(),
        relook,
        right: held,
        log: Arc::new(DecisionLog::off()),
        page: Page::default(),
    };
    let options = Options {
        interval: Duration::from_secs(60),
        window: Duration::from_secs(600),
        step: Duration::from_secs(30),
        limits: Limits { max_replicas: 20.0, cpu_per_pod: 0.5 },
        concurrency: 1,
    };
    let class = class("enforce", &["cpu"]);
    let replicas = replicas(2);
    let (part, decided) = decided(&class, &replicas, &steady(1.6, 100.0 * 1_048_576.0));
    let record: RawRecord =
        serde_json::from_value(json!({"metadata": {"name": "shop", "namespace": "team", "uid": "u-1"}})).unwrap();
    let since = Since { generation: second(-7200), revision: second(-7200) };
    let part = Present { part, replicas: Some(replicas), field: Some(deployment()) };
    let report = Report {
        record: Arc::new(record),
        status: DeploymentRecordStatus::default(),
        basis: Arc::clone(wiring.context.judgement.state().target()),
        sighted: Ok(Measured { class, parts: vec![part], since }),
        observed: Observed::Measured(Vec::new()),
        decided: vec![decided],
        samples: vec![steady(1.6, 100.0)],
    };
    let moment = Moment::new(second(0));
    tokio::time::advance(Duration::from_secs(LATE)).await;
    Analyzer::new(wiring, Sight::Off, options).carry_out(report, moment).await;
    let asked = requests.lock().unwrap();
    asked.clone()
}

fn applied_at(asked: &[Asked]) -> Vec<Value> {
    let statuses = asked.iter().filter(|one| one.applies("oprc-crm-analyzer", "/deploymentrecords/shop/status"));
    statuses.map(|one| one.body["status"]["last_applied_recommendations"][0]["applied_at"].clone()).collect()
}

fn events(asked: &[Asked]) -> usize {
    asked.iter().filter(|one| one.path.ends_with("/events")).count()
}

#[tokio::test(start_paused = true)]
async fn what_is_applied_has_the_time_of_its_write_not_of_the_look() {
    let asked = carried_out(true).await;
    assert_eq!(applied_at(&asked), [json!(second(7).to_string())]);
    assert_eq!(events(&asked), 1);
}

#[tokio::test(start_paused = true)]
async fn who_lost_the_right_says_nothing_any_more() {
    let asked = carried_out(false).await;
    assert_eq!(applied_at(&asked).len(), 1, "it was held until then");
    assert_eq!(events(&asked), 0);
}
