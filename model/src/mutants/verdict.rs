//! What came of a mutant.

use std::time::Duration;

use super::manifest::Mutant;

/// What was found of one mutant.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Which.
    pub mutant: Mutant,
    /// What came of it.
    pub outcome: Outcome,
    /// How many states its scope had, where it was tried in one.
    pub states: Option<u64>,
    /// How long it took to try.
    pub took: Duration,
}

/// What came of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What the manifest names has caught it, and perhaps something else too.
    Caught {
        /// What the manifest does not name.
        also: Vec<String>,
    },
    /// Something else has caught it, or not all that the manifest names.
    CaughtOtherwise {
        /// By what.
        by: Vec<String>,
    },
    /// Nothing has.
    Survived {
        /// Whether there are as many states and steps as without it; nothing is known of tests.
        same: Option<bool>,
    },
    /// The search did not end, or its program did not, as it should.
    Unfinished(String),
    /// It does not apply, or is no program.
    Unmade(String),
}

impl Outcome {
    /// What to think of a mutant that these have caught.
    pub(super) fn of(mutant: &Mutant, by: Vec<String>) -> Self {
        match mutant.caught_by.iter().all(|wanted| by.contains(wanted)) {
            true => {
                let also = by.into_iter().filter(|name| !mutant.caught_by.contains(name));
                Self::Caught { also: also.collect() }
            }
            false => Self::CaughtOtherwise { by },
        }
    }

    /// Whether it is as the manifest says.
    pub fn is_caught(&self) -> bool {
        matches!(self, Self::Caught { .. })
    }

    /// What to read, and to do.
    pub fn words(&self, mutant: &Mutant) -> String {
        let wanted = mutant.caught_by.join(", ");
        match self {
            Self::Caught { .. } => wanted,
            Self::CaughtOtherwise { by } => {
                format!("caught by {}, not by {wanted}: correct the manifest, or the property", by.join(", "))
            }
            Self::Survived { same: Some(true) } => {
                "SURVIVED: the same states and steps as without it; it changes nothing here, so try another scope"
                    .into()
            }
            Self::Survived { same: Some(false) } => {
                "SURVIVED: other states than without it, and nothing broken; a property is missing".into()
            }
            Self::Survived { same: None } => format!("SURVIVED: {wanted} passes with it"),
            Self::Unfinished(why) => format!("UNFINISHED: {why}"),
            Self::Unmade(why) => format!("NOT MADE: {why}"),
        }
    }
}
