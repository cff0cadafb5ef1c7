//! Variable-length integers: seven bits a byte, least significant group first, at most 5 bytes for 32 bits and 10 bytes
//! for 64. Those in records are signed, in zigzag; the lengths of Kafka's flexible messages (KIP-482) are unsigned.

use crate::BatchError;
use alloc::vec::Vec;

/// Reads a signed 32-bit varint and moves `buf` past it.
///
/// # Errors
/// [`BatchError::RecordOverrun`] when the bytes end inside it, [`BatchError::VarintOverflow`] when it does not fit.
#[inline]
pub fn read_i32(buf: &mut &[u8]) -> Result<i32, BatchError> {
    let value = read_u32(buf)?;
    Ok(((value >> 1) as i32) ^ -((value & 1) as i32))
}

/// Reads an unsigned 32-bit varint and moves `buf` past it.
///
/// # Errors
/// As [`read_i32`].
#[inline]
pub fn read_u32(buf: &mut &[u8]) -> Result<u32, BatchError> {
    // Most lengths and deltas of real records fit one byte.
    if let Some((&first, rest)) = buf.split_first()
        && first < 0x80
    {
        *buf = rest;
        return Ok(u32::from(first));
    }
    let mut value = 0_u32;
    for (index, &byte) in buf.iter().take(5).enumerate() {
        if index == 4 && byte > 0x0f {
            return Err(BatchError::VarintOverflow);
        }
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *buf = &buf[index + 1..];
            return Ok(value);
        }
    }
    Err(BatchError::RecordOverrun)
}

/// Reads a signed 64-bit varint and moves `buf` past it.
///
/// # Errors
/// As [`read_i32`].
#[inline]
pub fn read_i64(buf: &mut &[u8]) -> Result<i64, BatchError> {
    let mut value = 0_u64;
    for (index, &byte) in buf.iter().take(10).enumerate() {
        if index == 9 && byte > 0x01 {
            return Err(BatchError::VarintOverflow);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *buf = &buf[index + 1..];
            return Ok(((value >> 1) as i64) ^ -((value & 1) as i64));
        }
    }
    Err(BatchError::RecordOverrun)
}

/// Appends a signed 32-bit varint.
#[inline]
pub fn write_i32(out: &mut Vec<u8>, value: i32) {
    write_unsigned(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

/// Appends a signed 64-bit varint.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    write_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Bytes that [`write_i32`] would append: 1 to 5.
#[inline]
pub fn len_i32(value: i32) -> usize {
    len_unsigned(u64::from(((value << 1) ^ (value >> 31)) as u32))
}

/// Bytes that [`write_i64`] would append: 1 to 10.
#[inline]
pub fn len_i64(value: i64) -> usize {
    len_unsigned(((value << 1) ^ (value >> 63)) as u64)
}

/// Puts the bytes of an unsigned 32-bit varint.
#[inline]
pub fn put_u32(value: u32, put: impl FnMut(u8)) {
    put_unsigned(u64::from(value), put);
}

#[inline]
fn write_unsigned(out: &mut Vec<u8>, value: u64) {
    put_unsigned(value, |byte| out.push(byte));
}

#[inline]
fn put_unsigned(mut value: u64, mut put: impl FnMut(u8)) {
    while value >= 0x80 {
        put((value as u8) | 0x80);
        value >>= 7;
    }
    put(value as u8);
}

#[inline]
fn len_unsigned(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_answers() {
        // Google's protocol buffers documentation gives these for the same encoding.
        for (value, bytes) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[126]),
            (64, &[0x80, 1]),
            (-64, &[127]),
            (150, &[0xac, 2]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            write_i32(&mut out, value);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(read_i32(&mut &out[..]), Ok(value));
            assert_eq!(read_i64(&mut &out[..]), Ok(i64::from(value)));
        }
    }

    #[test]
    fn too_long_and_too_short() {
        assert_eq!(read_i32(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), Err(BatchError::VarintOverflow));
        assert_eq!(read_i32(&mut &[0x80; 9][..]), Err(BatchError::VarintOverflow));
        assert_eq!(read_i64(&mut &[0x80; 20][..]), Err(BatchError::VarintOverflow));
        assert_eq!(read_i32(&mut &[0x80, 0x80][..]), Err(BatchError::RecordOverrun));
        assert_eq!(read_i64(&mut &[][..]), Err(BatchError::RecordOverrun));
    }

    proptest! {
        #[test]
        fn an_unsigned_one_is_read_as_it_was_put(value: u32) {
            let mut bytes = Vec::new();
            put_u32(value, |byte| bytes.push(byte));
            let mut rest = &bytes[..];
            prop_assert_eq!(read_u32(&mut rest), Ok(value));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn round_trip(a: i32, b: i64) {
            let mut out = Vec::new();
            write_i32(&mut out, a);
            prop_assert_eq!(out.len(), len_i32(a));
            write_i64(&mut out, b);
            prop_assert_eq!(out.len(), len_i32(a) + len_i64(b));
            let mut buf = &out[..];
            prop_assert_eq!(read_i32(&mut buf), Ok(a));
            prop_assert_eq!(read_i64(&mut buf), Ok(b));
            prop_assert!(buf.is_empty());
        }
    }
}
