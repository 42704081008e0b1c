//! How far it is, on a terminal.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many classes are played, on a terminal and where there are several.
pub(super) struct Progress {
    of: usize,
    done: AtomicUsize,
}

impl Progress {
    pub(super) fn new(of: usize) -> Self {
        Self { of: if is_seen() && of > 1 { of } else { 0 }, done: AtomicUsize::new(0) }
    }

    pub(super) fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.of > 0 {
            eprint!("\r{}", bar(done, self.of));
        }
    }

    pub(super) fn end(&self) {
        if self.of > 0 {
            clear();
        }
    }
}

/// A line about what takes its time, where somebody sees it; the next of them takes its place.
pub(super) fn line(text: &str) {
    if is_seen() {
        eprint!("\r\x1b[K{text}");
    }
}

/// Takes the line away.
pub(super) fn clear() {
    if is_seen() {
        eprint!("\r\x1b[K");
    }
}

fn is_seen() -> bool {
    std::io::stderr().is_terminal()
}

/// So many of all, as a bar and as numbers.
fn bar(done: usize, of: usize) -> String {
    const WIDTH: usize = 30;
    let full = (done.min(of) * WIDTH).checked_div(of).unwrap_or(WIDTH);
    format!("[{}{}] {done} of {of} classes", "#".repeat(full), "-".repeat(WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn the_bar_is_as_long_as_what_is_done() {
        assert_eq!(bar(0, 7), "[------------------------------] 0 of 7 classes");
        assert_eq!(bar(3, 7), "[############------------------] 3 of 7 classes");
        assert_eq!(bar(7, 7), "[##############################] 7 of 7 classes");
    }
}
