//! Random lives of a session, held against a small model of what the contract allows.

use std::hash::{BuildHasher, RandomState};

use neap_protocol::transport::{
    CloseCode, CloseReason, Closed, FRAME_SIZE_MAX, ReceiveHalf, SendError, SendHalf, Session,
};

use crate::Harness;
use crate::cases::{frame, reason};

/// How many lives one run tries.
const LIVES: u64 = 60;

/// The variable that repeats a failed life: the number that the failure printed.
const SEED_VARIABLE: &str = "NEAP_TRANSPORT_SEED";

/// Random frames both ways, random pauses, and a random ending of each end.
pub async fn random_lives_keep_the_contract<H: Harness>(harness: &H) {
    let given = std::env::var(SEED_VARIABLE).ok().map(|text| {
        let seed = text.parse::<u64>();
        seed.unwrap_or_else(|_| panic!("{SEED_VARIABLE} is a number, not {text:?}"))
    });
    let seeds = match given {
        Some(seed) => seed..seed + 1,
        None => {
            let first = RandomState::new().hash_one("a seed") >> 1;
            first..first + LIVES
        }
    };
    for seed in seeds {
        let (one, other) = harness.pair().await;
        let mut random = Random(seed);
        let plans = [Plan::random(&mut random), Plan::random(&mut random)];
        let [first, second] = plans.clone();
        let (first, second) = tokio::join!(
            tokio::spawn(live(one, first, Random(random.next()))),
            tokio::spawn(live(other, second, Random(random.next()))),
        );
        let lives = [first.unwrap(), second.unwrap()];
        let verdict = judge(&plans, &lives);
        assert!(verdict.is_ok(), "{SEED_VARIABLE}={seed} repeats this: {}", verdict.unwrap_err());
    }
}

/// What one end sets out to do.
#[derive(Clone, Debug)]
struct Plan {
    sizes: Vec<usize>,
    ending: Ending,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ending {
    Finish,
    Close(CloseReason),
    Part(CloseReason),
    Drop,
}

impl Plan {
    fn random(random: &mut Random) -> Self {
        let sizes = (0..random.below(40))
            .map(|_| match random.below(10) {
                0 => 1 + random.below(FRAME_SIZE_MAX),
                1..=3 => 1 + random.below(100_000),
                _ => 1 + random.below(2_000),
            })
            .collect();
        let code = CloseCode::ALL[random.below(CloseCode::ALL.len())];
        let ending = match random.below(6) {
            0 => Ending::Drop,
            1 => Ending::Close(reason(code, "a random close")),
            2 => Ending::Part(reason(code, "a random parting")),
            _ => Ending::Finish,
        };
        Self { sizes, ending }
    }
}

/// What one end went through.
#[derive(Debug)]
struct Life {
    received: Vec<Vec<u8>>,
    end: Closed,
    /// Whether its ending was reached and, for [`Ending::Finish`], succeeded.
    ended_as_planned: bool,
}

async fn live<S: Session>(session: S, plan: Plan, mut random: Random) -> Life {
    let (mut send, mut receive) = session.split();
    let mut pauses = Random(random.next());
    let reader = tokio::spawn(async move {
        let mut received = Vec::new();
        loop {
            pause(&mut pauses).await;
            match receive.receive().await {
                Ok(frame) => received.push(frame),
                Err(end) => return (received, end),
            }
        }
    });
    let mut error = None;
    for (number, &size) in plan.sizes.iter().enumerate() {
        pause(&mut random).await;
        if let Err(SendError::Closed(closed)) = send.send(&frame(number, size)).await {
            error = Some(closed);
            break;
        }
    }
    let ended_as_planned = match (&plan.ending, error) {
        (_, Some(_)) => false,
        (Ending::Finish, None) => send.finish().await.is_ok(),
        (Ending::Part(reason), None) => send.part(reason.clone()).await.is_ok(),
        (Ending::Close(reason), None) => {
            send.close(reason.clone());
            true
        }
        (Ending::Drop, None) => true,
    };
    if plan.ending == Ending::Drop {
        drop(send);
        let (received, end) = reader.await.unwrap();
        return Life { received, end, ended_as_planned };
    }
    let (received, end) = reader.await.unwrap();
    Life { received, end, ended_as_planned }
}

async fn pause(random: &mut Random) {
    for _ in 0..random.below(4) {
        tokio::task::yield_now().await;
    }
}

/// Holds both lives against the contract.
fn judge(plans: &[Plan; 2], lives: &[Life; 2]) -> Result<(), String> {
    for (me, other) in [(0, 1), (1, 0)] {
        let (life, peer, peer_plan) = (&lives[me], &lives[other], &plans[other]);
        let of = |number: usize| frame(number, peer_plan.sizes[number]);
        let said = peer_plan.sizes.len();
        let heard = life.received.len();
        if heard > said || life.received.iter().enumerate().any(|(number, got)| *got != of(number)) {
            return Err(format!("end {me} received what end {other} did not send, or in another order"));
        }
        let fair = match &life.end {
            Closed::Finished => peer_plan.ending == Ending::Finish && heard == said,
            Closed::Peer(reason) => {
                peer_plan.ending == Ending::Close(reason.clone())
                    || peer_plan.ending == Ending::Part(reason.clone()) && heard == said
            }
            Closed::Local(reason) => {
                [Ending::Close(reason.clone()), Ending::Part(reason.clone())].contains(&plans[me].ending)
            }
            Closed::Lost(_) => plans.iter().any(|plan| plan.ending != Ending::Finish),
            Closed::Violation(_) => false,
        };
        if !fair {
            let (mine, its) = (&plans[me].ending, &peer_plan.ending);
            return Err(format!("end {me} saw {:?} (plans: {mine:?} here, {its:?} there)", life.end));
        }
        if peer_plan.ending == Ending::Finish && peer.ended_as_planned && plans[me].ending == Ending::Finish {
            let all = life.end == Closed::Finished && heard == said;
            if !all {
                return Err(format!("end {me} heard {heard} of {said} frames that were finished"));
            }
        }
        let parted = matches!(peer_plan.ending, Ending::Part(_)) && peer.ended_as_planned;
        if parted && plans[me].ending == Ending::Finish && !matches!(life.end, Closed::Peer(_)) {
            return Err(format!("end {me} saw {:?} and not why its peer parted", life.end));
        }
    }
    Ok(())
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap_or(u64::MAX)).unwrap_or_default()
    }
}
