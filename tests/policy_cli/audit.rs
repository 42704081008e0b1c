//! `policy audit verify` and `policy explain --decision`: files in any order, exit codes, what is told of a wrong line.

use std::fs;
use std::path::Path;

use super::{directory, run};

fn sample() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/samples/decisions.jsonl")).unwrap()
}

#[test]
fn files_of_a_log_are_taken_in_their_order_and_policies_beside_them_are_left_out() {
    let sample = sample();
    let lines: Vec<&str> = sample.split_inclusive('\n').collect();
    let dir = directory(&[("d.jsonl.000001", &lines[..3].concat()), ("d.jsonl", &lines[3..].concat())]);
    fs::create_dir(dir.path().join("d.jsonl.bundles")).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (old, new, bundles) = (path("d.jsonl.000001"), path("d.jsonl"), path("d.jsonl.bundles"));
    let (code, out, errors) = run(&["audit", "verify", &new, &old, &bundles]);
    assert_eq!(code, 0, "{out}{errors}");
    assert!(out.starts_with("whole: 5 lines (seq 1 to 5), 3 decisions in 2 files"), "{out}");
    let (code, out, _) = run(&["audit", "verify", &new]);
    assert_eq!(code, 1);
    assert!(out.starts_with(&format!("{new}:1: removed: a file opens with a line that says so")), "{out}");
    assert!(out.ends_with('\n') && out.lines().last().unwrap().starts_with("not whole, 1 finding: 2 lines"), "{out}");
    for (arguments, says) in [
        (vec!["audit", "verify", "/nonexistent"], "/nonexistent: No such file"),
        (vec!["audit", "verify", bundles.as_str()], "no file is named"),
        (vec!["audit", "verify", new.as_str(), "--head", "12ab"], "64 hexadecimal digits"),
    ] {
        let (code, _, errors) = run(&arguments);
        assert!(code == 2 && errors.contains(says), "{arguments:?}: {code} {errors}");
    }
}

#[test]
fn a_line_is_decided_again_and_one_that_is_none_is_told() {
    let sample = sample();
    let lines: Vec<&str> = sample.split_inclusive('\n').collect();
    let one = [lines[1], lines[2]].concat();
    let dir = directory(&[("all.jsonl", &sample), ("one.jsonl", &one), ("alone.jsonl", lines[2])]);
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let all = path("all.jsonl");
    for (seq, decision) in [(3, "apply 8 by"), (4, "apply 10 by"), (5, "hold by Safeguard/replicas/cap")] {
        let (code, out, errors) = run(&["explain", "--decision", &format!("{all}:{seq}")]);
        assert!(code == 0 && out.ends_with("replay     the same bytes\n"), "{seq}: {out}{errors}");
        assert!(out.contains(&format!("decision   {decision}")), "{seq}: {out}");
    }
    let (code, out, _) = run(&["explain", "--decision", &path("one.jsonl"), "--format", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, answer["same"].as_bool(), answer["outcome"]["result"].as_str()),
        (0, Some(true), Some("applied"))
    );
    for (line, says) in [
        (all.clone(), "has 3 decisions; say which one, such as"),
        (format!("{all}:9"), "has no line 9; it has 1 to 5"),
        (format!("{all}:2"), "line 2 is no decision; it tells of the log itself"),
        (path("alone.jsonl"), "name the directory with --bundles"),
        ("/nonexistent:3".to_owned(), "/nonexistent: No such file"),
    ] {
        let (code, _, errors) = run(&["explain", "--decision", &line]);
        assert!(code == 2 && errors.contains(says), "{line}: {code} {errors}");
    }
}
