//! Somebody exchanges a path for another one all the time while containers start.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, makedev, mknodat, renameat_with};
use sandbox::{MountOptions, MountPlan, MountSource, PathKind, SubPath};

use crate::Test;
use crate::room::{Room, outcome};

pub(crate) const TESTS: &[Test] = &[
    ("a_sub_path_that_is_exchanged_shows_nothing_from_outside", exchanged_sub_path),
    ("a_mount_target_that_is_exchanged_stays_in_the_container", exchanged_target),
    ("a_host_path_that_is_exchanged_is_of_its_kind_or_not_mounted", exchanged_host_path),
];

const ROUNDS: u32 = 120;

/// Names the two paths in the process that exchanges them.
const EXCHANGE: &str = "MINIPOD_TEST_EXCHANGE";

/// Exchanges two paths until it is killed, if this is the process for that.
pub(crate) fn exchange_if_asked() {
    let Ok(paths) = std::env::var(EXCHANGE) else {
        return;
    };
    let (one, other) = paths.split_once(':').unwrap();
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).unwrap(); // or it would go on alone
    loop {
        let _ = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE); // until the test ends
    }
}

/// A process that exchanges two paths as long as this value lives.
struct Exchange(Child);

impl Exchange {
    fn of(one: &Path, other: &Path) -> Self {
        let paths = format!("{}:{}", one.display(), other.display());
        Self(Command::new("/proc/self/exe").env(EXCHANGE, paths).spawn().unwrap())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let _ = self.0.kill(); // nobody is left to tell
        let _ = self.0.wait();
    }
}

/// A volume with a directory and a link to a directory outside.
fn arena(room: &Room) {
    for directory in ["volume", "volume/dir", "outside"] {
        fs::create_dir(room.path(directory)).unwrap();
    }
    fs::write(room.path("volume/dir/file"), "inside").unwrap();
    fs::write(room.path("outside/file"), "outside").unwrap();
    symlink(room.path("outside"), room.path("volume/link")).unwrap();
}

fn outside_is_untouched(room: &Room) {
    let names: Vec<_> = fs::read_dir(room.path("outside")).unwrap().flatten().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(fs::read_to_string(room.path("outside/file")).unwrap(), "outside");
}

fn bind(room: &Room, path: &str, kind: PathKind, target: &str) -> MountPlan {
    let source = MountSource::Bind { path: room.path(path), kind, sub_path: None };
    MountPlan { source, target: target.into(), options: MountOptions::default() }
}

/// How many of the rounds ran; each printed one of these.
fn rounds(room: &Room, mounts: &[MountPlan], command: &str, fine: &[&str]) -> u32 {
    let mut ran = 0;
    for _ in 0..ROUNDS {
        let mut plan = room.plan(command);
        plan.mounts = mounts.to_vec();
        let (mut starting, output) = room.begin(&plan, sandbox::Placement::default());
        if outcome(&mut starting).is_ok() {
            let running = crate::room::Running { child: starting.into_child(), output };
            let ended = running.end();
            assert!(fine.contains(&ended.output.as_str()), "{ended:?}");
            ran += 1;
        }
    }
    ran
}

fn exchanged_sub_path() {
    let room = Room::new();
    arena(&room);
    let sub_path = |path: &str| {
        let sub_path = Some(SubPath { path: path.into(), owner: "a volume".into() });
        let source =
            MountSource::Bind { path: room.path("volume"), kind: PathKind::Directory, sub_path };
        MountPlan { source, target: "/mnt".into(), options: MountOptions::default() }
    };
    let exchange = Exchange::of(&room.path("volume/dir"), &room.path("volume/link"));
    let ran = rounds(&room, &[sub_path("dir")], "cat /mnt/file", &["inside"]);
    assert!(ran > 0, "sometimes the directory is there");
    rounds(&room, &[sub_path("dir/new/deep")], "touch /mnt/x", &[""]);
    drop(exchange);
    outside_is_untouched(&room);
}

fn exchanged_target() {
    let room = Room::new();
    arena(&room);
    fs::create_dir(room.path("other")).unwrap();
    let mounts = [
        bind(&room, "volume", PathKind::Any, "/volume"),
        bind(&room, "other", PathKind::Any, "/volume/dir/new/deep"),
    ];
    let exchange = Exchange::of(&room.path("volume/dir"), &room.path("volume/link"));
    rounds(&room, &mounts, "true", &[""]);
    drop(exchange);
    outside_is_untouched(&room);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let here = room.path("").display().to_string();
    assert!(!mounts.contains(here.trim_end_matches('/')), "nothing is mounted outside");
}

fn exchanged_host_path() {
    let room = Room::new();
    fs::create_dir(room.path("host")).unwrap();
    fs::write(room.path("host/file"), "").unwrap();
    let device = room.path("host/device");
    let mode = Mode::from_raw_mode(0o666);
    mknodat(CWD, &device, FileType::CharacterDevice, mode, makedev(1, 5)).unwrap();
    let mounts = [bind(&room, "host/file", PathKind::File, "/mnt")];
    let exchange = Exchange::of(&room.path("host/file"), &device);
    let command = "test -f /mnt || echo device";
    let ran = rounds(&room, &mounts, command, &[""]);
    drop(exchange);
    assert!(ran > 0, "sometimes the file is there");
}
