//! Pulling from registries. Every byte is verified against the digest that was
//! asked for; a reference by tag is trusted as far as its registry.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::{Client, Reference as Remote};
use parking_lot::Mutex;

use crate::hosts::{Endpoint, endpoints};
use crate::manifest::{ACCEPTED, Document, Manifest, parse, parse_config, select};
use crate::{Error, Image, ImageStore, Reference, Result};

/// Layers fetched at the same time, as containerd's default.
const PARALLEL: usize = 3;
/// Times that a broken connection is tried again.
const ATTEMPTS: u32 = 3;
/// Manifests and configurations larger than this are refused (containerd: 4 MiB
/// for manifests).
const LARGEST_DOCUMENT: usize = 8 << 20;

/// What a pull reports while it goes on; a plain callback, called often.
pub type Progress = Arc<dyn Fn(PullProgress) + Send + Sync>;

/// How far a pull is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// Layers in the image, once known.
    pub layers: usize,
    /// Layers that are in the store.
    pub layers_done: usize,
    /// Bytes to fetch, once known.
    pub bytes: u64,
    /// Bytes fetched.
    pub bytes_done: u64,
}

/// Credentials for one registry.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum RegistryAuth {
    #[default]
    Anonymous,
    /// User and password (also what a token service is asked with).
    Basic { username: String, password: String },
    /// A registry token that is sent as it is.
    Bearer(String),
}

impl std::fmt::Debug for RegistryAuth {
    /// Secrets do not belong into logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic",
            Self::Bearer(_) => "Bearer",
        })
    }
}

impl ImageStore {
    /// Pulls an image, by the mirrors and settings of `DIR/registries`, and
    /// unpacks what is not here yet. Mirrors are asked in order; `auth` goes
    /// only to the registry that the reference names, before what the settings
    /// say for it.
    pub async fn pull(
        &self,
        reference: &str,
        auth: &RegistryAuth,
        progress: Option<Progress>,
    ) -> Result<Image> {
        let parsed = Reference::parse(reference)?;
        let registries = self.directory().join("registries");
        let places = endpoints(&registries, parsed.registry())?;
        let mut last = None;
        for (at, place) in places.iter().enumerate() {
            let own = at + 1 == places.len();
            let auth = if own && *auth != RegistryAuth::Anonymous { auth } else { &place.auth };
            let report = Report { state: Mutex::default(), callback: progress.clone() };
            match self.pull_from(&parsed, place, auth, &report).await {
                Ok(image) => return Ok(image),
                Err(error @ (Error::Damaged(_) | Error::System(_) | Error::NoPlatform { .. })) if own => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::debug!(%reference, host = place.host, %error, "this host does not have the image");
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::Unavailable {
            reference: reference.into(),
            detail: "no host is configured".into(),
        }))
    }

    async fn pull_from(
        &self,
        reference: &Reference,
        place: &Endpoint,
        auth: &RegistryAuth,
        report: &Report,
    ) -> Result<Image> {
        let source = Source {
            client: client(place)?,
            host: place.host.clone(),
            repository: reference.repository().to_owned(),
            name: reference.to_string(),
            auth: match auth {
                RegistryAuth::Anonymous => oci_client::secrets::RegistryAuth::Anonymous,
                RegistryAuth::Basic { username, password } => {
                    oci_client::secrets::RegistryAuth::Basic(username.clone(), password.clone())
                }
                RegistryAuth::Bearer(token) => oci_client::secrets::RegistryAuth::Bearer(token.clone()),
            },
        };
        let (bytes, top) = source.manifest(reference.target(), reference.digest()).await?;
        let (manifest_digest, manifest_bytes, manifest) = match parse(&bytes)? {
            Document::Image(manifest) => (top.clone(), bytes, manifest),
            Document::Index(manifests) => {
                let fitting = select(&manifests, &source.name)?;
                let (bytes, digest) = source.manifest(&fitting.digest, Some(&fitting.digest)).await?;
                match parse(&bytes)? {
                    Document::Image(manifest) => (digest, bytes, manifest),
                    Document::Index(_) => {
                        return Err(Error::Damaged(format!(
                            "the index of {} leads to another index",
                            source.name
                        )));
                    }
                }
            }
        };
        self.inner.content.put(&manifest_bytes[..], Some(&manifest_digest))?;
        if !self.inner.content.has(&manifest.config.digest) {
            source.blob(self, &manifest.config.digest, &Report::default()).await?;
        }
        self.layers(&source, &manifest, report).await?;
        let tags: Vec<String> = reference.tagged().into_iter().collect();
        let digests = [format!("{}@{top}", reference.name())];
        let store = self.inner.clone();
        self.blocking(move || store.register(&manifest_digest, &manifest, &tags, &digests, false)).await
    }

    /// Fetches and unpacks the layers that are not here, some at a time.
    async fn layers(&self, source: &Source, manifest: &Manifest, report: &Report) -> Result<()> {
        let (_, diff_ids) = parse_config(&self.inner.content.read(&manifest.config.digest)?)?;
        if diff_ids.len() != manifest.layers.len() {
            return Err(Error::Damaged(format!(
                "manifest and configuration of {} differ in their number of layers",
                source.name
            )));
        }
        // Owned, so that the stream's closure borrows nothing and the pull can be spawned.
        let missing: Vec<(String, u64, String)> = manifest
            .layers
            .iter()
            .zip(diff_ids)
            .filter(|(_, diff_id)| !self.inner.has_layer(diff_id))
            .map(|(layer, diff_id)| (layer.digest.clone(), layer.size, diff_id))
            .collect();
        report.update(|state| {
            state.layers = manifest.layers.len();
            state.layers_done = manifest.layers.len() - missing.len();
            state.bytes = missing.iter().map(|(_, size, _)| *size).sum();
        });
        futures::stream::iter(missing)
            .map(|(digest, _, diff_id)| async move {
                if !self.inner.content.has(&digest) && !self.inner.has_layer(&diff_id) {
                    source.blob(self, &digest, report).await?;
                }
                let store = self.inner.clone();
                self.blocking(move || store.unpack_layer(&digest, &diff_id)).await?;
                report.update(|state| state.layers_done += 1);
                Ok(())
            })
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await
    }
}

#[derive(Default)]
struct Report {
    state: Mutex<PullProgress>,
    callback: Option<Progress>,
}

impl Report {
    fn update(&self, change: impl FnOnce(&mut PullProgress)) {
        let now = {
            let mut state = self.state.lock();
            change(&mut state);
            *state
        };
        if let Some(callback) = &self.callback {
            callback(now);
        }
    }
}

/// One repository on one host.
struct Source {
    client: Client,
    host: String,
    repository: String,
    /// For texts.
    name: String,
    auth: oci_client::secrets::RegistryAuth,
}

impl Source {
    async fn manifest(&self, target: &str, digest: Option<&str>) -> Result<(Vec<u8>, String)> {
        let remote = match digest {
            Some(digest) => {
                Remote::with_digest(self.host.clone(), self.repository.clone(), digest.to_owned())
            }
            None => Remote::with_tag(self.host.clone(), self.repository.clone(), target.to_owned()),
        };
        let mut attempt = 1;
        loop {
            match self.client.pull_manifest_raw(&remote, &self.auth, &ACCEPTED).await {
                Ok((bytes, _)) if bytes.len() > LARGEST_DOCUMENT => {
                    return Err(Error::Damaged(format!("the manifest of {} is too large", self.name)));
                }
                Ok((bytes, _)) => {
                    // The registry's word for the digest is not taken.
                    use sha2::Digest as _;
                    let actual = format!("sha256:{}", crate::content::hex(&sha2::Sha256::digest(&bytes)));
                    return match digest {
                        Some(wanted) if wanted != actual => Err(Error::Damaged(format!(
                            "the manifest of {} has digest {actual} and not {wanted}",
                            self.name
                        ))),
                        _ => Ok((bytes.to_vec(), actual)),
                    };
                }
                Err(error) => self.again(error, &mut attempt).await?,
            }
        }
    }

    /// Fetches a blob into the content store.
    async fn blob(&self, store: &ImageStore, digest: &str, report: &Report) -> Result<()> {
        let remote = Remote::with_digest(self.host.clone(), self.repository.clone(), digest.to_owned());
        let mut attempt = 1;
        loop {
            match self.try_blob(store, &remote, digest, report).await {
                Ok(()) => return Ok(()),
                Err(Fetch::Remote(error)) => self.again(error, &mut attempt).await?,
                Err(Fetch::Local(error)) => return Err(error),
            }
        }
    }

    async fn try_blob(
        &self,
        store: &ImageStore,
        remote: &Remote,
        digest: &str,
        report: &Report,
    ) -> std::result::Result<(), Fetch> {
        let mut stream = self.client.pull_blob_stream(remote, digest).await.map_err(Fetch::Remote)?;
        let mut writer = store.inner.content.writer().map_err(Fetch::Local)?;
        while let Some(bytes) = stream.next().await {
            let bytes = match bytes {
                Ok(bytes) => bytes,
                // The client's own check of the digest.
                Err(error) if error.to_string().contains("digest") => {
                    return Err(Fetch::Local(Error::Damaged(format!(
                        "blob {digest} of {}: {error}",
                        self.name
                    ))));
                }
                Err(error) => return Err(Fetch::Remote(OciDistributionError::IoError(error))),
            };
            writer.write_all(&bytes).map_err(|e| Fetch::Local(Error::io("write an image's content")(e)))?;
            report.update(|state| state.bytes_done += bytes.len() as u64);
        }
        let (inner, digest) = (store.inner.clone(), digest.to_owned());
        store
            .blocking(move || inner.content.commit(writer, Some(&digest)).map(drop))
            .await
            .map_err(Fetch::Local)
    }

    /// Sleeps before another attempt, or gives the error when it would not help.
    async fn again(&self, error: OciDistributionError, attempt: &mut u32) -> Result<()> {
        let error = self.sorted(error);
        if *attempt == ATTEMPTS || !matches!(error, Error::Unavailable { .. }) {
            return Err(error);
        }
        tokio::time::sleep(std::time::Duration::from_millis(200 << *attempt)).await;
        *attempt += 1;
        Ok(())
    }

    fn sorted(&self, error: OciDistributionError) -> Error {
        let reference = self.name.clone();
        let detail = chain(&error);
        let not_found =
            |detail: String| Error::NotFound { reference: reference.clone(), detail: format!(": {detail}") };
        match &error {
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_) => Error::Unauthorized { reference, detail },
            OciDistributionError::ImageManifestNotFoundError(_) => not_found(detail),
            OciDistributionError::RegistryError { envelope, .. } => {
                let has = |codes: &[OciErrorCode]| envelope.errors.iter().any(|e| codes.contains(&e.code));
                if has(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
                    Error::Unauthorized { reference, detail }
                } else if has(&[
                    OciErrorCode::ManifestUnknown,
                    OciErrorCode::NameUnknown,
                    OciErrorCode::BlobUnknown,
                    OciErrorCode::NotFound,
                    OciErrorCode::NameInvalid,
                ]) {
                    not_found(detail)
                } else {
                    Error::Unavailable { reference, detail }
                }
            }
            OciDistributionError::ServerError { code: 404, .. } => not_found(detail),
            OciDistributionError::ServerError { code: 401 | 403, .. } => {
                Error::Unauthorized { reference, detail }
            }
            OciDistributionError::DigestError(_) => Error::Damaged(detail),
            OciDistributionError::RequestError(failed)
                if failed.status().is_some_and(|s| s.as_u16() == 404) =>
            {
                not_found(detail)
            }
            OciDistributionError::RequestError(failed)
                if failed.status().is_some_and(|s| matches!(s.as_u16(), 401 | 403)) =>
            {
                Error::Unauthorized { reference, detail }
            }
            _ => Error::Unavailable { reference, detail },
        }
    }
}

enum Fetch {
    Remote(OciDistributionError),
    Local(Error),
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !out.contains(&text) {
            out = format!("{out}: {text}");
        }
        cause = error.source();
    }
    out
}

fn client(place: &Endpoint) -> Result<Client> {
    let read = |path: &PathBuf| -> Result<Certificate> {
        let data = std::fs::read(path)
            .map_err(Error::io(format!("read the registry's authority {}", path.display())))?;
        Ok(Certificate { encoding: CertificateEncoding::Pem, data })
    };
    let config = ClientConfig {
        protocol: if place.plain_http { ClientProtocol::Http } else { ClientProtocol::Https },
        accept_invalid_certificates: place.skip_verify,
        extra_root_certificates: place.authorities.iter().map(read).collect::<Result<_>>()?,
        connect_timeout: Some(std::time::Duration::from_secs(10)),
        read_timeout: Some(std::time::Duration::from_secs(60)),
        user_agent: concat!("corten/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    };
    Client::try_from(config).map_err(|e| Error::System(format!("set up the registry client: {}", chain(&e))))
}
