//! What a follower hands out, compared with what was done.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::record::PodRecord;

fn places() -> (tempfile::TempDir, Places) {
    let top = tempfile::tempdir().unwrap();
    let places = below(top.path());
    (top, places)
}

fn below(top: &Path) -> Places {
    let at = |name: &str| top.join(name);
    Places { state: at("state"), data: at("data"), logs: at("logs") }
}

/// A new pod of that name and uid in its place, as whoever creates one puts it there, with the lock
/// that its supervisor holds.
fn create(places: &Places, name: &str, uid: &str) -> (fs::File, PodRecord) {
    let dir = places.pod("default", name);
    fs::create_dir_all(places.pods()).unwrap();
    let aside = PodDir::at(places.aside("new", uid));
    fs::create_dir_all(aside.path()).unwrap();
    let lock = lock::take(&aside).unwrap();
    let mut pod = Pod::default();
    pod.metadata.namespace = Some("default".into());
    pod.metadata.name = Some(name.into());
    pod.metadata.uid = Some(uid.into());
    record::prepare(&aside, &pod).unwrap();
    fs::write(aside.uid(), uid).unwrap();
    fs::rename(aside.path(), dir.path()).unwrap();
    let mut record = PodRecord::open(places, dir).unwrap();
    record.publish(Verb::Added).unwrap();
    (lock, record)
}

fn remove(places: &Places, name: &str) {
    let settings = crate::Settings { places: places.clone(), ..crate::Settings::of_this_machine() };
    cleanup::remove_pod_dir(&settings, &places.pod("default", name)).unwrap();
}

const PODS: [Resource; 1] = [Resource::Pod];

fn told(follower: &mut Follower) -> Vec<String> {
    let text = |change: &Change| format!("{} {}", change.verb.name(), change.object.uid());
    follower.changes().unwrap().iter().map(text).collect()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Waits for the changes that are wanted, in their order.
fn wait_for(follower: &mut Follower, wanted: &[&str]) {
    let mut all = Vec::new();
    while all.len() < wanted.len() {
        assert_eq!(follower.wait(None, Some(soon())).unwrap(), Woken::Changed, "so far: {all:?}");
        all.extend(told(follower));
    }
    assert_eq!(all, wanted);
}

#[test]
fn a_pod_that_takes_the_place_of_another_is_followed_like_any_other() {
    let (_top, places) = places();
    let mut follower = Follower::new(&places, &PODS).unwrap();
    assert!(told(&mut follower).is_empty());
    let (_lock, mut first) = create(&places, "web", "first");
    wait_for(&mut follower, &["ADDED first"]);
    first.update(|pod| pod.metadata.generation = Some(2)).unwrap();
    remove(&places, "web");
    let (_lock, mut second) = create(&places, "web", "second");
    wait_for(&mut follower, &["MODIFIED first", "DELETED first", "ADDED second"]);
    second.update(|pod| pod.metadata.generation = Some(2)).unwrap();
    wait_for(&mut follower, &["MODIFIED second"]);
}

#[test]
fn the_end_of_a_supervisor_is_written_by_the_first_who_notices_and_told_to_all_once() {
    let (_top, places) = places();
    let (lock, _record) = create(&places, "web", "u");
    let mut followers: Vec<Follower> =
        (0..3).map(|_| Follower::new(&places, &PODS).unwrap()).collect();
    for follower in &mut followers {
        assert_eq!(told(follower), ["ADDED u"]);
    }
    drop(lock);
    followers.iter_mut().for_each(|follower| wait_for(follower, &["MODIFIED u"]));
    let found = Pods::new(&places).find("default", "web").unwrap().unwrap();
    assert!(pods::has_died(&found.pod) && Version::of(&found.pod.metadata).is_some());
    followers.iter_mut().for_each(|follower| assert!(told(follower).is_empty()));
}

#[test]
fn a_removal_whose_owner_was_killed_before_it_was_told_is_told() {
    let (_top, places) = places();
    let (lock, _record) = create(&places, "web", "u");
    let mut follower = Follower::new(&places, &PODS).unwrap();
    assert_eq!(told(&mut follower), ["ADDED u"]);
    fs::rename(places.pod("default", "web").path(), places.aside("removed", "u")).unwrap();
    follower.wait(None, Some(soon())).unwrap();
    assert!(told(&mut follower).is_empty(), "its owner lives, and will tell");
    drop(lock);
    wait_for(&mut follower, &["DELETED u"]);
    assert!(!places.aside("removed", "u").exists());
}

#[test]
fn a_pod_whose_directory_somebody_has_removed_is_gone() {
    let (_top, places) = places();
    let (_lock, _record) = create(&places, "web", "u");
    let mut follower = Follower::new(&places, &PODS).unwrap();
    assert_eq!(told(&mut follower), ["ADDED u"]);
    fs::remove_dir_all(places.pod("default", "web").path()).unwrap();
    wait_for(&mut follower, &["DELETED u"]);
}

#[test]
fn events_come_with_the_list_and_then_each_count_of_them() {
    let (_top, places) = places();
    let (_lock, mut record) = create(&places, "web", "u");
    let event = |count| {
        let mut event =
            k8s_openapi::api::core::v1::Event { count: Some(count), ..Default::default() };
        event.metadata.name = Some("web.1".into());
        event.involved_object.uid = Some("u".into());
        event
    };
    record.add_event(event(1)).unwrap();
    let mut follower = Follower::new(&places, &[Resource::Event]).unwrap();
    let first = follower.changes().unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].object.uid().len(), 36);
    record.add_event(event(2)).unwrap();
    follower.wait(None, Some(soon())).unwrap();
    let second = follower.changes().unwrap();
    assert_eq!((second.len(), second[0].verb), (1, Verb::Modified));
    assert!(Version::of(second[0].object.metadata()) > Version::of(first[0].object.metadata()));
    // Said again because the file could not be written, it is no news.
    record.replace_events(vec![event(2)]).unwrap();
    assert!(follower.changes().unwrap().is_empty());
}

#[test]
fn whoever_has_been_told_of_a_change_finds_it() {
    const CHANGES: i64 = 2000;
    let (_top, places) = places();
    let (_lock, mut record) = create(&places, "web", "u");
    let mut follower = Follower::new(&places, &PODS).unwrap();
    let writer = std::thread::spawn(move || {
        for number in 1..=CHANGES {
            record.update(|pod| pod.metadata.generation = Some(number)).unwrap();
        }
        record // its lock file and journal stay open until then
    });
    let mut told = 0;
    while told < CHANGES {
        follower.wait(None, Some(soon())).unwrap();
        for change in follower.changes().unwrap() {
            told = change.object.metadata().generation.unwrap_or(0);
            let found = Pods::new(&places).find("default", "web").unwrap().unwrap().pod.metadata;
            assert!(found.generation.unwrap_or(0) >= told, "{told} was told: {found:?}");
            // One that is being announced for longer than a reader waits has no version.
            let version = Version::of(&found);
            assert!(version.is_none() || version >= Version::of(change.object.metadata()));
        }
    }
    drop(writer.join().unwrap());
}

/// So many writers are killed.
const KILLED: usize = 40;
/// The variable that makes this test's program a writer.
const WRITER: &str = "MINIPOD_TEST_WRITER";
const MAPS: [Resource; 1] = [Resource::ConfigMap];

/// Changes objects until it is killed.
fn write_for_ever(top: &Path) -> ! {
    let objects = Objects::new(&below(top));
    for number in 0_u64.. {
        let name = format!("m{}", number % 3);
        let changed = objects.change("default", &name, |former: Option<&ConfigMap>| {
            let mut map = former.cloned().unwrap_or_default();
            if former.is_some() && number % 7 == 0 {
                return Ok::<_, ObjectError>(crate::object_store::Change::Remove);
            }
            map.metadata.name = Some(name.clone());
            map.metadata.uid.get_or_insert_with(crate::random::uid);
            let count = map.data.get_or_insert_default().entry("count".into()).or_default();
            *count = (count.parse::<u64>().unwrap_or(0) + 1).to_string();
            Ok(crate::object_store::Change::Store(map))
        });
        changed.unwrap();
    }
    unreachable!("it is killed before")
}

#[test]
fn list_and_watch_have_no_gap_and_no_double_however_many_write_and_are_killed() {
    if let Some(top) = std::env::var_os(WRITER) {
        write_for_ever(Path::new(&top));
    }
    let (top, places) = places();
    let this =
        "follow::tests::list_and_watch_have_no_gap_and_no_double_however_many_write_and_are_killed";
    let writer = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", this, "--nocapture"]).env(WRITER, top.path());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    // Counts of one object grow by one with each version: a gap or a double shows.
    let check = |counts: &mut BTreeMap<String, u64>, change: &Change| {
        let Object::ConfigMap(map) = &change.object else { panic!("{change:?}") };
        let count: u64 = map.data.as_ref().unwrap()["count"].parse().unwrap();
        let uid = change.object.uid().to_owned();
        match (change.verb, counts.get(&uid).copied()) {
            (Verb::Added, None) => drop(counts.insert(uid, count)),
            (Verb::Modified, Some(last)) if count == last + 1 => drop(counts.insert(uid, count)),
            (Verb::Deleted, Some(last)) if count == last => drop(counts.remove(&uid)),
            (verb, last) => panic!("{verb:?} {count} after {last:?}"),
        }
    };
    let mut oldest = Follower::new(&places, &MAPS).unwrap();
    let mut counts = BTreeMap::new();
    for _ in 0..KILLED {
        let mut writers = [writer(), writer()];
        // One that begins in the middle sees the same from there.
        let mut from_the_middle = Follower::new(&places, &MAPS).unwrap();
        let mut own_counts = BTreeMap::new();
        let mut seen = 0;
        while seen < 20 {
            assert_eq!(oldest.wait(None, Some(soon())).unwrap(), Woken::Changed);
            let changes = oldest.changes().unwrap();
            seen += changes.len();
            changes.iter().for_each(|change| check(&mut counts, change));
            let changes = from_the_middle.changes().unwrap();
            changes.iter().for_each(|change| check(&mut own_counts, change));
        }
        for writer in &mut writers {
            writer.kill().unwrap();
            assert_eq!(writer.wait().unwrap().signal(), Some(9));
        }
        let listed = Objects::new(&places).list::<ConfigMap>().unwrap(); // finishes what was begun
        oldest.changes().unwrap().iter().for_each(|change| check(&mut counts, change));
        from_the_middle.changes().unwrap().iter().for_each(|change| check(&mut own_counts, change));
        let in_list = listed.into_iter().map(|map| {
            (map.metadata.uid.unwrap(), map.data.unwrap()["count"].parse::<u64>().unwrap())
        });
        let in_list: BTreeMap<String, u64> = in_list.collect();
        assert_eq!((&counts, &own_counts), (&in_list, &in_list));
    }
}
