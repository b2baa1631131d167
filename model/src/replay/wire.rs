//! The transport contract, held against both ends: what is received was sent, in order, each once.

use std::collections::{BTreeMap, VecDeque};

use neap_protocol::journal::LinkId;

use super::Node;
use crate::world::Message;

/// The name of this check.
pub const TRANSPORT: &str = "transport contract";

/// A run of a node.
type End = (usize, usize);

/// How much of what was received could be compared with what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Messages that were compared.
    pub compared: u64,
    /// Messages of ends that were not recorded.
    pub alone: u64,
    /// Messages that the other end's journal, cut short, does not have.
    pub unconfirmed: u64,
}

/// What is on its way.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    links: BTreeMap<LinkId, Link>,
    /// How much was compared.
    pub count: Count,
}

#[derive(Clone, Debug, Default)]
struct Link {
    /// The runs that know it: two where both ends were recorded.
    ends: Vec<End>,
    /// What each of them said and the other has not heard.
    waiting: [VecDeque<Message>; 2],
}

impl Link {
    /// The place of the other end, and which run it is.
    fn other(&self, end: End) -> Option<(usize, End)> {
        self.ends.iter().copied().enumerate().take(2).find(|(_, other)| *other != end)
    }
}

impl Wire {
    /// Before anything was said.
    pub fn new(nodes: &[Node]) -> Self {
        let mut links: BTreeMap<LinkId, Link> = BTreeMap::new();
        for (node, of) in nodes.iter().enumerate() {
            for (run, entries) in of.runs.iter().enumerate() {
                for (_, link) in entries.links() {
                    links.entry(link).or_default().ends.push((node, run));
                }
            }
        }
        Self { links, count: Count::default() }
    }

    /// The run at the other end, if it was recorded and nothing of it is on its way.
    pub fn silent_speaker(&self, end: End, link: LinkId) -> Option<End> {
        let link = self.links.get(&link)?;
        let (place, other) = link.other(end)?;
        link.waiting[place].is_empty().then_some(other)
    }

    /// Something was said.
    pub fn said(&mut self, end: End, link: LinkId, message: &Message) {
        let Some(link) = self.links.get_mut(&link) else { return };
        if let Some(place) = link.ends.iter().take(2).position(|known| *known == end)
            && link.ends.len() > 1
        {
            link.waiting[place].push_back(message.clone());
        }
    }

    /// Something was heard; `impossible`: before it can have been said.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn heard(
        &mut self,
        end: End,
        id: Option<LinkId>,
        message: &Message,
        impossible: bool,
        cut_short: impl Fn(End) -> bool,
    ) -> Result<(), String> {
        let link = id.and_then(|id| self.links.get_mut(&id));
        let Some((link, (place, speaker))) = link.and_then(|link| link.other(end).map(|other| (link, other)))
        else {
            self.count.alone += 1;
            return Ok(());
        };
        let waiting = &mut link.waiting[place];
        let Some(sent) = waiting.front() else {
            if cut_short(speaker) && !impossible {
                self.count.unconfirmed += 1;
                return Ok(());
            }
            self.count.compared += 1;
            let when = if impossible {
                "before it can have been said"
            } else {
                "and was never said, or not as often"
            };
            return Err(format!("this is heard {when}: {message:?}"));
        };
        self.count.compared += 1;
        if sent == message {
            waiting.pop_front();
            return Ok(());
        }
        let sent = format!("{sent:?}");
        // What was passed over is lost; from there on it may fit again.
        let how = match waiting.iter().position(|later| later == message) {
            Some(later) => {
                waiting.drain(..=later);
                "too soon: what was said before it is lost"
            }
            None => "and was not said there",
        };
        Err(format!("this is heard {how}: {message:?}; what was said next is {sent}"))
    }
}
