//! Frames on a stream of bytes: four bytes of length, big-endian, then the frame.

use bytes::{Buf, Bytes};
use neap_protocol::transport::FRAME_SIZE_MAX;

/// How many bytes a frame's length takes.
const HEADER_SIZE: usize = 4;

/// How much memory a frame is given before its bytes arrive.
const BODY_RESERVED_MAX: usize = 16 * 1024;

/// The frame with its length, in one piece, so that it is one write.
pub(crate) fn encode(frame: &[u8]) -> Bytes {
    debug_assert!(frame.len() <= FRAME_SIZE_MAX, "checked by the caller");
    let size = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER_SIZE + frame.len());
    bytes.extend_from_slice(&size.to_be_bytes());
    bytes.extend_from_slice(frame);
    bytes.into()
}

/// Puts frames together from the pieces in which they arrive.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    header: [u8; HEADER_SIZE],
    header_len: usize,
    body: Vec<u8>,
}

impl Assembler {
    /// Whether a frame has begun and is not whole.
    pub(crate) fn within_frame(&self) -> bool {
        self.header_len > 0
    }

    /// Takes from `bytes` what the next frame needs; the frame, once it is whole.
    ///
    /// # Errors
    /// What the peer did wrong. The stream is of no use after that.
    pub(crate) fn take(&mut self, bytes: &mut Bytes) -> Result<Option<Vec<u8>>, String> {
        let header_rest = bytes.len().min(HEADER_SIZE - self.header_len);
        let header = &mut self.header[self.header_len..];
        bytes.copy_to_slice(&mut header[..header_rest]);
        self.header_len += header_rest;
        if self.header_len < HEADER_SIZE {
            return Ok(None);
        }
        let size = checked_size(u32::from_be_bytes(self.header))?;
        if self.body.capacity() == 0 {
            self.body.reserve_exact(size.min(BODY_RESERVED_MAX.max(bytes.len())));
        }
        let rest = bytes.len().min(size - self.body.len());
        self.body.extend_from_slice(&bytes[..rest]);
        bytes.advance(rest);
        if self.body.len() < size {
            return Ok(None);
        }
        self.header_len = 0;
        Ok(Some(std::mem::take(&mut self.body)))
    }
}

fn checked_size(claimed: u32) -> Result<usize, String> {
    match usize::try_from(claimed) {
        Ok(0) => Err("an empty frame".to_owned()),
        Ok(size) if size <= FRAME_SIZE_MAX => Ok(size),
        _ => Err(format!("a frame of {claimed} bytes, where {FRAME_SIZE_MAX} are the most")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are cut, the same frames come out.
    #[test]
    fn frames_come_together_from_any_pieces() {
        let frames: [&[u8]; 3] = [b"a", b"bcdefg", b"hi"];
        let stream: Vec<u8> = frames.iter().flat_map(|frame| encode(frame)).collect();
        for piece in 1..=stream.len() {
            let mut assembler = Assembler::default();
            let mut got = Vec::new();
            for bytes in stream.chunks(piece) {
                let mut bytes = Bytes::copy_from_slice(bytes);
                while !bytes.is_empty() {
                    got.extend(assembler.take(&mut bytes).unwrap());
                }
            }
            assert_eq!(got, frames);
            assert!(!assembler.within_frame());
        }
    }

    /// Memory follows the bytes that came, not the bytes that were promised.
    #[test]
    fn a_promise_of_much_takes_little_memory() {
        let mut assembler = Assembler::default();
        let size = u32::try_from(FRAME_SIZE_MAX).unwrap();
        let mut bytes = Bytes::copy_from_slice(&size.to_be_bytes());
        assert_eq!(assembler.take(&mut bytes), Ok(None));
        assert!(assembler.body.capacity() <= BODY_RESERVED_MAX);
    }

    #[test]
    fn sizes_are_checked_before_the_body() {
        for size in [0, u32::try_from(FRAME_SIZE_MAX).unwrap() + 1, u32::MAX] {
            let mut assembler = Assembler::default();
            let mut bytes = Bytes::copy_from_slice(&size.to_be_bytes());
            assert!(assembler.take(&mut bytes).is_err(), "{size}");
        }
    }
}
