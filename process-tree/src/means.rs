//! The three ways of keeping a tree together, best first.

use std::fmt;

/// How trees are kept together, and so how sure their end is.
///
/// The `Display` says what it is and what it cannot do, for the line that a slave prints at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Means {
    /// A control group (version 2) a tree.
    Cgroup,
    /// A PID namespace a tree.
    PidNamespace,
    /// A supervisor a tree, which orphans are given to.
    Subreaper,
}

impl Means {
    /// All of them, best first.
    pub const ALL: [Means; 3] = [Means::Cgroup, Means::PidNamespace, Means::Subreaper];

    /// The word for it in a configuration: `cgroup`, `pid-namespace`, `subreaper`.
    pub fn word(self) -> &'static str {
        match self {
            Means::Cgroup => "cgroup",
            Means::PidNamespace => "pid-namespace",
            Means::Subreaper => "subreaper",
        }
    }

    /// The means of that [`word`](Means::word).
    pub fn from_word(word: &str) -> Option<Means> {
        Means::ALL.into_iter().find(|means| means.word() == word)
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Means::Cgroup => {
                "cgroup v2: each tree in a control group, killed at once and seen empty by the kernel; it cannot hold \
                 a process that deliberately moves itself to another control group that it may write to"
            }
            Means::PidNamespace => {
                "PID namespace: each tree in a namespace that dies whole with its first process; nothing leaves it, \
                 but where the slave is not root set-user-id programs do not work in it, and its processes see other \
                 numbers than /proc shows"
            }
            Means::Subreaper => {
                "subreaper: each tree under a supervisor that inherits its orphans, stopped and killed until none is \
                 left; it cannot kill set-user-id programs, and when a task kills its supervisor what survived \
                 cannot be seen"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_means_has_a_word_of_its_own() {
        for means in Means::ALL {
            assert_eq!(Means::from_word(means.word()), Some(means));
        }
        assert_eq!(Means::from_word("hope"), None);
    }
}
