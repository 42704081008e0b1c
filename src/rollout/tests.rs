#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Basis, ClassKey, Fixed, Health, LiveClass, Offer, Origin, Rollout, Verdict, decode, encode, load, page};
use crate::api::DeploymentRecord;
use crate::decision::{ClusterFacts, Features, Setting};
use crate::model::parse;
use crate::policy::{Bundle, File, Inputs};

mod back;
mod lost;

fn setting(knative: Option<bool>) -> Setting {
    let features = Features { odgm: true, knative: true, ..Features::default() };
    let cluster = ClusterFacts { knative, ..ClusterFacts::default() };
    Setting { profile: "edge".to_owned(), features, cluster }
}

/// The shipped bundle with these params and this roll-out.
fn basis(params: &str, rollout: &str) -> Arc<Basis> {
    let text = format!(
        "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {{name: own}}\n\
         spec: {{extends: builtin, params: {{{params}}}, rollout: {{{rollout}}}}}\n"
    );
    let files = vec![File { name: "bundle.yaml".to_owned(), text }];
    let inputs = Inputs { profile: "edge".to_owned(), ..Inputs::default() };
    let loaded = load(Origin::Builtin, files, Bundle::builtin_files(), &inputs, None).unwrap();
    Arc::new(Basis::new(loaded.policy, loaded.source, setting(Some(false)), &Fixed::default()))
}

fn record(name: &str, rps: u32, generation: i64) -> DeploymentRecord {
    let record = json!({
        "apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord",
        "metadata": {"name": name, "namespace": "ns", "uid": format!("u-{name}"), "generation": generation},
        "spec": {"function": {"image": "nginx"}, "nfr_requirements": {"min_throughput_rps": rps, "consistency": "strong"}},
    });
    serde_json::from_value(record).unwrap()
}

/// Records with the templates that they run on.
#[derive(Clone, Default)]
struct World(BTreeMap<String, (DeploymentRecord, Option<String>)>);

impl World {
    /// `calm` classes that no change here touches, and `wild` ones that want 1200 requests a second.
    fn new(calm: usize, wild: usize) -> Self {
        let mut world = Self::default();
        for index in 0..calm + wild {
            let name = format!("c{index:03}");
            let rps = if index < calm { 100 } else { 1200 };
            world.0.insert(name.clone(), (record(&name, rps, 1), None));
        }
        world
    }

    /// What the controller does with each record: it gets what is decided for it.
    fn reconcile(&mut self, state: &Rollout) -> BTreeMap<String, Option<String>> {
        for (record, current) in self.0.values_mut() {
            // What can't be read is left as it is.
            let Ok(judged) = state.judge(record, current.as_deref()) else { continue };
            if let Some(plan) = judged.decision.plan() {
                *current = Some(plan.name.clone());
            }
        }
        self.outcomes()
    }

    fn outcomes(&self) -> BTreeMap<String, Option<String>> {
        self.0.iter().map(|(name, (_, current))| (name.clone(), current.clone())).collect()
    }

    fn live(&self) -> Vec<LiveClass> {
        self.0
            .values()
            .filter(|(_, current)| current.is_some())
            .map(|(record, current)| live(record, current.as_deref()))
            .collect()
    }

    /// Somebody breaks a record, or mends it.
    fn spoil(&mut self, name: &str, broken: bool) {
        let (record, _) = self.0.get_mut(name).unwrap();
        record.spec.addons = if broken { vec!["nope".to_owned()] } else { Vec::new() };
        record.metadata.generation = Some(record.metadata.generation.unwrap() + 1);
    }

    fn find(&self) -> impl Fn(&ClassKey, &str) -> Option<LiveClass> + '_ {
        |key, uid| {
            let (record, current) = self.0.get(&key.name)?;
            (record.metadata.uid.as_deref() == Some(uid)).then(|| live(record, current.as_deref()))
        }
    }
}

fn live(record: &DeploymentRecord, current: Option<&str>) -> LiveClass {
    let meta = record.metadata.clone();
    LiveClass {
        key: ClassKey { namespace: meta.namespace.unwrap(), name: meta.name.unwrap() },
        uid: meta.uid.unwrap(),
        generation: meta.generation.unwrap(),
        current: current.map(str::to_owned),
        fits: true,
        class: parse(record).ok(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn names(outcomes: &BTreeMap<String, Option<String>>, template: &str) -> usize {
    outcomes.values().filter(|name| name.as_deref() == Some(template)).count()
}

/// A state with all classes on template edge, and what `candidate` makes of it.
fn offered(world: &mut World, candidate: &Arc<Basis>) -> Offer {
    let state = Rollout::new(basis("", ""), at(0));
    world.reconcile(&state);
    state.offer(candidate, &world.live(), at(100))
}

#[test]
fn above_the_bound_a_change_is_held_and_each_class_is_told_the_rule() {
    let mut world = World::new(12, 8);
    let Offer { next, radius } = offered(&mut world, &basis("full_rps: 1000", ""));
    assert_eq!(
        radius.summary(),
        "8 of 20 classes (40 %) change: template edge -> full (8) by Template/full/throughput (8)"
    );
    assert_eq!(next.pending().unwrap().verdict(), Verdict::Held);
    assert_eq!(names(&world.reconcile(&next), "full"), 0);
    let judged = next.judge(&record("c012", 1200, 1), Some("edge")).unwrap();
    let pending = judged.pending.unwrap();
    assert_eq!(pending.rule, "Template/full/throughput");
    assert!(pending.message.contains("params.full_rps = 1500 -> 1000"), "{}", pending.message);
    assert!(pending.message.contains("8 of 20 classes would change, more than 20 %"), "{}", pending.message);
    assert!(next.release(world.find(), at(1_000_000)).is_none(), "nothing goes over by itself");
    assert_eq!(next.wait(at(1_000_000)), None);
    // New classes, and those that would not notice, use the new policy at once.
    let fresh = next.judge(&record("new", 1200, 1), None).unwrap();
    assert_eq!(fresh.decision.plan().unwrap().name, "full");
    let calm = next.judge(&record("c000", 100, 1), Some("edge")).unwrap();
    assert_eq!(calm.decision.revision, next.target().policy().revision());
    assert!(calm.pending.is_none());
}

#[test]
fn a_revision_that_raises_the_bound_lets_the_same_change_through_at_its_pace() {
    let mut world = World::new(12, 8);
    let held = offered(&mut world, &basis("full_rps: 1000", "")).next;
    let mut state = held.offer(&basis("full_rps: 1000", "hold_above: 50%, pace: 2/s"), &world.live(), at(200)).next;
    assert_eq!(state.pending().unwrap().verdict(), Verdict::Paced);
    let mut over = Vec::new();
    for second in 200..204 {
        let released = state.release(world.find(), at(second)).unwrap();
        assert!(state.release(world.find(), at(second)).is_some(), "a step is a function of state and time");
        over.extend(released.classes.iter().map(|key| key.name.clone()));
        state = released.next;
        assert!(state.release(world.find(), at(second)).is_none(), "two a second, no more");
        assert_eq!(names(&world.reconcile(&state), "full"), over.len());
    }
    let order: Vec<String> = (12..20).map(|index| format!("c{index:03}")).collect();
    assert_eq!(over, order);
    assert!(state.pending().is_none());
}

#[test]
fn a_handful_of_classes_is_never_held() {
    let mut world = World::new(0, 4);
    let next = offered(&mut world, &basis("full_rps: 1000", "")).next;
    assert_eq!(next.pending().unwrap().verdict(), Verdict::Paced);
    let mut world = World::new(0, 5);
    let next = offered(&mut world, &basis("full_rps: 1000", "")).next;
    assert_eq!(next.pending().unwrap().verdict(), Verdict::Held);
}

#[test]
fn going_back_ends_what_is_held() {
    let mut world = World::new(0, 8);
    let held = offered(&mut world, &basis("full_rps: 1000", "")).next;
    let back = held.offer(&basis("", ""), &world.live(), at(300));
    assert!(back.next.pending().is_none());
    assert_eq!(back.radius.changes().len(), 0);
}

#[test]
fn a_lost_kind_is_held_like_a_changed_file() {
    let full = |knative| Setting { profile: "full".to_owned(), ..setting(Some(knative)) };
    let state = Rollout::new(Arc::new(basis("", "").in_setting(full(true))), at(0));
    let mut world = World::new(10, 0);
    for (record, _) in world.0.values_mut() {
        let nfr = json!({"min_throughput_rps": 600, "max_latency_ms": 60});
        record.spec.nfr_requirements = Some(serde_json::from_value(nfr).unwrap());
    }
    assert_eq!(names(&world.reconcile(&state), "knative"), 10);
    let offer = state.offer(&Arc::new(state.target().in_setting(full(false))), &world.live(), at(1));
    assert_eq!(offer.next.pending().unwrap().verdict(), Verdict::Held);
    assert_eq!(offer.radius.by_rule(), [("Template/knative/installed".to_owned(), 10)]);
    assert_eq!(names(&world.reconcile(&offer.next), "knative"), 10);
}

#[test]
fn a_setting_that_no_rule_reads_is_no_other_basis() {
    let one = basis("", "");
    let mut more = setting(Some(false));
    more.cluster.nodes = Some(7);
    assert_eq!(one.in_setting(more).id(), one.id());
    assert_ne!(one.in_setting(setting(None)).id(), one.id());
}

#[test]
fn a_class_whose_record_changes_while_held_keeps_its_basis_unless_that_gives_it_nothing() {
    let mut world = World::new(0, 8);
    let next = offered(&mut world, &basis("full_rps: 1000, max_replicas: 30", "")).next;
    let judge = |spec: Value| {
        let mut changed = record("c000", 1200, 2);
        changed.spec = serde_json::from_value(spec).unwrap();
        next.judge(&changed, Some("edge")).unwrap()
    };
    let nfr = json!({"min_throughput_rps": 1300, "consistency": "strong"});
    let kept = judge(json!({"function": {"image": "nginx:2"}, "nfr_requirements": nfr}));
    assert_eq!(kept.decision.plan().unwrap().name, "edge");
    assert!(kept.pending.is_some());
    let functions = json!([{"function_key": "f", "image": "nginx", "replicas": 25}]);
    let rescued = judge(json!({"functions": functions, "nfr_requirements": nfr}));
    assert_eq!(rescued.decision.plan().unwrap().name, "full", "the old basis denies 25 replicas");
    assert!(rescued.pending.is_none());
    let moot = judge(json!({"function": {"image": "nginx"}}));
    assert!(moot.pending.is_none());
    assert_eq!(moot.decision.revision, next.target().policy().revision());
}

#[test]
fn another_record_of_the_same_name_is_a_new_class() {
    let mut world = World::new(0, 8);
    let next = offered(&mut world, &basis("full_rps: 1000", "")).next;
    let mut other = record("c000", 1200, 1);
    other.metadata.uid = Some("another".to_owned());
    assert_eq!(next.judge(&other, None).unwrap().decision.plan().unwrap().name, "full");
    // One that a Deploy is about to write has no UID yet.
    other.metadata.uid = None;
    other.metadata.generation = None;
    assert_eq!(next.judge(&other, Some("edge")).unwrap().decision.plan().unwrap().name, "edge");
}

#[test]
fn a_held_class_does_not_escape_by_a_record_that_is_broken_for_a_moment() {
    let mut world = World::new(12, 8);
    let mut state = offered(&mut world, &basis("full_rps: 1000", "")).next;
    world.spoil("c012", true);
    assert!(world.find()(&key("c012"), "u-c012").unwrap().class.is_none(), "it can't be read");
    if let Some(released) = state.release(world.find(), at(200)) {
        state = released.next;
    }
    world.reconcile(&state);
    world.spoil("c012", false);
    assert_eq!(names(&world.reconcile(&state), "full"), 0);
    assert_eq!(state.pending().unwrap().waiting(), 8);
    // One that is gone waits no longer.
    world.0.remove("c013");
    assert_eq!(state.release(world.find(), at(200)).unwrap().next.pending().unwrap().waiting(), 7);
}

#[test]
fn a_class_that_can_not_be_read_when_a_change_is_offered_may_change_and_waits_like_the_others() {
    let mut world = World::new(12, 8);
    let state = Rollout::new(basis("", ""), at(0));
    world.reconcile(&state);
    world.spoil("c012", true);
    world.spoil("c000", true);
    let offer = state.offer(&basis("full_rps: 1000", ""), &world.live(), at(100));
    assert_eq!(
        offer.radius.summary(),
        "7 of 20 classes (35 %) change: template edge -> full (7) by Template/full/throughput (7); 2 may change: their \
         records can't be read now"
    );
    let held = decode(&encode(&offer.next).unwrap()).unwrap();
    assert_eq!(held.pending().unwrap().verdict(), Verdict::Held);
    for name in ["c000", "c012"] {
        world.spoil(name, false);
    }
    assert_eq!(names(&world.reconcile(&held), "full"), 0);
    let waits = held.judge(&world.0["c012"].0, Some("edge")).unwrap().pending.unwrap();
    let text = "9 of 20 classes would change, 2 of them perhaps (their records can't be read), more than 20 %";
    assert!(waits.message.contains(text), "{}", waits.message);
    assert!(held.judge(&world.0["c000"].0, Some("edge")).unwrap().pending.is_none(), "it would not notice");
    // Going back ends it for them too.
    world.spoil("c012", true);
    assert!(held.offer(&basis("", ""), &world.live(), at(200)).next.pending().is_none());
}

#[test]
fn nobody_knows_what_many_records_that_can_not_be_read_will_be_so_they_are_held() {
    let mut world = World::new(15, 5);
    let state = Rollout::new(basis("", ""), at(0));
    world.reconcile(&state);
    for index in 15..20 {
        world.spoil(&format!("c{index:03}"), true);
    }
    let mut next = state.offer(&basis("full_rps: 1000", ""), &world.live(), at(100)).next;
    assert_eq!(next.pending().unwrap().verdict(), Verdict::Held);
    // Allowed, they take their turns, broken or not: nothing waits for ever.
    next = next.offer(&basis("full_rps: 1000", "hold_above: 100%, pace: 1/s"), &world.live(), at(200)).next;
    for second in 200..205 {
        next = next.release(world.find(), at(second)).unwrap().next;
    }
    assert!(next.pending().is_none());
}

fn key(name: &str) -> ClassKey {
    ClassKey { namespace: "ns".to_owned(), name: name.to_owned() }
}

#[test]
fn what_is_kept_is_read_again_and_gives_the_same_bytes_and_the_same_answers() {
    let mut world = World::new(4, 8);
    let next = offered(&mut world, &basis("full_rps: 1000", "")).next;
    let bytes = encode(&next).unwrap();
    let again = decode(&bytes).unwrap();
    assert_eq!(encode(&again).unwrap(), bytes);
    assert_eq!(again.target().id(), next.target().id());
    for (record, current) in world.0.values() {
        let (one, two) =
            (next.judge(record, current.as_deref()).unwrap(), again.judge(record, current.as_deref()).unwrap());
        assert_eq!((one.decision, one.pending), (two.decision, two.pending));
    }
    assert!(decode(b"nonsense").unwrap_err().to_string().contains("can't be read"));
}

#[test]
fn the_page_says_what_runs_what_waits_and_why() {
    let mut world = World::new(12, 8);
    let old = basis("", "");
    let next = offered(&mut world, &basis("full_rps: 1000", "")).next;
    let page = page(&next, &Health::default());
    assert_eq!(page["active"]["revision"], json!(old.policy().revision()));
    let pending = &page["pending"];
    assert_eq!(pending["revision"], json!(next.target().policy().revision()));
    assert_eq!((&pending["state"], &pending["changed"], &pending["live"]), (&json!("held"), &json!(8), &json!(20)));
    assert_eq!(pending["by_rule"][0], json!({"rule": "Template/full/throughput", "classes": 8}));
    assert_eq!(pending["examples"].as_array().unwrap().len(), 8);
    assert_eq!(page["last_failed_load"], Value::Null);
}

#[test]
fn a_bundle_that_fails_its_own_tests_is_refused_with_the_place_of_the_case() {
    let text = "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {name: own}\nspec: {extends: builtin}\n---\n\
                apiVersion: policy.oaas.io/v1alpha1\nkind: Test\nmetadata: {name: wrong}\nspec:\n  target: Template\n  \
                cases:\n    - {name: never, given: {profile: dev}, expect: {template: full}}\n";
    let files = vec![File { name: "tests.yaml".to_owned(), text: text.to_owned() }];
    let inputs = Inputs { profile: "edge".to_owned(), ..Inputs::default() };
    let found = load(Origin::Builtin, files, Bundle::builtin_files(), &inputs, None).unwrap_err();
    let text = found.to_string();
    assert!(text.contains("test `wrong`, case `never` fails: expected template full"), "{text}");
    assert!(text.contains("tests.yaml:12:"), "{text}");
}

#[test]
fn of_the_environment_only_what_decides_is_kept() {
    let environment = [("OPRC_CRM_LIMITS_MAX_REPLICAS", "30"), ("TOKEN", "secret")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let inputs = Inputs { profile: "edge".to_owned(), environment };
    let loaded = load(Origin::Builtin, Bundle::builtin_files(), Vec::new(), &inputs, None).unwrap();
    let kept: Vec<&String> = loaded.source.inputs.environment.keys().collect();
    assert_eq!(kept, ["OPRC_CRM_LIMITS_MAX_REPLICAS"]);
}

/// What happens to a controller.
#[derive(Clone, Debug)]
enum Step {
    Offer(usize),
    Pass(u32),
    Add(u32),
    Remove(usize),
    Edit(usize, u32),
    Spoil(usize, bool),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let rps = || prop::sample::select(vec![100_u32, 1200, 2000]);
    prop_oneof![
        3 => (0..BASES.len()).prop_map(Step::Offer),
        6 => (1_u32..40).prop_map(Step::Pass),
        1 => rps().prop_map(Step::Add),
        1 => (0_usize..12).prop_map(Step::Remove),
        1 => (0_usize..12, rps()).prop_map(|(class, rps)| Step::Edit(class, rps)),
        2 => (0_usize..12, any::<bool>()).prop_map(|(class, broken)| Step::Spoil(class, broken)),
        1 => Just(Step::Restart),
    ]
}

static BASES: LazyLock<Vec<Arc<Basis>>> = LazyLock::new(|| {
    vec![
        basis("", ""),
        basis("full_rps: 1000", ""),
        basis("full_rps: 1000", "hold_above: 100%, pace: 20/m"),
        basis("full_rps: 50", "hold_above: 60%, pace: 1/s"),
    ]
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_happens_no_class_goes_over_unannounced_or_faster_than_the_pace_and_all_do_in_the_end(
        wild in 0_usize..10, steps in prop::collection::vec(step(), 1..30),
    ) {
        let mut world = World::new(3, wild);
        let mut state = Rollout::new(Arc::clone(&BASES[0]), at(0));
        let mut now = at(0);
        let mut over: Vec<Timestamp> = Vec::new();
        let mut added = 0;
        world.reconcile(&state);
        let everything = Step::Offer(2);
        for step in steps.into_iter().chain([everything]) {
            let held = state.pending().is_some_and(|pending| pending.verdict() == Verdict::Held);
            match step {
                Step::Offer(index) => {
                    let before = world.outcomes();
                    state = state.offer(&BASES[index], &world.live(), now).next;
                    prop_assert_eq!(world.reconcile(&state), before, "an offer alone changes nothing that runs");
                }
                Step::Pass(seconds) => {
                    for _ in 0..seconds {
                        now += SignedDuration::from_secs(1);
                        let before = world.outcomes();
                        // What a class gets follows from the state and its record: without another state, no change.
                        let Some(released) = state.release(world.find(), now) else { continue };
                        state = released.next;
                        over.extend(released.classes.iter().map(|_| now));
                        let after = world.reconcile(&state);
                        let moved = before.iter().filter(|(name, old)| after.get(*name) != Some(old)).count();
                        prop_assert!(!held || moved == 0, "held, and {moved} went over");
                        let at_once = over.iter().filter(|at| **at == now).count();
                        prop_assert!(moved <= at_once, "{moved} went over, {at_once} were let");
                        let pace = state.target().policy().rollout().pace;
                        let per = SignedDuration::try_from(pace.per).unwrap();
                        let window = over.iter().filter(|at| **at > now - per).count();
                        // A slower pace counts from when it came.
                        prop_assert!(at_once == 0 || window <= pace.count as usize, "{window} at a pace of {pace}");
                    }
                }
                Step::Add(rps) => {
                    added += 1;
                    let name = format!("n{added:03}");
                    world.0.insert(name.clone(), (record(&name, rps, 1), None));
                    world.reconcile(&state);
                }
                Step::Remove(index) => {
                    let name = world.0.keys().nth(index).cloned();
                    if let Some(name) = name {
                        world.0.remove(&name);
                    }
                }
                Step::Edit(index, rps) => {
                    if let Some((old, _)) = world.0.values_mut().nth(index) {
                        let (name, uid) = (old.metadata.name.clone().unwrap(), old.metadata.uid.clone());
                        let generation = old.metadata.generation.unwrap() + 1;
                        *old = record(&name, rps, generation);
                        old.metadata.uid = uid;
                    }
                    world.reconcile(&state);
                }
                Step::Spoil(index, broken) => {
                    let before = world.outcomes();
                    if let Some(name) = world.0.keys().nth(index).cloned() {
                        world.spoil(&name, broken);
                    }
                    let after = world.reconcile(&state);
                    prop_assert!(!held || before == after, "held, and one went over by way of a record that broke");
                }
                Step::Restart => state = decode(&encode(&state).unwrap()).unwrap(),
            }
        }
        // The last offer is one that is never held: after long enough everybody runs on it.
        while let Some(wait) = state.wait(now) {
            now += SignedDuration::try_from(wait).unwrap().max(SignedDuration::from_millis(1));
            if let Some(released) = state.release(world.find(), now) {
                state = released.next;
            }
        }
        prop_assert!(state.pending().is_none());
        for name in world.outcomes().into_keys() {
            world.spoil(&name, false);
        }
        world.reconcile(&state);
        for (record, current) in world.0.values() {
            let wanted = BASES[2].decide(&parse(record).unwrap(), current.as_deref());
            prop_assert_eq!(current.as_deref(), wanted.plan().map(|plan| plan.name.as_str()));
        }
    }
}
