//! Names without a registry: which images they may mean (containers-registries.conf(5)).

use serde::Deserialize;

use super::{Configuration, ConfigurationError};
use crate::Reference;

/// What is done about a name that may mean several images.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum ShortNameMode {
    /// It is an error.
    Enforcing,
    /// All are tried in turn. (Nobody is asked here, so these two are the same.)
    #[serde(alias = "disabled", alias = "")]
    Permissive,
}

impl Configuration {
    /// The images that a name may mean, in the order in which they are tried. One that names its
    /// registry means itself; without any configuration the registry is Docker Hub.
    pub(crate) fn candidates(
        &self,
        reference: &Reference,
    ) -> Result<Vec<Reference>, ConfigurationError> {
        if reference.names_its_registry() {
            return Ok(vec![reference.clone()]);
        }
        let short = reference.without_default();
        if let Some(target) = self.aliases.get(short).filter(|target| !target.is_empty()) {
            let full = Reference::parse(&format!("{target}{}", reference.suffix()));
            let full = full.map_err(|source| ConfigurationError::Alias {
                name: short.to_owned(),
                target: target.clone(),
                source,
            })?;
            return Ok(vec![full]);
        }
        let registries = self.search.as_deref().unwrap_or_default();
        let found: Vec<Reference> = registries
            .iter()
            .filter_map(|registry| {
                Reference::parse(&format!("{registry}/{short}{}", reference.suffix())).ok()
            })
            .collect();
        if found.len() > 1 && self.short_name_mode == Some(ShortNameMode::Enforcing) {
            let names: Vec<String> = found.iter().map(ToString::to_string).collect();
            let (name, candidates) = (short.to_owned(), names.join(", "));
            return Err(ConfigurationError::Ambiguous { name, candidates });
        }
        Ok(if found.is_empty() { vec![reference.clone()] } else { found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, image: &str) -> Vec<String> {
        let configuration: Configuration = toml::from_str(text).unwrap();
        match configuration.candidates(&Reference::parse(image).unwrap()) {
            Ok(found) => found.iter().map(ToString::to_string).collect(),
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn a_short_name_means_its_alias_or_what_the_searched_registries_have() {
        let text = r#"
            unqualified-search-registries = ["a.example", "docker.io"]
            [aliases]
            "tool" = "b.example/team/tool"
            "erased" = ""
        "#;
        let rows: &[(&str, &str, &[&str])] = &[
            ("", "busybox", &["docker.io/library/busybox:latest"]),
            (text, "tool:2", &["b.example/team/tool:2"]),
            (text, "c.example/tool", &["c.example/tool:latest"]),
            (text, "busybox:1", &["a.example/busybox:1", "docker.io/library/busybox:1"]),
            (
                text,
                "luksa/kubia",
                &["a.example/luksa/kubia:latest", "docker.io/luksa/kubia:latest"],
            ),
            (text, "erased", &["a.example/erased:latest", "docker.io/library/erased:latest"]),
        ];
        for (text, image, expected) in rows {
            assert_eq!(names(text, image), *expected, "{image}");
        }
    }

    #[test]
    fn a_short_name_that_is_ambiguous_is_an_error_where_that_is_wanted() {
        let text = "unqualified-search-registries = ['a.example', 'b.example']\n\
                    short-name-mode = 'enforcing'\n";
        let told = names(text, "x").remove(0);
        assert_eq!(told, "\"x\" may mean a.example/x:latest, b.example/x:latest");
        let one = text.replace(", 'b.example'", "");
        assert_eq!(names(&one, "x"), ["a.example/x:latest"]);
    }
}
