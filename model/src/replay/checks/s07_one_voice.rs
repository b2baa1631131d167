//! S7: epochs only grow where they are heard, and a leader older than one that was obeyed makes nobody act.

use std::collections::BTreeMap;

use neap_protocol::framework;
use neap_protocol::ids::{Epoch, FrameworkId};
use neap_protocol::slave::{Effect, Event, Input};

use super::{Check, Look, Watch};

pub(super) const CHECK: Check =
    Check { name: "S7 one-voice", guards: "R29 R30", begin: || Box::new(OneVoice::default()) };

#[derive(Default)]
struct OneVoice {
    /// The highest epoch in which each slave, by node, was registered.
    slaves: BTreeMap<usize, Epoch>,
    /// The same of frameworks, by node and id: one that starts afresh has another.
    frameworks: BTreeMap<(usize, FrameworkId), Epoch>,
}

impl Watch for OneVoice {
    fn see(&mut self, look: &mut Look<'_>) {
        if let Some(played) = look.slave() {
            for effect in &played.effects {
                if let Effect::Publish(Event::Registered { epoch, .. }) = effect {
                    let highest = self.slaves.entry(look.step.node).or_default();
                    look.hold(epoch >= highest, || format!("it registers in {epoch}, and was in {highest}"));
                    *highest = (*highest).max(*epoch);
                }
            }
            deposed(look, &played.input, &played.effects);
        }
        let Some(played) = look.framework() else { return };
        for effect in &played.effects {
            if let framework::Effect::Notify(framework::Event::Subscribed { id, epoch }) = effect {
                let highest = self.frameworks.entry((look.step.node, *id)).or_default();
                look.hold(epoch >= highest, || format!("it subscribes in {epoch}, and was in {highest}"));
                *highest = (*highest).max(*epoch);
            }
        }
    }
}

fn deposed(look: &mut Look<'_>, input: &Input, effects: &[Effect]) {
    let Input::Master { session, .. } = input else { return };
    let Some(slave) = look.truth.slaves.get(&look.step.node) else { return };
    let Some(epoch) = slave.epochs.get(session).filter(|epoch| **epoch < slave.obeyed) else { return };
    let acts = |effect: &&Effect| {
        matches!(
            effect,
            Effect::Launch { .. }
                | Effect::Kill { .. }
                | Effect::Terminate { .. }
                | Effect::ToExecutor { .. }
                | Effect::Exit { .. }
        )
    };
    let act = effects.iter().find(acts);
    look.hold(act.is_none(), || format!("it has obeyed {}, and {epoch} makes it do {act:?}", slave.obeyed));
}
