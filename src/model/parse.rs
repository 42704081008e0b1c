//! Record -> [`Class`]: every field is looked at, every fault is reported, none is corrected in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{
    ADDON_ODGM, Class, DEFAULT_FUNCTION_PORT, Function, Names, NfrTargets, Odgm, Quantity, Resources,
    SHORTHAND_FUNCTION_KEY,
};
use crate::api::{
    DeploymentRecord, DeploymentRecordSpec, EnforcementDimension, FunctionSpec, NfrRequirements, OdgmConfig,
    ResourceRequirements,
};

/// Longest value of an environment variable, bytes: the schema's bound, for records that never saw the API server.
const MAX_ENV_VALUE: usize = 32_768;
/// Most functions of a class: the schema's bound.
const MAX_FUNCTIONS: usize = 64;

/// One fault of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field, such as `spec.functions[1].port`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// All faults of a record, at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidRecord(pub Vec<FieldError>);

/// Validates a record.
pub fn parse(record: &DeploymentRecord) -> Result<Class, InvalidRecord> {
    let mut faults = Faults::default();
    let name = record.metadata.name.clone().unwrap_or_default();
    if name.is_empty() {
        faults.add("metadata.name", "is required");
    }
    let functions = functions(&record.spec, &mut faults);
    let odgm = odgm(&record.spec, &functions, &mut faults);
    let mut addons: BTreeSet<String> = record.spec.addons.iter().cloned().collect();
    for (index, addon) in record.spec.addons.iter().enumerate() {
        if addon != ADDON_ODGM {
            faults.add(&format!("spec.addons[{index}]"), &format!("unknown addon {addon:?}; known: {ADDON_ODGM}"));
        }
    }
    if odgm.is_some() {
        addons.insert(ADDON_ODGM.to_owned());
    }
    let enforcement = record.spec.nfr.clone().unwrap_or_default().enforcement.unwrap_or_default();
    let mut dimensions = enforcement.dimensions;
    dimensions.sort_unstable();
    dimensions.dedup();
    if dimensions.is_empty() {
        dimensions.push(EnforcementDimension::Replicas);
    }
    let class = Class {
        names: Names::new(&name, functions.iter().map(|function| function.key.as_str())),
        name,
        namespace: record.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned()),
        uid: record.metadata.uid.clone().unwrap_or_default(),
        labels: record.metadata.labels.clone().unwrap_or_default(),
        selected_template: record.spec.selected_template.clone().filter(|name| !name.trim().is_empty()),
        addons: addons.into_iter().collect(),
        functions,
        odgm,
        nfr: nfr(record.spec.nfr_requirements.as_ref(), "spec.nfr_requirements", &mut faults),
        enforcement: enforcement.mode.unwrap_or_default(),
        dimensions,
    };
    if faults.0.is_empty() { Ok(class) } else { Err(InvalidRecord(faults.0)) }
}

#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn add(&mut self, field: &str, message: &str) {
        self.0.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    }
}

fn functions(spec: &DeploymentRecordSpec, faults: &mut Faults) -> Vec<Function> {
    let listed = !spec.functions.is_empty();
    match &spec.function {
        Some(_) if listed => {
            faults.add("spec.function", "set either spec.function (shorthand for one) or spec.functions, not both");
            Vec::new()
        }
        Some(shorthand) => {
            let one = FunctionSpec {
                function_key: SHORTHAND_FUNCTION_KEY.to_owned(),
                image: Some(shorthand.image.clone()),
                port: shorthand.port,
                ..FunctionSpec::default()
            };
            vec![function(&one, "spec.function", faults)]
        }
        None if listed => {
            if spec.functions.len() > MAX_FUNCTIONS {
                faults.add("spec.functions", &format!("a class has at most {MAX_FUNCTIONS} functions"));
            }
            let mut seen = BTreeMap::new();
            for (index, one) in spec.functions.iter().enumerate() {
                if let Some(first) = seen.insert(one.function_key.as_str(), index) {
                    let field = format!("spec.functions[{index}].function_key");
                    faults.add(
                        &field,
                        &format!(
                            "{:?} is already spec.functions[{first}]; give each function its own key",
                            one.function_key
                        ),
                    );
                }
            }
            spec.functions
                .iter()
                .enumerate()
                .map(|(index, one)| function(one, &format!("spec.functions[{index}]"), faults))
                .collect()
        }
        None => {
            faults.add(
                "spec.functions",
                "a class needs a function: set spec.function.image, or list at least one entry in spec.functions",
            );
            Vec::new()
        }
    }
}

fn function(spec: &FunctionSpec, at: &str, faults: &mut Faults) -> Function {
    if spec.function_key.is_empty() {
        faults.add(&format!("{at}.function_key"), "must not be empty");
    }
    let stated =
        |image: &Option<String>| image.as_deref().map(str::trim).filter(|image| !image.is_empty()).map(str::to_owned);
    let image = stated(&spec.image).or_else(|| stated(&spec.container_image)).unwrap_or_default();
    if image.is_empty() {
        faults.add(&format!("{at}.image"), "must not be empty; name the container image to run");
    }
    let port = port(spec.port, at, faults);
    if let (Some(min), Some(max)) = (spec.min_scale, spec.max_scale.filter(|max| *max > 0))
        && min > max
    {
        faults.add(&format!("{at}.min_scale"), &format!("{min} is above max_scale {max}"));
    }
    env(&spec.env, at, faults);
    Function {
        key: spec.function_key.clone(),
        image,
        port: port.unwrap_or(DEFAULT_FUNCTION_PORT),
        port_stated: port.is_some(),
        replicas: spec.replicas,
        min_scale: spec.min_scale,
        max_scale: spec.max_scale.filter(|max| *max > 0),
        max_concurrency: spec.max_concurrency.filter(|max| *max > 0),
        need_http2: spec.need_http2.unwrap_or_default(),
        resources: resources(spec.resources.as_ref(), at, faults),
        env: spec.env.clone(),
        nfr: nfr(spec.nfr_requirements.as_ref(), &format!("{at}.nfr_requirements"), faults),
    }
}

fn port(stated: Option<u32>, at: &str, faults: &mut Faults) -> Option<u16> {
    let stated = stated?;
    let port = u16::try_from(stated).ok().filter(|port| *port > 0);
    if port.is_none() {
        faults.add(&format!("{at}.port"), &format!("{stated} is not a port; write a number from 1 to 65535"));
    }
    port
}

fn env(env: &BTreeMap<String, String>, at: &str, faults: &mut Faults) {
    for (name, value) in env {
        let printable = name.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=');
        if name.is_empty() || !printable {
            faults.add(
                &format!("{at}.env"),
                &format!("{name:?} is not a name: use printable ASCII characters other than '='"),
            );
        }
        if value.len() > MAX_ENV_VALUE {
            let field = format!("{at}.env[{name:?}]");
            faults.add(
                &field,
                &format!("{} bytes are too long; at most {MAX_ENV_VALUE} (mount larger data as a file)", value.len()),
            );
        }
    }
}

fn resources(spec: Option<&ResourceRequirements>, at: &str, faults: &mut Faults) -> Resources {
    let Some(ResourceRequirements { cpu_request, memory_request, cpu_limit, memory_limit }) = spec else {
        return Resources::default();
    };
    let mut read = |name: &str, text: &Option<String>| {
        let text = text.as_deref().filter(|text| !text.is_empty())?;
        Quantity::parse(text).map_err(|error| faults.add(&format!("{at}.resources.{name}"), &error.to_string())).ok()
    };
    let resources = Resources {
        cpu_request: read("cpu_request", cpu_request),
        memory_request: read("memory_request", memory_request),
        cpu_limit: read("cpu_limit", cpu_limit),
        memory_limit: read("memory_limit", memory_limit),
    };
    for (name, request, limit) in [
        ("cpu", &resources.cpu_request, &resources.cpu_limit),
        ("memory", &resources.memory_request, &resources.memory_limit),
    ] {
        if let (Some(request), Some(limit)) = (request, limit)
            && request > limit
        {
            faults.add(&format!("{at}.resources.{name}_request"), &format!("{request} is above {name}_limit {limit}"));
        }
    }
    resources
}

fn odgm(spec: &DeploymentRecordSpec, functions: &[Function], faults: &mut Faults) -> Option<Odgm> {
    let asked = spec.addons.iter().any(|addon| addon == ADDON_ODGM);
    let config = match &spec.odgm_config {
        Some(config) => config.clone(),
        None if asked => OdgmConfig::default(),
        None => return None,
    };
    let mut at_least_one = |name: &str, stated: Option<u32>| {
        if stated == Some(0) {
            faults
                .add(&format!("spec.odgm_config.{name}"), "0 is not possible; write 1 or more, or leave it out for 1");
        }
        stated.unwrap_or(1)
    };
    let partition_count = at_least_one("partition_count", config.partition_count);
    let replica_count = at_least_one("replica_count", config.replica_count);
    let mut seen = BTreeSet::new();
    for (index, name) in config.collections.iter().enumerate() {
        if name.is_empty() || !seen.insert(name) {
            faults.add(&format!("spec.odgm_config.collections[{index}]"), &format!("{name:?} is empty or named twice"));
        }
    }
    let invocations = config.invocations.unwrap_or_default();
    for (name, route) in &invocations.fn_routes {
        if let (true, Some(key)) = (route.url.is_empty(), &route.function_key)
            && !functions.iter().any(|function| function.key == *key)
        {
            faults.add(
                &format!("spec.odgm_config.invocations.fn_routes[{name:?}].function_key"),
                &format!("the class has no function {key:?}"),
            );
        }
    }
    Some(Odgm {
        collections: config.collections,
        partition_count,
        replica_count,
        shard_type: config.shard_type.filter(|kind| !kind.is_empty()).unwrap_or_else(|| "mst".to_owned()),
        options: config.options,
        invocations,
        log: config.log,
        env_node_ids: config.env_node_ids,
        node_id: config.node_id,
        collection_assignments: config.collection_assignments,
    })
}

fn nfr(spec: Option<&NfrRequirements>, at: &str, faults: &mut Faults) -> NfrTargets {
    let Some(NfrRequirements {
        min_throughput_rps,
        max_latency_ms,
        availability_pct,
        cpu_utilization_target,
        consistency,
    }) = spec
    else {
        return NfrTargets::default();
    };
    if availability_pct.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
        faults.add(&format!("{at}.availability_pct"), "must be a percentage from 0 to 100, such as 99.9");
    }
    if cpu_utilization_target.is_some_and(|target| !target.is_finite() || target < 0.0) {
        faults.add(&format!("{at}.cpu_utilization_target"), "must be a finite number of 0 or more");
    }
    NfrTargets {
        min_throughput_rps: *min_throughput_rps,
        max_latency_ms: *max_latency_ms,
        availability_pct: *availability_pct,
        cpu_utilization_target: *cpu_utilization_target,
        consistency: *consistency,
    }
}
