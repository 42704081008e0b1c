//! Lists come from the cache and see every write that was made before them.

use oprc_crm::grpc::pb::deployment::{ListDeploymentRecordsRequest, OClassDeployment, SummarizedStatus};
use tonic::Code;

use crate::support::crm::Crm;
use crate::support::faults::{Fault, Faults, Seen};
use crate::support::pm::{Client, alias, canonical, delete, done, running, unit};
use crate::{IMAGE, support};

const NEWER: &str = "docker.io/library/nginx:1.28";

async fn start(prefix: &str) -> (Crm, Faults) {
    let (cluster, faults) = (support::cluster().await, Faults::default());
    let name = cluster.namespace(prefix).await;
    let crm = Crm::start_through(cluster, &name, &[], &faults).await;
    (crm, faults)
}

fn is_list(seen: &Seen) -> bool {
    !seen.is_write() && !seen.is_watch() && seen.path.ends_with("/deploymentrecords")
}

async fn listed(client: &Client, id: &str) -> Option<OClassDeployment> {
    let answer = client.clone().list_deployment_records(ListDeploymentRecordsRequest::default()).await;
    answer.expect("a list").into_inner().items.into_iter().find(|class| class.key == id)
}

#[tokio::test]
async fn a_list_right_after_a_write_sees_it_and_the_api_server_is_not_asked() {
    let (crm, faults) = start("list").await;
    let (one, other) = (canonical(&crm).await, alias(&crm).await);
    faults.inject(usize::MAX, Fault::Broken, is_list);
    for index in 0..20 {
        let id = format!("List/{index}");
        done(&one, unit(&id, IMAGE)).await;
        let found = listed(&other, &id).await.unwrap_or_else(|| panic!("{id} was deployed"));
        assert_eq!(found.functions[0].image, IMAGE);
        done(&other, unit(&id, NEWER)).await;
        assert_eq!(listed(&one, &id).await.expect("it is there").functions[0].image, NEWER);
        if index % 4 != 0 {
            continue;
        }
        running(&one, &id).await;
        one.clone().delete_deployment(delete(&id)).await.unwrap();
        let deleting = listed(&other, &id).await;
        assert!(deleting.is_none_or(|class| class.summarized_status() == SummarizedStatus::Progressing), "{id}");
    }
    assert_eq!(faults.injected(), 0, "lists that went to the API server");
    crm.stop().await;
}

#[tokio::test]
async fn while_the_watch_is_lost_a_list_sees_every_write_all_the_same() {
    let (crm, faults) = start("list-lost").await;
    let client = canonical(&crm).await;
    done(&client, unit("before", IMAGE)).await;
    running(&client, "before").await;
    faults.inject(usize::MAX, Fault::Hang, Seen::is_watch);
    faults.drop_watches();
    for id in ["one", "two", "three"] {
        done(&client, unit(id, IMAGE)).await;
        assert!(listed(&client, id).await.is_some(), "{id}");
    }
    assert!(listed(&client, "before").await.is_some());
    // Where neither can be had, the answer is no list that lacks something.
    faults.inject(usize::MAX, Fault::Broken, is_list);
    done(&client, unit("four", IMAGE)).await;
    let status = client.clone().list_deployment_records(ListDeploymentRecordsRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    faults.clear();
    faults.drop_watches();
    crm.stop().await;
}
