//! Why a stream could not be served.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request asks for no upgrade that this server speaks (400 or 403).
    #[error("{0}")]
    BadRequest(String),
    #[error("the connection could not be upgraded: {0}")]
    Upgrade(#[from] hyper::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    /// The peer broke the rules of the framing.
    #[error("the client broke the protocol: {0}")]
    Protocol(String),
}

impl From<tokio_tungstenite::tungstenite::Error> for Error {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        match error {
            tokio_tungstenite::tungstenite::Error::Io(error) => Self::Broken(error),
            other => Self::Protocol(other.to_string()),
        }
    }
}
