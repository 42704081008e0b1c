//! What the fuzz targets do with their bytes: the same as the controller does with the files of a bundle, and with what
//! comes by gRPC.

use std::sync::{LazyLock, Once};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use oprc_crm::api::DeploymentRecord;
use oprc_crm::decision::{ClusterFacts, Features, Setting, decide, run_tests};
use oprc_crm::grpc::pb::deployment::DeploymentUnit;
use oprc_crm::grpc::{record_of, unit_of};
use oprc_crm::model;
use oprc_crm::policy::{Bundle, Diagnostics, FactValue, Facts, File, Inputs, Policy, watch};
use oprc_crm::render::{RenderSettings, render};
use prost::Message;

/// Time that this thread has computed for: a busy machine is no fault of a rule.
fn computed() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// Gives the watchdog a clock, so that a rule whose steps do not end in time is found.
fn watched() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| watch(computed));
}

/// Longest that a file of the fuzzer's size may take to be checked, instrumented as it is here.
const CHECKED_WITHIN: Duration = Duration::from_secs(3);

/// Over the shipped bundle: the shipped files, which the fuzzer begins with, refer to each other.
const OVER_SHIPPED: &str = "\
apiVersion: policy.oaas.io/v1alpha1
kind: Bundle
metadata: {name: fuzz}
spec: {extends: builtin}
";

/// A bundle as small as one can be, so that a run is spent on the expression alone.
const SMALL: &str = "\
apiVersion: policy.oaas.io/v1alpha1
kind: Bundle
metadata: {name: fuzz}
spec:
  params: {max_replicas: {type: number, default: 20, min: 1, max: 10000}}
---
apiVersion: policy.oaas.io/v1alpha1
kind: Template
metadata: {name: dev}
spec:
  workload: {kind: Deployment, replicas: '1.0'}
";

fn compile(files: &[File]) -> Result<(Bundle, Policy), Diagnostics> {
    let begun = computed();
    let compiled = compile_bundle(files);
    assert!(computed() - begun < CHECKED_WITHIN, "the check takes {:?}", computed() - begun);
    compiled
}

fn compile_bundle(files: &[File]) -> Result<(Bundle, Policy), Diagnostics> {
    let bundle = Bundle::over_builtin(files)?;
    let inputs = Inputs { profile: "edge".to_owned(), ..Inputs::default() };
    let (policy, _) = bundle.compile(&inputs)?;
    Ok((bundle, policy))
}

fn file(name: &str, text: &str) -> File {
    File { name: name.to_owned(), text: text.to_owned() }
}

/// Facts that are as large as a record can make them.
fn facts() -> Facts {
    let mut facts = Facts::default();
    let text = |text: &str| FactValue::Text(text.to_owned());
    facts.set("profile", text("edge"));
    facts.set("class.name", text(&"n".repeat(63)));
    facts.set("class.namespace", text("default"));
    facts.set("class.addons", FactValue::Texts((0..16).map(|n| "x".repeat(n * 16)).collect()));
    facts.set("class.labels", FactValue::TextMap((0..64).map(|n| (format!("label-{n}"), "v".repeat(63))).collect()));
    let function = |n: u32| {
        let pair = |name: &'static str, value| (name.into(), value);
        let image = FactValue::Text(format!("registry.example/{}:{n}", "a/".repeat(200)));
        [pair("key", text(&format!("f{n}"))), pair("image", image), pair("port", FactValue::Number(8080.0))].into()
    };
    facts.set("class.functions", FactValue::Groups((0..64).map(function).collect()));
    facts.set("nfr.min_throughput_rps", FactValue::Number(900.0));
    facts.explained()
}

fn evaluate(policy: &Policy) {
    let facts = facts();
    for verdict in policy.admissions().iter().flat_map(|document| document.evaluate(&facts)) {
        let told = format!("{verdict:?}");
        assert!(!told.contains("the rule takes too long"), "the budget let a rule run too long: {told}");
    }
    for template in policy.templates() {
        let scope = template.unit().over(&facts);
        let told = format!("{:?} {:?}", template.standing(&scope), template.shape(&scope));
        assert!(!told.contains("the rule takes too long"), "the budget let a rule run too long: {told}");
    }
}

/// Bytes as a file of a bundle: read, checked, compiled, evaluated, its tests run.
pub fn documents(bytes: &[u8]) {
    watched();
    let text = String::from_utf8_lossy(bytes);
    let has_its_own = text.contains("kind: Bundle");
    let over_shipped = (!has_its_own).then(|| file("bundle.yaml", OVER_SHIPPED));
    let files: Vec<File> = [file("fuzz.yaml", &text)].into_iter().chain(over_shipped).collect();
    match compile(&files) {
        Ok((bundle, policy)) => {
            evaluate(&policy);
            let _ = run_tests(&bundle);
        }
        Err(Diagnostics(found)) => assert!(!found.is_empty(), "refused without a reason"),
    }
}

/// The small bundle with an admission rule of this expression.
fn with_rule(expression: &str) -> Result<(Bundle, Policy), Diagnostics> {
    let quoted = expression.replace('\'', "''");
    let rule = format!(
        "apiVersion: policy.oaas.io/v1alpha1\nkind: Admission\nmetadata: {{name: fuzz}}\nspec:\n  rules:\n  \
         - {{id: x, deny: '{quoted}', message: \"'m'\"}}\n"
    );
    compile(&[file("fuzz.yaml", &rule), file("small.yaml", SMALL)])
}

/// Bytes as an expression of an admission rule.
pub fn expressions(bytes: &[u8]) {
    static SOUND: Once = Once::new();
    watched();
    // Else every expression would be refused, and nothing be found.
    SOUND.call_once(|| {
        let rule = "class.functions.exists(f, has(f.replicas) && f.replicas > params.max_replicas)";
        with_rule(rule).expect("the small bundle");
    });
    if let Ok((_, policy)) = with_rule(&String::from_utf8_lossy(bytes)) {
        evaluate(&policy);
    }
}

static BUILTIN: LazyLock<Policy> = LazyLock::new(|| {
    let inputs = Inputs { profile: "edge".to_owned(), ..Inputs::default() };
    Policy::builtin(&inputs).expect("the shipped bundle")
});

/// Bytes as a unit: read, written as a record, read back, judged, rendered.
pub fn units(bytes: &[u8]) {
    let Ok(unit) = DeploymentUnit::decode(bytes) else { return };
    let record = match record_of(&unit) {
        Ok(record) => record,
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a reason");
            assert!(faults.iter().all(|fault| fault.field.starts_with("deployment_unit")), "{faults:?}");
            return;
        }
    };
    // What the API server keeps is what serialises.
    let kept: DeploymentRecord = serde_json::to_value(&record).and_then(serde_json::from_value).expect("a record");
    assert_eq!(kept, record);
    assert_eq!(record_of(&unit_of(&kept)).as_ref(), Ok(&kept), "what is read and sent back is no change");
    let class = model::parse(&kept).expect("what is accepted is valid");
    let features = Features { odgm: true, ..Features::default() };
    let setting = Setting { profile: "edge".to_owned(), features, cluster: ClusterFacts::default() };
    if let Ok(chosen) = decide(&BUILTIN, &class, &setting, None).template {
        // It may be refused with a reason, never with a panic.
        let rendered = render(&class, &chosen.plan, &RenderSettings::default());
        assert_eq!(format!("{rendered:?}"), format!("{:?}", render(&class, &chosen.plan, &RenderSettings::default())));
    }
}
