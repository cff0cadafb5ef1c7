use super::*;

#[test]
fn ids_are_written_as_kafka_writes_them() {
    // Kafka's Uuid.METADATA_TOPIC_ID is (0, 1).
    assert_eq!(base64url(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
    assert_eq!(base64url(Uuid::from_u128(u128::MAX)), "_____________________w");
    for id in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
        assert_eq!(uuid_of_base64url(&base64url(Uuid::from_u128(id))), Some(Uuid::from_u128(id)));
    }
    assert_eq!((uuid_of_base64url("short"), uuid_of_base64url("AAAAAAAAAAAAAAAAAAAA A")), (None, None));
}

#[test]
fn a_directory_has_one_broker_at_a_time_and_keeps_its_name() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("data");
    let first = DataDirectory::open(&path, 1, None).unwrap();
    let cluster = first.cluster_id().to_owned();
    let second = DataDirectory::open(&path, 1, None).unwrap_err();
    assert_eq!(second, StartError::InUse { path: path.clone(), by: Some(std::process::id()) });
    first.release();
    let again = DataDirectory::open(&path, 1, None).unwrap();
    assert_eq!(again.cluster_id(), cluster);
    assert!(!again.was_clean());
    again.mark_clean().unwrap();
    again.release();
    let clean = DataDirectory::open(&path, 1, None).unwrap();
    assert!(clean.was_clean());
    clean.release();
    // The marker was true once.
    assert!(!DataDirectory::open(&path, 1, None).unwrap().was_clean());
}

#[test]
fn a_directory_of_another_node_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    DataDirectory::open(temporary.path(), 1, None).unwrap().release();
    let refused = DataDirectory::open(temporary.path(), 2, None).unwrap_err();
    assert!(matches!(&refused, StartError::BadDirectory { reason, .. } if reason.contains("node.id=1")), "{refused}");
}

#[test]
fn the_log_of_an_earlier_topic_of_the_same_name_is_moved_aside() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = DataDirectory::open(temporary.path(), 1, None).unwrap();
    let partition = TopicPartition::new("t", 0);
    let dir = directory.partition_path(&partition);
    std::fs::create_dir(&dir).unwrap();
    let metadata = format!("version: 0\ntopic_id: {}", base64url(Uuid::from_u128(5)));
    std::fs::write(dir.join("partition.metadata"), metadata).unwrap();
    assert!(directory.has_partition(&partition, TopicId(5)).unwrap());
    assert!(dir.exists());
    assert!(!directory.has_partition(&partition, TopicId(6)).unwrap());
    assert!(!dir.exists());
    let moved = std::fs::read_dir(temporary.path()).unwrap();
    assert!(moved.filter_map(Result::ok).any(|entry| entry.file_name().to_string_lossy().ends_with("-stray")));
}
