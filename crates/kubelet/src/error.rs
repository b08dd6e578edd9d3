//! Why the node could not do something as a whole. What goes wrong with one
//! pod is no error here but a reason in that pod's status.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the node cannot be registered: {0}")]
    Register(client::Error),
    #[error("{what} of the node: {source}")]
    Machine { what: String, source: std::io::Error },
    #[error("the containers of this node cannot be listed: {0}")]
    Runtime(String),
}

impl Error {
    pub(crate) fn machine(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Machine { what, source }
    }
}
