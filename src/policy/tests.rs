#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Bundle, Diagnostic, Diagnostics, File, Inputs, Policy, builtin};

mod cases;
mod edits;

fn file(name: &str, text: &str) -> File {
    File { name: name.to_owned(), text: text.to_owned() }
}

fn document(kind: &str, name: &str, spec: &str) -> String {
    let spec = spec.trim_matches('\n').lines().map(|line| ["  ", line, "\n"].concat()).collect::<String>();
    format!("apiVersion: policy.oaas.io/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n{spec}")
}

const WORKLOAD: &str = "workload:\n  kind: Deployment\n  replicas: '1.0'\n";

fn dev() -> File {
    file("dev.yaml", &document("Template", "dev", WORKLOAD))
}

fn compile(files: &[File], inputs: &Inputs) -> Result<Policy, Diagnostics> {
    Bundle::read(files, &builtin::files())?.compile(inputs).map(|(policy, _)| policy)
}

fn faults(text: &str) -> Vec<String> {
    let inputs = Inputs { profile: "edge".to_owned(), ..Inputs::default() };
    match compile(&[dev(), file("a.yaml", text)], &inputs) {
        Ok(_) => Vec::new(),
        Err(Diagnostics(found)) => found.iter().map(|one| format!("{}: {}", one.place(), one.message)).collect(),
    }
}

fn admission(rules: &str) -> String {
    document("Admission", "a", rules)
}

#[test]
fn the_shipped_bundle_is_clean_in_every_profile() {
    for profile in ["dev", "edge", "full"] {
        let inputs = Inputs { profile: profile.to_owned(), ..Inputs::default() };
        let (policy, warnings) = Bundle::builtin().unwrap().compile(&inputs).unwrap();
        assert_eq!(warnings, Vec::new());
        assert_eq!(policy.templates().len(), 4);
    }
}

#[test]
fn wrong_documents_are_refused_with_place_and_reason() {
    let rule = "rules:\n- id: x\n  deny: 'true'\n  message: \"'m'\"\n";
    for (text, expected) in [
        ("a: [", "a.yaml:"),
        ("- 1", "a.yaml:1:1: a policy document must be a map, this is a list"),
        ("kind: Nope\n", "a.yaml:1:7: there is no kind \"Nope\""),
        (&document("Signal", "a", "x: 1"), "a.yaml:6:3: spec of a Signal has no field `x`"),
        (&document("Admission", "A b", rule), "a.yaml:4:9: \"A b\" is no name for a document"),
        (&admission("rule: []"), "a.yaml:6:3: spec of an Admission has no field `rule`"),
        (&admission("rules: []"), "a.yaml:6:10: an Admission needs at least one rule"),
        (&admission("rules:\n- {id: x, message: \"'m'\"}"), "a.yaml:7:5: a rule has either `deny` or `warn`"),
        (&admission("rules:\n- {id: x, deny: 'true'}"), "a.yaml:7:5: a rule needs the field `message`"),
        (
            &admission("rules:\n- {id: x, deny: 'profil == \"a\"', message: \"'m'\"}"),
            "a.yaml:7:20: there is no `profil` here",
        ),
        (
            &admission(
                "rules:\n- id: x\n  deny: |\n    profile == 'a' &&\n    nfr.max_latency_ms > 1.0\n  message: \"'m'\"",
            ),
            "a.yaml:10:7: `nfr.max_latency_ms` may be absent",
        ),
        (&admission("rules:\n- {id: x, deny: '1.0', message: \"'m'\"}"), "a bool is needed here, this is a number"),
        (&admission("rules:\n- {id: x, mode: loud, deny: true, message: \"'m'\"}"), "there is no mode \"loud\""),
        (
            &admission("rules:\n- {id: x, deny: true, message: \"'m'\"}\n- {id: x, deny: true, message: \"'m'\"}"),
            "a.yaml:8:10: rule `x` is given twice",
        ),
        (&document("Template", "dev", WORKLOAD), "dev.yaml:4:9: Template \"dev\" is given twice"),
        (
            &document("Template", "b", "aliases: [dev]\nworkload: {kind: Deployment, replicas: '1.0'}"),
            "two templates answer",
        ),
        (&document("Template", "b", "workload: {kind: Job, replicas: '1.0'}"), "there is no kind of workload \"Job\""),
        (
            &document("Template", "b", "workload: {kind: Deployment, replicas: '1'}"),
            "a whole number where every number",
        ),
        (
            &document("Template", "b", "workload: {kind: Deployment, replicas: 1.0, resources: {cpu_request: 1x}}"),
            "`cpu_request` is a quantity such as 250m or 128Mi, this is the text \"1x\"",
        ),
        (&document("Test", "t", "target: Template\ncases: []"), "a suite without a case tests nothing"),
        (&document("Bundle", "b", "extends: other"), "can't extend \"other\""),
        (
            &document("Bundle", "b", "params: {Template/none: {x: 1}}"),
            "there is no document \"Template/none\" with params",
        ),
    ] {
        let found = faults(text);
        assert!(found.iter().any(|one| one.contains(expected)), "{text}\nexpected {expected}\ngot {found:#?}");
    }
}

#[test]
fn hostile_yaml_is_refused() {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (one, next) in ["a", "b", "c", "d", "e", "f", "g", "h"].iter().zip(["b", "c", "d", "e", "f", "g", "h", "i"]) {
        let aliases = vec![["*", one].concat(); 9].join(", ");
        bomb += &[next, ": &", next, " [", &aliases, "]\n"].concat();
    }
    let block: String = (0..2000).map(|level| [" ".repeat(level), "a:\n".to_owned()].concat()).collect();
    for text in [deep, bomb, block, "\u{0}".to_owned(), "%TAG ! x\n---\n!<a> b".to_owned()] {
        assert!(!faults(&text).is_empty(), "{}", text.get(..40).unwrap_or(&text));
    }
}

#[test]
fn one_run_reports_every_fault() {
    let text = admission(
        "rulez: 1\nrules:\n- {id: x, deny: nope, message: \"'m'\"}\n- {id: y, deny: 'also_nope > 1.0', message: 3.0}",
    );
    assert_eq!(faults(&text).len(), 4);
    let text =
        admission("rules:\n- {id: x, deny: nope, message: \"'m'\"}\n- {id: y, deny: 'also > 1.0', message: 3.0}");
    assert_eq!(faults(&text).len(), 3);
}

#[test]
fn a_bundle_without_its_bundle_document_is_told_that_first() {
    let shipped = builtin::files();
    let without: Vec<File> = shipped.iter().filter(|one| !one.name.ends_with("bundle.yaml")).cloned().collect();
    let Diagnostics(found) = compile(&without, &Inputs::default()).unwrap_err();
    let first = found.first().unwrap().to_string();
    assert!(first.starts_with("error: there is no bundle.yaml") && first.contains("extends: builtin"), "{first}");
    assert!(found.iter().any(|one| one.message == "`params` has no `max_replicas`"), "{found:?}");
    let misspelt = faults(&admission("rules:\n- {id: x, deny: 'params.x > 1.0', message: \"'m'\"}"));
    assert!(misspelt.iter().any(|one| one.contains("there is no bundle.yaml")), "{misspelt:?}");
    for spec in ["params: {}", "parms: {}", "extends: bultin", "x"] {
        let rule = admission("rules:\n- {id: x, deny: 'params.x > 1.0', message: \"'m'\"}");
        let own = faults(&[&document("Bundle", "b", spec), "---\n", &rule].concat());
        assert!(own.iter().any(|one| one.contains("`params` has no `x`")), "{own:?}");
        assert!(!own.iter().any(|one| one.contains("there is no bundle.yaml")), "{own:?}");
    }
}

#[test]
fn a_diagnostic_shows_line_caret_and_fix() {
    let text = admission("rules:\n- id: x\n  deny: 'nfr.max_latenzy_ms > 3.0'\n  message: \"'m'\"");
    let inputs = Inputs::default();
    let error = compile(&[dev(), file("a.yaml", &text)], &inputs).unwrap_err().to_string();
    let expected = "error: `nfr` has no `max_latenzy_ms`\n  --> a.yaml:8:12\n  |\n8 |     deny: 'nfr.max_latenzy_ms > 3.0'\n  \
                    |            ^^^^^^^^^^^^^^^^^^\n  help: did you mean `max_latency_ms`?";
    assert_eq!(error, expected);
}

fn with_params(params: &str, profiles: &str, inputs: &Inputs, bundle: &str) -> Result<String, Vec<String>> {
    let spec = format!(
        "params:\n  x: {params}\n{profiles}\nrules:\n- {{id: r, deny: 'string(params.x) == \"\"', message: \"'m'\"}}\n"
    );
    let mut files = vec![dev(), file("a.yaml", &admission(&spec))];
    if !bundle.is_empty() {
        files.push(file("bundle.yaml", &document("Bundle", "b", bundle)));
    }
    let policy = compile(&files, inputs)
        .map_err(|Diagnostics(found)| found.iter().map(|one| one.message.clone()).collect::<Vec<_>>())?;
    let shown =
        policy.admissions().first().unwrap().unit().params().next().map(|(_, value, from)| format!("{value} {from}"));
    Ok(shown.unwrap())
}

#[test]
fn a_param_comes_from_environment_then_bundle_then_profile_then_default() {
    let mut inputs = Inputs { profile: "edge".to_owned(), ..Inputs::default() };
    let param = "{type: duration, default: 3m, min: 30s, max: 1h, env: OPRC_CRM_X_SECS, env_unit: s}";
    let profiles = "profiles: {edge: {x: 5m}}";
    let bundle = "params: {Admission/a: {x: 7m}}";
    assert_eq!(with_params(param, "", &inputs, ""), Ok("3m default".to_owned()));
    assert_eq!(with_params(param, profiles, &inputs, ""), Ok("5m profile edge".to_owned()));
    assert_eq!(with_params(param, profiles, &inputs, bundle), Ok("7m bundle.yaml".to_owned()));
    inputs.environment.insert("OPRC_CRM_X_SECS".to_owned(), "90".to_owned());
    assert_eq!(with_params(param, profiles, &inputs, bundle), Ok("1m 30s OPRC_CRM_X_SECS".to_owned()));
}

#[test]
fn a_param_outside_its_type_or_bounds_is_refused() {
    let inputs = |value: &str| Inputs {
        profile: "edge".to_owned(),
        environment: [("OPRC_CRM_X".to_owned(), value.to_owned())].into(),
    };
    let none = inputs("");
    let has = |found: Result<String, Vec<String>>, wanted: &str| {
        let found = found.unwrap_err();
        assert!(found.iter().any(|one| one.contains(wanted)), "{wanted}: {found:?}");
    };
    let bounded = "{type: number, default: 3, min: 1, max: 5, env: OPRC_CRM_X}";
    has(with_params("{type: number, default: 9, max: 5}", "", &none, ""), "9 is above its max 5");
    has(with_params("{type: number, default: 3, min: 9, max: 5}", "", &none, ""), "min 9 is above max 5");
    has(with_params("{type: duration, default: 30}", "", &none, ""), "a duration such as 3m");
    has(with_params("{type: bolean, default: true}", "", &none, ""), "there is no type \"bolean\"");
    has(with_params(bounded, "profiles: {edge: {x: 0}}", &none, ""), "0 is below its min 1");
    has(with_params(bounded, "profiles: {edge: {y: 2}}", &none, ""), "there is no param `y`");
    has(with_params(bounded, "profiles: {huge: {x: 2}}", &none, ""), "there is no profile \"huge\"");
    has(with_params(bounded, "", &none, "params: {Admission/a: {x: 7}}"), "7 is above its max 5");
    has(with_params(bounded, "", &none, "params: {x: {type: number, default: 1}}"), "param `x` is given twice");
    has(with_params(bounded, "", &inputs("seven"), ""), "OPRC_CRM_X=\"seven\" is not a number such as 300");
    has(with_params(bounded, "", &inputs("7"), ""), "OPRC_CRM_X=\"7\": 7 is above its max 5");
    has(with_params(bounded, "", &inputs("NaN"), ""), "OPRC_CRM_X=\"NaN\" is not a number");
    assert_eq!(with_params(bounded, "", &inputs("4"), ""), Ok("4 OPRC_CRM_X".to_owned()));
}

#[test]
fn what_the_controller_takes_of_a_variable_the_shipped_params_take_or_refuse_once() {
    let with = |name: &str, value: &str| {
        let inputs = Inputs { profile: "edge".to_owned(), environment: [(name.to_owned(), value.to_owned())].into() };
        Bundle::builtin().unwrap().compile(&inputs).map_err(|Diagnostics(found)| found)
    };
    for (name, least, most) in [
        ("OPRC_CRM_LIMITS_MAX_REPLICAS", "1", "10000"),
        ("OPRC_CRM_ENFORCEMENT_MAX_REPLICA_DELTA", "1", "100"),
        ("OPRC_CRM_ENFORCEMENT_STABILITY_SECS", "1", "1800"),
        ("OPRC_CRM_ENFORCEMENT_COOLDOWN_SECS", "1", "86400"),
    ] {
        for value in [least, most] {
            assert_eq!(with(name, value).err(), None, "{name}={value}");
        }
    }
    let found = with("OPRC_CRM_ENFORCEMENT_STABILITY_SECS", "1900").unwrap_err();
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(one.message, "OPRC_CRM_ENFORCEMENT_STABILITY_SECS=\"1900\": 31m 40s is above its max 30m");
    assert_eq!(one.related.len(), 6, "each param that it sets: {one}");
    assert!(one.help.as_deref().is_some_and(|help| help.contains("a bundle of your own")), "{one}");
}

#[test]
fn an_overlay_replaces_shipped_documents_and_changes_bounds() {
    let overlay =
        file("bundle.yaml", &document("Bundle", "mine", "extends: builtin\nparams: {Template/edge: {rps: 400}}"));
    let own = file("dev.yaml", &document("Template", "dev", "workload: {kind: Deployment, replicas: '7.0'}"));
    let bundle = Bundle::read(&[overlay, own], &builtin::files()).unwrap();
    let (policy, warnings) = bundle.compile(&Inputs::default()).unwrap();
    assert_eq!(policy.templates().len(), 4);
    assert!(warnings.iter().any(|one| one.message.contains("`templates` of Template drop out")), "{warnings:?}");
    let edge = policy.templates().iter().find(|template| template.name() == "edge").unwrap();
    assert!(edge.unit().params().any(|(name, value, from)| name == "rps" && value == "400" && from == "bundle.yaml"));
    assert_ne!(bundle.revision(), Bundle::builtin().unwrap().revision());
}

/// `max_replicas` as a document sees it, and the warnings, of an overlay with these params.
fn max_replicas(params: &str, limit: Option<&str>) -> Result<(String, Vec<Diagnostic>), Diagnostics> {
    let text = document("Bundle", "mine", &format!("extends: builtin\nparams: {params}"));
    let environment = limit.map(|limit| ("OPRC_CRM_LIMITS_MAX_REPLICAS".to_owned(), limit.to_owned()));
    let inputs = Inputs { profile: "dev".to_owned(), environment: environment.into_iter().collect() };
    let bundle = Bundle::read(&[file("bundle.yaml", &text)], &builtin::files())?;
    let (policy, warnings) = bundle.compile(&inputs)?;
    let scale = policy.admissions().iter().find(|one| one.unit().name() == "Admission/scale").unwrap();
    let shown = scale.unit().params().find(|(name, ..)| *name == "max_replicas").unwrap();
    Ok((format!("{} {}", shown.1, shown.2), warnings))
}

#[test]
fn an_overlays_bare_value_keeps_bounds_and_environment_of_the_shipped_param() {
    let value = |params: &str, limit: Option<&str>| max_replicas(params, limit).map(|(value, _)| value);
    let refused = |params: &str| value(params, None).unwrap_err().to_string();
    assert_eq!(value("{max_replicas: 40}", None), Ok("40 bundle.yaml".to_owned()));
    assert_eq!(value("{max_replicas: 40}", Some("5")), Ok("5 OPRC_CRM_LIMITS_MAX_REPLICAS".to_owned()));
    assert_eq!(value("{Bundle/shipped: {max_replicas: 40}}", None), Ok("40 bundle.yaml".to_owned()));
    assert!(refused("{max_replicas: 40000}").contains("`max_replicas`: 40000 is above its max 10000"));
    assert!(refused("{max_replicas: forty}").contains("`max_replicas` is a number such as 300"));
    assert!(refused("{max_replica: 40}").contains("did you mean `max_replicas`?"));
    let twice = refused("{max_replicas: 40, Bundle/shipped: {max_replicas: 50}}");
    assert!(twice.contains("param `max_replicas` is given twice"), "{twice}");
}

#[test]
fn an_overlay_sets_a_shipped_param_for_one_profile() {
    let value = |spec: &str, profile: &str| {
        let text = document("Bundle", "mine", &format!("extends: builtin\n{spec}"));
        let bundle = Bundle::read(&[file("bundle.yaml", &text)], &builtin::files()).unwrap();
        let (policy, warnings) = bundle.compile(&Inputs { profile: profile.to_owned(), ..Inputs::default() }).unwrap();
        let full = policy.templates().iter().find(|one| one.name() == "full").unwrap();
        let (_, value, origin) = full.unit().params().find(|(name, ..)| *name == "full_rps").unwrap();
        (format!("{value} {origin}"), warnings.iter().any(|one| one.message.contains("changes the param `full_rps`")))
    };
    let edge = "profiles: {edge: {full_rps: 3}}";
    assert_eq!(value(edge, "edge"), ("3 profile edge".to_owned(), true), "shipped tests of it drop out");
    assert_eq!(value(edge, "full").0, "1500 default");
    assert_eq!(value(&format!("{edge}\nparams: {{full_rps: 4}}"), "edge").0, "4 bundle.yaml");
}

#[test]
fn a_param_declared_anew_tells_what_it_loses() {
    let lost = |params: &str| {
        let (_, warnings) = max_replicas(params, None).unwrap();
        warnings.iter().map(ToString::to_string).filter(|one| one.contains("declared anew")).collect::<String>()
    };
    let bare = lost("{max_replicas: {type: number, default: 40, max: 1000}}");
    let expected = "`max_replicas` is declared anew and loses its environment variable \
                    OPRC_CRM_LIMITS_MAX_REPLICAS, its min 1\n";
    assert!(bare.contains(expected) && bare.contains("write `max_replicas: 40`"), "{bare}");
    let whole = "{max_replicas: {type: number, default: 40, min: 1, max: 90, env: OPRC_CRM_LIMITS_MAX_REPLICAS}}";
    assert_eq!(lost(whole), "");
}

#[test]
fn the_revision_ignores_order_comments_white_space_and_tests_only() {
    let shipped = builtin::files();
    let revision = |files: &[File]| Bundle::read(files, &[]).unwrap().revision().to_owned();
    let original = revision(&shipped);
    let dressed: Vec<File> = shipped
        .iter()
        .rev()
        .map(|one| File {
            name: format!("z-{}", one.name.replace('/', "-")),
            text: format!("# a comment\n\n{}", one.text.replace("\nkind:", "\n# another\n\nkind:   ")),
        })
        .collect();
    assert_eq!(revision(&dressed), original);
    let without_tests: Vec<File> = shipped.iter().filter(|one| !one.name.contains("/tests/")).cloned().collect();
    assert_eq!(revision(&without_tests), original);
    let changed: Vec<File> =
        shipped.iter().map(|one| File { text: one.text.replace("add: 1000", "add: 1001"), ..one.clone() }).collect();
    assert_ne!(revision(&changed), original);
}

#[test]
fn the_revision_tells_of_params_that_the_environment_sets_and_of_the_commit() {
    let compiled = |metadata: &str, limit: Option<&str>, profile: &str| {
        let text = document("Bundle", "mine", &format!("extends: builtin\n{metadata}"));
        let environment = limit.map(|limit| ("OPRC_CRM_LIMITS_MAX_REPLICAS".to_owned(), limit.to_owned()));
        let inputs = Inputs { profile: profile.to_owned(), environment: environment.into_iter().collect() };
        compile(&[file("bundle.yaml", &text)], &inputs).unwrap()
    };
    let revision = |metadata: &str, limit, profile: &str| compiled(metadata, limit, profile).revision().to_owned();
    let plain = revision("", None, "dev");
    assert!(plain.len() == 12 && plain.bytes().all(|b| b.is_ascii_hexdigit()), "{plain}");
    assert_eq!(revision("", None, "edge"), plain);

    let (five, six) = (revision("", Some("5"), "dev"), revision("", Some("6"), "dev"));
    assert!(five.starts_with(&format!("{plain}+")) && five.len() == 21, "{five}");
    assert_ne!(five, six);
    assert_eq!(five, revision("", Some("5"), "dev"));
    assert_ne!(five, revision("", Some("5"), "edge"));

    let stamped = "metadata: {commit: 9f2c1d7be0048888, by: me}";
    assert_eq!(revision(stamped, None, "dev"), format!("{plain}@9f2c1d7be004"));
    assert_eq!(revision(stamped, Some("5"), "dev"), format!("{five}@9f2c1d7be004"));
    let told = compiled(stamped, None, "dev").with_commit(Some("v1.4"));
    assert_eq!(told.revision(), format!("{plain}@v1.4"));
    assert_eq!(told.with_commit(None).revision(), format!("{plain}@v1.4"));

    let found = faults(&document("Bundle", "b", "metadata: {commit: 'a b'}"));
    assert!(found.iter().any(|one| one.contains("a.yaml:6:22: \"a b\" is no commit")), "{found:?}");
}

#[test]
fn what_a_test_gives_is_no_larger_than_a_fact_can_be() {
    let given = |given: &str| {
        let spec = format!("target: Template\ncases:\n- name: c\n  given: {{{given}}}\n  expect: {{template: dev}}\n");
        match compile(&[dev(), file("t.yaml", &document("Test", "t", &spec))], &Inputs::default()) {
            Ok(_) => Vec::new(),
            Err(Diagnostics(found)) => found.into_iter().map(|one| one.message).collect(),
        }
    };
    let name = |length: usize| format!("class: {{name: '{}'}}", "n".repeat(length));
    let addons = |count: usize| format!("class: {{addons: [{}]}}", vec!["a"; count].join(", "));
    assert_eq!(given(&name(4096)), Vec::<String>::new());
    assert_eq!(given(&name(4097)), ["`class.name` has 4097 bytes; a fact has at most 4096"]);
    assert_eq!(given(&addons(1024)), Vec::<String>::new());
    assert_eq!(given(&addons(1025)), ["`class.addons` has 1025 entries; a fact has at most 1024"]);
    let long = format!("class: {{addons: ['{}']}}", "a".repeat(4097));
    assert_eq!(given(&long), ["`class.addons` has 4097 bytes; a fact has at most 4096"]);
}
