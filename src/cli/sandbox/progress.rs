//! The steps of a start, on standard error. On a terminal they share one line, which is gone when all is up.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::sandbox::Step;
use crate::sandbox::show::fit_terminal;

/// How often a build speaks where it is not shown on a terminal.
const BUILD_LINE_PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    terminal: bool,
    /// The line of the terminal holds a step.
    open: bool,
    last_build_line: Option<Instant>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), open: false, last_build_line: None }
    }

    pub(super) fn show(&mut self, step: &Step) {
        let building = matches!(step, Step::Building(_));
        if self.terminal {
            self.open = true;
            write(&format!("\r\x1b[K{}", fit_terminal(&format!("  {step}"))));
        } else if !building || self.last_build_line.is_none_or(|last| last.elapsed() >= BUILD_LINE_PAUSE) {
            self.last_build_line = building.then(Instant::now);
            write(&format!("{step}\n"));
        }
    }

    /// Leaves the line empty for whatever comes next.
    pub(super) fn done(&mut self) {
        if std::mem::take(&mut self.open) {
            write("\r\x1b[K");
        }
    }

    /// The end takes a moment, and a terminal shows `^C` where the cursor was.
    pub(super) fn interrupted(&self) {
        write(if self.terminal { "\r\x1b[K  ending the sandbox\n" } else { "ending the sandbox\n" });
    }
}

/// Nobody but the reader is hurt by a line that cannot be written.
fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}
