//! Environment -> [`Config`]. Every variable is read even where an earlier one is wrong. An empty value is "not set".

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::{
    Config, ConfigError, DecisionLog, EnforcementOverrides, Environment, GrpcPayload, Namespaces, Origin, Profile,
    PrometheusConfig, Setting, TlsFiles, WrongVariable, vars,
};
use crate::decision::{Features, ScrapeKind};
use crate::policy::check_commit;

pub(super) fn config(environment: &Environment) -> Result<Config, ConfigError> {
    let mut from = Reader { environment, wrong: Vec::new(), settings: Vec::new() };
    let http_port = from.number(vars::HTTP_PORT, 8088_u16, 1..=u16::MAX, "a port");
    let profile = from.or(vars::PROFILE, Profile::default(), "dev", profile);
    let namespace = from.or(vars::NAMESPACE, Namespaces::One("default".to_owned()), "default", namespaces);
    let deploy_namespace = deploy_namespace(&mut from, &namespace);
    let features = features(&mut from, profile);
    let analyzer_interval = from.seconds(vars::ANALYZER_INTERVAL, 60);
    let enforcement = EnforcementOverrides {
        stability: from.optional(vars::STABILITY, whole_seconds),
        cooldown: from.optional(vars::COOLDOWN, whole_seconds),
        max_replica_delta: from.optional(vars::MAX_REPLICA_DELTA, |text| within(text, 1..=100, "a percentage")),
    };
    let max_replicas = from.number(vars::MAX_REPLICAS, 20_u32, 1..=10_000, "a number of replicas");
    let cpu_per_pod_milli = from.number(vars::CPU_PER_POD, 500_u32, 1..=1_000_000, "thousandths of a core");
    let prometheus = prometheus(&mut from);
    let policy_dir = from.optional(vars::POLICY_DIR, path);
    let policy_commit = from.optional(vars::POLICY_COMMIT, commit);
    let decision_log = from.or(vars::DECISION_LOG, DecisionLog::Off, "off", decision_log);
    let decision_log_max_mb = from.number(vars::DECISION_LOG_MAX_MB, 64_u64, 1..=10_240, "megabytes");
    let decision_log_keep = from.number(vars::DECISION_LOG_KEEP, 16_usize, 1..=10_000, "a number of files");
    let tls = TlsFiles {
        cert: from.optional(vars::TLS_CERT, path),
        key: from.optional(vars::TLS_KEY, path),
        client_ca: from.optional(vars::TLS_CLIENT_CA, path),
    };
    let concurrency = from.number(vars::CONCURRENCY, 8_u16, 1..=1_000, "a number of workers");
    let grpc_payload = from.or(vars::GRPC_PAYLOAD, GrpcPayload::Oclass, "oclass", payload);
    let mock_availability = from.optional(vars::MOCK_AVAILABILITY, ratio);
    let odgm_image = from.optional(vars::ODGM_IMAGE, image);
    let log_filter = log_filter(&mut from, profile);
    if !from.wrong.is_empty() {
        return Err(ConfigError(from.wrong));
    }
    Ok(Config {
        http_port,
        profile,
        namespace,
        deploy_namespace,
        features,
        analyzer_interval,
        enforcement,
        max_replicas,
        cpu_per_pod_milli,
        prometheus,
        policy_dir,
        policy_commit,
        decision_log,
        decision_log_bytes: decision_log_max_mb * 1_000_000,
        decision_log_keep,
        tls,
        concurrency,
        grpc_payload,
        mock_availability,
        odgm_image,
        log_filter,
        environment: environment.clone(),
        settings: from.settings,
    })
}

struct Reader<'a> {
    environment: &'a Environment,
    wrong: Vec<WrongVariable>,
    settings: Vec<Setting>,
}

impl<'a> Reader<'a> {
    fn given(&self, name: &str) -> Option<&'a str> {
        self.environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn record(&mut self, name: &'static str, value: Option<String>, origin: Origin) {
        let note = vars::note(name, value.as_deref());
        self.settings.push(Setting { name, value, origin, note });
    }

    fn refuse(&mut self, name: &'static str, value: &str, message: String) {
        self.wrong.push(WrongVariable { name, value: shortened(&without_password(value)), message });
    }

    /// A variable without a default.
    fn optional<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let given = self.given(name);
        let origin = if given.is_some() { Origin::Environment } else { Origin::Default };
        self.record(name, given.map(without_password), origin);
        given.and_then(|value| parse(value).map_err(|message| self.refuse(name, value, message)).ok())
    }

    /// A variable with a default.
    fn or<T>(&mut self, name: &'static str, default: T, shown: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        if self.given(name).is_some() {
            return self.optional(name, parse).unwrap_or(default);
        }
        self.record(name, Some(shown.to_owned()), Origin::Default);
        default
    }

    fn number<T>(&mut self, name: &'static str, default: T, range: std::ops::RangeInclusive<T>, what: &str) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        self.or(name, default, &default.to_string(), |text| within(text, range.clone(), what))
    }

    fn seconds(&mut self, name: &'static str, default: u64) -> Duration {
        self.or(name, Duration::from_secs(default), &default.to_string(), whole_seconds)
    }

    fn feature(&mut self, name: &'static str, by_profile: bool) -> bool {
        let Some(value) = self.given(name) else {
            self.record(name, Some(by_profile.to_string()), Origin::Profile);
            return by_profile;
        };
        let on = match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.refuse(name, value, "write true or false".to_owned());
                by_profile
            }
        };
        self.record(name, Some(on.to_string()), Origin::Environment);
        on
    }
}

fn features(from: &mut Reader, profile: Profile) -> Features {
    let by_profile = profile.features();
    Features {
        mtls: from.feature(vars::MTLS, by_profile.mtls),
        odgm: from.feature(vars::ODGM, by_profile.odgm),
        knative: from.feature(vars::KNATIVE, by_profile.knative),
        prometheus: from.feature(vars::PROMETHEUS, by_profile.prometheus),
        nfr_enforcement: from.feature(vars::NFR_ENFORCEMENT, by_profile.nfr_enforcement),
        hpa: from.feature(vars::HPA, by_profile.hpa),
        leader_election: from.feature(vars::LEADER_ELECTION, by_profile.leader_election),
    }
}

/// Deploy writes to the one namespace that is watched; where all are, to the pod's own.
fn deploy_namespace(from: &mut Reader, watched: &Namespaces) -> String {
    let own = from.or(vars::POD_NAMESPACE, "default".to_owned(), "default", one_namespace);
    match watched {
        Namespaces::One(name) => name.clone(),
        Namespaces::All => own,
    }
}

fn prometheus(from: &mut Reader) -> PrometheusConfig {
    let url = from.optional(vars::PROM_URL, http_url);
    let match_labels = from.or(vars::PROM_MATCH_LABELS, BTreeMap::new(), "", labels);
    let scrape_kind = from.or(vars::PROM_SCRAPE_KIND, ScrapeKind::Auto, "auto", scrape_kind);
    let query_timeout = from.seconds(vars::PROM_QUERY_TIMEOUT, 5);
    let range = from.or(vars::PROM_RANGE, Duration::from_secs(600), "10m", duration);
    let step = from.or(vars::PROM_STEP, Duration::from_secs(30), "30s", duration);
    if step > range {
        let message =
            format!("a step above {} ({}); write a shorter one", vars::PROM_RANGE, humantime::format_duration(range));
        let given = from.given(vars::PROM_STEP).unwrap_or("30s");
        from.refuse(vars::PROM_STEP, given, message);
    }
    let token_file = from.optional(vars::PROM_TOKEN_FILE, path);
    let ca_file = from.optional(vars::PROM_CA_FILE, path);
    PrometheusConfig { url, match_labels, scrape_kind, query_timeout, range, step, token_file, ca_file }
}

fn log_filter(from: &mut Reader, profile: Profile) -> String {
    let by_profile = if profile == Profile::Dev { "info,oprc_crm=debug" } else { "info" };
    if from.given(vars::RUST_LOG).is_none() {
        from.record(vars::RUST_LOG, Some(by_profile.to_owned()), Origin::Profile);
        return by_profile.to_owned();
    }
    let parse = |text: &str| match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; write a level (error, warn, info, debug, trace) or target=level pairs")),
    };
    from.optional(vars::RUST_LOG, parse).unwrap_or_else(|| by_profile.to_owned())
}

fn profile(text: &str) -> Result<Profile, String> {
    Profile::parse(text)
        .ok_or_else(|| "no such profile; choose dev, edge or full (aliases: prod, production)".to_owned())
}

fn namespaces(text: &str) -> Result<Namespaces, String> {
    if text == "*" { Ok(Namespaces::All) } else { one_namespace(text).map(Namespaces::One) }
}

fn one_namespace(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let valid = text.len() <= 63 && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-');
    if valid {
        Ok(text.to_owned())
    } else {
        Err("not a namespace; write at most 63 of a-z, 0-9 and -, or * to watch all".to_owned())
    }
}

fn within<T>(text: &str, range: std::ops::RangeInclusive<T>, what: &str) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    let value = text.parse().ok().filter(|value| range.contains(value));
    value.ok_or_else(|| format!("write {what}: a whole number from {} to {}", range.start(), range.end()))
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    within(text, 1..=86_400_u64, "seconds").map(Duration::from_secs)
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text).ok().filter(|duration| *duration >= Duration::from_secs(1));
    parsed.ok_or_else(|| "write a duration of at least 1s, such as 30s, 10m or 1h".to_owned())
}

fn ratio(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    parsed.ok_or_else(|| "write a ratio from 0 to 1, such as 0.99".to_owned())
}

fn http_url(text: &str) -> Result<String, String> {
    let url = text.parse::<http::Uri>().ok();
    let valid = url.is_some_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some());
    if valid {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("write a URL, such as http://prometheus.monitoring:9090".to_owned())
    }
}

fn labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pair = |entry: &str| {
        let (key, value) = entry.split_once('=')?;
        let (key, value) = (key.trim(), value.trim());
        (!key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
    };
    text.split(',')
        .map(|entry| {
            pair(entry).ok_or_else(|| format!("{entry:?} is no label; write key=value pairs with commas between"))
        })
        .collect()
}

fn scrape_kind(text: &str) -> Result<ScrapeKind, String> {
    match text.to_ascii_lowercase().as_str() {
        "service" => Ok(ScrapeKind::Service),
        "pod" => Ok(ScrapeKind::Pod),
        "auto" => Ok(ScrapeKind::Auto),
        _ => Err("choose service, pod or auto".to_owned()),
    }
}

fn payload(text: &str) -> Result<GrpcPayload, String> {
    match text.to_ascii_lowercase().as_str() {
        "oclass" => Ok(GrpcPayload::Oclass),
        "unit" => Ok(GrpcPayload::Unit),
        _ => Err("choose oclass or unit".to_owned()),
    }
}

fn decision_log(text: &str) -> Result<DecisionLog, String> {
    match text.to_ascii_lowercase().as_str() {
        "off" => Ok(DecisionLog::Off),
        "stdout" => Ok(DecisionLog::Stdout),
        _ if text.contains('/') => Ok(DecisionLog::File(PathBuf::from(text))),
        _ => Err("write off, stdout or a path with a / in it".to_owned()),
    }
}

fn image(text: &str) -> Result<String, String> {
    if text.contains(char::is_whitespace) {
        return Err("an image has no blanks; write one reference, such as ghcr.io/org/odgm:1.2".to_owned());
    }
    Ok(text.to_owned())
}

fn commit(text: &str) -> Result<String, String> {
    check_commit(text).map_err(str::to_owned)?;
    Ok(text.to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "parsers of one shape")]
fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

/// Credentials in a URL are nobody's business: neither in the table nor in an error.
fn without_password(value: &str) -> String {
    match value.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
        Some((scheme, host)) => format!("{scheme}://***@{host}"),
        None => value.to_owned(),
    }
}

/// An error is to be read: a long value is cut.
fn shortened(value: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = value.chars().take(LONGEST).collect();
    if shown.len() < value.len() {
        shown.push_str("...");
    }
    shown
}
