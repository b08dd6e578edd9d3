//! What the program and a shim say to each other over the shim's socket.
//!
//! A message is a length (u32, little endian) and that many bytes of JSON;
//! descriptors travel beside the first byte (SCM_RIGHTS). A connection carries
//! one request at a time, answered in order; after [`Request::Subscribe`] the
//! shim sends events without being asked, after [`Request::Attach`] both sides
//! send stream frames (`attach`).
//!
//! Shims live longer than the program, so a newer program meets older shims:
//! fields may be added with defaults and requests may be added; nothing may
//! change its meaning while [`VERSION`] stays. A program accepts [`VERSION`] and
//! the one before.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{AttachOptions, ContainerId};

/// Version of the protocol that this program speaks.
pub(crate) const VERSION: u32 = 1;

/// Longest message accepted; a request carries paths and a command, no more.
pub(crate) const LONGEST: usize = 4 << 20;

/// Asked by the program.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Request {
    /// First message to a fresh shim: make and pin the sandbox's namespaces.
    Setup(Setup),
    /// Who are you, and what runs? Answered by [`Reply::State`]; events follow.
    Subscribe,
    /// Build and start a container whose bundle lies ready.
    Start(Start),
    /// Run a command in a container. Three descriptors (its standard streams)
    /// come with the message, none with a terminal.
    Exec(Exec),
    /// Connect to a container's first process.
    Attach { id: ContainerId, options: AttachOptions },
    /// Send a signal to a container's first process, or to all of its processes.
    Signal { id: ContainerId, signal: i32, all: bool },
    /// Open the log file anew.
    ReopenLog { id: ContainerId },
    /// Forget an exited container.
    Forget { id: ContainerId },
    /// Kill everything and release the namespaces; the shim goes on.
    Stop,
    /// Stop and end the shim.
    Shutdown,
}

/// Answered by the shim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Reply {
    Done,
    State {
        version: u32,
        pid: i32,
        containers: Vec<ContainerFact>,
    },
    Started {
        pid: i32,
        started_at: i64,
    },
    /// A container or command could not be started.
    StartFailed {
        message: String,
    },
    /// The command runs; with a terminal its master comes beside this.
    Executing {
        pid: i32,
    },
    /// The command ended.
    Executed {
        exit_code: i32,
    },
    Failed {
        message: String,
    },
    NotFound,
    /// Not an answer but news, on a subscribed connection.
    Event(ShimEvent),
}

/// Pushed to subscribers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ShimEvent {
    Started { id: ContainerId, pid: i32, started_at: i64 },
    Exited { id: ContainerId, exit: Exit },
    OutOfMemory { id: ContainerId },
}

/// What the shim knows of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerFact {
    pub(crate) id: ContainerId,
    pub(crate) pid: i32,
    pub(crate) started_at: i64,
    pub(crate) exit: Option<Exit>,
}

/// How a container ended; also the content of its `exit.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exit {
    pub(crate) exit_code: i32,
    #[serde(default)]
    pub(crate) started_at: i64,
    pub(crate) finished_at: i64,
    #[serde(default)]
    pub(crate) oom_killed: bool,
    /// Set when it never ran: `StartError`.
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) message: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Setup {
    pub(crate) hostname: String,
    pub(crate) host_network: bool,
    pub(crate) host_ipc: bool,
    pub(crate) share_process_namespace: bool,
    pub(crate) sysctls: Vec<(String, String)>,
    /// Size of the pod's /dev/shm in bytes.
    pub(crate) shared_memory: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Start {
    pub(crate) id: ContainerId,
    /// Absolute cgroup path.
    pub(crate) cgroup: String,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    pub(crate) stdin_once: bool,
    /// None: output is discarded.
    pub(crate) log: Option<PathBuf>,
    pub(crate) oom_score_adj: Option<i32>,
    /// Killed through the cgroup because it has no PID namespace of its own.
    #[serde(default)]
    pub(crate) shares_processes: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exec {
    pub(crate) id: ContainerId,
    pub(crate) command: Vec<String>,
    pub(crate) tty: bool,
    /// Kill the command when the connection closes (exec_sync).
    pub(crate) kill_on_close: bool,
}

/// Collects bytes until whole messages are there.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if it is whole. An error means that the other side
    /// does not speak this protocol.
    pub(crate) fn next<T: for<'a> Deserialize<'a>>(&mut self) -> Result<Option<T>, String> {
        let Some(header) = self.bytes.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*header) as usize;
        if length > LONGEST {
            return Err(format!("a message of {length} bytes is too long"));
        }
        if self.bytes.len() < 4 + length {
            return Ok(None);
        }
        let message = serde_json::from_slice(&self.bytes[4..4 + length])
            .map_err(|e| format!("message not understood: {e}"))?;
        self.bytes.drain(..4 + length);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        Ok(Some(message))
    }

    /// What came after the last whole message.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

/// A message as bytes.
pub(crate) fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut out = vec![0; 4];
    serde_json::to_writer(&mut out, message).expect("plain data into memory cannot fail");
    let length = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&length.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_any_cut() {
        let bytes = [encode(&Request::Stop), encode(&Request::Subscribe)].concat();
        for cut in 0..bytes.len() {
            let mut inbox = Inbox::default();
            let mut seen = 0;
            for part in [&bytes[..cut], &bytes[cut..]] {
                inbox.push(part);
                while inbox.next::<Request>().unwrap().is_some() {
                    seen += 1;
                }
            }
            assert_eq!(seen, 2, "cut at {cut}");
            assert!(inbox.rest().is_empty());
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        let mut inbox = Inbox::default();
        inbox.push(&[255; 8]);
        assert!(inbox.next::<Request>().is_err());
        let mut inbox = Inbox::default();
        inbox.push(&[2, 0, 0, 0, b'h', b'i']);
        assert!(inbox.next::<Request>().is_err());
    }

    #[test]
    fn an_older_shims_exit_is_understood() {
        let exit: Exit = serde_json::from_str(r#"{"exitCode":3,"finishedAt":5}"#).unwrap();
        assert_eq!((exit.exit_code, exit.finished_at, exit.oom_killed), (3, 5, false));
    }
}
