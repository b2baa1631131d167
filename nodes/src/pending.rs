//! Why something waits for an offer, in words. What the causes are is the master's to decide
//! ([`Pending`](neap_protocol::message::Pending)).

use neap_protocol::message::{Pending, Want};
use serde::Serialize;

use crate::operator::Amount;
use crate::output::counted;

/// Why tasks wait, and what would help: a sentence and cures, and the slaves by cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Why {
    pub(crate) why: String,
    pub(crate) help: Vec<&'static str>,
    pub(crate) slaves: Causes,
}

/// How many slaves there are of each cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Causes {
    too_small: u32,
    away: u32,
    held: u32,
    asked_back: u32,
    full: u32,
    lent: u32,
    declined: u32,
    free: u32,
}

/// What tasks wait for, for programs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Waits {
    pub(crate) instances: u32,
    pub(crate) needs: Amount,
    #[serde(flatten)]
    pub(crate) why: Why,
}

impl Waits {
    pub(crate) fn new(want: &Want, why: &Pending) -> Self {
        Self { instances: want.tasks, needs: (&want.needs).into(), why: Why::new(why) }
    }
}

impl Why {
    pub(crate) fn new(pending: &Pending) -> Self {
        let Pending { small, away, held, asked, full, lent, declined, free, nearest, fence_most: _ } =
            pending;
        let (small, away, held, asked) = (*small, *away, *held, *asked);
        let (full, lent, declined, free) = (*full, *lent, *declined, *free);
        let slaves = Causes { too_small: small, away, held, asked_back: asked, full, lent, declined, free };
        let all = small + away + held + asked + full + lent + declined + free;
        let largest = nearest.as_ref().map_or_else(String::new, |nearest| nearest.to_string());
        if all == 0 {
            let why = "no slave is registered".to_owned();
            return Self { why, help: vec!["`neap slave` starts one"], slaves };
        }
        if small == all {
            let why = format!("no slave is that large: the nearest has {largest}");
            return Self { why, help: vec!["ask for less, or add a larger slave"], slaves };
        }
        let too_small = format!("too small (the nearest has {largest})");
        let causes: [(u32, &str, &str); 8] = [
            (held, "held back", "`neap status` says who holds slaves back, and `neap activate` lifts that"),
            (away, "not there", "`neap slaves` says how slaves are"),
            (full, "full", "it goes on when tasks there end, or when a slave is added"),
            (lent, "offered to others, which come first by their share", "`neap offers` shows to whom"),
            (asked, "asked back from it", "`neap inverse-offers` says until when"),
            (declined, "declined by it a moment ago", "that is over in seconds"),
            (small, &too_small, "ask for less, or add a larger slave"),
            (free, "free", "an offer of it is on its way"),
        ];
        let causes = causes.into_iter().filter(|(count, ..)| *count > 0);
        let words = causes.clone().map(|(count, what, _)| match count {
            count if count == all => {
                format!("{} {what}", if all == 1 { "the only slave is" } else { "all slaves are" })
            }
            1 => format!("1 is {what}"),
            count => format!("{count} are {what}"),
        });
        let words: Vec<String> = words.collect();
        let of = if words.len() > 1 { format!("of {} ", counted(all, "slave")) } else { String::new() };
        let help = causes.map(|(.., cure)| cure).collect();
        Self { why: format!("{of}{}", words.join(", ")), help, slaves }
    }

    /// Which causes there are. How many slaves are of each changes all the time.
    pub(crate) fn kinds(&self) -> [bool; 8] {
        let Causes { too_small, away, held, asked_back, full, lent, declined, free } = self.slaves;
        [too_small, away, held, asked_back, full, lent, declined, free].map(|count| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use neap_protocol::resources::Resources;

    use super::*;

    fn words(pending: Pending) -> (String, Vec<&'static str>) {
        let Why { why, help, .. } = Why::new(&pending);
        (why, help)
    }

    #[test]
    fn a_cause_is_named_with_its_cure() {
        let nearest = Some(Resources::new(4000, 8 << 30));
        assert_eq!(words(Pending::default()).0, "no slave is registered");
        let (why, help) = words(Pending { small: 3, nearest: nearest.clone(), ..Pending::default() });
        assert_eq!(why, "no slave is that large: the nearest has cpus:4 mem:8G");
        assert_eq!(help, ["ask for less, or add a larger slave"]);
        assert_eq!(words(Pending { held: 1, ..Pending::default() }).0, "the only slave is held back");
        assert_eq!(words(Pending { full: 2, ..Pending::default() }).0, "all slaves are full");
        let (why, help) = words(Pending { held: 2, away: 1, small: 1, nearest, ..Pending::default() });
        assert_eq!(
            why,
            "of 4 slaves 2 are held back, 1 is not there, 1 is too small (the nearest has cpus:4 mem:8G)"
        );
        assert_eq!(help.len(), 3);
    }
}
