//! Another template: what runs changes over, nothing is left behind.

use serde_json::json;

use crate::{IMAGE, start};

#[tokio::test]
async fn switching_between_dev_edge_and_full_leaves_no_orphan() {
    let (crm, ns) = start("switch").await;
    for (template, replicas) in [("dev", 1), ("edge", 2), ("full", 3), ("dev", 1)] {
        let spec = json!({"function": {"image": IMAGE}, "selected_template": template, "addons": ["odgm"]});
        ns.apply("s", spec).await;
        let status = ns.available("s").await;
        assert_eq!(status.selected_template.as_deref(), Some(template));
        assert_eq!(status.functions[0].ready_replicas, replicas, "{template}");
        let mut objects = vec!["Deployment/s", "Deployment/s-odgm", "Service/s-odgm-svc", "Service/s-svc"];
        if template == "full" {
            // Its data grid has one pod, which no budget can help.
            objects.insert(2, "PodDisruptionBudget/s");
        }
        assert_eq!(ns.objects().await, objects, "{template}");
    }
    let switches: Vec<_> =
        ns.events("s").await.into_iter().filter(|(reason, _)| reason == "TemplateSelected").collect();
    assert_eq!(switches.len(), 4, "once for each change: {switches:#?}");
    ns.delete("s").await;
    ns.nothing_left("s").await;
    crm.stop().await;
}
