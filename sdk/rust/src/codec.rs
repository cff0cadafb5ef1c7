//! How keys and values lie in a state store.
//!
//! The encodings are those of Kafka's own serializers, so any Kafka client can read a changelog topic:
//! integers are big-endian (which also keeps unsigned keys in numeric order), text is UTF-8.

/// A type that a store can write.
pub trait Encode {
    /// Appends the encoding to `out`.
    fn encode(&self, out: &mut Vec<u8>);
}

/// A type that a store can read back.
pub trait Decode: Sized {
    /// Reads what [`Encode::encode`] wrote.
    ///
    /// # Errors
    /// Text that says what the bytes are not.
    fn decode(bytes: &[u8]) -> Result<Self, String>;
}

impl Encode for [u8] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Encode for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Decode for Vec<u8> {
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        Ok(bytes.to_vec())
    }
}

impl Encode for str {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Encode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Decode for String {
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| format!("the stored text is no UTF-8: {error}"))
    }
}

macro_rules! integer {
    ($($integer:ty),*) => {$(
        impl Encode for $integer {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
        }

        impl Decode for $integer {
            fn decode(bytes: &[u8]) -> Result<Self, String> {
                let exact = bytes.try_into().map_err(|_| {
                    format!("a stored {} has {} bytes, not {}", stringify!($integer), size_of::<$integer>(), bytes.len())
                })?;
                Ok(Self::from_be_bytes(exact))
            }
        }
    )*};
}

integer!(u8, u16, u32, u64, i8, i16, i32, i64);
