//! What uploaded bytes are, told before anything is compiled. Pure.
//!
//! Invariant: no bytes make this read past its input, or work longer than their length.

use pelton_api::fault::ModuleError;
use pelton_api::manifest::PluginKind;

const PREAMBLE: &[u8] = b"\0asm";
/// Bytes 4 to 8 of a core module, and of a component.
const CORE_VERSION: [u8; 4] = [1, 0, 0, 0];
const COMPONENT_VERSION: [u8; 4] = [0x0d, 0, 1, 0];
const EXPORT_SECTION: u8 = 7;

/// The functions by which a flat module is told.
const FLAT_EXPORTS: [(&str, PluginKind); 3] = [
    ("pelton_transform_0_1", PluginKind::Transform),
    ("pelton_interceptor_0_1", PluginKind::Interceptor),
    ("pelton_partitioner_0_1", PluginKind::Partitioner),
];

/// What is to be compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A component.
    Component,
    /// A core module that carries `wit-bindgen`'s section, to be made a component.
    Core,
    /// A core module of the flat contract.
    Flat(PluginKind),
}

impl Form {
    /// The form of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, ModuleError> {
        let not_wasm = |what: &str| ModuleError::NotWasm(what.to_owned());
        let version = bytes.strip_prefix(PREAMBLE).and_then(|rest| rest.first_chunk::<4>());
        match version {
            Some(&CORE_VERSION) => Ok(flat_kind(&bytes[8..]).map_or(Self::Core, Self::Flat)),
            Some(&COMPONENT_VERSION) => Ok(Self::Component),
            Some(_) => Err(not_wasm("its version is none of this engine's: a core module has 1, a component 0xd")),
            None => Err(not_wasm("it does not begin with a WebAssembly preamble (`\\0asm` and a version)")),
        }
    }

    /// As one byte, for the compiler's input.
    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::Component => 0,
            Self::Core => 1,
            Self::Flat(_) => 2,
        }
    }
}

/// The kind of a flat module; `None` when no function of the flat contract is among the exports.
fn flat_kind(mut sections: &[u8]) -> Option<PluginKind> {
    loop {
        let (id, rest) = sections.split_first()?;
        sections = rest;
        let content = sized(&mut sections)?;
        if *id == EXPORT_SECTION {
            return exported_kind(content);
        }
    }
}

fn exported_kind(mut exports: &[u8]) -> Option<PluginKind> {
    let count = leb(&mut exports)?;
    for _ in 0..count {
        let name = sized(&mut exports)?;
        if let Some((_, kind)) = FLAT_EXPORTS.iter().find(|(export, _)| export.as_bytes() == name) {
            return Some(*kind);
        }
        // What is exported: one byte for its sort, and its index.
        exports = exports.get(1..)?;
        leb(&mut exports)?;
    }
    None
}

/// A length and as many bytes.
fn sized<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = leb(bytes)?;
    let (content, rest) = bytes.split_at_checked(len as usize)?;
    *bytes = rest;
    Some(content)
}

/// An unsigned number, LEB128, of at most 32 bits.
fn leb(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u32;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_by_preamble_and_exports() {
        assert_eq!(Form::of(b"\0asm\x0d\0\x01\0"), Ok(Form::Component));
        assert_eq!(Form::of(b"\0asm\x01\0\0\0"), Ok(Form::Core));
        let mut flat = b"\0asm\x01\0\0\0\x03\x02\x01\0\x07".to_vec();
        let export = b"\x02\x06memory\x02\0\x16pelton_interceptor_0_1\0\x80\x01";
        flat.push(export.len() as u8);
        flat.extend_from_slice(export);
        assert_eq!(Form::of(&flat), Ok(Form::Flat(PluginKind::Interceptor)));
        for end in 0..flat.len() {
            assert!(!matches!(Form::of(&flat[..end]), Ok(Form::Flat(_))), "cut at {end}");
        }
        for foreign in [&b"\0asm\x02\0\0\0"[..], b"\x7fELF\x02\x01\x01\0", b"", b"\0asm\x01"] {
            assert!(matches!(Form::of(foreign), Err(ModuleError::NotWasm(_))), "{foreign:?}");
        }
    }
}
