//! Errors as Kubernetes has them.

use std::error::Error;
use std::fmt;

use crate::resource::Resource;

/// `Status` of a request that failed (Kubernetes: `metav1.Status`).
#[derive(Debug)]
pub struct ApiError {
    /// The HTTP status code.
    pub code: u16,
    /// Why, in a word that programs understand (Kubernetes: `metav1.StatusReason`).
    pub reason: &'static str,
    /// Why, as a sentence.
    pub message: String,
    /// What it is about.
    pub details: Option<Details>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The object that an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// Its kind.
    pub resource: Resource,
    /// Its name.
    pub name: String,
}

impl ApiError {
    fn about(
        (code, reason): (u16, &'static str),
        resource: Resource,
        name: &str,
        message: String,
    ) -> Self {
        let details = Some(Details { resource, name: name.to_owned() });
        Self { code, reason, message, details, source: None }
    }

    /// There is no such object.
    pub fn not_found(resource: Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.plural());
        Self::about((404, "NotFound"), resource, name, message)
    }

    /// There is an object of that name.
    pub fn already_exists(resource: Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.plural());
        Self::about((409, "AlreadyExists"), resource, name, message)
    }

    /// The object cannot be changed as it is now.
    pub fn conflict(resource: Resource, name: &str, message: String) -> Self {
        Self::about((409, "Conflict"), resource, name, message)
    }

    /// The object was changed by somebody else meanwhile.
    pub fn modified(resource: Resource, name: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please \
             apply your changes to the latest version and try again",
            resource.plural()
        );
        Self::conflict(resource, name, message)
    }

    /// The object is not valid; the sentence says all of it.
    pub fn invalid(resource: Resource, name: &str, message: String) -> Self {
        Self::about((422, "Invalid"), resource, name, message)
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code: 400, reason: "BadRequest", message, details: None, source: None }
    }

    /// What goes wrong on this side.
    pub fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = error.into();
        let message = source.to_string();
        Self { code: 500, reason: "InternalError", message, details: None, source: Some(source) }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ApiError {
    /// An internal error speaks for the one below it, whose causes are its own.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().and_then(|error| error.source())
    }
}

macro_rules! internal {
    ($($error:path),* $(,)?) => {
        $(impl From<$error> for ApiError {
            fn from(error: $error) -> Self {
                Self::internal(error)
            }
        })*
    };
}

internal!(
    crate::pods::PodsError,
    crate::object_store::ObjectError,
    crate::record::RecordError,
    crate::journal::JournalError,
    crate::follow::FollowError,
    crate::client::ClientError,
    crate::claims::ClaimError,
    crate::delete::DeleteError,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_error_has_the_words_and_the_causes_of_the_one_below() {
        let cause = std::io::Error::other("disk on fire");
        let path = "/x".into();
        let below = crate::object_store::ObjectError::File { verb: "read", path, source: cause };
        let error = ApiError::from(below);
        assert_eq!(error.to_string(), "cannot read /x");
        assert_eq!(error.source().unwrap().to_string(), "disk on fire");
        assert_eq!((error.code, error.reason), (500, "InternalError"));
    }
}
