//! Objects in, objects or an error out.

use std::fs::File;
use std::io;
use std::process::{Child, Command};

use super::*;
use crate::journal::Version;
use crate::places::PodDir;

/// A machine on which every supervisor ends at once.
#[derive(Debug)]
struct Idle;

impl Machine for Idle {
    fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }

    fn start_supervisor(&self, _dir: &PodDir, _lock: File, _log: File) -> io::Result<Child> {
        Command::new("true").spawn()
    }

    fn release(
        &self,
        _settings: &Settings,
        _uid: &str,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}

fn api() -> (tempfile::TempDir, Api) {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    let places = Places { state: at("state"), data: at("data"), logs: at("logs") };
    let settings = Settings { places, ..Settings::of_this_machine() };
    (top, Api::new(settings, Arc::new(Idle)))
}

fn parsed(text: &str) -> pod_model::Object {
    let source = pod_model::Source { name: "test", text };
    let parsed = pod_model::parse(&source, &pod_model::ParseOptions::default()).unwrap();
    parsed.objects.into_iter().next().unwrap()
}

fn map(value: &str) -> pod_model::Object {
    parsed(&format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m}}, data: {{a: '{value}'}}}}"
    ))
}

#[test]
fn an_object_is_created_changed_and_left_as_it_is() {
    let (_top, api) = api();
    let apply = |value| api.apply(&map(value), Existing::Update, false).unwrap();
    let first = apply("1");
    assert_eq!(first.outcome, Outcome::Created);
    let second = apply("2");
    assert_eq!(second.outcome, Outcome::Configured);
    assert_eq!(second.object.uid(), first.object.uid());
    let third = apply("2");
    assert_eq!(third.outcome, Outcome::Unchanged);
    let version = |applied: &Applied| Version::of(applied.object.metadata()).unwrap();
    assert!(version(&first) < version(&second) && version(&second) == version(&third));
    let error = api.apply(&map("3"), Existing::Refuse, false).unwrap_err();
    assert_eq!((error.code, error.reason), (409, "AlreadyExists"));
    assert_eq!(error.to_string(), "configmaps \"m\" already exists");
    assert!(matches!(api.delete(Resource::ConfigMap, "default", "m", None), Ok(Deleted::Gone)));
    let error = api.get(Resource::ConfigMap, "default", "m").unwrap_err();
    assert_eq!((error.code, error.reason), (404, "NotFound"));
}

#[test]
fn who_changes_what_somebody_else_has_changed_meanwhile_is_told() {
    let (_top, api) = api();
    let stale = api.apply(&map("1"), Existing::Update, false).unwrap().object;
    let fresh = api.apply(&map("2"), Existing::Update, false).unwrap().object;
    let error = api.update(&stale, false).unwrap_err();
    assert_eq!((error.code, error.reason), (409, "Conflict"));
    assert!(error.to_string().starts_with("Operation cannot be fulfilled on configmaps \"m\""));
    assert_eq!(api.update(&fresh, false).unwrap().outcome, Outcome::Unchanged);
    api.delete(Resource::ConfigMap, "default", "m", None).unwrap();
    assert_eq!(api.update(&fresh, false).unwrap_err().reason, "NotFound");
}

#[test]
fn a_dry_run_changes_nothing() {
    let (_top, api) = api();
    let tried = api.apply(&map("1"), Existing::Update, true).unwrap();
    assert_eq!(tried.outcome, Outcome::Created);
    assert!(api.find(Resource::ConfigMap, "default", "m").unwrap().is_none());
}

#[test]
fn a_pod_is_listed_with_its_version_from_its_creation_to_its_end() {
    let (_top, api) = api();
    let pod = parsed(
        "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {a: b}},
          spec: {containers: [{name: c, image: i}]}}",
    );
    let mut follower = api.follow(&[Resource::Pod]).unwrap();
    assert!(follower.changes().unwrap().is_empty());
    let applied = api.apply(&pod, Existing::Refuse, false).unwrap();
    applied.launched.unwrap().supervisor.wait().unwrap();
    let error = api.apply(&pod, Existing::Refuse, false).unwrap_err();
    assert_eq!(error.reason, "AlreadyExists");
    // Its supervisor has ended without a word.
    let found = api.get(Resource::Pod, "default", "p").unwrap();
    assert_eq!(found.field("status.phase"), "Failed");
    let labels = LabelSelector::parse("a=b").unwrap();
    let meant = Selection { labels, ..Selection::of(Some("default")) };
    assert_eq!(api.list(Resource::Pod, &meant).unwrap().len(), 1);
    let Deleted::Pod(deletion) = api.delete(Resource::Pod, "default", "p", None).unwrap() else {
        panic!("it is a pod");
    };
    deletion.wait(api.machine()).unwrap();
    let told = follower.changes().unwrap();
    let told: Vec<&str> = told.iter().map(|change| change.verb.name()).collect();
    assert_eq!(told, ["ADDED", "MODIFIED", "DELETED"]);
}
