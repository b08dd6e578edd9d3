//! The directory of a cluster's keys and certificates: made at the first
//! start, checked and renewed at every later one.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::authority::{Authority, Credentials, Profile, Subject};
use crate::files::{self, PUBLIC, SECRET};
use crate::peer::read_peer;
use crate::service_account::ServiceAccountKeys;
use crate::{CERTIFICATE_DAYS, Error};

/// A certificate is renewed when less than this is left of it.
const RENEW_WITHIN: SignedDuration = SignedDuration::from_hours(24 * CERTIFICATE_DAYS / 3);

/// Losing the cluster's authority or token key has consequences that an administrator should know.
const AUTHORITY_LOST: &str = " (every kubeconfig made so far then stops working)";
const TOKENS_LOST: &str = " (every service account token made so far then stops working)";

/// The names and addresses under which the API server is reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerNames {
    pub dns: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

impl ServerNames {
    /// What every API server is called, with the cluster's domain, the first
    /// address of the service range, the host's name and its own addresses.
    pub fn new(domain: &str, service: Option<IpAddr>, host: &str, own: &[IpAddr]) -> Self {
        let mut dns: Vec<String> =
            ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
                .map(str::to_owned)
                .into();
        dns.push(format!("kubernetes.default.svc.{domain}"));
        if !host.is_empty() && !dns.iter().any(|name| name == host) {
            dns.push(host.to_owned());
        }
        let mut addresses = vec![IpAddr::from([127, 0, 0, 1]), "::1".parse().expect("a loopback address")];
        for &address in service.iter().chain(own) {
            if !address.is_unspecified() && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Self { dns, addresses }
    }
}

/// The keys and certificates of one cluster.
pub struct ClusterPki {
    directory: PathBuf,
    /// Signs servers and clients.
    pub authority: Authority,
    /// Signs front proxies (aggregated API servers trust its clients).
    pub front_proxy: Authority,
    /// Signs and verifies service account tokens.
    pub service_accounts: Arc<ServiceAccountKeys>,
}

/// The files without which a copy of the directory is another cluster's.
const CLUSTER: [&str; 5] = ["ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", SERVICE_ACCOUNTS];
const SERVICE_ACCOUNTS: &str = "sa.key";

impl ClusterPki {
    /// Opens a copy of another machine's directory: what is missing is not made,
    /// for nobody else would know it.
    ///
    /// # Errors
    /// [`Error::Missing`], and those of [`Self::open`].
    pub fn open_copy(directory: &Path, issuer: &str, now: Timestamp) -> Result<Self, Error> {
        match CLUSTER.map(|name| directory.join(name)).into_iter().find(|file| !file.exists()) {
            Some(path) => Err(Error::Missing { path }),
            None => Self::open(directory, issuer, now),
        }
    }

    /// Opens `directory`, making what is missing. Takes about a millisecond
    /// where all is there.
    pub fn open(directory: &Path, issuer: &str, now: Timestamp) -> Result<Self, Error> {
        files::make_directory(directory)?;
        let authority = open_authority(directory, "ca", "kubernetes", now)?;
        let front_proxy = open_authority(directory, "front-proxy-ca", "front-proxy-ca", now)?;
        let service_accounts = Arc::new(open_service_accounts(directory, issuer)?);
        Ok(Self { directory: directory.to_owned(), authority, front_proxy, service_accounts })
    }

    /// The API server's certificate. It is made anew where it lacks one of
    /// `names`, another authority signed it, or it expires soon.
    pub fn server(&self, names: &ServerNames, now: Timestamp) -> Result<Credentials, Error> {
        let profile = Profile::Server { dns: names.dns.clone(), addresses: names.addresses.clone() };
        self.kept("apiserver", &Subject::new("kube-apiserver", None), &profile, now)
    }

    /// The administrator: bypasses authorization.
    pub fn admin(&self, now: Timestamp) -> Result<Credentials, Error> {
        self.kept("admin", &Subject::new("admin", Some("system:masters")), &Profile::Client, now)
    }

    /// The kubelet of a node, as a server of logs and exec.
    pub fn kubelet_server(&self, node: &str, own: &[IpAddr], now: Timestamp) -> Result<Credentials, Error> {
        let subject = Subject::new(format!("system:node:{node}"), Some("system:nodes"));
        let profile = Profile::Server { dns: vec![node.to_owned()], addresses: own.to_vec() };
        self.kept("kubelet-server", &subject, &profile, now)
    }

    /// The API server, as a client of kubelets.
    pub fn kubelet_client(&self, now: Timestamp) -> Result<Credentials, Error> {
        let subject = Subject::new("kube-apiserver-kubelet-client", Some("kubeadm:cluster-admins"));
        self.kept("apiserver-kubelet-client", &subject, &Profile::Client, now)
    }

    /// The API server, as a front proxy to aggregated API servers.
    pub fn front_proxy_client(&self, now: Timestamp) -> Result<Credentials, Error> {
        let subject = Subject::new("front-proxy-client", None);
        kept(&self.directory, &self.front_proxy, "front-proxy-client", &subject, &Profile::Client, now)
    }

    /// A pair by the name of its files, made or renewed by the cluster's authority.
    pub fn kept(
        &self,
        name: &str,
        subject: &Subject,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<Credentials, Error> {
        kept(&self.directory, &self.authority, name, subject, profile, now)
    }
}

/// When the certificate in a PEM text must be made anew, or nothing where it cannot be read.
pub fn renew_at(certificate: &str) -> Option<Timestamp> {
    let (_, block) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).ok()?;
    read_peer(&block.contents)?.not_after.saturating_add(-RENEW_WITHIN).ok()
}

fn paths(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
    (directory.join(format!("{name}.crt")), directory.join(format!("{name}.key")))
}

fn open_authority(directory: &Path, name: &str, subject: &str, now: Timestamp) -> Result<Authority, Error> {
    let (certificate, key) = paths(directory, name);
    match (files::read(&certificate)?, files::read(&key)?) {
        (None, None) => {
            let made = Authority::create(subject, now)?;
            files::write(&key, made.key(), SECRET)?;
            files::write(&certificate, made.certificate(), PUBLIC)?;
            Ok(made)
        }
        (Some(_), None) => Err(Error::HalfPair { present: certificate, missing: key }),
        // A crash between the two writes leaves a key alone: it was never used.
        (None, Some(_)) => {
            let made = Authority::create(subject, now)?;
            files::write(&key, made.key(), SECRET)?;
            files::write(&certificate, made.certificate(), PUBLIC)?;
            Ok(made)
        }
        (Some(shown), Some(secret)) => {
            let broken = |path: &Path, what, why| Error::Broken {
                path: path.into(),
                what,
                why,
                consequence: AUTHORITY_LOST,
            };
            let pair = rcgen::KeyPair::from_pem(&secret)
                .map_err(|why| broken(&key, "private key", why.to_string()))?;
            let (peer, public) =
                read_certificate(&shown).map_err(|why| broken(&certificate, "certificate", why))?;
            if public != rcgen::PublicKeyData::subject_public_key_info(&pair) {
                return Err(Error::Mismatch { certificate, key });
            }
            if peer.not_after <= now {
                return Err(Error::Expired { path: certificate, at: peer.not_after });
            }
            Authority::load(&shown, &secret).map_err(|why| broken(&certificate, "certificate", why))
        }
    }
}

fn open_service_accounts(directory: &Path, issuer: &str) -> Result<ServiceAccountKeys, Error> {
    let path = directory.join(SERVICE_ACCOUNTS);
    let key = match files::read(&path)? {
        Some(key) => key,
        None => {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
                .map_err(|why| Error::Issue { subject: "service accounts".into(), why: why.to_string() })?
                .serialize_pem();
            files::write(&path, &key, SECRET)?;
            key
        }
    };
    ServiceAccountKeys::new(issuer, &key).map_err(|why| Error::Broken {
        path,
        what: "private key",
        why,
        consequence: TOKENS_LOST,
    })
}

/// The stored pair where it still serves, else a new one.
fn kept(
    directory: &Path,
    authority: &Authority,
    name: &str,
    subject: &Subject,
    profile: &Profile,
    now: Timestamp,
) -> Result<Credentials, Error> {
    let (certificate, key) = paths(directory, name);
    if let (Some(shown), Some(secret)) = (files::read(&certificate)?, files::read(&key)?) {
        let broken = |path: &Path, what, why| Error::Broken { path: path.into(), what, why, consequence: "" };
        let pair =
            rcgen::KeyPair::from_pem(&secret).map_err(|why| broken(&key, "private key", why.to_string()))?;
        let (_, public) = read_certificate(&shown).map_err(|why| broken(&certificate, "certificate", why))?;
        if public != rcgen::PublicKeyData::subject_public_key_info(&pair) {
            return Err(Error::Mismatch { certificate, key });
        }
        if serves(&shown, authority, subject, profile, now) {
            return Ok(Credentials { certificate: shown, key: secret });
        }
    }
    let made = authority.issue(subject, profile, now)?;
    files::write(&key, &made.key, SECRET)?;
    files::write(&certificate, &made.certificate, PUBLIC)?;
    Ok(made)
}

/// What a PEM text says about its holder, and its public key (SubjectPublicKeyInfo, DER).
fn read_certificate(text: &str) -> Result<(crate::Peer, Vec<u8>), String> {
    let (_, block) = x509_parser::pem::parse_x509_pem(text.as_bytes()).map_err(|why| why.to_string())?;
    let parsed = block.parse_x509().map_err(|why| why.to_string())?;
    let public = parsed.public_key().raw.to_vec();
    let peer = read_peer(&block.contents).ok_or("its dates cannot be read")?;
    Ok((peer, public))
}

/// Whether a stored certificate still does: right names, right authority, not about to expire.
fn serves(text: &str, authority: &Authority, subject: &Subject, profile: &Profile, now: Timestamp) -> bool {
    let Ok((_, block)) = x509_parser::pem::parse_x509_pem(text.as_bytes()) else { return false };
    let Ok(parsed) = block.parse_x509() else { return false };
    let Some(peer) = read_peer(&block.contents) else { return false };
    let Ok((_, issuer)) = x509_parser::pem::parse_x509_pem(authority.certificate().as_bytes()) else {
        return false;
    };
    let Ok(issuer) = issuer.parse_x509() else { return false };
    if parsed.verify_signature(Some(issuer.public_key())).is_err() {
        return false;
    }
    if peer.common_name != subject.common_name || !peer.organizations.iter().eq(&subject.organization) {
        return false;
    }
    if peer.not_after.saturating_add(-RENEW_WITHIN).is_ok_and(|renew| renew <= now) {
        return false;
    }
    match profile {
        Profile::Client => peer.client,
        Profile::Server { dns, addresses } => has_names(&parsed, dns, addresses),
    }
}

fn has_names(
    certificate: &x509_parser::certificate::X509Certificate<'_>,
    dns: &[String],
    addresses: &[IpAddr],
) -> bool {
    use x509_parser::extensions::GeneralName;
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    let names = &names.value.general_names;
    dns.iter()
        .all(|wanted| names.iter().any(|name| matches!(name, GeneralName::DNSName(has) if has == wanted)))
        && addresses.iter().all(|wanted| {
            let octets = match wanted {
                IpAddr::V4(four) => four.octets().to_vec(),
                IpAddr::V6(six) => six.octets().to_vec(),
            };
            names.iter().any(|name| matches!(name, GeneralName::IPAddress(has) if *has == octets.as_slice()))
        })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * 86_400).expect("a time")
    }

    fn names() -> ServerNames {
        ServerNames::new("cluster.local", "10.96.0.1".parse().ok(), "node-a", &[])
    }

    #[test]
    fn what_was_made_once_is_kept_and_closed_to_others() {
        let directory = tempfile::tempdir().expect("a directory");
        let dir = directory.path().join("pki");
        let first = ClusterPki::open(&dir, ISSUER, at(0)).expect("pki");
        let server = first.server(&names(), at(0)).expect("a certificate");
        let admin = first.admin(at(0)).expect("a certificate");
        let second = ClusterPki::open(&dir, ISSUER, at(1)).expect("pki");
        assert_eq!(first.authority.certificate(), second.authority.certificate());
        assert_eq!(server.certificate, second.server(&names(), at(1)).expect("a certificate").certificate);
        assert_eq!(admin.key, second.admin(at(1)).expect("a certificate").key);
        for file in ["ca.key", "sa.key", "admin.key", "apiserver.key"] {
            let mode = std::fs::metadata(dir.join(file)).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        let mode = std::fs::metadata(&dir).expect("a directory").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn certificates_are_renewed_for_time_and_names() {
        let directory = tempfile::tempdir().expect("a directory");
        let pki = ClusterPki::open(directory.path(), ISSUER, at(0)).expect("pki");
        let first = pki.server(&names(), at(0)).expect("a certificate").certificate;
        assert_eq!(first, pki.server(&names(), at(200)).expect("a certificate").certificate);
        let renewed = pki.server(&names(), at(300)).expect("a certificate").certificate;
        assert_ne!(first, renewed);
        let mut more = names();
        more.addresses.push("192.0.2.7".parse().expect("an address"));
        assert_ne!(renewed, pki.server(&more, at(300)).expect("a certificate").certificate);
        assert!(renew_at(&renewed).expect("a time") > at(300 + 200));
    }

    #[test]
    fn broken_files_are_named_with_what_to_do() {
        let directory = tempfile::tempdir().expect("a directory");
        let dir = directory.path();
        let pki = ClusterPki::open(dir, ISSUER, at(0)).expect("pki");
        pki.admin(at(0)).expect("a certificate");
        let other = Authority::create("kubernetes", at(0)).expect("an authority");

        std::fs::write(dir.join("admin.crt"), "scratched").expect("written");
        let error = pki.admin(at(0)).err().expect("an error").to_string();
        assert!(error.contains("admin.crt") && error.contains("move it away"), "{error}");

        std::fs::write(dir.join("ca.crt"), other.certificate()).expect("written");
        let error = ClusterPki::open(dir, ISSUER, at(0)).err().expect("an error").to_string();
        assert!(error.contains("do not belong together"), "{error}");

        std::fs::write(dir.join("ca.key"), "").expect("written");
        let error = ClusterPki::open(dir, ISSUER, at(0)).err().expect("an error").to_string();
        assert!(error.contains("ca.key") && error.contains("kubeconfig"), "{error}");

        std::fs::remove_file(dir.join("ca.key")).expect("removed");
        let error = ClusterPki::open(dir, ISSUER, at(0)).err().expect("an error").to_string();
        assert!(error.contains("missing"), "{error}");
    }

    #[test]
    fn a_copy_is_of_the_whole_or_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let original = ClusterPki::open(directory.path(), ISSUER, at(0)).expect("pki");
        let copy = ClusterPki::open_copy(directory.path(), ISSUER, at(0)).expect("a copy");
        assert_eq!(copy.authority.certificate(), original.authority.certificate());
        std::fs::remove_file(directory.path().join("sa.key")).expect("removed");
        let error = ClusterPki::open_copy(directory.path(), ISSUER, at(0)).err().expect("an error");
        assert!(error.to_string().contains("sa.key is missing"), "{error}");
        assert!(!directory.path().join("sa.key").exists(), "nothing is made");
    }

    #[test]
    fn a_client_certificate_says_name_and_group() {
        let directory = tempfile::tempdir().expect("a directory");
        let pki = ClusterPki::open(directory.path(), ISSUER, at(0)).expect("pki");
        let admin = pki.admin(at(0)).expect("a certificate");
        let (peer, _) = read_certificate(&admin.certificate).expect("a certificate");
        assert_eq!(peer.common_name, "admin");
        assert_eq!(peer.organizations, ["system:masters"]);
        assert!(peer.client);
        let server = pki.server(&names(), at(0)).expect("a certificate");
        assert!(!read_certificate(&server.certificate).expect("a certificate").0.client);
    }
}
