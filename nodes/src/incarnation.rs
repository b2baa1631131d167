//! What tells a directory from every copy of it: a number that is drawn once, in a file that knows which file it is.
//!
//! A copy of the directory has another file, made at another time, and draws a number of its own. A directory that is
//! renamed keeps its files. A copy of a whole disk keeps everything: of those the machine's starts tell one from another
//! (R1a).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use neap_protocol::ids::Incarnation;
use rustix::fs::{AtFlags, StatxFlags};

use crate::files;

/// The file in the directory.
pub const FILE: &str = "incarnation";

/// The number, the file's inode and when it was made (seconds, nanoseconds), then a CRC; all little-endian.
const SIZE: usize = 4 * 8 + 4;

/// The incarnation of `directory`, drawn now if it has none of its own. The second says whether it is a copy of another.
///
/// # Errors
/// The system's, or that the file is damaged, with the cure.
pub fn of(directory: &Path) -> io::Result<(Incarnation, bool)> {
    let path = directory.join(FILE);
    match File::open(&path) {
        Ok(mut file) => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let (number, written_to) = read(&bytes)?;
            match written_to == which(&file)? {
                true => Ok((Incarnation(number), false)),
                false => Ok((draw(&path)?, true)),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((draw(&path)?, false)),
        Err(error) => Err(error),
    }
}

/// A number that nobody else has.
///
/// # Errors
/// The system's.
pub fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    // 0 is none.
    Ok(u64::from_le_bytes(bytes).max(1))
}

fn draw(path: &Path) -> io::Result<Incarnation> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // What an earlier start left there was made at another time.
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let number = random()?;
    let mut bytes = Vec::with_capacity(SIZE);
    [number].iter().chain(&which(&file)?).for_each(|word| bytes.extend(word.to_le_bytes()));
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    files::sync_name(path)?;
    Ok(Incarnation(number))
}

/// Which file it is. Where a filesystem does not say when a file was made, its inode has to do.
fn which(file: &File) -> io::Result<[u64; 3]> {
    let told = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::BTIME)?;
    let made = StatxFlags::from_bits_retain(told.stx_mask).contains(StatxFlags::BTIME);
    let (seconds, nanoseconds) = match made {
        true => (told.stx_btime.tv_sec.cast_unsigned(), told.stx_btime.tv_nsec.into()),
        false => (0, 0),
    };
    Ok([told.stx_ino, seconds, nanoseconds])
}

fn read(bytes: &[u8]) -> io::Result<(u64, [u64; 3])> {
    let word =
        |at: usize| bytes[8 * at..8 * at + 8].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    match bytes.split_last_chunk() {
        Some((words, crc)) if bytes.len() == SIZE && crc32fast::hash(words).to_le_bytes() == *crc => {
            Ok((word(0), [1, 2, 3].map(word)))
        }
        _ => {
            let cure = "it is not as it was written: put it back; or remove it, and this is another slave, which is \
                        admitted once the earlier one is given up";
            Err(io::Error::new(io::ErrorKind::InvalidData, cure))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn copied(from: &Path, to: &Path) {
        let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
        assert!(copied.success());
    }

    #[test]
    fn r1a_a_directory_keeps_its_number_wherever_it_is_moved_and_no_copy_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let [first, moved, copy] = ["first", "moved", "copy"].map(|name| dir.path().join(name));
        fs::create_dir(&first).unwrap();
        let own = of(&first).unwrap();
        assert!(!own.1 && own.0 != Incarnation(0));
        assert_eq!(of(&first).unwrap(), own);
        fs::rename(&first, &moved).unwrap();
        assert_eq!(of(&moved).unwrap(), own);
        copied(&moved, &copy);
        let (other, is_copy) = of(&copy).unwrap();
        assert!(is_copy && other != own.0);
        assert_eq!(of(&copy).unwrap(), (other, false), "it is its own from then on");
        assert_eq!(of(&moved).unwrap(), own, "the first keeps what it had");
    }

    #[test]
    fn r1a_a_damaged_number_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        of(dir.path()).unwrap();
        let file = dir.path().join(FILE);
        let whole = fs::read(&file).unwrap();
        let flipped = (0..whole.len()).map(|at| {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            flipped
        });
        for damaged in flipped.chain([Vec::new(), whole[1..].to_vec()]) {
            fs::write(&file, &damaged).unwrap();
            let error = of(dir.path()).unwrap_err().to_string();
            assert!(error.contains("put it back"), "{error}");
            assert_eq!(fs::read(&file).unwrap(), damaged);
        }
    }
}
