use super::*;

const SMALL: Options = Options { steps: 300, slaves: 6, frameworks: 3, masters: 2 };

/// Seeds that every test run goes through: nothing goes wrong, and most of what should be reached is. The races and
/// refusals that so few seeds meet by luck alone are the campaigns', and the scopes'; so are crashes at every kind of
/// write.
#[test]
fn nothing_goes_wrong() {
    let until = Until::Seeds(40);
    let campaign = Campaign { first: 1, until, options: SMALL, threads: 2, wanted: None };
    let outcome = campaign.run(|_| {});
    let failed: Vec<_> = outcome.failed.iter().map(|(wrong, seeds)| (wrong.name(), seeds)).collect();
    assert!(
        failed.is_empty(),
        "{failed:?}: neap-model simulate --seeds 40 --steps 300 --slaves 6 --frameworks 3 --masters 2"
    );
    let coverage = outcome.coverage().filter(|(name, _)| !name.starts_with("crash against"));
    let (met, never): (Vec<_>, Vec<_>) = coverage.partition(|(_, seeds)| *seeds > 0);
    assert!(never.len() <= met.len(), "{never:?}");
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let again = || format!("{:?}", run(3, &SMALL, None));
    assert_eq!(again(), again());
    assert_ne!(run(3, &SMALL, None).steps, 0);
}

/// Something that takes several nodes and a dozen steps at least, out of a larger world.
#[test]
fn a_way_is_made_short_and_still_leads_there() {
    let wanted = properties::ALL.iter().position(|property| property.name == "a slave is drained");
    let wanted = wanted.expect("the property is in the table");
    let (seed, failure) = (1..)
        .find_map(|seed| {
            let failure = run(seed, &SMALL, Some(wanted)).failure?;
            (failure.actions.len() > 100).then_some((seed, failure))
        })
        .expect("some seed gets there");
    let long = failure.actions.len();
    let short = shrink(seed, failure, 50_000);
    assert!(
        short.actions.len() <= 24,
        "{} of {long} steps are left: {:?}",
        short.actions.len(),
        short.actions
    );
    // A command may name the second by its id.
    assert!(short.scope.slaves <= 2 && short.scope.frameworks == 1, "{:?}", short.scope);
    let mut walk = Walk::new(short.scope, Some(wanted));
    let (last, before) = short.actions.split_last().expect("it takes steps");
    assert!(before.iter().all(|action| walk.step(*action).is_ok()));
    assert_eq!(walk.step(*last), Err(Wrong::Reaches(wanted)));
}
