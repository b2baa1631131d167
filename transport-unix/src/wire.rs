//! Frames and the transport's own words on a stream of bytes. Knows no socket.

use std::io::IoSlice;

use neap_protocol::text::{TEXT_LEN_MAX, Text};
use neap_protocol::transport::{CloseCode, CloseReason, FRAME_SIZE_MAX};

pub(crate) const HEADER_SIZE: usize = 4;

/// How much is taken from the socket at once, and so how much memory a frame is given before its bytes arrive.
pub(crate) const CHUNK_SIZE: usize = 16 * 1024;

/// Marks the length of one of the transport's own words.
const WORD: u32 = 1 << 31;

/// What arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Frame(Vec<u8>),
    Finish,
    Close(CloseReason),
}

/// What stands before a frame of this size.
pub(crate) fn header(size: usize) -> [u8; HEADER_SIZE] {
    debug_assert!(size <= FRAME_SIZE_MAX, "checked by the caller");
    u32::try_from(size).unwrap_or(0).to_be_bytes()
}

/// "I have said everything."
pub(crate) fn finish() -> Vec<u8> {
    WORD.to_be_bytes().to_vec()
}

/// "I close."
pub(crate) fn close(reason: &CloseReason) -> Vec<u8> {
    let code = (0..).zip(CloseCode::ALL).find(|&(_, code)| code == reason.code);
    let code: u8 = code.map_or(0, |(place, _)| place);
    let size = u32::try_from(1 + reason.detail.as_str().len()).unwrap_or(1);
    let mut bytes = (WORD | size).to_be_bytes().to_vec();
    bytes.push(code);
    bytes.extend_from_slice(reason.detail.as_str().as_bytes());
    bytes
}

/// What is left of a header and a body once `done` bytes of them are written.
pub(crate) fn rest<'a>(header: &'a [u8], body: &'a [u8], done: usize) -> [IoSlice<'a>; 2] {
    let in_header = done.min(header.len());
    [
        IoSlice::new(&header[in_header..]),
        IoSlice::new(&body[done - in_header..]),
    ]
}

/// Puts items together from the pieces in which they arrive. Memory follows the bytes that came, not those that were
/// promised.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    bytes: Vec<u8>,
    /// Where what was not taken yet begins.
    start: usize,
}

impl Decoder {
    /// What arrived.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether something has begun and is not whole.
    pub(crate) fn within_item(&self) -> bool {
        self.start < self.bytes.len()
    }

    /// The next item, once it is whole.
    ///
    /// # Errors
    /// What the peer did wrong. The stream is of no use after that.
    pub(crate) fn take(&mut self) -> Result<Option<Item>, String> {
        let Some((header, rest)) = self.bytes[self.start..].split_first_chunk() else {
            return Ok(None);
        };
        let header = u32::from_be_bytes(*header);
        let is_word = header & WORD != 0;
        let size = checked_size(header & !WORD, is_word)?;
        let Some(body) = rest.get(..size) else {
            return Ok(None);
        };
        let item = match is_word {
            true => word(body)?,
            false => Item::Frame(body.to_vec()),
        };
        self.start += HEADER_SIZE + size;
        if !self.within_item() {
            // An idle session holds no memory.
            *self = Self::default();
        }
        Ok(Some(item))
    }
}

fn checked_size(claimed: u32, is_word: bool) -> Result<usize, String> {
    let (what, most) = match is_word {
        true => ("a close", 1 + TEXT_LEN_MAX),
        false => ("a frame", FRAME_SIZE_MAX),
    };
    match usize::try_from(claimed) {
        Ok(0) if !is_word => Err("an empty frame".to_owned()),
        Ok(size) if size <= most => Ok(size),
        _ => Err(format!("{what} of {claimed} bytes, where {most} are the most")),
    }
}

fn word(body: &[u8]) -> Result<Item, String> {
    let Some((&code, detail)) = body.split_first() else {
        return Ok(Item::Finish);
    };
    let code = CloseCode::ALL.get(usize::from(code)).copied();
    let code = code.ok_or_else(|| "a close for no known reason".to_owned())?;
    let detail = Text::new(&String::from_utf8_lossy(detail));
    Ok(Item::Close(CloseReason { code, detail }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<Item> {
        let mut items = vec![Item::Frame(vec![1]), Item::Frame(vec![7; 300])];
        items.extend(CloseCode::ALL.map(|code| {
            let detail = "why".into();
            Item::Close(CloseReason { code, detail })
        }));
        items.push(Item::Finish);
        items
    }

    fn encode(item: &Item) -> Vec<u8> {
        match item {
            Item::Frame(frame) => [&header(frame.len()), frame.as_slice()].concat(),
            Item::Finish => finish(),
            Item::Close(reason) => close(reason),
        }
    }

    /// However the bytes are cut, the same items come out.
    #[test]
    fn items_come_together_from_any_pieces() {
        let stream: Vec<u8> = items().iter().flat_map(encode).collect();
        for piece in 1..=stream.len() {
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for bytes in stream.chunks(piece) {
                decoder.feed(bytes);
                while let Some(item) = decoder.take().unwrap() {
                    got.push(item);
                }
            }
            assert_eq!(got, items());
            assert!(!decoder.within_item());
        }
    }

    #[test]
    fn what_is_no_item_is_refused_by_its_header() {
        let too_large = u32::try_from(FRAME_SIZE_MAX).unwrap() + 1;
        for header in [0, too_large, WORD - 1, WORD | 1_026, u32::MAX] {
            let mut decoder = Decoder::default();
            decoder.feed(&header.to_be_bytes());
            assert!(decoder.take().is_err(), "{header:#x}");
        }
        let mut decoder = Decoder::default();
        decoder.feed(&[0x80, 0, 0, 1, 200]);
        assert!(decoder.take().is_err());
    }
}
