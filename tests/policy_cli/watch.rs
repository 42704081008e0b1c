//! `--watch` as a process: it runs again when a file changes and ends well on Ctrl-C.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{OVERLAY, directory, lines, run};

const LONG: Duration = Duration::from_secs(60);

/// A command that watches, and what it has said.
struct Watching {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Watching {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oprc-crm"));
        command.arg("policy").args(args).arg("--watch").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = lines::said(&mut child);
        Self { child, lines, said: Vec::new() }
    }

    /// What it says up to and with a line like this one.
    fn until(&mut self, what: &str, holds: impl Fn(&str) -> bool) -> Vec<String> {
        let (from, started) = (self.said.len(), Instant::now());
        loop {
            let line = self.lines.recv_timeout(LONG.saturating_sub(started.elapsed()));
            let line = line.unwrap_or_else(|_| panic!("not within {LONG:?}: {what}; it said {:#?}", self.said));
            self.said.push(line);
            if self.said.last().is_some_and(|line| holds(line)) {
                return self.said[from..].to_vec();
            }
        }
    }

    /// A whole run.
    fn run(&mut self) -> Vec<String> {
        self.until("a run", |line| line.starts_with("watching "))
    }

    fn interrupt(mut self) -> Option<i32> {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGINT).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a line says that it is another run, and why.
fn begins(line: &str, why: &str) -> bool {
    let Some((time, rest)) = line.strip_prefix("== ").and_then(|rest| rest.split_once(' ')) else { return false };
    time.len() == "12:34:56".len() && time.split(':').all(|part| part.parse::<u8>().is_ok()) && rest == why
}

#[test]
fn check_runs_again_at_each_change_and_says_which() {
    let dir = directory(&[("bundle.yaml", OVERLAY)]);
    let path = dir.path().to_str().unwrap();
    let mut watching = Watching::start(&["check", path]);
    let first = watching.run();
    assert!(first.iter().any(|line| line == "0 errors, 0 warnings"), "{first:#?}");
    assert_eq!(first.last().unwrap(), &format!("watching {path}; Ctrl-C ends"));

    fs::write(dir.path().join("a.yaml"), "kind: Admision\n").unwrap();
    watching.until("the second run", |line| begins(line, "a.yaml is new"));
    watching.until("the finding", |line| line.contains("did you mean Admission?"));

    fs::remove_file(dir.path().join("a.yaml")).unwrap();
    watching.until("the third run", |line| begins(line, "a.yaml is gone"));
    let third = watching.run();
    assert!(third.iter().any(|line| line == "0 errors, 0 warnings"), "{third:#?}");
    assert_eq!(watching.interrupt(), Some(0));
}

#[test]
fn test_runs_again_at_each_change_and_outlives_what_is_broken() {
    let suite = |template: &str| {
        format!(
            "apiVersion: policy.oaas.io/v1alpha1\nkind: Test\nmetadata: {{name: mine}}\nspec:\n  target: Template\n  \
             cases:\n    - {{name: one, given: {{profile: edge}}, expect: {{template: {template}}}}}\n"
        )
    };
    let dir = directory(&[("bundle.yaml", OVERLAY), ("t.yaml", &suite("full"))]);
    let mut watching = Watching::start(&["test", dir.path().to_str().unwrap()]);
    let first = watching.run();
    assert!(first.iter().any(|line| line.ends_with(" passed, 1 failed")), "{first:#?}");

    fs::write(dir.path().join("t.yaml"), "kind: [\n").unwrap();
    watching.until("the second run", |line| begins(line, "t.yaml changed"));
    watching.until("why nothing was tested", |line| line == "the bundle does not load, so no test ran");

    fs::write(dir.path().join("t.yaml"), suite("edge")).unwrap();
    watching.until("the third run", |line| begins(line, "t.yaml changed"));
    let third = watching.run();
    assert!(third.iter().any(|line| line.ends_with(" passed, 0 failed")), "{third:#?}");
    assert_eq!(watching.interrupt(), Some(0));
}

#[test]
fn only_a_directory_is_watched_and_only_for_people() {
    let dir = directory(&[("bundle.yaml", OVERLAY)]);
    let path = dir.path().to_str().unwrap();
    for (args, expected) in [
        (vec!["check", "--watch"], "--watch: builtin does not change; name a directory"),
        (vec!["test", "git:HEAD:policies", "--watch"], "--watch: git:HEAD:policies does not change; name a directory"),
        (vec!["check", path, "--watch", "--format", "json"], "--watch: the answers are for people; leave --format out"),
        (vec!["test", path, "--watch", "--format", "junit"], "--watch: the answers are for people"),
        (vec!["test", "/nonexistent", "--watch"], "/nonexistent: "),
    ] {
        let (code, out, errors) = run(&args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {errors}");
        assert!(errors.starts_with(&format!("oprc-crm policy: {expected}")), "{args:?}: {errors}");
    }
}
