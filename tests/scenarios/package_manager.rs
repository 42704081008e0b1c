//! A Package Manager that knows the contract only, with many classes at once, while the controller is restarted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use kube::api::ListParams;
use tonic::{Code, Status};

use crate::support::class::Namespace;
use crate::support::contract::{
    ALIAS, CANONICAL, DeploymentUnit, FunctionDeploymentSpec, ListRequest, OClassDeployment, Pm, RUNNING,
};
use crate::support::operator::Operator;
use crate::support::{cluster, eventually};
use crate::{IMAGE, start};

const CLASSES: usize = 200;
const AT_ONCE: usize = 32;
const NEWER: &str = "docker.io/library/nginx:1.28";
/// Every call states half a minute; one that takes longer had no answer.
const ANSWER: Duration = Duration::from_secs(35);
/// 200 classes on a busy machine; the cluster's own controllers write 20 objects a second.
const LONG: Duration = Duration::from_secs(300);

/// Ids of every shape, each another.
fn id(index: usize) -> String {
    let long = |letter: &str, length: usize| format!("{index:03}{}", letter.repeat(length - 3));
    match index % 20 {
        0 => format!("class-{index}"),
        1 => format!("Class-{index}"),
        2 => format!("CLASS_{index}"),
        3 => format!("{index}"),
        4 => format!("shop/Cart@{index}"),
        5 => format!("ünï/日本語 {index}"),
        6 => format!("-{index}-"),
        7 => format!("..{index}.."),
        8 => long("x", 253),
        9 => long("ü", 100),
        10 => format!("{}{index}", "same-long-beginning-".repeat(8)),
        11 => format!("line\nbreak\t{index}"),
        12 => format!("\"quoted\" {{{index}}} 'é'"),
        13 => format!("class-{index}-svc"),
        14 => format!("?{index}!*:"),
        15 => format!("nul\0{index}"),
        16 => format!("like-a-hash-{index:010x}"),
        17 => format!("com.example.class-{index}"),
        18 => format!("{index}-{}", "y".repeat(70)),
        _ => format!("a b  c {index}"),
    }
}

fn unit(index: usize, image: &str) -> DeploymentUnit {
    DeploymentUnit {
        id: id(index),
        package_name: format!("package-{}", index % 4),
        class_key: format!("Class{index}"),
        target_env: "prod".to_owned(),
        functions: vec![FunctionDeploymentSpec {
            function_key: "f".to_owned(),
            image: image.to_owned(),
            config: BTreeMap::from([("INDEX".to_owned(), index.to_string())]),
            ..FunctionDeploymentSpec::default()
        }],
        ..DeploymentUnit::default()
    }
}

/// Both names of the service; a class is written by one and read by the other.
struct Both([Pm; 2]);

impl Both {
    fn writer(&self, index: usize) -> &Pm {
        &self.0[index % 2]
    }

    fn reader(&self, index: usize) -> &Pm {
        &self.0[(index + 1) % 2]
    }
}

/// Calls until there is an answer that is one: while the controller is away there is no connection, or it says that it
/// is not available.
async fn answered<T, F>(what: &str, mut call: impl FnMut() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let begun = Instant::now();
    loop {
        let answer = tokio::time::timeout(ANSWER, call()).await.unwrap_or_else(|_| panic!("no answer: {what}"));
        match answer {
            // A source is an error of the connection: no controller said this.
            Err(status) if status.code() == Code::Unavailable || std::error::Error::source(&status).is_some() => {
                assert!(begun.elapsed() < LONG, "{what}: {status:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer,
        }
    }
}

async fn deploy(both: &Both, index: usize, image: &str) -> String {
    let what = format!("deploy {:?}", id(index));
    let answer = answered(&what, || both.writer(index).deploy(unit(index, image))).await;
    let answer = answer.unwrap_or_else(|status| panic!("{what}: {status:?}"));
    assert_eq!(answer.deployment_id, id(index), "verbatim");
    answer.message.unwrap_or_default()
}

async fn read(both: &Both, index: usize) -> OClassDeployment {
    let id = id(index);
    let what = format!("read {id:?}");
    let found = answered(&what, || both.reader(index).status::<OClassDeployment>(&id)).await;
    let found = found.unwrap_or_else(|status| panic!("{what}: {status:?}")).deployment.expect("a payload");
    let record = answered(&what, || both.writer(index).record::<OClassDeployment>(&id)).await;
    assert_eq!(record.unwrap().expect("a payload").key, found.key);
    found
}

/// Every class, in pages.
async fn listed(pm: &Pm) -> Vec<OClassDeployment> {
    let mut all = Vec::new();
    loop {
        let offset = Some(u32::try_from(all.len()).unwrap());
        let page = ListRequest { limit: Some(64), offset, ..ListRequest::default() };
        let page: Vec<OClassDeployment> = answered("list", || pm.list(page.clone())).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// All indices, so many at a time.
async fn each<F: Future<Output = ()>>(one: impl Fn(usize) -> F) {
    stream::iter(0..CLASSES).for_each_concurrent(AT_ONCE, one).await;
}

async fn assert_all_there_once(both: &Both, ns: &Namespace, image: &str) {
    let records = ns.records().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(records.len(), CLASSES, "nothing lost, nothing twice");
    for pm in &both.0 {
        let listed = listed(pm).await;
        let keys: Vec<&str> = listed.iter().map(|class| class.key.as_str()).collect();
        let wanted: BTreeSet<String> = (0..CLASSES).map(id).collect();
        assert!(keys.iter().copied().eq(wanted.iter().map(String::as_str)), "each once, in order: {keys:?}");
        assert!(listed.iter().all(|class| class.functions[0].image == image), "as deployed last");
        let of_one = ListRequest { package_name: Some("package-1".to_owned()), ..ListRequest::default() };
        let of_one: Vec<OClassDeployment> = pm.list(of_one).await.unwrap();
        assert_eq!(of_one.len(), CLASSES / 4);
    }
}

/// Deploys every class, and reads each back; how many answers said that it was created.
async fn deploy_all(both: &Both, deployed: &AtomicUsize) -> usize {
    let created = &AtomicUsize::new(0);
    each(|index| async move {
        if deploy(both, index, IMAGE).await.starts_with("created") {
            created.fetch_add(1, Ordering::SeqCst);
        }
        deployed.fetch_add(1, Ordering::SeqCst);
        let found = read(both, index).await;
        assert_eq!((found.key, found.class_key), (id(index), format!("Class{index}")));
    })
    .await;
    created.load(Ordering::SeqCst)
}

/// Waits until so many are deployed.
async fn until_deployed(deployed: &AtomicUsize, count: usize) {
    eventually(LONG, "some are deployed", || async {
        let done = deployed.load(Ordering::SeqCst);
        if done >= count { Ok(()) } else { Err(done) }
    })
    .await;
    assert!(deployed.load(Ordering::SeqCst) < CLASSES, "not all of them yet");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_it_loses_no_class_makes_none_twice_and_leaves_no_call_without_an_answer() {
    let cluster = cluster().await;
    let name = cluster.namespace("pm-killed").await;
    let ns = Namespace::new(cluster.admin(), &name);
    let mut operator = Operator::start(cluster, &name, &[]).await;
    let both = Both([Pm::new(operator.address, CANONICAL), Pm::new(operator.address, ALIAS)]);
    let deployed = AtomicUsize::new(0);
    let kills = async {
        for share in [4, 2] {
            until_deployed(&deployed, CLASSES / share).await;
            operator.killed().await;
        }
    };
    let (created, ()) = tokio::join!(deploy_all(&both, &deployed), kills);
    // One whose answer the kill took is there all the same, and a Deploy that is sent again finds it.
    assert!((CLASSES - 2 * AT_ONCE..=CLASSES).contains(&created), "{created}");
    assert_all_there_once(&both, &ns, IMAGE).await;

    let deleted = AtomicUsize::new(0);
    let all_deletes = each(|index| {
        let (both, deleted) = (&both, &deleted);
        async move {
            let id = id(index);
            let answer = answered(&format!("delete {id:?}"), || both.writer(index).delete(&id)).await;
            // The answer to the one before may have been lost with the controller.
            let done = answer.as_ref().map_or_else(|status| status.code() == Code::NotFound, |_| true);
            assert!(done, "{answer:?}");
            deleted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let kill = async {
        until_deployed(&deleted, CLASSES / 2).await;
        operator.killed().await;
    };
    tokio::join!(all_deletes, kill);
    eventually(LONG, "nothing is left", || async {
        let (records, objects) =
            (ns.records().list(&ListParams::default()).await.unwrap().items.len(), ns.objects().await.len());
        if records + objects == 0 { Ok(()) } else { Err(format!("{records} records, {objects} objects")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_classes_of_all_shapes_of_ids_live_and_die_while_the_controller_is_restarted() {
    let (crm, ns) = start("pm").await;
    let both = Both([Pm::new(crm.address, CANONICAL), Pm::new(crm.address, ALIAS)]);
    let deployed = AtomicUsize::new(0);
    let restart = async {
        until_deployed(&deployed, CLASSES / 2).await;
        crm.restart(cluster().await, &ns.name).await
    };
    let (created, crm) = tokio::join!(deploy_all(&both, &deployed), restart);
    // A drained controller answers what it has begun, so no record was created without its caller knowing.
    assert_eq!(created, CLASSES);
    assert_all_there_once(&both, &ns, IMAGE).await;

    each(|index| {
        let both = &both;
        async move {
            assert_eq!(deploy(both, index, IMAGE).await, "unchanged", "{:?}", id(index));
            assert_eq!(deploy(both, index, NEWER).await, "updated", "{:?}", id(index));
            assert_eq!(read(both, index).await.functions[0].image, NEWER);
        }
    })
    .await;
    assert_all_there_once(&both, &ns, NEWER).await;
    eventually(LONG, "all are RUNNING", || async {
        let all = listed(both.reader(0)).await;
        let running = all.iter().filter(|class| class.summarized_status == Some(RUNNING)).count();
        if running == CLASSES { Ok(()) } else { Err(running) }
    })
    .await;

    each(|index| {
        let both = &both;
        async move {
            let id = id(index);
            answered("delete", || both.writer(index).delete(&id)).await.expect("it can be deleted");
            eventually(LONG, "it is gone", || async {
                let gone = both.reader(index).status::<OClassDeployment>(&id).await;
                if gone.as_ref().is_err_and(|status| status.code() == Code::NotFound) {
                    Ok(())
                } else {
                    Err(format!("{gone:?}"))
                }
            })
            .await;
        }
    })
    .await;
    assert!(listed(both.reader(0)).await.is_empty());
    assert!(ns.records().list(&ListParams::default()).await.unwrap().items.is_empty());
    crm.stop().await;
}

#[test]
fn the_ids_of_the_test_are_as_many_as_it_says() {
    let ids: BTreeSet<String> = (0..CLASSES).map(id).collect();
    assert_eq!(ids.len(), CLASSES);
    assert!(ids.iter().all(|id| (1..=253).contains(&id.len())), "{ids:?}");
}
