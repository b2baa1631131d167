//! neap
fn main() {}
