//! `neap pki`: the cluster's CA, and certificates for its nodes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use neap_protocol::transport::Role;
use neap_transport_quic::Credentials;
use neap_transport_quic::certificates::{Authority, PkiError};
use serde::Serialize;

use crate::cli::pki::{Init, Issue, PkiCommand};
use crate::exit::Exit;
use crate::output::{Failure, Printer};

/// Carries `neap pki` out.
///
/// # Errors
/// [`Failure`] names the file and the cure.
pub fn main(command: PkiCommand, printer: &mut Printer) -> Result<Exit, Failure> {
    match command {
        PkiCommand::Init(args) => printer.one(&init(&args)?)?,
        PkiCommand::Issue(args) => printer.one(&issue(&args)?)?,
    }
    Ok(Exit::Success)
}

/// Refuses to speak with a certificate of another role before a master does: it would only hear nonsense.
///
/// # Errors
/// [`Failure`] names the file and the cure.
pub fn speaks_as(credentials: &Credentials, role: Role, file: &Path) -> Result<(), Failure> {
    let peer = credentials.peer();
    if peer.role == role {
        return Ok(());
    }
    let message =
        format!("the certificate {} is of {peer}, and this needs one of the role {role}", file.display());
    Err(Failure::new(Exit::Usage, message)
        .help(format!("`neap pki issue --role {role} --name NAME` makes one, for --cert and --key")))
}

fn init(args: &Init) -> Result<Made, Failure> {
    Authority::create(&args.name).and_then(|authority| authority.save(&args.dir)).map_err(failure)?;
    Ok(Made { certificate: args.dir.join("ca.pem"), key: args.dir.join("ca.key") })
}

fn issue(args: &Issue) -> Result<Made, Failure> {
    let authority = load(&args.dir)?;
    let valid_for = Duration::from(args.valid_for);
    let issued = authority.issue(args.role, &args.name, valid_for).map_err(failure)?;
    let out = args.out.as_ref().unwrap_or(&args.dir);
    let (certificate, key) = issued.save(out).map_err(failure)?;
    Ok(Made { certificate, key })
}

fn load(directory: &Path) -> Result<Authority, Failure> {
    Authority::load(directory).map_err(|error| {
        failure(error).help("`neap pki init --dir DIR` makes a CA; --dir names the directory of one")
    })
}

/// What was written.
#[derive(Debug, Serialize)]
struct Made {
    certificate: PathBuf,
    key: PathBuf,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wrote {} and {} (a secret)", self.certificate.display(), self.key.display())
    }
}

fn failure(error: PkiError) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}
