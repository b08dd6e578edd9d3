//! The registry that stands for upstream's: Debian's docker-registry with TLS
//! and a password, and the node's settings that lead there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use testkit::Cluster;

use crate::shell::{cache, command, run};

const PORT: u16 = 5000;
/// Of this registry alone, which listens in a namespace without a way out.
const USER: &str = "puller";
const PASSWORD: &str = "conformance";
/// bcrypt of the password, as htpasswd files hold it.
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuu8wrnt2q3yAIapknYx4/IT1Vxpg1sDR.";
/// The registries whose names the specs use.
const UPSTREAM: [&str; 3] = ["registry.k8s.io", "docker.io", "gcr.io"];

/// A registry's files, and while it runs its process.
pub struct Registry {
    directory: PathBuf,
    address: String,
    child: Option<Child>,
}

impl Registry {
    /// Makes what a registry at the node's address needs.
    pub fn prepare(node: &str) -> Result<Self> {
        let directory = cache().join("conformance/registry");
        std::fs::create_dir_all(directory.join("data"))?;
        program(&directory)?;
        certificate(&directory, node)?;
        std::fs::write(directory.join("htpasswd"), format!("{USER}:{HASH}\n"))?;
        let address = format!("{node}:{PORT}");
        let at = |name: &str| directory.join(name).display().to_string();
        let settings = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp:\n  addr: {address}\n  secret: corten\n  tls: {{certificate: {}, key: {}}}\nauth:\n  htpasswd: {{realm: conformance, path: {}}}\n",
            at("data"),
            at("tls.crt"),
            at("tls.key"),
            at("htpasswd")
        );
        std::fs::write(directory.join("config.yml"), settings)?;
        Ok(Self { directory, address, child: None })
    }

    /// The node's settings: by path in its data directory.
    pub fn settings(&self) -> Vec<(String, String)> {
        let authority = self.directory.join("ca.crt");
        let text = format!(
            "[host.\"https://{}\"]\ncapabilities = [\"pull\", \"resolve\"]\nca = \"{}\"\n\n[host.\"https://{}\".header]\nauthorization = \"Basic {}\"\n",
            self.address,
            authority.display(),
            self.address,
            STANDARD.encode(format!("{USER}:{PASSWORD}"))
        );
        UPSTREAM.iter().map(|host| (format!("images/registries/{host}/hosts.toml"), text.clone())).collect()
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Starts it in the cluster's network and waits until it answers.
    pub fn start(&mut self, cluster: &Cluster) -> Result<()> {
        let log = std::fs::File::create(self.directory.join("log"))?;
        let mut serve = cluster.command(&self.directory.join("usr/bin/docker-registry").to_string_lossy());
        serve.arg("serve").arg(self.directory.join("config.yml"));
        serve.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(serve.spawn().context("starting the registry")?);
        let mut wait = self.curl(cluster);
        wait.args(["--silent", "--fail", "--retry", "50", "--retry-all-errors", "--retry-delay", "1"]);
        wait.arg(format!("https://{}/v2/", self.address));
        run(wait).map(drop).context("the registry does not answer")
    }

    /// curl in the cluster's network, with authority and password.
    pub fn curl(&self, cluster: &Cluster) -> Command {
        let mut curl = cluster.command("curl");
        curl.arg("--cacert").arg(self.directory.join("ca.crt"));
        curl.args(["--user", &format!("{USER}:{PASSWORD}")]);
        curl
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Debian's registry, unpacked: installing it would start a service.
fn program(directory: &Path) -> Result<()> {
    if directory.join("usr/bin/docker-registry").exists() {
        return Ok(());
    }
    let work = tempfile::tempdir()?;
    std::fs::set_permissions(work.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    let mut download = command(&["apt-get", "download", "-qq", "docker-registry"]);
    download.current_dir(work.path());
    run(download)?;
    let mut unpack = command(&["sh", "-c", r#"dpkg-deb -x docker-registry_*.deb "$0""#]);
    unpack.arg(directory).current_dir(work.path());
    run(unpack).map(drop)
}

/// An authority, and the registry's certificate by it: one that is both is no
/// server's to most clients.
fn certificate(directory: &Path, node: &str) -> Result<()> {
    if directory.join("tls.crt").exists() {
        return Ok(());
    }
    let request = |name: &str, subject: &str, extensions: &[&str]| {
        let mut openssl = command(&["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "3650"]);
        openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", subject]);
        for extension in extensions {
            openssl.args(["-addext", extension]);
        }
        openssl.arg("-keyout").arg(directory.join(format!("{name}.key")));
        openssl.arg("-out").arg(directory.join(format!("{name}.crt")));
        openssl
    };
    run(request("ca", "/CN=conformance authority", &["keyUsage=critical,keyCertSign"]))?;
    let address = format!("subjectAltName=IP:{node}");
    let mut leaf =
        request("tls", "/CN=conformance registry", &["basicConstraints=critical,CA:FALSE", &address]);
    leaf.arg("-CA").arg(directory.join("ca.crt")).arg("-CAkey").arg(directory.join("ca.key"));
    run(leaf).map(drop)
}
