//! Reads postcard's format, and nothing but its canonical form.

use alloc::string::String;
use core::fmt::{self, Write};

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::Malformed;
use crate::message::LOG_CHUNK_MAX;
use crate::task::TASK_DATA_MAX;
use crate::text::{TEXT_LEN_MAX, Text};

/// More elements than any list may have: those of the longest, a task's data or a chunk of what it wrote.
const LIST_LEN_MAX: usize = if TASK_DATA_MAX > LOG_CHUNK_MAX { TASK_DATA_MAX } else { LOG_CHUNK_MAX };

/// What is left of a frame.
pub(super) struct Reader<'de> {
    bytes: &'de [u8],
    size: usize,
}

impl<'de> Reader<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        let size = bytes.len();
        Self { bytes, size }
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> usize {
        self.size - self.bytes.len()
    }

    /// How many are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let (&byte, rest) = self.bytes.split_first().ok_or(Error(Malformed::Truncated))?;
        self.bytes = rest;
        Ok(byte)
    }

    fn take(&mut self, len: u64) -> Result<&'de [u8], Error> {
        let len = usize::try_from(len).map_err(|_| Error(Malformed::Truncated))?;
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(Error(Malformed::Truncated))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn flag(&mut self) -> Result<bool, Error> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(Error(Malformed::Flag { found })),
        }
    }

    /// A number of at most so many bits, seven to a byte, least first, in its shortest form.
    fn number(&mut self, bits: u32) -> Result<u64, Error> {
        let mut number = 0;
        for shift in (0..bits).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            let fits = bits - shift >= 7 || part >> (bits - shift) == 0;
            let shortest = byte != 0 || shift == 0;
            if !fits || !shortest {
                return Err(Error(Malformed::Number));
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Error(Malformed::Number))
    }

    fn string(&mut self) -> Result<&'de str, Error> {
        let len = self.number(64)?;
        core::str::from_utf8(self.take(len)?).map_err(|_| Error(Malformed::Utf8))
    }

    fn elements<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Elements { reader: self, len })
    }
}

/// Why reading stopped.
#[derive(Debug)]
pub(super) struct Error(pub(super) Malformed);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl de::StdError for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let mut text = Cut(String::new());
        // An error is how `Cut` says that it is full: the beginning is enough.
        let _ = write!(text, "{message}");
        Self(Malformed::Value(Text::new(&text.0)))
    }
}

/// A string that stops growing: what it is made of may be as long as a frame.
struct Cut(String);

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = TEXT_LEN_MAX - self.0.len();
        if let Some(fits) = text.get(..text.floor_char_boundary(room)) {
            self.0.push_str(fits);
        }
        match text.len() <= room {
            true => Ok(()),
            false => Err(fmt::Error),
        }
    }
}

struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    len: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(len) = self.len.checked_sub(1) else {
            return Ok(None);
        };
        self.len = len;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    /// How many elements to take memory for at once: fewer than may come, so that a claim costs little.
    fn size_hint(&self) -> Option<usize> {
        Some(self.len.min(self.reader.left() / 8 + 1))
    }
}

macro_rules! numbers {
    ($($method:ident: $visit:ident, $type:ty, $bits:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let number = self.number($bits)?;
            // It has no more bits than its type.
            visitor.$visit(number as $type)
        })*
    };
}

macro_rules! signed_numbers {
    ($($method:ident: $visit:ident, $type:ty, $bits:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let number = self.number($bits)?;
            // Zigzag: 0, -1, 1, -2, …
            visitor.$visit(((number >> 1) as $type) ^ -((number & 1) as $type))
        })*
    };
}

macro_rules! not_in_frames {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error(Malformed::Unreadable))
        })*
    };
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    numbers! {
        deserialize_u16: visit_u16, u16, 16;
        deserialize_u32: visit_u32, u32, 32;
        deserialize_u64: visit_u64, u64, 64;
    }

    signed_numbers! {
        deserialize_i16: visit_i16, i16, 16;
        deserialize_i32: visit_i32, i32, 32;
        deserialize_i64: visit_i64, i64, 64;
    }

    // No message has any of these.
    not_in_frames! {
        deserialize_any deserialize_i8 deserialize_f32 deserialize_f64 deserialize_char deserialize_bytes
        deserialize_byte_buf deserialize_map deserialize_identifier deserialize_ignored_any
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.flag()?)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u8(self.byte()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.string()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.string()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.flag()? {
            false => visitor.visit_none(),
            true => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// Every element has at least one byte, so that a list cannot have more elements than bytes are left.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let len = self.number(64)?;
        match usize::try_from(len) {
            Ok(fits) if fits <= self.left().min(LIST_LEN_MAX) => self.elements(fits, visitor),
            Ok(_) | Err(_) => Err(Error(Malformed::List { len })),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.elements(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.elements(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.elements(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }
}

impl<'de> de::EnumAccess<'de> for &mut Reader<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        // A variant's number has at most 32 bits.
        let number = self.number(32)? as u32;
        let variant = seed.deserialize(IntoDeserializer::<Error>::into_deserializer(number))?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Reader<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.elements(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.elements(fields.len(), visitor)
    }
}
