//! Kubeconfig files (client-go's `clientcmd/api/v1`): the part that names one
//! cluster, one user and one context with embedded certificates.

use apimachinery::{value, yaml};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Error;

/// Credentials and address of one cluster for one client.
#[derive(Clone, Debug)]
pub struct Kubeconfig {
    /// Such as `https://127.0.0.1:6443`.
    pub server: String,
    pub cluster: String,
    pub user: String,
    /// PEM.
    pub certificate_authority: String,
    /// PEM.
    pub client_certificate: String,
    /// PEM.
    pub client_key: String,
}

impl Kubeconfig {
    /// The cluster of a kubeconfig's current context, for a user of one's own.
    ///
    /// # Errors
    /// The text names no cluster, or no authority by which it is known.
    pub fn for_user(
        text: &str,
        user: &str,
        client_certificate: String,
        client_key: String,
    ) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Decode(format!("the kubeconfig {why}").into());
        let read = kube::config::Kubeconfig::from_yaml(text).map_err(|error| wrong(&error.to_string()))?;
        let current = read.current_context.as_deref().ok_or_else(|| wrong("has no current context"))?;
        let context = read.contexts.iter().find(|context| context.name == current);
        let context = context
            .and_then(|context| context.context.as_ref())
            .ok_or_else(|| wrong("lacks its current context"))?;
        let cluster = read.clusters.iter().find(|cluster| cluster.name == context.cluster);
        let cluster = cluster
            .and_then(|cluster| cluster.cluster.as_ref())
            .ok_or_else(|| wrong("lacks the cluster of its current context"))?;
        let authority = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
            (Some(data), _) => STANDARD.decode(data).map_err(|error| wrong(&error.to_string()))?,
            (None, Some(file)) => {
                std::fs::read(file).map_err(|error| wrong(&format!("names {file}: {error}")))?
            }
            (None, None) => return Err(wrong("names no certificate authority")),
        };
        Ok(Self {
            server: cluster.server.clone().ok_or_else(|| wrong("names no server"))?,
            cluster: context.cluster.clone(),
            user: user.to_owned(),
            certificate_authority: String::from_utf8(authority).map_err(|error| wrong(&error.to_string()))?,
            client_certificate,
            client_key,
        })
    }

    /// The file's text, in YAML's block form, since people open it.
    pub fn to_yaml(&self) -> String {
        let encoded = |pem: &str| STANDARD.encode(pem);
        let context = format!("{}@{}", self.user, self.cluster);
        let config = value!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.cluster.as_str(), "cluster": {
                "server": self.server.as_str(),
                "certificate-authority-data": encoded(&self.certificate_authority),
            }}],
            "users": [{"name": self.user.as_str(), "user": {
                "client-certificate-data": encoded(&self.client_certificate),
                "client-key-data": encoded(&self.client_key),
            }}],
            "contexts": [{"name": context.as_str(), "context": {"cluster": self.cluster.as_str(), "user": self.user.as_str()}}],
            "current-context": context,
            "preferences": {},
        });
        yaml::to_string(&config).expect("a tree of maps, lists and text is always YAML")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_by_other_clients() {
        let written = Kubeconfig {
            server: "https://127.0.0.1:6443".into(),
            cluster: "corten".into(),
            user: "admin".into(),
            certificate_authority: "CA".into(),
            client_certificate: "CERT".into(),
            client_key: "KEY".into(),
        };
        let read = kube::config::Kubeconfig::from_yaml(&written.to_yaml()).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("admin@corten"));
        let cluster = read.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:6443"));
        assert_eq!(cluster.certificate_authority_data.as_deref(), Some(STANDARD.encode("CA").as_str()));
        let other = Kubeconfig::for_user(&written.to_yaml(), "node", "C".into(), "K".into()).unwrap();
        assert_eq!(
            (other.server, other.certificate_authority),
            (written.server, written.certificate_authority)
        );
        assert!(Kubeconfig::for_user("kind: Config", "node", "C".into(), "K".into()).is_err());
    }
}
