//! Lines written one after the other to wherever they go, and what is owed where that failed: the rest of a line that
//! went out in part, and lines that did not go out at all, are marked in the chain as soon as it takes lines again.

use std::io;

use jiff::Timestamp;
use serde::Serialize;

use super::chain::{Chain, Sealed, hash};
use super::line::{Lost, Opened, Torn};

/// Form of the lines.
pub(super) const FORM: u32 = 1;

/// Name of the standard output as a place for lines.
pub(super) const STDOUT: &str = "stdout";

/// Where lines go.
pub trait Output {
    /// Makes room for so many bytes. What a new place is called that has been begun for them, or was at the start.
    fn prepare(&mut self, bytes: usize) -> io::Result<Option<Begun>>;
    /// One call; how many of the bytes went out.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Lets what was written outlive a loss of power.
    fn sync(&mut self) -> io::Result<()>;
}

/// A place for lines that has been begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its name.
    pub(super) file: String,
    /// Name of the one before.
    pub(super) previous: Option<String>,
    /// Number of the oldest line that is kept, where others are.
    pub(super) kept_since: Option<u64>,
}

/// How a place for lines ends.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The newest whole line.
    pub(super) last: Option<Chain>,
    /// What stands behind it.
    pub(super) rest: Vec<u8>,
    /// It is whole but for its end.
    pub(super) unended: bool,
}

/// What could not be written.
#[derive(Debug, Default)]
struct Owed {
    lines: u64,
    since: Option<Timestamp>,
    because: String,
}

/// A chain and where it is written.
#[derive(Debug)]
pub struct Journal<O> {
    output: O,
    instance: String,
    chain: Chain,
    /// The rest of a line that did not go out to its end.
    torn: Vec<u8>,
    /// The newest line is whole but for its end.
    unended: bool,
    /// A place has been begun and does not say so yet.
    begun: Option<Begun>,
    owed: Owed,
}

#[derive(Serialize)]
struct OpenedLine<'a> {
    opened: &'a Opened,
}

#[derive(Serialize)]
struct TornLine {
    torn: Torn,
}

#[derive(Serialize)]
struct LostLine<'a> {
    lost: &'a Lost,
}

impl<O: Output> Journal<O> {
    /// A chain that begins.
    pub fn new(output: O, instance: &str) -> Self {
        Self::continued(output, instance, Tail::default())
    }

    /// A chain that goes on after a line, behind the rest of another where there is one.
    pub(super) fn continued(output: O, instance: &str, tail: Tail) -> Self {
        let (chain, instance) = (tail.last.unwrap_or_default(), instance.to_owned());
        let Tail { rest: torn, unended, .. } = tail;
        Self { output, instance, chain, torn, unended, begun: None, owed: Owed::default() }
    }

    /// Number and hash of the newest line; `None` where there is none.
    pub fn head(&self) -> Option<(u64, &str)> {
        (self.chain.seq > 0).then_some((self.chain.seq, self.chain.head.as_str()))
    }

    /// Lines that are not written and not marked yet.
    pub fn owed(&self) -> u64 {
        self.owed.lines
    }

    /// Whether a mark is to be written.
    pub fn owes(&self) -> bool {
        self.owed.lines > 0 || self.unended || !self.torn.is_empty()
    }

    #[cfg(test)]
    pub(super) fn output(&mut self) -> &mut O {
        &mut self.output
    }

    /// Writes a line. Where that fails it is lost, and counted.
    pub fn append(&mut self, time: Timestamp, body: &impl Serialize) -> io::Result<()> {
        let written = self.put(time, body);
        if let Err(error) = &written {
            self.lose(1, time, &error.to_string());
        }
        written
    }

    /// Counts lines that never came here.
    pub fn lose(&mut self, lines: u64, time: Timestamp, because: &str) {
        self.owed.lines += lines;
        self.owed.since.get_or_insert(time);
        because.clone_into(&mut self.owed.because);
    }

    /// Writes the marks that are owed.
    pub fn mend(&mut self, time: Timestamp) -> io::Result<()> {
        if self.unended {
            self.send(b"\n").map_err(|(_, error)| error)?;
            self.unended = false;
        }
        self.mark_torn(time)?;
        self.mark_lost(time)
    }

    /// Lets what was written outlive a loss of power.
    pub fn sync(&mut self) -> io::Result<()> {
        self.output.sync()
    }

    fn put(&mut self, time: Timestamp, body: &impl Serialize) -> io::Result<()> {
        self.mend(time)?;
        self.line(time, body)
    }

    fn mark_torn(&mut self, time: Timestamp) -> io::Result<()> {
        if self.torn.is_empty() {
            return Ok(());
        }
        // The rest of the line gets the end that it lacks, in the same write as the mark.
        let end: &[u8] = if self.torn.ends_with(b"\n") { b"" } else { b"\n" };
        let rest = [&self.torn, end].concat();
        let torn = Torn { sha256: hash(&rest), bytes: rest.len() as u64 };
        let sealed = self.chain.seal((time, &self.instance), &TornLine { torn })?;
        self.write(end, sealed)?;
        self.torn.clear();
        Ok(())
    }

    fn mark_lost(&mut self, time: Timestamp) -> io::Result<()> {
        let Owed { lines, since, because } = &self.owed;
        if *lines == 0 {
            return Ok(());
        }
        let lost = Lost { lines: *lines, since: since.unwrap_or(time), because: because.clone() };
        self.line(time, &LostLine { lost: &lost })?;
        self.owed = Owed::default();
        Ok(())
    }

    fn line(&mut self, time: Timestamp, body: &impl Serialize) -> io::Result<()> {
        let sealed = self.chain.seal((time, &self.instance), body)?;
        if let Some(begun) = self.output.prepare(sealed.bytes.len())? {
            self.begun = Some(begun);
        }
        if self.begun.is_none() {
            return self.write(b"", sealed);
        }
        self.open(time)?;
        let sealed = self.chain.seal((time, &self.instance), body)?;
        self.write(b"", sealed)
    }

    /// Says that a place has been begun.
    fn open(&mut self, time: Timestamp) -> io::Result<()> {
        let Some(Begun { file, previous, kept_since }) = self.begun.clone() else { return Ok(()) };
        let program = concat!("oprc-crm ", env!("CARGO_PKG_VERSION")).to_owned();
        let kept_since = kept_since.unwrap_or(self.chain.seq + 1);
        let opened = Opened { form: FORM, program, file, previous, kept_since };
        let sealed = self.chain.seal((time, &self.instance), &OpenedLine { opened: &opened })?;
        self.write(b"", sealed)?;
        self.begun = None;
        Ok(())
    }

    /// Writes a line. What went out of one that could not be written to its end is the rest of a line.
    fn write(&mut self, end: &[u8], sealed: Sealed) -> io::Result<()> {
        let bytes = [end, &sealed.bytes].concat();
        match self.send(&bytes) {
            Ok(()) => {}
            Err((b"\n", _)) => self.unended = true,
            Err((left, error)) => {
                let written = bytes.len() - left.len();
                self.torn.extend(bytes.iter().take(written));
                return Err(error);
            }
        }
        self.chain.advance(sealed);
        Ok(())
    }

    /// One call, which takes all of it unless something is wrong. What is left then.
    fn send<'a>(&mut self, bytes: &'a [u8]) -> Result<(), (&'a [u8], io::Error)> {
        let mut left = bytes;
        while !left.is_empty() {
            match self.output.write(left) {
                Ok(0) => return Err((left, io::Error::new(io::ErrorKind::WriteZero, "nothing more goes out"))),
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((left, error)),
            }
        }
        Ok(())
    }
}
