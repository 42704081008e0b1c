//! The policy's directory is watched: what is right takes effect, what is wrong does not, and says so.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::idle::settled;
use crate::support::audit::{self, Request};
use crate::support::class::Namespace;
use crate::support::crm::Crm;
use crate::support::policy::{Bundle, document, events, metric, page, page_where};
use crate::support::{self, from_json};
use crate::{IMAGE, start_with};

/// A class that template full takes over once it wants no more than `full_rps`.
fn demanding() -> Value {
    json!({
        "functions": [{"function_key": "f", "image": IMAGE, "replicas": 1}],
        "nfr_requirements": {"min_throughput_rps": 1200, "consistency": "strong"},
    })
}

fn plain() -> Value {
    json!({"functions": [{"function_key": "f", "image": IMAGE, "replicas": 1}]})
}

/// What the operator wrote in this namespace, as `resource subresource`, with how often.
fn written(ns: &Namespace, from: usize) -> (BTreeMap<String, usize>, usize) {
    let log = |cluster: &support::Cluster| audit::writes(cluster.plane().audit_log(), support::CRM_USER);
    let mut all = futures::executor::block_on(async { log(support::cluster().await) });
    all.retain(|one| one.namespace() == ns.name);
    let mut counts = BTreeMap::new();
    for Request { object_ref, .. } in all.iter().skip(from) {
        let object = object_ref.clone().unwrap_or_default();
        *counts.entry(format!("{} {}", object.resource, object.subresource).trim().to_owned()).or_default() += 1;
    }
    (counts, all.len())
}

async fn loads(crm: &Crm) -> f64 {
    metric(crm, "oprc_crm_policy_loads_total{result=\"ok\"}").await
}

#[tokio::test]
async fn a_reload_re_evaluates_what_it_affects_with_no_restart_and_no_needless_write() {
    let bundle = Bundle::new("full_rps: 1500", "");
    let (crm, ns) = start_with("reload", &[("OPRC_CRM_POLICY_DIR", bundle.path())]).await;
    ns.apply("demanding", demanding()).await;
    ns.apply("plain", plain()).await;
    assert_eq!(ns.available("demanding").await.selected_template.as_deref(), Some("edge"));
    ns.available("plain").await;
    settled(&crm).await;
    let first = page(&crm).await["active"]["revision"].clone();

    // A comment: loaded, and nothing else.
    let (before, at) = (loads(&crm).await, crm.writes());
    bundle.write("bundle.yaml", &format!("# a comment\n{}", document("full_rps: 1500", "")));
    page_loaded(&crm, before + 1.0).await;
    settled(&crm).await;
    assert_eq!(crm.writes() - at, 0, "writes after an edit that means nothing");
    assert_eq!(page(&crm).await["active"]["revision"], first);

    // Another revision that changes nobody's outcome: each record says so once, and no child is touched.
    let (_, seen) = written(&ns, 0);
    bundle.change("full_rps: 1400", "");
    let second = page_where(&crm, "the second revision", |page| page["active"]["revision"] != first).await;
    let second = second["active"]["revision"].as_str().unwrap().to_owned();
    for name in ["demanding", "plain"] {
        ns.status(name, "the second revision", |status| {
            status.decision.as_ref().is_some_and(|decision| decision.policy_revision == second)
        })
        .await;
    }
    settled(&crm).await;
    let (writes, seen) = written(&ns, seen);
    let expected = [("configmaps", 1), ("deploymentrecords status", 2), ("events", 1)];
    assert_eq!(writes, expected.map(|(what, count)| (what.to_owned(), count)).into());

    // One that changes one class: that class alone.
    bundle.change("full_rps: 1000", "");
    let status = ns.status("demanding", "full", |status| status.selected_template.as_deref() == Some("full")).await;
    let decision = status.decision.unwrap();
    ns.status("plain", "the third revision", |status| {
        status.decision.as_ref().is_some_and(|plain| plain.policy_revision == decision.policy_revision)
    })
    .await;
    settled(&crm).await;
    let (writes, _) = written(&ns, seen);
    let count = |what: &str| writes.get(what).copied();
    assert_eq!(count("deployments"), Some(1), "the template's name, on one class: {writes:?}");
    assert_eq!((count("services"), count("configmaps")), (None, Some(2)), "offered and through: {writes:?}");
    assert_eq!(ns.events("demanding").await.iter().filter(|(reason, _)| reason == "TemplateSelected").count(), 2);
    let said = events(support::cluster().await.admin(), &ns.name, "PolicyChanged").await;
    let (kind, note) = said.last().unwrap();
    assert_eq!(kind, "ConfigMap");
    assert!(note.contains("1 of 2 classes (50 %) change: template edge -> full (1)"), "{note}");
    assert!(note.contains("Template/full/throughput"), "{note}");
    crm.stop().await;
}

async fn page_loaded(crm: &Crm, count: f64) {
    support::eventually(support::policy::LOADED, "another load", || async {
        let now = loads(crm).await;
        if now >= count { Ok(()) } else { Err(format!("{now} loads")) }
    })
    .await;
}

/// Waits until the page shows a failed load with this text, and that the metric agrees.
async fn rejected(crm: &Crm, revision: &Value, text: &str) {
    let page = page_where(crm, &format!("refused for {text:?}"), |page| {
        let failed = &page["last_failed_load"];
        failed["stands"] == true && failed["text"].as_str().is_some_and(|found| found.contains(text))
    })
    .await;
    assert_eq!(&page["active"]["revision"], revision, "the last good one holds");
    assert!(metric(crm, "oprc_crm_policy_last_load_ok").await < 0.5);
}

async fn mended(crm: &Crm) {
    page_where(crm, "it loads again", |page| page["last_failed_load"]["stands"] == false).await;
    assert!(metric(crm, "oprc_crm_policy_last_load_ok").await > 0.5);
}

#[tokio::test]
async fn whatever_breaks_the_directory_the_last_good_policy_serves_and_says_what_is_wrong() {
    let bundle = Bundle::new("", "");
    let (crm, ns) = start_with("last-good", &[("OPRC_CRM_POLICY_DIR", bundle.path())]).await;
    let revision = page(&crm).await["active"]["revision"].clone();
    let good = document("", "");
    let half = &good[..good.len() / 2];

    // Not by a rename, and not to its end.
    fs::write(bundle.file("bundle.yaml"), half).unwrap();
    rejected(&crm, &revision, "bundle.yaml:").await;
    ns.apply("served", plain()).await;
    let status = ns.available("served").await;
    assert_eq!(json!(status.decision.unwrap().policy_revision), revision);
    bundle.write("bundle.yaml", &good);
    mended(&crm).await;

    let away = bundle.dir().with_extension("away");
    fs::rename(bundle.dir(), &away).unwrap();
    rejected(&crm, &revision, "the directory can't be read").await;
    fs::rename(&away, bundle.dir()).unwrap();
    mended(&crm).await;

    fs::write(bundle.file("binary.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    rejected(&crm, &revision, "binary.yaml").await;
    fs::remove_file(bundle.file("binary.yaml")).unwrap();
    mended(&crm).await;

    symlink("nowhere", bundle.file("lost.yaml")).unwrap();
    rejected(&crm, &revision, "lost.yaml").await;
    fs::remove_file(bundle.file("lost.yaml")).unwrap();
    mended(&crm).await;

    let test = "apiVersion: policy.oaas.io/v1alpha1\nkind: Test\nmetadata: {name: wrong}\nspec:\n  target: Template\n  \
                cases:\n    - {name: never, given: {profile: dev}, expect: {template: full}}\n";
    bundle.write("tests.yaml", test);
    rejected(&crm, &revision, "test `wrong`, case `never` fails").await;
    fs::remove_file(bundle.file("tests.yaml")).unwrap();
    mended(&crm).await;

    ns.apply("served", json!({"functions": [{"function_key": "f", "image": IMAGE, "replicas": 2}]})).await;
    assert_eq!(ns.available("served").await.ready_summary.as_deref(), Some("2/2"));
    let said = events(support::cluster().await.admin(), &ns.name, "PolicyRejected").await;
    assert_eq!(said.len(), 5, "each said once: {said:#?}");
    crm.stop().await;
}

/// How often a load was tried.
async fn tries(crm: &Crm) -> f64 {
    loads(crm).await + metric(crm, "oprc_crm_policy_loads_total{result=\"failed\"}").await
}

/// The text of a file after a hasty edit of one line, of one of five sorts.
fn hasty(text: &str, number: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let at = (number * 37 + 11) % lines.len();
    let line = lines[at];
    let edited = match number % 5 {
        0 => None,
        1 => Some([line, " ["].concat()),
        2 => Some(["  ", line].concat()),
        3 => Some(line.replacen("class", "clas", 1).replacen("when", "wen", 1).replacen("id:", "idd:", 1)),
        _ => Some(line.replace(|c: char| c.is_ascii_digit(), "x")),
    };
    let before = lines[..at].iter().map(ToString::to_string);
    let after = lines[at + 1..].iter().map(ToString::to_string);
    before.chain(edited).chain(after).collect::<Vec<_>>().join("\n") + "\n"
}

#[tokio::test]
async fn while_hasty_edits_of_the_whole_bundle_come_and_go_the_last_good_policy_serves_throughout() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["", "templates", "tests"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
        for entry in fs::read_dir(Path::new("policies").join(folder)).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(entry.path(), dir.path().join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
    let (crm, ns) = start_with("hasty", &[("OPRC_CRM_POLICY_DIR", dir.path().to_str().unwrap())]).await;
    let shipped = page(&crm).await["active"]["revision"].clone();
    let files = ["admission.yaml", "templates/edge.yaml", "safeguards.yaml", "signals.yaml", "recommendations.yaml"];
    let mut refused = 0;
    for number in 0..12 {
        let file = dir.path().join(files[number % files.len()]);
        let good = fs::read_to_string(&file).unwrap();
        let edit = hasty(&good, number);
        if edit == good {
            continue;
        }
        let looked = tries(&crm).await;
        fs::write(&file, edit).unwrap();
        // Deployed while the edit is there: by what serves, whichever that is.
        let name = format!("served-{number}");
        ns.apply(&name, plain()).await;
        support::eventually(support::policy::LOADED, &format!("edit {number} of {}", file.display()), || async {
            if tries(&crm).await > looked { Ok(()) } else { Err("it is not seen") }
        })
        .await;
        let seen = page(&crm).await;
        refused += usize::from(seen["last_failed_load"]["stands"] == true);
        let status = ns.available(&name).await;
        assert!(status.decision.is_some_and(|one| !one.policy_revision.is_empty()), "edit {number}");
        assert_eq!(support::http_get(crm.address, "/readyz").await.0, 200, "edit {number}");
        fs::write(&file, good).unwrap();
        page_where(&crm, &format!("edit {number} taken back"), |page| {
            page["last_failed_load"]["stands"] != true && page["active"]["revision"] == shipped
        })
        .await;
    }
    assert!(refused >= 6, "{refused} edits were refused: these edits are too tame");
    crm.stop().await;
}

#[tokio::test]
async fn the_symlink_swap_of_a_mounted_configmap_is_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let mount = |revision: &str, params: &str| {
        fs::create_dir(dir.path().join(revision)).unwrap();
        fs::write(dir.path().join(revision).join("bundle.yaml"), document(params, "")).unwrap();
        symlink(revision, dir.path().join("..data_tmp")).unwrap();
        fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
    };
    mount("..2026_01", "full_rps: 1500");
    symlink("..data/bundle.yaml", dir.path().join("bundle.yaml")).unwrap();
    let (crm, ns) = start_with("mounted", &[("OPRC_CRM_POLICY_DIR", dir.path().to_str().unwrap())]).await;
    ns.apply("demanding", demanding()).await;
    assert_eq!(ns.available("demanding").await.selected_template.as_deref(), Some("edge"));
    mount("..2026_02", "full_rps: 1000");
    ns.status("demanding", "full", |status| status.selected_template.as_deref() == Some("full")).await;
    crm.stop().await;
}

#[tokio::test]
async fn started_with_a_broken_directory_the_last_good_policy_runs_loudly() {
    let bundle = Bundle::new("full_rps: 1000", "");
    let variables = [("OPRC_CRM_POLICY_DIR", bundle.path())];
    let (crm, ns) = start_with("broken-start", &variables).await;
    ns.apply("demanding", demanding()).await;
    assert_eq!(ns.available("demanding").await.selected_template.as_deref(), Some("full"));
    let revision = page(&crm).await["active"]["revision"].clone();
    crm.stop().await;
    bundle.write("bundle.yaml", "apiVersion: [\n");
    let crm = Crm::start_with(support::cluster().await, &ns.name, &variables).await;
    rejected(&crm, &revision, "bundle.yaml:").await;
    settled(&crm).await;
    let status = ns.records().get("demanding").await.unwrap().typed_status();
    assert_eq!(status.selected_template.as_deref(), Some("full"));
    ns.apply("more", demanding()).await;
    assert_eq!(ns.available("more").await.selected_template.as_deref(), Some("full"));
    bundle.change("full_rps: 1000", "");
    mended(&crm).await;
    assert_eq!(page(&crm).await["active"]["revision"], revision);
    crm.stop().await;
}

#[tokio::test]
async fn what_is_said_of_the_policy_stands_on_the_controllers_own_deployment() {
    let cluster = support::cluster().await;
    let name = cluster.namespace("own").await;
    let own: Deployment = from_json(json!({
        "metadata": {"name": "crm"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": IMAGE}]}}},
    }));
    Api::namespaced(cluster.admin(), &name).create(&PostParams::default(), &own).await.unwrap();
    let bundle = Bundle::new("", "");
    let variables =
        [("OPRC_CRM_POLICY_DIR", bundle.path()), ("POD_NAMESPACE", name.as_str()), ("POD_NAME", "crm-7d4b9-x2k8p")];
    let crm = Crm::start_with(cluster, &name, &variables).await;
    let before = page(&crm).await["active"]["revision"].clone();
    bundle.change("full_rps: 1234", "");
    page_where(&crm, "the second revision", |page| page["active"]["revision"] != before).await;
    let said = support::eventually(support::policy::LOADED, "an event", || async {
        let said = events(cluster.admin(), &name, "PolicyChanged").await;
        if said.is_empty() { Err("none yet") } else { Ok(said) }
    })
    .await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].0, "Deployment");
    crm.stop().await;
}
