//! The stored objects of this machine: ConfigMaps, Secrets, PersistentVolumeClaims.
//!
//! Each is one JSON file below the data directory. Who writes one holds the lock of its kind, so
//! that no change is lost between two programs. A change is announced in the journal of the store
//! before it is made. That another one who is killed in between has announced it is seen by what
//! they leave (`.next`, `.gone`): the next one who looks finishes it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use crate::journal::{self, Journal, JournalError, Verb, Version};
use crate::lock;
use crate::objects::StoredObject;
use crate::places::{Places, file_name};
use crate::record::{RecordError, write_by_rename};
use crate::roots;

/// Whoever holds the lock of a kind for longer than this has been stopped.
const LOCKED_FOR: Duration = Duration::from_secs(5);
/// An object that is about to be announced.
const NEXT: &str = "next";
/// An object whose end is about to be announced.
const GONE: &str = "gone";

/// Why an object cannot be stored or read.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// Its file.
    #[error("cannot {verb} {}", path.display())]
    File {
        /// What was being done.
        verb: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its file's content.
    #[error("cannot keep the object")]
    Record(#[from] RecordError),
    /// The journal of the store.
    #[error("cannot announce a change")]
    Journal(#[from] JournalError),
}

/// What becomes of an object.
#[derive(Debug)]
pub enum Change<T> {
    /// It stays as it is.
    Keep,
    /// It is stored in the place of the former one.
    Store(T),
    /// It is removed.
    Remove,
}

/// The stored objects of this machine.
#[derive(Clone, Debug)]
pub struct Objects {
    places: Places,
}

impl Objects {
    /// The objects below the data directory.
    pub fn new(places: &Places) -> Self {
        Self { places: places.clone() }
    }

    /// Where they are.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The object of that kind and name, if there is one.
    pub fn find<T: StoredObject>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<T>, ObjectError> {
        let path = self.path::<T>(namespace, name);
        if path.with_extension(NEXT).exists() || path.with_extension(GONE).exists() {
            self.finish_others::<T>()?;
        }
        read(&path)
    }

    /// Every object of that kind, in the order of their names.
    pub fn list<T: StoredObject>(&self) -> Result<Vec<T>, ObjectError> {
        let mut paths = self.files::<T>()?;
        if paths.iter().any(|path| has_extension(path, NEXT) || has_extension(path, GONE)) {
            self.finish_others::<T>()?;
            paths = self.files::<T>()?;
        }
        paths.retain(|path| has_extension(path, "json"));
        paths.sort();
        let read = |path: &PathBuf| read(path).transpose(); // one may be removed meanwhile
        paths.iter().filter_map(read).collect()
    }

    /// Changes an object: `change` is given the object as it is, if there is one, and nobody else
    /// changes it until this is done. Returns the object as it is then.
    ///
    /// # Errors
    ///
    /// Those of `change`, which then has changed nothing, and those of the files.
    pub fn change<T: StoredObject, E: From<ObjectError>>(
        &self,
        namespace: &str,
        name: &str,
        change: impl FnOnce(Option<&T>) -> Result<Change<T>, E>,
    ) -> Result<Option<T>, E> {
        let _lock = self.lock::<T>()?;
        self.finish::<T>()?;
        let path = self.path::<T>(namespace, name);
        let former: Option<T> = read(&path)?;
        match (change(former.as_ref())?, former) {
            (Change::Store(object), former) => {
                Ok(Some(self.write(&path, object, former.is_some())?))
            }
            (Change::Remove, Some(former)) => {
                self.put_aside(&path, former)?;
                Ok(None)
            }
            (Change::Keep | Change::Remove, former) => Ok(former),
        }
    }

    /// Stores an object, replacing one of the same name.
    pub fn store<T: StoredObject>(
        &self,
        namespace: &str,
        name: &str,
        object: &T,
    ) -> Result<(), ObjectError> {
        self.change(namespace, name, |_| Ok::<_, ObjectError>(Change::Store(object.clone())))?;
        Ok(())
    }

    /// Removes an object; whether it was there.
    pub fn remove<T: StoredObject>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<bool, ObjectError> {
        let mut is_there = false;
        self.change(namespace, name, |former: Option<&T>| {
            is_there = former.is_some();
            Ok::<_, ObjectError>(Change::Remove)
        })?;
        Ok(is_there)
    }

    /// Where the files of a claim are; they stay until the claim is removed.
    pub fn claim_directory(&self, namespace: &str, name: &str) -> PathBuf {
        self.places.data.join("claims").join(file_name(namespace, name))
    }

    /// Finishes what those have begun who were killed; nothing while somebody is at it.
    pub(crate) fn finish_abandoned<T: StoredObject>(&self) -> Result<(), ObjectError> {
        let file = self.open_lock::<T>()?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => self.finish::<T>(),
            Err(_) => Ok(()),
        }
    }

    fn finish_others<T: StoredObject>(&self) -> Result<(), ObjectError> {
        let _lock = self.lock::<T>()?;
        self.finish::<T>()
    }

    /// The lock of a kind, whose file is never written: nobody who watches the directory wakes.
    fn lock<T: StoredObject>(&self) -> Result<File, ObjectError> {
        let file = self.open_lock::<T>()?;
        let path = self.places.objects(T::PLURAL);
        let deadline = Instant::now() + LOCKED_FOR;
        lock::wait(file, &path, deadline).map_err(|source| ObjectError::File {
            verb: "lock",
            path,
            source,
        })
    }

    fn open_lock<T: StoredObject>(&self) -> Result<File, ObjectError> {
        let path = self.places.objects(T::PLURAL);
        roots::make_directory(&path)
            .and_then(|()| File::open(&path))
            .map_err(|source| ObjectError::File { verb: "open", path, source })
    }

    /// Does for those who were killed what they had announced; what they had not never was.
    fn finish<T: StoredObject>(&self) -> Result<(), ObjectError> {
        for path in self.files::<T>()? {
            if has_extension(&path, NEXT) {
                self.finish_write::<T>(&path)?;
            } else if has_extension(&path, GONE) {
                let object: Option<T> = read(&path)?;
                object.map_or(Ok(()), |object| self.announce_end(&path, object))?;
            }
        }
        Ok(())
    }

    fn finish_write<T: StoredObject>(&self, next: &Path) -> Result<(), ObjectError> {
        // A part of a file was not announced, either.
        if let Ok(Some(mut object)) = read::<T>(next) {
            let text = encode(&object, next)?;
            let uid = object.metadata_mut().uid.clone().unwrap_or_default();
            let last = journal::last_of(&self.places, T::RESOURCE, &uid)?;
            if let Some(entry) = last.filter(|entry| entry.text == text) {
                let text = journal::with_version(&text, entry.version);
                write_by_rename(&next.with_extension("json"), text.as_bytes())?;
            }
        }
        remove(next)
    }

    fn write<T: StoredObject>(
        &self,
        path: &Path,
        mut object: T,
        is_known: bool,
    ) -> Result<T, ObjectError> {
        object.metadata_mut().resource_version = None;
        let text = encode(&object, path)?;
        let next = path.with_extension(NEXT);
        roots::write(&next, text.as_bytes()).map_err(|source| ObjectError::File {
            verb: "write",
            path: next.clone(),
            source,
        })?;
        let verb = if is_known { Verb::Modified } else { Verb::Added };
        let metadata = object.metadata_mut();
        let uid = metadata.uid.clone().unwrap_or_default();
        let version = Journal::open(&self.places)?.append(verb, T::RESOURCE, &uid, &text)?;
        metadata.resource_version = Some(version.to_string());
        write_by_rename(path, journal::with_version(&text, version).as_bytes())?;
        remove(&next)?;
        Ok(object)
    }

    fn put_aside<T: StoredObject>(&self, path: &Path, object: T) -> Result<(), ObjectError> {
        let gone = path.with_extension(GONE);
        fs::rename(path, &gone).map_err(|source| ObjectError::File {
            verb: "remove",
            path: path.to_owned(),
            source,
        })?;
        self.announce_end(&gone, object)
    }

    fn announce_end<T: StoredObject>(&self, gone: &Path, mut object: T) -> Result<(), ObjectError> {
        object.metadata_mut().resource_version = None;
        let text = encode(&object, gone)?;
        let uid = object.metadata_mut().uid.clone().unwrap_or_default();
        // One that was killed before it removed the file is told of twice, which readers notice.
        Journal::open(&self.places)?.append(Verb::Deleted, T::RESOURCE, &uid, &text)?;
        remove(gone)
    }

    fn files<T: StoredObject>(&self) -> Result<Vec<PathBuf>, ObjectError> {
        let dir = self.places.objects(T::PLURAL);
        let failed = |source| ObjectError::File { verb: "read", path: dir.clone(), source };
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<Result<_, _>>().map_err(failed)
    }

    fn path<T: StoredObject>(&self, namespace: &str, name: &str) -> PathBuf {
        self.places.objects(T::PLURAL).join(format!("{}.json", file_name(namespace, name)))
    }
}

/// The highest version of the objects that are stored.
pub(crate) fn highest_version(places: &Places) -> Option<Version> {
    let objects = Objects::new(places);
    let of = |metadata: &mut ObjectMeta| Version::of(metadata);
    let highest = [
        highest_of::<ConfigMap>(&objects, of),
        highest_of::<Secret>(&objects, of),
        highest_of::<PersistentVolumeClaim>(&objects, of),
    ];
    highest.into_iter().max()?
}

fn highest_of<T: StoredObject>(
    objects: &Objects,
    of: impl Fn(&mut ObjectMeta) -> Option<Version>,
) -> Option<Version> {
    let paths = objects.files::<T>().unwrap_or_default();
    let found = paths.iter().filter_map(|path| read::<T>(path).ok().flatten());
    found.filter_map(|mut object| of(object.metadata_mut())).max()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn read<T: StoredObject>(path: &Path) -> Result<Option<T>, ObjectError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|source| {
            ObjectError::Record(RecordError::Garbled { path: path.to_owned(), source })
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ObjectError::File { verb: "read", path: path.to_owned(), source }),
    }
}

fn encode<T: StoredObject>(object: &T, path: &Path) -> Result<String, ObjectError> {
    serde_json::to_string(object)
        .map_err(|source| RecordError::Garbled { path: path.to_owned(), source }.into())
}

fn remove(path: &Path) -> Result<(), ObjectError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|source| ObjectError::File {
            verb: "remove",
            path: path.to_owned(),
            source,
        }),
    }
}
