//! What the HTTP client says of a failure, without what each of its layers adds.

use std::error::Error;
use std::fmt;

/// An error of the HTTP client. It is shown as its innermost cause, because the layers above it
/// repeat that something failed. It never shows a URL, which may hold secrets.
#[derive(Debug)]
pub struct HttpError(reqwest::Error);

impl HttpError {
    /// Whether it took too long.
    pub(super) fn is_timeout(&self) -> bool {
        self.0.is_timeout()
    }

    /// Whether no connection was made.
    pub(super) fn is_connect(&self) -> bool {
        self.0.is_connect()
    }

    /// Whether the request could not even be written.
    pub(super) fn is_builder(&self) -> bool {
        self.0.is_builder()
    }

    /// The cause of that type, if there is one.
    pub(super) fn cause<T: Error + 'static>(&self) -> Option<&T> {
        self.causes().find_map(|cause| cause.downcast_ref())
    }

    fn causes(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let first: &(dyn Error + 'static) = &self.0;
        std::iter::successors(Some(first), |error: &&(dyn Error + 'static)| {
            let error: &(dyn Error + 'static) = *error;
            error.source()
        })
    }
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        Self(error.without_url())
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.causes().last().map(ToString::to_string).unwrap_or_default();
        // The number says nothing that the text does not.
        f.write_str(text.split(" (os error ").next().unwrap_or(&text))
    }
}

impl Error for HttpError {}
