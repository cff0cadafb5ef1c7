use super::*;
use crate::SimDisk;

#[test]
fn names_are_kafkas() {
    let dir = Path::new("/t-0");
    let cleaned = cleaned_path(dir, 42, "log");
    assert_eq!(cleaned, Path::new("/t-0/00000000000000000042.log.cleaned"));
    assert_eq!(with_suffix(Path::new("/t-0/a.log"), SWAP), Path::new("/t-0/a.log.swap"));
    assert_eq!(base_offset_of("00000000000000000042.log", "log"), Some(42));
    assert_eq!(base_offset_of("42.log", "log"), None);
}

#[test]
fn a_swap_file_that_is_not_whole_is_reported_and_nothing_is_removed() {
    let disk = SimDisk::new();
    let dir = Path::new("/t-0");
    disk.create_dir_all(dir).unwrap();
    for name in ["00000000000000000000.log", "00000000000000000000.log.swap"] {
        disk.open(&dir.join(name), true).unwrap().write_at(&[7; 100], 0).unwrap();
    }
    let error = finish_replacements(&disk, dir).unwrap_err();
    assert!(
        matches!(&error, LogError::Damaged { path, .. } if path.ends_with("00000000000000000000.log.swap")),
        "{error}"
    );
    assert!(disk.exists(&dir.join("00000000000000000000.log")).unwrap());
}
