//! A file that grows, read piece by piece.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use neap_protocol::message::LOG_CHUNK_MAX;

/// A file and how far it has been read.
#[derive(Debug)]
pub(super) struct Tail {
    file: File,
    at: u64,
    /// Where a line begins that was held back once, for it was not whole.
    held: Option<u64>,
}

/// A piece of it, and its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

impl Tail {
    /// The file from this byte on, or from its end if it has fewer.
    pub(super) fn new(file: File, from: u64) -> io::Result<Self> {
        let at = file.metadata()?.len().min(from);
        Ok(Self { file, at, held: None })
    }

    /// How far it can be read now. One that has become shorter was written anew, and is read from its begin.
    pub(super) fn size(&mut self) -> io::Result<u64> {
        let size = self.file.metadata()?.len();
        if size < self.at {
            (self.at, self.held) = (0, None);
        }
        Ok(size)
    }

    /// The next piece within the first `size` bytes; `None` where there is none to be given now.
    ///
    /// Pieces end with a line, so that the lines of two streams are not torn by each other. A last line that is not
    /// whole is held back once, for the writer to end it, and not if `all` is to be had.
    pub(super) fn piece(&mut self, size: u64, all: bool) -> io::Result<Option<Piece>> {
        let left = size.saturating_sub(self.at);
        if left == 0 {
            return Ok(None);
        }
        let len = usize::try_from(left).map_or(LOG_CHUNK_MAX, |left| left.min(LOG_CHUNK_MAX));
        let mut bytes = vec![0; len];
        let read = read_at(&self.file, &mut bytes, self.at)?;
        bytes.truncate(read);
        let lines = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let to_the_end = len as u64 == left;
        if lines > 0 && !(all && to_the_end) {
            bytes.truncate(lines);
        } else if lines == 0 && to_the_end && !all && self.held != Some(self.at) {
            self.held = Some(self.at);
            return Ok(None);
        }
        let piece = Piece { at: self.at, bytes };
        self.at += piece.bytes.len() as u64;
        Ok((!piece.bytes.is_empty()).then_some(piece))
    }
}

/// As many bytes as there are, at most those that fit.
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], at + read as u64) {
            // It became shorter meanwhile.
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Growing {
        place: tempfile::TempDir,
        file: File,
        tail: Tail,
    }

    impl Growing {
        fn new(text: &[u8], from: u64) -> Self {
            let place = tempfile::tempdir().unwrap();
            std::fs::write(place.path().join("f"), text).unwrap();
            let file = File::options().append(true).open(place.path().join("f")).unwrap();
            let tail = Tail::new(File::open(place.path().join("f")).unwrap(), from).unwrap();
            Self { place, file, tail }
        }

        fn write(&mut self, text: &[u8]) {
            self.file.write_all(text).unwrap();
        }

        /// What is given of the file as it is now.
        fn pass(&mut self, all: bool) -> Vec<(u64, Vec<u8>)> {
            let size = self.tail.size().unwrap();
            let next = || self.tail.piece(size, all).unwrap().map(|piece| (piece.at, piece.bytes));
            std::iter::from_fn(next).collect()
        }
    }

    fn piece(at: u64, text: &[u8]) -> (u64, Vec<u8>) {
        (at, text.to_vec())
    }

    #[test]
    fn a_line_that_is_not_whole_is_held_back_once() {
        let mut file = Growing::new(b"one\ntw", 0);
        assert_eq!(file.pass(false), [piece(0, b"one\n")]);
        file.write(b"o\nthr");
        assert_eq!(file.pass(false), [piece(4, b"two\n")]);
        // Nobody ends it: it may be a question, or a bar that grows.
        assert_eq!(file.pass(false), [piece(8, b"thr")]);
        assert_eq!(file.pass(false), []);
        file.write(b"ee");
        assert_eq!(file.pass(false), []);
        file.write(b"!");
        assert_eq!(file.pass(false), [piece(11, b"ee!")]);
        file.write(b"\nfour");
        assert_eq!(file.pass(true), [piece(14, b"\nfour")]);
        assert_eq!(file.pass(true), []);
    }

    #[test]
    fn what_was_held_back_is_not_joined_by_the_next_that_is_not_whole() {
        let mut file = Growing::new(b"a", 0);
        assert_eq!(file.pass(false), []);
        file.write(b"b\nc");
        assert_eq!(file.pass(false), [piece(0, b"ab\n")]);
        assert_eq!(file.pass(false), [piece(3, b"c")]);
    }

    #[test]
    fn pieces_are_bounded_and_nothing_is_lost() {
        let line = [[7u8; 999].as_slice(), b"\n"].concat();
        let mut text = line.repeat(100);
        text.extend(vec![b'x'; 2 * LOG_CHUNK_MAX]);
        for all in [false, true] {
            let mut file = Growing::new(&text, 0);
            let mut pieces = file.pass(all);
            pieces.extend(file.pass(true));
            assert!(pieces.iter().all(|(_, bytes)| bytes.len() <= LOG_CHUNK_MAX));
            assert_eq!(pieces[0].1.len(), 65_000, "whole lines");
            let places = pieces.iter().map(|(at, _)| usize::try_from(*at).unwrap());
            let ends = pieces.iter().scan(0, |end, (_, bytes)| {
                let begin = *end;
                *end += bytes.len();
                Some(begin)
            });
            assert!(places.eq(ends), "each begins where the last ended");
            assert!(pieces.into_iter().flat_map(|(_, bytes)| bytes).eq(text.iter().copied()));
        }
    }

    #[test]
    fn a_file_is_read_from_the_byte_asked_for_or_from_its_end() {
        assert_eq!(Growing::new(b"one\ntwo\n", 4).pass(false), [piece(4, b"two\n")]);
        let mut beyond = Growing::new(b"one\n", 400);
        assert_eq!(beyond.pass(true), []);
        beyond.write(b"two\n");
        assert_eq!(beyond.pass(true), [piece(4, b"two\n")]);
    }

    #[test]
    fn a_file_that_was_cut_short_is_read_from_its_begin() {
        let mut file = Growing::new(b"one\ntwo\n", 0);
        file.pass(false);
        std::fs::write(file.place.path().join("f"), "new\n").unwrap();
        assert_eq!(file.pass(false), [piece(0, b"new\n")]);
    }
}
