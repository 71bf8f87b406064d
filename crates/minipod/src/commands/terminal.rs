//! The user's own terminal while a command in a container uses it.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::thread::{self, JoinHandle};

use pod_runner::client;
use pod_runner::control::TerminalSize;
use signal_hook::consts::SIGWINCH;
use signal_hook::iterator::Signals;

/// The size of the user's terminal, if there is one.
pub(super) fn size() -> Option<TerminalSize> {
    let (columns, rows) = crossterm::terminal::size().ok()?;
    Some(TerminalSize { rows, columns })
}

/// Raw mode, as long as it lives: each key goes to the command, Ctrl-C too.
#[derive(Debug)]
pub(super) struct RawMode;

impl RawMode {
    /// Switches the terminal on standard input to raw mode; without a terminal there is nothing
    /// to switch.
    pub(super) fn enter() -> Option<Self> {
        if !io::stdin().is_terminal() {
            return None;
        }
        crossterm::terminal::enable_raw_mode().ok().map(|()| Self)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = crossterm::terminal::disable_raw_mode(); // nobody is left to tell
    }
}

/// Keeps the command's terminal as large as the user's.
pub(super) fn follow_size(terminal: &File) -> io::Result<()> {
    let terminal = terminal.try_clone()?;
    let mut signals = Signals::new([SIGWINCH])?;
    thread::spawn(move || {
        for _ in &mut signals {
            if let Some(size) = size() {
                let _ = client::resize(&terminal, size); // the command may just have ended
            }
        }
    });
    Ok(())
}

/// Copies in the background until the source ends.
pub(super) fn pump(
    mut from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = vec![0; 32 * 1024];
        // An error means that one of the ends is gone, which is how copying ends.
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..count]).and_then(|()| to.flush()).is_err() {
                return;
            }
        }
    })
}
