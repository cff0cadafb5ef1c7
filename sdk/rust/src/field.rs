//! What can be the key or the value of a record.

/// Bytes or null, as the key or value of a record that is emitted.
///
/// `()` and `None` are Kafka's null, which in a compacted topic deletes the key.
pub trait Field {
    /// The bytes, or `None` for null.
    fn bytes(&self) -> Option<&[u8]>;
}

impl Field for () {
    fn bytes(&self) -> Option<&[u8]> {
        None
    }
}

impl Field for [u8] {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl<const N: usize> Field for [u8; N] {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl Field for Vec<u8> {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl Field for str {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self.as_bytes())
    }
}

impl Field for String {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self.as_bytes())
    }
}

impl<F: Field> Field for Option<F> {
    fn bytes(&self) -> Option<&[u8]> {
        self.as_ref().and_then(Field::bytes)
    }
}

impl<F: Field + ?Sized> Field for &F {
    fn bytes(&self) -> Option<&[u8]> {
        (**self).bytes()
    }
}
