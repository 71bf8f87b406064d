//! Gives back pages of this program that are not in use (madvise(2)).

use std::fs;

/// Unmaps the program's own code and constants, and those of its libraries, from this process. What
/// is needed again comes back from the page cache, a fault at a time; what was needed only to start
/// does not.
pub fn release() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, length) in maps.lines().filter_map(clean_file_mapping) {
        let address = start as *mut libc::c_void;
        // SAFETY: the range is a private mapping of a file without write permission, so no page of
        // it differs from the file; MADV_DONTNEED makes the next access read it again from there.
        let _ = unsafe { libc::madvise(address, length, libc::MADV_DONTNEED) }; // only an advice
    }
}

/// Start and length of a mapping of a file that this process cannot have changed: code and
/// constants, not the relocated data, which the loader has written before protecting it.
fn clean_file_mapping(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let (_offset, _device, inode) = (fields.next()?, fields.next()?, fields.next()?);
    if permissions != "r-xp" || inode == "0" {
        return None;
    }
    let number = |text| usize::from_str_radix(text, 16).ok();
    let (start, end) = (number(start)?, number(end)?);
    Some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_given_back() {
        let line = "55d0-56d0 r-xp 0000 fe:00 12 /usr/bin/minipod";
        assert_eq!(clean_file_mapping(line), Some((0x55d0, 0x100)));
        for line in [
            "55d0-56d0 r--p 0000 fe:00 12 /usr/bin/minipod", // may have been relocated
            "55d0-56d0 rw-p 0000 fe:00 12 /usr/bin/minipod",
            "7ffd-7fff r-xp 0000 00:00 0 [vdso]",
        ] {
            assert_eq!(clean_file_mapping(line), None, "{line}");
        }
    }

    #[test]
    fn a_process_goes_on_without_its_pages() {
        release();
        assert!(!fs::read_to_string("/proc/self/maps").unwrap().is_empty());
    }
}
