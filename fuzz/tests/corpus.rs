//! The corpus through every target, without a fuzzer: what once broke a reader does not break it again.

use pelton_fuzz::TARGETS;
use std::fs;
use std::path::Path;

#[test]
fn every_input_of_the_corpus_is_read_without_harm() {
    for (target, run) in TARGETS {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        let inputs = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let mut count = 0;
        for input in inputs {
            let path = input.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let read = std::panic::catch_unwind(|| run(&bytes));
            assert!(read.is_ok(), "{} breaks {target}", path.display());
            count += 1;
        }
        assert!(count > 0, "{target} has no corpus");
    }
}
