//! Frames on a stream of bytes: four bytes of length, big-endian, then the frame. The last of a stream may be the
//! transport's own: why the session ends. Its length has [`PARTING`] set.

use bytes::{Buf, Bytes};
use neap_protocol::text::{TEXT_LEN_MAX, Text};
use neap_protocol::transport::{CloseCode, CloseReason, FRAME_SIZE_MAX};

/// How many bytes a frame's length takes.
const HEADER_SIZE: usize = 4;

/// How much memory a frame is given before its bytes arrive.
const BODY_RESERVED_MAX: usize = 16 * 1024;

/// Marks the length of a parting.
const PARTING: u32 = 1 << 31;

/// What arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Frame(Vec<u8>),
    Parting(CloseReason),
}

/// The frame with its length, in one piece, so that it is one write.
pub(crate) fn encode(frame: &[u8]) -> Bytes {
    debug_assert!(frame.len() <= FRAME_SIZE_MAX, "checked by the caller");
    let size = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER_SIZE + frame.len());
    bytes.extend_from_slice(&size.to_be_bytes());
    bytes.extend_from_slice(frame);
    bytes.into()
}

/// The last words, in one piece.
pub(crate) fn encode_parting(reason: &CloseReason) -> Bytes {
    let code = (0..).zip(CloseCode::ALL).find(|&(_, code)| code == reason.code);
    let code: u8 = code.map_or(0, |(place, _)| place);
    let detail = reason.detail.as_str().as_bytes();
    let size = u32::try_from(1 + detail.len()).unwrap_or(1);
    let mut bytes = (PARTING | size).to_be_bytes().to_vec();
    bytes.push(code);
    bytes.extend_from_slice(detail);
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
    pub(crate) fn take(&mut self, bytes: &mut Bytes) -> Result<Option<Item>, String> {
        let header_rest = bytes.len().min(HEADER_SIZE - self.header_len);
        let header = &mut self.header[self.header_len..];
        bytes.copy_to_slice(&mut header[..header_rest]);
        self.header_len += header_rest;
        if self.header_len < HEADER_SIZE {
            return Ok(None);
        }
        let header = u32::from_be_bytes(self.header);
        let is_parting = header & PARTING != 0;
        let size = checked_size(header & !PARTING, is_parting)?;
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
        let body = std::mem::take(&mut self.body);
        Ok(Some(if is_parting { Item::Parting(parting(&body)?) } else { Item::Frame(body) }))
    }
}

fn checked_size(claimed: u32, is_parting: bool) -> Result<usize, String> {
    let (what, most) = match is_parting {
        true => ("a parting", 1 + TEXT_LEN_MAX),
        false => ("a frame", FRAME_SIZE_MAX),
    };
    match usize::try_from(claimed) {
        Ok(0) => Err(format!("{what} of no bytes")),
        Ok(size) if size <= most => Ok(size),
        _ => Err(format!("{what} of {claimed} bytes, where {most} are the most")),
    }
}

fn parting(body: &[u8]) -> Result<CloseReason, String> {
    let (code, detail) = body.split_first().ok_or_else(|| "a parting without a reason".to_owned())?;
    let code = CloseCode::ALL.get(usize::from(*code)).copied();
    let code = code.ok_or_else(|| "a parting for no known reason".to_owned())?;
    Ok(CloseReason { code, detail: Text::new(&String::from_utf8_lossy(detail)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are cut, the same frames come out.
    #[test]
    fn frames_come_together_from_any_pieces() {
        let frames: [&[u8]; 3] = [b"a", b"bcdefg", b"hi"];
        let parting = CloseReason { code: CloseCode::TooSlow, detail: "why".into() };
        let mut stream: Vec<u8> = frames.iter().flat_map(|frame| encode(frame)).collect();
        stream.extend_from_slice(&encode_parting(&parting));
        let mut items: Vec<Item> = frames.iter().map(|frame| Item::Frame(frame.to_vec())).collect();
        items.push(Item::Parting(parting));
        for piece in 1..=stream.len() {
            let mut assembler = Assembler::default();
            let mut got = Vec::new();
            for bytes in stream.chunks(piece) {
                let mut bytes = Bytes::copy_from_slice(bytes);
                while !bytes.is_empty() {
                    got.extend(assembler.take(&mut bytes).unwrap());
                }
            }
            assert_eq!(got, items);
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
        let too_large = u32::try_from(FRAME_SIZE_MAX).unwrap() + 1;
        for size in [0, too_large, PARTING - 1, PARTING, PARTING | 1_026, u32::MAX] {
            let mut assembler = Assembler::default();
            let mut bytes = Bytes::copy_from_slice(&size.to_be_bytes());
            assert!(assembler.take(&mut bytes).is_err(), "{size:#x}");
        }
        let mut unknown = Bytes::from_static(&[0x80, 0, 0, 1, 200]);
        assert!(Assembler::default().take(&mut unknown).is_err());
    }
}
