//! Builds the control plane's programs, and Prometheus, into the user's cache.
//!
//! Safe with several builders at once (one builds, the others wait) and with one that is killed (nothing appears
//! under the final name before it is complete).

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::binaries::{self, Binaries, BinariesError, GO_MOD, GO_SUM, STAGES, STAGES_DIR};
use super::guard;

/// What is not finished yet has this prefix.
const UNFINISHED: &str = ".build-";
/// Go calls a program like the last element of its package's path; etcd's is the server.
const ETCD_AS_BUILT: &str = "server";
/// How much of what Go prints an error shows.
const SHOWN_LINES: usize = 30;

type Progress<'a> = &'a mut (dyn FnMut(String) + Send);

/// What a build works with.
#[derive(Clone, Copy)]
pub(super) struct Tools<'a> {
    pub(super) guard: &'a Path,
    pub(super) path: Option<&'a OsStr>,
}

/// Builds into `dir`, which lies in `root`.
pub(super) async fn build(
    root: &Path,
    dir: &Path,
    tools: Tools<'_>,
    progress: Progress<'_>,
) -> Result<Binaries, BinariesError> {
    let go = find_go(tools.path).ok_or(BinariesError::NoGo)?;
    fs::create_dir_all(root).map_err(at("cannot create", root))?;
    let _lock = lock(root, progress).await?;
    // Whoever held the lock may have built just this.
    if let Ok(found) = Binaries::in_dir(dir) {
        return Ok(found);
    }
    remove_unfinished(root)?;
    let work = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(root).map_err(at("cannot write to", root))?;
    let go = Go { program: go, dir: work.path().to_owned(), tools };
    let out = compile(&go, progress).await?;
    copy_stages(&go, &out, progress).await?;
    if let Err(missing) = Binaries::in_dir(&out) {
        return Err(BinariesError::Incomplete { dir: out, missing });
    }
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(at("cannot replace", dir))?;
    }
    fs::rename(&out, dir).map_err(at("cannot create", dir))?;
    Binaries::in_dir(dir).map_err(|missing| BinariesError::Incomplete { dir: dir.to_owned(), missing })
}

async fn compile(go: &Go<'_>, progress: Progress<'_>) -> Result<PathBuf, BinariesError> {
    for (name, text) in [("go.mod", GO_MOD), ("go.sum", GO_SUM)] {
        let path = go.dir.join(name);
        fs::write(&path, text).map_err(at("cannot write", &path))?;
    }
    progress("looking up the packages (the first time, this downloads them)".to_owned());
    let listed = go.run(&["list", "-deps", "tool"], &mut |line| progress(line.to_owned())).await?;
    let total = listed.lines().count();
    let out = go.dir.join("out");
    fs::create_dir(&out).map_err(at("cannot create", &out))?;
    let mut compiled = 0;
    let (ldflags, target) = (binaries::ldflags(), format!("{}/", out.display()));
    let args = ["build", "-v", "-trimpath", "-ldflags", &ldflags, "-o", &target, "tool"];
    progress(format!("compiling {total} packages; those of earlier builds are used again"));
    // -v prints each package as it is compiled.
    go.run(&args, &mut |line| {
        compiled += 1;
        progress(format!("{compiled} of {total} packages compiled: {line}"));
    })
    .await?;
    let (built, wanted) = (out.join(ETCD_AS_BUILT), out.join("etcd"));
    fs::rename(&built, &wanted).map_err(at("cannot rename", &built))?;
    Ok(out)
}

async fn copy_stages(go: &Go<'_>, out: &Path, progress: Progress<'_>) -> Result<(), BinariesError> {
    let args = ["list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"];
    let module = PathBuf::from(go.run(&args, &mut |line| progress(line.to_owned())).await?.trim());
    let stages = out.join(STAGES_DIR);
    fs::create_dir(&stages).map_err(at("cannot create", &stages))?;
    for stage in STAGES {
        let from = module.join(stage);
        let text = fs::read(&from).map_err(at("cannot read", &from))?;
        // Written, not copied: files of the module cache are read-only, and so would be the copies.
        let to = stages.join(binaries::file_name(stage));
        fs::write(&to, text).map_err(at("cannot write", &to))?;
    }
    Ok(())
}

/// Held until dropped; also the kernel lets go of it when this process ends.
async fn lock(root: &Path, progress: Progress<'_>) -> Result<File, BinariesError> {
    let path = root.join("build.lock");
    let file = File::create(&path).map_err(at("cannot create", &path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => progress("waiting for another process that builds it".to_owned()),
        Err(TryLockError::Error(source)) => return Err(at("cannot lock", &path)(source)),
    }
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked.map_err(io::Error::other).and_then(|locked| locked).map_err(at("cannot lock", &path))
}

/// What a builder that was killed left behind; nobody works on it while the lock is ours.
fn remove_unfinished(root: &Path) -> Result<(), BinariesError> {
    for entry in fs::read_dir(root).map_err(at("cannot read", root))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path()).map_err(at("cannot remove", &entry.path()))?;
        }
    }
    Ok(())
}

fn find_go(path: Option<&OsStr>) -> Option<PathBuf> {
    std::env::split_paths(path?).filter(|dir| dir.is_absolute()).map(|dir| dir.join("go")).find(|go| go.is_file())
}

struct Go<'a> {
    program: PathBuf,
    dir: PathBuf,
    tools: Tools<'a>,
}

impl Go<'_> {
    /// Runs a command in the module and returns what it prints to standard output; `line` sees standard error.
    async fn run(&self, args: &[&str], line: &mut (dyn FnMut(&str) + Send)) -> Result<String, BinariesError> {
        let name = || format!("go {}", args.join(" "));
        let failed = at("cannot run", &self.program);
        let mut command = Command::from(guard::bound(self.tools.guard));
        command.arg(&self.program).args(args).current_dir(&self.dir).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // The user's own settings must not change what is built.
        command.env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOFLAGS", "-mod=readonly").env("GO111MODULE", "on");
        command.env_remove("GOOS").env_remove("GOARCH").envs(self.tools.path.map(|path| ("PATH", path)));
        let mut child = command.spawn().map_err(&failed)?;
        let (Some(mut stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed(io::Error::other("it has no pipes")));
        };
        let mut last = VecDeque::new();
        let mut said = BufReader::new(stderr).lines();
        let mut output = String::new();
        let listen = async {
            while let Some(text) = said.next_line().await? {
                line(&text);
                if last.len() == SHOWN_LINES {
                    last.pop_front();
                }
                last.push_back(text);
            }
            Ok(())
        };
        tokio::try_join!(listen, async { stdout.read_to_string(&mut output).await.map(|_| ()) }).map_err(&failed)?;
        let status = child.wait().await.map_err(&failed)?;
        if status.success() {
            return Ok(output);
        }
        let output = Vec::from(last).join("\n");
        Err(BinariesError::Go { command: name(), status, output })
    }
}

fn at(what: &'static str, path: &Path) -> impl Fn(io::Error) -> BinariesError {
    let path = path.to_owned();
    move |source| BinariesError::File { what, path: path.clone(), source }
}
