//! The standard output as a place for lines.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

use super::journal::{Begun, Output};

/// The standard output, past its buffer: a line is one write.
#[derive(Debug)]
pub(super) struct Stdout {
    file: File,
    begun: bool,
}

impl Stdout {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { file: File::from(io::stdout().as_fd().try_clone_to_owned()?), begun: false })
    }
}

impl Output for Stdout {
    fn prepare(&mut self, _: usize) -> io::Result<Option<Begun>> {
        let first = !std::mem::replace(&mut self.begun, true);
        Ok(first.then(|| Begun { file: super::journal::STDOUT.to_owned(), previous: None, kept_since: None }))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
