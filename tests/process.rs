//! `oprc-crm` as a process: what it refuses to start with and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg(feature = "sandbox")]

mod support;

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{cluster, eventually, executable, http_get, lines};

const LONG: Duration = Duration::from_secs(60);

/// The program with nothing in its environment but these variables.
fn program(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(executable());
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end, which must come soon.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut child = program(arguments, variables).spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > LONG {
            child.kill().unwrap();
            panic!("{arguments:?} {variables:?} does not end: {:?}", child.wait_with_output().unwrap());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// What it says when it cannot run: exit code 2, everything on standard error, no panic.
fn refused(variables: &[(&str, &str)]) -> String {
    let output = run(&["run"], variables);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty(), "{:?}", String::from_utf8_lossy(&output.stdout));
    assert!(text.starts_with("oprc-crm run: ") && !text.contains("panicked"), "{text}");
    text
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "expected {part:?} in: {text}");
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn an_unknown_profile_is_refused_with_the_choices() {
    let text = refused(&[("OPRC_CRM_PROFILE", "prodd")]);
    assert_says(&text, &["OPRC_CRM_PROFILE=prodd", "dev", "edge", "full"]);
}

#[test]
fn every_wrong_variable_is_listed_in_one_error() {
    let text = refused(&[
        ("HTTP_PORT", "eighty"),
        ("OPRC_CRM_PROFILE", "prodd"),
        ("OPRC_CRM_FEATURES_ODGM", "perhaps"),
        ("OPRC_CRM_CONCURRENCY", "0"),
        ("OPRC_CRM_ANALYZER_INTERVAL_SECS", "-1"),
        ("RUST_LOG", "oprc_crm=loud"),
    ]);
    assert_says(&text, &["6 variables are wrong", "HTTP_PORT=eighty", "OPRC_CRM_PROFILE=prodd"]);
    assert_says(&text, &["OPRC_CRM_FEATURES_ODGM=perhaps", "true or false", "OPRC_CRM_CONCURRENCY=0"]);
    assert_says(&text, &["OPRC_CRM_ANALYZER_INTERVAL_SECS=-1", "RUST_LOG=oprc_crm=loud"]);
    for port in ["0", "65536", "-1", "80 80"] {
        assert_says(&refused(&[("HTTP_PORT", port)]), &[&format!("HTTP_PORT={port}"), "65535"]);
    }
}

#[test]
fn features_of_a_profile_that_are_not_built_say_how_to_switch_each_off() {
    let text = refused(&[("OPRC_CRM_PROFILE", "edge")]);
    assert_says(&text, &["profile edge", "OPRC_CRM_FEATURES_LEADER_ELECTION=false"]);
    let text = refused(&[("OPRC_CRM_PROFILE", "PRODUCTION")]);
    assert_says(&text, &["OPRC_CRM_SECURITY_MTLS=false", "OPRC_CRM_FEATURES_LEADER_ELECTION=false"]);
    // What it says is what helps.
    let off: Vec<&str> = text.split_whitespace().filter(|word| word.ends_with("=false")).collect();
    let mut variables: Vec<(&str, &str)> = off.iter().map(|word| (word.trim_end_matches("=false"), "false")).collect();
    variables.extend([("OPRC_CRM_PROFILE", "full"), ("KUBECONFIG", "/does/not/exist"), ("HTTP_PORT", "1")]);
    let port = free_port().to_string();
    variables.retain(|(name, _)| *name != "HTTP_PORT");
    variables.push(("HTTP_PORT", &port));
    assert_says(&refused(&variables), &["KUBECONFIG"]);
}

#[test]
fn a_busy_port_is_an_error_at_start() {
    let busy = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0")).unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    let text = refused(&[("HTTP_PORT", &port)]);
    assert_says(&text, &[&format!("port {port}"), "another process", "HTTP_PORT"]);
}

#[test]
fn a_port_that_is_busy_on_one_address_family_only_is_an_error_too() {
    let busy = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    assert_says(&refused(&[("HTTP_PORT", &port)]), &[&format!("port {port}"), "another process"]);
}

#[test]
fn without_a_cluster_the_error_says_how_to_name_one() {
    let port = free_port().to_string();
    let text = refused(&[("HTTP_PORT", &port)]);
    assert_says(&text, &["KUBECONFIG", "ServiceAccount"]);
    let text = refused(&[("HTTP_PORT", &port), ("KUBECONFIG", "/does/not/exist")]);
    assert_says(&text, &["/does/not/exist", "KUBECONFIG"]);
}

#[tokio::test]
async fn a_policy_that_does_not_load_is_refused_with_file_and_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broken.yaml");
    std::fs::write(
        &file,
        "apiVersion: policy.oaas.io/v1alpha1\nkind: Admission\nmetadata: {name: a}\nspec:\n  rulez: []\n",
    )
    .unwrap();
    std::fs::write(directory.path().join("torn.yaml"), "apiVersion: [\n").unwrap();
    let port = free_port().to_string();
    let kubeconfig = cluster().await.crm_kubeconfig().to_str().unwrap();
    let policy = directory.path().to_str().unwrap();
    let text = refused(&[("HTTP_PORT", &port), ("KUBECONFIG", kubeconfig), ("OPRC_CRM_POLICY_DIR", policy)]);
    assert_says(&text, &["broken.yaml:5", "rulez", "rules", "torn.yaml:"]);
    let missing = directory.path().join("missing");
    let missing = missing.to_str().unwrap();
    let text = refused(&[("HTTP_PORT", &port), ("KUBECONFIG", kubeconfig), ("OPRC_CRM_POLICY_DIR", missing)]);
    assert_says(&text, &[missing]);
}

#[test]
fn print_config_shows_each_value_with_its_origin_and_ends() {
    let variables = [("OPRC_CRM_PROFILE", "edge"), ("HTTP_PORT", "9090"), ("OPRC_CRM_FEATURES_HPA", "off")];
    let output = run(&["run", "--print-config"], &variables);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |name: &str| {
        let found = text.lines().find(|line| line.split_whitespace().next() == Some(name));
        found.unwrap_or_else(|| panic!("no {name} in\n{text}")).split_whitespace().take(3).collect::<Vec<_>>()
    };
    assert_eq!(line("HTTP_PORT"), ["HTTP_PORT", "9090", "environment"]);
    assert_eq!(line("OPRC_CRM_PROFILE"), ["OPRC_CRM_PROFILE", "edge", "environment"]);
    assert_eq!(line("OPRC_CRM_FEATURES_HPA")[2], "environment");
    assert_eq!(line("OPRC_CRM_FEATURES_PROMETHEUS"), ["OPRC_CRM_FEATURES_PROMETHEUS", "true", "profile"]);
    assert_eq!(line("OPRC_CRM_CONCURRENCY"), ["OPRC_CRM_CONCURRENCY", "8", "default"]);
    for variable in oprc_crm::config::VARIABLES {
        line(variable);
    }
}

/// A controller that runs, and what it has logged.
struct Running {
    child: Child,
    lines: Receiver<String>,
    log: Vec<String>,
    address: SocketAddr,
}

impl Running {
    async fn start(arguments: &[&str], kubeconfig: &Path, namespace: &str) -> Self {
        let port = free_port();
        let text = port.to_string();
        let variables = [
            ("HTTP_PORT", text.as_str()),
            ("KUBECONFIG", kubeconfig.to_str().unwrap()),
            ("OPRC_CRM_K8S_NAMESPACE", namespace),
        ];
        let mut child = program(arguments, &variables).stdout(Stdio::piped()).spawn().unwrap();
        let lines = lines::said(&mut child);
        let running = Self { child, lines, log: Vec::new(), address: SocketAddr::from(([127, 0, 0, 1], port)) };
        eventually(LONG, "it is ready", || async {
            let answer = http_get(running.address, "/readyz").await;
            if answer.0 == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        running
    }

    /// Waits until it has logged something.
    fn logs(&mut self, what: &str) {
        let started = Instant::now();
        while !self.log.iter().any(|line| line.contains(what)) {
            let line = self.lines.recv_timeout(LONG.saturating_sub(started.elapsed()));
            self.log.push(line.unwrap_or_else(|_| panic!("no {what:?} within {LONG:?} in {:#?}", self.log)));
        }
    }

    async fn exit_code(&mut self) -> Option<i32> {
        let child = std::cell::RefCell::new(&mut self.child);
        let status =
            eventually(LONG, "it ends", || async { child.borrow_mut().try_wait().unwrap().ok_or("it still runs") });
        status.await.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the other end has read everything that was sent to it: nothing waits in its socket, as the kernel lists it.
#[cfg(target_os = "linux")]
fn is_read(stream: &TcpStream) -> Option<()> {
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    let (here, there) = (port(stream.local_addr().unwrap()), port(stream.peer_addr().unwrap()));
    let lists = ["/proc/net/tcp", "/proc/net/tcp6"].map(|list| std::fs::read_to_string(list).unwrap_or_default());
    let waiting = lists.iter().flat_map(|list| list.lines()).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (own, other, queues) = (fields.next()?, fields.next()?, fields.nth(1)?);
        (own.ends_with(&there) && other.ends_with(&here)).then(|| queues.split(':').nth(1).map(str::to_owned))?
    });
    (waiting? == "00000000").then_some(())
}

/// Elsewhere nobody tells; a moment has to do.
#[cfg(not(target_os = "linux"))]
fn is_read(_: &TcpStream) -> Option<()> {
    std::thread::sleep(Duration::from_millis(200));
    Some(())
}

#[tokio::test]
async fn without_arguments_it_runs_and_sigterm_drains_and_exits_with_0() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("process").await;
    for (arguments, signal) in [(&[][..], Signal::SIGTERM), (&["run"][..], Signal::SIGINT)] {
        let mut running = Running::start(arguments, cluster.crm_kubeconfig(), &namespace).await;
        assert_eq!(http_get(running.address, "/healthz").await, (200, "ok".to_owned()));
        // A call under way when the signal comes is answered.
        let mut open = TcpStream::connect(running.address).unwrap();
        std::io::Write::write_all(&mut open, b"GET /health HTTP/1.1\r\nhost: t\r\n").unwrap();
        eventually(LONG, "it has read what was sent", || async { is_read(&open).ok_or("not yet") }).await;
        kill(Pid::from_raw(i32::try_from(running.child.id()).unwrap()), signal).unwrap();
        running.logs("letting calls end");
        std::io::Write::write_all(&mut open, b"connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        open.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("shutting down"), "{answer}");
        assert_eq!(running.exit_code().await, Some(0));
        assert_eq!(http_get(running.address, "/healthz").await.0, 0, "nobody listens any more");
        running.log.extend(running.lines.try_iter());
        let log = &running.log;
        assert!(log.iter().any(|line| line.contains("draining")), "{log:#?}");
        assert!(!log.iter().any(|line| line.contains("panicked") || line.contains("ERROR")), "{log:#?}");
    }
}
