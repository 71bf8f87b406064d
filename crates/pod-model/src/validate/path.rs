//! Where a field is, written as Kubernetes writes it.

use std::fmt::{self, Display, Formatter};

/// A path from the object down to a field: `spec.containers[0].resources.limits[cpu]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(Vec<Part>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A field of an object.
    Field(String),
    /// An item of a list.
    Index(usize),
    /// An entry of a map, whose keys are data.
    Key(String),
}

impl Path {
    /// The object itself.
    pub(crate) fn object() -> Self {
        Self(Vec::new())
    }

    /// A field of the object.
    pub(crate) fn root(name: &str) -> Self {
        Self::object().child(name)
    }

    /// A field below.
    pub(crate) fn child(&self, name: &str) -> Self {
        self.with(Part::Field(name.to_owned()))
    }

    /// An item of the list at this path.
    pub(crate) fn index(&self, at: usize) -> Self {
        self.with(Part::Index(at))
    }

    /// An entry of the map at this path.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Part::Key(key.to_owned()))
    }

    /// Its steps.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.0
    }

    fn with(&self, part: Part) -> Self {
        let mut parts = self.0.clone();
        parts.push(part);
        Self(parts)
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            match part {
                Part::Field(name) if at == 0 => f.write_str(name)?,
                Part::Field(name) => write!(f, ".{name}")?,
                Part::Index(index) => write!(f, "[{index}]")?,
                Part::Key(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
    }
}
