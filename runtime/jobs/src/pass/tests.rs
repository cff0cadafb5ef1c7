use super::*;
use crate::state::memory::MemoryStores;
use crate::state::overlay::TaskState;
use pelton_api::store::{StoreFactory, TaskId};

#[test]
fn a_batch_passes_as_it_is() {
    let factory = transform(&PLUGIN.parse().unwrap()).unwrap();
    let mut pass = factory.instantiate("{}", &[]).unwrap();
    let id = TaskId { job: "route-in".into(), step: "pass".into(), partition: 0 };
    let state = TaskState::new(MemoryStores::default().open(&id, &[]).unwrap(), Vec::new());
    let batch = Bytes::from_static(b"whatever it is");
    let (_, processed) = pass.process(&batch, Box::new(state));
    assert_eq!(processed, Ok(Processed { output: batch, rejected: Vec::new() }));
}

#[test]
fn it_takes_no_configuration_and_no_stores_and_has_one_version() {
    let factory = transform(&PLUGIN.parse().unwrap()).unwrap();
    assert!(matches!(factory.instantiate("{\"a\":1}", &[]), Err(Fault::Refused(why)) if why.contains("configuration")));
    assert!(matches!(factory.instantiate("{}", &["s".to_owned()]), Err(Fault::Refused(why)) if why.contains("stores")));
    assert!(transform(&"pelton-pass@2".parse().unwrap()).is_none());
}
