//! Disks that can be full: small file systems, for who may mount some.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A small file system; it is gone with this value.
#[derive(Debug)]
pub(crate) struct Small(PathBuf);

impl Small {
    /// One of this size (`8m`) at `path`, where a directory is made; none where this user may not mount.
    pub(crate) fn mount(path: &Path, size: &str) -> Result<Option<Self>, String> {
        let failed = |error: std::io::Error| format!("{} cannot be mounted: {error}", path.display());
        std::fs::create_dir(path).map_err(failed)?;
        let mut mount = Command::new("mount");
        let size = format!("size={size}");
        let mount = mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        Ok(mounted.then(|| Self(path.to_owned())))
    }

    /// Leaves no room.
    pub(crate) fn fill(&self) -> Result<(), String> {
        let filled = File::create(self.filler()).and_then(|mut filler| {
            loop {
                filler.write_all(&[7; 4096])?;
            }
        });
        match filled {
            Err(error) if error.kind() == ErrorKind::StorageFull => Ok(()),
            Err(error) => Err(format!("{} cannot be filled: {error}", self.0.display())),
            Ok(never) => never,
        }
    }

    pub(crate) fn make_room(&self) -> Result<(), String> {
        std::fs::remove_file(self.filler()).map_err(|error| format!("{}: {error}", self.0.display()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: somebody may still be there.
        let _gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
