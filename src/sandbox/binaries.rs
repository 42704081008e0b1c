//! Where the control plane's programs are: in a directory that the user names, in the user's cache, or not built yet.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::build::{self, Tools};

/// Names a directory that holds the programs, instead of building them.
pub const BIN_VARIABLE: &str = "OPRC_CONTROL_PLANE_BIN";

/// The module that pins the programs' versions. Part of this program, so that an installed one can build them too.
pub(super) const GO_MOD: &str = include_str!("../../tests/control-plane/go.mod");
pub(super) const GO_SUM: &str = include_str!("../../tests/control-plane/go.sum");

const PROGRAMS: [&str; 6] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "prometheus"];
/// What kwok makes of nodes and pods, as paths in its module; they lie beside the programs under their file names.
pub(super) const STAGES: [&str; 5] = [
    "kustomize/stage/node/fast/node-initialize.yaml",
    "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "kustomize/stage/pod/fast/pod-ready.yaml",
    "kustomize/stage/pod/fast/pod-complete.yaml",
    "kustomize/stage/pod/fast/pod-delete.yaml",
];
pub(super) const STAGES_DIR: &str = "stages";

/// Why the programs are not there.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    /// The directory that the user names lacks some of them.
    #[error(
        "{BIN_VARIABLE}={} lacks {}; give it a directory that holds {}, or unset it to have them built",
        .dir.display(), .missing.join(", "), contents().join(", ")
    )]
    Incomplete {
        /// The directory.
        dir: PathBuf,
        /// What is missing in it.
        missing: Vec<String>,
    },
    /// They must be built, and there is no Go.
    #[error(
        "the control plane (Kubernetes {}) is not built yet, and no `go` is found in PATH: install Go {} or newer, \
         or set {BIN_VARIABLE} to a directory that holds {}",
        kubernetes_version(), go_version(), contents().join(", ")
    )]
    NoGo,
    /// No place to keep them.
    #[error("no place to keep the control plane's programs: set XDG_CACHE_HOME or HOME, or {BIN_VARIABLE}")]
    NoCache,
    /// Go could not do it.
    #[error("building the control plane: `{command}` failed with {status}; its last words:\n{output}")]
    Go {
        /// The command.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it printed.
        output: String,
    },
    /// A file or directory of the cache.
    #[error("building the control plane: {what} {}: {source}", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
}

/// Where to look: the environment, as a value.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The directory that the user names, taken as it is.
    pub bin_dir: Option<PathBuf>,
    /// The user's cache directory.
    pub cache_home: Option<PathBuf>,
    /// Where `go` is looked for.
    pub path: Option<OsString>,
}

impl Search {
    /// What the environment says.
    pub fn from_env() -> Self {
        let given = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let home = || given("HOME").map(|home| PathBuf::from(home).join(".cache"));
        Self {
            bin_dir: given(BIN_VARIABLE).map(PathBuf::from),
            cache_home: given("XDG_CACHE_HOME").map(PathBuf::from).or_else(home),
            path: given("PATH"),
        }
    }
}

/// A directory that holds all the programs and kwok's stages.
#[derive(Debug, Clone)]
pub struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    /// Takes the directory if nothing is missing in it; else says what is.
    pub(super) fn in_dir(dir: &Path) -> Result<Self, Vec<String>> {
        let missing: Vec<String> = contents().into_iter().filter(|name| !dir.join(name).is_file()).collect();
        if missing.is_empty() { Ok(Self { dir: dir.to_owned() }) } else { Err(missing) }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(super) fn stages(&self) -> Vec<PathBuf> {
        STAGES.iter().map(|stage| self.dir.join(STAGES_DIR).join(file_name(stage))).collect()
    }
}

/// Finds the programs, or builds them; `progress` is told how the building goes, line by line. `guard` is the
/// `oprc-crm` executable, which sees to it that a build ends with this process.
pub async fn find_or_build(
    search: &Search,
    guard: &Path,
    progress: &mut (dyn FnMut(String) + Send),
) -> Result<Binaries, BinariesError> {
    if let Some(dir) = &search.bin_dir {
        return Binaries::in_dir(dir).map_err(|missing| BinariesError::Incomplete { dir: dir.clone(), missing });
    }
    let root = search.cache_home.as_ref().ok_or(BinariesError::NoCache)?.join("oprc-crm").join("control-plane");
    let dir = root.join(cache_key());
    match Binaries::in_dir(&dir) {
        Ok(found) => Ok(found),
        Err(_) => build::build(&root, &dir, Tools { guard, path: search.path.as_deref() }, progress).await,
    }
}

/// Everything that decides what is built, as the name of a directory.
pub fn cache_key() -> String {
    let mut hash = Sha256::new();
    for part in [GO_MOD, GO_SUM, &ldflags()].into_iter().chain(STAGES) {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(10).fold(String::new(), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    })
}

/// Without these the API server calls itself v0.0.0, and clients that ask for its version go astray.
pub(super) fn ldflags() -> String {
    let version = kubernetes_version();
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let set =
        [("Version", version), ("Major", major), ("Minor", minor), ("Commit", "control-plane"), ("TreeState", "clean")];
    set.iter().fold(String::from("-s -w"), |mut flags, (name, value)| {
        let _ = write!(flags, " -X k8s.io/component-base/version.git{name}={value}");
        flags
    })
}

/// The version of Kubernetes that go.mod requires.
pub fn kubernetes_version() -> &'static str {
    let required = GO_MOD.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    required.and_then(|rest| rest.split_whitespace().next()).unwrap_or_default()
}

fn go_version() -> &'static str {
    GO_MOD.lines().find_map(|line| line.strip_prefix("go ")).unwrap_or_default()
}

/// The paths of all files that a complete directory holds.
fn contents() -> Vec<String> {
    let stages = STAGES.iter().map(|stage| format!("{STAGES_DIR}/{}", file_name(stage)));
    PROGRAMS.iter().map(ToString::to_string).chain(stages).collect()
}

pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_version_comes_from_go_mod_and_reaches_the_linker() {
        assert!(kubernetes_version().starts_with("v1."), "{}", kubernetes_version());
        let flags = ldflags();
        assert!(flags.contains(&format!("gitVersion={} ", kubernetes_version())), "{flags}");
        assert!(flags.contains("gitMajor=1 "), "{flags}");
        assert!(!flags.contains("gitMinor= "), "{flags}");
        assert!(!go_version().is_empty());
    }

    #[test]
    fn a_directory_that_lacks_programs_is_an_error_that_names_them() {
        let dir = tempfile::tempdir().unwrap();
        for name in contents().iter().filter(|name| *name != "etcd" && *name != "stages/pod-ready.yaml") {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        assert_eq!(Binaries::in_dir(dir.path()).unwrap_err(), ["etcd", "stages/pod-ready.yaml"]);
        std::fs::write(dir.path().join("etcd"), "").unwrap();
        std::fs::write(dir.path().join("stages/pod-ready.yaml"), "").unwrap();
        assert_eq!(Binaries::in_dir(dir.path()).unwrap().dir(), dir.path());
    }
}
