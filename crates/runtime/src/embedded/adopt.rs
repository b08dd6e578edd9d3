//! After a start: finding the sandboxes of an earlier program again, and
//! cleaning up behind shims that are gone.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use parking_lot::Mutex;

use super::link::Link;
use super::{Entry, Handle, Inner, Live};
use crate::protocol::{ContainerFact, Exit, Reply, Request, VERSION};
use crate::shim::namespaces;
use crate::state::{self, ContainerRecord, RunningRecord, SandboxDir, SandboxRecord};
use crate::{Error, Event, Result, SandboxId, SandboxState};

/// Takes over every sandbox of the state directory.
pub(super) async fn adopt(inner: &Arc<Inner>) -> Result<()> {
    state::finish_removals(&inner.state);
    let ids = state::sandbox_ids(&inner.state);
    futures::future::join_all(ids.into_iter().map(|id| adopt_one(inner, id))).await.into_iter().collect()
}

async fn adopt_one(inner: &Arc<Inner>, id: SandboxId) -> Result<()> {
    let directory = SandboxDir::new(&inner.state, &id);
    let Some(record) = state::read::<SandboxRecord>(&directory.record())
        .map_err(Error::io(format!("read the record of sandbox {id}")))?
    else {
        // The program was killed before it had asked for a shim.
        let _ = namespaces::release(&directory);
        return fs::remove_dir_all(directory.path())
            .map_err(Error::io(format!("remove the half-made sandbox {id}")));
    };
    let stopped = directory.stopped().exists();
    let handle = Arc::new(Handle {
        id: id.clone(),
        directory,
        config: record.config,
        created_at: record.created_at,
        live: Mutex::new(Live {
            state: if stopped { SandboxState::NotReady } else { SandboxState::Ready },
            removing: false,
            containers: BTreeMap::new(),
        }),
    });
    inner.sandboxes.lock().insert(id.clone(), handle.clone());
    match subscribe(&handle).await {
        Ok((link, facts)) => {
            read_containers(&handle, &facts)?;
            inner.follow(&handle, link);
        }
        // It lives and cannot be understood: its containers are not this program's
        // to end.
        Err(error) if !matches!(error, Error::ShimGone { .. }) => {
            tracing::error!(sandbox = %id, %error, "a sandbox is left alone");
            inner.sandboxes.lock().remove(&id);
        }
        Err(error) => {
            tracing::warn!(sandbox = %id, %error, "the shim of a sandbox is gone; what is left of the sandbox is stopped");
            read_containers(&handle, &[])?;
            let (inner, handle) = (inner.clone(), handle.clone());
            let tasks = inner.edge.tasks.clone();
            tasks.spawn_blocking(move || clean_after_shim(&inner, &handle)).await;
        }
    }
    Ok(())
}

async fn subscribe(handle: &Handle) -> Result<(Link, Vec<ContainerFact>)> {
    let gone = |e: std::io::Error| Error::ShimGone { sandbox: handle.id.to_string(), message: e.to_string() };
    let mut link = Link::connect(handle.directory.path()).await.map_err(gone)?;
    match link.call(&Request::Subscribe).await.map_err(gone)? {
        // This version and the one before are understood.
        Reply::State { version, containers, .. } if version == VERSION || version + 1 == VERSION => {
            Ok((link, containers))
        }
        Reply::State { version, .. } => Err(Error::System(format!(
            "the shim of sandbox {} speaks version {version}, this program {VERSION}; drain the pod with the program that started it",
            handle.id
        ))),
        other => Err(Error::System(format!("the shim answered {other:?} to a subscription"))),
    }
}

/// Puts together what the disk and the shim know.
fn read_containers(handle: &Handle, facts: &[ContainerFact]) -> Result<()> {
    for id in handle.directory.container_ids() {
        let directory = handle.directory.container(&id);
        let said = Error::io(format!("read the record of container {id}"));
        let Some(record) = state::read::<ContainerRecord>(&directory.record()).map_err(said)? else {
            let _ = fs::remove_dir_all(directory.path());
            continue;
        };
        let mut entry = Entry::new(record);
        let exit = state::read::<Exit>(&directory.exit())
            .map_err(Error::io(format!("read the exit of container {id}")))?;
        let fact = facts.iter().find(|fact| fact.id == id);
        match exit.or_else(|| fact.and_then(|fact| fact.exit.clone())) {
            Some(exit) => entry.ended(exit),
            None => {
                if let Some(fact) = fact {
                    (entry.pid, entry.started_at) = (fact.pid, fact.started_at);
                } else if let Ok(Some(running)) = state::read::<RunningRecord>(&directory.running()) {
                    // It ran, and no shim knows of it: ended by `clean_after_shim`.
                    (entry.pid, entry.started_at) = (running.pid, running.started_at);
                }
            }
        }
        handle.live.lock().containers.insert(id, entry);
    }
    Ok(())
}

/// Ends what a sandbox whose shim is gone still has: processes, namespaces.
/// Exits that the shim could write are kept, others are unknown.
pub(super) fn clean_after_shim(inner: &Inner, handle: &Handle) {
    let group = handle.cgroup();
    if let Ok(group) = &group {
        let _ = group.kill(10);
    }
    if let Err(message) = namespaces::release(&handle.directory) {
        tracing::warn!(sandbox = %handle.id, message, "namespaces of a sandbox without a shim could not be released");
    }
    let mut exited = Vec::new();
    {
        let mut live = handle.live.lock();
        live.state = SandboxState::NotReady;
        for (id, entry) in
            live.containers.iter_mut().filter(|(_, entry)| entry.exit.is_none() && entry.pid != 0)
        {
            let directory = handle.directory.container(id);
            let exit = state::read::<Exit>(&directory.exit()).ok().flatten().unwrap_or_else(|| Exit {
                exit_code: 137,
                started_at: entry.started_at,
                finished_at: inner.now(),
                oom_killed: false,
                reason: "ContainerStatusUnknown".into(),
                message: "The container could not be located when its shim was gone; its exit is unknown"
                    .into(),
            });
            let _ = state::write(&directory.exit(), &exit);
            let _ = fs::remove_file(directory.running());
            exited.push((id.clone(), exit.exit_code, exit.oom_killed));
            entry.ended(exit);
        }
    }
    let _ = fs::write(handle.directory.stopped(), b"");
    for (id, exit_code, oom_killed) in exited {
        let _ = inner.events.send(Event::ContainerExited {
            sandbox: handle.id.clone(),
            id,
            exit_code,
            oom_killed,
        });
    }
    let _ = inner.events.send(Event::SandboxGone { sandbox: handle.id.clone() });
}
