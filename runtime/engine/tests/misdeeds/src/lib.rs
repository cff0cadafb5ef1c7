//! Misdeeds that need no world of plugins: what the hostile transform, interceptor and partitioner have in common.
//!
//! What a guest does by way of the contract stands in its own `misdeeds.rs`. Built for anything but Wasm it is empty.

#![cfg(target_arch = "wasm32")]

use std::hint::black_box;

/// Computes without end.
pub fn endless() {
    let mut n = 0_u64;
    while black_box(n) != u64::MAX {
        n = black_box(n).wrapping_add(2);
    }
}

/// Takes memory without end.
pub fn memory_bomb() {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Calls itself without end and keeps nothing in memory, so it is the call stack that runs out.
pub fn stack_bomb() {
    black_box(recursion(1));
}

fn recursion(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { depth } else { recursion(depth + 1).wrapping_mul(depth | 1) }
}

/// Three texts of 20 MB each that share their bytes: little for the guest, 60 MB for a host that copies.
#[allow(unsafe_code)]
pub fn aliased_texts() -> [String; 3] {
    let shared = Box::leak(vec![b'a'; 20 << 20].into_boxed_slice());
    [(); 3].map(|()| {
        // SAFETY: not sound, on purpose: three strings own one allocation. The module's memory is its own, and
        // the host drops the instance after this call.
        unsafe { String::from_raw_parts(shared.as_ptr().cast_mut(), shared.len(), shared.len()) }
    })
}

/// A batch with other bytes at that place.
pub fn with_bytes(batch: &[u8], at: usize, values: &[u8]) -> Vec<u8> {
    let mut batch = batch.to_vec();
    batch[at..at + values.len()].copy_from_slice(values);
    batch
}
