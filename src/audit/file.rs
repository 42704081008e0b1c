//! A file as a place for lines: appended to, continued after a restart, and put aside under a number when it is full.
//!
//! `PATH` is the newest, `PATH.000001` the oldest that ever was. Names that were given stay, so a header's name of the
//! file before it stays true.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::chain::{Chain, hash};
use super::journal::{Begun, Journal, Output, Tail};
use super::line::Line;

/// When a file is put aside, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a file; one line is written all the same.
    pub bytes: u64,
    /// Files that are kept besides the newest.
    pub kept: usize,
}

/// Why a file can't be the decision log.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It can't be opened or read.
    #[error("{path} can't be written: {source}")]
    Unusable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{path} is there and is no decision log; name another file, or move it away")]
    Foreign {
        /// The file.
        path: String,
    },
}

/// A file that lines are appended to.
#[derive(Debug)]
pub struct FileLog {
    path: PathBuf,
    file: File,
    size: u64,
    limits: Limits,
    begun: Option<Begun>,
}

impl FileLog {
    /// Opens a log, which goes on where it ended: the newest line is found, and what stands behind it is the rest of
    /// one that a kill cut off.
    pub fn open(path: &Path, limits: Limits, instance: &str) -> Result<Journal<Self>, OpenError> {
        let unusable = |source| OpenError::Unusable { path: path.display().to_string(), source };
        let (file, size) = append_to(path).map_err(unusable)?;
        let mut end = tail(path).map_err(unusable)?;
        if end.last.is_none() && !begins_a_line(&end.rest) {
            return Err(OpenError::Foreign { path: path.display().to_string() });
        }
        let older = aside(path).map_err(unusable)?;
        let begun = end.last.is_none().then(|| begun(path, &older));
        if let (None, Some((_, newest))) = (&end.last, older.last()) {
            // It was killed between putting the file aside and the first line of this one.
            end.last = tail(newest).map_err(unusable)?.last;
        }
        let output = Self { path: path.to_owned(), file, size, limits, begun };
        Ok(Journal::continued(output, instance, end))
    }

    /// Whether the path still leads to this file.
    fn is_there(&self) -> bool {
        let same = |own: fs::Metadata, there: fs::Metadata| (own.dev(), own.ino()) == (there.dev(), there.ino());
        match (self.file.metadata(), fs::metadata(&self.path)) {
            (Ok(own), Ok(there)) => same(own, there),
            _ => false,
        }
    }

    /// Puts the file aside, lets go of the oldest, and begins another.
    fn rotate(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        let older = aside(&self.path)?;
        let next = older.last().map_or(1, |(number, _)| number + 1);
        fs::rename(&self.path, numbered(&self.path, next))?;
        let surplus = (older.len() + 1).saturating_sub(self.limits.kept.max(1));
        for (_, oldest) in older.iter().take(surplus) {
            fs::remove_file(oldest)?;
        }
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        (self.file, self.size) = append_to(&self.path)?;
        let older = aside(&self.path)?;
        self.begun = Some(begun(&self.path, &older));
        Ok(())
    }
}

impl Output for FileLog {
    fn prepare(&mut self, bytes: usize) -> io::Result<Option<Begun>> {
        if !self.is_there() {
            // Somebody moved it or took it away; the chain goes on in a new one.
            self.begin()?;
        } else if self.size > 0 && self.size.saturating_add(bytes as u64) > self.limits.bytes {
            self.rotate()?;
            self.begin()?;
        }
        Ok(self.begun.take())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.size += written as u64;
        Ok(written)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Opens a file to append to it, and its size.
fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    Ok((file, meta.len()))
}

fn begun(path: &Path, older: &[(u64, PathBuf)]) -> Begun {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let oldest = older.first().and_then(|(_, path)| first_seq(path));
    Begun { file: name(path), previous: older.last().map(|(_, path)| name(path)), kept_since: oldest }
}

fn numbered(path: &Path, number: u64) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number:06}"));
    PathBuf::from(name)
}

/// Files that were put aside, oldest first.
fn aside(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix(&own).and_then(|rest| rest.strip_prefix('.'));
        let number = number.filter(|digits| digits.len() >= 6 && digits.bytes().all(|b| b.is_ascii_digit()));
        if let Some(number) = number.and_then(|digits| digits.parse().ok()) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Whether bytes can be the beginning of a log's first line.
fn begins_a_line(bytes: &[u8]) -> bool {
    const FIRST: &[u8] = b"{\"seq\":";
    let shared = bytes.len().min(FIRST.len());
    bytes.get(..shared) == FIRST.get(..shared)
}

fn first_seq(path: &Path) -> Option<u64> {
    let mut line = Vec::new();
    BufReader::new(File::open(path).ok()?).read_until(b'\n', &mut line).ok()?;
    Line::read(&line).ok().map(|line| line.seq)
}

/// The newest whole line of a file, and what stands behind it.
fn tail(path: &Path) -> io::Result<Tail> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut tail, mut line) = (Tail::default(), Vec::new());
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(tail);
        }
        let unended = !line.ends_with(b"\n");
        // A line that lacks nothing but its end is no torn one: it gets its end.
        let whole = if unended { [line.as_slice(), b"\n"].concat() } else { std::mem::take(&mut line) };
        match Line::read(&whole) {
            Ok(read) => {
                tail = Tail { last: Some(Chain { seq: read.seq, head: hash(&whole) }), rest: Vec::new(), unended };
            }
            Err(_) => tail.rest.extend_from_slice(if unended { &line } else { &whole }),
        }
    }
}
