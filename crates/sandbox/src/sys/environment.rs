//! The environment that this program was started with (`proc_pid_environ(5)`).

use std::fs;
use std::io;

/// Erases it, in this process alone. Whoever may look into the process finds it no more, and the
/// process itself has an empty environment.
pub(crate) fn erase() -> io::Result<()> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (start, end) = range(&stat).ok_or(io::ErrorKind::InvalidData)?;
    let memory = start as *mut u8;
    // SAFETY: the kernel says that its copy of the environment is between these addresses, on the
    // stack that the program began with, which is writable and stays mapped. What reads it by
    // pointers from there (getenv(3)) finds empty strings; nobody holds a reference into it.
    unsafe { memory.write_bytes(0, end - start) };
    Ok(())
}

/// `env_start` and `env_end` (`proc_pid_stat(5)`); the name before may have blanks in it.
fn range(stat: &str) -> Option<(usize, usize)> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let start = fields.nth(47)?.trim().parse().ok()?;
    let end = fields.next()?.trim().parse().ok()?;
    (start != 0 && end >= start).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_the_environment_is_found_behind_any_name() {
        let numbers: Vec<String> = (3..=52).map(|number| number.to_string()).collect();
        let stat = format!("7 (a) b) {}\n", numbers.join(" "));
        assert_eq!(range(&stat), Some((50, 51)));
        assert_eq!(range("7 (a) S 0"), None);
    }
}
