//! The command line: what `corten --help` tells.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
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
  corten controller-manager --kubeconfig FILE --pki DIR   the controllers of an API that is elsewhere
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
    /// Runs the controllers of an API that is elsewhere
    ///
    /// Of several, one leads and the others wait. The kubeconfig's user must be allowed to impersonate
    /// users, and service accounts of kube-system: each controller is one of those.
    ControllerManager(ControllerManager),
    /// Runs the scheduler of an API that is elsewhere
    ///
    /// Of several, one leads and the others wait. The kubeconfig's user is system:kube-scheduler, or must
    /// be allowed to impersonate that user.
    Scheduler(Scheduler),
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

/// What the loops of an API elsewhere have in common.
#[derive(Args, Debug)]
pub struct Loops {
    /// An address of the API, and credentials for it
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
    /// Lead or wait, where there may be several; without, there must be one alone
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub leader_elect: bool,
    /// How long the others wait after the leader's last sign
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration)]
    pub leader_elect_lease_duration: Duration,
    /// How long the leader goes on without an answer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub leader_elect_renew_deadline: Duration,
    /// How long each waits between two tries
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub leader_elect_retry_period: Duration,
    #[command(flatten)]
    pub logging: Logging,
}

impl Loops {
    pub fn timing(&self) -> informer::Timing {
        informer::Timing {
            lease: self.leader_elect_lease_duration,
            renew_deadline: self.leader_elect_renew_deadline,
            retry: self.leader_elect_retry_period,
        }
    }
}

/// A duration as Go writes it, such as `1m30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let nanoseconds = apimachinery::time::parse_duration(text)?;
    u64::try_from(nanoseconds).map(Duration::from_nanos).map_err(|_| "it is negative".into())
}

#[derive(Args, Debug)]
pub struct ControllerManager {
    #[command(flatten)]
    pub loops: Loops,
    /// A copy of the directory `pki` in the API server's data directory; without it, certificate
    /// requests are not signed and Secrets get no tokens
    #[arg(long, value_name = "DIR")]
    pub pki: Option<PathBuf>,
    /// The longest life of a certificate that is signed for a request
    #[arg(long, value_name = "DURATION", default_value = "8760h", value_parser = duration)]
    pub cluster_signing_duration: Duration,
}

#[derive(Args, Debug)]
pub struct Scheduler {
    #[command(flatten)]
    pub loops: Loops,
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

    #[test]
    fn the_flags_of_an_election_are_upstreams() {
        let scheduler = |flags: &[&str]| {
            let arguments = [&["corten", "scheduler", "--kubeconfig", "k"], flags].concat();
            Cli::try_parse_from(arguments).map(|cli| match cli.command {
                Command::Scheduler(scheduler) => scheduler.loops,
                other => panic!("{other:?}"),
            })
        };
        let loops = scheduler(&[]).unwrap();
        assert!(loops.leader_elect);
        assert_eq!(loops.timing(), informer::Timing::default());
        assert!(scheduler(&["--leader-elect"]).unwrap().leader_elect);
        assert!(!scheduler(&["--leader-elect=false"]).unwrap().leader_elect);
        let loops = scheduler(&["--leader-elect-lease-duration=1m30s"]).unwrap();
        assert_eq!(loops.timing().lease, Duration::from_secs(90));
        assert!(scheduler(&["--leader-elect-retry-period=2"]).is_err());
        assert!(scheduler(&["--leader-elect-retry-period=-2s"]).is_err());
    }
}
