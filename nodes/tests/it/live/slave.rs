//! A slave as a process.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::truth::readable;
use crate::cluster::{Master, PATIENCE};
use crate::program::Place;

/// A running `neap slave`. It takes its trees with it, whatever happens.
pub(crate) struct Slave {
    child: Child,
    log: PathBuf,
}

impl Slave {
    /// Starts one with room for many tasks, and waits until it says that it has begun; it may not be registered yet.
    pub(crate) fn start(place: &Place, master: &Master, name: &str, flags: &str) -> Self {
        Self::begin(place, master, name, name, flags)
    }

    /// The same with another data directory than that of its name.
    pub(crate) fn start_in(place: &Place, master: &Master, name: &str, data: &str) -> Self {
        Self::begin(place, master, name, data, "")
    }

    fn begin(place: &Place, master: &Master, name: &str, data: &str, flags: &str) -> Self {
        let line = format!(
            "slave --masters {} --ca pki/ca.pem --cert pki/slave-{name}.pem --key pki/slave-{name}.key \
             --data {data} --cpus {CPUS} --mem 1000G --disk 1G {flags}",
            master.address
        );
        let log = place.path().join(format!("{data}.log"));
        let mut command = place.command(&line);
        command.env("PATH", std::env::var_os("PATH").expect("a PATH")).stdout(Stdio::piped());
        // A Ctrl-C at the terminal is for who started it: the slave ends what runs under it before it ends.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let appended = File::options().create(true).append(true).open(&log).expect("a log");
        let mut child = command.stderr(appended).spawn().expect("a slave");
        let stdout = child.stdout.take().expect("its output");
        let slave = Self { child, log };
        let mut said = String::new();
        let read = BufReader::new(stdout).read_line(&mut said);
        assert!(read.is_ok() && said.starts_with("slave "), "{said:?}: {}", slave.log());
        slave
    }

    /// It is not reaped before it is waited for, so that the number is still its own.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a slave to signal");
    }

    /// Waits for its end: the exit code, or `None` where it does not end in time or was killed.
    pub(crate) fn exit_code(&mut self, patience: Duration) -> Option<i32> {
        let process = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).expect("a slave");
        match readable(&process, Instant::now() + patience) {
            true => self.child.wait().expect("a slave").code(),
            false => None,
        }
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It ends its trees itself; SIGKILL would leave them.
            self.signal(Signal::USR1);
            if self.exit_code(PATIENCE).is_none() {
                let _ended = self.child.kill();
                let _ended = self.child.wait();
            }
        }
    }
}

/// What a slave offers.
pub(crate) const CPUS: u64 = 1000;
