//! The command line: what `corten --help` tells.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

/// Where everything is kept unless another place is named.
const DATA_DIR: &str = "/var/lib/corten";

const EXAMPLES: &str = "\
Examples:
  corten up                                     boot a node and its control plane here
  corten up --data-dir /srv/c1 --bind 192.0.2.7:6443
  kubectl --kubeconfig /var/lib/corten/kubeconfig get nodes
  corten up --bind 192.0.2.7:6443 --pod-cidr 10.42.0.0/24 --cluster-cidr 10.42.0.0/16
  corten join --kubeconfig FILE --pod-cidr 10.42.1.0/24   on another machine: one node more
  corten image import nginx.tar                 load an image archive, also beside a running `up`
  corten down                                   stop every container; the data stays
  source <(corten completion bash)";

/// Kubernetes as one program.
#[derive(Debug, Parser)]
#[command(name = "corten", version = crate::version::VERSION, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boots a node with its control plane, in the foreground
    ///
    /// Ctrl-C or SIGTERM stops Corten and leaves the containers running; the next `up` adopts them.
    Up(Up),
    /// Joins this machine to a cluster as a node, in the foreground
    ///
    /// Its own credentials are asked for with the kubeconfig, whose user must be allowed to approve
    /// certificate requests. Nodes share a link: packets between their pods are routed and not wrapped.
    Join(Join),
    /// Stops every container of this node and removes what it left in the kernel; the data stays
    Down(Data),
    /// Serves the API alone: no controller, no node
    Apiserver(Apiserver),
    /// Lists, loads and removes the node's images, also beside a running `up`
    #[command(subcommand)]
    Image(Image),
    /// Prints the version
    Version,
    /// Prints a completion script for a shell
    Completion {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
}

/// Where the data lies.
#[derive(Args, Clone, Debug)]
pub struct Data {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    pub data_dir: PathBuf,
}

/// How the program speaks.
#[derive(Args, Clone, Copy, Debug)]
pub struct Logging {
    /// How the log is written: for people or for machines
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Args, Debug)]
pub struct Up {
    #[command(flatten)]
    pub data: Data,
    /// Where the API is served; a specific address is the node's address too
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:6443")]
    pub bind: SocketAddr,
    /// The node's name; the host's name by default
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Ranges of this node's pod addresses, one a family
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "10.42.0.0/16")]
    pub pod_cidr: Vec<IpNet>,
    /// Ranges of the pod addresses of all nodes, where others join; this node's own by default
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub cluster_cidr: Vec<IpNet>,
    /// Ranges of service addresses, one a family
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "10.96.0.0/16")]
    pub service_cidr: Vec<IpNet>,
    #[command(flatten)]
    pub logging: Logging,
}

#[derive(Args, Debug)]
pub struct Join {
    #[command(flatten)]
    pub data: Data,
    /// An administrator's, with an address of the API that this machine reaches
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
    /// The node's addresses, one a family; those that its default routes leave from by default
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub address: Vec<IpAddr>,
    /// The node's name; the host's name by default
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// This node's part of the pod addresses, one range a family
    #[arg(long, value_name = "CIDR", value_delimiter = ',', required = true)]
    pub pod_cidr: Vec<IpNet>,
    /// Ranges of the pod addresses of all nodes, one a family
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "10.42.0.0/16")]
    pub cluster_cidr: Vec<IpNet>,
    /// Ranges of service addresses, one a family
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "10.96.0.0/16")]
    pub service_cidr: Vec<IpNet>,
    #[command(flatten)]
    pub logging: Logging,
}

#[derive(Args, Debug)]
pub struct Apiserver {
    #[command(flatten)]
    pub data: Data,
    /// Where the API is served
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:6443")]
    pub bind: SocketAddr,
    /// Ranges of service addresses, one a family
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "10.96.0.0/16")]
    pub service_cidr: Vec<IpNet>,
    #[command(flatten)]
    pub logging: Logging,
}

#[derive(Debug, Subcommand)]
pub enum Image {
    /// Loads the images of an archive (OCI or `docker save`)
    Import {
        /// The archive
        archive: PathBuf,
        #[command(flatten)]
        data: Data,
    },
    /// Fetches an image from its registry
    Pull {
        /// Such as `nginx` or `registry.example:5000/app@sha256:…`
        reference: String,
        #[command(flatten)]
        data: Data,
    },
    /// Lists the images that are here
    List {
        #[command(flatten)]
        data: Data,
    },
    /// Removes a name, and the image with its last one
    Remove {
        reference: String,
        #[command(flatten)]
        data: Data,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let Command::Up(up) = Cli::parse_from(["corten", "up"]).command else { panic!("not up") };
        assert_eq!(up.data.data_dir, PathBuf::from("/var/lib/corten"));
        assert_eq!(up.bind.to_string(), "0.0.0.0:6443");
        assert_eq!(up.pod_cidr, ["10.42.0.0/16".parse::<IpNet>().unwrap()]);
        assert_eq!(up.service_cidr, ["10.96.0.0/16".parse::<IpNet>().unwrap()]);
        assert!(Cli::try_parse_from(["corten", "up", "--pod-cidr", "10.0.0.0"]).is_err());
    }
}
