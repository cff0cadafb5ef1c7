//! How a stamp stands in the database: the text `1 TOPIC_ID NEXT_OFFSET COMMIT` under the key `stamp/STORE`
//! of the default column family.

use pelton_api::store::{ChangelogStamp, StoreError};

const VERSION: &str = "1";

/// The key of a store's stamp.
pub fn key(store: &str) -> String {
    format!("stamp/{store}")
}

/// The value of a stamp.
pub fn encode(stamp: &ChangelogStamp) -> String {
    format!("{VERSION} {} {} {}", stamp.topic_id, stamp.next_offset, stamp.commit)
}

/// Reads the value of a stamp.
///
/// # Errors
/// [`StoreError::Damaged`] with the value.
pub fn decode(value: &[u8]) -> Result<ChangelogStamp, StoreError> {
    let text = String::from_utf8_lossy(value);
    let damaged = || StoreError::Damaged(format!("`{text}` is no changelog stamp"));
    let fields: Vec<&str> = text.split(' ').collect();
    let [VERSION, topic_id, next_offset, commit] = fields[..] else { return Err(damaged()) };
    let next_offset = next_offset.parse().ok().filter(|offset| *offset >= 0).ok_or_else(damaged)?;
    Ok(ChangelogStamp { topic_id: topic_id.to_owned(), next_offset, commit: commit.parse().map_err(|_| damaged())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = ChangelogStamp { topic_id: "ab".repeat(16), next_offset: i64::MAX, commit: u64::MAX };
        assert_eq!(decode(encode(&stamp).as_bytes()), Ok(stamp));
    }

    #[test]
    fn anything_else_is_damage() {
        for bad in ["", "1 a 2", "2 a 2 3", "1 a -1 3", "1 a x 3", "1 a 2 3 4", "1 a 2 -3"] {
            assert!(matches!(decode(bad.as_bytes()), Err(StoreError::Damaged(_))), "{bad}");
        }
        assert!(decode(&[0xff, 0xfe]).is_err());
    }
}
