//! What the targets of machines have in common: one life after another, and inputs with what comes of them.

use std::fmt::Debug;

use neap_protocol::outbox::Outbox;

use crate::choices::Choices;

/// Lives one life after another, until the bytes are used up.
pub(crate) fn lives(choices: &mut Choices<'_>, mut live: impl FnMut(&mut Choices<'_>)) {
    while !choices.is_over() {
        live(choices);
    }
}

/// Hands an input to a machine, and tells it and its effects.
pub(crate) fn step<I: Debug, E: Debug>(
    choices: &Choices<'_>,
    input: I,
    handle: impl FnOnce(I, &mut Outbox<E>),
) -> Vec<E> {
    choices.tell(|| format!("> {input:?}"));
    let mut out = Outbox::new();
    handle(input, &mut out);
    let effects: Vec<E> = out.drain().collect();
    effects.iter().for_each(|effect| choices.tell(|| format!("    {effect:?}")));
    effects
}

/// Holds that what a machine has ignored once it ignores again.
pub(crate) fn ignores<M: Clone + PartialEq, E>(
    choices: &Choices<'_>,
    machine: &M,
    input: &impl Debug,
    handle: impl FnOnce(&mut M, &mut Outbox<E>),
) {
    let (mut again, mut out) = (machine.clone(), Outbox::new());
    handle(&mut again, &mut out);
    let ignored = out.as_slice().is_empty() && again == *machine;
    choices.hold(ignored, || format!("{input:?} is ignored once and not twice"));
}
