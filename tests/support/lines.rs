//! What a child process says, line by line.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};

/// The lines of a child's standard output and standard error, which are pipes, as they come. Somebody reads them all, so
/// the child never waits for room.
pub fn said(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    let output = Box::new(child.stdout.take().unwrap()) as Box<dyn Read + Send>;
    for pipe in [output, Box::new(child.stderr.take().unwrap())] {
        let sender = sender.clone();
        let lines = BufReader::new(pipe).lines().map_while(Result::ok);
        std::thread::spawn(move || lines.for_each(|line| drop(sender.send(line))));
    }
    lines
}
