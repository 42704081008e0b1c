//! What several objects have in common: metadata, labels, security, resources, probes, Services.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
    SecurityContext, Service, ServicePort, ServiceSpec, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as KubeQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;

use super::{Component, ObjectKind, RenderError, RenderedObject};
use crate::api::{GROUP, LABEL_CLASS, LABEL_OWNER, LABEL_PACKAGE, MANAGED_BY, VERSION};
use crate::decision::SecurityPlan;
use crate::model::{ADDON_ODGM, Applied, AppliedSize, Class, Quantity, Resources, names};

/// Annotation on a workload: the template that it was rendered from. Not on its pods: another template with the same
/// pods must not roll them.
pub const ANNOTATION_TEMPLATE: &str = "oaas.io/template";
/// Label with who looks after an object.
const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Name of the container's and the Service's only port; probes refer to it.
pub(super) const PORT_NAME: &str = "http";

/// URL of a Service for anyone in the cluster, whatever the cluster's domain is called.
pub fn service_url(class: &Class, service: &str) -> String {
    format!("http://{service}.{}.svc", class.namespace)
}

/// What a workload and its Service are called and belong to.
pub(super) struct Part<'a> {
    pub class: &'a Class,
    pub component: Component,
    pub workload: &'a str,
    pub service: &'a str,
}

impl Part<'_> {
    /// What selects the pods: fixed for the life of a class, since a Deployment's selector cannot be changed.
    pub fn selector(&self) -> BTreeMap<String, String> {
        let pairs = [("app", self.workload), (LABEL_OWNER, self.class.names.class())];
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let (name, component) = match &self.component {
            Component::Function(key) => (names::label_value(key), "function"),
            Component::Odgm => (ADDON_ODGM.to_owned(), ADDON_ODGM),
        };
        let mut labels = self.selector();
        for (key, value) in [
            ("name", name.as_str()),
            ("instance", self.workload),
            ("component", component),
            ("part-of", self.class.names.class()),
            ("managed-by", MANAGED_BY),
        ] {
            labels.insert(format!("app.kubernetes.io/{key}"), value.to_owned());
        }
        for (name, value) in [(LABEL_PACKAGE, &self.class.package), (LABEL_CLASS, &self.class.key)] {
            labels.extend(value.clone().map(|value| (name.to_owned(), value)));
        }
        labels
    }

    pub fn metadata(&self, name: &str) -> ObjectMeta {
        // Offline there is no record in a cluster, hence no uid and nothing to refer to.
        let owner = (!self.class.uid.is_empty()).then(|| {
            vec![OwnerReference {
                api_version: format!("{GROUP}/{VERSION}"),
                kind: "DeploymentRecord".to_owned(),
                name: self.class.name.clone(),
                uid: self.class.uid.clone(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]
        });
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.class.namespace.clone()),
            labels: Some(self.labels()),
            owner_references: owner,
            ..ObjectMeta::default()
        }
    }

    /// Metadata of a workload, which tells the template that it was rendered from.
    pub fn workload_metadata(&self, template: &str) -> ObjectMeta {
        let annotations = Some([(ANNOTATION_TEMPLATE.to_owned(), template.to_owned())].into());
        ObjectMeta { annotations, ..self.metadata(self.workload) }
    }

    /// Labels of what Knative makes of a Service. Without `app`, by which the Service of a Deployment before or after it
    /// would take the pods for its own; without `managed-by`, because these objects are Knative's.
    pub fn version_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        labels.retain(|name, _| name != "app" && name != LABEL_MANAGED_BY);
        labels
    }

    /// The Deployment around a container.
    pub fn deployment(&self, template: &str, pod: PodSpec, replicas: u32) -> Result<RenderedObject, RenderError> {
        let deployment = Deployment {
            metadata: self.workload_metadata(template),
            spec: Some(DeploymentSpec {
                selector: LabelSelector { match_labels: Some(self.selector()), ..LabelSelector::default() },
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta { labels: Some(self.labels()), ..ObjectMeta::default() }),
                    spec: Some(pod),
                },
                ..DeploymentSpec::default()
            }),
            status: None,
        };
        self.object(ObjectKind::Deployment, self.workload, &deployment, Some(replicas))
    }

    /// The Service in front of the container's port.
    pub fn service(&self, port: u16, target: u16, app_protocol: Option<&str>) -> Result<RenderedObject, RenderError> {
        let service = Service {
            metadata: self.metadata(self.service),
            spec: Some(ServiceSpec {
                selector: Some(self.selector()),
                ports: Some(vec![ServicePort {
                    name: Some(PORT_NAME.to_owned()),
                    port: i32::from(port),
                    target_port: Some(IntOrString::Int(i32::from(target))),
                    protocol: Some("TCP".to_owned()),
                    app_protocol: app_protocol.map(str::to_owned),
                    ..ServicePort::default()
                }]),
                ..ServiceSpec::default()
            }),
            status: None,
        };
        self.object(ObjectKind::Service, self.service, &service, None)
    }

    pub fn object(
        &self,
        kind: ObjectKind,
        name: &str,
        object: &impl Serialize,
        replicas: Option<u32>,
    ) -> Result<RenderedObject, RenderError> {
        let manifest =
            serde_json::to_value(object).map_err(|source| RenderError::Serialise { kind: kind.kind(), source })?;
        Ok(RenderedObject { kind, name: name.to_owned(), component: self.component.clone(), manifest, replicas })
    }
}

/// A pod of one container that asks for nothing of the cluster: no API token, no variables of foreign Services.
pub(super) fn pod(container: Container, security: SecurityPlan, grace_seconds: Option<u32>) -> PodSpec {
    PodSpec {
        containers: vec![container],
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            run_as_non_root: security.run_as_non_root.then_some(true),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: grace_seconds.map(i64::from),
        ..PodSpec::default()
    }
}

/// A container with one port.
pub(super) fn container(name: &str, image: &str, port: u16, security: SecurityPlan) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        ports: Some(vec![k8s_openapi::api::core::v1::ContainerPort {
            name: Some(PORT_NAME.to_owned()),
            container_port: i32::from(port),
            protocol: Some("TCP".to_owned()),
            ..Default::default()
        }]),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: security
                .drop_capabilities
                .then(|| Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// A probe that opens the container's port.
pub(super) fn probe(period_seconds: i32, failures: i32) -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction { port: IntOrString::String(PORT_NAME.to_owned()), host: None }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// The record's resources, and the template's where the record states none; what the record states is never changed,
/// so the template's request comes down to the record's limit and its limit goes up to the record's request. What
/// enforcement applied over that request takes its place, and never passes the limit.
pub(super) fn resources(record: &Resources, template: &Resources, applied: &Applied) -> Option<ResourceRequirements> {
    let (cpu_request, cpu_limit) =
        pair([&record.cpu_request, &record.cpu_limit], [&template.cpu_request, &template.cpu_limit]);
    let (memory_request, memory_limit) =
        pair([&record.memory_request, &record.memory_limit], [&template.memory_request, &template.memory_limit]);
    let cpu_request = enforced(cpu_request, cpu_limit, applied.cpu_request.as_ref());
    let memory_request = enforced(memory_request, memory_limit, applied.memory_request.as_ref());
    let requests = quantities(cpu_request, memory_request);
    let limits = quantities(cpu_limit, memory_limit);
    (requests.is_some() || limits.is_some()).then_some(ResourceRequirements { requests, limits, claims: None })
}

type Stated<'a> = Option<&'a Quantity>;

fn enforced<'a>(request: Stated<'a>, limit: Stated<'a>, applied: Option<&'a AppliedSize>) -> Stated<'a> {
    let base = request?;
    let size = applied.and_then(|applied| applied.over(base)).unwrap_or(base);
    Some(limit.map_or(size, |limit| size.min(limit)))
}

fn pair<'a>(record: [&'a Option<Quantity>; 2], template: [&'a Option<Quantity>; 2]) -> (Stated<'a>, Stated<'a>) {
    let ([own_request, own_limit], [request, limit]) = (record.map(Option::as_ref), template.map(Option::as_ref));
    match (own_request, own_limit) {
        (Some(own), None) => (Some(own), limit.map(|limit| limit.max(own))),
        (own_request, own_limit) => {
            let limit = own_limit.or(limit);
            let request = own_request.or(request);
            (request.map(|request| limit.map_or(request, |limit| request.min(limit))), limit)
        }
    }
}

fn quantities(cpu: Stated<'_>, memory: Stated<'_>) -> Option<BTreeMap<String, KubeQuantity>> {
    let stated: BTreeMap<String, KubeQuantity> = [("cpu", cpu), ("memory", memory)]
        .into_iter()
        .filter_map(|(name, quantity)| Some((name.to_owned(), KubeQuantity(quantity?.as_str().to_owned()))))
        .collect();
    (!stated.is_empty()).then_some(stated)
}
