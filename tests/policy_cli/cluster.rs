//! `--from-cluster` where there is no cluster to speak of; the rest is in `tests/scenarios/policy_from_cluster.rs`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use crate::directory;

/// Runs `policy …` against an API server at this port.
fn run(port: u16, args: &[&str]) -> (i32, String, String) {
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u, namespace: shop}}}}]\ncurrent-context: c\n\
         users: [{{name: u, user: {{}}}}]\n"
    );
    let dir = directory(&[("kubeconfig", &kubeconfig)]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_oprc-crm"));
    command.arg("policy").args(args).env_clear().env("KUBECONFIG", dir.path().join("kubeconfig"));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const QUESTIONS: [&[&str]; 2] =
    [&["explain", "--from-cluster", "hello"], &["diff", "builtin", "builtin", "--from-cluster"]];

#[test]
fn an_api_server_that_does_not_answer_is_named_with_what_to_look_at() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for question in QUESTIONS {
        let (code, out, errors) = run(port, question);
        assert_eq!((code, out.as_str(), errors.lines().count()), (2, "", 1), "{errors}");
        assert!(errors.contains(&format!("cluster http://127.0.0.1:{port}/: ")), "{errors}");
        assert!(errors.contains("is it up, and is KUBECONFIG's context the one that is meant?"), "{errors}");
    }
}

#[test]
fn a_cluster_without_the_custom_resource_says_how_to_install_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // What an API server says of a path that it does not serve. It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let body = "404 page not found\n";
            let head = "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\nconnection: close\r\n";
            let _ = write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len());
        }
    });
    for question in QUESTIONS {
        let (code, out, errors) = run(port, question);
        assert_eq!((code, out.as_str(), errors.lines().count()), (2, "", 1), "{errors}");
        assert!(errors.contains("install it: oprc-crm crd | kubectl apply -f -"), "{errors}");
    }
}

#[test]
fn what_asks_for_a_cluster_is_refused_without_it() {
    for (args, expected) in [
        (vec!["diff", "builtin", "builtin", "--namespace", "shop"], "--from-cluster"),
        (vec!["diff", "builtin", "builtin", "--from-cluster", "-A", "-n", "shop"], "cannot be used with"),
        (vec!["explain", "--from-cluster", "hello", "--record", "r.yaml"], "cannot be used with"),
        (vec!["explain", "--from-cluster", "hello", "--installed", "knative"], "cannot be used with"),
    ] {
        let (code, _, errors) = run(1, &args);
        assert_eq!(code, 2, "{args:?}");
        assert!(errors.contains(expected), "{args:?}: {errors}");
    }
}
