//! Runs `neap` in a directory of its own, with an environment that holds nothing of the developer's.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A directory to run `neap` in; it goes away with this value.
pub(crate) struct Place(TempDir);

/// How one run ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let file = self.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// `neap` with the words of `line`, not yet started.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_neap"));
        command.args(shlex::split(line).unwrap()).env_clear().current_dir(self.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn neap(&self, line: &str) -> Ended {
        ended(self.command(line).output().unwrap())
    }

    pub(crate) fn neap_with(&self, env: &[(&str, &str)], line: &str) -> Ended {
        ended(self.command(line).envs(env.iter().copied()).output().unwrap())
    }
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
