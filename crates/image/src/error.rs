//! Why an image could not be had, sorted as the texts of ErrImagePull need it.

/// A failed call of the image store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The text is not an image reference (kubelet: InvalidImageName).
    #[error("invalid reference format: {0}")]
    InvalidReference(String),
    /// The registry has no such repository, tag or digest, or the store none.
    #[error("failed to resolve image {reference:?}: not found{detail}")]
    NotFound { reference: String, detail: String },
    /// Credentials are missing, wrong or do not suffice.
    #[error("failed to pull image {reference:?}: authorization failed: {detail}")]
    Unauthorized { reference: String, detail: String },
    /// The registry does not answer or answers with a server's error; trying
    /// again later may help.
    #[error("failed to pull image {reference:?}: registry unavailable: {detail}")]
    Unavailable { reference: String, detail: String },
    /// Nothing in the image fits this machine.
    #[error("no image of {reference:?} for platform {platform}")]
    NoPlatform { reference: String, platform: String },
    /// Content is not what its digest, size or format says.
    #[error("damaged image content: {0}")]
    Damaged(String),
    /// The image is used by a container, or a name means several.
    #[error("{0}")]
    Conflict(String),
    /// The kernel or the disk refused something.
    #[error("{0}")]
    System(String),
}

/// Result of a call of the image store.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Adds what was being done to an input/output error.
    pub(crate) fn io(doing: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.to_string();
        move |error| Self::System(format!("{doing}: {error}"))
    }
}
