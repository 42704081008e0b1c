//! A class comes into being and tells how it is.

use serde_json::json;

use crate::start;
use crate::support::class::condition;

#[tokio::test]
async fn a_minimal_record_becomes_available_with_conditions_events_and_refs() {
    let (crm, ns) = start("minimal").await;
    ns.apply("hello", json!({"function": {"image": "docker.io/library/nginx:1.27", "port": 80}})).await;
    let status = ns.available("hello").await;
    assert_eq!(status.selected_template.as_deref(), Some("edge"));
    assert_eq!(status.ready_summary.as_deref(), Some("2/2"));
    assert_eq!(condition(&status, "Available").0, "True");
    assert_eq!(condition(&status, "Degraded").0, "False");
    assert_eq!(ns.objects().await, ["Deployment/hello", "Service/hello-svc"]);
    let refs: Vec<String> =
        status.resource_refs.iter().map(|one| format!("{}/{} {:?}", one.kind, one.name, one.health)).collect();
    assert_eq!(refs, ["Deployment/hello Healthy", "Service/hello-svc Healthy"]);
    assert!(ns.event("hello", "Applied").await.contains("created Deployment hello"));
    assert!(ns.event("hello", "TemplateSelected").await.contains("edge"));
    assert_eq!(ns.deployment("hello").await.metadata.generation, Some(1), "born in one piece");
    crm.stop().await;
}
