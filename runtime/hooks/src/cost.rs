//! What a chain costs beside its plugins: the doubles answer with what was made before. To measure:
//! `PELTON_MEASURE=1 cargo test --release -p pelton-hooks -- --nocapture cost`; otherwise few rounds only show that it runs.

use crate::double::{Double, House, answer, origin, wants};
use bytes::Bytes;
use pelton_api::hooks::Sent;
use pelton_api::interceptor::{Answered, Change, Hook, Parts, Wants};
use pelton_record::{BatchBuilder, BatchHeader, BatchView};
use std::hint::black_box;

/// 64 KiB of records with 100 bytes each: a key of 8, a value of 84, the rest is the format's.
fn batch() -> Bytes {
    let mut batch = BatchBuilder::with_capacity(1_000, 64 << 10);
    batch.set_producer(77, 3, 500);
    for n in 0..(64 << 10) / 100_u64 {
        batch.push(1_000, Some(&n.to_be_bytes()), Some(&[b'v'; 84]), &[]);
    }
    batch.into_bytes_with_crc().into()
}

/// What this thread has run so far, as Linux counts it: neighbours do not disturb it.
fn on_cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells how long a thread has run");
    text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("the first number is the time on a CPU")
}

fn measure(name: &str, double: Double) {
    let house = House::new();
    house.shelve("p@1", double);
    let hooks = house.attach(&[("pelton.interceptors", "p@1")]);
    let (came, from) = (batch(), origin(0));
    let records = BatchHeader::parse(&came).unwrap().record_count as u64;
    let rounds = if std::env::var_os("PELTON_MEASURE").is_some() { 20_000 } else { 5 };
    for round in 0..2 {
        let started = on_cpu_ns();
        for _ in 0..rounds {
            assert!(matches!(black_box(hooks.on_send(&from, black_box(&came))), Sent::Pass { .. }));
        }
        let whole = on_cpu_ns() - started;
        if round == 1 {
            let ns = whole / rounds;
            println!("{name}: {ns} ns a batch, {} ns a record", ns / records);
        }
    }
}

#[test]
fn cost() {
    measure("unchanged", Double::on_batch(wants(&[Hook::OnSend]), |_| Ok(Answered::default())));
    let keys = Wants { reads: Parts { key: true, ..Parts::NONE }, ..wants(&[Hook::OnSend]) };
    measure("unchanged, reads keys alone", Double::on_batch(keys, |_| Ok(Answered::default())));
    let tenth: Vec<i32> = (0..655).step_by(10).collect();
    let drop = move |_: &Bytes| answer(Change::Drop(tenth.clone()));
    measure("drop of every tenth", Double::on_batch(wants(&[Hook::OnSend]), drop));
    let same_size = replacement(b'w', 84);
    measure("replace of values", Double::on_batch(wants(&[Hook::OnSend]), with(same_size)));
    let value = Parts { value: true, ..Parts::NONE };
    let values = Wants { reads: value, writes: value, ..wants(&[Hook::OnSend]) };
    measure("replace of values, which alone are read", Double::on_batch(values, with(values_alone())));
}

fn with(new: Bytes) -> impl Fn(&Bytes) -> Result<Answered, pelton_api::fault::Fault> + Send + Sync {
    move |_| answer(Change::Replace(new.clone()))
}

fn replacement(byte: u8, len: usize) -> Bytes {
    let came = batch();
    let mut out = BatchBuilder::new(1_000);
    for record in BatchView::parse(&came).unwrap().records().unwrap() {
        out.push(1_000, record.unwrap().key, Some(&vec![byte; len]), &[]);
    }
    out.into_bytes().into()
}

fn values_alone() -> Bytes {
    let mut out = BatchBuilder::new(1_000);
    (0..655).for_each(|_| out.push(1_000, None, Some(&[b'w'; 84]), &[]));
    out.into_bytes().into()
}
