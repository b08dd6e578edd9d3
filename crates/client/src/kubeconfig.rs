//! Kubeconfig files (client-go's `clientcmd/api/v1`): the part that names one
//! cluster, one user and one context with embedded certificates.

use apimachinery::{value, yaml};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

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
    }
}
