//! No API server at all for a while.

use std::time::{Duration, Instant};

use oprc_crm::grpc::pb::grpc::health::v1 as standard;
use oprc_crm::grpc::pb::grpc::health::v1::health_client::HealthClient;
use oprc_crm::grpc::pb::oaas::health as own;
use oprc_crm::grpc::pb::oaas::health::health_service_client::HealthServiceClient;
use serde_json::json;

use crate::IMAGE;
use crate::support::class::Namespace;
use crate::support::crm::Crm;
use crate::support::pm::{assert_try_again, canonical, channel, code_of_get, deploy, done, running, unit};
use crate::support::{Cluster, eventually, http_get};

/// The patience of readiness (30 s) and what a busy machine adds.
const OUTAGE: Duration = Duration::from_secs(90);

async fn serving(crm: &Crm) -> (bool, bool) {
    let request = standard::HealthCheckRequest { service: String::new() };
    let one = HealthClient::new(channel(crm).await).check(request).await.unwrap().into_inner();
    let request = own::HealthCheckRequest { service: String::new() };
    let other = HealthServiceClient::new(channel(crm).await).check(request).await.unwrap().into_inner();
    let standard_serving = standard::health_check_response::ServingStatus::Serving;
    let own_serving = own::health_check_response::ServingStatus::Serving;
    (one.status() == standard_serving, other.status() == own_serving)
}

#[tokio::test]
async fn an_api_server_that_is_gone_is_told_and_what_happens_after_its_return_is_followed() {
    let cluster = Cluster::own().await;
    let name = cluster.namespace("outage").await;
    let ns = Namespace::new(cluster.admin(), &name);
    let crm = Crm::start(&cluster, &name).await;
    let mut client = canonical(&crm).await;
    done(&client, unit("before", IMAGE)).await;
    running(&client, "before").await;
    assert_eq!(serving(&crm).await, (true, true));

    cluster.plane().stop_apiserver().await.unwrap();
    let started = Instant::now();
    let refused = client.deploy(deploy(unit("during", IMAGE))).await.unwrap_err();
    assert_try_again(&refused);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    for word in ["127.0.0.1", "tcp", "hyper", "refused", "os error"] {
        assert!(!refused.message().to_lowercase().contains(word), "raw text: {}", refused.message());
    }
    assert_eq!(code_of_get(&client, "before").await, tonic::Code::Unavailable);
    assert_eq!(http_get(crm.address, "/readyz").await.0, 200, "a short loss is no loss");
    eventually(OUTAGE, "/readyz says why it is not ready", || async {
        let answer = http_get(crm.address, "/readyz").await;
        if answer.0 == 503 && answer.1.contains("API server") { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    assert!(started.elapsed() > Duration::from_secs(29), "after its patience: {:?}", started.elapsed());
    assert_eq!(serving(&crm).await, (false, false));
    assert_eq!(http_get(crm.address, "/healthz").await.0, 200, "a restart would not help");

    cluster.plane().start_apiserver().await.unwrap();
    eventually(OUTAGE, "/readyz is ready again", || async {
        let answer = http_get(crm.address, "/readyz").await;
        if answer.0 == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    assert_eq!(serving(&crm).await, (true, true));
    done(&client, unit("during", IMAGE)).await;
    running(&client, "during").await;
    ns.apply("after", json!({"function": {"image": IMAGE}})).await;
    ns.available("after").await;
    done(&client, unit("before", "docker.io/library/nginx:1.28")).await;
    running(&client, "before").await;
    crm.stop().await;
}
