//! Two records that want objects of the same name: one gets them all, the other says who has them.

use serde_json::json;

use crate::support::class::{SOON, condition};
use crate::support::eventually;
use crate::{IMAGE, start};

#[tokio::test]
async fn two_records_made_at_once_never_take_each_others_objects() {
    let (crm, ns) = start("rivals").await;
    for round in 0..6 {
        let (grid, plain) = (format!("r{round}"), format!("r{round}-odgm"));
        // Both want Deployment and Service `rN-odgm...`.
        tokio::join!(
            ns.apply(&grid, json!({"function": {"image": IMAGE}, "addons": ["odgm"], "selected_template": "dev"})),
            ns.apply(&plain, json!({"function": {"image": IMAGE}, "selected_template": "dev"})),
        );
        let settled = eventually(SOON, "one is Available, the other names it", || async {
            let first = ns.records().get(&grid).await.unwrap().typed_status();
            let second = ns.records().get(&plain).await.unwrap().typed_status();
            let states = [condition(&first, "Degraded").1.to_owned(), condition(&second, "Degraded").1.to_owned()];
            let available = [condition(&first, "Available").0 == "True", condition(&second, "Available").0 == "True"];
            match (states[0].as_str(), states[1].as_str(), available) {
                ("NameConflict", "AsExpected", [false, true]) => Ok(plain.clone()),
                ("AsExpected", "NameConflict", [true, false]) => Ok(grid.clone()),
                _ => Err(format!("{states:?} {available:?}")),
            }
        });
        let winner = settled.await;
        let name = format!("r{round}-odgm-svc");
        let service = ns.services().get(&name).await.unwrap();
        assert_eq!(service.metadata.owner_references.unwrap().remove(0).name, winner, "{name}");
        let mut events = ns.events(&grid).await;
        events.extend(ns.events(&plain).await);
        let made = |(reason, note): &&(String, String)| {
            reason == "Applied" && note.contains("created Service") && note.contains(&name)
        };
        assert_eq!(events.iter().filter(made).count(), 1, "made once, by one of them: {events:#?}");
    }
    crm.stop().await;
}

#[tokio::test]
async fn a_conflict_keeps_the_whole_class_from_being_deployed_and_ends_with_the_rival() {
    let (crm, ns) = start("rival-ends").await;
    ns.apply(
        "a",
        json!({"functions": [
        {"function_key": "b", "image": IMAGE, "replicas": 1}, {"function_key": "c", "image": IMAGE, "replicas": 1}]}),
    )
    .await;
    ns.available("a").await;
    ns.apply("a-b", json!({"function": {"image": IMAGE}, "addons": ["odgm"]})).await;
    let status = ns.degraded("a-b").await;
    assert_eq!(condition(&status, "Available").0, "False", "nothing of it runs");
    assert!(status.resource_refs.iter().all(|one| one.uid.is_none()), "{:?}", status.resource_refs);
    assert!(!ns.objects().await.iter().any(|object| object.contains("a-b-odgm")), "nothing half applied");
    ns.delete("a").await;
    ns.available("a-b").await;
    crm.stop().await;
}
