//! Committed files that are generated equal what the sources give today.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

/// Compares a committed file; `command` writes it anew.
fn same(file: &str, generated: &str, command: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let committed = std::fs::read_to_string(&path).unwrap();
    let differs = committed.lines().zip(generated.lines()).position(|(old, new)| old != new);
    assert!(
        committed == generated,
        "{file} is not what the sources give (first difference: line {}); run `just generate`, or\n    {command}",
        differs.map_or_else(|| committed.lines().count().min(generated.lines().count()) + 1, |index| index + 1),
    );
}

#[test]
fn the_committed_crd_is_the_generated_one() {
    let file = "k8s/crds/deploymentrecords.gen.yaml";
    same(file, &oprc_crm::api::crd_yaml().unwrap(), &format!("cargo run --bin crdgen > {file}"));
}

#[test]
fn the_committed_page_of_the_crd_is_the_generated_one() {
    let file = "docs/crd.md";
    same(file, &oprc_crm::api::crd_markdown().unwrap(), &format!("cargo run -- crd --doc > {file}"));
}

#[test]
fn the_committed_schema_of_policies_is_the_generated_one() {
    let file = "policies/policy.schema.json";
    let generated = format!("{:#}\n", oprc_crm::policy::json_schema());
    same(file, &generated, &format!("cargo run -- policy schema > {file}"));
}

#[test]
fn the_committed_table_of_facts_is_the_generated_one() {
    let file = "docs/facts.md";
    let command = format!("cargo run -- policy schema --facts > {file}");
    same(file, &oprc_crm::policy::facts_markdown(), &command);
}
