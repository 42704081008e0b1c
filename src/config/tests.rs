#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn config(pairs: &[(&str, &str)]) -> Config {
    Config::from_environment(&environment(pairs)).unwrap()
}

fn wrong(pairs: &[(&str, &str)]) -> ConfigError {
    Config::from_environment(&environment(pairs)).unwrap_err()
}

#[test]
fn an_empty_environment_is_profile_dev_with_every_feature_off() {
    let config = config(&[]);
    assert_eq!((config.http_port, config.profile), (8088, Profile::Dev));
    assert_eq!(config.features, Features::default());
    assert_eq!(config.namespace, Namespaces::One("default".to_owned()));
    assert_eq!(config.log_filter, "info,oprc_crm=debug");
    assert_eq!((config.max_replicas, config.cpu_per_pod_milli, config.concurrency), (20, 500, 8));
    assert_eq!(config.prometheus.range, Duration::from_secs(600));
    assert_eq!(config.enforcement, EnforcementOverrides::default());
    assert_eq!(config.unavailable(), Ok(()));
}

#[test]
fn profiles_set_the_features_of_the_contract() {
    let on = |profile: &str| {
        let f = config(&[("OPRC_CRM_PROFILE", profile)]).features;
        [f.nfr_enforcement, f.hpa, f.knative, f.prometheus, f.leader_election, f.odgm, f.mtls]
    };
    assert_eq!(on("dev"), [false; 7]);
    assert_eq!(on("EDGE"), [false, true, false, true, true, false, false]);
    for full in ["full", "prod", "Production"] {
        assert_eq!(on(full), [true, true, false, true, true, true, true], "{full}");
    }
}

#[test]
fn an_explicit_variable_wins_over_the_profile_and_origins_say_so() {
    let config = config(&[("OPRC_CRM_PROFILE", "full"), ("OPRC_CRM_FEATURES_HPA", "false"), ("HTTP_PORT", "9000")]);
    assert!(!config.features.hpa);
    let origin = |name: &str| config.settings().iter().find(|setting| setting.name == name).unwrap().origin;
    assert_eq!(origin("OPRC_CRM_FEATURES_HPA"), Origin::Environment);
    assert_eq!(origin("OPRC_CRM_FEATURES_ODGM"), Origin::Profile);
    assert_eq!(origin("HTTP_PORT"), Origin::Environment);
    assert_eq!(origin("OPRC_CRM_CONCURRENCY"), Origin::Default);
}

#[test]
fn one_error_lists_every_wrong_variable_with_its_value_and_what_to_write() {
    let error = wrong(&[
        ("HTTP_PORT", "eighty"),
        ("OPRC_CRM_PROFILE", "staging"),
        ("OPRC_CRM_FEATURES_HPA", "maybe"),
        ("OPRC_CRM_PROM_STEP", "30 parsecs"),
        ("OPRC_CRM_ANALYZER_INTERVAL_SECS", "0"),
        ("OPRC_CRM_PROM_URL", "prometheus"),
        ("OPRC_CRM_DECISION_LOG", "sdtout"),
        ("OPRC_MOCK_CLUSTER_AVAILABILITY", "NaN"),
        ("RUST_LOG", "oprc_crm=loud"),
    ]);
    let text = error.to_string();
    assert_eq!(error.0.len(), 9, "{text}");
    for part in [
        "HTTP_PORT=eighty",
        "1 to 65535",
        "=staging",
        "dev, edge or full",
        "HPA=maybe",
        "true or false",
        "=30 parsecs",
        "SECS=0",
        "=prometheus:",
        "=sdtout",
        "=NaN",
        "=oprc_crm=loud",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn ports_outside_their_range_are_refused() {
    for port in ["0", "65536", "-1", "8088.0", "0x50"] {
        assert_eq!(wrong(&[("HTTP_PORT", port)]).0.len(), 1, "{port}");
    }
}

#[test]
fn what_is_not_built_is_refused_with_the_way_out_but_still_shown() {
    let config = config(&[
        ("OPRC_CRM_PROFILE", "edge"),
        ("OPRC_CRM_FEATURES_KNATIVE", "true"),
        ("OPRC_CRM_SECURITY_MTLS", "true"),
    ]);
    let error = config.unavailable().unwrap_err().to_string();
    for part in [
        "OPRC_CRM_FEATURES_LEADER_ELECTION=true",
        "profile edge",
        "set OPRC_CRM_FEATURES_LEADER_ELECTION=false",
        "set OPRC_CRM_SECURITY_MTLS=false",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(!["ODGM", "KNATIVE", "HPA", "PROMETHEUS", "NFR"].iter().any(|built| error.contains(built)), "{error}");
    assert!(render(&config).contains("not built in this release"));
}

#[test]
fn either_form_of_the_payload_can_be_asked_for() {
    for (text, payload) in [("unit", GrpcPayload::Unit), ("OClass", GrpcPayload::Oclass)] {
        let config = config(&[("OPRC_CRM_GRPC_PAYLOAD", text)]);
        assert_eq!((config.grpc_payload, config.unavailable()), (payload, Ok(())));
    }
    assert!(wrong(&[("OPRC_CRM_GRPC_PAYLOAD", "class")]).to_string().contains("oclass or unit"));
}

#[test]
fn profile_full_starts_once_every_unbuilt_feature_is_switched_off() {
    let pairs = [
        ("OPRC_CRM_PROFILE", "full"),
        ("OPRC_CRM_SECURITY_MTLS", "false"),
        ("OPRC_CRM_FEATURES_LEADER_ELECTION", "off"),
    ];
    let config = config(&pairs);
    assert_eq!(config.unavailable(), Ok(()));
    assert!(config.features.odgm && config.features.hpa && config.features.prometheus);
}

#[test]
fn deploy_writes_where_it_watches_or_where_the_pod_runs() {
    assert_eq!(config(&[("OPRC_CRM_K8S_NAMESPACE", "a"), ("POD_NAMESPACE", "b")]).deploy_namespace, "a");
    assert_eq!(config(&[("OPRC_CRM_K8S_NAMESPACE", "*"), ("POD_NAMESPACE", "b")]).deploy_namespace, "b");
    assert_eq!(config(&[("OPRC_CRM_K8S_NAMESPACE", "*")]).deploy_namespace, "default");
    assert_eq!(wrong(&[("OPRC_CRM_K8S_NAMESPACE", "A b")]).0.len(), 1);
}

#[test]
fn the_table_has_every_variable_and_no_password() {
    let table = render(&config(&[("OPRC_CRM_PROM_URL", "http://me:secret@prom:9090/")]));
    for name in VARIABLES {
        assert!(table.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} in\n{table}");
    }
    assert_eq!(table.lines().count(), VARIABLES.len() + 1);
    assert!(!table.contains("secret"), "{table}");
    let error = wrong(&[("OPRC_CRM_PROM_URL", "ftp://me:secret@prom")]).to_string();
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn only_what_has_no_reader_yet_is_said_to_come_later() {
    let table = render(&config(&[]));
    let later = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.contains("later release")
    };
    assert!(later("OPRC_CRM_TLS_CERT_FILE"), "{table}");
    for read in ["OPRC_CRM_LIMITS_MAX_REPLICAS", "OPRC_CRM_POLICY_COMMIT", "OPRC_CRM_POLICY_DIR", "OPRC_CRM_ODGM_IMAGE"]
    {
        assert!(!later(read), "{read} in\n{table}");
    }
}

#[test]
fn an_empty_variable_is_not_set() {
    assert_eq!(config(&[("HTTP_PORT", " "), ("OPRC_CRM_POLICY_DIR", "")]).http_port, 8088);
}

#[test]
fn a_commit_that_is_none_is_refused() {
    let commit = |text: &str| config(&[("OPRC_CRM_POLICY_COMMIT", text)]).policy_commit;
    assert_eq!(commit("9f2c1d7be004"), Some("9f2c1d7be004".to_owned()));
    let error = wrong(&[("OPRC_CRM_POLICY_COMMIT", "a commit\nand more")]).to_string();
    assert!(error.contains("write a commit or tag such as"), "{error}");
}

#[test]
fn a_step_above_the_range_is_refused_whichever_of_the_two_was_given() {
    assert_eq!(wrong(&[("OPRC_CRM_PROM_RANGE", "10s")]).0.first().unwrap().name, "OPRC_CRM_PROM_STEP");
    assert_eq!(wrong(&[("OPRC_CRM_PROM_STEP", "1h")]).0.len(), 1);
}

proptest! {
    #[test]
    fn any_environment_gives_a_config_or_names_the_variable(name in proptest::sample::select(VARIABLES), value in any::<String>()) {
        match Config::from_environment(&environment(&[(name, &value)])) {
            Ok(config) => prop_assert_eq!(config.settings().len(), VARIABLES.len()),
            Err(error) => prop_assert!(error.to_string().contains("OPRC_CRM_PROM_STEP") || error.to_string().contains(name)),
        }
    }
}
