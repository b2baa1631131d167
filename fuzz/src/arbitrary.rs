//! Values of any kind, made from choices: a serde deserializer that chooses what its visitor asks for, so that no
//! field and no variant can be forgotten.

use serde::de::value::Error;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};

use crate::choices::Choices;

/// The value that these choices make.
pub(crate) fn any<T: DeserializeOwned>(choices: &mut Choices<'_>) -> T {
    let mut source = Source { choices, port: 0, depth: 0 };
    T::deserialize(&mut source).expect("every choice is valid")
}

struct Source<'a, 'b> {
    choices: &'a mut Choices<'b>,
    /// Ports are the only numbers of 16 bits, and their ranges must be in order and apart.
    port: u16,
    depth: u32,
}

impl Source<'_, '_> {
    fn byte(&mut self) -> u8 {
        self.choices.byte()
    }

    /// Any number, small ones and the largest more often than others.
    fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..200 => u64::from(small),
            200..240 => u64::from_le_bytes([0; 8].map(|_: u8| self.byte())),
            240..250 => 1 << (self.byte() % 64),
            _ => u64::MAX,
        }
    }

    /// A word that is a name and a text.
    fn word(&mut self) -> String {
        let letters = b"aZ0.-_9xyz";
        let len = usize::from(self.byte() % 12);
        (0..len).fold(String::from("n"), |mut word, _| {
            word.push(char::from(letters[usize::from(self.byte()) % letters.len()]));
            word
        })
    }
}

struct Elements<'s, 'a, 'b> {
    source: &'s mut Source<'a, 'b>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, '_, '_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.source).map(Some)
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.number() as $type)
        })*
    };
}

impl<'de> de::Deserializer<'de> for &mut Source<'_, '_> {
    type Error = Error;

    numbers! {
        deserialize_u8 visit_u8 u8;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_i32 visit_i32 i32;
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i64 f32 f64 char bytes byte_buf unit unit_struct map identifier ignored_any
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("no message has such a part"))
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.port += 2 + u16::from(self.byte());
        visitor.visit_u16(self.port)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.byte() % 2 == 1)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.word())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.word())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.byte() % 2 {
            0 => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.port = 0;
        let left = match self.byte() {
            // Longer than the small lists, but not inside another list.
            255 if self.depth == 0 => 60,
            few => usize::from(few % 4),
        };
        self.depth += 1;
        let value = visitor.visit_seq(Elements { source: self, left });
        self.depth -= 1;
        value
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Elements { source: self, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Elements { source: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant = u32::from(self.byte()) % variants.len() as u32;
        visitor.visit_enum(Variant { source: self, variant })
    }
}

struct Variant<'s, 'a, 'b> {
    source: &'s mut Source<'a, 'b>,
    variant: u32,
}

impl<'de> de::EnumAccess<'de> for Variant<'_, '_, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let variant = seed.deserialize(IntoDeserializer::<Error>::into_deserializer(self.variant))?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, '_, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.source)
    }

    fn tuple_variant<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Error> {
        let source = self.source;
        visitor.visit_seq(Elements { source, left })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.tuple_variant(fields.len(), visitor)
    }
}
