//! Reflection: both names of the service, and the form of the payload that is configured.

use oprc_crm::grpc::{Options, Payload, pb};
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::{Code, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::harness::{ALIAS, CANONICAL, Server};

const ANSWERS: [&str; 3] =
    ["GetDeploymentStatusResponse", "ListDeploymentRecordsResponse", "GetDeploymentRecordResponse"];

/// The answer, or the status that the server ends with.
async fn reflect(server: &Server, question: MessageRequest) -> Result<MessageResponse, Status> {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let mut client = ServerReflectionClient::new(server.channel().await);
    let mut answers = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    Ok(answers.message().await?.unwrap().message_response.unwrap())
}

/// The file that describes a symbol.
async fn file_of(server: &Server, symbol: &str) -> Option<FileDescriptorProto> {
    match reflect(server, MessageRequest::FileContainingSymbol(symbol.to_owned())).await {
        Ok(MessageResponse::FileDescriptorResponse(found)) => {
            Some(FileDescriptorProto::decode(found.file_descriptor_proto[0].as_slice()).unwrap())
        }
        Err(status) if status.code() == Code::NotFound => None,
        other => panic!("{symbol}: {other:?}"),
    }
}

#[tokio::test]
async fn reflection_lists_every_service_and_describes_each() {
    for payload in [Payload::Oclass, Payload::Unit] {
        let server = Server::with_options(Options { payload, ..Options::default() }).await;
        let Ok(MessageResponse::ListServicesResponse(list)) =
            reflect(&server, MessageRequest::ListServices(String::new())).await
        else {
            panic!("no list");
        };
        let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
        for name in [
            CANONICAL,
            ALIAS,
            "oaas.health.HealthService",
            "oaas.health.CrmInfoService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
        ] {
            assert!(names.iter().any(|listed| listed == name), "{name} in {names:?}");
            assert!(file_of(&server, name).await.is_some(), "{name}");
        }
        for message in ["deployment.DeploymentUnit", "oaas.deployment.DeploymentUnit", "oaas.common.Timestamp"] {
            assert!(file_of(&server, message).await.is_some(), "{message}");
        }
    }
}

#[tokio::test]
async fn the_payload_that_is_described_is_the_one_that_is_sent() {
    for (payload, form) in [(Payload::Oclass, "OClassDeployment"), (Payload::Unit, "DeploymentUnit")] {
        let server = Server::with_options(Options { payload, ..Options::default() }).await;
        for package in ["deployment", "oaas.deployment"] {
            for name in ANSWERS {
                let file = file_of(&server, &format!("{package}.{name}")).await.unwrap();
                let answer = file.message_type.iter().find(|message| message.name() == name).unwrap();
                let field = answer.field.iter().find(|field| ["deployment", "items"].contains(&field.name())).unwrap();
                assert_eq!(field.type_name(), format!(".{package}.{form}"), "{name}");
            }
            let other = file_of(&server, &format!("{package}.OClassDeployment")).await;
            assert_eq!(other.is_some(), payload == Payload::Oclass, "{package}");
        }
    }
}

#[tokio::test]
async fn the_descriptors_of_both_names_are_complete_and_alike() {
    for descriptors in [pb::DESCRIPTORS, pb::DESCRIPTORS_UNIT] {
        let set = FileDescriptorSet::decode(descriptors).unwrap();
        let file = |package: &str| set.file.iter().find(|file| file.package() == package).unwrap().clone();
        let (canonical, alias) = (file("deployment"), file("oaas.deployment"));
        let shape = |file: &FileDescriptorProto| {
            let text = format!("{:?} {:?} {:?}", file.message_type, file.enum_type, file.service);
            text.replace(".oaas.deployment.", ".deployment.")
        };
        assert_eq!(shape(&canonical), shape(&alias));
        assert!(!format!("{:?}", alias.message_type).contains("\".deployment."));
    }
}
