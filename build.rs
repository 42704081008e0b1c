//! Generates the gRPC types and services from `proto/`, and the descriptors that reflection serves. No protoc needed.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message as _;
use prost_build::Config;
use protox::prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};

/// The package of the deployment service, and the second name under which the same service is served.
const PACKAGE: &str = "deployment";
const ALIAS: &str = "oaas.deployment";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = ["common.proto", "deployment.proto", "health.proto", "grpc_health.proto"];
    let mut descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure()
        .btree_map(".")
        .build_client(true)
        .build_server(true)
        .build_transport(false)
        .compile_fds_with_config(descriptors.clone(), Config::new())?;

    let aliases: Vec<_> = descriptors.file.iter().filter(|file| file.package() == PACKAGE).map(alias).collect();
    descriptors.file.extend(aliases);
    write_descriptors(&descriptors)
}

/// The same file under the other package, so that reflection describes both names.
fn alias(file: &FileDescriptorProto) -> FileDescriptorProto {
    let mut file = file.clone();
    file.name = Some(format!("oaas/{}", file.name()));
    file.package = Some(ALIAS.to_owned());
    file.source_code_info = None;
    for message in &mut file.message_type {
        for nested in message.nested_type.iter_mut().flat_map(|nested| &mut nested.field) {
            rename(&mut nested.type_name);
        }
        for field in &mut message.field {
            rename(&mut field.type_name);
        }
    }
    for method in file.service.iter_mut().flat_map(|service| &mut service.method) {
        rename(&mut method.input_type);
        rename(&mut method.output_type);
    }
    file
}

fn rename(type_name: &mut Option<String>) {
    if let Some(rest) = type_name.as_deref().and_then(|name| name.strip_prefix(&format!(".{PACKAGE}."))) {
        *type_name = Some(format!(".{ALIAS}.{rest}"));
    }
}

fn write_descriptors(descriptors: &FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(Path::new(&out).join("descriptors.bin"), descriptors.encode_to_vec())?;
    Ok(())
}
