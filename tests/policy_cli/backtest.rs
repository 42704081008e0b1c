//! `oprc-crm policy backtest`: loads from files, bundles side by side, a gate, and what it says of what is wrong.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A directory with a load of two classes: one goes up and down, one jumps.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let mut text = "time,wave,jump\n".to_owned();
        for step in 0..1200_i64 {
            let wave = 1.5 + (f64::from(i32::try_from(step).unwrap()) / 90.0).sin();
            let jump = if (600..700).contains(&step) { 4.0 } else { 0.6 };
            writeln!(text, "{},{wave:.3},{jump}", 1_767_225_600 + step * 30).unwrap();
        }
        place.write("load.csv", &text);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    /// A bundle over the shipped one with other bounds of replicas.
    fn bundle(&self, params: &str) -> String {
        let dir = self.path("bundle");
        fs::create_dir_all(&dir).unwrap();
        let text = format!(
            "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {{name: own}}\n\
             spec: {{extends: builtin, params: {{Safeguard/replicas: {{{params}}}}}}}\n"
        );
        fs::write(dir.join("bundle.yaml"), text).unwrap();
        dir.display().to_string()
    }
}

fn backtest(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oprc-crm")).args(["policy", "backtest"]).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = backtest(&[args, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_bundle_is_played_beside_another_an_autoscaler_and_a_number_that_stays() {
    let place = Place::new();
    let (load, bundle) = (place.path("load.csv").display().to_string(), place.bundle("stability_down: 15m"));
    let output = backtest(&[&bundle, "--base", "builtin", "--load", &load]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for part in [
        "2 classes, 20 h of load in all",
        "candidate",
        "base",
        "HPA at 80 %",
        "fixed",
        "violation minutes (min)",
        "pod-cores 0.5",
        "decisions otherwise than by the base",
    ] {
        assert!(shown.contains(part), "{part} in:\n{shown}");
    }
    let found = json(&[&bundle, "--base", "builtin", "--load", &load]);
    let hours = |name: &str| found["total"][name]["replica_hours"].as_f64().unwrap();
    assert!(hours("candidate") > hours("base"), "slower to fall costs more: {found:#}");
    assert!(hours("fixed") > hours("hpa"));
    assert_eq!(found["total"]["fixed"]["violation_minutes"], 0.0);
    let flips: Vec<&Value> =
        found["classes"].as_array().unwrap().iter().flat_map(|class| class["flips"].as_array().unwrap()).collect();
    assert!(!flips.is_empty() && flips.iter().all(|flip| flip["base"] != flip["candidate"]));
    let rules: String = flips.iter().map(ToString::to_string).collect();
    assert!(rules.contains("Recommendation/replicas/cpu-demand"), "{rules}");
    let sides = || flips.iter().flat_map(|flip| [&flip["base"], &flip["candidate"]]);
    assert!(sides().all(|side| !side["by"].as_str().unwrap().is_empty()), "{rules}");
    assert!(sides().any(|side| side["replicas"].is_null() && side["by"] != "no change"), "what held is told: {rules}");
    // Every assumption is there, as a number where it is one, and what follows from it for each class.
    for (name, value) in [
        ("trusted_utilisation_percent", 80.0),
        ("hpa_target_percent", 80.0),
        ("hpa_tolerance", 0.1),
        ("start_up_seconds", 30.0),
    ] {
        assert_eq!(found["assumed"][name].as_f64(), Some(value), "{name}: {:#}", found["assumed"]);
    }
    assert_eq!(found["assumed"]["unit"], "cores");
    assert_eq!(
        found["classes"][1]["replicas"]["fixed"], 10.0,
        "4 cores, 0.4 a pod: {:#}",
        found["classes"][1]["replicas"]
    );
    for part in [
        "unit cores",
        "trusted-utilisation 80 %",
        "hpa-target 80 %",
        "a tolerance of 0.1",
        "fixed:      wave 7, jump 10 replicas",
    ] {
        assert!(shown.contains(part), "{part} in:\n{shown}");
    }
    // Beside itself nothing is otherwise.
    let same = json(&["builtin", "--base", "builtin", "--load", &load]);
    assert!(same["classes"].as_array().unwrap().iter().all(|class| class["flips"].as_array().unwrap().is_empty()));
    assert_eq!(same["total"]["candidate"], same["total"]["base"]);
}

#[test]
fn the_limit_of_replicas_is_that_of_the_bundle_too() {
    let place = Place::new();
    let cores = |step: i64| if step < 120 { 1 } else { 16 };
    let mut lines = "time,high\n".to_owned();
    for step in 0..600_i64 {
        writeln!(lines, "{},{}", step * 30, cores(step)).unwrap();
    }
    let load = place.write("high.csv", &lines);
    let found = json(&["--load", &load, "--base", "builtin", "--max-replicas", "100"]);
    for side in ["candidate", "base"] {
        // 4 h of 16 cores are 128 replica-hours and more at a request of half a core; 20 of them would be 80.
        assert!(found["total"][side]["replica_hours"].as_f64().unwrap() > 128.0, "{side}: {found:#}");
        assert!(found["total"][side]["violation_minutes"].as_f64().unwrap() < 60.0, "{side}: {found:#}");
    }
    // The revision is that of the bundle, whatever the limit.
    assert_eq!(found["candidate"], json(&["--load", &load])["candidate"]);
}

#[test]
fn the_answer_is_the_same_to_the_byte_whatever_ran_at_once_and_however_the_load_is_packed() {
    let place = Place::new();
    let load = place.path("load.csv").display().to_string();
    let answer = |more: &[&str], load: &str| {
        let output = backtest(&[&["--load", load], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let one = answer(&["--threads", "1"], &load);
    assert_eq!(answer(&["--threads", "2"], &load), one);
    assert_eq!(answer(&["--threads", "7"], &load), one);
    let packed = place.path("load.csv.gz");
    let mut gzip = flate2::write::GzEncoder::new(fs::File::create(&packed).unwrap(), flate2::Compression::fast());
    gzip.write_all(&fs::read(&load).unwrap()).unwrap();
    gzip.finish().unwrap();
    assert_eq!(answer(&[], &packed.display().to_string()), one);
}

#[test]
fn a_gate_that_holds_is_exit_1_with_the_figures_and_one_that_does_not_is_0() {
    let place = Place::new();
    let load = place.path("load.csv").display().to_string();
    let gate = |condition: &str| backtest(&["--load", &load, "--fail-on", condition]);
    let output = gate("candidate.replica_hours > fixed.replica_hours * 0.1");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("candidate.replica_hours is ") && error.contains("fixed.replica_hours is "), "{error}");
    assert_eq!(gate("candidate.replica_hours > fixed.replica_hours").status.code(), Some(0));
    // The answer for machines has each condition with what it came to.
    let found =
        json(&["--load", &load, "--fail-on", "candidate.worst_violation_minutes > candidate.violation_minutes"]);
    assert_eq!(
        (found["gates"][0]["holds"].as_bool(), found["gates"][0]["figures"].as_object().map(serde_json::Map::len)),
        (Some(false), Some(2))
    );
}

#[test]
fn what_can_not_be_written_is_no_success() {
    let place = Place::new();
    let load = place.path("load.csv").display().to_string();
    let output = backtest(&["--load", &load, "--html", "/dev/full"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""), "{}", text(&output.stderr));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_oprc-crm"));
    let output = command.args(["policy", "backtest", "--load", &load]).stdout(full).output().unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("the answer can't be written: ") && error.lines().count() == 1, "{error}");
}

#[test]
fn what_is_not_played_is_told() {
    let place = Place::new();
    let load = place.path("load.csv").display().to_string();
    let dir = place.path("other");
    fs::create_dir_all(&dir).unwrap();
    let bundle = "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {name: own}\n\
                  spec: {extends: builtin, params: {Safeguard/cpu: {stability_down: 20m}, Template/edge: {rps: 500}}}\n";
    fs::write(dir.join("bundle.yaml"), bundle).unwrap();
    let found = json(&[&dir.display().to_string(), "--base", "builtin", "--load", &load]);
    let told = found["not_played"].to_string();
    assert!(
        told.contains("Safeguard/cpu, Template/edge") && told.contains("latency") && told.contains("rps"),
        "{told}"
    );
    assert_eq!(found["classes"][0]["flips"].as_array().map(Vec::len), Some(0));
    let asked = json(&[
        &place.bundle("stability_down: 15m"),
        "--base",
        "builtin",
        "--load",
        &load,
        "--unit",
        "rps",
        "--cores-per-rps",
        "1",
    ]);
    assert_eq!((&asked["assumed"]["unit"], &asked["assumed"]["cores_per_rps"]), (&"rps".into(), &1.0.into()));
    let told = asked["not_played"].to_string();
    assert!(!told.contains("Safeguard") && !told.contains("rps"), "{told}");
}

#[test]
fn the_page_has_everything_in_it_and_asks_nobody() {
    let place = Place::new();
    let (load, page) = (place.path("load.csv").display().to_string(), place.path("page.html"));
    let bundle = place.bundle("stability_down: 15m");
    let output = backtest(&[&bundle, "--load", &load, "--base", "builtin", "--html", &page.display().to_string()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // No terminal, no bar.
    assert!(!text(&output.stderr).contains(" of 2 classes"), "{}", text(&output.stderr));
    let page = fs::read_to_string(page).unwrap();
    for outside in ["src=", "href=", "@import", "fetch(", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let data = page.lines().find_map(|line| line.strip_prefix("const data = ")?.strip_suffix(';')).unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    let classes = data["classes"].as_array().unwrap();
    assert_eq!((classes.len(), classes[0]["runs"].as_array().unwrap().len()), (2, 4));
    assert!(classes[0]["runs"][0]["steps"].as_array().unwrap().len() > 500);
    // What the two bundles decide otherwise is told by rule, and at its moment with what each of them made of it.
    let flips = |of: &Value| of["flips"].as_array().unwrap().clone();
    let by_rule: u64 = flips(&data).iter().map(|rule| rule[1].as_u64().unwrap()).sum();
    let each: Vec<Value> = classes.iter().flat_map(flips).collect();
    assert!(by_rule > 0 && each.len() == usize::try_from(by_rule).unwrap(), "{by_rule} and {each:?}");
    // Red is as much of the chart as the figure says.
    for run in classes.iter().flat_map(|class| class["runs"].as_array().unwrap()) {
        let shares: f64 = run["steps"].as_array().unwrap().iter().map(|step| step[5].as_f64().unwrap()).sum();
        let minutes = run["figures"][0].as_f64().unwrap();
        // Of a step of half a minute one tick may be fine.
        assert!(shares / 2.0 >= minutes && shares / 4.0 <= minutes, "{shares} steps, {minutes} min of {}", run["name"]);
    }
    let told = |side: &Value| side.as_str().unwrap().contains("by ");
    assert!(each.iter().all(|one| one[0].is_i64() && one[1] != one[2] && told(&one[1])), "{each:?}");
}

#[test]
fn what_is_wrong_is_one_clear_line_and_exit_2() {
    let place = Place::new();
    let load = place.path("load.csv").display().to_string();
    let (empty, negative) = (place.write("empty.csv", ""), place.write("negative.csv", "time,a\n0,1\n60,-2\n120,1\n"));
    let (short, words) = (place.write("short.csv", "time,a\n0,1\n"), place.write("words.csv", "time,a\n0,many\n"));
    let bytes =
        place.write("bytes.txt", "# UNIT used_bytes bytes\nused_bytes 1 0\nused_bytes 1 60\nused_bytes 1 90\n# EOF\n");
    let later = place.write("later.csv", "time,later\n4000000000,1\n4000000060,1\n4000000120,1\n");
    let wrong = place.bundle("stability_down: 90h");
    let named = |name: &str| place.write(&format!("{name}.csv"), &format!("time,{name}\n0,1\n60,2\n120,1\n"));
    let (cores, requests, counter) = (named("used_cores"), named("http_requests"), named("used_seconds_total"));
    let mixed = place.write("mixed.csv", "time,a_cores,a_rps\n0,1,1\n60,2,2\n120,1,1\n");
    let semicolons = place.write("semicolons.csv", "time;a\n0;1,5\n60;2,5\n120;1,5\n");
    let prometheus = ["--prom-url", "http://127.0.0.1:1", "--query"];
    let (raw, other) = ("sum(http_requests_total)", "sum(rate(http_requests_total[1m]))");
    let cases: [(&[&str], &str); 28] = [
        (&["--load", &cores, "--unit", "rps"], "used_cores counts CPU, and requests a second are played"),
        (&["--load", &requests], "http_requests counts requests, and cores are played"),
        (&["--load", &counter], "column used_seconds_total is a counter by its name"),
        (&["--load", &mixed], "a_rps counts requests, and cores are played"),
        (&["--load", &mixed, "--unit", "rps"], "a_cores counts CPU, and requests a second are played"),
        (&["--load", &semicolons], "there are semicolons between its columns; write commas"),
        (&[prometheus[0], prometheus[1], prometheus[2], raw], "http_requests_total is a counter by its name"),
        (
            &[prometheus[0], prometheus[1], prometheus[2], other],
            "http_requests_total counts requests, and cores are played",
        ),
        (&["--load", &load, "--last", "2d"], "--last does nothing without --prom-url"),
        (&["--load", &load, "--cores-per-rps", "1"], "--cores-per-rps does nothing without --unit rps"),
        (&["--load", &load, "--min-replicas", "30"], "--min-replicas 30 is above --max-replicas 20"),
        (&["--load", &load, "--base", "git:HEAD"], "name the directory of a bundle as BUNDLE, or git:HEAD:DIRECTORY"),
        (&["--load", "no-such-file.csv", "--fail-on", "base.actuations > 1.0"], "name another bundle with --base"),
        (&["--load", "no-such-file.csv", "--fail-on", "candidate.actuations > hpa.actuations * 2"], "write 2.0"),
        (&["--load", "no-such-file.csv", "--fail-on", "1.0 < 2.0"], "it reads no number"),
        (&["--load", &bytes], "used_bytes counts bytes, and cores are played; --column and --unit choose"),
        (&["--load", &load, "--load", &later], "later begins at 2096-10-02T07:"),
        (&["--load", &empty], "empty.csv: there is nothing in it"),
        (&["--load", "no-such-file.csv"], "no-such-file.csv: No such file"),
        (&["--load", &negative], "the value at 60 is -2.0; a load is from 0 to 1e9"),
        (&["--load", &short], "two steps of 30 s are the least"),
        (&["--load", &words], "line 2: \"many\" of column a is no number"),
        (&["--load", &load, "--column", "nothing"], "there is no column \"nothing\"; there are: wave, jump"),
        (&["--load", &load, "--load", &load], "two loads are called \"jump\""),
        (&["--load", &load, "--base", "git:no-such-revision:policies"], "no-such-revision"),
        (&[&wrong, "--load", &load], "does not check: "),
        (&["--load", &load, "--fail-on", "candidate.replica_hours >"], "is no condition"),
        (&["--load", &load, "--fail-on", "candidate.money > 0.0"], "violation_minutes"),
    ];
    for (args, expected) in cases {
        let output = backtest(args);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(expected) && error.trim_end().lines().count() == 1, "{args:?}: {error}");
    }
}
