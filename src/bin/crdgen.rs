//! Prints the `CustomResourceDefinition`: `cargo run --bin crdgen > k8s/crds/deploymentrecords.gen.yaml`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match oprc_crm::api::crd_yaml() {
        Ok(yaml) => {
            print!("{yaml}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}
