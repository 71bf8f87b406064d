//! The one place that writes: answers to standard output, narration to standard error.

use std::io::{self, IsTerminal, Write};

use crate::failure::{Failure, Kind};

/// Prints an answer. Whoever stops reading has seen enough: that is success.
pub(crate) fn answer(text: &str) -> Result<(), Failure> {
    answer_bytes(text.as_bytes())
}

/// Prints an answer that need not be text.
pub(crate) fn answer_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(Failure::silent(Kind::Code(0)))
        }
        written => Ok(written?),
    }
}

/// Tells what is going on. That nobody may listen is no reason to stop.
pub(crate) fn narrate(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Tells what is going on, less loudly where the terminal can.
pub(crate) fn narrate_dimmed(text: &str) {
    if colours_on_stderr() {
        narrate(&format!("\x1b[2m{}\x1b[0m\n", text.trim_end_matches('\n')));
    } else {
        narrate(text);
    }
}

/// Whether standard error is a terminal that may show colours (<https://no-color.org>).
pub(crate) fn colours_on_stderr() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard output is a terminal that may show colours.
pub(crate) fn colours_on_stdout() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether answers and narration meet on the same screen.
pub(crate) fn is_one_terminal() -> bool {
    io::stderr().is_terminal() && io::stdout().is_terminal()
}
