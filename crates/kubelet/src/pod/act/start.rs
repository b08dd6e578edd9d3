//! Making and starting one instance of a container.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::Image;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use runtime::{ContainerId, ContainerStatus};

use super::{Job, StartFailure, Target};
use crate::container::config::{self, Resolved};
use crate::container::env_file::{self, EnvFiles};
use crate::container::mounts::{self, Places};
use crate::container::{env, security};
use crate::pod::record::{Condemned, ContainerRecord, Exit, ImageStep, Instance};
use crate::pod::spec::PodExt;
use crate::{references, services};

/// Most bytes of a termination message, and of a log that stands in for it.
const LONGEST_MESSAGE: usize = 4096;
const LONGEST_LOG_TAIL: u64 = 2048;
const MOST_LOG_LINES: usize = 80;

fn config_error(message: impl Into<String>) -> StartFailure {
    StartFailure { reason: "CreateContainerConfigError", message: message.into(), ran: false }
}

fn create_error(message: impl Into<String>) -> StartFailure {
    StartFailure { reason: "CreateContainerError", message: message.into(), ran: false }
}

impl Job {
    /// Runs until the container runs and its postStart hook is done.
    pub(super) async fn start(
        &self,
        name: &str,
        own: ContainerRecord,
        target: Option<Target>,
    ) -> Result<(), StartFailure> {
        let done = self.try_start(name, own, target).await;
        if let Err(failure) = &done
            && failure.reason != "PostStartHookError"
        {
            self.events.of(name).warning("Failed", format!("Error: {}", failure.message));
        }
        done
    }

    async fn try_start(
        &self,
        name: &str,
        own: ContainerRecord,
        target: Option<Target>,
    ) -> Result<(), StartFailure> {
        let Some((_, container)) = self.pod.container(name) else {
            return Err(config_error("the container is gone"));
        };
        let container = &*container;
        let ImageStep::Present(image) = &own.image else { return Err(config_error("the image is gone")) };
        let Some(sandbox) = &self.sandbox else { return Err(create_error("the pod's sandbox is gone")) };
        let attempt = match (&own.current, own.last.is_some() || own.restarts > 0) {
            (Some(current), _) => current.attempt + 1,
            (None, true) => own.restarts + 1,
            (None, false) => 0,
        };
        let target = match target {
            None => None,
            Some(Target { instance: Some(id), .. }) => Some(id),
            Some(Target { name, instance: None }) => {
                return Err(config_error(format!("unable to find target container {name}")));
            }
        };
        self.forget_older(name, &own).await;
        let id = ContainerId::random(self.context.drivers.edge.random.as_ref());
        let resolved = self.resolve(container, image, id.clone(), attempt, target).await;
        let (wanted, image_id) = match resolved {
            Ok(resolved) => resolved,
            Err(failure) => {
                let _ = self.context.drivers.images.release(id.as_str()).await;
                return Err(failure);
            }
        };
        let user = security::status_user(&wanted.user);
        let (image_name, _) = config::image_names(image, container.image.as_deref().unwrap_or_default());
        let runtime = &self.context.drivers.runtime;
        if let Err(error) = runtime.create_container(sandbox, wanted).await {
            let _ = self.context.drivers.images.release(id.as_str()).await;
            return Err(create_error(error.to_string()));
        }
        let events = self.events.of(name);
        events.normal("Created", "Container created");
        let mut instance = Instance {
            id: id.clone(),
            attempt,
            image_id,
            image: image_name,
            started: None,
            exit: None,
            startup_passed: container.startup_probe.is_none(),
            ready: container.readiness_probe.is_none(),
            condemned: None,
            user: Some(user),
        };
        if let Err(error) = runtime.start_container(&id).await {
            instance.exit = match runtime.status(&id).await {
                Ok(status) => Some(read_exit(&self.pod, container, &status)),
                Err(_) => None,
            };
            instance.exit.get_or_insert_with(|| Exit {
                id: Some(id.clone()),
                code: 128,
                reason: "StartError".into(),
                message: error.to_string(),
                started: None,
                finished: self.context.now(),
            });
            self.tell_started(name, instance);
            return Err(StartFailure { reason: "RunContainerError", message: error.to_string(), ran: true });
        }
        instance.started = Some(self.context.now());
        events.normal("Started", "Container started");
        self.tell_started(name, instance.clone());
        self.post_start(container, &instance).await
    }

    async fn post_start(&self, container: &Container, instance: &Instance) -> Result<(), StartFailure> {
        let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
        let Some(hook) = hook else { return Ok(()) };
        let Err(why) = self.run_hook(container, &instance.id, hook, None).await else { return Ok(()) };
        self.events
            .of(&container.name)
            .warning("FailedPostStartHook", format!("PostStartHook failed: {why}"));
        let condemned = Condemned {
            message: "FailedPostStartHook".into(),
            grace_seconds: self.pod.grace_seconds(),
            since: self.context.now(),
        };
        let _ = self.mailbox.send(super::super::worker::Message::Condemned {
            container: container.name.clone(),
            id: instance.id.clone(),
            condemned,
        });
        Err(StartFailure { reason: "PostStartHookError", message: why, ran: true })
    }

    /// Removes the instance before the last: one old log is enough.
    async fn forget_older(&self, name: &str, own: &ContainerRecord) {
        let Some(old) = own.last.as_ref().and_then(|exit| exit.id.clone()) else { return };
        let drivers = &self.context.drivers;
        let _ = drivers.runtime.remove_container(&old).await;
        let _ = drivers.images.release(old.as_str()).await;
        if let Some(attempt) = own.current.as_ref().and_then(|current| current.attempt.checked_sub(1)) {
            let logs = self.context.pod_logs(&self.pod).join(name);
            self.context.blocking(move |_| crate::logs::remove(&logs, attempt)).await;
        }
    }

    /// Reads what other containers have written for this one.
    async fn env_files(&self, container: &Container) -> EnvFiles {
        let wanted = env_file::wanted(container);
        if wanted.is_empty() {
            return EnvFiles::new();
        }
        let pod = self.pod.clone();
        let read = self.context.blocking(move |context| {
            let volumes = context.volumes.places(&pod);
            let known = wanted.into_iter().filter_map(|(volume, path)| {
                let read = crate::volumes::read_file(volumes.get(&volume)?, &path);
                let text = read.map_err(|error| format!("couldn't parse env file: {path}: {error}"));
                Some(((volume, path), text))
            });
            known.collect()
        });
        read.await.unwrap_or_default()
    }

    async fn resolve(
        &self,
        container: &Container,
        image: &Arc<Image>,
        id: ContainerId,
        attempt: u32,
        target: Option<ContainerId>,
    ) -> Result<(runtime::ContainerConfig, String), StartFailure> {
        let context = &self.context;
        let pod = &self.pod;
        let payloads = context.references.fetch(pod.namespace(), references::of_container(container)).await;
        let payloads = payloads.map_err(config_error)?;
        context.services.synced().await;
        let links = pod.spec().enable_service_links != Some(false);
        let services = services::visible(&context.services.list(), pod.namespace(), links);
        let facts = context.facts(pod, &self.addresses);
        let files = self.env_files(container).await;
        let env =
            env::environment(pod, container, &facts, &payloads, &files, &services).map_err(config_error)?;
        security::check_non_root(pod, container, &image.config.user).map_err(config_error)?;
        let images = &context.drivers.images;
        let rootfs =
            images.prepare(&image.id, id.as_str()).await.map_err(|error| create_error(error.to_string()))?;
        let wanted = security::wanted_user(pod, container, &image.config.user);
        let user =
            images.user(&rootfs, &wanted.text).await.map_err(|error| create_error(error.to_string()))?;
        let user = security::with_groups(user, &wanted);
        let lookup = |name: &str| env.iter().find(|(one, _)| one == name).map(|(_, value)| value.clone());
        let parts = mounts::sub_paths(container, lookup).map_err(config_error)?;
        let prepared = {
            let (pod, container) = (pod.clone(), container.clone());
            context.blocking(move |context| prepare_places(context, &pod, &container, attempt, &parts)).await
        };
        let (places, profile) =
            prepared.unwrap_or_else(|| Err("the program stops".into())).map_err(config_error)?;
        let mounts = mounts::mounts(container, &places).map_err(config_error)?;
        let (_, image_id) = config::image_names(image, container.image.as_deref().unwrap_or_default());
        let resolved = Resolved {
            pod,
            container,
            attempt,
            id,
            image,
            image_id: image_id.clone(),
            rootfs,
            env,
            user,
            target,
            rights: security::rights(pod, container, profile),
            mounts,
            memory_capacity: context.capacity.memory_bytes,
        };
        Ok((config::config(resolved), image_id))
    }
}

/// The file into which a container writes its last words.
fn termination_log(directory: &Path, container: &str, attempt: u32) -> PathBuf {
    directory.join("containers").join(container).join(attempt.to_string())
}

/// Makes and finds what is mounted; also reads the seccomp profile.
fn prepare_places(
    context: &crate::context::Context,
    pod: &Pod,
    container: &Container,
    attempt: u32,
    parts: &[mounts::SubPath],
) -> Result<(Places, Option<String>), String> {
    let directory = context.volumes.pod_directory(pod.uid());
    let volumes = context.volumes.places(pod);
    let mut sub_paths = std::collections::BTreeMap::new();
    for part in parts {
        let volume =
            volumes.get(&part.volume).ok_or_else(|| format!("cannot find volume {:?}", part.volume))?;
        let place =
            context.volumes.bind_sub_path(pod.uid(), &container.name, volume, part).map_err(|error| {
                format!(
                    "failed to prepare subPath for volumeMount {:?} of container {:?}: {error}",
                    part.volume, container.name
                )
            })?;
        sub_paths.insert(part.index, place);
    }
    let log = termination_log(&directory, &container.name, attempt);
    let make = || -> std::io::Result<()> {
        if let Some(parent) = log.parent() {
            fs::create_dir_all(parent)?;
        }
        OpenOptions::new().write(true).create(true).truncate(true).open(&log)?;
        // Whoever the container runs as may write.
        fs::set_permissions(&log, fs::Permissions::from_mode(0o666))
    };
    make().map_err(|error| format!("the termination log cannot be made: {error}"))?;
    let profile = match security::localhost_profile(pod, container) {
        None => None,
        Some(name) => {
            let path = context.config.root.join("seccomp").join(name);
            let text = fs::read_to_string(&path).map_err(|error| {
                format!("cannot load seccomp profile {:?}: {error}", path.display().to_string())
            })?;
            Some(text)
        }
    };
    let existing = |name: &str| Some(directory.join(name)).filter(|path| path.exists());
    let shm = match pod.spec().host_ipc {
        Some(true) => Some(PathBuf::from("/dev/shm")),
        _ => existing("shm"),
    };
    let places = Places {
        volumes,
        sub_paths,
        hosts: existing("etc-hosts"),
        resolv_conf: existing("resolv.conf"),
        hostname: existing("hostname"),
        termination_log: Some(log),
        shm,
    };
    Ok((places, profile))
}

/// How the container ended, with its last words.
pub fn read_exit(pod: &Pod, container: &Container, status: &ContainerStatus) -> Exit {
    let time = |nanoseconds: i64| {
        (nanoseconds > 0).then(|| Timestamp::from_nanosecond(nanoseconds.into()).ok()).flatten()
    };
    let mut message = status.message.clone();
    if message.is_empty() {
        message = last_words(container, status);
    }
    let finished =
        time(status.finished_at).or_else(|| time(status.created_at)).unwrap_or(Timestamp::UNIX_EPOCH);
    tracing::debug!(
        pod = pod.display(),
        container = container.name,
        code = status.exit_code,
        "a container ended"
    );
    Exit {
        id: Some(status.id.clone()),
        code: status.exit_code,
        reason: if !status.reason.is_empty() {
            status.reason.clone()
        } else {
            if status.exit_code == 0 { "Completed" } else { "Error" }.into()
        },
        message,
        started: time(status.started_at),
        finished,
    }
}

fn last_words(container: &Container, status: &ContainerStatus) -> String {
    let target = container.termination_message_path.as_deref().unwrap_or("/dev/termination-log");
    let file = status.config.mounts.iter().find(|mount| mount.target == Path::new(target));
    let mut text = Vec::new();
    if let Some(mount) = file
        && let Ok(file) = fs::File::open(&mount.source)
    {
        let _ = file.take(LONGEST_MESSAGE as u64).read_to_end(&mut text);
    }
    let falls_back = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
    if text.is_empty()
        && falls_back
        && status.exit_code != 0
        && let Some(log) = &status.log_path
    {
        return log_tail(log).unwrap_or_default();
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The last lines of a log without their time and stream.
fn log_tail(path: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_LOG_TAIL * 2)))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let tail = last_lines(&text);
    let cut = tail.len().saturating_sub(LONGEST_LOG_TAIL as usize);
    Ok(tail[tail.ceil_char_boundary(cut)..].to_owned())
}

/// The text of the last records; a line that never ended has no end here either.
fn last_lines(records: &str) -> String {
    let records: Vec<(&str, &str)> = records
        .lines()
        .filter_map(|record| {
            let mut parts = record.splitn(4, ' ').skip(2);
            Some((parts.next()?, parts.next()?))
        })
        .collect();
    let last = &records[records.len().saturating_sub(MOST_LOG_LINES)..];
    last.iter().flat_map(|(tag, line)| [*line, if tag.starts_with('P') { "" } else { "\n" }]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_as_it_was_written() {
        let log = "T stdout F one\nT stderr P tw\nT stdout F o\nT stdout P DONE\n";
        assert_eq!(last_lines(log), "one\ntwo\nDONE");
        assert_eq!(last_lines(""), "");
        let many = "T stdout F x\n".repeat(MOST_LOG_LINES + 1);
        assert_eq!(last_lines(&many).lines().count(), MOST_LOG_LINES);
    }
}
