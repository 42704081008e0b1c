//! Wire -> record. Pure. Every field of the unit reaches the record; faults carry the wire's field paths.

use std::collections::BTreeMap;

use crate::api::{
    ANNOTATION_CREATED_AT, ANNOTATION_DEPLOYMENT_ID, CollectionShardAssignments, DeploymentRecord,
    DeploymentRecordSpec, Enforcement, EnforcementDimension, EnforcementMode, FunctionRoute, FunctionSpec,
    InvocationRoutes, LABEL_DEPLOYMENT_ID, Nfr, NfrRequirements, OdgmConfig, OdgmNodeIds, ResourceRequirements,
    ShardAssignment,
};
use crate::model::{FieldError, names};

use super::identity::check_id;
use super::pb::{deployment as wire, oaas::common};

/// The root of every field path.
pub(super) const UNIT: &str = "deployment_unit";

/// The first second of year 1: nothing before it is a `google.protobuf.Timestamp`, nor a date that others can read.
const YEAR_1: i64 = -62_135_596_800;

/// Turns a unit into the record that it asks for, with the faults that only the wire shows; what cannot be read is left
/// out of the record, so that the rest can be judged all the same.
pub(super) fn record(unit: &wire::DeploymentUnit) -> (DeploymentRecord, Vec<FieldError>) {
    let mut faults = Faults::default();
    if let Err(fault) = check_id(&unit.id, &format!("{UNIT}.id")) {
        faults.0.push(fault);
    }
    if unit.functions.is_empty() {
        faults.add(format!("{UNIT}.functions"), "at least one function is needed");
    }
    let mut annotations = BTreeMap::from([(ANNOTATION_DEPLOYMENT_ID.to_owned(), unit.id.clone())]);
    if let Some(created_at) = unit.created_at.as_ref().and_then(|at| timestamp(at, &mut faults)) {
        annotations.insert(ANNOTATION_CREATED_AT.to_owned(), created_at);
    }
    let spec = DeploymentRecordSpec {
        package_name: stated(&unit.package_name),
        class_key: stated(&unit.class_key),
        target_env: stated(&unit.target_env),
        target_cluster: stated(&unit.target_cluster),
        selected_template: unit.selected_template.as_deref().and_then(stated),
        addons: unit.addons.clone(),
        function: None,
        functions: unit.functions.iter().enumerate().map(|(i, one)| function(one, i, &mut faults)).collect(),
        odgm_config: unit.odgm_config.as_ref().map(|config| odgm(config, &mut faults)),
        nfr_requirements: nfr(unit.nfr_requirements.as_ref(), &format!("{UNIT}.nfr_requirements"), &mut faults),
        nfr: unit.enforcement.as_ref().and_then(|wanted| enforcement(wanted, &mut faults)),
    };
    let mut record = DeploymentRecord::new(&names::record_name(&unit.id), spec);
    record.metadata.labels = Some(BTreeMap::from([(LABEL_DEPLOYMENT_ID.to_owned(), names::label_value(&unit.id))]));
    record.metadata.annotations = Some(annotations);
    (record, faults.0)
}

#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), message: message.into() });
    }

    /// Numbers in a record are signed: what is larger would not survive the API server.
    fn fits(&mut self, number: u64, field: &str) {
        if i64::try_from(number).is_err() {
            self.add(field, format!("{number} is too large; at most {}", i64::MAX));
        }
    }

    fn all_fit(&mut self, numbers: &[u64], field: &str) {
        for (index, number) in numbers.iter().enumerate() {
            self.fits(*number, &format!("{field}[{index}]"));
        }
    }
}

fn stated(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn timestamp(at: &common::Timestamp, faults: &mut Faults) -> Option<String> {
    let in_range = at.seconds >= YEAR_1 && (0..1_000_000_000).contains(&at.nanos);
    let parsed = in_range.then(|| jiff::Timestamp::new(at.seconds, at.nanos).ok()).flatten();
    if parsed.is_none() {
        let message = "no point in time; write seconds since 1970 (years 1 to 9999) and nanos from 0 to 999999999";
        faults.add(format!("{UNIT}.created_at"), message);
    }
    parsed.map(|at| at.to_string())
}

fn function(one: &wire::FunctionDeploymentSpec, index: usize, faults: &mut Faults) -> FunctionSpec {
    let at = format!("{UNIT}.functions[{index}]");
    let provision = one.provision_config.clone().unwrap_or_default();
    FunctionSpec {
        function_key: one.function_key.clone(),
        image: stated(&one.image),
        container_image: provision.container_image.as_deref().and_then(stated),
        port: provision.port,
        replicas: Some(one.replicas).filter(|replicas| *replicas > 0),
        min_scale: provision.min_scale,
        max_scale: provision.max_scale,
        max_concurrency: Some(provision.max_concurrency).filter(|max| *max > 0),
        need_http2: Some(provision.need_http2).filter(|need| *need),
        description: one.description.as_deref().and_then(stated),
        available_location: one.available_location.as_deref().and_then(stated),
        wasm_module_url: provision.wasm_module_url.as_deref().and_then(stated),
        resources: resources(one.resource_requirements.as_ref(), &provision),
        env: one.config.clone(),
        nfr_requirements: nfr(one.nfr_requirements.as_ref(), &format!("{at}.nfr_requirements"), faults),
    }
}

/// `resource_requirements` wins, field by field.
fn resources(
    stated_first: Option<&common::ResourceRequirements>,
    provision: &common::ProvisionConfig,
) -> Option<ResourceRequirements> {
    let first = stated_first.cloned().unwrap_or_default();
    let either = |first: &str, second: &Option<String>| stated(first).or_else(|| second.as_deref().and_then(stated));
    let resources = ResourceRequirements {
        cpu_request: either(&first.cpu_request, &provision.cpu_request),
        memory_request: either(&first.memory_request, &provision.memory_request),
        cpu_limit: either(first.cpu_limit(), &provision.cpu_limit),
        memory_limit: either(first.memory_limit(), &provision.memory_limit),
    };
    (resources != ResourceRequirements::default()).then_some(resources)
}

fn nfr(wanted: Option<&common::NfrRequirements>, at: &str, faults: &mut Faults) -> Option<NfrRequirements> {
    let wanted = wanted?;
    if wanted.availability.is_some_and(|ratio| !(0.0..=1.0).contains(&ratio)) {
        faults.add(format!("{at}.availability"), "must be a ratio from 0 to 1, such as 0.999");
    }
    if wanted.cpu_utilization_target.is_some_and(|target| !target.is_finite() || target < 0.0) {
        faults.add(format!("{at}.cpu_utilization_target"), "must be a finite number of 0 or more");
    }
    let nfr = NfrRequirements {
        min_throughput_rps: wanted.min_throughput_rps,
        max_latency_ms: wanted.max_latency_ms,
        availability_pct: wanted.availability.map(percent),
        cpu_utilization_target: wanted.cpu_utilization_target,
        consistency: None,
    };
    (nfr != NfrRequirements::default()).then_some(nfr)
}

/// A ratio as a percentage: 0.999 is 99.9 %, not 99.90000000000001. Twelve decimal places, so that [`ratio`] gives what
/// makes the same percentage again.
pub(super) fn percent(ratio: f64) -> f64 {
    (ratio * 1e14).round() / 1e12
}

/// A percentage as a ratio, with fourteen decimal places.
pub(super) fn ratio(percent: f64) -> f64 {
    (percent * 1e12).round() / 1e14
}

fn enforcement(wanted: &wire::Enforcement, faults: &mut Faults) -> Option<Nfr> {
    let mode = match wanted.mode.as_str() {
        "" => None,
        "off" => Some(EnforcementMode::Off),
        "observe" => Some(EnforcementMode::Observe),
        "enforce" => Some(EnforcementMode::Enforce),
        other => {
            faults.add(
                format!("{UNIT}.enforcement.mode"),
                format!("unknown mode {other:?}; choose off, observe or enforce"),
            );
            None
        }
    };
    let mut dimensions = Vec::new();
    for (index, name) in wanted.dimensions.iter().enumerate() {
        match name.as_str() {
            "replicas" => dimensions.push(EnforcementDimension::Replicas),
            "memory" => dimensions.push(EnforcementDimension::Memory),
            "cpu" => dimensions.push(EnforcementDimension::Cpu),
            other => faults.add(
                format!("{UNIT}.enforcement.dimensions[{index}]"),
                format!("unknown dimension {other:?}; choose replicas, memory or cpu"),
            ),
        }
    }
    let stated = mode.is_some() || !dimensions.is_empty();
    stated.then_some(Nfr { enforcement: Some(Enforcement { mode, dimensions }) })
}

fn odgm(config: &wire::OdgmConfig, faults: &mut Faults) -> OdgmConfig {
    let at = format!("{UNIT}.odgm_config");
    if let Some(id) = config.odgm_node_id {
        faults.fits(id, &format!("{at}.odgm_node_id"));
    }
    for (env, node) in &config.env_node_ids {
        faults.all_fit(&node.ids, &format!("{at}.env_node_ids[{env:?}].ids"));
    }
    OdgmConfig {
        collections: config.collections.clone(),
        partition_count: config.partition_count,
        replica_count: config.replica_count,
        shard_type: config.shard_type.as_deref().and_then(stated),
        options: config.options.clone(),
        invocations: config
            .invocations
            .as_ref()
            .map(|wanted| invocations(wanted, &format!("{at}.invocations"), faults)),
        log: config.log.as_deref().and_then(stated),
        env_node_ids: config
            .env_node_ids
            .iter()
            .map(|(env, node)| (env.clone(), OdgmNodeIds { ids: node.ids.clone() }))
            .collect(),
        node_id: config.odgm_node_id,
        collection_assignments: config
            .collection_assignments
            .iter()
            .map(|(name, wanted)| {
                let at = format!("{at}.collection_assignments[{name:?}]");
                (name.clone(), assignments(wanted, &at, faults))
            })
            .collect(),
    }
}

fn invocations(wanted: &wire::InvocationRoutes, at: &str, faults: &mut Faults) -> InvocationRoutes {
    let mut route = |name: &str, route: &wire::FunctionRoute| {
        faults.all_fit(&route.active_group, &format!("{at}.fn_routes[{name:?}].active_group"));
        FunctionRoute {
            url: route.url.clone(),
            stateless: route.stateless,
            standby: route.standby,
            active_group: route.active_group.clone(),
            function_key: route.function_key.as_deref().and_then(stated),
        }
    };
    InvocationRoutes {
        fn_routes: wanted.fn_routes.iter().map(|(name, one)| (name.clone(), route(name, one))).collect(),
        disabled_fn: wanted.disabled_fn.clone(),
    }
}

fn assignments(wanted: &wire::CollectionShardAssignments, at: &str, faults: &mut Faults) -> CollectionShardAssignments {
    let mut one = |(index, wanted): (usize, &wire::ShardAssignmentSpec)| {
        let at = format!("{at}.assignments[{index}]");
        if let Some(primary) = wanted.primary {
            faults.fits(primary, &format!("{at}.primary"));
        }
        faults.all_fit(&wanted.replica, &format!("{at}.replica"));
        faults.all_fit(&wanted.shard_ids, &format!("{at}.shard_ids"));
        ShardAssignment {
            primary: wanted.primary,
            replica: wanted.replica.clone(),
            shard_ids: wanted.shard_ids.clone(),
        }
    };
    CollectionShardAssignments { assignments: wanted.assignments.iter().enumerate().map(&mut one).collect() }
}
