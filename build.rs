//! Generates the gRPC types and services from `proto/`, and the descriptors that reflection serves. No protoc needed.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message as _;
use prost_build::Config;
use protox::prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet,
};

/// The package of the deployment service, and the second name under which the same service is served.
const PACKAGE: &str = "deployment";
const ALIAS: &str = "oaas.deployment";
/// The message that read calls answer with, and the one that later Package Managers expect in the same places.
const FORM: &str = ".deployment.OClassDeployment";
const OTHER_FORM: &str = ".deployment.DeploymentUnit";
/// The answers that carry it.
const ANSWERS: [&str; 3] =
    ["GetDeploymentStatusResponse", "ListDeploymentRecordsResponse", "GetDeploymentRecordResponse"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let files = ["common.proto", "deployment.proto", "health.proto", "grpc_health.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    builder().compile_fds_with_config(descriptors.clone(), Config::new())?;
    let other = other_form(&descriptors)?;
    other_types(&other, &out.join("unit"))?;
    write_descriptors(descriptors, &out.join("descriptors.bin"))?;
    write_descriptors(other, &out.join("descriptors_unit.bin"))
}

fn builder() -> tonic_prost_build::Builder {
    tonic_prost_build::configure().btree_map(".").build_client(true).build_server(true).build_transport(false)
}

/// The same files with the other payload in the answers of the read calls.
fn other_form(descriptors: &FileDescriptorSet) -> Result<FileDescriptorSet, Box<dyn Error>> {
    let mut other = descriptors.clone();
    let mut changed = 0;
    for file in other.file.iter_mut().filter(|file| file.package() == PACKAGE) {
        let form = FORM.trim_start_matches(".deployment.");
        file.message_type.retain(|message| message.name() != form);
        // Its comments are found by position, and positions have changed.
        file.source_code_info = None;
        let answers = file.message_type.iter_mut().filter(|message| ANSWERS.contains(&message.name()));
        for field in answers.flat_map(|message| &mut message.field).filter(|field| field.type_name() == FORM) {
            field.type_name = Some(OTHER_FORM.to_owned());
            changed += 1;
        }
    }
    if changed != ANSWERS.len() {
        return Err(format!("proto/deployment.proto: {FORM} stands in {changed} of {ANSWERS:?}").into());
    }
    Ok(other)
}

/// Types of the other form: those answers and the service; everything else is what it is.
fn other_types(other: &FileDescriptorSet, out: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(out)?;
    let mut builder = builder().out_dir(out).extern_path(".oaas", "crate::grpc::pb::oaas");
    let file: Vec<_> =
        other.file.iter().filter(|file| [PACKAGE, "oaas.common"].contains(&file.package())).cloned().collect();
    for file in file.iter().filter(|file| file.package() == PACKAGE) {
        let messages = file.message_type.iter().map(DescriptorProto::name).filter(|name| !ANSWERS.contains(name));
        for name in messages.chain(file.enum_type.iter().map(EnumDescriptorProto::name)) {
            builder = builder.extern_path(format!(".{PACKAGE}.{name}"), format!("crate::grpc::pb::{PACKAGE}::{name}"));
        }
    }
    Ok(builder.compile_fds_with_config(FileDescriptorSet { file }, Config::new())?)
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

/// Descriptors under both names of the service.
fn write_descriptors(mut descriptors: FileDescriptorSet, path: &Path) -> Result<(), Box<dyn Error>> {
    let aliases: Vec<_> = descriptors.file.iter().filter(|file| file.package() == PACKAGE).map(alias).collect();
    descriptors.file.extend(aliases);
    std::fs::write(path, descriptors.encode_to_vec())?;
    Ok(())
}
