//! Settings: flags over environment over file over defaults.
//!
//! Each section of the file is one struct ([`MasterConfig`], …) whose fields are at once the keys of the file, the
//! flags of the command and, through clap, its environment variables; a field that nobody set is `None`. Laid over
//! one another they resolve to what a node needs ([`Master`], [`Slave`], [`Connection`]), complete and checked.
//!
//! Relative paths in a file are relative to the file; those of flags and environment to the working directory.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use neap_protocol::text::Name;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::host;
use crate::journal;
use crate::near::did_you_mean;
use crate::output::Failure;
use crate::units::{ByteSize, Cpus, Period, Ports};

/// Where the config file is looked for when neither `--config` nor `NEAP_CONFIG` names one: where `neap up` writes
/// it.
pub const CONFIG_DEFAULT: &str = ".neap/neap.toml";

/// The largest config file, in bytes.
const CONFIG_SIZE_MAX: u64 = 1 << 20;

/// What a master listens on unless told otherwise: this host only.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5151);

/// A config file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How to reach the cluster, and as whom.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster: ClusterConfig,
    /// For `neap master`.
    #[serde(skip_serializing_if = "is_default")]
    pub master: MasterConfig,
    /// For `neap slave`.
    #[serde(skip_serializing_if = "is_default")]
    pub slave: SlaveConfig,
    /// For `neap run`.
    #[serde(skip_serializing_if = "is_default")]
    pub framework: FrameworkConfig,
    /// For the commands that look at a cluster and change it.
    #[serde(skip_serializing_if = "is_default")]
    pub operator: OperatorConfig,
}

/// `[cluster]`: how to reach the cluster, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Connection")]
pub struct ClusterConfig {
    /// Addresses of the masters; any of them tells who leads
    #[arg(
        long,
        env = "NEAP_MASTERS",
        value_name = "IP:PORT,…",
        value_delimiter = ',',
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masters: Option<Vec<SocketAddr>>,
    /// The cluster's CA certificate (PEM)
    #[arg(long, env = "NEAP_CA", value_name = "FILE", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// This node's certificate (PEM), signed by the CA
    #[arg(long, env = "NEAP_CERT", value_name = "FILE", requires = "key", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, env = "NEAP_KEY", value_name = "FILE", requires = "cert", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// `[master]`.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Master")]
pub struct MasterConfig {
    /// Name of this master; must be its certificate's [default: the certificate's]
    #[arg(long, env = "NEAP_MASTER_NAME", value_parser = Name::new)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Address to listen on (UDP) [default: 127.0.0.1:5151]
    #[arg(long, env = "NEAP_MASTER_LISTEN", value_name = "IP:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Directory of the registry; made where there is none
    #[arg(long, env = "NEAP_MASTER_DATA", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Certificate of masters, instead of `[cluster]`'s.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its private key.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// How long a ping of a slave waits for its answer [default: 15s]
    #[arg(long, env = "NEAP_MASTER_PING_TIMEOUT", value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping_timeout: Option<Period>,
    /// Pings in a row without an answer before a slave is unreachable [default: 5]
    #[arg(long, env = "NEAP_MASTER_MAX_PING_TIMEOUTS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ping_timeouts: Option<u32>,
    /// How long a restarted master waits for a slave to come back before it is unreachable: no shorter than
    /// --ping-timeout times --max-ping-timeouts. While fenced tasks run, cut neither below half [default: 10m]
    #[arg(long, env = "NEAP_MASTER_REREGISTER_TIMEOUT", value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reregister_timeout: Option<Period>,
    /// How long an offer stands before it is rescinded [default: 5m]
    #[arg(long, env = "NEAP_MASTER_OFFER_TIMEOUT", value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_timeout: Option<Period>,
    /// The longest fail-over time that a framework may ask for [default: 7d]
    #[arg(long, env = "NEAP_MASTER_FAILOVER_TIMEOUT_MAX", value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover_timeout_max: Option<Period>,
    /// Time between two rounds of offers, beside those that an event starts [default: 1s]
    #[arg(long, env = "NEAP_MASTER_ALLOCATION_INTERVAL", value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation_interval: Option<Period>,
    /// Stop removing silent slaves once this share of the cluster went in a window [default: 20]
    #[arg(long, env = "NEAP_MASTER_REMOVAL_SHARE_PERCENT", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removal_share_percent: Option<u8>,
    /// The window that removals are counted in [default: 10m]
    #[arg(long, env = "NEAP_MASTER_REMOVAL_WINDOW", value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removal_window: Option<Period>,
    /// The longest kill grace that a task has once a deadline has passed [default: 5s]
    #[arg(long, env = "NEAP_MASTER_REVOKE_GRACE", value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoke_grace: Option<Period>,
    /// How long a revocation, once due, may take until the slave has confirmed it [default: 10s]
    #[arg(long, env = "NEAP_MASTER_REVOKE_ACK_TIMEOUT", value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoke_ack_timeout: Option<Period>,
    /// Record every input of its machine in FILE, for `neap-model replay`
    #[arg(long, env = "NEAP_MASTER_JOURNAL", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<PathBuf>,
    /// Write what came of each input whole, and not as a digest: a larger journal, which shows more
    #[arg(long, env = "NEAP_MASTER_JOURNAL_EFFECTS", value_name = "BOOL", num_args = 0..=1)]
    #[arg(default_missing_value = "true", require_equals = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_effects: Option<bool>,
}

/// `[slave]`.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Slave")]
pub struct SlaveConfig {
    /// Name of this slave; must be its certificate's [default: the certificate's]
    #[arg(long, env = "NEAP_SLAVE_NAME", value_parser = Name::new)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Address that operators read logs at (UDP) [default: any port, where the master sees this host]
    #[arg(long, env = "NEAP_SLAVE_LISTEN", value_name = "IP:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Directory of checkpoints and sandboxes; made where there is none
    #[arg(long, env = "NEAP_SLAVE_DATA", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Certificate of slaves, instead of `[cluster]`'s.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its private key.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Cpus to offer: 2, 0.5 or 250m [default: the host's]
    #[arg(long, env = "NEAP_SLAVE_CPUS", value_name = "C")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// Memory to offer, in binary units: 512M, 4G [default: the host's but 1G, or half of it]
    #[arg(long, env = "NEAP_SLAVE_MEM", value_name = "M")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<ByteSize>,
    /// Disk to offer, in binary units: 10G [default: what is free where the data is]
    #[arg(long, env = "NEAP_SLAVE_DISK", value_name = "M")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<ByteSize>,
    /// Ports to offer: 8080,31000-32000 [default: 31000-32000]
    #[arg(long, env = "NEAP_SLAVE_PORTS", value_name = "P")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Ports>,
    /// Time between SIGTERM and SIGKILL when draining now [default: none, at once by force]
    #[arg(long, env = "NEAP_SLAVE_DRAIN_NOW_GRACE", value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_now_grace: Option<Period>,
    /// How long a leaving slave waits for a leader to say goodbye [default: 10s]
    #[arg(long, env = "NEAP_SLAVE_UNREGISTER_TIMEOUT", value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unregister_timeout: Option<Period>,
    /// How process trees are held together and ended [default: auto]
    #[arg(long, env = "NEAP_SLAVE_PROCESS_TREES", value_name = "MEANS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_trees: Option<ProcessTrees>,
    /// What becomes of executors that live when the slave is started again [default: reconnect]
    #[arg(long, env = "NEAP_SLAVE_RECOVER", value_name = "HOW")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recover: Option<Recover>,
    /// How long executors wait for a slave that went away before they end themselves [default: 15m]
    #[arg(long, env = "NEAP_SLAVE_RECOVERY_TIMEOUT", value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_timeout: Option<Period>,
    /// Record every input of its machine in FILE, for `neap-model replay`
    #[arg(long, env = "NEAP_SLAVE_JOURNAL", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<PathBuf>,
    /// Write what came of each input whole, and not as a digest: a larger journal, which shows more
    #[arg(long, env = "NEAP_SLAVE_JOURNAL_EFFECTS", value_name = "BOOL", num_args = 0..=1)]
    #[arg(default_missing_value = "true", require_equals = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_effects: Option<bool>,
    /// Record each executor, too, in a file of its own in DIR
    #[arg(long, env = "NEAP_SLAVE_JOURNAL_EXECUTORS", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_executors: Option<PathBuf>,
}

/// `[framework]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrameworkConfig {
    /// Certificate of frameworks, instead of `[cluster]`'s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// `[operator]`.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Connection")]
pub struct OperatorConfig {
    /// Certificate of operators, instead of `[cluster]`'s.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its private key.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// How long to look for the leader and to wait for its answer [default: 10s]
    #[arg(long, env = "NEAP_TIMEOUT", value_name = "D", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Period>,
}

/// How a slave holds process trees together, so that it can end them for certain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessTrees {
    /// The first of the others that this host allows
    #[default]
    Auto,
    /// A cgroup (v2) for each tree, ended by `cgroup.kill`
    Cgroup,
    /// A PID namespace for each tree, ended with its first process
    PidNamespace,
    /// A subreaper for each tree, walked until nothing is left
    Subreaper,
}

/// What a slave does with executors that it left when it was last stopped (R28).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recover {
    /// They and their tasks go on
    #[default]
    Reconnect,
    /// They are ended, and their tasks are Lost
    Cleanup,
}

/// What a master needs, complete and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Master {
    /// Its name, where it must be the certificate's.
    pub name: Option<Name>,
    /// What it listens on.
    pub listen: SocketAddr,
    /// Where its registry is.
    pub data: PathBuf,
    /// Who it is.
    pub identity: Identity,
    /// R6.
    pub ping_timeout: Period,
    /// R6; at least 1.
    pub max_ping_timeouts: u32,
    /// R28; not shorter than the health check.
    pub reregister_timeout: Period,
    /// R10.
    pub offer_timeout: Period,
    /// The bound of R14's time.
    pub failover_timeout_max: Period,
    /// R10.
    pub allocation_interval: Period,
    /// R7; 1 to 100.
    pub removal_share_percent: u8,
    /// R7.
    pub removal_window: Period,
    /// R22; one for the whole cluster.
    pub revoke_grace: Period,
    /// The stated bound of R22.
    pub revoke_ack_timeout: Period,
    /// Where its machine is recorded, if it is.
    pub journal: Option<journal::Options>,
}

/// What a slave needs, complete and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Slave {
    /// Its name, where it must be the certificate's (R1).
    pub name: Option<Name>,
    /// What it listens on for operators; `None` for any port, where its master sees it.
    pub listen: Option<SocketAddr>,
    /// Where its masters are; at least one.
    pub masters: Vec<SocketAddr>,
    /// Where its checkpoints and sandboxes are.
    pub data: PathBuf,
    /// Who it is.
    pub identity: Identity,
    /// What it offers.
    pub cpus: Cpus,
    /// What it offers.
    pub mem: ByteSize,
    /// What it offers.
    pub disk: ByteSize,
    /// What it offers.
    pub ports: Ports,
    /// R24; `None`: at once, by force.
    pub drain_now_grace: Option<Period>,
    /// R26.
    pub unregister_timeout: Period,
    /// How trees are ended (R24).
    pub process_trees: ProcessTrees,
    /// R28.
    pub recover: Recover,
    /// R28.
    pub recovery_timeout: Period,
    /// Where its machine is recorded, if it is.
    pub journal: Option<journal::Options>,
    /// In which directory its executors are recorded, if they are.
    pub journal_executors: Option<PathBuf>,
}

/// What a framework or an operator's command needs to reach the leader.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Where the masters are; at least one.
    pub masters: Vec<SocketAddr>,
    /// Who is calling.
    pub identity: Identity,
    /// How long to look for the leader, and to wait for its answer.
    pub timeout: Period,
}

/// The files that say who a node is. They have not been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's CA certificate.
    pub ca: PathBuf,
    /// The node's certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Config {
    /// The file's text: what [`Loaded::from_file`] reads back equal.
    ///
    /// # Errors
    /// [`ConfigError`]: a path is not UTF-8, which TOML cannot hold.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(|error| ConfigError {
            file: None,
            line: None,
            cause: format!("failed to write the config: {error}"),
            cures: vec!["use paths that are valid UTF-8".into()],
        })
    }

    fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::syntax(file, text, &error))?;
        let contradiction = config.contradictions().next();
        if let Some((section, found)) = contradiction {
            return Err(ConfigError {
                file: Some(file.to_owned()),
                line: line_of_key(text, section, found.key),
                cause: format!("[{section}] {}", found.cause),
                cures: vec![found.cure],
            });
        }
        Ok(config)
    }

    fn contradictions(&self) -> impl Iterator<Item = (&'static str, Contradiction)> {
        let pair = |cert: &Option<PathBuf>, key: &Option<PathBuf>| half_a_pair(cert, key);
        [
            ("cluster", pair(&self.cluster.cert, &self.cluster.key)),
            ("cluster", self.cluster.contradiction()),
            ("master", pair(&self.master.cert, &self.master.key)),
            ("master", self.master.contradiction()),
            ("slave", pair(&self.slave.cert, &self.slave.key)),
            ("slave", self.slave.contradiction()),
            ("framework", pair(&self.framework.cert, &self.framework.key)),
            ("operator", pair(&self.operator.cert, &self.operator.key)),
            ("operator", self.operator.contradiction()),
        ]
        .into_iter()
        .filter_map(|(section, found)| found.map(|found| (section, found)))
    }

    /// Makes every relative path relative to `dir`.
    fn rebase(&mut self, dir: &Path) {
        let Self { cluster, master, slave, framework, operator } = self;
        let paths = [
            &mut cluster.ca,
            &mut cluster.cert,
            &mut cluster.key,
            &mut master.data,
            &mut master.cert,
            &mut master.key,
            &mut master.journal,
            &mut slave.data,
            &mut slave.cert,
            &mut slave.key,
            &mut slave.journal,
            &mut slave.journal_executors,
            &mut framework.cert,
            &mut framework.key,
            &mut operator.cert,
            &mut operator.key,
        ];
        for path in paths.into_iter().flatten() {
            *path = dir.join(&*path);
        }
    }
}

/// A config, and the file it came from, so that errors can name it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// What was read; empty where there is no file.
    pub config: Config,
    /// Where it was read.
    pub file: Option<PathBuf>,
}

impl Loaded {
    /// Reads the file that `named` names, or [`CONFIG_DEFAULT`] where there is one.
    ///
    /// # Errors
    /// [`ConfigError`]: the file cannot be read (one that was named must exist), or contradicts itself.
    pub fn find(named: Option<&Path>) -> Result<Self, ConfigError> {
        let default = Path::new(CONFIG_DEFAULT);
        match named {
            Some(file) => Self::from_file(file),
            None if default.exists() => Self::from_file(default),
            None => Ok(Self::default()),
        }
    }

    /// Reads `file`.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn from_file(file: &Path) -> Result<Self, ConfigError> {
        let text = read(file).map_err(|error| ConfigError::unreadable(file, &error))?;
        let mut config = Config::parse(&text, file)?;
        config.rebase(file.parent().unwrap_or(Path::new("")));
        Ok(Self { config, file: Some(file.to_owned()) })
    }

    /// A master's settings: `flags` (which hold the environment's too) over the file over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`]: something is missing, or contradicts.
    pub fn master(&self, cluster: &ClusterConfig, flags: MasterConfig) -> Result<Master, ConfigError> {
        let set = flags.over(self.config.master.clone());
        self.consistent(set.contradiction())?;
        let master = Master {
            identity: self.identity(cluster, "master", &set.cert, &set.key)?,
            name: set.name,
            listen: set.listen.unwrap_or(LISTEN_DEFAULT),
            data: self.master_data(set.data)?,
            ping_timeout: set.ping_timeout.unwrap_or(Period::from_secs(15)),
            max_ping_timeouts: set.max_ping_timeouts.unwrap_or(5),
            reregister_timeout: set.reregister_timeout.unwrap_or(Period::from_secs(10 * 60)),
            offer_timeout: set.offer_timeout.unwrap_or(Period::from_secs(5 * 60)),
            failover_timeout_max: set.failover_timeout_max.unwrap_or(Period::from_secs(7 * 24 * 60 * 60)),
            allocation_interval: set.allocation_interval.unwrap_or(Period::from_secs(1)),
            removal_share_percent: set.removal_share_percent.unwrap_or(20),
            removal_window: set.removal_window.unwrap_or(Period::from_secs(10 * 60)),
            revoke_grace: set.revoke_grace.unwrap_or(Period::from_secs(5)),
            revoke_ack_timeout: set.revoke_ack_timeout.unwrap_or(Period::from_secs(10)),
            journal: journal::Options::of(set.journal, set.journal_effects.unwrap_or(false)),
        };
        self.consistent(master.contradiction())?;
        Ok(master)
    }

    /// A master's data directory, where its registry is: `flag` over the file.
    ///
    /// # Errors
    /// [`ConfigError`]: neither names one.
    pub fn master_data(&self, flag: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
        let missing = || self.missing("data", "master", "its data directory is not set", "--data DIR");
        flag.or_else(|| self.config.master.data.clone()).ok_or_else(missing)
    }

    /// A slave's settings: `flags` (which hold the environment's too) over the file over what the host has.
    ///
    /// # Errors
    /// [`ConfigError`]: something is missing, or contradicts.
    pub fn slave(&self, cluster: &ClusterConfig, flags: SlaveConfig) -> Result<Slave, ConfigError> {
        let set = flags.over(self.config.slave.clone());
        let missing = || self.missing("data", "slave", "its data directory is not set", "--data DIR");
        self.consistent(set.contradiction())?;
        let data = set.data.ok_or_else(missing)?;
        let unknown = |key, error: io::Error| {
            let cause = format!("this host does not tell its {key}: {error}");
            self.missing(key, "slave", &cause, &format!("--{key}"))
        };
        Ok(Slave {
            identity: self.identity(cluster, "slave", &set.cert, &set.key)?,
            name: set.name,
            listen: set.listen,
            masters: self.masters(cluster)?,
            cpus: set.cpus.map_or_else(host::cpus, Ok).map_err(|error| unknown("cpus", error))?,
            mem: set.mem.unwrap_or_else(host::mem),
            disk: set.disk.map_or_else(|| host::disk(&data), Ok).map_err(|error| unknown("disk", error))?,
            ports: set.ports.or_else(|| Ports::range(31_000, 32_000)).unwrap_or_default(),
            drain_now_grace: set.drain_now_grace.filter(|grace| !grace.is_zero()),
            unregister_timeout: set.unregister_timeout.unwrap_or(Period::from_secs(10)),
            process_trees: set.process_trees.unwrap_or_default(),
            recover: set.recover.unwrap_or_default(),
            recovery_timeout: set.recovery_timeout.unwrap_or(Period::from_secs(15 * 60)),
            journal: journal::Options::of(set.journal, set.journal_effects.unwrap_or(false)),
            journal_executors: set.journal_executors,
            data,
        })
    }

    /// How an operator's command reaches the leader.
    ///
    /// # Errors
    /// [`ConfigError`]: something is missing, or contradicts.
    pub fn operator(
        &self,
        cluster: &ClusterConfig,
        flags: OperatorConfig,
    ) -> Result<Connection, ConfigError> {
        let set = flags.over(self.config.operator.clone());
        self.consistent(set.contradiction())?;
        Ok(Connection {
            masters: self.masters(cluster)?,
            identity: self.identity(cluster, "operator", &set.cert, &set.key)?,
            timeout: set.timeout.unwrap_or(TIMEOUT_DEFAULT),
        })
    }

    /// How a framework reaches the leader.
    ///
    /// # Errors
    /// [`ConfigError`]: something is missing, or contradicts.
    pub fn framework(&self, cluster: &ClusterConfig) -> Result<Connection, ConfigError> {
        let set = &self.config.framework;
        Ok(Connection {
            masters: self.masters(cluster)?,
            identity: self.identity(cluster, "framework", &set.cert, &set.key)?,
            timeout: TIMEOUT_DEFAULT,
        })
    }

    fn masters(&self, flags: &ClusterConfig) -> Result<Vec<SocketAddr>, ConfigError> {
        let masters = flags.masters.clone().or_else(|| self.config.cluster.masters.clone());
        let masters = masters.filter(|masters| !masters.is_empty());
        let cause = "no master's address is known";
        masters.ok_or_else(|| self.missing("masters", "cluster", cause, "--masters IP:PORT"))
    }

    /// A certificate and its key always come from the same place, the nearest that has them.
    fn identity(
        &self,
        flags: &ClusterConfig,
        section: &'static str,
        cert: &Option<PathBuf>,
        key: &Option<PathBuf>,
    ) -> Result<Identity, ConfigError> {
        self.consistent(half_a_pair(&flags.cert, &flags.key))?;
        let file = &self.config.cluster;
        let pairs = [(&flags.cert, &flags.key), (cert, key), (&file.cert, &file.key)];
        let pair = pairs.into_iter().find_map(|(cert, key)| cert.clone().zip(key.clone()));
        let cause = format!("the {section} has no certificate");
        let (cert, key) = pair.ok_or_else(|| {
            self.missing("cert and key", "cluster", &cause, "--cert FILE --key FILE").pki(section)
        })?;
        let ca = flags.ca.clone().or_else(|| file.ca.clone());
        let cause = "the cluster's CA certificate is not set";
        let ca = ca.ok_or_else(|| self.missing("ca", "cluster", cause, "--ca FILE"))?;
        Ok(Identity { ca, cert, key })
    }

    fn missing(&self, key: &str, section: &str, cause: &str, flag: &str) -> ConfigError {
        let cure = match &self.file {
            Some(file) => format!("set {key} in [{section}] of {}, or give {flag}", file.display()),
            None => format!("name a config file (--config, NEAP_CONFIG) that sets {key}, or give {flag}"),
        };
        let local = "`neap up` starts a local cluster and writes its config, ./.neap/neap.toml";
        let local = self.file.is_none().then(|| local.to_owned());
        ConfigError {
            file: None,
            line: None,
            cause: cause.into(),
            cures: [Some(cure), local].into_iter().flatten().collect(),
        }
    }

    fn consistent(&self, found: Option<Contradiction>) -> Result<(), ConfigError> {
        match found {
            Some(Contradiction { cause, cure, .. }) => {
                Err(ConfigError { file: None, line: None, cause, cures: vec![cure] })
            }
            None => Ok(()),
        }
    }
}

/// Why there are no settings: the file and line, the cause, the cures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: Option<PathBuf>,
    /// Counted from 1.
    line: Option<usize>,
    cause: String,
    cures: Vec<String>,
}

impl ConfigError {
    /// What to do about it, the best first.
    pub fn cures(&self) -> &[String] {
        &self.cures
    }

    fn unreadable(file: &Path, error: &io::Error) -> Self {
        let cure = if error.kind() == io::ErrorKind::NotFound {
            "`neap up` writes ./.neap/neap.toml; or name another file (--config, NEAP_CONFIG)"
        } else if error.kind() == io::ErrorKind::PermissionDenied {
            "let this user read it, or name another file (--config, NEAP_CONFIG)"
        } else {
            "name a TOML file (--config, NEAP_CONFIG)"
        };
        let cause = format!("failed to read the config: {error}");
        Self { file: Some(file.into()), line: None, cause, cures: vec![cure.into()] }
    }

    fn syntax(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|span| line_at(text, span.start));
        let message = error.message().trim();
        let (cause, cures) = match unknown_key(message) {
            Some((key, known)) => {
                let near = did_you_mean(key, known.iter().copied());
                let list = format!("known here: {}", known.join(", "));
                (format!("unknown key '{key}'"), near.into_iter().chain([list]).collect())
            }
            None if toml::de::DeTable::parse(text).is_err() => {
                let cure = "a config is TOML: lines of `key = value` below a `[section]`, strings in quotes";
                (message.replace('\n', ", "), vec![cure.into()])
            }
            // The message of a wrong value says what is accepted.
            None => (message.replace('\n', ", "), vec![]),
        };
        Self { file: Some(file.into()), line, cause, cures }
    }

    fn pki(mut self, role: &str) -> Self {
        self.cures.push(format!("`neap pki issue --role {role} --name NAME` makes a certificate and key"));
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}:{line}: {}", file.display(), self.cause),
            (Some(file), None) => write!(f, "{}: {}", file.display(), self.cause),
            (None, _) => f.write_str(&self.cause),
        }
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        error.cures.iter().fold(Self::new(Exit::Usage, error.to_string()), Self::help)
    }
}

/// What a command waits for its leader, unless told otherwise.
const TIMEOUT_DEFAULT: Period = Period::from_secs(10);

/// Two settings that cannot both be, or one that cannot be.
struct Contradiction {
    key: &'static str,
    cause: String,
    cure: String,
}

impl Contradiction {
    fn not_zero(key: &'static str, zero: bool) -> Option<Self> {
        zero.then(|| Self {
            key,
            cause: format!("{key} is zero"),
            cure: format!("make {key} greater than zero"),
        })
    }
}

fn half_a_pair(cert: &Option<PathBuf>, key: &Option<PathBuf>) -> Option<Contradiction> {
    let (has, lacks) = match (cert, key) {
        (Some(_), None) => ("cert", "key"),
        (None, Some(_)) => ("key", "cert"),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let cure = format!("set {lacks} beside {has}, or neither");
    Some(Contradiction { key: has, cause: format!("{has} is set without {lacks}"), cure })
}

impl ClusterConfig {
    fn contradiction(&self) -> Option<Contradiction> {
        let cause = "masters is empty".into();
        let cure = "name at least one master's IP:PORT, or leave masters out".into();
        self.masters.as_ref().is_some_and(Vec::is_empty).then_some(Contradiction {
            key: "masters",
            cause,
            cure,
        })
    }
}

impl MasterConfig {
    fn contradiction(&self) -> Option<Contradiction> {
        let zero = |period: Option<Period>| period.is_some_and(Period::is_zero);
        let share = self.removal_share_percent.filter(|share| !(1..=100).contains(share));
        let share = share.map(|share| Contradiction {
            key: "removal_share_percent",
            cause: format!("removal_share_percent is {share}"),
            cure: "make removal_share_percent 1 to 100".into(),
        });
        Contradiction::not_zero("ping_timeout", zero(self.ping_timeout))
            .or(Contradiction::not_zero("max_ping_timeouts", self.max_ping_timeouts == Some(0)))
            .or(Contradiction::not_zero("reregister_timeout", zero(self.reregister_timeout)))
            .or(Contradiction::not_zero("offer_timeout", zero(self.offer_timeout)))
            .or(Contradiction::not_zero("allocation_interval", zero(self.allocation_interval)))
            .or(Contradiction::not_zero("removal_window", zero(self.removal_window)))
            .or(Contradiction::not_zero("revoke_ack_timeout", zero(self.revoke_ack_timeout)))
            .or(share)
    }
}

impl Master {
    /// How long a slave may not answer before it is unreachable (R6).
    fn health_timeout(&self) -> Period {
        let ms = self.ping_timeout.as_millis().saturating_mul(self.max_ping_timeouts.into());
        Period::saturating_from(Duration::from_millis(ms))
    }

    /// A lease is as long as half of the health check allows (R9): a master that was started again waits for its end.
    ///
    /// Of what is in force, and not of the file alone: a flag may be what makes it right.
    fn contradiction(&self) -> Option<Contradiction> {
        let Self { ping_timeout, max_ping_timeouts, reregister_timeout, .. } = self;
        let health = self.health_timeout();
        (*reregister_timeout < health).then(|| Contradiction {
            key: "reregister_timeout",
            cause: format!(
                "reregister_timeout is {reregister_timeout}, shorter than ping_timeout times max_ping_timeouts, \
                 {ping_timeout} times {max_ping_timeouts}: a restarted master could call fenced tasks lost that still \
                 run"
            ),
            cure: format!(
                "make reregister_timeout at least {health}, or ping_timeout or max_ping_timeouts smaller"
            ),
        })
    }
}

impl SlaveConfig {
    /// Nothing is waited for in no time: to some that means for ever.
    fn contradiction(&self) -> Option<Contradiction> {
        let zero = |period: Option<Period>| period.is_some_and(Period::is_zero);
        Contradiction::not_zero("unregister_timeout", zero(self.unregister_timeout))
            .or(Contradiction::not_zero("recovery_timeout", zero(self.recovery_timeout)))
    }
}

impl OperatorConfig {
    fn contradiction(&self) -> Option<Contradiction> {
        Contradiction::not_zero("timeout", self.timeout.is_some_and(Period::is_zero))
    }
}

/// Lays a section over another, field by field; the compiler sees that none is forgotten.
macro_rules! over {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl $type {
            /// These settings where they are set, `below`'s where they are not.
            #[must_use]
            pub fn over(self, below: Self) -> Self {
                Self { $($field: self.$field.or(below.$field)),* }
            }
        }
    };
}

over!(MasterConfig {
    name,
    listen,
    data,
    cert,
    key,
    ping_timeout,
    max_ping_timeouts,
    reregister_timeout,
    offer_timeout,
    failover_timeout_max,
    allocation_interval,
    removal_share_percent,
    removal_window,
    revoke_grace,
    revoke_ack_timeout,
    journal,
    journal_effects,
});
over!(SlaveConfig {
    name,
    listen,
    data,
    cert,
    key,
    cpus,
    mem,
    disk,
    ports,
    drain_now_grace,
    unregister_timeout,
    process_trees,
    recover,
    recovery_timeout,
    journal,
    journal_effects,
    journal_executors,
});
over!(OperatorConfig { cert, key, timeout });

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(CONFIG_SIZE_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > CONFIG_SIZE_MAX {
        true => Err(io::Error::other(format!("it has more than {CONFIG_SIZE_MAX} bytes"))),
        false => Ok(text),
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The unknown key that serde names in `message`, and the keys that it knows.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, rest) = rest.split_once('`')?;
    Some((key, rest.split('`').skip(1).step_by(2).collect()))
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// The line of `key` in `[section]`.
fn line_of_key(text: &str, section: &str, key: &str) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let section = document.get_ref().get(section)?.get_ref().as_table()?;
    let (key, _) = section.iter().find(|(name, _)| name.get_ref() == key)?;
    Some(line_at(text, key.span().start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("neap.toml"))
    }

    fn refused(text: &str) -> (String, Vec<String>) {
        let error = parse(text).unwrap_err();
        (error.to_string(), error.cures)
    }

    /// Every field is set, so that a field that does not go through the file and back is seen.
    fn full() -> Config {
        let text = r#"
            [cluster]
            masters = ["127.0.0.1:5151", "[::1]:5152"]
            ca = "/pki/ca.pem"
            cert = "/pki/node.pem"
            key = "/pki/node.key"
            [master]
            name = "m1"
            listen = "0.0.0.0:5151"
            data = "/data/m"
            cert = "/pki/m.pem"
            key = "/pki/m.key"
            ping_timeout = "1s"
            max_ping_timeouts = 2
            reregister_timeout = "9m"
            offer_timeout = "3s"
            failover_timeout_max = "4h"
            allocation_interval = "500ms"
            removal_share_percent = 6
            removal_window = "7m"
            revoke_grace = "1m30s"
            revoke_ack_timeout = "8s"
            journal = "/j/m"
            journal_effects = true
            [slave]
            name = "s1"
            listen = "0.0.0.0:5252"
            data = "/data/s"
            cert = "/pki/s.pem"
            key = "/pki/s.key"
            cpus = 0.5
            mem = "64M"
            disk = "10G"
            ports = "8080,31000-32000"
            drain_now_grace = "2s"
            unregister_timeout = "3s"
            process_trees = "pid-namespace"
            recover = "cleanup"
            recovery_timeout = "4m"
            journal = "/j/s"
            journal_effects = true
            journal_executors = "/j"
            [framework]
            cert = "/pki/f.pem"
            key = "/pki/f.key"
            [operator]
            cert = "/pki/o.pem"
            key = "/pki/o.key"
            timeout = "5s"
        "#;
        parse(text).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_equal() {
        for config in [Config::default(), full()] {
            assert_eq!(parse(&config.to_toml().unwrap()), Ok(config));
        }
        assert_eq!(Config::default().to_toml().unwrap(), "");
        let bytes = std::os::unix::ffi::OsStrExt::from_bytes(&[0xff]);
        let data = Some(Path::new::<std::ffi::OsStr>(bytes).to_owned());
        let odd = SlaveConfig { data, ..SlaveConfig::default() };
        let error = Config { slave: odd, ..Config::default() }.to_toml().unwrap_err();
        assert!(
            error.to_string().contains("failed to write the config: path contains invalid UTF-8"),
            "{error}"
        );
        let debug = format!("{:?}", full());
        assert!(!debug.contains("None"), "a field is missing from the test: {debug}");
    }

    #[test]
    fn an_unknown_key_names_the_near_one_and_its_line() {
        let (error, cures) = refused("[master]\nlisten = \"127.0.0.1:1\"\nping_timout = \"1s\"\n");
        assert_eq!(error, "neap.toml:3: unknown key 'ping_timout'");
        assert_eq!(cures[0], "did you mean ping_timeout?");
        let (error, cures) = refused("[slvae]\n");
        assert_eq!(error, "neap.toml:1: unknown key 'slvae'");
        assert_eq!(cures, ["did you mean slave?", "known here: cluster, master, slave, framework, operator"]);
    }

    #[test]
    fn a_wrong_value_names_what_is_accepted() {
        let (error, _) = refused("[slave]\n\nmem = 64\n");
        assert!(error.starts_with("neap.toml:3: invalid type: integer `64`"), "{error}");
        assert!(error.contains("accepted: sizes such as"), "{error}");
        let (error, _) = refused("[slave]\ncpus = 0.0001\n");
        assert!(error.starts_with("neap.toml:2: \"0.0001\" is finer than what is counted"), "{error}");
        let (error, _) = refused("[slave]\nname = \"no spaces\"\n");
        assert!(error.starts_with("neap.toml:2: a name is made of a-z"), "{error}");
        let (error, _) = refused("[slave]\nprocess_trees = \"magic\"\n");
        assert!(error.contains("neap.toml:2: unknown variant `magic`, expected one of `auto`"), "{error}");
        let (error, _) = refused("[cluster\n");
        assert!(error.starts_with("neap.toml:1: "), "{error}");
    }

    #[test]
    fn contradictions_name_line_cause_and_cure() {
        for (text, error, cure) in [
            (
                "[slave]\ncert = \"c\"",
                "neap.toml:2: [slave] cert is set without key",
                "set key beside cert, or neither",
            ),
            (
                "\n[operator]\nkey = \"c\"",
                "neap.toml:3: [operator] key is set without cert",
                "set cert beside key, or neither",
            ),
            (
                "[master]\nping_timeout = \"0s\"",
                "neap.toml:2: [master] ping_timeout is zero",
                "make ping_timeout greater than zero",
            ),
            (
                "[master]\nreregister_timeout = \"0s\"",
                "neap.toml:2: [master] reregister_timeout is zero",
                "make reregister_timeout greater than zero",
            ),
            (
                "[master]\nremoval_share_percent = 101",
                "neap.toml:2: [master] removal_share_percent is 101",
                "make removal_share_percent 1 to 100",
            ),
            (
                "cluster.masters = []",
                "neap.toml:1: [cluster] masters is empty",
                "name at least one master's IP:PORT, or leave masters out",
            ),
        ] {
            assert_eq!(refused(text), (error.into(), vec![cure.into()]), "{text}");
        }
    }

    #[test]
    fn unreadable_files_name_cause_and_cure() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Loaded::find(Some(&dir.path().join("none.toml"))).unwrap_err();
        assert!(
            missing.to_string().contains("none.toml: failed to read the config: No such file"),
            "{missing}"
        );
        assert!(missing.cures[0].contains("`neap up` writes"));
        let directory = Loaded::find(Some(dir.path())).unwrap_err();
        assert!(directory.to_string().contains("Is a directory"), "{directory}");
        let binary = dir.path().join("binary");
        std::fs::write(&binary, [0xff, 0xfe]).unwrap();
        assert!(Loaded::find(Some(&binary)).unwrap_err().to_string().contains("UTF-8"));
        let large = dir.path().join("large");
        std::fs::write(&large, "# padding\n".repeat(110_000)).unwrap();
        assert!(Loaded::find(Some(&large)).unwrap_err().to_string().contains("more than 1048576 bytes"));
    }

    #[test]
    fn relative_paths_are_relative_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("neap.toml");
        std::fs::write(&file, "[cluster]\nca = \"pki/ca.pem\"\n[slave]\ndata = \"/abs\"\n").unwrap();
        let loaded = Loaded::from_file(&file).unwrap();
        assert_eq!(loaded.config.cluster.ca, Some(dir.path().join("pki/ca.pem")));
        assert_eq!(loaded.config.slave.data, Some("/abs".into()));
        assert_eq!(loaded.file, Some(file));
    }

    #[test]
    fn every_path_of_the_file_is_rebased() {
        let mut config = parse(&full().to_toml().unwrap().replace("\"/", "\"rel/")).unwrap();
        config.rebase(Path::new("/base"));
        let text = config.to_toml().unwrap();
        assert!(!text.contains("\"rel/"), "{text}");
        assert_eq!(text.matches("\"/base/rel/").count(), 16, "{text}");
    }

    #[test]
    fn flags_win_over_the_file_over_defaults() {
        let loaded = Loaded { config: full(), file: Some("neap.toml".into()) };
        let none = ClusterConfig::default();
        let flags = MasterConfig { ping_timeout: Some(Period::from_secs(9)), ..MasterConfig::default() };
        let master = loaded.master(&none, flags).unwrap();
        assert_eq!(master.ping_timeout, Period::from_secs(9));
        assert_eq!(master.max_ping_timeouts, 2);
        let mut bare = full();
        bare.master.max_ping_timeouts = None;
        bare.slave.drain_now_grace = Some(Period::ZERO);
        let loaded = Loaded { config: bare, file: None };
        assert_eq!(loaded.master(&none, MasterConfig::default()).unwrap().max_ping_timeouts, 5);
        assert_eq!(loaded.slave(&none, SlaveConfig::default()).unwrap().drain_now_grace, None);
    }

    #[test]
    fn a_restarted_master_waits_for_as_long_as_the_health_check() {
        let loaded = Loaded { config: full(), file: None };
        let with = |ping: &str, most, reregister: &str| {
            let flags = MasterConfig {
                ping_timeout: Some(ping.parse().unwrap()),
                max_ping_timeouts: Some(most),
                reregister_timeout: Some(reregister.parse().unwrap()),
                ..MasterConfig::default()
            };
            loaded.master(&ClusterConfig::default(), flags).map(|master| master.reregister_timeout)
        };
        assert_eq!(with("15s", 5, "1m15s"), Ok(Period::from_secs(75)));
        let error = with("15s", 5, "1m14s999ms").unwrap_err();
        assert!(error.to_string().starts_with("reregister_timeout is 1m14s999ms, shorter than"), "{error}");
        assert_eq!(
            error.cures,
            ["make reregister_timeout at least 1m15s, or ping_timeout or max_ping_timeouts smaller"]
        );
        assert!(with("366d", u32::MAX, "365d").is_err());
    }

    #[test]
    fn a_certificate_and_its_key_come_from_the_same_place() {
        let mut config = full();
        let pair = |identity: Identity| (identity.cert, identity.key);
        let operator = |config: &Config, flags: &ClusterConfig| {
            let loaded = Loaded { config: config.clone(), file: None };
            loaded.operator(flags, OperatorConfig::default()).map(|connection| pair(connection.identity))
        };
        let (cert, key) = (Some("/f.pem".into()), Some("/f.key".into()));
        let flags = ClusterConfig { cert, key, ..ClusterConfig::default() };
        let none = ClusterConfig::default();
        assert_eq!(operator(&config, &flags), Ok(("/f.pem".into(), "/f.key".into())));
        assert_eq!(operator(&config, &none), Ok(("/pki/o.pem".into(), "/pki/o.key".into())));
        config.operator = OperatorConfig::default();
        assert_eq!(operator(&config, &none), Ok(("/pki/node.pem".into(), "/pki/node.key".into())));
        let half = ClusterConfig { key: None, ..flags };
        assert_eq!(operator(&config, &half).unwrap_err().to_string(), "cert is set without key");
    }

    #[test]
    fn what_is_missing_is_named_with_its_cures() {
        let nothing = Loaded::default();
        let error = nothing.operator(&ClusterConfig::default(), OperatorConfig::default()).unwrap_err();
        assert_eq!(error.to_string(), "no master's address is known");
        assert!(error.cures[0].contains("--masters IP:PORT"));
        assert!(error.cures[1].contains("`neap up`"));
        let loaded = Loaded { config: Config::default(), file: Some("x.toml".into()) };
        let error = loaded.slave(&ClusterConfig::default(), SlaveConfig::default()).unwrap_err();
        assert_eq!(error.cures, ["set data in [slave] of x.toml, or give --data DIR"]);
    }
}
