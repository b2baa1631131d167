//! The bytes on the wire, pinned: `golden/v2.txt` has one line for each variant that a frame can have.

use std::fmt::Write;
use std::path::Path;

use neap_protocol::codec::VERSION;

use crate::examples;

fn hex(frame: &[u8]) -> String {
    frame.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

#[test]
fn every_variant_has_the_bytes_that_it_always_had() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/v{VERSION}.txt"));
    let mut now = String::from(
        "# Frames of this version: name, bytes, message. A change here is another version of the protocol.\n",
    );
    for example in examples::all() {
        let frame = hex(&example.frame);
        writeln!(now, "{} | {frame} | {}", example.name, example.debug).expect("a string takes everything");
    }
    if std::env::var_os("NEAP_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(&path, &now).expect("failed to write the golden vectors");
    }
    let golden = std::fs::read_to_string(&path).expect("failed to read the golden vectors");
    for (golden, now) in golden.lines().zip(now.lines()) {
        assert_eq!(
            golden, now,
            "if the protocol is meant to change: NEAP_BLESS=1 cargo test -p neap-protocol"
        );
    }
    assert_eq!(golden.lines().count(), now.lines().count(), "lines were added or removed");
}
