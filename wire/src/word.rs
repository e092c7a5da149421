//! Words of a fixed set, as statuses and kinds are.

use std::{borrow::Cow, fmt, ops::Deref};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, IntoDeserializer, value::Error},
};

/// A word of `T`'s set. One that is not in it, as a newer agent may write, is kept as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Word<T> {
    text: Cow<'static, str>,
    known: Option<T>,
}

impl<T> Word<T> {
    /// The word as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it means; nothing for a word that is not in the set.
    #[must_use]
    pub fn known(&self) -> Option<&T> {
        self.known.as_ref()
    }
}

impl<T> Default for Word<T> {
    fn default() -> Self {
        Self {
            text: Cow::Borrowed(""),
            known: None,
        }
    }
}

impl<T: Serialize> From<T> for Word<T> {
    fn from(known: T) -> Self {
        // Each set consists of words alone, so there is always a text.
        let text = known.serialize(TextOf).unwrap_or_default();
        Self {
            text,
            known: Some(known),
        }
    }
}

impl<T: PartialEq> PartialEq<T> for Word<T> {
    fn eq(&self, other: &T) -> bool {
        self.known.as_ref() == Some(other)
    }
}

impl<T> Deref for Word<T> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl<T> From<&Word<T>> for String {
    fn from(word: &Word<T>) -> Self {
        word.text.clone().into_owned()
    }
}

impl<T> From<Word<T>> for String {
    fn from(word: Word<T>) -> Self {
        word.text.into_owned()
    }
}

impl<T> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl<T> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let word: serde::de::value::StrDeserializer<'_, Error> = text.as_str().into_deserializer();
        let known = T::deserialize(word).ok();
        Ok(Self {
            text: Cow::Owned(text),
            known,
        })
    }
}

/// Takes the text out of a word and refuses everything else.
struct TextOf;

macro_rules! refuse {
    ($($method:ident($($kind:ty),*) $(<$generic:ident>)?;)*) => {
        $(fn $method $(<$generic: ?Sized + Serialize>)? (self, $(_: $kind),*) -> Result<Self::Ok, Self::Error> {
            Err(no_word())
        })*
    };
}

fn no_word() -> Error {
    serde::ser::Error::custom("it is no word")
}

impl Serializer for TextOf {
    type Ok = Cow<'static, str>;
    type Error = Error;
    type SerializeSeq = serde::ser::Impossible<Self::Ok, Error>;
    type SerializeTuple = serde::ser::Impossible<Self::Ok, Error>;
    type SerializeTupleStruct = serde::ser::Impossible<Self::Ok, Error>;
    type SerializeTupleVariant = serde::ser::Impossible<Self::Ok, Error>;
    type SerializeMap = serde::ser::Impossible<Self::Ok, Error>;
    type SerializeStruct = serde::ser::Impossible<Self::Ok, Error>;
    type SerializeStructVariant = serde::ser::Impossible<Self::Ok, Error>;

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Self::Ok, Self::Error> {
        Ok(Cow::Borrowed(variant))
    }

    fn serialize_str(self, text: &str) -> Result<Self::Ok, Self::Error> {
        Ok(Cow::Owned(text.to_owned()))
    }

    refuse! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_some(&T) <T>;
        serialize_newtype_struct(&'static str, &T) <T>;
        serialize_newtype_variant(&'static str, u32, &'static str, &T) <T>;
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        Err(no_word())
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        Err(no_word())
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        Err(no_word())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(no_word())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        Err(no_word())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Error> {
        Err(no_word())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(no_word())
    }
}
