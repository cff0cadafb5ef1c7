use super::*;
use std::io::Write;

#[test]
fn what_was_just_written_is_in_memory_and_what_is_behind_the_end_is_no_reason_to_wait() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[7; 300_000]).unwrap();
    assert!(resident(&file, 0, 300_000));
    assert!(resident(&file, 299_999, 300_000));
    assert!(resident(&file, 5, 5));
    assert!(resident(&file, 299_999, 900_000), "whoever sends finds the file too short");
    bring_in(&file, 0, 300_000, 300_000).unwrap();
    bring_in(&file, 299_990, 900_000, 900_000).unwrap();
}

#[test]
fn what_was_dropped_from_memory_is_brought_back() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![7; 2 << 20]).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    // Where the kernel kept the pages, or the file system cannot tell, there is nothing to see.
    if !resident(&file, 0, 2 << 20) {
        bring_in(&file, 0, 1 << 20, 2 << 20).unwrap();
        assert!(resident(&file, 0, 1 << 20));
    }
}
