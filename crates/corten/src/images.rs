//! `corten image`: the node's images, through a running `up` by its socket, or
//! directly where none runs.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use edge::Edge;
use image::{Image, ImageStore, RegistryAuth};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use crate::machine::{Places, open_images};
use crate::{cli, preflight, up};

/// The socket's name in the data directory.
const SOCKET: &str = "corten.sock";

/// One line of JSON to the socket.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "do")]
enum Order {
    /// The archive lies on this machine.
    Import {
        archive: PathBuf,
    },
    Pull {
        reference: String,
    },
    List,
    Remove {
        reference: String,
    },
}

/// One line of JSON from it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    Images(Vec<Image>),
    Refused(String),
}

pub fn run(command: cli::Image) -> Result<()> {
    let (data, order) = match command {
        cli::Image::Import { archive, data } => {
            let archive = archive
                .canonicalize()
                .with_context(|| format!("cannot read the archive {}", archive.display()))?;
            (data, Order::Import { archive })
        }
        cli::Image::Pull { reference, data } => (data, Order::Pull { reference }),
        cli::Image::List { data } => (data, Order::List),
        cli::Image::Remove { reference, data } => (data, Order::Remove { reference }),
    };
    let listing = matches!(order, Order::List);
    let images = match UnixStream::connect(data.data_dir.join(SOCKET)) {
        Ok(stream) => ask(stream, &order)?,
        Err(_) => alone(&data.data_dir, order)?,
    };
    if listing {
        table(&images);
    } else {
        for name in images.iter().flat_map(|image| &image.repo_tags) {
            println!("{name}");
        }
    }
    Ok(())
}

/// Sends an order to a running `up`.
fn ask(mut stream: UnixStream, order: &Order) -> Result<Vec<Image>> {
    let line = serde_json::to_string(order).context("the order")?;
    writeln!(stream, "{line}").context("the running corten does not listen")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).context("the running corten does not answer")?;
    match serde_json::from_str(&answer)
        .context("the running corten answers in another way; is it another version?")?
    {
        Answer::Images(images) => Ok(images),
        Answer::Refused(why) => bail!("{why}"),
    }
}

/// Carries an order out where no `up` runs.
fn alone(data_dir: &Path, order: Order) -> Result<Vec<Image>> {
    preflight::require_root()?;
    let runtime = up::runtime("image", 1)?;
    let edge = Edge::system_on(runtime.handle().clone());
    let store = open_images(&Places::new(data_dir), &edge)?;
    runtime.block_on(carry_out(&store, order))
}

async fn carry_out(store: &ImageStore, order: Order) -> Result<Vec<Image>> {
    Ok(match order {
        Order::Import { archive } => {
            let file = std::fs::File::open(&archive)
                .with_context(|| format!("cannot read {}", archive.display()))?;
            store.import(file, None).await.with_context(|| {
                format!(
                    "cannot import {}: an archive in OCI's layout or of `docker save` is wanted",
                    archive.display()
                )
            })?
        }
        Order::Pull { reference } => vec![store.pull(&reference, &RegistryAuth::Anonymous, None).await?],
        Order::List => store.list(),
        Order::Remove { reference } => {
            store.remove(&reference).await?;
            Vec::new()
        }
    })
}

/// Listens for orders in the data directory, for root alone.
pub fn listen(edge: &Edge, data_dir: &Path, store: Arc<ImageStore>) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let path = data_dir.join(SOCKET);
    // One that a crash left: the store's lock says that nobody uses it.
    let _ = std::fs::remove_file(&path);
    let listener =
        UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
        .with_context(|| format!("cannot protect {}", path.display()))?;
    let tasks = edge.tasks.clone();
    edge.tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let store = store.clone();
            tasks.spawn(async move {
                if let Err(error) = answer(stream, &store).await {
                    tracing::debug!(%error, "an order about images was not answered");
                }
            });
        }
    });
    Ok(())
}

async fn answer(mut stream: tokio::net::UnixStream, store: &ImageStore) -> Result<()> {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    tokio::io::BufReader::new(read).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(order) => match carry_out(store, order).await {
            Ok(images) => Answer::Images(images),
            Err(error) => Answer::Refused(format!("{error:#}")),
        },
        Err(error) => Answer::Refused(format!("not an order: {error}")),
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await?;
    Ok(())
}

/// Whether a `corten up` runs on this data directory.
pub fn is_running(data_dir: &Path) -> bool {
    UnixStream::connect(data_dir.join(SOCKET)).is_ok()
}

fn table(images: &[Image]) {
    println!("{:<56} {:<20} {:>9}", "IMAGE", "ID", "SIZE");
    for image in images {
        let id = image.id.as_str().trim_start_matches("sha256:");
        let size = format!("{:.1} MB", image.size as f64 / 1e6);
        let names = if image.repo_tags.is_empty() { &image.repo_digests } else { &image.repo_tags };
        for name in names {
            println!("{name:<56} {:<20} {size:>9}", &id[..id.len().min(12)]);
        }
    }
}
