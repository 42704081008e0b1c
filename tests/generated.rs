//! Committed files that are generated equal what the sources give today.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

#[test]
fn the_committed_crd_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/crds/deploymentrecords.gen.yaml");
    let committed = std::fs::read_to_string(&path).unwrap();
    let generated = oprc_crm::api::crd_yaml().unwrap();
    let differs = committed.lines().zip(generated.lines()).position(|(old, new)| old != new);
    assert!(
        committed == generated,
        "{} is not what src/api gives (first difference: line {}); run\n    \
         cargo run --bin crdgen > k8s/crds/deploymentrecords.gen.yaml",
        path.display(),
        differs.map_or_else(|| committed.lines().count().min(generated.lines().count()) + 1, |index| index + 1),
    );
}
