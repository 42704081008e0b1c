//! The shipped admission and template rules as somebody would write them in Rust: what the policy files cost is their
//! time over this one's. It decides the same and says why, without a trace of each rule.

use std::sync::LazyLock;

use oprc_crm::api::Consistency;
use oprc_crm::decision::Setting;
use oprc_crm::model::Class;
use regex::Regex;

const MAX_REPLICAS: u32 = 20;
const PATTERN: &str = "^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?/)?[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*\
    (/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?\
    (@[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-fA-F]{32,})?$";

static IMAGE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(PATTERN).ok());

/// What came out.
#[derive(Debug, PartialEq)]
pub struct Decided {
    pub denials: usize,
    pub warnings: usize,
    pub template: &'static str,
    pub score: f64,
    pub replicas: u32,
    pub odgm_replicas: u32,
    pub why: String,
}

/// Decides about one class.
pub fn decide(class: &Class, setting: &Setting) -> Decided {
    let (denials, warnings) = admit(class, setting);
    let (template, score, ids) = choose(class, setting);
    let grid = class.odgm.as_ref().filter(|_| setting.features.odgm).map_or(0, |odgm| odgm.replica_count.max(1));
    let (replicas, odgm_replicas) = match template {
        "dev" => (1, grid.min(1)),
        "edge" => (2, grid),
        "full" => (3, grid),
        _ => (0, grid),
    };
    let why = format!("{template} (score {score}): {}", ids.join(", "));
    Decided { denials, warnings, template, score, replicas, odgm_replicas, why }
}

fn admit(class: &Class, setting: &Setting) -> (usize, usize) {
    let asked = class.selected_template.as_deref().is_some_and(|name| ["knative", "kn", "knsvc"].contains(&name));
    let served = |image: &str| IMAGE.as_ref().is_some_and(|pattern| pattern.is_match(image));
    let above = |stated: Option<u32>| stated.is_some_and(|number| number > MAX_REPLICAS);
    let strong = class.nfr.consistency == Some(Consistency::Strong);
    let denials = [
        class.functions.iter().any(|function| function.image.is_empty()),
        class.functions.iter().any(|function| !function.image.is_empty() && !served(&function.image)),
        asked && !setting.features.knative,
        asked && setting.features.knative && setting.cluster.knative == Some(false),
        class.functions.iter().any(|function| above(function.replicas)),
        class.functions.iter().any(|function| above(function.min_scale)),
    ];
    let warnings = [
        class.odgm.is_some() && !setting.features.odgm,
        strong && class.odgm.as_ref().is_some_and(|odgm| odgm.replica_count < 2),
        class.functions.iter().any(|function| above(function.max_scale)),
    ];
    let count = |rules: &[bool]| rules.iter().filter(|holds| **holds).count();
    (count(&denials), count(&warnings))
}

/// Whether a rule holds, its id, its points.
type Rule = (bool, &'static str, f64);

fn choose(class: &Class, setting: &Setting) -> (&'static str, f64, Vec<&'static str>) {
    let nfr = &class.nfr;
    let rps = |bound: u32| nfr.min_throughput_rps.is_some_and(|rps| rps >= bound);
    let latency = |bound: u32| nfr.max_latency_ms.is_some_and(|latency| latency <= bound);
    let availability = |bound: f64| nfr.availability_pct.is_some_and(|availability| availability >= bound);
    let strong = nfr.consistency == Some(Consistency::Strong);
    let profile = setting.profile.as_str();
    let demanding = [rps(1500), latency(50), availability(99.95), strong].into_iter().filter(|holds| *holds).count();
    let fits = demanding < 2;
    let knative = setting.features.knative && setting.cluster.knative == Some(true);
    let edge = [
        (profile == "edge", "profile", 100.0),
        (fits && rps(300), "throughput", 20.0),
        (fits && latency(150), "latency", 20.0),
        (fits && availability(99.9), "availability", 20.0),
    ];
    let full = [
        (profile == "full", "profile", 100.0),
        (rps(1500), "throughput", 60.0),
        (latency(50), "latency", 60.0),
        (availability(99.95), "availability", 60.0),
        (strong, "consistency", 60.0),
    ];
    let on_demand = [
        (profile == "full", "profile-full", 90.0),
        (profile == "edge", "profile-edge", 60.0),
        (!["full", "edge"].contains(&profile), "profile-other", 10.0),
        (rps(500), "throughput", 20.0),
        (latency(100), "latency", 20.0),
    ];
    let dev = [(profile == "dev", "profile", 1000.0)];
    let mut best: (&'static str, f64, Vec<&'static str>) = ("dev", f64::NEG_INFINITY, Vec::new());
    let candidates: [(&'static str, bool, &[Rule]); 4] =
        [("dev", true, &dev), ("edge", true, &edge), ("full", true, &full), ("knative", knative, &on_demand)];
    for (name, enabled, rules) in candidates {
        let score: f64 = rules.iter().filter(|(holds, ..)| *holds).map(|(.., add)| add).sum();
        if enabled && score > best.1 {
            best = (name, score, rules.iter().filter(|(holds, ..)| *holds).map(|(_, id, _)| *id).collect());
        }
    }
    best
}
