//! The functions of a record.

use std::collections::BTreeMap;

use super::{fault::Faults, nfr};
use crate::api::{DeploymentRecordSpec, FunctionShorthand, FunctionSpec, ResourceRequirements};
use crate::model::{Applied, DEFAULT_FUNCTION_PORT, Function, Quantity, Resources, SHORTHAND_FUNCTION_KEY};

/// Longest value of an environment variable, bytes: the schema's bound, for records that never saw the API server.
const MAX_ENV_VALUE: usize = 32_768;
/// Most functions of a class: the schema's bound.
const MAX_FUNCTIONS: usize = 64;

/// All functions of the class: the shorthand's one, or the listed ones.
pub(super) fn all(spec: &DeploymentRecordSpec, faults: &mut Faults) -> Vec<Function> {
    match (&spec.function, spec.functions.as_slice()) {
        (Some(_), [_, ..]) => {
            faults.add("spec.function", "set either spec.function (shorthand for one) or spec.functions, not both");
            Vec::new()
        }
        (None, []) => {
            faults.add(
                "spec.functions",
                "a class needs a function: set spec.function.image, or list at least one entry in spec.functions",
            );
            Vec::new()
        }
        (Some(FunctionShorthand { image, port }), []) => {
            let one = FunctionSpec {
                function_key: SHORTHAND_FUNCTION_KEY.to_owned(),
                image: Some(image.clone()),
                port: *port,
                ..FunctionSpec::default()
            };
            vec![function(&one, "spec.function", faults)]
        }
        (None, listed) => {
            keys(listed, faults);
            listed
                .iter()
                .enumerate()
                .map(|(index, one)| function(one, &format!("spec.functions[{index}]"), faults))
                .collect()
        }
    }
}

fn keys(listed: &[FunctionSpec], faults: &mut Faults) {
    if listed.len() > MAX_FUNCTIONS {
        faults.add("spec.functions", &format!("a class has at most {MAX_FUNCTIONS} functions"));
    }
    let mut seen = BTreeMap::new();
    for (index, FunctionSpec { function_key: key, .. }) in listed.iter().enumerate() {
        let field = format!("spec.functions[{index}].function_key");
        if key.is_empty() {
            faults.add(&field, "must not be empty");
        }
        if let Some(first) = seen.insert(key, index) {
            faults.add(&field, &format!("{key:?} is already spec.functions[{first}]; give each function its own key"));
        }
    }
}

fn function(spec: &FunctionSpec, at: &str, faults: &mut Faults) -> Function {
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
        applied: Applied::default(),
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
        let field = format!("{at}.env[{name:?}]");
        faults.nul(value, &field);
        if value.len() > MAX_ENV_VALUE {
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
