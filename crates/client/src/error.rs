//! Why a request failed.

use std::sync::Arc;

use apimachinery::Status;

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The server refused.
    #[error("{0}")]
    Status(Box<Status>),
    /// The server was not reached, or the connection broke.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(Arc<str>),
    /// The answer is not what was asked for.
    #[error("the API server's answer cannot be read: {0}")]
    Decode(Arc<str>),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Error::Status(Box::new(status))
    }
}

impl Error {
    pub fn status(&self) -> Option<&Status> {
        match self {
            Error::Status(status) => Some(status),
            _ => None,
        }
    }

    fn has_reason(&self, reason: &str) -> bool {
        self.status().is_some_and(|status| status.reason == reason)
    }

    pub fn is_not_found(&self) -> bool {
        self.has_reason("NotFound")
    }

    pub fn is_already_exists(&self) -> bool {
        self.has_reason("AlreadyExists")
    }

    pub fn is_conflict(&self) -> bool {
        self.has_reason("Conflict")
    }

    pub fn is_forbidden(&self) -> bool {
        self.has_reason("Forbidden")
    }

    pub fn is_invalid(&self) -> bool {
        self.has_reason("Invalid")
    }

    /// The revision asked for is no longer (or not yet) to be had: list again.
    pub fn is_expired(&self) -> bool {
        self.status()
            .is_some_and(|status| status.code == 410 || status.reason == "Expired" || status.reason == "Gone")
    }

    /// The server asks to come back later.
    pub fn is_too_many_requests(&self) -> bool {
        self.status().is_some_and(|status| status.code == 429)
    }
}
