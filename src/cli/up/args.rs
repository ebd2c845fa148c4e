//! `swarm up` as typed. The values are still text; what they mean, and every refusal, is in `mod.rs`.

use std::path::PathBuf;

const SIZE: &str = "How many, and where";
const HOST: &str = "What each host is";
const NET: &str = "Addresses";
const WAY: &str = "How it goes";

/// The flags of `swarm up`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    after_help = "Credentials are found the usual AWS ways: environment, profiles, SSO, AWS_ENDPOINT_URL. Running it again adds only \
what is missing. docs/aws.md has the least IAM policy and what it costs; `swarm down` removes everything."
)]
pub struct UpArgs {
    /// Hosts in all, spread over the regions
    #[arg(short = 's', long = "servers", value_name = "N", help_heading = SIZE)]
    pub size: Option<String>,
    /// Name of the fleet [default: default]
    #[arg(long, value_name = "NAME", help_heading = SIZE)]
    pub fleet: Option<String>,
    /// Region (repeatable: hosts are spread), or with its own number: eu-west-1=6 [default: that of environment or profile]
    #[arg(long, value_name = "REGION[=N]", help_heading = SIZE)]
    pub region: Vec<String>,
    /// Start hosts until their addresses reach so many backends behind a balancer, in rounds; wants --balancer and --max-hosts
    #[arg(long, value_name = "N", help_heading = SIZE)]
    pub cover: Option<String>,
    /// Hosts in all that --cover may start
    #[arg(long, value_name = "N", help_heading = SIZE)]
    pub max_hosts: Option<String>,
    /// How the balancer picks a backend (docs/spread.md lists the rules)
    #[arg(long, value_name = "RULE", help_heading = SIZE)]
    pub balancer: Option<String>,
    /// The backends that --cover is about, where they have weights or names: 4:2,1,1,1
    #[arg(long, value_name = "N[:W,...]|NAME,...", help_heading = SIZE)]
    pub backends: Option<String>,
    /// Availability zone (repeatable) [default: those that offer the type, one after the other]
    #[arg(long, value_name = "ZONE", help_heading = SIZE)]
    pub zone: Vec<String>,
    /// Subnet [default: the default one of each zone]
    #[arg(long, value_name = "ID", help_heading = SIZE)]
    pub subnet: Option<String>,
    /// Hosts that must be ready, a number or a share; with fewer all that this command launched is removed [default: 100%]
    #[arg(long, value_name = "N|P%", help_heading = SIZE)]
    pub min_hosts: Option<String>,

    /// Instance type [default: t2.micro, where there is none t3.micro]
    #[arg(long = "type", value_name = "TYPE", help_heading = HOST)]
    pub kind: Option<String>,
    /// Machine image [default: the newest Amazon Linux 2023 for the type]
    #[arg(long, value_name = "AMI", help_heading = HOST)]
    pub image: Option<String>,
    /// Login name of the image [default: ec2-user]
    #[arg(long, value_name = "USER", help_heading = HOST)]
    pub login: Option<String>,
    /// A key pair of EC2 to log in with, its private part by -i or your ssh agent [default: a throwaway key]
    #[arg(long, value_name = "NAME", help_heading = HOST)]
    pub key: Option<String>,
    /// How long a host lives: it ends itself after that, whatever happens here [default: 2h]
    #[arg(long, value_name = "T", help_heading = HOST)]
    pub ttl: Option<String>,
    /// Spot instances
    #[arg(long, help_heading = HOST)]
    pub spot: bool,
    /// The most that is paid for one spot host, USD per hour [default: the on-demand price]
    #[arg(long, value_name = "USD", help_heading = HOST)]
    pub max_price: Option<String>,
    /// A tag of yours on everything (repeatable)
    #[arg(long, value_name = "K=V", help_heading = HOST)]
    pub tag: Vec<String>,

    /// Who may reach port 22 [default: this machine's address alone]
    #[arg(long, value_name = "CIDR", help_heading = NET)]
    pub ssh_from: Option<String>,
    /// A security group of yours, which is neither changed nor removed [default: one of its own]
    #[arg(long, value_name = "ID", help_heading = NET)]
    pub security_group: Option<String>,
    /// Private addresses of each host to load from, its own among them, for targets inside the network [default: 1]
    #[arg(long, value_name = "K", help_heading = NET)]
    pub source_ips_per_host: Option<String>,
    /// Elastic IPs of each host beside its own address, for public targets; released by `swarm down` [default: 0]
    #[arg(long, value_name = "K", help_heading = NET)]
    pub source_eips: Option<String>,

    /// Only say what would be made, and its price; make nothing
    #[arg(long, help_heading = WAY)]
    pub dry_run: bool,
    /// Return as soon as the launch is accepted and recorded
    #[arg(long, help_heading = WAY)]
    pub no_wait: bool,
    /// How long a host may take from launch to its agent's hello [default: 5m]
    #[arg(long, value_name = "T", help_heading = WAY)]
    pub ready_timeout: Option<String>,
    /// Profile of your AWS configuration
    #[arg(long, value_name = "NAME", help_heading = WAY)]
    pub profile: Option<String>,
    /// Private key of --key, as ssh -i
    #[arg(short = 'i', long, value_name = "FILE", help_heading = WAY)]
    pub identity: Option<PathBuf>,
    /// ssh configuration, as ssh -F
    #[arg(short = 'F', long, value_name = "FILE", help_heading = WAY)]
    pub ssh_config: Option<PathBuf>,
    /// Agent to use on hosts of this architecture (x86_64, aarch64)
    #[arg(long, value_name = "ARCH=FILE", help_heading = WAY)]
    pub agent_binary: Vec<String>,
}
