//! Commands that take machines out of a cluster and put them back.
//!
//! `drain` and `inverse-offer` are several commands under one name. Their flags are read into an enum of what was
//! asked; clap has refused mixtures before.

use std::fmt;
use std::str::FromStr;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, FromArgMatches, Subcommand, ValueEnum};
use neap_protocol::ids::{DrainId, FrameworkId, InverseOfferId, SlaveId};
use neap_protocol::message::{ReceiptId, SlaveRef, Then};
use neap_protocol::text::{Name, NameError, TEXT_LEN_MAX, Text};

use super::invalid;
use super::show::Connect;
use crate::units::{ByteSize, Cpus, Period};

/// `neap deactivate`.
#[derive(Debug, Args)]
pub struct Deactivate {
    /// The slave's name or id
    #[arg(value_parser = slave)]
    pub slave: SlaveRef,
    /// The hold's name [default: your certificate's name]
    #[arg(long, value_name = "NAME", value_parser = Name::new)]
    pub hold: Option<Name>,
    /// Why, for whoever finds the hold
    #[arg(long, value_name = "T", default_value = "", hide_default_value = true, value_parser = text)]
    pub reason: Text,
    /// How to reach the leader.
    #[command(flatten)]
    pub connect: Connect,
}

pub(super) const DEACTIVATE_EXAMPLES: &str = examples! {
    "Stop offering slave-1 until you activate it", "neap deactivate slave-1 --reason 'odd disk errors'";
    "With a hold that has a name of its own", "neap deactivate slave-1 --hold raid-rebuild";
};

/// `neap activate`.
#[derive(Debug, Args)]
pub struct Activate {
    /// The slave's name or id
    #[arg(value_parser = slave)]
    pub slave: SlaveRef,
    /// The hold to lift [default: the one with your certificate's name, and that of your drain that is over]
    #[arg(long, value_name = "NAME", value_parser = Name::new, conflicts_with = "all")]
    pub hold: Option<Name>,
    /// Lift every hold but those of drains in progress
    #[arg(long)]
    pub all: bool,
    /// Why, for the audit
    #[arg(long, value_name = "T", default_value = "", hide_default_value = true, value_parser = text)]
    pub reason: Text,
    /// How to reach the leader.
    #[command(flatten)]
    pub connect: Connect,
}

pub(super) const ACTIVATE_EXAMPLES: &str = examples! {
    "Put slave-1 back after your hold or drain; it is offered when no hold is left", "neap activate slave-1";
    "Lift a hold by its name", "neap activate slave-1 --hold raid-rebuild";
    "Lift every hold, whoever placed it", "neap activate slave-1 --all";
};

/// `neap slave forget`.
#[derive(Debug, Args)]
pub struct Forget {
    /// The slave's name or id: one that does not answer. Its tasks are Lost at once, and its name is free
    #[arg(value_parser = slave)]
    pub slave: SlaveRef,
    /// Why, for its frameworks and for the record
    #[arg(long, value_name = "T", value_parser = text)]
    pub reason: Text,
    /// How to reach the leader.
    #[command(flatten)]
    pub connect: Connect,
}

pub(super) const FORGET_EXAMPLES: &str = examples! {
    "Should it live all the same, it ends all that it runs before it registers, as a new slave",
    "neap slave forget slave-3 --reason 'burnt down'";
};

/// `neap removals`.
#[derive(Debug, Args)]
pub struct Removals {
    /// What to do.
    #[command(subcommand)]
    pub command: RemovalsCommand,
}

/// What is done about removals of silent slaves.
#[derive(Debug, Subcommand)]
pub enum RemovalsCommand {
    /// Give up the silent slaves, although that is more of the cluster than may go by itself
    #[command(after_help = RESUME_EXAMPLES)]
    Resume(Resume),
}

/// `neap removals resume`.
#[derive(Debug, Args)]
pub struct Resume {
    /// Why, for the record
    #[arg(long, value_name = "T", value_parser = text)]
    pub reason: Text,
    /// How to reach the leader.
    #[command(flatten)]
    pub connect: Connect,
}

pub(super) const RESUME_EXAMPLES: &str = examples! {
    "`neap status` says that removals are halted, and the machines are really gone",
    "neap removals resume --reason 'rack 4 has no power'";
};

/// `neap teardown`.
#[derive(Debug, Args)]
pub struct Teardown {
    /// The framework's name or id
    pub framework: FrameworkRef,
    /// Why, for the framework and for the record
    #[arg(long, value_name = "T", value_parser = text, required_unless_present = "dry_run")]
    pub reason: Option<Text>,
    /// Say what would be killed, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How to reach the leader.
    #[command(flatten)]
    pub connect: Connect,
}

pub(super) const TEARDOWN_EXAMPLES: &str = examples! {
    "See what would be killed", "neap teardown web --dry-run";
    "Kill every task and executor of it, and remove it for good",
    "neap teardown web --reason 'nobody owns it'";
};

/// `neap inverse-offer`.
#[derive(Debug, Args)]
pub struct InverseOffer {
    /// What is asked.
    #[command(flatten)]
    pub action: InverseOfferAction,
    /// How to reach the leader.
    #[command(flatten)]
    pub connect: Connect,
}

/// What `neap inverse-offer` was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InverseOfferAction {
    /// Ask for resources back (R17).
    Make {
        /// Whom.
        framework: FrameworkRef,
        /// Where.
        slave: SlaveRef,
        /// How many cpus; where `cpus` and `mem` are both `None`, everything that the framework has there.
        cpus: Option<Cpus>,
        /// How much memory.
        mem: Option<ByteSize>,
        /// By when, from now.
        deadline: Period,
        /// Why.
        reason: Text,
        /// Whether to return before the end.
        detach: bool,
    },
    /// `--cancel`: take one back (R20).
    Cancel(InverseOfferId),
}

pub(super) const INVERSE_OFFER_USAGE: &str = "\
neap inverse-offer --framework <F> --slave <S> --deadline <D> --reason <T> [OPTIONS]
       neap inverse-offer --cancel <ID>";

pub(super) const INVERSE_OFFER_EXAMPLES: &str = examples! {
    "Two cpus of framework web on slave-1 within ten minutes",
    "neap inverse-offer --framework web --slave slave-1 --cpus 2 --deadline 10m --reason 'hot'";
    "All that it has there",
    "neap inverse-offer --framework web --slave slave-1 --deadline 1h --reason 'new rack'";
    "Take it back", "neap inverse-offer --cancel I4";
};

#[derive(Debug, Args)]
struct InverseOfferFlags {
    /// The framework's name or id
    #[arg(long, value_name = "F", required_unless_present = "cancel")]
    framework: Option<FrameworkRef>,
    /// The slave's name or id
    #[arg(long, value_name = "S", required_unless_present = "cancel", value_parser = slave)]
    slave: Option<SlaveRef>,
    /// Cpus to give back; without --cpus and --mem, everything
    #[arg(long, value_name = "C")]
    cpus: Option<Cpus>,
    /// Memory to give back, in binary units: 64M, 1G
    #[arg(long, value_name = "M")]
    mem: Option<ByteSize>,
    /// How long the framework has, from now: 90s, 10m, 1h30m
    #[arg(long, value_name = "D", required_unless_present = "cancel", value_parser = short_deadline)]
    deadline: Option<Period>,
    /// Why, for the framework and for the record
    #[arg(long, value_name = "T", required_unless_present = "cancel", value_parser = text)]
    reason: Option<Text>,
    /// Return at once; what was asked goes on
    #[arg(long)]
    detach: bool,
    /// Take the inverse offer ID back
    #[arg(long, value_name = "ID")]
    #[arg(conflicts_with_all = ["framework", "slave", "cpus", "mem", "deadline", "reason", "detach"])]
    cancel: Option<InverseOfferId>,
}

impl TryFrom<InverseOfferFlags> for InverseOfferAction {
    type Error = clap::Error;

    fn try_from(flags: InverseOfferFlags) -> Result<Self, clap::Error> {
        if let Some(id) = flags.cancel {
            return Ok(Self::Cancel(id));
        }
        Ok(Self::Make {
            framework: given(flags.framework, "--framework")?,
            slave: given(flags.slave, "--slave")?,
            cpus: flags.cpus,
            mem: flags.mem,
            deadline: given(flags.deadline, "--deadline")?,
            reason: given(flags.reason, "--reason")?,
            detach: flags.detach,
        })
    }
}

/// `neap drain`.
#[derive(Debug, Args)]
pub struct Drain {
    /// What is asked.
    #[command(flatten)]
    pub action: DrainAction,
    /// How to reach the leader.
    #[command(flatten)]
    pub connect: Connect,
}

/// What `neap drain` was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainAction {
    /// Drain a slave (R21).
    Begin {
        /// Which.
        slave: SlaveRef,
        /// By when, from now.
        deadline: Period,
        /// Why; `None` where no word was given about it.
        reason: Option<Text>,
        /// What after; the same.
        then: Option<Then>,
        /// Refuse unless a dry run would have this digest now (R23).
        if_plan: Option<PlanDigest>,
        /// Change a drain that is under way where it differs (R22).
        change: bool,
        /// Whether to return before the end.
        detach: bool,
    },
    /// `--dry-run`: what would happen (R23); changes nothing.
    Plan {
        /// On which slave.
        slave: SlaveRef,
        /// By when, from now.
        deadline: Period,
        /// What after; `None` where no word was given about it.
        then: Option<Then>,
    },
    /// `--now`: kill everything there and unregister it (R24).
    Now {
        /// Which slave.
        slave: SlaveRef,
        /// Why; `None` where no word was given about it.
        reason: Option<Text>,
        /// Whether to return before the end.
        detach: bool,
    },
    /// `--cancel`: give it up (R22).
    Cancel(DrainId),
    /// `--extend`: move its deadline to so long from now (R22).
    Extend(DrainId, Period),
    /// `--receipt`: what was done (R23a).
    Receipt(ReceiptId),
}

pub(super) const DRAIN_USAGE: &str = "\
neap drain <SLAVE> --deadline <D> [OPTIONS]
       neap drain <SLAVE> --now [--reason <T>] [--detach]
       neap drain --cancel <ID>
       neap drain --extend <ID> <D>
       neap drain --receipt <ID>";

pub(super) const DRAIN_EXAMPLES: &str = examples! {
    "Empty slave-1 within ten minutes, and wait until it is",
    "neap drain slave-1 --deadline 10m --reason 'new kernel'";
    "See what that would do, then do it only if nothing has changed",
    "neap drain slave-1 --deadline 10m --dry-run";
    "The digest is what the dry run printed",
    "neap drain slave-1 --deadline 10m --if-plan 00c0ffee00c0ffee";
    "Take the machine away for good",
    "neap drain slave-1 --deadline 1h --then unregister";
    "Do not wait; Ctrl-C, too, only detaches",
    "neap drain slave-1 --deadline 1h --detach";
    "Kill everything there and unregister it, as SIGUSR1 does: now, or when it is back",
    "neap drain slave-1 --now --reason 'smoke'";
    "Have a drain that is under way otherwise", "neap drain slave-1 --deadline 10m --then stay --change";
    "Give the frameworks of drain D3 half an hour from now", "neap drain --extend D3 30m";
    "Give it up", "neap drain --cancel D3";
    "What became of each task", "neap drain --receipt D3";
};

#[derive(Debug, Args)]
struct DrainFlags {
    /// The slave's name or id
    #[arg(required_unless_present_any = ["cancel", "extend", "receipt"], value_parser = slave)]
    slave: Option<SlaveRef>,
    /// How long its tasks have, from now: 90s, 10m, 1h30m
    #[arg(long, value_name = "D", value_parser = deadline)]
    #[arg(required_unless_present_any = ["now", "cancel", "extend", "receipt"])]
    deadline: Option<Period>,
    /// Why, for the frameworks and for the record
    #[arg(long, value_name = "T", value_parser = text)]
    reason: Option<Text>,
    /// What becomes of the slave once it is empty [default: stay]
    #[arg(long, value_enum, value_name = "WHAT")]
    then: Option<ThenFlag>,
    /// Return at once; the drain goes on
    #[arg(long)]
    detach: bool,
    /// Say what would happen, and change nothing
    #[arg(long, conflicts_with_all = ["detach", "if_plan", "now"])]
    dry_run: bool,
    /// Refuse unless a dry run would still have this digest
    #[arg(long, value_name = "DIGEST", conflicts_with = "now")]
    if_plan: Option<PlanDigest>,
    /// Kill everything on the slave at once and unregister it, as SIGUSR1 does; one that is away is held, and told when it is
    /// back
    #[arg(long, conflicts_with_all = ["deadline", "then"])]
    now: bool,
    /// Change a drain that is under way there to what is asked, where it differs; without this, that is refused
    #[arg(long, conflicts_with_all = ["now", "dry_run"])]
    change: bool,
    /// Give up the drain ID: what it asked for is rescinded, what it revoked stays revoked
    #[arg(long, value_name = "ID")]
    #[arg(conflicts_with_all = ["slave", "deadline", "reason", "then", "detach", "dry_run", "if_plan", "now", "change"])]
    cancel: Option<DrainId>,
    /// Move the deadline of the drain ID to D from now
    #[arg(long, num_args = 2, value_names = ["ID", "D"], conflicts_with = "cancel")]
    #[arg(conflicts_with_all = ["slave", "deadline", "reason", "then", "detach", "dry_run", "if_plan", "now", "change"])]
    extend: Option<Vec<String>>,
    /// Show what was done to each task: by a drain (D3), an inverse offer (I4), or a slave's leaving (S5)
    #[arg(long, value_name = "ID", value_parser = receipt, conflicts_with_all = ["cancel", "extend"])]
    #[arg(conflicts_with_all = ["slave", "deadline", "reason", "then", "detach", "dry_run", "if_plan", "now", "change"])]
    receipt: Option<ReceiptId>,
}

impl TryFrom<DrainFlags> for DrainAction {
    type Error = clap::Error;

    fn try_from(flags: DrainFlags) -> Result<Self, clap::Error> {
        if let Some(id) = flags.cancel {
            return Ok(Self::Cancel(id));
        }
        if let Some(id) = flags.receipt {
            return Ok(Self::Receipt(id));
        }
        if let Some([id, deadline]) = flags.extend.as_deref() {
            let id =
                id.parse().map_err(|error: neap_protocol::ids::IdError| invalid("--extend <ID>", &error))?;
            return Ok(Self::Extend(
                id,
                self::deadline(deadline).map_err(|error| invalid("--extend <D>", &error))?,
            ));
        }
        let slave = given(flags.slave, "<SLAVE>")?;
        if flags.now {
            return Ok(Self::Now { slave, reason: flags.reason, detach: flags.detach });
        }
        let deadline = given(flags.deadline, "--deadline")?;
        let then = flags.then.map(Into::into);
        Ok(match flags.dry_run {
            true => Self::Plan { slave, deadline, then },
            false => Self::Begin {
                slave,
                deadline,
                reason: flags.reason,
                then,
                if_plan: flags.if_plan,
                change: flags.change,
                detach: flags.detach,
            },
        })
    }
}

/// A framework as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameworkRef {
    /// By id.
    Id(FrameworkId),
    /// By name, which several may bear.
    Name(Name),
}

impl FromStr for FrameworkRef {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => Name::new(text).map(Self::Name),
        }
    }
}

impl fmt::Display for FrameworkRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => write!(f, "{name}"),
        }
    }
}

/// What a dry run was made from, in a number: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanDigest(pub u64);

impl FromStr for PlanDigest {
    type Err = PlanDigestError;

    fn from_str(text: &str) -> Result<Self, PlanDigestError> {
        let hexadecimal = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digest = hexadecimal.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        digest.map(Self).ok_or(PlanDigestError)
    }
}

impl fmt::Display for PlanDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is the 16 hexadecimal digits that --dry-run printed")]
pub struct PlanDigestError;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ThenFlag {
    /// It stays, empty and deactivated
    Stay,
    /// It unregisters and exits
    Unregister,
}

impl From<ThenFlag> for Then {
    fn from(flag: ThenFlag) -> Self {
        match flag {
            ThenFlag::Stay => Self::Stay,
            ThenFlag::Unregister => Self::Unregister,
        }
    }
}

/// Makes an enum of what was asked an argument group of clap, by the flags that it is read from.
macro_rules! read_from_flags {
    ($action:ty, $flags:ty) => {
        impl FromArgMatches for $action {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                <$flags>::from_arg_matches(matches)?.try_into()
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }

        impl Args for $action {
            fn augment_args(command: clap::Command) -> clap::Command {
                <$flags>::augment_args(command)
            }

            fn augment_args_for_update(command: clap::Command) -> clap::Command {
                <$flags>::augment_args_for_update(command)
            }
        }
    };
}

read_from_flags!(InverseOfferAction, InverseOfferFlags);
read_from_flags!(DrainAction, DrainFlags);

/// What clap has seen to be there.
fn given<T>(value: Option<T>, name: &str) -> Result<T, clap::Error> {
    value.ok_or_else(|| clap::Error::raw(ErrorKind::MissingRequiredArgument, format!("{name} is missing\n")))
}

/// A slave's id, such as S5, or its name.
fn slave(text: &str) -> Result<SlaveRef, NameError> {
    match text.parse::<SlaveId>() {
        Ok(id) => Ok(SlaveRef::Id(id)),
        Err(_) => Name::new(text).map(SlaveRef::Name),
    }
}

fn receipt(text: &str) -> Result<ReceiptId, ReceiptError> {
    let drain = text.parse().map(ReceiptId::Drain).ok();
    let inverse_offer = || text.parse().map(ReceiptId::InverseOffer).ok();
    let unregistration = || text.parse().map(ReceiptId::Unregistration).ok();
    drain.or_else(inverse_offer).or_else(unregistration).ok_or(ReceiptError)
}

#[derive(Debug, thiserror::Error)]
#[error("expected the id of a drain (D3), of an inverse offer (I4), or of a slave that left (S5)")]
struct ReceiptError;

/// How long a drain gives. None at all is not what everyone means by it: some tools wait for ever then.
fn deadline(text: &str) -> Result<Period, DeadlineError> {
    let period: Period = text.parse().map_err(DeadlineError::Unit)?;
    if period.is_zero() { Err(DeadlineError::NoTime) } else { Ok(period) }
}

/// The same of an inverse offer.
fn short_deadline(text: &str) -> Result<Period, DeadlineError> {
    deadline(text).map_err(|error| match error {
        DeadlineError::NoTime => DeadlineError::NoTimeToGive,
        other @ (DeadlineError::NoTimeToGive | DeadlineError::Unit(_)) => other,
    })
}

#[derive(Debug, thiserror::Error)]
enum DeadlineError {
    #[error(transparent)]
    Unit(crate::units::UnitError),
    #[error("a deadline gives some time: use --now to end everything at once, 1ms to ask and revoke")]
    NoTime,
    #[error("a deadline gives some time: 1ms asks, and revokes at once")]
    NoTimeToGive,
}

/// A reason: longer ones are refused rather than cut.
pub(super) fn text(text: &str) -> Result<Text, TextError> {
    match text.len() > TEXT_LEN_MAX {
        true => Err(TextError),
        false => Ok(Text::new(text)),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a reason has at most {TEXT_LEN_MAX} bytes")]
pub(super) struct TextError;
