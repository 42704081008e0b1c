//! The manifests that people copy from.

use kube::api::{Patch, PatchParams};
use serde_json::Value;

use crate::start;
use crate::support::shipped;

#[tokio::test]
async fn every_sample_applies_as_it_stands_and_becomes_available() {
    let (crm, ns) = start("samples").await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/samples");
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        let sample: Value = serde_saphyr::from_str(&shipped(&format!("k8s/samples/{file}"))).unwrap();
        let name = sample["metadata"]["name"].as_str().unwrap().to_owned();
        let params = PatchParams::apply("kubectl");
        ns.records()
            .patch(&name, &params, &Patch::Apply(&sample))
            .await
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        names.push(name);
    }
    assert!(names.len() >= 4, "{names:?}");
    for name in &names {
        ns.available(name).await;
    }
    crm.stop().await;
}
