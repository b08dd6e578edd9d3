//! exec, attach, run and port-forward.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use runtime::{AttachOptions, ExecOptions};
use streaming::{Accepted, Dial, Duplex, Exit, Process, Streams, TerminalSize};

use super::query::Query;
use super::{Answer, NodeServer, Refusal, running, switching, text};
use crate::pod::spec::PodExt;
use crate::pod::worker::Snapshot;

/// Sizes of a terminal that may wait; only the last one counts.
const SIZES: usize = 4;

impl NodeServer {
    pub(super) fn exec<B: Send + 'static>(
        &self,
        request: &mut Request<B>,
        pod: &Snapshot,
        container: &str,
    ) -> Answer {
        let id = running(pod, container)?;
        let query = Query::of(request.uri());
        let streams = streams(&query)?;
        let command = query.all("command");
        if command.is_empty() {
            return Err(Refusal(StatusCode::BAD_REQUEST, "you must specify at least 1 command".into()));
        }
        let options = ExecOptions {
            command,
            tty: streams.tty,
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr && !streams.tty,
        };
        let runtime = self.kubelet.context.drivers.runtime.clone();
        let edge = self.kubelet.context.drivers.edge.clone();
        self.serve(request, streams, async move {
            runtime
                .exec(&id, options)
                .await
                .map(|streams| process(streams, &edge))
                .map_err(|error| error.to_string())
        })
    }

    pub(super) fn attach<B: Send + 'static>(
        &self,
        request: &mut Request<B>,
        pod: &Snapshot,
        container: &str,
    ) -> Answer {
        let id = running(pod, container)?;
        let query = Query::of(request.uri());
        let mut streams = streams(&query)?;
        let spec = pod.pod.container(container);
        // A terminal is the container's property, not the client's.
        streams.tty = spec.is_some_and(|(_, one)| one.tty == Some(true));
        let options = AttachOptions {
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr && !streams.tty,
        };
        let runtime = self.kubelet.context.drivers.runtime.clone();
        let edge = self.kubelet.context.drivers.edge.clone();
        self.serve(request, streams, async move {
            let attached = runtime.attach(&id, options).await;
            let mut process =
                attached.map(|streams| process(streams, &edge)).map_err(|error| error.to_string())?;
            // The container's own exit code is no failure of attach.
            let exit = process.exit;
            process.exit = Box::pin(async move {
                match exit.await {
                    Exit::Code(_) => Exit::Code(0),
                    failed => failed,
                }
            });
            Ok(process)
        })
    }

    fn serve<B, S>(&self, request: &mut Request<B>, streams: Streams, start: S) -> Answer
    where
        S: Future<Output = Result<Process, String>> + Send + 'static,
    {
        let (response, accepted): (_, Accepted) = streaming::accept(request, streams)?;
        self.kubelet.context.drivers.edge.tasks.spawn(async move {
            if let Err(error) = accepted.serve(|| start).await {
                tracing::debug!(%error, "a session ended");
            }
        });
        Ok(switching(response))
    }

    pub(super) async fn run<B>(&self, request: &Request<B>, pod: &Snapshot, container: &str) -> Answer {
        let id = running(pod, container)?;
        let command = Query::of(request.uri()).get("cmd").unwrap_or_default().to_owned();
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let runtime = &self.kubelet.context.drivers.runtime;
        match runtime.exec_sync(&id, &words, Duration::ZERO).await {
            Ok(output) => {
                Ok(text(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
            }
            Err(error) => Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        }
    }

    pub(super) fn port_forward<B: Send + 'static>(&self, request: &mut Request<B>, pod: &Snapshot) -> Answer {
        let sandbox = pod.sandbox.clone().ok_or_else(|| {
            let name = format!("{}_{}", pod.pod.name(), pod.pod.namespace());
            Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("pod not found ({name:?})"))
        })?;
        let runtime = self.kubelet.context.drivers.runtime.clone();
        let dial: Dial = Arc::new(move |port| {
            let (runtime, sandbox) = (runtime.clone(), sandbox.clone());
            Box::pin(async move {
                match runtime.connect(&sandbox, port).await {
                    Ok(stream) => Ok(Box::new(stream) as Box<dyn Duplex>),
                    Err(error) => Err(format!("error forwarding port {port} to pod: {error}")),
                }
            })
        });
        let (response, session) = streaming::port_forward(request, dial)?;
        self.kubelet.context.drivers.edge.tasks.spawn(async move {
            if let Err(error) = session.await {
                tracing::debug!(%error, "a port-forward ended");
            }
        });
        Ok(switching(response))
    }
}

/// As the API server and as clients write them.
fn streams(query: &Query) -> Result<Streams, Refusal> {
    let streams = Streams {
        stdin: query.flag(&["input", "stdin"]),
        stdout: query.flag(&["output", "stdout"]),
        stderr: query.flag(&["error", "stderr"]),
        tty: query.flag(&["tty"]),
    };
    if !(streams.stdin || streams.stdout || streams.stderr) {
        return Err(Refusal(
            StatusCode::BAD_REQUEST,
            "you must specify at least 1 of stdin, stdout, stderr".into(),
        ));
    }
    Ok(streams)
}

fn process(streams: runtime::Streams, edge: &edge::Edge) -> Process {
    let (resize, mut sizes) = tokio::sync::mpsc::channel::<TerminalSize>(SIZES);
    let to = streams.resize;
    edge.tasks.spawn(async move {
        while let Some(size) = sizes.recv().await {
            if to.send(runtime::WindowSize { columns: size.width, rows: size.height }).await.is_err() {
                return;
            }
        }
    });
    let exit = streams.exit;
    Process {
        stdin: streams.stdin.map(|stdin| Box::new(stdin) as streaming::Input),
        stdout: streams.stdout.map(|stdout| Box::new(stdout) as streaming::Output),
        stderr: streams.stderr.map(|stderr| Box::new(stderr) as streaming::Output),
        resize: Some(resize),
        exit: Box::pin(async move {
            match exit.await {
                Ok(code) => Exit::Code(code),
                Err(error) => Exit::Failed(error.to_string()),
            }
        }),
    }
}
