use super::*;
use crate::fetch::Stored;
use bytes::BufMut;
use pelton_core::event::Records;
use pelton_log::{Disk, LogSlice, OsDisk};
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};

/// A file of noise, and what is in it.
struct Noise {
    _directory: tempfile::TempDir,
    path: PathBuf,
    content: Vec<u8>,
}

impl Noise {
    fn new(len: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("noise");
        let mut state = 1u32;
        let content: Vec<u8> = (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        std::fs::write(&path, &content).unwrap();
        Self { _directory: directory, path, content }
    }

    fn stored(&self, position: usize, len: usize) -> Part {
        stored(&self.path, position, len)
    }
}

fn stored(path: &Path, position: usize, len: usize) -> Part {
    let file = OsDisk.open(path, false).unwrap();
    let path = path.to_owned();
    let position = position as u64;
    let slice = LogSlice::<OsDisk> { file, position, len, base_offset: 0, next_offset: 1, path, unchecked: None };
    match Stored::records(slice) {
        Records::Stored(stored) => Part::Stored(stored),
        Records::Bytes(_) => unreachable!(),
    }
}

/// Two ends of a connection; the client's takes little at a time.
async fn connected(sendfile: bool, patience: Option<Duration>) -> (Transmitter, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let (client, accepted) = tokio::join!(socket.connect(listener.local_addr().unwrap()), listener.accept());
    let stream = accepted.unwrap().0;
    stream.set_nodelay(true).unwrap();
    let (_, writing) = stream.into_split();
    (Transmitter::new(writing, ColdReads::default(), sendfile, patience, Default::default()), client.unwrap())
}

/// A frame of these pieces behind its length, and the bytes that it stands for.
fn frame(noise: &Noise, pieces: &[(bool, usize, usize)]) -> (Frame, Vec<u8>) {
    let mut parts = vec![Part::Bytes(Bytes::from_static(&[0; 4]))];
    let mut body = Vec::new();
    for &(in_file, position, len) in pieces {
        let bytes = &noise.content[position..position + len];
        body.extend_from_slice(bytes);
        parts.push(if in_file { noise.stored(position, len) } else { Part::Bytes(Bytes::copy_from_slice(bytes)) });
    }
    let mut expected = Vec::new();
    expected.put_i32(body.len() as i32);
    expected.extend(body);
    (Frame::with_length(parts).unwrap(), expected)
}

#[tokio::test]
async fn frames_of_every_shape_arrive_byte_for_byte() {
    let noise = Noise::new(2 << 20);
    let lengths = [1, 57, 4_095, COPY_BELOW - 1, COPY_BELOW, GATHER, GATHER + 1, STRETCH - 1, STRETCH + 1, 1_400_000];
    let mut state = 5u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut shapes: Vec<Vec<(bool, usize, usize)>> = vec![Vec::new()];
    shapes.extend(lengths.iter().flat_map(|len| [vec![(true, 3, *len)], vec![(false, 3, *len)]]));
    for _ in 0..30 {
        let pieces = (0..1 + random(9)).map(|_| {
            let len = lengths[random(lengths.len())];
            (random(3) > 0, random(noise.content.len() - len), len)
        });
        shapes.push(pieces.collect());
    }
    for sendfile in [true, false] {
        let (mut transmitter, mut client) = connected(sendfile, Some(Duration::from_secs(60))).await;
        let (frames, expected): (Vec<_>, Vec<_>) = shapes.iter().map(|pieces| frame(&noise, pieces)).unzip();
        let sending = async {
            for frame in frames {
                transmitter.send(frame).await.unwrap();
            }
            assert!(transmitter.stream.as_ref().nodelay().unwrap(), "small answers leave at once again");
        };
        let reading = async {
            for (index, expected) in expected.iter().enumerate() {
                let mut read = vec![0; expected.len()];
                client.read_exact(&mut read).await.unwrap();
                assert!(read == *expected, "sendfile: {sendfile}, shape {:?}", shapes[index]);
            }
        };
        tokio::join!(sending, reading);
    }
}

#[tokio::test]
async fn a_file_that_loses_its_name_is_sent_to_its_end() {
    let noise = Noise::new(6 << 20);
    let (frame, expected) = frame(&noise, &[(true, 0, 6 << 20)]);
    let (mut transmitter, mut client) = connected(true, Some(Duration::from_secs(60))).await;
    let sending = tokio::spawn(async move { transmitter.send(frame).await });
    let mut read = vec![0; 100_000];
    client.read_exact(&mut read).await.unwrap();
    assert!(!sending.is_finished(), "the socket does not hold all of it");
    std::fs::remove_file(&noise.path).unwrap();
    let rest = expected.len() - read.len();
    let mut more = vec![0; rest];
    client.read_exact(&mut more).await.unwrap();
    read.extend(more);
    assert!(read == expected);
    sending.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_file_that_is_too_short_ends_the_connection_and_nothing_else_takes_its_place() {
    for (sendfile, kept) in [(true, 700_000), (true, 0), (false, 700_000), (false, 0)] {
        let noise = Noise::new(1 << 20);
        let (frame, expected) = frame(&noise, &[(false, 0, 100), (true, 0, 1 << 20), (false, 0, 100)]);
        let file = std::fs::OpenOptions::new().write(true).open(&noise.path).unwrap();
        file.set_len(kept).unwrap();
        let (mut transmitter, mut client) = connected(sendfile, Some(Duration::from_secs(60))).await;
        let sending = tokio::spawn(async move { transmitter.send(frame).await });
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        assert!(matches!(sending.await.unwrap(), Err(Unsent::Unread { .. })));
        assert!(read.len() < expected.len());
        assert!(expected.starts_with(&read), "what arrives is what was promised");
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up() {
    let noise = Noise::new(8 << 20);
    for sendfile in [true, false] {
        let (frame, _) = frame(&noise, &[(true, 0, 8 << 20)]);
        let (mut transmitter, _client) = connected(sendfile, Some(Duration::from_millis(100))).await;
        assert!(matches!(transmitter.send(frame).await, Err(Unsent::Stuck)));
    }
}
