//! The signals of a node arrive as a stream, in this very process.

use neap_nodes::shutdown::{Signal, Signals};
use rustix::process::{Signal as Raw, getpid, kill_process};

#[tokio::test(flavor = "current_thread")]
async fn each_signal_is_told_apart() {
    let mut signals = Signals::new().unwrap();
    for (raw, expected) in [
        (Raw::USR1, Signal::DrainNow),
        (Raw::INT, Signal::Interrupt),
        (Raw::TERM, Signal::Terminate),
        (Raw::USR1, Signal::DrainNow),
    ] {
        kill_process(getpid(), raw).unwrap();
        assert_eq!(signals.next().await, expected);
    }
}
