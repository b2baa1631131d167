//! Every kind of write is crashed at: as it is lost, and as it is durable and its node does not hear so.

use neap_protocol::framework::MemoryChange;
use neap_protocol::registry::Operation;
use neap_protocol::slave::CheckpointChange;

use super::{Property, sometimes, stored};
use crate::properties::Seen;
use crate::world::Action;

/// A table of two properties for each kind of write, one for each way. A kind that is not named does not compile.
macro_rules! by_kind {
    ($table:ident, $guards:literal, $of:ty, $lost:ident, $durable:ident: $($name:literal: $kind:pat,)+) => {
        pub(in crate::properties) const $table: &[Property] = &[$(
            sometimes(concat!("crash against ", $name, ": it is lost"), $guards, |seen| {
                $lost(seen, |change| matches!(change, $kind))
            }),
            sometimes(concat!("crash against ", $name, ": it is durable, unheard"), $guards, |seen| {
                $durable(seen, |change| matches!(change, $kind))
            }),
        )+];

        const _: fn(&$of) = |change| match change {
            $($kind => {})+
        };
    };
}

by_kind! {
    OF_MASTERS, "R28", Operation, lost_by_master, durable_at_master:
    "Lead": Operation::Lead { .. },
    "AdmitSlave": Operation::AdmitSlave { .. },
    "ReadmitSlave": Operation::ReadmitSlave { .. },
    "MarkUnreachable": Operation::MarkUnreachable { .. },
    "RemoveSlave": Operation::RemoveSlave { .. },
    "ForgetEnd": Operation::ForgetEnd { .. },
    "PlaceHold": Operation::PlaceHold { .. },
    "LiftHolds": Operation::LiftHolds { .. },
    "AddFramework": Operation::AddFramework(_),
    "ChangeFramework": Operation::ChangeFramework { .. },
    "RemoveFramework": Operation::RemoveFramework { .. },
    "OpenInverseOffer": Operation::OpenInverseOffer(_),
    "AnswerInverseOffer": Operation::AnswerInverseOffer { .. },
    "AdvanceInverseOffer": Operation::AdvanceInverseOffer { .. },
    "CloseInverseOffer": Operation::CloseInverseOffer { .. },
    "StartDrain": Operation::StartDrain(_),
    "ExtendDrain": Operation::ExtendDrain { .. },
    "EndDrain": Operation::EndDrain { .. },
}

by_kind! {
    OF_SLAVES, "R28", CheckpointChange, lost_by_slave, durable_at_slave:
    "Identity": CheckpointChange::Identity { .. },
    "Booted": CheckpointChange::Booted(_),
    "Leaving": CheckpointChange::Leaving(true),
    "Leaving no more": CheckpointChange::Leaving(false),
    "TaskAdded": CheckpointChange::TaskAdded { .. },
    "Ended": CheckpointChange::Ended { .. },
    "UpdateAdded": CheckpointChange::UpdateAdded { .. },
    "Acknowledged": CheckpointChange::Acknowledged { .. },
    "TaskForgotten": CheckpointChange::TaskForgotten { .. },
    "Whole": CheckpointChange::Whole(_),
    "Cleared": CheckpointChange::Cleared,
}

by_kind! {
    OF_FRAMEWORKS, "R14", MemoryChange, lost_by_framework, durable_at_framework:
    "Subscribed": MemoryChange::Subscribed(_),
    "Launching": MemoryChange::Launching { .. },
    "Over": MemoryChange::Over(_),
}

fn lost_by_master(seen: &Seen<'_>, what: fn(&Operation) -> bool) -> bool {
    let Action::CrashMaster(number, more) = seen.action else { return false };
    seen.before.masters[usize::from(number)].pending().skip(more.into()).any(what)
}

/// Where it made sense when its turn came: what changes nothing is as good as lost.
fn durable_at_master(seen: &Seen<'_>, what: fn(&Operation) -> bool) -> bool {
    matches!(seen.action, Action::CrashMaster(..)) && stored(seen, what)
}

fn lost_by_slave(seen: &Seen<'_>, what: fn(&CheckpointChange) -> bool) -> bool {
    let Action::CrashSlave(number, more) = seen.action else { return false };
    seen.before.slaves[usize::from(number)].pending().skip(more.into()).any(what)
}

fn durable_at_slave(seen: &Seen<'_>, what: fn(&CheckpointChange) -> bool) -> bool {
    let Action::CrashSlave(number, more) = seen.action else { return false };
    seen.before.slaves[usize::from(number)].pending().take(more.into()).any(what)
}

fn lost_by_framework(seen: &Seen<'_>, what: fn(&MemoryChange) -> bool) -> bool {
    let Action::CrashFramework(number, more) = seen.action else { return false };
    seen.before.frameworks[usize::from(number)].pending().skip(more.into()).any(what)
}

fn durable_at_framework(seen: &Seen<'_>, what: fn(&MemoryChange) -> bool) -> bool {
    let Action::CrashFramework(number, more) = seen.action else { return false };
    seen.before.frameworks[usize::from(number)].pending().take(more.into()).any(what)
}

#[cfg(test)]
mod tests {
    use neap_protocol::ids::{BootId, FrameworkId};

    use super::*;
    use crate::properties;
    use crate::scope::Scope;
    use crate::scopes;
    use crate::world::{Dialer, End, World};

    const CONNECT: Action = Action::Connect(Dialer::Slave(0), 0);
    const REGISTER: Action = Action::Deliver((Dialer::Slave(0), 1), End::Far);

    /// Where these lead, each of which can happen when its turn comes.
    fn after(scope: &Scope, actions: &[Action]) -> World {
        actions.iter().fold(World::begin(scope), |world, action| {
            let mut choices = Vec::new();
            world.actions(scope, &mut choices);
            assert!(choices.contains(action), "{action:?} cannot happen, but {choices:?}");
            world.step(scope, *action)
        })
    }

    /// What a crash does, and which properties of this table it reaches.
    fn crash(scope: &Scope, before: &World, action: Action) -> (World, Vec<&'static str>) {
        let (after, happenings) = before.step_told(scope, action);
        let reached =
            properties::reached(&Seen { scope, before, after: &after, action, happenings: &happenings });
        let names = reached.iter().map(|at| properties::ALL[at].name);
        (after, names.filter_map(|name| name.strip_prefix("crash against ")).collect())
    }

    /// docs/reliability.md says how many.
    #[test]
    fn each_kind_has_both_ways() {
        assert_eq!((OF_MASTERS.len(), OF_SLAVES.len(), OF_FRAMEWORKS.len()), (2 * 18, 2 * 11, 2 * 3));
    }

    #[test]
    fn what_a_master_had_asked_for_is_durable_as_far_as_it_came() {
        let scope = scopes::named("crash-holds").unwrap();
        let command = Action::Command(0);
        let before = after(&scope, &[CONNECT, REGISTER, Action::MasterStored(0), command, command]);
        let (none, reached) = crash(&scope, &before, Action::CrashMaster(0, 0));
        assert_eq!(reached, ["PlaceHold: it is lost", "LiftHolds: it is lost"]);
        assert_eq!(none.store.registry, before.store.registry);
        let (one, reached) = crash(&scope, &before, Action::CrashMaster(0, 1));
        assert_eq!(reached, ["PlaceHold: it is durable, unheard", "LiftHolds: it is lost"]);
        assert_ne!(one.store.registry, before.store.registry);
        let (_, reached) = crash(&scope, &before, Action::CrashMaster(0, 2));
        assert_eq!(reached, ["PlaceHold: it is durable, unheard", "LiftHolds: it is durable, unheard"]);
    }

    #[test]
    fn what_a_slave_had_asked_for_is_durable_as_far_as_it_came() {
        let scope = scopes::named("crash-leave").unwrap();
        let before = after(&scope, &[Action::Signal(0)]);
        let (none, reached) = crash(&scope, &before, Action::CrashSlave(0, 0));
        assert_eq!(
            reached,
            ["Booted: it is lost", "Leaving: it is lost", "Leaving no more: it is lost"],
            "nobody has admitted it"
        );
        assert_eq!(none.slaves[0].disk.boot, BootId(0));
        let (two, reached) = crash(&scope, &before, Action::CrashSlave(0, 2));
        assert_eq!(
            reached,
            [
                "Booted: it is durable, unheard",
                "Leaving: it is durable, unheard",
                "Leaving no more: it is lost"
            ]
        );
        assert_eq!((two.slaves[0].disk.boot, two.slaves[0].disk.leaving), (BootId(1), true));
    }

    #[test]
    fn what_a_scheduler_was_to_remember_is_durable_or_not() {
        let scope = scopes::named("crash-scheduler").unwrap();
        let framework = Dialer::Framework(0);
        let subscribe = [
            Action::Connect(framework, 0),
            Action::Deliver((framework, 1), End::Far),
            Action::MasterStored(0),
            Action::Deliver((framework, 1), End::Near),
        ];
        let before = after(&scope, &subscribe);
        let (none, reached) = crash(&scope, &before, Action::CrashFramework(0, 0));
        assert_eq!(reached, ["Subscribed: it is lost"]);
        assert_eq!(none.frameworks[0].memory.id, None);
        let (one, reached) = crash(&scope, &before, Action::CrashFramework(0, 1));
        assert_eq!(reached, ["Subscribed: it is durable, unheard"]);
        assert_eq!(one.frameworks[0].memory.id, Some(FrameworkId(1)));
        let kept = before.step(&scope, Action::FrameworkKept(0));
        assert_eq!(crash(&scope, &kept, Action::CrashFramework(0, 0)).1, [""; 0]);
    }

    #[test]
    fn what_was_written_before_a_crash_is_not_crashed_at() {
        let scope = scopes::named("crash-registration").unwrap();
        let before = after(&scope, &[CONNECT, REGISTER, Action::MasterStored(0)]);
        assert_eq!(crash(&scope, &before, Action::CrashMaster(0, 0)).1, [""; 0]);
        let stored = crash(&scope, &after(&scope, &[CONNECT, REGISTER]), Action::MasterStored(0));
        assert_eq!(stored.1, [""; 0], "nobody crashes");
    }
}
