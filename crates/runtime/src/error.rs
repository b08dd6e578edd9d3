//! Why a call of the runtime failed, as sentences for a person who reads an
//! event of a pod.

/// A failed call.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No sandbox or container of that id.
    #[error("{what} {id} does not exist")]
    NotFound { what: &'static str, id: String },
    /// The call does not fit the state: exec in a container that has exited.
    #[error("{0}")]
    Precondition(String),
    /// The container could not be built or its command not executed. `message`
    /// is the kernel's word as the OCI runtimes put it, `reason` is `StartError`
    /// or `ContainerCannotRun`, `exit_code` 127 or 128.
    #[error("{message}")]
    Start { reason: &'static str, message: String, exit_code: i32 },
    /// A command in a container ran longer than it was given.
    #[error("command {command:?} timed out after {seconds} s")]
    Timeout { command: Vec<String>, seconds: f64 },
    /// The shim of the pod is gone or does not answer.
    #[error("the shim of sandbox {sandbox} is gone: {message}")]
    ShimGone { sandbox: String, message: String },
    /// A field has a value that cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// The kernel refused something.
    #[error("{0}")]
    System(String),
}

/// Result of a call of the runtime.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Adds what was being done to an input/output error.
    pub(crate) fn io(doing: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.to_string();
        move |error| Self::System(format!("{doing}: {error}"))
    }

    pub(crate) fn no_sandbox(id: impl std::fmt::Display) -> Self {
        Self::NotFound { what: "sandbox", id: id.to_string() }
    }

    pub(crate) fn no_container(id: impl std::fmt::Display) -> Self {
        Self::NotFound { what: "container", id: id.to_string() }
    }
}
