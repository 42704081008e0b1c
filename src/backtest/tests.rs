#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::float_cmp)]

use proptest::prelude::*;

use super::*;
use crate::policy::{Bundle, File, Given, Inputs, Policy};

const START: i64 = 1_767_225_600;

fn recorded(points: &[(f64, f64)]) -> Recorded {
    Recorded { name: "shop".to_owned(), points: points.to_vec(), ..Recorded::default() }
}

fn demand(values: impl Iterator<Item = f64>) -> Demand {
    demand_of(30, values)
}

fn demand_of(step: i64, values: impl Iterator<Item = f64>) -> Demand {
    Demand { name: "shop".to_owned(), start: START, step, values: values.map(Some).collect(), notes: Vec::new() }
}

fn policy() -> Policy {
    Policy::builtin(&Inputs { profile: "full".to_owned(), ..Inputs::default() }).unwrap()
}

fn bench<'a>(policy: &'a Policy, assume: &Assumptions) -> Bench<'a> {
    Bench { policy, profile: "full".to_owned(), given: Given::default(), interval: 30, assume: *assume }
}

fn by_policy(demand: &Demand, assume: &Assumptions, start: f64) -> Run {
    let policy = policy();
    let bench = bench(&policy, assume);
    let mut scaler = ByPolicy::new(&bench, demand.start, start).unwrap();
    run(demand, Unit::Cores, assume, (&mut scaler, start), true)
}

fn hpa(assume: &Assumptions) -> Hpa {
    Hpa::new(80.0, assume.cpu_request, (assume.least, assume.most))
}

#[test]
fn the_autoscaler_desires_what_its_documentation_says() {
    // 200m of a request of 100m at a target of 100 %: twice as many; 50m: half.
    let hpa = Hpa::new(100.0, 0.1, (1.0, 100.0));
    assert_eq!(hpa.wanted(0.2 * 4.0, 4.0, 4.0), 8.0);
    assert_eq!(hpa.wanted(0.05 * 4.0, 4.0, 4.0), 2.0);
    // Within the tolerance of a tenth nothing is done.
    assert_eq!(hpa.wanted(0.109 * 4.0, 4.0, 4.0), 4.0);
    assert_eq!(hpa.wanted(0.091 * 4.0, 4.0, 4.0), 4.0);
    assert_eq!(hpa.wanted(0.12 * 4.0, 4.0, 4.0), 5.0);
    // A utilisation is a whole percentage: 110.9 is 110, within the tolerance.
    assert_eq!(hpa.wanted(0.1109 * 4.0, 4.0, 4.0), 4.0);
    // Three are ready and use 180 %, three are on their way: as if these were idle it is 90 %, and nothing is done.
    assert_eq!(hpa.wanted(0.18 * 3.0, 6.0, 3.0), 6.0);
    assert_eq!(hpa.wanted(0.3 * 3.0, 6.0, 3.0), 9.0);
}

#[test]
fn the_autoscaler_adds_four_pods_or_doubles_at_once_and_takes_away_after_five_minutes() {
    let mut hpa = Hpa::new(80.0, 0.5, (1.0, 100.0));
    let seen =
        |now, cores, pods| Seen { now, seconds: 15.0, cores: Some(cores), rps: None, replicas: pods, ready: pods };
    let target = |hpa: &mut Hpa, seen: Seen| hpa.decide(seen).and_then(|one| one.target);
    assert_eq!(target(&mut hpa, seen(0, 40.0, 2.0)), Some(6.0), "four pods are more than as many again");
    assert_eq!(target(&mut hpa, seen(10, 40.0, 6.0)), None, "it looks every 15 s");
    assert_eq!(target(&mut hpa, seen(15, 40.0, 6.0)), Some(12.0), "as many again are more than four");
    // From now on little is to do; what was desired before counts for five minutes.
    for now in (30..315).step_by(15) {
        assert_eq!(target(&mut hpa, seen(now, 0.8, 12.0)), None, "{now}");
    }
    assert_eq!(target(&mut hpa, seen(315, 0.8, 12.0)), Some(2.0));
    // What was there at its first look counts for five minutes too.
    let mut hpa = Hpa::new(80.0, 0.5, (1.0, 100.0));
    for now in (0..300).step_by(15) {
        assert_eq!(target(&mut hpa, seen(now, 0.4, 4.0)), None, "{now}");
    }
    assert_eq!(target(&mut hpa, seen(300, 0.4, 4.0)), Some(1.0));
    // It sees the mean since its last look.
    let mut hpa = Hpa::new(80.0, 0.5, (1.0, 100.0));
    assert_eq!(target(&mut hpa, seen(0, 0.8, 2.0)), None);
    assert_eq!(target(&mut hpa, Seen { seconds: 5.0, ..seen(5, 2.6, 2.0) }), None);
    assert_eq!(target(&mut hpa, Seen { seconds: 10.0, ..seen(15, 0.5, 2.0) }), Some(3.0), "1.2 cores of 1");
}

#[test]
fn pods_serve_after_their_start_and_what_waits_is_served_later_or_given_up() {
    let assume = Assumptions { start_up: 60, patience: 30.0, ..Assumptions::default() };
    let mut plant = Plant::new(assume, 2.0);
    let first = plant.serve(1.0, 0, 15.0);
    assert_eq!((first.cores, first.capacity, first.is_violated()), (1.0, 1.0, false));
    // Twice as much as two pods bear: a core too many waits, 15 core-seconds a step, up to 30 s of what they bear.
    let lost: Vec<f64> = (1..=8).map(|step| plant.serve(2.0, step * 15, 15.0).lost).collect();
    assert_eq!(lost[..2], [0.0, 0.0]);
    assert_eq!(lost[2..], [15.0; 6]);
    assert_eq!(plant.waiting(), 30.0);
    plant.scale(6.0, 135);
    assert_eq!((plant.replicas(), plant.ready()), (6.0, 2.0));
    assert!(plant.serve(2.0, 180, 15.0).is_violated(), "not there yet");
    let served = plant.serve(2.0, 195, 15.0);
    assert_eq!((served.ready, served.capacity), (6.0, 3.0));
    // What waits can be served in time by more pods.
    assert!(served.cores == 3.0 && plant.serve(1.0, 210, 15.0).cores > 1.0);
    // The ones on their way go first, and what goes goes at once.
    plant.scale(8.0, 225);
    plant.scale(7.0, 226);
    assert_eq!((plant.replicas(), plant.ready()), (7.0, 6.0));
    plant.scale(3.0, 227);
    assert_eq!((plant.replicas(), plant.ready()), (3.0, 3.0));
}

#[test]
fn a_load_is_brought_onto_a_grid_and_its_faults_are_told() {
    let points = [(0.0, 1.0), (10.0, 3.0), (60.0, 5.0), (40.0, 4.0), (40.0, 9.0), (70.0, f64::NAN), (400.0, 6.0)];
    let found = recorded(&points).onto(30).unwrap();
    assert_eq!((found.start, found.values.len()), (-30, 15), "a sample tells of the time before it");
    assert_eq!(found.values[..3], [Some(1.0), Some(3.0), Some(4.5)]);
    assert_eq!((found.values[3], found.values[7], found.values[14]), (Some(4.5), None, Some(6.0)));
    let told = found.notes.join("; ");
    for part in ["1 sample: no finite number", "not in the order of time", "1 sample of a moment", "1 gap, "] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let counter = Recorded { is_counter: true, ..recorded(&[(0.0, 5.0), (30.0, 35.0), (60.0, 10.0), (90.0, 40.0)]) };
    let rates = counter.onto(30).unwrap();
    assert_eq!(rates.values, [Some(1.0), Some(10.0 / 30.0), Some(1.0)]);
    assert_eq!(rates.notes, ["the counter began anew 1 time"]);
    assert_eq!(recorded(&[]).onto(30), Err(DemandError::Empty("shop".to_owned())));
    assert!(matches!(recorded(&[(0.0, 1.0), (20.0, 1.0)]).onto(30), Err(DemandError::Short { .. })));
    assert!(matches!(recorded(&[(0.0, -1.0), (90.0, 1.0)]).onto(30), Err(DemandError::OutOfRange { .. })));
    assert!(matches!(recorded(&[(0.0, 1.0), (90.0, 1e10)]).onto(30), Err(DemandError::OutOfRange { .. })));
    let error = recorded(&[(0.0, 1.0), (90.0, 1.0), (1e10, 1.0)]).onto(30).unwrap_err().to_string();
    assert!(error.starts_with("shop: from 1970-01-01T00:00:00Z to 2286-"), "{error}");
    assert!(error.ends_with("is one of its times wrong?"), "{error}");
    assert!(matches!(recorded(&[(-1e9, 1.0), (1e9, 1.0)]).onto(1), Err(DemandError::Long { .. })));
    assert!(matches!(recorded(&[(0.0, 1.0), (1e14, 1.0)]).onto(1), Err(DemandError::NoTime { .. })));
    let error = recorded(&[(0.0, 1.0), (30.0, 1.0), (1e8, 1.0)]).onto(30).unwrap_err().to_string();
    assert!(error.starts_with("shop: from 1970-01-01T00:00:30Z to 1973-"), "{error}");
    let sparse = recorded(&[(0.0, 1.0), (30_000.0, 1.0), (60_000.0, 1.0)]).onto(30).unwrap();
    assert_eq!(sparse.notes, ["its samples are 30000 s apart, for steps of 30 s; are its times seconds?"]);
}

fn lines(text: &str) -> impl Iterator<Item = Result<String, String>> {
    text.lines().map(|line| Ok(line.to_owned()))
}

#[test]
fn csv_has_a_column_a_class_and_is_refused_with_its_line() {
    let read = |text: &str, column| csv(lines(text), column);
    let all = read("time,a,b\n0,1,2\n30,,4\n1767225600000,5,6\n2026-01-01T00:00:30Z,7,8\n", None).unwrap();
    assert_eq!((all.len(), all[0].name.as_str()), (2, "a"));
    assert_eq!(all[0].points, [(0.0, 1.0), (1_767_225_600.0, 5.0), (1_767_225_630.0, 7.0)]);
    let fine = read("time,a\n1767225600000000,5\n1767225630000000000,6\n", None).unwrap();
    assert_eq!(fine[0].points, [(1_767_225_600.0, 5.0), (1_767_225_630.0, 6.0)], "micro- and nanoseconds");
    assert_eq!(read("time,a,b\n0,1,2\n", Some("b")).unwrap()[0].points, [(0.0, 2.0)]);
    let quoted = read("time,\"a, b\",\"say \"\"c\"\"\"\n0, 1 ,\"2\"\n", None).unwrap();
    assert_eq!(quoted.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["a, b", "say \"c\""]);
    assert_eq!((quoted[0].points[0], quoted[1].points[0]), ((0.0, 1.0), (0.0, 2.0)));
    let broken = ["time,a", "0,1"].map(|line| Ok(line.to_owned())).into_iter().chain([Err("it ends".to_owned())]);
    assert_eq!(csv(broken, None).unwrap_err(), "it ends");
    for (text, column, expected) in [
        ("", None, "there is nothing in it"),
        ("time\n0\n", None, "at least one of values"),
        ("0,1\n30,2\n", None, "has no names of columns"),
        ("time,a\n0,1\n", Some("b"), "there is no column \"b\"; there are: a"),
        ("time,a\n0,x\n", None, "line 2: \"x\" of column a is no number"),
        ("time,\"a\n0,x\n", None, "line 1: a quote is not closed"),
        ("time,a\nyesterday,1\n", None, "line 2: \"yesterday\" is no time"),
        ("time,a\n0,1,2\n", None, "line 2: it has 3 cells and the line of names has 2"),
        ("time,a,b\n0,1\n", None, "line 2: it has 2 cells and the line of names has 3"),
        ("time,,b\n0,1,2\n", None, "line 1: column 2 has no name"),
        ("time;a;b\n0;1,5;2\n", None, "line 1: there are semicolons between its columns; write commas"),
        ("time\ta\n0\t1\n", None, "line 1: there are tabs between its columns; write commas"),
    ] {
        let error = read(text, column).unwrap_err();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn openmetrics_gives_the_metric_that_is_named_or_the_only_one() {
    let text =
        "# TYPE load gauge\nload{class=\"a\"} 1 0\nload{class=\"a\"} 2 30\nload{class=\"b\"} 3 0\ncpu_total 7 0\n";
    let all = openmetrics(lines(text), Some("load")).unwrap();
    assert_eq!((all.len(), all[0].name.as_str(), all[0].is_counter), (2, "load{class=\"a\"}", false));
    assert_eq!(all[0].points, [(0.0, 1.0), (30.0, 2.0)]);
    assert!(openmetrics(lines(text), Some("cpu_total")).unwrap()[0].is_counter);
    let exemplar =
        "load{a=\"x}\\\"\",b=\"{\"} 5 0 # {trace_id=\"t\"} 1 2\nload{a=\"x}\\\"\",b=\"{\"} 6 30000000000000\n";
    let read = openmetrics(lines(exemplar), None).unwrap();
    assert_eq!(read[0].name, "load{a=\"x}\\\"\",b=\"{\"}");
    assert_eq!(
        read[0].points,
        [(0.0, 5.0), (30_000_000_000.0, 6.0)],
        "no exemplar, and milliseconds where they are that many"
    );
    let error = |text: &str, metric| openmetrics(lines(text), metric).unwrap_err();
    assert_eq!(error(text, None), "there are several metrics, name one: cpu_total, load");
    assert_eq!(error(text, Some("x")), "there is no metric \"x\"; there are: cpu_total, load");
    assert_eq!(error("load 1\n", None), "line 1: load has no time; a load needs one for each sample");
    assert_eq!(error("# EOF\n", None), "there is nothing in it");
    let counting = |text: &str| openmetrics(lines(text), None).unwrap().remove(0);
    // What is said of a metric counts more than its name; labels in another order are the same; nothing follows the end.
    assert!(!counting("# TYPE load_total gauge\nload_total 1 0\n").is_counter);
    assert!(counting("# TYPE load counter\nload_total 1 0\n").is_counter);
    assert!(counting("# TYPE load_total unknown\nload_total 1 0\n").is_counter);
    let swapped =
        openmetrics(lines("load{a=\"1,\",b=\"2\"} 1 0\nload{b=\"2\", a=\"1,\",} 2 30\n# EOF\n}\n"), None).unwrap();
    assert_eq!((swapped.len(), swapped[0].name.as_str(), swapped[0].points.len()), (1, "load{a=\"1,\",b=\"2\"}", 2));
    let seconds = counting("# UNIT cpu_seconds seconds\ncpu_seconds_total 1 0\ncpu_seconds_total 2 30\n");
    assert!(Unit::Cores.fits(&seconds) && !Unit::Rps.fits(&seconds), "{seconds:?}");
    let bytes = counting("# UNIT memory_bytes bytes\nmemory_bytes 1 0\n");
    assert!(!Unit::Cores.fits(&bytes) && !Unit::Rps.fits(&bytes), "{bytes:?}");
    assert!(Unit::Rps.fits(&counting("load 1 0\n")), "nothing is said");
}

#[test]
fn a_policy_follows_a_lasting_load_by_its_rules_and_comes_back() {
    let load = |step: usize| if (40..160).contains(&step) { 3.0 } else { 0.6 };
    let found = by_policy(&demand((0..400).map(load)), &Assumptions::default(), 2.0);
    let targets: Vec<f64> = found.marks.iter().map(|mark| mark.to).collect();
    let highest = targets.iter().copied().fold(0.0, f64::max);
    assert!(highest >= 8.0, "3 cores at 0.4 a pod: {targets:?}");
    assert_eq!(targets.last(), Some(&2.0));
    assert!(found.marks.iter().all(|mark| mark.by.contains('/') && mark.to <= mark.from * 2.0), "{:?}", found.marks);
    assert!(found.figures.violation_minutes > 0.0 && found.figures.violation_minutes < 15.0, "{:?}", found.figures);
    assert_eq!(found.figures.actuations as usize, found.marks.len());
}

#[test]
fn a_gap_in_the_recording_takes_nothing_away() {
    let mut load = demand((0..300).map(|_| 3.0));
    load.values[100..200].fill(None);
    let found = by_policy(&load, &Assumptions::default(), 8.0);
    assert!(found.marks.iter().all(|mark| mark.to >= mark.from), "{:?}", found.marks);
}

/// Keeps what it sees and changes nothing.
struct Watching(Vec<Seen>);

impl Scaler for Watching {
    fn decide(&mut self, seen: Seen) -> Option<Verdict> {
        self.0.push(seen);
        None
    }

    fn next(&self, _: i64) -> i64 {
        i64::MAX
    }
}

#[test]
fn a_load_in_requests_is_seen_as_requests_and_one_in_cores_is_not_whatever_a_request_costs() {
    for cores_per_rps in [0.01, 1.0] {
        let assume = Assumptions { cores_per_rps, ..Assumptions::default() };
        let seen = |unit| {
            let mut watching = Watching(Vec::new());
            run(&demand(std::iter::repeat_n(0.5, 2)), unit, &assume, (&mut watching, 4.0), false);
            watching.0.first().map(|seen| (seen.cores, seen.rps))
        };
        assert_eq!(seen(Unit::Rps), Some((Some(0.5 * cores_per_rps), Some(0.5))));
        assert_eq!(seen(Unit::Cores), Some((Some(0.5), None)));
    }
}

#[test]
fn decisions_that_differ_are_told_with_the_rule_of_each_side() {
    let load = demand((0..200).map(|step| if step > 50 { 3.0 } else { 0.6 }));
    let assume = Assumptions::default();
    let candidate = by_policy(&load, &assume, 2.0);
    assert_eq!(flips(&candidate, &candidate), []);
    let mut fixed = run(&load, Unit::Cores, &assume, (&mut Fixed(2.0), 2.0), false);
    fixed.holds.push((START, "fixed".to_owned()));
    let found = flips(&candidate, &fixed);
    assert_eq!(found.len(), candidate.marks.len());
    for (flip, mark) in found.iter().zip(&candidate.marks) {
        assert_eq!(flip.base, Side { replicas: Some(mark.to), by: mark.by.clone() });
        assert_eq!(flip.candidate, Side { replicas: None, by: "fixed".to_owned() });
    }
    // What holds is told with its rule: here right after each change.
    assert!(candidate.holds.iter().any(|(_, by)| by == "Safeguard/replicas/cooldown"), "{:?}", candidate.holds);
    let base = run(&load, Unit::Cores, &assume, (&mut hpa(&assume), 2.0), false);
    let found = flips(&base, &candidate);
    assert!(!found.is_empty() && found.iter().all(|flip| flip.base != flip.candidate), "{found:?}");
}

#[test]
fn a_gate_is_checked_before_there_are_figures_and_tells_those_that_it_reads() {
    let of =
        |hours: f64, minutes: f64| Figures { replica_hours: hours, violation_minutes: minutes, ..Figures::default() };
    let (low, high, other) = (of(1.0, 0.0), of(2.0, 5.0), of(4.0, 3.0));
    let sides = ["candidate", "base"];
    let asked = |text: &str| Gate::new(text, &sides)?.ask(&[("base", vec![&low]), ("candidate", vec![&high, &other])]);
    let found = asked("candidate.replica_hours > base.replica_hours * 1.5").unwrap();
    assert!(found.holds);
    let read = [("candidate.replica_hours", 6.0), ("base.replica_hours", 1.0)];
    assert_eq!(found.figures, read.map(|(name, value)| (name.to_owned(), value)));
    assert!(!asked("base.violation_minutes > 0.0").unwrap().holds);
    // Of all classes together, and of the worst of them.
    assert!(asked("candidate.violation_minutes == 8.0 && candidate.worst_violation_minutes == 5.0").unwrap().holds);
    let nested = (0..9).fold("true".to_owned(), |inner, depth| format!("[0, 1, 2, 3].all(x{depth}, {inner})"));
    for (text, expected) in [
        ("candidate.nothing > 0.0", "violation_minutes"),
        ("candidate.replica_hour > 0.0", "did you mean `replica_hours`?"),
        ("money.replica_hours > 0.0", "known: base, candidate"),
        ("candidate.replica_hours > base.replica_hours * 2", "write 2.0"),
        ("candidate.replica_hours >", "is no condition"),
        ("candidate.replica_hours", "a bool is needed here, this is a number"),
        ("1.0 > 2.0", "it reads no number"),
        ("candidate.replica_hours > 1.0 || true", "always holds"),
        (&nested, "more than 2 loops within each other"),
        (&"(".repeat(5000), "longer than 1000 bytes"),
    ] {
        let error = Gate::new(text, &sides).unwrap_err().to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{text}: {error}");
    }
    let error = Gate::new("base.replica_hours > 1.0", &["candidate"]).unwrap_err().to_string();
    assert!(error.contains("--base"), "{error}");
    // What is left of loops ends by its budget.
    let range = (0..150).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let long = format!("[{range}].all(x, [{range}].all(y, x + y + 1 > 0 && candidate.replica_hours > 0.0))");
    assert!(asked(&long).is_err() || asked(&long).unwrap().holds);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Nothing is served that was not asked for, nothing vanishes, and bounds hold, whatever the load.
    #[test]
    fn work_is_served_waits_or_is_given_up(levels in prop::collection::vec(0.0..12.0_f64, 20..60), start in 1_u32..20) {
        let load = demand(levels.iter().flat_map(|level| std::iter::repeat_n(*level, 8)));
        let assume = Assumptions::default();
        for found in [by_policy(&load, &assume, f64::from(start)), run(&load, Unit::Cores, &assume, (&mut hpa(&assume), f64::from(start)), true)] {
            prop_assert!(found.steps.iter().all(|step| step.replicas >= 0.0 && step.replicas <= assume.most));
            prop_assert!(found.figures.lost_core_hours <= found.figures.asked_core_hours + 1e-9);
            let changes: f64 = found.marks.iter().map(|mark| mark.to - mark.from).sum();
            let last = found.marks.last().map_or(f64::from(start), |mark| mark.to);
            prop_assert!((f64::from(start) + changes - last).abs() < 1e-9);
        }
        // The same to the byte.
        prop_assert_eq!(by_policy(&load, &assume, f64::from(start)), by_policy(&load, &assume, f64::from(start)));
    }
}

#[test]
fn whatever_the_step_the_samples_are_as_many_and_the_decisions_of_a_steady_load_the_same() {
    let of_step = |step: i64| {
        let seconds = |index: usize| i64::try_from(index).unwrap() * step;
        let load = |second: i64| if (1_200..4_800).contains(&second) { 3.0 } else { 0.6 };
        let steps = usize::try_from(12_000 / step).unwrap();
        let found =
            by_policy(&demand_of(step, (0..steps).map(|index| load(seconds(index)))), &Assumptions::default(), 2.0);
        found.marks.iter().map(|mark| mark.to).collect::<Vec<_>>()
    };
    let usual = of_step(30);
    assert!(usual.iter().copied().fold(0.0, f64::max) >= 8.0 && usual.last() == Some(&2.0), "{usual:?}");
    for step in [5, 7, 10, 20, 40, 60] {
        let found = of_step(step);
        let most = found.iter().copied().fold(0.0, f64::max);
        assert!(most >= 8.0 && found.last() == Some(&2.0), "step {step}: {found:?}, not as {usual:?}");
    }
}

#[test]
fn whatever_the_signals_step_a_load_is_measured_at_each_of_it() {
    let with_step = |step: &str| {
        let signals = include_str!("../../policies/signals.yaml").replace("step: 30s", &format!("step: {step}"));
        let bundle =
            "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {name: tried}\nspec: {extends: builtin}\n";
        let file = |name: &str, text: String| File { name: name.to_owned(), text };
        let files = [file("bundle.yaml", bundle.to_owned()), file("signals.yaml", signals)];
        let inputs = Inputs { profile: "full".to_owned(), ..Inputs::default() };
        let (policy, _) = Bundle::over_builtin(&files).unwrap().compile(&inputs).unwrap();
        let assume = Assumptions::default();
        let load = demand((0..400).map(|step| if (40..160).contains(&step) { 3.0 } else { 0.6 }));
        let bench = bench(&policy, &assume);
        let mut scaler = ByPolicy::new(&bench, load.start, 2.0).unwrap();
        run(&load, Unit::Cores, &assume, (&mut scaler, 2.0), false)
    };
    for step in ["10s", "20s", "25s", "30s"] {
        let found = with_step(step);
        let most = found.marks.iter().map(|mark| mark.to).fold(0.0, f64::max);
        let last = found.marks.last().map(|mark| mark.to);
        assert!(most >= 8.0 && last == Some(2.0), "step {step}: {:?}", found.marks);
        assert!(found.figures.violation_minutes < 15.0, "step {step}: {:?}", found.figures);
    }
}

#[test]
fn what_waits_at_the_start_of_a_gap_is_served_or_given_up_and_a_step_tells_whether_all_was_borne() {
    let mut load = demand(std::iter::repeat_n(2.0, 20));
    load.values[4..].fill(None);
    let assume = Assumptions { patience: 30.0, ..Assumptions::default() };
    let mut watching = Watching(Vec::new());
    let found = run(&load, Unit::Cores, &assume, (&mut watching, 2.0), true);
    // 240 core-seconds were asked for; in two minutes 120 were served and 30 waited, and in the gap those were served.
    assert!((found.figures.lost_core_hours * 3600.0 - 90.0).abs() < 1e-6, "{:?}", found.figures);
    let violated: Vec<bool> = found.steps.iter().map(|step| step.violated).collect();
    assert_eq!(violated[..6], [true, true, true, true, false, false]);
    let minutes = found.figures.violation_minutes;
    assert!((minutes - 2.0).abs() < 1e-9, "{minutes}");
}
