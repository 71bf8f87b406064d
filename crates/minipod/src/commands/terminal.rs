//! The user's own terminal while a program in a container uses it.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Read, Write};
use std::thread;

use pod_api::control::TerminalSize;
use pod_api::session::{Broken, End, Input, Output, Session, Terminal};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::detach_keys::Lookout;
use crate::failure::{Failure, Kind};

/// The size of the user's terminal, if there is one that has a size.
pub(super) fn size() -> Option<TerminalSize> {
    let (columns, rows) = crossterm::terminal::size().ok()?;
    (rows > 0 && columns > 0).then_some(TerminalSize { rows, columns })
}

/// What kubectl says to who asks for a terminal and types on none.
pub(super) const NONE_THERE: &str =
    "Unable to use a TTY - input is not a terminal or the right kind of file\n";

/// Whether standard input is a terminal.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal()
}

/// Raw mode, as long as it lives: each key goes to the program, Ctrl-C too. A signal that ends or
/// stops this process restores the terminal first.
#[derive(Debug)]
pub(super) struct RawMode(signal_hook::iterator::Handle);

impl RawMode {
    /// Switches the terminal on standard input to raw mode; without a terminal there is nothing
    /// to switch.
    pub(super) fn enter() -> io::Result<Option<Self>> {
        if !is_there() {
            return Ok(None);
        }
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT])?;
        let handle = signals.handle();
        crossterm::terminal::enable_raw_mode()?;
        thread::spawn(move || {
            for signal in &mut signals {
                let switched = match signal {
                    SIGCONT => crossterm::terminal::enable_raw_mode(),
                    _ => crossterm::terminal::disable_raw_mode(),
                };
                let _ = switched; // the terminal may be what went away
                if signal != SIGCONT {
                    let _ = emulate_default_handler(signal); // these have one
                }
            }
        });
        Ok(Some(Self(handle)))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        self.0.close();
        let _ = crossterm::terminal::disable_raw_mode(); // nobody is left to tell
    }
}

/// Keeps the program's terminal as large as the user's.
pub(super) fn follow_size(terminal: Terminal) -> io::Result<()> {
    let mut signals = Signals::new([SIGWINCH])?;
    let resize = move || {
        if let Some(size) = size() {
            let _ = terminal.resize(size); // the program may just have ended
        }
    };
    resize();
    thread::spawn(move || signals.forever().for_each(|_| resize()));
    Ok(())
}

/// Passes standard input on in the background, until it ends, the program has read enough, or the
/// user leaves.
pub(super) fn pass_input(mut input: Input, mut lookout: Option<Lookout>) {
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let typed = match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => &buffer[..count],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            let (passed, leaves) = match &mut lookout {
                Some(lookout) => lookout.filter(typed),
                None => (Cow::Borrowed(typed), false),
            };
            if input.write_all(&passed).is_err() {
                return;
            }
            if leaves {
                return input.detach();
            }
        }
    });
}

/// Shows what a session writes, until its end.
pub(super) fn show(session: Session) -> Result<End, Broken> {
    session.relay(|output, bytes| match output {
        Output::Stdout => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        }
        Output::Stderr => io::stderr().lock().write_all(bytes),
    })
}

/// What a broken session means for the command. That nobody reads any more is no failure of ours.
pub(super) fn broken(error: Broken, otherwise: impl FnOnce(Broken) -> Failure) -> Failure {
    match error {
        Broken::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Failure::silent(Kind::Failed)
        }
        other => otherwise(other),
    }
}
