# Recipes for people; CI runs .ci/run.

kubeconfig := justfile_directory() / "target" / "it-kubeconfig"

default:
    @just --list

# Unit and property tests, and the policies' own tests: no control plane.
unit:
    cargo test --lib
    cargo run --quiet -- policy check policies
    cargo run --quiet -- policy test policies

# The controller on a real control plane.
crm-it:
    cargo test --test scenarios

# What a Package Manager sees.
pm-it:
    cargo test --test grpc_contract

# Every test there is.
all-it:
    cargo test

# A cluster for the tests: kind where a Docker daemon runs, else the sandbox's control plane.
it-kind-up:
    #!/usr/bin/env bash
    set -euo pipefail
    if docker info >/dev/null 2>&1; then
      command -v kind >/dev/null || { echo "a Docker daemon runs, but kind is missing: install kind" >&2; exit 1; }
      mkdir -p target
      kind create cluster --name oprc-crm --kubeconfig "{{kubeconfig}}"
      echo "using kind; kubeconfig: {{kubeconfig}}"
    else
      echo "no Docker daemon: the tests use the sandbox's control plane and start it themselves"
    fi

# The scenarios on the cluster of it-kind-up.
it-kind-test:
    #!/usr/bin/env bash
    set -euo pipefail
    if [ -f "{{kubeconfig}}" ]; then
      echo "using kind"
      OPRC_TEST_KUBECONFIG="{{kubeconfig}}" cargo test --test scenarios
    else
      echo "using the sandbox's control plane"
      cargo test --test scenarios
    fi

# Ends the cluster of it-kind-up.
it-kind-down:
    #!/usr/bin/env bash
    set -euo pipefail
    if [ -f "{{kubeconfig}}" ]; then
      kind delete cluster --name oprc-crm
      rm -f "{{kubeconfig}}"
    fi

it-kind-all: it-kind-up it-kind-test it-kind-down

# A real control plane with samples and a live table.
sandbox *ARGS:
    cargo run -- sandbox {{ARGS}}

# Writes the generated files anew.
generate:
    cargo run --quiet --bin crdgen > k8s/crds/deploymentrecords.gen.yaml
    cargo run --quiet -- crd --doc > docs/crd.md
    cargo run --quiet -- policy schema > policies/policy.schema.json
    cargo run --quiet -- policy schema --facts > docs/facts.md

# Fuzzes one target (documents, expressions or units) for so many seconds.
fuzz TARGET SECONDS="60":
    fuzz/run {{TARGET}} {{SECONDS}}

# Changes the code of each invariant of the NFR loop, line by line, and sees its test fail.
mutations PATTERN="":
    tests/mutations/run {{PATTERN}}

# Licences, sources and duplicate crates (needs cargo-deny).
deny:
    cargo deny check bans licenses sources

fmt:
    cargo fmt --all

lint:
    cargo clippy --all-targets -- -D warnings
