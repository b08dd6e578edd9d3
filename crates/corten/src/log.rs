//! The log: for people on standard error, for machines as JSON lines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// nlink warns of each refusal of the kernel, those too that are answers (no
/// such link): what matters of them comes back as errors.
const DEFAULT: &str = "info,nlink=error";

/// Starts the log. `CORTEN_LOG` filters it, such as `debug` or `kubelet=debug,info`.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("CORTEN_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
    }
}
