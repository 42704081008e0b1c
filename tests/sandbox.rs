//! `oprc-crm sandbox` as a process: however it ends, nothing of it stays; and its errors say what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg(feature = "sandbox")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oprc_crm::sandbox::binaries::{self, BinariesError, Search};
use oprc_crm::sandbox::samples;
use support::executable;

const LONG: Duration = Duration::from_secs(60);

/// A sandbox in a process of its own, which has said that it runs.
struct Sandbox {
    child: Child,
    /// Where nobody else comes by: neither a guard of another test, nor a person who looks for a sandbox.
    place: tempfile::TempDir,
    dir: PathBuf,
}

impl Sandbox {
    fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut command = Command::new(executable());
        command.env("TMPDIR", place.path());
        let mut child =
            command.args(["sandbox", "--nodes", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Read to its end elsewhere, so that the sandbox can go on printing.
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let kubeconfig = loop {
            let line = receiver.recv_timeout(Duration::from_secs(120)).expect("the sandbox names its kubeconfig");
            if let Some((_, path)) = line.split_once("KUBECONFIG=") {
                break PathBuf::from(path.trim());
            }
        };
        assert!(kubeconfig.is_file(), "{}", kubeconfig.display());
        let dir = kubeconfig.ancestors().find(|path| is_sandbox_dir(path)).expect("a directory of its own").to_owned();
        Self { child, place, dir }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }
}

fn is_sandbox_dir(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("oprc-sandbox-"))
}

/// The command lines of all processes that were given something in this directory, as an argument or, like the
/// operator, by the environment.
fn processes_with(dir: &Path) -> Vec<String> {
    pids_with(dir).into_iter().map(|(_, line)| line).collect()
}

fn pids_with(dir: &Path) -> Vec<(i32, String)> {
    let read = |path: PathBuf| fs::read(path).map(|text| String::from_utf8_lossy(&text).replace('\0', " "));
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let processes = entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = read(entry.path().join("cmdline")).ok()?;
        let environment = read(entry.path().join("environ")).unwrap_or_default();
        [&line, &environment].iter().any(|text| text.contains(dir.to_str().unwrap())).then_some((pid, line))
    });
    processes.collect()
}

/// The operator of a sandbox.
fn operator(sandbox: &Sandbox) -> i32 {
    let all = pids_with(&sandbox.dir);
    let found = all.iter().find(|(_, line)| line.trim_end().ends_with("oprc-crm run"));
    found.unwrap_or_else(|| panic!("no operator in {all:?}")).0
}

fn child_of(pid: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let of_threads = || {
        fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten().find_map(|task| {
            let text = fs::read_to_string(task.path().join("children")).ok()?;
            text.split_whitespace().next().map(str::to_owned)
        })
    };
    let first = children.split_whitespace().next().map(str::to_owned).or_else(of_threads);
    first.expect("the guard is its child").parse().unwrap()
}

fn eventually_gone(what: &str, mut left: impl FnMut() -> Option<String>) {
    // A machine that was held up has not looked often, however long it took.
    let (start, mut looks) = (Instant::now(), 0);
    while let Some(state) = left() {
        looks += 1;
        assert!(looks < 50 || start.elapsed() < LONG, "{what} still there after {LONG:?}: {state}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn no_process(sandbox: &Sandbox) {
    eventually_gone("processes", || processes_with(&sandbox.dir).into_iter().next());
}

fn no_directory(sandbox: &Sandbox) {
    eventually_gone("the directory", || sandbox.dir.exists().then(|| sandbox.dir.display().to_string()));
}

#[test]
fn a_parent_that_is_killed_leaves_no_process_and_no_directory() {
    let mut sandbox = Sandbox::start();
    let programs = processes_with(&sandbox.dir);
    for name in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "prometheus"] {
        assert!(programs.iter().any(|line| line.split(' ').next().unwrap().ends_with(name)), "{name}: {programs:?}");
    }
    operator(&sandbox);
    sandbox.signal(Signal::SIGKILL);
    sandbox.child.wait().unwrap();
    no_process(&sandbox);
    no_directory(&sandbox);
}

#[test]
fn an_interrupted_sandbox_exits_0_and_leaves_nothing() {
    let mut sandbox = Sandbox::start();
    sandbox.signal(Signal::SIGINT);
    let status = sandbox.child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    // It waits for the end, so there is nothing to wait for here.
    assert_eq!(processes_with(&sandbox.dir), Vec::<String>::new());
    assert!(!sandbox.dir.exists());
}

#[test]
fn a_sandbox_that_is_terminated_while_it_starts_exits_0_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(executable());
    command.arg("sandbox").env("TMPDIR", place.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while pids_with(place.path()).len() < 3 {
        assert!(start.elapsed() < LONG, "no program of the control plane was started");
        std::thread::sleep(Duration::from_millis(5));
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(processes_with(place.path()), Vec::<String>::new());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn an_operator_that_ends_by_itself_ends_the_sandbox_with_its_last_words() {
    let mut sandbox = Sandbox::start();
    kill(Pid::from_raw(operator(&sandbox)), Signal::SIGKILL).unwrap();
    let mut error = String::new();
    sandbox.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(sandbox.child.wait().unwrap().code(), Some(1));
    assert!(error.contains("oprc-crm ended with signal 9; its last words:"), "{error}");
    assert!(error.contains("caches are synced"), "{error}");
    assert_eq!(processes_with(&sandbox.dir), Vec::<String>::new());
    assert!(!sandbox.dir.exists());
}

fn once(args: &[&str], env: &[(&str, &str)]) -> (Output, Vec<PathBuf>) {
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(executable());
    command.args(["sandbox", "--once", "--nodes", "1"]).args(args);
    let output = command.env("TMPDIR", place.path()).envs(env.iter().copied()).output().unwrap();
    let left = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    (output, left)
}

#[test]
fn once_exits_0_when_every_sample_is_available_and_measured_and_says_how_long_each_step_took() {
    let (output, left) = once(&[], &[]);
    let (shown, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{shown}\n{error}");
    let names = samples::names();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        let mut lines = shown.lines().filter(|line| line.contains(&format!(" s  {name} ")));
        assert!(lines.any(|line| line.contains("  Available  ")), "{name} in:\n{shown}");
    }
    // Each for its own reason.
    for reason in ["edge: profile (score ", "full: throughput, latency, availability (score ", "dev: named by "] {
        assert!(shown.contains(reason), "{reason} in:\n{shown}");
    }
    let function = format!("{}/pay  2 replicas, ", samples::ENFORCED);
    let sized = shown.lines().filter_map(|line| line.split_once(&function)).map(|(_, advice)| advice);
    let mut measured = sized.filter(|advice| advice.starts_with(|first: char| first.is_ascii_digit()));
    assert!(measured.next().is_some(), "{function} in:\n{shown}");
    for step in [
        "programs found",
        "control plane",
        "Prometheus",
        "operator ready",
        "samples deployed",
        "samples Available",
        "recommendation",
        "total",
    ] {
        let took = shown.lines().filter_map(|line| line.trim().strip_prefix(step)?.trim().strip_suffix(" s"));
        let took: Vec<f64> = took.filter_map(|seconds| seconds.parse().ok()).collect();
        assert_eq!(took.len(), 1, "{step} in:\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "no colours in a pipe: {shown}");
    assert_eq!(left, Vec::<PathBuf>::new());
}

#[test]
fn once_exits_1_with_each_sample_that_is_not_available_in_time_and_the_operators_log() {
    let (output, left) = once(&["--timeout", "0"], &[]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("samples are not Available 0 s after they were deployed:"), "{error}");
    assert!(samples::names().iter().any(|name| error.contains(&format!("\n  {name}: "))), "{error}");
    assert!(error.contains("the last lines of the operator's log:"), "{error}");
    assert!(error.contains("caches are synced"), "{error}");
    assert_eq!(left, Vec::<PathBuf>::new());
}

#[test]
fn an_operator_that_does_not_start_is_an_error_with_its_reason() {
    let empty = tempfile::tempdir().unwrap();
    let (output, left) = once(&[], &[("OPRC_CRM_POLICY_DIR", empty.path().to_str().unwrap())]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("oprc-crm ended with exit code 2; its last words:"), "{error}");
    assert!(error.contains("the policy bundle does not load"), "{error}");
    assert_eq!(left, Vec::<PathBuf>::new());
}

#[cfg(target_os = "linux")]
#[test]
fn a_guard_that_is_killed_takes_its_children_along_and_the_parent_says_so() {
    let mut sandbox = Sandbox::start();
    let guard = child_of(sandbox.child.id());
    kill(Pid::from_raw(i32::try_from(guard).unwrap()), Signal::SIGKILL).unwrap();
    // The operator dies in the same moment: its end (1) or the guard's (2) may be seen first.
    let code = sandbox.child.wait().unwrap().code();
    assert!(matches!(code, Some(1 | 2)), "{code:?}");
    no_process(&sandbox);
    no_directory(&sandbox);
}

#[cfg(target_os = "linux")]
#[test]
fn killed_together_parent_and_guard_leave_no_process_and_the_next_guard_removes_the_directory() {
    let mut sandbox = Sandbox::start();
    let guard = child_of(sandbox.child.id());
    // Stopped, the parent cannot clean up after the guard before it is killed itself.
    sandbox.signal(Signal::SIGSTOP);
    kill(Pid::from_raw(i32::try_from(guard).unwrap()), Signal::SIGKILL).unwrap();
    sandbox.signal(Signal::SIGKILL);
    sandbox.child.wait().unwrap();
    no_process(&sandbox);
    assert!(sandbox.dir.exists(), "nobody was left to remove it");

    // A killed process is out of sight a moment before its lock is free.
    eventually_gone("the directory", || {
        let mut next = Command::new(executable());
        next.arg("sandbox-guard").env("TMPDIR", sandbox.place.path()).stdin(Stdio::null());
        assert!(next.output().unwrap().status.success());
        sandbox.dir.exists().then(|| sandbox.dir.display().to_string())
    });
}

fn sandbox_with(env: &[(&str, &str)]) -> Output {
    Command::new(executable()).arg("sandbox").envs(env.iter().copied()).output().unwrap()
}

#[test]
fn a_directory_without_the_programs_is_an_error_that_names_them() {
    let empty = tempfile::tempdir().unwrap();
    let output = sandbox_with(&[("OPRC_CONTROL_PLANE_BIN", empty.path().to_str().unwrap())]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    let expected = format!("OPRC_CONTROL_PLANE_BIN={} lacks etcd, kube-apiserver, ", empty.path().display());
    assert!(error.contains(&expected), "{error}");
    assert!(error.contains("unset it to have them built"), "{error}");
}

#[test]
fn without_go_the_error_says_what_to_install_or_to_set() {
    let empty = tempfile::tempdir().unwrap();
    let cache = empty.path().to_str().unwrap();
    let output = sandbox_with(&[("OPRC_CONTROL_PLANE_BIN", ""), ("XDG_CACHE_HOME", cache), ("PATH", "")]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("no `go` is found in PATH: install Go 1.26"), "{error}");
    assert!(error.contains("or set OPRC_CONTROL_PLANE_BIN to a directory that holds etcd, "), "{error}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is left in the cache");
}

#[test]
fn a_program_that_fails_at_once_is_an_error_with_its_last_words() {
    let dir = tempfile::tempdir().unwrap();
    complete(dir.path(), "#!/bin/sh\necho the disk is on fire >&2\nexit 3\n");
    let output = sandbox_with(&[("OPRC_CONTROL_PLANE_BIN", dir.path().to_str().unwrap())]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("ended with exit code 3; its last words:\nthe disk is on fire"), "{error}");
}

/// Fills a directory with programs that do what the script says.
fn complete(dir: &Path, script: &str) {
    fs::create_dir_all(dir.join("stages")).unwrap();
    for name in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "prometheus"] {
        executable_file(&dir.join(name), script);
    }
    for name in ["node-initialize", "node-heartbeat-with-lease", "pod-ready", "pod-complete", "pod-delete"] {
        fs::write(dir.join("stages").join(format!("{name}.yaml")), "").unwrap();
    }
}

fn executable_file(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Answers like Go, in no time: what matters here is what happens around the compiler.
const FAKE_GO: &str = r#"#!/bin/sh
case "$1 $2" in
"list -deps") echo one/package; echo another/package ;;
"list -m") echo "$FAKE/kwok" ;;
build*)
    echo built >>"$FAKE/builds"
    echo one/package >&2
    sleep 0.5
    [ -e "$FAKE/endless" ] && exec sleep 600.25
    [ -e "$FAKE/broken" ] && { echo "undefined: everything" >&2; exit 1; }
    for out in "$@"; do case "$out" in */out/) break ;; esac; done
    for name in server kube-apiserver kube-controller-manager kube-scheduler kwok prometheus; do : >"$out$name"; done ;;
esac
"#;

struct FakeGo {
    dir: tempfile::TempDir,
}

impl FakeGo {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fake = dir.path().display().to_string();
        fs::create_dir_all(dir.path().join("bin")).unwrap();
        executable_file(&dir.path().join("bin/go"), &FAKE_GO.replace("$FAKE", &fake));
        for stage in ["node/fast/node-initialize", "node/heartbeat-with-lease/node-heartbeat-with-lease"]
            .into_iter()
            .chain(["pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete"])
        {
            let path = dir.path().join(format!("kwok/kustomize/stage/{stage}.yaml"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "stage").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        }
        Self { dir }
    }

    fn search(&self) -> Search {
        let path = format!("{}:/usr/bin:/bin", self.dir.path().join("bin").display());
        Search { bin_dir: None, cache_home: Some(self.dir.path().join("cache")), path: Some(path.into()) }
    }

    fn builds(&self) -> usize {
        fs::read_to_string(self.dir.path().join("builds")).unwrap_or_default().lines().count()
    }

    /// What is in the cache beside the lock.
    fn cached(&self) -> Vec<String> {
        let root = self.dir.path().join("cache/oprc-crm/control-plane");
        let names = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "build.lock").collect()
    }
}

#[tokio::test]
async fn two_builders_at_once_build_once_and_show_progress() {
    let go = FakeGo::new();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let (mut to_first, mut to_second) = (|line| first.push(line), |line| second.push(line));
    let search = go.search();
    let (a, b) = tokio::join!(
        binaries::find_or_build(&search, executable(), &mut to_first),
        binaries::find_or_build(&search, executable(), &mut to_second)
    );
    assert_eq!(a.unwrap().dir(), b.unwrap().dir());
    assert_eq!(go.builds(), 1);
    assert_eq!(go.cached(), [binaries::cache_key()]);
    let lines = [first, second].concat();
    assert!(lines.iter().any(|line| line == "1 of 2 packages compiled: one/package"), "{lines:?}");
    assert!(lines.iter().any(|line| line == "waiting for another process that builds it"), "{lines:?}");

    let mut silent = |line: String| panic!("nothing is built again: {line}");
    binaries::find_or_build(&search, executable(), &mut silent).await.unwrap();
}

#[tokio::test]
async fn a_build_that_fails_leaves_nothing_and_the_next_one_clears_up_after_one_that_was_killed() {
    let go = FakeGo::new();
    let broken = go.dir.path().join("broken");
    fs::write(&broken, "").unwrap();
    let error = binaries::find_or_build(&go.search(), executable(), &mut |_| ()).await.unwrap_err();
    assert!(matches!(error, BinariesError::Go { .. }), "{error}");
    assert!(error.to_string().contains("undefined: everything"), "{error}");
    assert_eq!(go.cached(), Vec::<String>::new());

    fs::remove_file(broken).unwrap();
    let root = go.dir.path().join("cache/oprc-crm/control-plane");
    fs::create_dir_all(root.join(".build-killed/out")).unwrap();
    fs::create_dir_all(root.join(binaries::cache_key())).unwrap();
    binaries::find_or_build(&go.search(), executable(), &mut |_| ()).await.unwrap();
    assert_eq!(go.cached(), [binaries::cache_key()]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_build_ends_with_a_parent_that_is_killed() {
    let go = FakeGo::new();
    fs::write(go.dir.path().join("endless"), "").unwrap();
    let search = go.search();
    let mut command = Command::new(executable());
    command.arg("sandbox").env_remove("OPRC_CONTROL_PLANE_BIN").stderr(Stdio::null());
    command.env("XDG_CACHE_HOME", search.cache_home.unwrap()).env("PATH", search.path.unwrap());
    let mut child = command.spawn().unwrap();
    // The fake compiler becomes a sleeping program that names no directory: it is found by its working directory.
    let builder = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut at = processes.filter_map(|process| fs::read_link(process.path().join("cwd")).ok());
        at.find(|cwd| cwd.starts_with(go.dir.path()) && go.builds() == 1)
    };
    let start = Instant::now();
    while builder().is_none() {
        assert!(start.elapsed() < LONG, "the build never began");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    eventually_gone("the build", || builder().map(|cwd| cwd.display().to_string()));
}
