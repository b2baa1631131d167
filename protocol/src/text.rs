//! Bounded strings: names that identify, and texts that people write and read.
//!
//! Short names lie where they are, everything else is shared (`Arc<str>`): cloning a machine's state takes no memory
//! for strings, and, with names as short as a checker's, touches nothing that other clones have.

use alloc::string::String;
use alloc::sync::Arc;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::map::Key;

/// The longest [`Name`], in bytes: what one DNS label may have, so that a host's name fits.
pub const NAME_LEN_MAX: usize = 63;

/// The longest [`Text`], in bytes.
pub const TEXT_LEN_MAX: usize = 1024;

/// What identifies a peer, a hold or a framework to people: 1 to 63 of `a-z A-Z 0-9 . _ -`, beginning with a
/// letter or a digit.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(Repr);

/// The longest name that takes no memory of its own: what makes a name as large as a `String`.
const INLINE_MAX: usize = 22;

/// `Short` up to [`INLINE_MAX`] bytes, those beyond its length 0; `Long` beyond.
#[derive(Clone, PartialEq, Eq)]
enum Repr {
    Short { len: u8, bytes: [u8; INLINE_MAX] },
    Long(Arc<str>),
}

impl Name {
    /// Checks `text` and takes it as a name.
    ///
    /// # Errors
    /// [`NameError`] says which rule it breaks; nothing is kept.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_LEN_MAX {
            return Err(NameError::TooLong { len: text.len() });
        }
        if let Some(bad) = text.chars().find(|&c| !(c.is_ascii_alphanumeric() || "._-".contains(c))) {
            return Err(NameError::BadCharacter { bad });
        }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(NameError::BadStart);
        }
        let mut bytes = [0; INLINE_MAX];
        Ok(Self(match bytes.get_mut(..text.len()) {
            Some(inline) => {
                inline.copy_from_slice(text.as_bytes());
                Repr::Short { len: text.len() as u8, bytes }
            }
            None => Repr::Long(text.into()),
        }))
    }

    /// The name as a string.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // They were a string's.
            Repr::Short { .. } => core::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Repr::Long(text) => text,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Repr::Long(text) => text.as_bytes(),
        }
    }
}

impl Key for Name {
    fn number(&self) -> Option<u64> {
        None
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Name {
    /// In few words: a checker hashes a dozen names at every step.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            // Only the last 8 bytes have room for the length.
            Repr::Short { len, bytes } => {
                let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v] = *bytes;
                let first = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
                match len {
                    ..8 => state.write_u64(first | u64::from(*len) << 56),
                    8.. => {
                        state.write_u64(first);
                        state.write_u64(u64::from_le_bytes([i, j, k, l, m, n, o, p]));
                        state.write_u64(u64::from_le_bytes([q, r, s, t, u, v, 0, *len]));
                    }
                }
            }
            Repr::Long(text) => text.hash(state),
        }
    }
}

/// Why a string is not a [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// It has no characters.
    Empty,
    /// It has more than [`NAME_LEN_MAX`] bytes.
    TooLong {
        /// How many it has.
        len: usize,
    },
    /// It has a character that no name may have.
    BadCharacter {
        /// The first such character.
        bad: char,
    },
    /// It begins with neither a letter nor a digit.
    BadStart,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "a name needs at least one character"),
            Self::TooLong { len } => {
                write!(f, "a name has at most {NAME_LEN_MAX} bytes, this one {len}")
            }
            Self::BadCharacter { bad } => {
                write!(f, "a name is made of a-z A-Z 0-9 . _ -, not {bad:?}")
            }
            Self::BadStart => write!(f, "a name begins with a letter or a digit"),
        }
    }
}

impl core::error::Error for NameError {}

/// What a person wrote or reads: a reason, a message. At most [`TEXT_LEN_MAX`] bytes; never a decision's ground.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Option<Arc<str>>);

impl Text {
    /// The empty text.
    pub const EMPTY: Self = Self(None);

    /// Takes `text`, cut at the last whole character within [`TEXT_LEN_MAX`].
    pub fn new(text: &str) -> Self {
        if text.is_empty() {
            return Self::EMPTY;
        }
        Self(Some(text[..text.floor_char_boundary(TEXT_LEN_MAX)].into()))
    }

    /// The text, cut at the last whole character within `len` bytes.
    pub fn within(&self, len: usize) -> Self {
        let text = self.as_str();
        if text.len() <= len { self.clone() } else { Self::new(&text[..text.floor_char_boundary(len)]) }
    }

    /// The text as a string.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

macro_rules! shown_as_str {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

shown_as_str!(Name);
shown_as_str!(Text);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Checked(|text: &str| Self::new(text)))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Checked(|text: &str| {
            if text.len() > TEXT_LEN_MAX { Err("a text is too long") } else { Ok(Self::new(text)) }
        }))
    }
}

/// Visits a borrowed string, so that a bound is checked before memory is taken.
struct Checked<F>(F);

impl<T, E: fmt::Display, F: Fn(&str) -> Result<T, E>> serde::de::Visitor<'_> for Checked<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bounded string")
    }

    fn visit_str<X: serde::de::Error>(self, text: &str) -> Result<T, X> {
        (self.0)(text).map_err(X::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(Name::new("rack1-host.example_2").map(|n| n.as_str().len()), Ok(20));
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!(Name::new("-a"), Err(NameError::BadStart));
        assert_eq!(Name::new("a b"), Err(NameError::BadCharacter { bad: ' ' }));
        assert_eq!(Name::new(&"a".repeat(64)), Err(NameError::TooLong { len: 64 }));
        assert!(Name::new(&"a".repeat(63)).is_ok());
    }

    #[test]
    fn a_long_name_is_like_a_short_one() {
        for len in 1..=NAME_LEN_MAX {
            let text = "abc".repeat(21);
            let text = &text[..len];
            let name = Name::new(text).unwrap();
            assert_eq!(name.as_str(), text);
            assert_eq!(name, Name::new(text).unwrap());
            for other in ["abb", "abc", "abcabcabcabcabcabcabcabc", "abcabcabcabcabcabcabcabd", "b"] {
                assert_eq!(name.cmp(&Name::new(other).unwrap()), text.cmp(other), "{text} against {other}");
                assert_eq!(name == Name::new(other).unwrap(), text == other);
            }
        }
        assert_eq!(size_of::<Name>(), 24);
    }

    #[test]
    fn a_text_is_cut_at_a_whole_character() {
        let long = "é".repeat(600);
        assert_eq!(Text::new(&long).as_str().len(), 1024);
        let odd = alloc::format!("x{long}");
        assert_eq!(Text::new(&odd).as_str().len(), 1023);
    }

    #[test]
    fn decoding_refuses_what_a_constructor_would() {
        let bytes = postcard::to_allocvec("no spaces").unwrap();
        assert!(postcard::from_bytes::<Name>(&bytes).is_err());
        let longest = "x".repeat(TEXT_LEN_MAX);
        let bytes = postcard::to_allocvec(longest.as_str()).unwrap();
        assert_eq!(postcard::from_bytes::<Text>(&bytes).unwrap().as_str(), longest);
        let bytes = postcard::to_allocvec("x".repeat(TEXT_LEN_MAX + 1).as_str()).unwrap();
        assert!(postcard::from_bytes::<Text>(&bytes).is_err());
    }
}
