//! How much memory a call takes: an allocator that counts, for each thread on its own.
//!
//! It counts what Rust code asks for. The C libraries behind the codecs (zstd) have an allocator of their own; what they
//! take is bounded by the fuzzer's `-malloc_limit_mb` and `-rss_limit_mb`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Bytes that are allocated now. May be less than zero: memory of another thread may be freed here.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    /// The most that were since the last look.
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // A thread that ends frees its last memory when its counters are gone already.
    let _ = LIVE.try_with(|live| {
        let now = live.get().wrapping_add(change);
        live.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

// SAFETY: everything is the system allocator's answer to the caller's own question; counting touches no memory of it.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that the system allocator wants.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// Runs `call`, and fails when this thread had more than `most_bytes` allocated at any moment of it, beyond what it had
/// before.
///
/// # Panics
/// Then, and says how much it was.
pub fn bounded<T>(most_bytes: usize, call: impl FnOnce() -> T) -> T {
    let before = LIVE.get();
    PEAK.set(before);
    let result = call();
    let taken = PEAK.get().wrapping_sub(before).max(0) as usize;
    assert!(taken <= most_bytes, "it took {taken} bytes of memory; {most_bytes} are promised");
    result
}

#[cfg(test)]
mod tests {
    use super::bounded;

    #[test]
    fn what_is_taken_and_given_back_is_counted_too() {
        assert_eq!(bounded(2_000, || Vec::<u8>::with_capacity(1_500).capacity()), 1_500);
        let counted = std::panic::catch_unwind(|| bounded(1_000, || drop(Vec::<u8>::with_capacity(1_500))));
        assert!(counted.is_err());
        bounded(1_000, || (0..10).for_each(|_| drop(std::hint::black_box(vec![0u8; 500]))));
    }
}
