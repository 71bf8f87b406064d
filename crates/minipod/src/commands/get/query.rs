//! What `get` is asked for.

use jiff::Timestamp;

use crate::cli::{GetArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::resource::Named;
use crate::selection;
use crate::views::output::{self, Format};
use columns::rows;
use pod_api::selectors::{FieldSelector, LabelSelector};
use pod_api::{Object, Resource};

/// Everything that the command line says, read and checked.
pub(super) struct Query<'a> {
    pub(super) args: &'a PlaceArgs,
    pub(super) get: &'a GetArgs,
    pub(super) named: Vec<Named>,
    pub(super) format: Format,
    labels: LabelSelector,
    fields: FieldSelector,
}

impl<'a> Query<'a> {
    pub(super) fn new(args: &'a PlaceArgs, get: &'a GetArgs) -> Result<Self, Failure> {
        let named = selection::named_or_described(args, &get.what, &get.files, "get")?;
        let format = output::format(get.output.as_deref(), |path| {
            std::fs::read_to_string(path).map_err(|error| {
                Failure::new(Kind::Failed, format!("error reading --template {path}, {error}"))
            })
        })?;
        let bad_request = |error: &dyn std::error::Error| Failure::of(Kind::Usage, error);
        let has_names = named.iter().any(|one| !one.names.is_empty());
        let selects = get.selector.is_some() || get.field_selector.is_some();
        if has_names && get.all_namespaces {
            let text = "a resource cannot be retrieved by name across all namespaces";
            return Err(Failure::new(Kind::Usage, text).hint("-n NAMESPACE instead of -A"));
        }
        if has_names && selects {
            let text = "name cannot be provided when a selector is specified";
            return Err(Failure::new(Kind::Usage, text));
        }
        let is_type = |kind: &String| ["normal", "warning"].contains(&kind.to_lowercase().as_str());
        if !get.types.iter().all(is_type) {
            return Err(Failure::new(Kind::Usage, "valid --types are Normal or Warning"));
        }
        let first = named.first().map_or(Resource::Pod, |one| one.resource);
        let fields = get.field_selector.as_deref().unwrap_or_default();
        Ok(Self {
            labels: LabelSelector::parse(get.selector.as_deref().unwrap_or_default())
                .map_err(|error| bad_request(&error))?,
            fields: FieldSelector::parse(fields, first.plural(), first.selectable())
                .map_err(|error| bad_request(&error))?,
            args,
            get,
            named,
            format,
        })
    }

    pub(super) fn names_one_object(&self) -> bool {
        self.named.iter().map(|one| one.names.len()).sum::<usize>() == 1
    }

    /// Where objects are looked for.
    pub(super) fn namespace_of<'n>(&'n self, named: &'n Named) -> &'n str {
        named.namespace.as_deref().unwrap_or(&self.args.namespace)
    }

    pub(super) fn is_wanted(&self, named: &Named, object: &Object) -> bool {
        let is_named = named.names.is_empty() || named.names.iter().any(|one| one == object.name());
        let is_here = self.get.all_namespaces || object.namespace() == self.namespace_of(named);
        is_named
            && is_here
            && self.labels.matches(object.metadata().labels.as_ref())
            && self.fields.matches(|name| object.field(name))
            && self.is_about(object)
    }

    /// `--for pod/NAME --types Warning`
    fn is_about(&self, object: &Object) -> bool {
        let Object::Event(event) = object else {
            return true;
        };
        let about = self.get.about.as_deref();
        let name = about.map(|about| about.rsplit('/').next().unwrap_or(about));
        let kind = event.type_.as_deref().unwrap_or_default();
        let types = &self.get.types;
        name.is_none_or(|name| event.involved_object.name.as_deref() == Some(name))
            && (types.is_empty() || types.iter().any(|one| one.eq_ignore_ascii_case(kind)))
    }

    /// The names of the columns, with those that flags add.
    pub(super) fn header(&self, resource: Resource, is_wide: bool) -> Vec<String> {
        let mut cells: Vec<String> = Vec::new();
        if self.get.all_namespaces {
            cells.push("NAMESPACE".into());
        }
        cells.extend(rows::header(resource, is_wide).into_iter().map(str::to_owned));
        for label in &self.get.label_columns {
            cells.push(label.rsplit('/').next().unwrap_or(label).to_uppercase());
        }
        if self.get.show_labels {
            cells.push("LABELS".into());
        }
        cells
    }

    /// The cells of an object, with those that flags add.
    pub(super) fn row(
        &self,
        resource: Resource,
        object: &Object,
        is_wide: bool,
        now: Timestamp,
    ) -> Vec<String> {
        let mut cells = Vec::new();
        if self.get.all_namespaces {
            cells.push(object.namespace().to_owned());
        }
        let mut own = rows::row(object, is_wide, now);
        let first = self.named.first().map(|one| one.resource);
        let is_told_apart = self.get.show_kind
            || self.named.iter().any(|one| Some(one.resource) != first)
            || self.get.what == ["all"];
        if is_told_apart && resource != Resource::Event {
            own[0] = format!("{}/{}", resource.singular(), own[0]);
        }
        cells.extend(own);
        let labels = object.metadata().labels.clone().unwrap_or_default();
        for label in &self.get.label_columns {
            cells.push(labels.get(label).cloned().unwrap_or_default());
        }
        if self.get.show_labels {
            let all: Vec<String> =
                labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            cells.push(if all.is_empty() { "<none>".to_owned() } else { all.join(",") });
        }
        cells
    }

    /// What is told when there is nothing to show.
    pub(super) fn nothing_found(&self) -> String {
        if self.get.all_namespaces {
            "No resources found\n".to_owned()
        } else {
            format!("No resources found in {} namespace.\n", self.args.namespace)
        }
    }
}
