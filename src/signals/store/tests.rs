#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::collections::{BTreeMap, HashSet};

use crate::policy::{Inputs, Policy};

use super::super::Pod;
use super::*;

const STEP: i64 = 30_000;

fn policy() -> Policy {
    let inputs = Inputs { profile: "full".to_owned(), ..Inputs::default() };
    Policy::builtin(&inputs).unwrap()
}

fn spec(name: &str) -> Spec {
    let policy = policy();
    let signal = policy.signals().iter().find(|one| one.name() == name).unwrap();
    Spec::of(signal, Duration::from_secs(600), Duration::from_secs(30))
}

fn row(pod: &str, more: &[(&str, &str)], points: &[(i64, f64)]) -> Row {
    let own = [("namespace", "n"), ("pod", pod)];
    let labels = own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let labels: BTreeMap<String, String> = labels.collect();
    Row { labels, points: points.to_vec() }
}

fn known() -> HashSet<ComponentKey> {
    ["shop", "shop-cart"].map(|workload| ComponentKey::new("n", workload)).into()
}

fn pods(names: &[(&str, &str, i64)]) -> Pods {
    pods_at(names, 0)
}

/// The pods of ours, all of them known since a moment.
fn pods_at(names: &[(&str, &str, i64)], now: i64) -> Pods {
    let mut pods = Pods::default();
    let there = names.iter().map(|(name, workload, ready)| Pod {
        namespace: "n".to_owned(),
        name: (*name).to_owned(),
        workload: (*workload).to_owned(),
        ready_since: Some(*ready),
        ending: false,
    });
    pods.update(there, now, 0);
    pods
}

/// A store that has been asked once about two moments, with this answer.
fn answered(name: &str, rows: Vec<Row>, pods: &Pods) -> (Store, Asked) {
    let mut store = Store::default();
    let spec = Spec { window: STEP, ..spec(name) };
    let asks = store.plan(&[spec], &Scope::of(["n"]), 10 * STEP, 0);
    let [ask] = &asks[..] else { unreachable!("{asks:?}") };
    assert_eq!((ask.query.start, ask.query.end), (9 * STEP, 10 * STEP));
    let asked = store.take(ask, &Ok(rows), pods, &known());
    (store, asked)
}

fn points(store: &Store, workload: &str, signal: &str) -> Vec<(i64, f64)> {
    let samples = store.samples(&ComponentKey::new("n", workload));
    samples.get(signal).map(|series| series.points().to_vec()).unwrap_or_default()
}

fn kind(store: &Store, workload: &str, signal: &str) -> Option<FaultKind> {
    store.fault(&ComponentKey::new("n", workload), signal).map(|fault| fault.kind)
}

const A: &str = "shop-5d9c45-wwwww";
const B: &str = "shop-5d9c45-xxxxx";
const CART: &str = "shop-cart-5d9c45-wwwww";

#[test]
fn pods_are_added_up_by_component_and_siblings_never_mix() {
    let rows = vec![
        row(A, &[], &[(9 * STEP, 1.0), (10 * STEP, 2.0)]),
        row(B, &[], &[(9 * STEP, 0.5), (10 * STEP, 0.25)]),
        row(CART, &[], &[(10 * STEP, 8.0)]),
        row("stranger-5d9c45-wwwww", &[], &[(10 * STEP, 100.0)]),
    ];
    let (store, asked) = answered("cpu", rows, &Pods::default());
    assert_eq!(asked.fault, None);
    assert_eq!(points(&store, "shop", "cpu"), [(9 * STEP, 1.5), (10 * STEP, 2.25)]);
    assert_eq!(points(&store, "shop-cart", "cpu"), [(10 * STEP, 8.0)]);
    assert_eq!((kind(&store, "shop", "cpu"), store.len()), (None, 3));
}

#[test]
fn strangers_with_names_like_ours_are_not_added() {
    let rows = || {
        vec![
            row(A, &[], &[(9 * STEP, 1.0), (10 * STEP, 1.0)]),
            row("shop-mysql-0", &[], &[(9 * STEP, 50.0), (10 * STEP, 50.0)]),
            row("shop-gw-x2x4z", &[], &[(9 * STEP, 50.0), (10 * STEP, 50.0)]),
            row(B, &[], &[(9 * STEP, 2.0), (10 * STEP, 2.0)]),
        ]
    };
    let there = [(A, "shop", 10 * STEP)];
    let (store, _) = answered("cpu", rows(), &pods(&there));
    assert_eq!(points(&store, "shop", "cpu"), [(9 * STEP, 1.0), (10 * STEP, 1.0)], "all pods of ours are known");
    // Before they were, a pod with a name of ours was one of ours.
    let (store, _) = answered("cpu", rows(), &pods_at(&there, 10 * STEP));
    assert_eq!(points(&store, "shop", "cpu"), [(9 * STEP, 3.0), (10 * STEP, 1.0)]);
}

#[test]
fn a_signal_is_asked_once_and_only_about_what_is_not_known() {
    let mut store = Store::default();
    let specs = [spec("cpu"), spec("rps")];
    let scope = Scope::of(["n"]);
    let now = 1000 * STEP + 7_000;
    let asks = store.plan(&specs, &scope, now, 5_000);
    assert_eq!(asks.len(), 2);
    for ask in &asks {
        assert_eq!((ask.query.start, ask.query.end), (1000 * STEP - ask.spec.window, 1000 * STEP));
        assert!(ask.query.query.contains("namespace=~\"n\"") && !ask.query.query.contains("$scope"));
        store.take(ask, &Ok(Vec::new()), &Pods::default(), &known());
    }
    assert!(store.plan(&specs, &scope, now + 1_000, 5_000).is_empty(), "no moment is due");
    let later = store.plan(&specs, &scope, now + 3 * STEP, 5_000);
    let spans: Vec<_> = later.iter().map(|ask| (ask.query.start, ask.query.end)).collect();
    assert_eq!(spans, [(1001 * STEP, 1003 * STEP); 2]);
    // One fails: it is asked about the same moments again.
    store.take(&later[0], &Err(Fault::new(FaultKind::Timeout, "slow")), &Pods::default(), &known());
    store.take(&later[1], &Ok(Vec::new()), &Pods::default(), &known());
    assert_eq!(kind(&store, "shop", "cpu"), Some(FaultKind::Timeout));
    let again = store.plan(&specs, &scope, now + 4 * STEP, 5_000);
    let spans: Vec<_> = again.iter().map(|ask| (ask.query.start, ask.query.end)).collect();
    assert_eq!(spans, [(1001 * STEP, 1004 * STEP), (1004 * STEP, 1004 * STEP)]);
}

#[test]
fn after_a_long_silence_only_the_window_is_asked_for() {
    let mut store = Store::default();
    let spec = [spec("cpu")];
    let ask = store.plan(&spec, &Scope::of(["n"]), 0, 0).remove(0);
    store.take(&ask, &Ok(Vec::new()), &Pods::default(), &known());
    let ask = store.plan(&spec, &Scope::of(["n"]), 100_000 * STEP, 0).remove(0);
    assert_eq!(ask.query.start, 100_000 * STEP - ask.spec.window);
}

#[test]
fn after_a_clock_that_was_ahead_a_signal_begins_anew_and_says_so() {
    let spec = [spec("cpu")];
    let (scope, pods) = (Scope::of(["n"]), Pods::default());
    let mut store = Store::default();
    let ask = store.plan(&spec, &scope, 1000 * STEP, 0).remove(0);
    store.take(&ask, &Ok(vec![row(A, &[], &[(1000 * STEP, 9.0)])]), &pods, &known());
    // One step back is what clocks do.
    assert!(store.plan(&spec, &scope, 999 * STEP, 0).is_empty());
    let ask = store.plan(&spec, &scope, 900 * STEP, 0).remove(0);
    assert_eq!((ask.query.start, ask.query.end), (900 * STEP - ask.spec.window, 900 * STEP));
    let asked = store.take(&ask, &Ok(vec![row(A, &[], &[(900 * STEP, 1.0)])]), &pods, &known());
    let fault = asked.fault.unwrap();
    assert!(fault.kind == FaultKind::ClockSkew && fault.message.contains("was ahead"), "{fault:?}");
    assert_eq!(points(&store, "shop", "cpu"), [(900 * STEP, 1.0)]);
    assert_eq!(kind(&store, "shop", "cpu"), None, "it is measured again");
    let ask = store.plan(&spec, &scope, 901 * STEP, 0).remove(0);
    let asked = store.take(&ask, &Ok(Vec::new()), &pods, &known());
    assert_eq!((ask.query.start, asked.fault), (901 * STEP, None));
}

#[test]
fn a_signal_that_measures_something_else_begins_anew() {
    let rows = vec![row(A, &[], &[(10 * STEP, 1.0)])];
    let (mut store, _) = answered("cpu", rows, &Pods::default());
    let same = Spec { window: STEP, ..spec("cpu") };
    assert!(store.plan(std::slice::from_ref(&same), &Scope::of(["n"]), 10 * STEP, 0).is_empty());
    let longer = Spec { window: 2 * STEP, ..same.clone() };
    assert_eq!(store.plan(&[longer], &Scope::of(["n"]), 10 * STEP, 0).len(), 1, "what came before was never fetched");
    let (mut store, _) = answered("cpu", vec![row(A, &[], &[(10 * STEP, 1.0)])], &Pods::default());
    let other = Spec { query: "other{$scope}".to_owned(), ..same };
    assert_eq!(store.plan(&[other], &Scope::of(["n"]), 10 * STEP, 0).len(), 1);
    assert!(points(&store, "shop", "cpu").is_empty());
    assert!(store.plan(&[], &Scope::of(["n"]), 10 * STEP, 0).is_empty() && store.is_empty());
}

#[test]
fn a_pod_that_is_ready_and_has_no_sample_makes_the_sum_no_data() {
    let rows = || vec![row(A, &[], &[(9 * STEP, 1.0), (10 * STEP, 1.0)]), row(B, &[], &[(9 * STEP, 1.0)])];
    let max_age = millis(spec("cpu").max_age);
    let (store, _) = answered("cpu", rows(), &pods(&[(A, "shop", 0), (B, "shop", 10 * STEP - max_age)]));
    assert_eq!(points(&store, "shop", "cpu"), [(9 * STEP, 2.0)]);
    assert_eq!(kind(&store, "shop", "cpu"), Some(FaultKind::Partial));
    // One that is ready only since a moment ago has had no time to be measured.
    let (store, _) = answered("cpu", rows(), &pods(&[(A, "shop", 0), (B, "shop", 10 * STEP - max_age + 1)]));
    assert_eq!(points(&store, "shop", "cpu"), [(9 * STEP, 2.0), (10 * STEP, 1.0)]);
}

#[test]
fn what_is_no_number_or_twice_there_is_no_data() {
    for (value, expected) in [(f64::NAN, FaultKind::NotFinite), (f64::INFINITY, FaultKind::NotFinite)] {
        let (store, _) = answered("cpu", vec![row(A, &[], &[(9 * STEP, 1.0), (10 * STEP, value)])], &Pods::default());
        assert_eq!((points(&store, "shop", "cpu").len(), kind(&store, "shop", "cpu")), (1, Some(expected)));
    }
    let twice = vec![row(A, &[], &[(10 * STEP, 1.0)]), row(A, &[("job", "b")], &[(10 * STEP, 1.0)])];
    let (store, _) = answered("cpu", twice, &Pods::default());
    assert_eq!((points(&store, "shop", "cpu"), kind(&store, "shop", "cpu")), (vec![], Some(FaultKind::Duplicate)));
    // A pod whose labels changed from one moment to the next is still one pod.
    let changed = vec![row(A, &[], &[(9 * STEP, 1.0)]), row(A, &[("node", "b")], &[(10 * STEP, 1.0)])];
    let (store, _) = answered("cpu", changed, &Pods::default());
    assert_eq!(points(&store, "shop", "cpu").len(), 2);
}

#[test]
fn nothing_measured_is_no_data_and_never_a_zero() {
    let (store, _) = answered("cpu", Vec::new(), &pods(&[(A, "shop", 0)]));
    assert!(points(&store, "shop", "cpu").is_empty() && store.is_empty());
    assert_eq!(kind(&store, "shop", "cpu"), Some(FaultKind::NoSeries));
    assert_eq!(kind(&store, "shop", "unheard-of"), Some(FaultKind::NoSeries));
}

#[test]
fn a_label_that_no_series_has_is_a_fault_of_the_answer_and_one_without_it_is_left_out() {
    let lost = || Row { labels: [("namespace".to_owned(), "n".to_owned())].into(), points: vec![(10 * STEP, 1.0)] };
    let (store, asked) = answered("cpu", vec![lost(), lost()], &Pods::default());
    assert_eq!(asked.fault.map(|fault| fault.kind), Some(FaultKind::Garbage));
    assert_eq!(kind(&store, "shop", "cpu"), Some(FaultKind::Garbage));

    let (store, asked) = answered("cpu", vec![lost(), row(A, &[], &[(10 * STEP, 2.0)])], &Pods::default());
    assert_eq!((asked.fault, kind(&store, "shop", "cpu")), (None, None));
    assert_eq!(points(&store, "shop", "cpu"), [(10 * STEP, 2.0)]);
    let fault = store.fault(&ComponentKey::new("n", "shop-cart"), "cpu").unwrap();
    assert!(fault.kind == FaultKind::NoSeries && fault.message.contains("left out"), "{fault:?}");
    assert!(fault.message.contains("no label pod"), "{fault:?}");
}

#[test]
fn buckets_are_joined_before_the_quantile_is_taken() {
    let bucket = |pod, le, count| row(pod, &[("le", le)], &[(10 * STEP, count)]);
    let rows = vec![
        bucket(A, "0.1", 990.0),
        bucket(A, "1", 1000.0),
        bucket(A, "+Inf", 1000.0),
        bucket(B, "0.1", 0.0),
        bucket(B, "1", 10.0),
        bucket(B, "+Inf", 10.0),
    ];
    let (store, asked) = answered("latency", rows, &Pods::default());
    assert_eq!(asked.fault, None);
    let found = points(&store, "shop", "latency");
    let [(_, value)] = found[..] else { unreachable!("{found:?}") };
    assert!((value - 0.1 * 959.5 / 990.0).abs() < 1e-9, "{value}");
}

#[test]
fn a_bucket_without_a_bound_is_no_data_of_its_component_alone() {
    let bucket = |pod, le, points: &[(i64, f64)]| row(pod, &[("le", le)], points);
    let both = [(9 * STEP, 1.0), (10 * STEP, 1.0)];
    let rows = vec![
        bucket(A, "0.1", &both),
        bucket(A, "+Inf", &both),
        bucket(A, "wide", &[(10 * STEP, 1.0)]),
        bucket(CART, "0.1", &both),
        bucket(CART, "+Inf", &both),
    ];
    let (store, asked) = answered("latency", rows, &Pods::default());
    assert_eq!(asked.fault, None);
    assert_eq!((points(&store, "shop-cart", "latency").len(), kind(&store, "shop-cart", "latency")), (2, None));
    assert_eq!(points(&store, "shop", "latency").len(), 1, "what was measured without it stays");
    let fault = store.fault(&ComponentKey::new("n", "shop"), "latency").unwrap();
    assert!(fault.kind == FaultKind::Garbage && fault.message.contains("\"wide\""), "{fault:?}");
}

#[test]
fn the_same_answer_in_another_order_gives_the_same_bits() {
    let values = [0.1, 0.2, 0.3, 1e16, -1e16, 0.7];
    let rows: Vec<Row> = values
        .iter()
        .enumerate()
        .map(|(i, value)| row(&format!("shop-5d9c45-wwww{}", i + 4), &[], &[(10 * STEP, *value)]))
        .collect();
    let backwards = rows.iter().rev().cloned().collect();
    let bits = |rows| points(&answered("cpu", rows, &Pods::default()).0, "shop", "cpu")[0].1.to_bits();
    assert_eq!(bits(rows), bits(backwards));
}

#[test]
fn a_thousand_classes_in_a_hundred_namespaces_are_asked_about_with_one_query_a_signal() {
    let specs: Vec<Spec> =
        policy().signals().iter().map(|one| Spec::of(one, Duration::from_secs(600), Duration::from_secs(30))).collect();
    let key = |index: usize| ComponentKey::new(&format!("team-{}", index % 100), &format!("class-{index}"));
    let known: HashSet<ComponentKey> = (0..1000).map(key).collect();
    let scope = Scope::of(known.iter().map(|key| key.namespace.as_str()));
    let (mut store, pods) = (Store::default(), Pods::default());
    for look in 0..3 {
        let asks = store.plan(&specs, &scope, (1000 + look) * STEP, 0);
        assert_eq!(asks.len(), specs.len());
        let longest = asks.iter().map(|ask| ask.query.query.len()).max().unwrap();
        assert!(longest < 500, "the query does not grow with the classes: {longest}");
        for ask in &asks {
            store.take(ask, &Ok(Vec::new()), &pods, &known);
        }
    }
}

#[test]
fn a_component_that_comes_later_has_the_window_that_a_restart_would_give_it() {
    let spec = [spec("cpu")];
    let (scope, pods) = (Scope::of(["n"]), Pods::default());
    let only_shop: HashSet<ComponentKey> = [ComponentKey::new("n", "shop")].into();
    let ours = |ask: &Ask, value: f64| {
        let moments = (ask.query.start..=ask.query.end).step_by(usize::try_from(STEP).unwrap());
        let of: Vec<(i64, f64)> = moments.map(|at| (at, value)).collect();
        Ok(vec![row(A, &[], &of), row(CART, &[], &of)])
    };
    let mut store = Store::default();
    let ask = store.plan(&spec, &scope, 1000 * STEP, 0).remove(0);
    store.take(&ask, &ours(&ask, 1.0), &pods, &only_shop);
    let ask = store.plan(&spec, &scope, 1001 * STEP, 0).remove(0);
    assert_eq!(ask.query.start, 1001 * STEP);
    store.take(&ask, &ours(&ask, 1.0), &pods, &known());
    let asks = store.plan(&spec, &scope, 1002 * STEP, 0);
    let [ask] = &asks[..] else { unreachable!("{asks:?}") };
    assert_eq!((ask.query.start, ask.query.end), (1002 * STEP - ask.spec.window, 1002 * STEP));
    store.take(ask, &ours(ask, 2.0), &pods, &known());
    let of_cart = points(&store, "shop-cart", "cpu");
    assert_eq!(of_cart.first(), Some(&(ask.query.start, 2.0)));
    assert_eq!(of_cart.len(), usize::try_from(ask.spec.window / STEP).unwrap() + 1);
    let of_shop = points(&store, "shop", "cpu");
    let twos: Vec<_> = of_shop.iter().filter(|(_, value)| *value > 1.5).collect();
    assert_eq!(twos, [&(1002 * STEP, 2.0)], "what was known stays as it was");
    let ask = store.plan(&spec, &scope, 1003 * STEP, 0).remove(0);
    assert_eq!(ask.query.start, 1003 * STEP, "nobody lacks anything");
}

#[test]
fn components_that_come_one_after_the_other_do_not_make_every_question_a_long_one() {
    let spec = [spec("cpu")];
    let (scope, pods) = (Scope::of(["n"]), Pods::default());
    let (mut store, mut known, mut long, mut looks) = (Store::default(), HashSet::new(), 0, 0);
    let window = spec[0].window;
    for look in 0..=window / STEP {
        known.insert(ComponentKey::new("n", &format!("class-{look}")));
        for ask in store.plan(&spec, &scope, (1000 + look) * STEP, 0) {
            looks += 1;
            long += i64::from(ask.query.end - ask.query.start > STEP);
            store.take(&ask, &Ok(Vec::new()), &pods, &known);
        }
    }
    assert_eq!(looks, window / STEP + 1);
    assert!((3..=WIDENINGS + 2).contains(&long), "{long} of {looks}");
}

#[test]
fn a_question_that_is_too_much_is_halved_until_it_is_answered() {
    let spec = [spec("cpu")];
    let (scope, pods) = (Scope::of(["n"]), Pods::default());
    let mut store = Store::default();
    let minutes = |ask: &Ask| (ask.query.end - ask.query.start) / 60_000;
    for (look, (kind, expected)) in [
        (FaultKind::Unreachable, 40),
        (FaultKind::Timeout, 40),
        (FaultKind::TooBig, 20),
        (FaultKind::Timeout, 10),
        (FaultKind::Timeout, 10),
    ]
    .into_iter()
    .enumerate()
    {
        let now = (1000 + i64::try_from(look).unwrap()) * STEP;
        let ask = store.plan(&spec, &scope, now, 0).remove(0);
        assert_eq!((minutes(&ask), ask.query.end), (expected, now));
        let fault = store.take(&ask, &Err(Fault::new(kind, "no")), &pods, &known()).fault.unwrap();
        let said = match look {
            0 => "no",
            1 => "no; no more than the last 20m are asked about from now on",
            _ => "no; no more than the last 10m are asked about from now on",
        };
        assert_eq!((fault.kind, fault.message.as_str()), (kind, said));
        assert_eq!(store.fault(&ComponentKey::new("n", "shop"), "cpu"), Some(fault));
    }
    let ask = store.plan(&spec, &scope, 1005 * STEP, 0).remove(0);
    assert_eq!(minutes(&ask), 10);
    store.take(&ask, &Ok(vec![row(A, &[], &[(1005 * STEP, 1.0)])]), &pods, &known());
    assert_eq!(kind(&store, "shop", "cpu"), None);
    for look in 1006..1010 {
        let ask = store.plan(&spec, &scope, look * STEP, 0).remove(0);
        assert_eq!((ask.query.start, ask.query.end), (look * STEP, look * STEP), "it goes on as usual");
        store.take(&ask, &Ok(Vec::new()), &pods, &known());
    }
    // A window later the source may have recovered.
    let ask = store.plan(&spec, &scope, 2000 * STEP, 0).remove(0);
    assert_eq!(minutes(&ask), 40);
}

#[test]
fn a_short_outage_costs_no_sample() {
    let spec = [spec("cpu")];
    let (scope, pods) = (Scope::of(["n"]), Pods::default());
    let mut store = Store::default();
    let ask = store.plan(&spec, &scope, 1000 * STEP, 0).remove(0);
    store.take(&ask, &Ok(Vec::new()), &pods, &known());
    for look in 1001..1020 {
        let ask = store.plan(&spec, &scope, look * STEP, 0).remove(0);
        assert_eq!(ask.query.start, 1001 * STEP);
        store.take(&ask, &Err(Fault::new(FaultKind::Timeout, "slow")), &pods, &known());
    }
}
