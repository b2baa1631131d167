//! The checker checked: the protocol is broken on purpose, one small change of its source at a time, and a property or
//! a test that the manifest names must catch each.
//!
//! | module | what |
//! |---|---|
//! | [`manifest`] | the mutants: what each changes, what that breaks, what must catch it |
//! | [`graft`] | all mutants in one program, of which one lives |
//! | [`workshop`] | a copy of the sources, in which mutants are made and tried |
//! | [`verdict`] | what came of a mutant |
//!
//! Nothing of a mutant is in the product's code: each is a piece of source and what takes its place, and is made in a
//! copy under `target/`. A mutant whose piece of source is not there exactly once does not apply, and that is an error:
//! a test of this crate finds it without building anything.

use std::path::{Path, PathBuf};

pub mod graft;
pub mod manifest;
pub mod verdict;
pub mod workshop;

#[cfg(test)]
mod tests;

/// The root of the checkout that this program was built from.
pub fn checkout() -> PathBuf {
    let model = Path::new(env!("CARGO_MANIFEST_DIR"));
    model.parent().unwrap_or(model).to_path_buf()
}
