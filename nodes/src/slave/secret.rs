//! The slave's own secret, from which those of its executors follow: a slave that is started anew knows by it the
//! executors that it left (R28), and nothing need be written for each.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use neap_protocol::ids::ExecutorId;
use neap_transport_unix::Token;
use ring::hmac;

/// The secret, then its CRC, little-endian.
pub(super) const FILE: &str = "secret";
const SIZE: usize = 32;
const CRC_SIZE: usize = 4;

/// It is not shown by `Debug`.
#[derive(Debug)]
pub(super) struct Secret(hmac::Key);

impl Secret {
    /// That of the slave with this data directory, made at its first start.
    pub(super) fn open(data: &Path) -> io::Result<Self> {
        let path = data.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path)?,
            Err(error) => return Err(error),
        };
        let damaged = |how: String| {
            let cure = "put it back as it was; or remove it, and executors that live will be ended";
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("{how}: {cure}")))
        };
        match bytes.split_last_chunk() {
            Some((secret, crc)) if secret.len() == SIZE => {
                match crc32fast::hash(secret).to_le_bytes() == *crc {
                    true => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret))),
                    false => damaged("its bytes are not those that were written".to_owned()),
                }
            }
            _ => damaged(format!("it has {} bytes and not {}", bytes.len(), SIZE + CRC_SIZE)),
        }
    }

    /// The secret of an executor.
    pub(super) fn token(&self, executor: ExecutorId) -> Token {
        let tag = hmac::sign(&self.0, executor.to_string().as_bytes());
        let mut bytes = [0; SIZE];
        bytes.iter_mut().zip(tag.as_ref()).for_each(|(byte, of)| *byte = *of);
        Token::from_bytes(bytes)
    }
}

fn make(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; SIZE];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    if let Some(directory) = path.parent() {
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use neap_protocol::ids::FrameworkId;

    use super::*;

    #[test]
    fn the_same_executor_has_the_same_secret_after_a_restart_and_no_other_has() {
        let dir = tempfile::tempdir().unwrap();
        let executor = |number| ExecutorId { framework: FrameworkId(1), number };
        let before = Secret::open(dir.path()).unwrap();
        let after = Secret::open(dir.path()).unwrap();
        assert_eq!(before.token(executor(1)), after.token(executor(1)));
        assert_ne!(after.token(executor(1)), after.token(executor(2)));
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Secret::open(other.path()).unwrap().token(executor(1)), after.token(executor(1)));
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn half_a_secret_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (bytes, says) in
            [("short", "5 bytes and not 36: put it back"), ("", "0 bytes and not 36: put it back")]
        {
            fs::write(dir.path().join(FILE), bytes).unwrap();
            let error = Secret::open(dir.path()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    /// R28: executors would be taken for somebody else's, and nothing would say why.
    #[test]
    fn a_damaged_secret_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let _made = Secret::open(dir.path()).unwrap();
        let whole = fs::read(&file).unwrap();
        for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            fs::write(&file, &flipped).unwrap();
            let error = Secret::open(dir.path()).unwrap_err().to_string();
            assert!(error.contains("not those that were written: put it back"), "{error}");
            assert_eq!(fs::read(&file).unwrap(), flipped);
        }
    }
}
