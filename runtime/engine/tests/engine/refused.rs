//! Modules that are refused at upload, each with what is missing.

use crate::fixtures::{engine, guest};
use pelton_api::fault::ModuleError;
use pelton_engine::{Engine, EngineConfig, Limits};
use std::time::Duration;

fn refusal(bytes: &[u8]) -> ModuleError {
    let plugin = "test@1".parse().expect("a good name");
    match engine(Duration::from_secs(60)).compile(&plugin, bytes) {
        Err(error) => error,
        Ok(plugin) => panic!("it was taken as {plugin:?}"),
    }
}

/// A core module of these sections: (id, content).
fn module(sections: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    for (id, content) in sections {
        bytes.push(*id);
        bytes.push(u8::try_from(content.len()).expect("a section of these tests is short"));
        bytes.extend_from_slice(content);
    }
    bytes
}

const TYPE_OF_NOTHING: (u8, &[u8]) = (1, b"\x01\x60\0\0");

#[test]
fn what_is_no_wasm_is_refused() {
    for bytes in [&b""[..], b"\0asm", b"#!/bin/sh\n", b"\x7fELF\x02\x01\x01\0", b"\0asm\x01\0\0\0\x01\xff\xff"] {
        let error = refusal(bytes);
        assert!(matches!(error, ModuleError::NotWasm(_)), "{bytes:?}: {error}");
    }
}

#[test]
fn a_module_without_the_world_is_told_what_it_exports() {
    let run = module(&[TYPE_OF_NOTHING, (3, b"\x01\0"), (7, b"\x01\x03run\0\0"), (10, b"\x01\x02\0\x0b")]);
    let error = refusal(&run);
    assert_eq!(
        error,
        ModuleError::NoWorld {
            expected: "pelton:plugin/{transform,interceptor,partitioner}@0.1".to_owned(),
            found: "`run`".to_owned()
        }
    );
    let empty_component = b"\0asm\x0d\0\x01\0";
    for bytes in [&module(&[]), &empty_component[..]] {
        assert!(matches!(refusal(bytes), ModuleError::NoWorld { found, .. } if found == "none"));
    }
}

#[test]
fn a_foreign_import_is_named() {
    for (content, name) in [
        (&b"\x01\x03env\x04host\0\0"[..], "env::host"),
        (b"\x01\x16wasi_snapshot_preview1\x08fd_write\0\0", "wasi_snapshot_preview1::fd_write"),
    ] {
        let error = refusal(&module(&[TYPE_OF_NOTHING, (2, content)]));
        assert_eq!(error, ModuleError::ForbiddenImport(name.to_owned()));
    }
}

#[test]
fn a_module_past_the_size_limit_is_not_even_read() {
    let limits = Limits { module_bytes: 1_000, instances: 4, ..Limits::default() };
    let engine = Engine::new(EngineConfig { limits, ..EngineConfig::default() }).unwrap();
    let error = engine.compile(&"test@1".parse().unwrap(), &[0; 1_001]).unwrap_err();
    assert_eq!(error, ModuleError::TooLarge { size_bytes: 1_001, limit_bytes: 1_000 });
}

#[test]
fn a_module_that_cannot_have_its_memory_is_refused_at_upload() {
    let limits = Limits { memory_bytes: 64 << 10, instances: 4, ..Limits::default() };
    let engine = Engine::new(EngineConfig { limits, ..EngineConfig::default() }).unwrap();
    let error = engine.compile(&"pv-count@1".parse().unwrap(), &guest("PELTON_PV_COUNT_WASM", "pv-count")).unwrap_err();
    assert!(matches!(&error, ModuleError::Compile(text) if text.contains("memory")), "{error}");
}

#[test]
fn a_damaged_plugin_never_panics_the_host() {
    let whole = guest("PELTON_PV_COUNT_WASM", "pv-count");
    let engine = engine(Duration::from_secs(60));
    let plugin = "test@1".parse().expect("a good name");
    for n in 1..=12 {
        let cut = &whole[..whole.len() * n / 13];
        assert!(engine.compile(&plugin, cut).is_err(), "a module cut at {} bytes was taken", cut.len());
    }
}
