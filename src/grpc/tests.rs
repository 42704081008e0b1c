#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::{option, sample};

use super::pb::{deployment as wire, oaas::common};
use super::{identity, prepare, present};
use crate::api::{ANNOTATION_APPLIED_HASH, DeploymentRecord, DeploymentRecordSpec, FunctionShorthand};
use crate::model::{self, FieldError, names};

/// The record of a unit that the wire alone finds no fault in, functions or not.
fn record(unit: &wire::DeploymentUnit) -> Result<DeploymentRecord, Vec<FieldError>> {
    let (record, mut faults) = super::wire::record(unit);
    faults.retain(|fault| fault.field != "deployment_unit.functions");
    if faults.is_empty() { Ok(record) } else { Err(faults) }
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/._-]{1,12}"
}

fn quantity() -> impl Strategy<Value = String> {
    (1u32..1000).prop_map(|number| format!("{number}m"))
}

prop_compose! {
    fn nfr()(
        max_latency_ms in option::of(0u32..10_000),
        min_throughput_rps in option::of(0u32..10_000),
        availability in option::of((0u32..=100_000).prop_map(|n| f64::from(n) / 100_000.0)),
        cpu_utilization_target in option::of((1u32..200).prop_map(f64::from)),
    ) -> common::NfrRequirements {
        common::NfrRequirements { max_latency_ms, min_throughput_rps, availability, cpu_utilization_target }
    }
}

prop_compose! {
    fn provision()(
        container_image in option::of(text()),
        port in option::of(1u32..65_536),
        max_concurrency in prop_oneof![0u32..100, any::<u32>()],
        need_http2 in any::<bool>(),
        min_scale in option::of(0u32..10),
        max_scale in option::of(10u32..100),
        wasm_module_url in option::of(text()),
    ) -> common::ProvisionConfig {
        common::ProvisionConfig {
            container_image, port, max_concurrency, need_http2, min_scale, max_scale, wasm_module_url,
            ..common::ProvisionConfig::default()
        }
    }
}

prop_compose! {
    fn resources()(
        cpu_request in quantity(),
        memory_request in option::of(quantity()),
        limits in any::<[bool; 2]>(),
    ) -> common::ResourceRequirements {
        let [cpu, memory] = limits.map(|stated| stated.then(|| "1k".to_owned()));
        common::ResourceRequirements {
            cpu_request, memory_request: memory_request.unwrap_or_default(), cpu_limit: cpu, memory_limit: memory,
        }
    }
}

prop_compose! {
    fn function(index: usize)(
        replicas in 0u32..20,
        resources in option::of(resources()),
        image in text(),
        description in option::of(text()),
        available_location in option::of(text()),
        nfr_requirements in option::of(nfr()),
        mut provision in provision(),
        config in btree_map("[A-Z_]{1,8}", text(), 0..4),
    ) -> wire::FunctionDeploymentSpec {
        if let Some(resources) = &resources {
            // Readers look for resources in either place, so both are filled on the way back.
            provision.cpu_request = Some(resources.cpu_request.clone());
            provision.memory_request = Some(resources.memory_request.clone()).filter(|stated| !stated.is_empty());
            provision.cpu_limit.clone_from(&resources.cpu_limit);
            provision.memory_limit.clone_from(&resources.memory_limit);
        }
        wire::FunctionDeploymentSpec {
            function_key: format!("f{index}"),
            replicas,
            resource_requirements: resources,
            image, description, available_location,
            nfr_requirements: nfr_requirements.filter(|nfr| *nfr != common::NfrRequirements::default()),
            provision_config: Some(provision).filter(|provision| *provision != common::ProvisionConfig::default()),
            config,
        }
    }
}

fn number() -> impl Strategy<Value = u64> {
    0..=u64::MAX / 2
}

prop_compose! {
    fn route()(
        url in text(),
        stateless in option::of(any::<bool>()),
        standby in option::of(any::<bool>()),
        active_group in vec(number(), 0..3),
        function_key in option::of(Just("f0".to_owned())),
    ) -> wire::FunctionRoute {
        wire::FunctionRoute { url, stateless, standby, active_group, function_key }
    }
}

prop_compose! {
    fn shard()(
        primary in option::of(number()), replica in vec(number(), 0..3), shard_ids in vec(number(), 0..3),
    ) -> wire::ShardAssignmentSpec {
        wire::ShardAssignmentSpec { primary, replica, shard_ids }
    }
}

prop_compose! {
    fn odgm()(
        collections in btree_set(text(), 0..3),
        partition_count in option::of(1u32..100),
        replica_count in option::of(1u32..10),
        shard_type in option::of(text()),
        routes in option::of((btree_map(text(), route(), 0..3), vec(text(), 0..3))),
        options in btree_map(text(), text(), 0..3),
        log in option::of(text()),
        env_node_ids in btree_map(text(), vec(number(), 0..3), 0..3),
        odgm_node_id in option::of(number()),
        shards in vec(vec(shard(), 0..3), 0..3),
    ) -> wire::OdgmConfig {
        let invocations =
            routes.map(|(fn_routes, disabled_fn)| wire::InvocationRoutes { fn_routes, disabled_fn });
        let assigned = shards.into_iter().map(|assignments| wire::CollectionShardAssignments { assignments });
        wire::OdgmConfig {
            collection_assignments: collections.iter().cloned().zip(assigned).collect(),
            collections: collections.into_iter().collect(),
            partition_count, replica_count, shard_type, invocations, options, log,
            env_node_ids: env_node_ids.into_iter().map(|(env, ids)| (env, wire::OdgmNodeIds { ids })).collect(),
            odgm_node_id,
        }
    }
}

fn enforcement() -> impl Strategy<Value = wire::Enforcement> {
    let modes = sample::select(vec!["off", "observe", "enforce"]);
    let dimensions = sample::subsequence(vec!["replicas", "memory", "cpu"], 0..=3);
    (modes, dimensions).prop_map(|(mode, dimensions)| wire::Enforcement {
        mode: mode.to_owned(),
        dimensions: dimensions.into_iter().map(str::to_owned).collect(),
    })
}

prop_compose! {
    fn unit()(
        id in "\\PC{1,60}",
        (package_name, class_key, target_cluster, target_env) in (text(), text(), text(), text()),
        functions in (1usize..4).prop_flat_map(|count| (0..count).map(function).collect::<Vec<_>>()),
        nfr_requirements in option::of(nfr()),
        (seconds, nanos) in (0i64..4_000_000_000, 0i32..1_000_000_000),
        odgm_config in option::of(odgm()),
        selected_template in option::of(text()),
        addon in any::<bool>(),
        enforcement in option::of(enforcement()),
    ) -> wire::DeploymentUnit {
        wire::DeploymentUnit {
            id, package_name, class_key, target_cluster, functions, target_env,
            nfr_requirements: nfr_requirements.filter(|nfr| *nfr != common::NfrRequirements::default()),
            created_at: Some(common::Timestamp { seconds, nanos }),
            odgm_config, selected_template,
            addons: addon.then(|| "odgm".to_owned()).into_iter().collect(),
            enforcement,
        }
    }
}

proptest! {
    #[test]
    fn every_field_of_a_unit_comes_back(unit in unit()) {
        let record = record(&unit).unwrap();
        prop_assert!(model::parse(&record).is_ok(), "{:?}", model::parse(&record));
        prop_assert!(prepare::prepare(&unit, "c").is_ok(), "{:?}", prepare::prepare(&unit, "c"));
        // What the API server keeps is what serialises.
        let record: DeploymentRecord = serde_json::from_value(serde_json::to_value(&record).unwrap()).unwrap();
        prop_assert_eq!(&present::unit(&record), &unit);
        let again = super::wire::record(&present::unit(&record)).0;
        prop_assert_eq!(again, record.clone(), "what was read and is sent back is no change");

        let class = present::oclass(&record);
        prop_assert_eq!(&class.key, &unit.id);
        prop_assert_eq!(&class.package_name, &unit.package_name);
        prop_assert_eq!(&class.class_key, &unit.class_key);
        prop_assert_eq!(&class.target_env, &unit.target_env);
        prop_assert_eq!(&class.target_clusters, &vec![unit.target_cluster.clone()]);
        prop_assert_eq!(&class.nfr_requirements, &unit.nfr_requirements);
        prop_assert_eq!(&class.functions, &unit.functions);
        prop_assert_eq!(&class.created_at, &unit.created_at);
    }

    #[test]
    fn any_bytes_that_decode_give_a_record_or_named_faults(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(unit) = <wire::DeploymentUnit as prost::Message>::decode(bytes.as_slice())
            && let Err(faults) = record(&unit)
        {
            prop_assert!(faults.iter().all(|fault| fault.field.starts_with("deployment_unit")), "{faults:?}");
        }
    }

    #[test]
    fn a_unit_with_broken_bytes_is_refused_by_field_or_goes_all_the_way(
        unit in unit(), breaks in vec((any::<sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = prost::Message::encode_to_vec(&unit);
        for (at, byte) in breaks {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(unit) = <wire::DeploymentUnit as prost::Message>::decode(bytes.as_slice()) {
            match prepare::record_of(&unit) {
                Ok(record) => {
                    let back = present::unit(&record);
                    prop_assert_eq!(prepare::record_of(&back), Ok(record));
                }
                Err(faults) => {
                    prop_assert!(faults.iter().all(|fault| fault.field.starts_with("deployment_unit")), "{:?}", faults);
                }
            }
        }
    }

    #[test]
    fn any_ratio_becomes_the_same_percentage_again(ratio in 0.0..=1.0) {
        let percent = super::wire::percent(ratio);
        prop_assert_eq!(super::wire::percent(super::wire::ratio(percent)).to_bits(), percent.to_bits());
        prop_assert!((percent / 100.0 - ratio).abs() < 1e-14);
    }

    #[test]
    fn created_at_makes_no_difference_and_everything_else_does(unit in unit()) {
        let hash = |unit: &wire::DeploymentUnit| identity::applied_hash(&record(unit).unwrap()).unwrap();
        let later = wire::DeploymentUnit { created_at: None, ..unit.clone() };
        prop_assert_eq!(hash(&unit), hash(&later));
        let mut other = unit.clone();
        other.functions[0].replicas += 1;
        prop_assert_ne!(hash(&unit), hash(&other));
        let other = wire::DeploymentUnit { target_env: format!("{}x", unit.target_env), ..unit.clone() };
        prop_assert_ne!(hash(&unit), hash(&other));
    }

    #[test]
    fn two_ids_never_share_a_record(left in "\\PC{1,80}", right in "\\PC{1,80}") {
        if left != right {
            prop_assert_ne!(names::record_name(&left), names::record_name(&right));
        }
    }
}

fn faults(unit: &wire::DeploymentUnit) -> Vec<String> {
    record(unit).unwrap_err().into_iter().map(|fault| fault.field).collect()
}

#[test]
fn what_only_the_wire_can_say_wrong_is_named_with_its_wire_path() {
    let function = wire::FunctionDeploymentSpec {
        nfr_requirements: Some(common::NfrRequirements {
            availability: Some(99.9),
            ..common::NfrRequirements::default()
        }),
        ..wire::FunctionDeploymentSpec::default()
    };
    let unit = wire::DeploymentUnit {
        id: "x".repeat(300),
        functions: vec![function],
        created_at: Some(common::Timestamp { seconds: i64::MAX, nanos: 0 }),
        enforcement: Some(wire::Enforcement { mode: "always".to_owned(), dimensions: vec!["disk".to_owned()] }),
        nfr_requirements: Some(common::NfrRequirements {
            availability: Some(f64::NAN),
            ..common::NfrRequirements::default()
        }),
        odgm_config: Some(wire::OdgmConfig { odgm_node_id: Some(u64::MAX), ..wire::OdgmConfig::default() }),
        ..wire::DeploymentUnit::default()
    };
    assert_eq!(
        faults(&unit),
        [
            "deployment_unit.id",
            "deployment_unit.created_at",
            "deployment_unit.functions[0].nfr_requirements.availability",
            "deployment_unit.odgm_config.odgm_node_id",
            "deployment_unit.nfr_requirements.availability",
            "deployment_unit.enforcement.mode",
            "deployment_unit.enforcement.dimensions[0]",
        ]
    );
}

#[test]
fn created_at_is_a_date_of_the_calendar_or_refused() {
    let at = |seconds| wire::DeploymentUnit {
        created_at: Some(common::Timestamp { seconds, nanos: 0 }),
        ..wire::DeploymentUnit { id: "a".to_owned(), ..wire::DeploymentUnit::default() }
    };
    let is_refused =
        |seconds| super::wire::record(&at(seconds)).1.iter().any(|fault| fault.field.ends_with(".created_at"));
    for (seconds, refused) in [
        (-62_135_596_801, true),
        (-62_135_596_800, false),
        (253_402_300_799 - 3 * 86_400, false),
        (253_402_300_800, true),
    ] {
        assert_eq!(is_refused(seconds), refused, "{seconds}");
    }
}

#[test]
fn availability_is_a_ratio_on_the_wire_and_a_percentage_in_the_record() {
    let nfr = common::NfrRequirements { availability: Some(0.999), ..common::NfrRequirements::default() };
    let unit =
        wire::DeploymentUnit { id: "a".to_owned(), nfr_requirements: Some(nfr), ..wire::DeploymentUnit::default() };
    let percent = record(&unit).unwrap().spec.nfr_requirements.unwrap().availability_pct.unwrap();
    assert_eq!(percent.to_string(), "99.9");
}

#[test]
fn a_stated_requirement_wins_over_the_provision_config_field_by_field() {
    let function = wire::FunctionDeploymentSpec {
        resource_requirements: Some(common::ResourceRequirements {
            cpu_request: "1".to_owned(),
            ..common::ResourceRequirements::default()
        }),
        provision_config: Some(common::ProvisionConfig {
            cpu_request: Some("2".to_owned()),
            memory_request: Some("1Gi".to_owned()),
            ..common::ProvisionConfig::default()
        }),
        ..wire::FunctionDeploymentSpec::default()
    };
    let unit =
        wire::DeploymentUnit { id: "a".to_owned(), functions: vec![function], ..wire::DeploymentUnit::default() };
    let resources = record(&unit).unwrap().spec.functions[0].resources.clone().unwrap();
    assert_eq!((resources.cpu_request.as_deref(), resources.memory_request.as_deref()), (Some("1"), Some("1Gi")));
}

#[test]
fn a_record_in_the_short_form_reads_as_one_function() {
    let shorthand = FunctionShorthand { image: "img".to_owned(), port: Some(9000) };
    let spec = DeploymentRecordSpec { function: Some(shorthand), ..DeploymentRecordSpec::default() };
    let read = present::oclass(&DeploymentRecord::new("mine", spec));
    assert_eq!(read.key, "mine");
    assert_eq!(read.functions[0].image, "img");
    assert_eq!(read.functions[0].provision_config.as_ref().unwrap().port, Some(9000));
}

#[test]
fn a_record_that_was_edited_does_not_say_the_same_any_more() {
    let function = wire::FunctionDeploymentSpec {
        function_key: "f".to_owned(),
        image: "img".to_owned(),
        ..wire::FunctionDeploymentSpec::default()
    };
    let unit =
        wire::DeploymentUnit { id: "a".to_owned(), functions: vec![function], ..wire::DeploymentUnit::default() };
    let mut wanted = record(&unit).unwrap();
    let hash = identity::applied_hash(&wanted).unwrap();
    wanted.metadata.annotations.get_or_insert_with(BTreeMap::new).insert(ANNOTATION_APPLIED_HASH.to_owned(), hash);
    let mut live = wanted.clone();
    assert!(identity::says_the_same(&live, &wanted).unwrap());
    live.spec.functions[0].port = Some(1);
    assert!(!identity::says_the_same(&live, &wanted).unwrap());
    live.spec.functions[0].port = None;
    live.spec.functions[0].image = Some("other".to_owned());
    assert!(!identity::says_the_same(&live, &wanted).unwrap());
}

#[test]
fn everything_that_only_the_record_shows_reaches_it() {
    let route = wire::FunctionRoute {
        stateless: Some(true),
        standby: Some(false),
        active_group: vec![1, 2],
        function_key: Some("f".to_owned()),
        ..wire::FunctionRoute::default()
    };
    let shard = wire::ShardAssignmentSpec { primary: Some(1), replica: vec![2], shard_ids: vec![3] };
    let odgm = wire::OdgmConfig {
        collections: vec!["c".to_owned()],
        partition_count: Some(4),
        replica_count: Some(2),
        shard_type: Some("raft".to_owned()),
        invocations: Some(wire::InvocationRoutes {
            fn_routes: [("r".to_owned(), route)].into(),
            disabled_fn: vec!["d".to_owned()],
        }),
        options: [("k".to_owned(), "v".to_owned())].into(),
        log: Some("debug".to_owned()),
        env_node_ids: [("e".to_owned(), wire::OdgmNodeIds { ids: vec![5] })].into(),
        odgm_node_id: Some(6),
        collection_assignments: [("c".to_owned(), wire::CollectionShardAssignments { assignments: vec![shard] })]
            .into(),
    };
    let unit = wire::DeploymentUnit {
        id: "a".to_owned(),
        selected_template: Some("edge".to_owned()),
        addons: vec!["odgm".to_owned()],
        enforcement: Some(wire::Enforcement { mode: "enforce".to_owned(), dimensions: vec!["cpu".to_owned()] }),
        odgm_config: Some(odgm),
        ..wire::DeploymentUnit::default()
    };
    let spec = serde_json::to_value(record(&unit).unwrap().spec).unwrap();
    assert_eq!(
        spec,
        serde_json::json!({
            "selected_template": "edge",
            "addons": ["odgm"],
            "nfr": {"enforcement": {"mode": "enforce", "dimensions": ["cpu"]}},
            "odgm_config": {
                "collections": ["c"],
                "partition_count": 4,
                "replica_count": 2,
                "shard_type": "raft",
                "invocations": {
                    "fn_routes": {"r": {"stateless": true, "standby": false, "active_group": [1, 2], "function_key": "f"}},
                    "disabled_fn": ["d"],
                },
                "options": {"k": "v"},
                "log": "debug",
                "env_node_ids": {"e": {"ids": [5]}},
                "node_id": 6,
                "collection_assignments": {"c": {"assignments": [{"primary": 1, "replica": [2], "shard_ids": [3]}]}},
            },
        })
    );
}
