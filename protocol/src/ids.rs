//! Identities: small integers that counters assign, never used again.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::map::Key;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $int);

        impl $name {
            /// The one after this; at the end of the range it stays there.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl Key for $name {
            fn number(&self) -> Option<u64> {
                Some(self.0.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl core::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let digits = text.strip_prefix($prefix).ok_or(IdError { like: concat!($prefix, "7") })?;
                digits.parse().map(Self).map_err(|_| IdError { like: concat!($prefix, "7") })
            }
        }
    };
}

id!(
    /// A slave, from its admission until it is removed for good (R27).
    SlaveId(u32),
    "S"
);
id!(
    /// A framework, from its first subscription until it is torn down.
    FrameworkId(u32),
    "F"
);
id!(
    /// An offer, while one leader leads.
    OfferId(u64),
    "O"
);
id!(
    /// An inverse offer.
    InverseOfferId(u32),
    "I"
);
id!(
    /// A drain.
    DrainId(u32),
    "D"
);
id!(
    /// A session, among those of one node. The driver counts them, and uses a number again only once all others were
    /// used: a write that is under way may still know of a session that has closed.
    SessionId(u32),
    "s"
);
id!(
    /// A leader's term: it grows with every leader (R29).
    Epoch(u64),
    "e"
);
id!(
    /// A durable write of one node: counted from 1 in the order in which they are asked for.
    Seq(u64),
    "w"
);

/// One start of a machine: no process that ran before it lives after it. 0 is none that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BootId(pub u64);

/// A slave's data directory: drawn when it is made, and told from that of every copy of it. 0 is none that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

/// A task: its framework, and the framework's own count of tasks. A framework never uses a number again, so that
/// the highest number seen tells a fresh one (R11, S16) without remembering every old one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// Whose it is.
    pub framework: FrameworkId,
    /// Which of the framework's, from 1.
    pub number: u32,
}

impl Key for TaskId {
    fn number(&self) -> Option<u64> {
        Some(u64::from(self.framework.0) << 32 | u64::from(self.number))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.framework, self.number)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl core::str::FromStr for TaskId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = IdError { like: "F1.7" };
        let (framework, number) = text.split_once('.').ok_or(error)?;
        Ok(Self {
            framework: framework.parse().map_err(|_| error)?,
            number: number.parse().map_err(|_| error)?,
        })
    }
}

/// An executor on one slave: the framework's number for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExecutorId {
    /// Whose it is.
    pub framework: FrameworkId,
    /// Which of the framework's: the number of the first task that it was started for.
    pub number: u32,
}

impl Key for ExecutorId {
    fn number(&self) -> Option<u64> {
        Some(u64::from(self.framework.0) << 32 | u64::from(self.number))
    }
}

impl fmt::Display for ExecutorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.x{}", self.framework, self.number)
    }
}

impl fmt::Debug for ExecutorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl core::str::FromStr for ExecutorId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = IdError { like: "F1.x7" };
        let (framework, number) = text.split_once(".x").ok_or(error)?;
        Ok(Self {
            framework: framework.parse().map_err(|_| error)?,
            number: number.parse().map_err(|_| error)?,
        })
    }
}

/// The text is not an id of the kind that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdError {
    like: &'static str,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected an id like {}", self.like)
    }
}

impl core::error::Error for IdError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn ids_read_as_they_are_written() {
        let task = TaskId { framework: FrameworkId(3), number: 17 };
        assert_eq!(task.to_string(), "F3.17");
        let executor = ExecutorId { framework: FrameworkId(3), number: 17 };
        assert_eq!(executor.to_string(), "F3.x17");
        assert_eq!("F3.17".parse(), Ok(task));
        assert_eq!("S4".parse(), Ok(SlaveId(4)));
        assert!("F3.x".parse::<TaskId>().is_err());
        let executor = ExecutorId { framework: FrameworkId(3), number: 17 };
        assert_eq!(executor.to_string().parse(), Ok(executor));
        assert!("F3.17".parse::<ExecutorId>().is_err() && "probe-7".parse::<ExecutorId>().is_err());
        assert_eq!("4".parse::<SlaveId>().unwrap_err().to_string(), "expected an id like S7");
    }
}
