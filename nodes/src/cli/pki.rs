//! Commands about certificates.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use neap_protocol::text::Name;
use neap_protocol::transport::Role;

use crate::units::Period;

/// `neap pki`.
#[derive(Debug, Args)]
pub struct Pki {
    /// What to make.
    #[command(subcommand)]
    pub command: PkiCommand,
}

/// What `neap pki` makes.
#[derive(Debug, Subcommand)]
pub enum PkiCommand {
    /// Make a CA: ca.pem, which every node needs, and ca.key, a secret
    #[command(after_help = INIT_EXAMPLES)]
    Init(Init),
    /// Make a certificate and key for one node: its role and name are its identity
    #[command(after_help = ISSUE_EXAMPLES)]
    Issue(Issue),
}

/// `neap pki init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The directory of the CA; made where there is none
    #[arg(long, value_name = "DIR", default_value = "pki")]
    pub dir: PathBuf,
    /// The CA's name
    #[arg(long, value_name = "N", default_value = "neap", value_parser = Name::new)]
    pub name: Name,
}

/// `neap pki issue`.
#[derive(Debug, Args)]
pub struct Issue {
    /// What its holder may be
    #[arg(long, value_name = "R", value_parser = roles())]
    pub role: Role,
    /// Its holder's name
    #[arg(long, value_name = "N", value_parser = Name::new)]
    pub name: Name,
    /// The directory of the CA
    #[arg(long, value_name = "DIR", default_value = "pki")]
    pub dir: PathBuf,
    /// Where ROLE-NAME.pem and ROLE-NAME.key are written [default: the CA's directory]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How long it is valid, from now
    #[arg(long, value_name = "D", default_value = "365d")]
    pub valid_for: Period,
}

pub(super) const EXAMPLES: &str = examples! {
    "A CA", "neap pki init";
    "A certificate for a slave", "neap pki issue --role slave --name slave-1";
};

const INIT_EXAMPLES: &str = examples! {
    "A CA in ./pki", "neap pki init";
    "Elsewhere, with a name of its own", "neap pki init --dir /etc/neap/pki --name paris";
};

const ISSUE_EXAMPLES: &str = examples! {
    "For a slave", "neap pki issue --role slave --name slave-1";
    "For a person, for a month", "neap pki issue --role operator --name ada --valid-for 30d";
    "From a CA elsewhere, into this directory",
    "neap pki issue --role master --name m1 --dir /etc/neap/pki --out .";
};

fn roles() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::as_str))
        .try_map(|text| RoleName::from_str(&text).map(|role| role.0))
}

struct RoleName(Role);

impl FromStr for RoleName {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Role::ALL.into_iter().find(|role| role.as_str() == text).map(Self).ok_or(UnknownRole)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("there is no such role")]
struct UnknownRole;
