//! Bytes on disk, pinned for those who upgrade: each file of `golden/` is of one format, and has a line for each row or
//! record: what it is, and its bytes.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use neap_protocol::ids::InverseOfferId;
use neap_protocol::task::{Reason, TaskState};

/// A row or record: what it is, and its bytes.
pub(crate) type Line = (String, Vec<u8>);

/// The lines of a file, which must be those that are written `now`. `number` says which format a file on disk has.
pub(crate) fn lines(name: &str, number: &str, now: &[Line]) -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    let bless = "NEAP_BLESS=1 cargo test -p neap-nodes --lib golden";
    if std::env::var_os("NEAP_BLESS").is_some_and(|bless| bless == "1") {
        let mut text =
            format!("# What is on disk, byte for byte. A change here is another format: see {number}.\n");
        for (what, bytes) in now {
            writeln!(text, "{what} | {}", hex(bytes)).unwrap();
        }
        fs::write(&path, text).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("there is no {}: {error}; if this is a new format: {bless}", path.display());
    });
    let golden: Vec<Line> = text.lines().filter(|line| !line.starts_with('#')).map(line).collect();
    let advice = format!(
        "files that exist are read wrongly, or not at all: if the format is to change, raise {number}, then {bless}"
    );
    for ((what, golden), (what_now, now)) in golden.iter().zip(now) {
        assert_eq!((what, hex(golden)), (what_now, hex(now)), "{name}: {advice}");
    }
    assert_eq!(golden.len(), now.len(), "{name}: lines were added or removed; {advice}");
    golden
}

fn line(line: &str) -> Line {
    let (what, bytes) = line.split_once(" | ").unwrap_or_else(|| panic!("{line} is no line"));
    let byte = |at| u8::from_str_radix(&bytes[at..at + 2], 16).unwrap();
    (what.to_owned(), (0..bytes.len()).step_by(2).map(byte).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `named!(Enum { Variant, … }, values)`: the variants' names of all of `values`, which have every variant among them.
/// It is exhaustive: one that is added must be listed, and have an example.
macro_rules! named {
    ($enum:ident { $($variant:ident),+ $(,)? }, $values:expr) => {{
        let names: Vec<&str> = $values
            .into_iter()
            .map(|value| match value {
                $($enum::$variant { .. } => stringify!($variant),)+
            })
            .collect();
        $(assert!(names.contains(&stringify!($variant)), "no example of {}", stringify!($variant));)+
        names
    }};
}
pub(crate) use named;

/// Every state with some reason, and every reason in some state.
pub(crate) fn states_and_reasons() -> Vec<(TaskState, Reason)> {
    let states = [
        TaskState::Staging,
        TaskState::Starting,
        TaskState::Running,
        TaskState::Killing,
        TaskState::Unreachable,
        TaskState::Finished,
        TaskState::Failed,
        TaskState::Killed,
        TaskState::Lost,
        TaskState::Dropped,
    ];
    let reasons = [
        Reason::Normal,
        Reason::Exited(-1),
        Reason::Signalled(9),
        Reason::NotStarted,
        Reason::ExecutorEnded,
        Reason::ExecutorNotStarted,
        Reason::ExecutorSilent,
        Reason::KilledByFramework,
        Reason::KilledByOperator,
        Reason::Revoked(InverseOfferId(300)),
        Reason::FrameworkRemoved,
        Reason::SlaveUnregistered,
        Reason::SlaveUnreachable,
        Reason::SlaveRemoved,
        Reason::SlaveForgot,
        Reason::SlaveRestarted,
        Reason::SlaveDeactivated,
        Reason::SlaveLeaving,
        Reason::SlaveDisconnected,
        Reason::OfferGone,
        Reason::BeyondOffer,
        Reason::IdUsed,
        Reason::InvalidSpec,
        Reason::Unknown,
        Reason::HostRebooted,
        Reason::Fenced,
        Reason::CannotFence,
        Reason::SlaveSilent,
        Reason::SlaveDeclaredDead,
    ];
    named!(
        TaskState {
            Staging,
            Starting,
            Running,
            Killing,
            Unreachable,
            Finished,
            Failed,
            Killed,
            Lost,
            Dropped
        },
        &states
    );
    named!(
        Reason {
            Normal,
            Exited,
            Signalled,
            NotStarted,
            ExecutorEnded,
            ExecutorNotStarted,
            ExecutorSilent,
            KilledByFramework,
            KilledByOperator,
            Revoked,
            FrameworkRemoved,
            SlaveUnregistered,
            SlaveUnreachable,
            SlaveRemoved,
            SlaveForgot,
            SlaveRestarted,
            SlaveDeactivated,
            SlaveLeaving,
            SlaveDisconnected,
            OfferGone,
            BeyondOffer,
            IdUsed,
            InvalidSpec,
            Unknown,
            HostRebooted,
            Fenced,
            CannotFence,
            SlaveSilent,
            SlaveDeclaredDead,
        },
        &reasons
    );
    states.into_iter().cycle().zip(reasons).collect()
}
