use super::*;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

fn write(path: &Path, len: u64) {
    File::create(path).unwrap().set_len(len).unwrap();
}

fn thread() -> (Sender<Order>, RemoverThread) {
    let (orders, waiting) = mpsc::channel();
    (orders, RemoverThread { orders: waiting, waiting: BinaryHeap::new() })
}

#[test]
fn a_file_is_cut_piece_by_piece_down_to_its_first() {
    assert_eq!(lengths(3 * PIECE_BYTES + 1).collect::<Vec<_>>(), [3, 2, 1].map(|pieces| pieces * PIECE_BYTES));
    assert_eq!(lengths(3 * PIECE_BYTES).collect::<Vec<_>>(), [2, 1].map(|pieces| pieces * PIECE_BYTES));
    assert_eq!(lengths(PIECE_BYTES).count() + lengths(0).count(), 0);

    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("00000000000000000000.log.deleted");
    write(&path, 2 * PIECE_BYTES + 5);
    let file = unlink(&path).unwrap().expect("nobody else has it, and this file system grants leases");
    assert!(!path.exists(), "the name goes first");
    let (_orders, mut remover) = thread();
    assert!(remover.give_back(&file).is_ok());
    assert_eq!(file.metadata().unwrap().len(), PIECE_BYTES);
}

#[test]
fn what_somebody_reads_or_has_under_another_name_is_not_cut() {
    let temporary = tempfile::tempdir().unwrap();
    let (path, other) = (temporary.path().join("a"), temporary.path().join("b"));
    let len = 2 * PIECE_BYTES;
    write(&path, len);
    let mut reader = File::open(&path).unwrap();
    let (_orders, mut remover) = thread();
    assert!(remover.remove(&path).is_ok());
    assert!(!path.exists());
    assert_eq!(reader.metadata().unwrap().len(), len);
    let mut read = Vec::new();
    assert_eq!(reader.read_to_end(&mut read).unwrap() as u64, len);

    write(&path, len);
    let mut writer = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    assert!(remover.remove(&path).is_ok());
    assert_eq!(writer.read_to_end(&mut Vec::new()).unwrap() as u64, len);

    write(&path, len);
    fs::hard_link(&path, &other).unwrap();
    assert!(remover.remove(&path).is_ok());
    assert!(!path.exists());
    assert_eq!(other.metadata().unwrap().len(), len, "a backup made of hard links keeps its bytes");
}

#[test]
fn files_and_directories_go_when_their_time_has_come() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("t-0.0123-delete");
    fs::create_dir_all(directory.join("below")).unwrap();
    write(&directory.join("large"), 2 * PIECE_BYTES);
    write(&directory.join("small"), 1);
    write(&directory.join("below/file"), 1);
    let (now, never, link) = ["now", "never", "link"].map(|name| temporary.path().join(name)).into();
    write(&now, 3);
    write(&never, 3);
    std::os::unix::fs::symlink(&never, &link).unwrap();
    let (remover, thread) = Remover::start().unwrap();
    remover.remove_later(vec![never.clone()], i64::MAX);
    remover.remove_later(vec![temporary.path().join("missing"), now.clone(), link.clone()], 1);
    remover.remove(directory.clone());
    let bound = Instant::now() + Duration::from_secs(60);
    while (now.exists() || directory.exists() || link.is_symlink()) && Instant::now() < bound {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(!now.exists() && !directory.exists() && !link.is_symlink());
    remover.stop().blocking_recv().expect_err("the way closes when the thread has ended");
    thread.join().unwrap();
    assert_eq!(
        never.metadata().unwrap().size(),
        3,
        "what a stop leaves is for the next start, and a link's target nobody's"
    );
}

#[test]
fn a_stop_does_not_wait_for_what_is_left_of_a_file() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("large");
    // At one piece each pause, an hour.
    write(&path, 180_000 * PIECE_BYTES);
    let (orders, mut remover) = thread();
    let (ended, end) = oneshot::channel();
    orders.send(Order::Stop(ended)).unwrap();
    assert!(remover.remove(&path).is_err());
    drop(remover);
    end.blocking_recv().expect_err("and whoever waits is told");
}
