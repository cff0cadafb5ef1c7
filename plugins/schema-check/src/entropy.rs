//! Where the hash tables of the schema library get their keys from: the host's random bytes.

use pelton_sdk::random;

/// The function that `getrandom` calls under `--cfg getrandom_backend="custom"`.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
unsafe extern "Rust" fn __getrandom_v03_custom(dest: *mut u8, len: usize) -> Result<(), getrandom::Error> {
    let mut bytes = vec![0; len];
    random::fill(&mut bytes);
    // SAFETY: getrandom's contract is that `dest` is valid for writes of `len` bytes; `bytes` is fresh, so they do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), dest, len) };
    Ok(())
}
