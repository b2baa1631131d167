//! The exit codes of `neap`: few, documented, and the same for every command.

use std::process::ExitCode;

/// How a command ended, for the shell that started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// What was asked is done, or was so already.
    Success,
    /// It failed, for a reason that the message names.
    Failed,
    /// The command line, the environment or the config file asks for something that cannot be.
    Usage,
    /// The cluster understood and refused; nothing was changed.
    Refused,
    /// No leader was reached; whether anything was changed is not known to this command.
    Unreachable,
    /// A limit of time passed before the end was seen; what was asked goes on.
    TimedOut,
    /// A slave has ended everything and left, and no leader has acknowledged it.
    Unacknowledged,
    /// Ctrl-C: the command detached; what was asked goes on.
    Detached,
}

impl Exit {
    /// Every way to end.
    pub const ALL: [Self; 8] = [
        Self::Success,
        Self::Failed,
        Self::Usage,
        Self::Refused,
        Self::Unreachable,
        Self::TimedOut,
        Self::Unacknowledged,
        Self::Detached,
    ];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Unreachable => 4,
            Self::TimedOut => 5,
            Self::Unacknowledged => neap_protocol::slave::EXIT_UNHEARD,
            // What a shell reports for a program that SIGINT ended.
            Self::Detached => 130,
        }
    }

    /// The code's name, as JSON errors write it in `code`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed-out",
            Self::Unacknowledged => "unacknowledged",
            Self::Detached => "detached",
        }
    }

    /// One line of meaning, for `neap --help`.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done, or it was so already",
            Self::Failed => "failed, for the reason that the message names",
            Self::Usage => "the command line, the environment or the config file is wrong",
            Self::Refused => "the cluster refused; nothing was changed",
            Self::Unreachable => "no leader was reached; what was asked may or may not have happened",
            Self::TimedOut => "the time limit passed; what was asked goes on",
            Self::Unacknowledged => {
                "the slave has left, and no leader has acknowledged it: see `neap slave --help`"
            }
            Self::Detached => "Ctrl-C detached the command; what was asked goes on",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_and_names_are_distinct() {
        assert_eq!(Exit::ALL.map(Exit::code).into_iter().collect::<HashSet<_>>().len(), Exit::ALL.len());
        assert_eq!(Exit::ALL.map(Exit::name).into_iter().collect::<HashSet<_>>().len(), Exit::ALL.len());
    }
}
