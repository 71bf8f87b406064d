//! The one place that writes: answers to standard output, narration to standard error. Both are
//! text that is read; what is exact, or a container's own output, goes through functions that say so.

use std::io::{self, IsTerminal, Write};

use crate::failure::{Failure, Kind};
use crate::printable::escaped;

/// Prints an answer, without anything that a terminal would obey. Whoever stops reading has seen
/// enough: that is success.
pub(crate) fn answer(text: &str) -> Result<(), Failure> {
    answer_bytes(escaped(text).as_bytes())
}

/// Prints a value that a script may have asked for: exactly, unless it goes to a terminal.
pub(crate) fn answer_value(text: &str) -> Result<(), Failure> {
    if io::stdout().is_terminal() { answer(text) } else { answer_bytes(text.as_bytes()) }
}

/// Prints an answer as it is: a container's output, or a file.
pub(crate) fn answer_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(Failure::silent(Kind::Code(0)))
        }
        written => Ok(written?),
    }
}

/// Tells what is going on, without anything that a terminal would obey. That nobody may listen is
/// no reason to stop.
pub(crate) fn narrate(text: &str) {
    tell(&escaped(text));
}

fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Tells what is going on, less loudly where the terminal can.
pub(crate) fn narrate_dimmed(text: &str) {
    if colours_on_stderr() {
        tell(&format!("\x1b[2m{}\x1b[0m\n", escaped(text.trim_end_matches('\n'))));
    } else {
        narrate(text);
    }
}

/// Whether standard error is a terminal that may show colours.
pub(crate) fn colours_on_stderr() -> bool {
    io::stderr().is_terminal() && colours_are_wanted()
}

/// Whether standard output is a terminal that may show colours.
pub(crate) fn colours_on_stdout() -> bool {
    io::stdout().is_terminal() && colours_are_wanted()
}

/// Unless <https://no-color.org> or a terminal that knows none says otherwise.
fn colours_are_wanted() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// Whether answers and narration meet on the same screen.
pub(crate) fn is_one_terminal() -> bool {
    io::stderr().is_terminal() && io::stdout().is_terminal()
}
