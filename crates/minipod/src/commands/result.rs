//! What is printed of objects that were made or changed: a sentence each, or the objects.

use pod_api::{Api, Object};
use serde_json::Value;

use crate::cli::{DryRun, ResultArgs};
use crate::failure::Failure;
use crate::screen;
use crate::views::output::{self, Format};

/// Prints what `-o` asks for.
pub(super) struct Printer {
    dry_run: DryRun,
    format: Option<Format>,
    objects: Vec<Value>,
}

impl Printer {
    pub(super) fn new(args: &ResultArgs) -> Result<Self, Failure> {
        let format = output::of_result(args.output.as_deref())?;
        Ok(Self { dry_run: args.dry_run.mode, format, objects: Vec::new() })
    }

    /// Tells of one object what became of it, in one word, or keeps it until all are there.
    pub(super) fn print(&mut self, object: Object, verb: &str, api: &Api) -> Result<(), Failure> {
        let name = format!("{}/{}", object.resource().singular(), object.name());
        match self.format {
            None => screen::answer(&format!("{name} {verb}{}\n", self.dry_run.ending())),
            Some(Format::Name) => screen::answer(&format!("{name}\n")),
            Some(_) => {
                let stored = if self.dry_run.is_dry() {
                    None
                } else {
                    api.find(object.resource(), object.namespace(), object.name())?
                };
                self.objects.push(stored.unwrap_or(object).value());
                Ok(())
            }
        }
    }

    /// Prints the objects: one as it is, several as a list.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self.format {
            Some(format) if !self.objects.is_empty() => {
                output::show(&output::document(self.objects, true, &format, true)?, &format)
            }
            _ => Ok(()),
        }
    }
}
