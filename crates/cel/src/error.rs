//! What goes wrong when an expression runs.

/// An error of an expression, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The expression's own fault: `no such key: x`. `||` and `&&` may hide it.
    #[error("{0}")]
    Failed(String),
    /// The expression cost more than it may.
    #[error("operation cancelled: actual cost limit exceeded")]
    TooExpensive,
}

impl Error {
    pub fn failed(message: impl Into<String>) -> Self {
        Error::Failed(message.into())
    }

    pub(crate) fn no_such_key(key: impl std::fmt::Display) -> Self {
        Error::Failed(format!("no such key: {key}"))
    }

    pub(crate) fn no_overload() -> Self {
        Error::failed("no such overload")
    }
}

/// What is wrong with a source text, as upstream prints it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Every problem with the line and a caret.
    #[error("{}", .0.join("\n"))]
    Source(Vec<String>),
    /// It reads well, and a part that is always the same cannot be had.
    #[error("{0}")]
    Constant(Error),
}

impl CompileError {
    /// What upstream says before it.
    pub fn what(&self) -> &'static str {
        match self {
            CompileError::Source(_) => "compilation failed",
            CompileError::Constant(_) => "program instantiation failed",
        }
    }
}
