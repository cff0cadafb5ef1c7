//! Every hostile module of these tests, in one table, with how each must end. After each of them the good neighbours, instances that live
//! all the while in the same engines, must still answer.

mod cases;

use crate::fixtures::{MapState, call_hook, engine, guest, records, three_records};
use cases::{CASES, Case, Ends, Made, Module};
use pelton_api::fault::{Fault, ModuleError};
use pelton_api::interceptor::{Answered, Change, Hook, Interceptor};
use pelton_api::partitioner::Partitioner;
use pelton_api::transform::Transform;
use pelton_engine::{Engine, Plugin};
use std::time::Duration;

/// An engine, and what honest guests do in it meanwhile.
struct House {
    engine: Engine,
    transform: Plugin,
    interceptor: Plugin,
    partitioner: Plugin,
    neighbours: (Box<dyn Transform>, Box<dyn Interceptor>, Box<dyn Partitioner>),
}

impl House {
    fn new(call_time: Duration) -> Self {
        let engine = engine(call_time);
        let compiled = |variable: &str, name: &str| {
            engine.compile(&"hostile@1".parse().unwrap(), &guest(variable, name)).expect("it is a plugin")
        };
        let transform = compiled("PELTON_HOSTILE_WASM", "pelton-hostile");
        let interceptor = compiled("PELTON_HOSTILE_INTERCEPTOR_WASM", "pelton-hostile-interceptor");
        let partitioner = compiled("PELTON_HOSTILE_PARTITIONER_WASM", "pelton-hostile-partitioner");
        let neighbours = (
            transform.transform().unwrap().instantiate("echo", &[]).unwrap(),
            interceptor.interceptor().unwrap().instantiate("orders", "on-send: drop one", &[]).unwrap(),
            partitioner.partitioner().unwrap().instantiate("last").unwrap(),
        );
        Self { engine, transform, interceptor, partitioner, neighbours }
    }

    fn neighbours_answer(&mut self, after: &str) {
        let (transform, interceptor, partitioner) = &mut self.neighbours;
        let (_, echoed) = transform.process(&three_records(), Box::new(MapState::default()));
        assert_eq!(records(&echoed.expect("an honest transform").output).len(), 3, "after `{after}`");
        let (_, answered) = call_hook(&mut **interceptor, Hook::OnSend);
        assert_eq!(answered.expect("an honest interceptor").change, Change::Drop(vec![1]), "after `{after}`");
        let partitions = partitioner.partition(&three_records(), "orders", 6);
        assert_eq!(partitions.expect("an honest partitioner"), [5, 5, 5], "after `{after}`");
    }

    /// Runs a module to its end.
    fn run(&self, module: &Module) -> Result<(), Ended> {
        match module {
            Module::Transform(misdeed) => run_transform(&self.transform, misdeed),
            Module::Interceptor(config) => run_interceptor(&self.interceptor, config),
            Module::Partitioner(misdeed) => run_partitioner(&self.partitioner, misdeed),
            Module::Made(make) => self.run_made(*make),
        }
    }

    fn run_made(&self, make: Made) -> Result<(), Ended> {
        let plugin = self.engine.compile(&"made@1".parse().unwrap(), &make()).map_err(Ended::Module)?;
        if plugin.partitioner().is_some() {
            return run_partitioner(&plugin, "{}");
        }
        if plugin.interceptor().is_some() {
            return run_interceptor(&plugin, "on-send: {}");
        }
        run_transform(&plugin, "{}")
    }
}

/// What ended a module.
#[derive(Debug)]
enum Ended {
    Module(ModuleError),
    Fault(Fault),
}

fn run_transform(plugin: &Plugin, misdeed: &str) -> Result<(), Ended> {
    let stores = ["store".to_owned()];
    let mut instance = plugin.transform().unwrap().instantiate(misdeed, &stores).map_err(Ended::Fault)?;
    let (_, processed) = instance.process(&three_records(), Box::new(MapState::default()));
    processed.map(|_| ()).map_err(|fault| {
        let (_, again) = instance.process(&three_records(), Box::new(MapState::default()));
        assert!(matches!(again, Err(Fault::Host(_))), "{misdeed}: an instance that failed was entered again");
        Ended::Fault(fault)
    })
}

fn run_interceptor(plugin: &Plugin, config: &str) -> Result<(), Ended> {
    let hook = Hook::ALL.into_iter().find(|hook| config.starts_with(hook.name())).unwrap_or(Hook::OnSend);
    let factory = plugin.interceptor().unwrap();
    let mut instance = factory.instantiate("orders", config, &["granted".to_owned()]).map_err(Ended::Fault)?;
    call_hook(&mut *instance, hook).1.map(|_: Answered| ()).map_err(|fault| {
        let (_, again) = call_hook(&mut *instance, hook);
        assert!(matches!(again, Err(Fault::Host(_))), "{config}: an instance that failed was entered again");
        Ended::Fault(fault)
    })
}

fn run_partitioner(plugin: &Plugin, misdeed: &str) -> Result<(), Ended> {
    let mut instance = plugin.partitioner().unwrap().instantiate(misdeed).map_err(Ended::Fault)?;
    instance.partition(&three_records(), "orders", 6).map(|_| ()).map_err(|fault| {
        let again = instance.partition(&three_records(), "orders", 6);
        assert!(matches!(again, Err(Fault::Host(_))), "{misdeed}: an instance that failed was entered again");
        Ended::Fault(fault)
    })
}

fn is_as_expected(ends: &Ends, ended: &Result<(), Ended>) -> bool {
    let fault = match ended {
        Err(Ended::Fault(fault) | Ended::Module(ModuleError::Describe(fault))) => Some(fault),
        _ => None,
    };
    match ends {
        Ends::Well => ended.is_ok(),
        Ends::WellOrRefused => matches!(ended, Ok(()) | Err(Ended::Module(_))),
        Ends::Limit(expected) => matches!(fault, Some(Fault::Limit { limit, .. }) if limit == expected),
        Ends::Trap(place) => matches!(fault, Some(Fault::Trap(text)) if text.contains(place)),
        Ends::Malformed(what) => matches!(fault, Some(Fault::Malformed(text)) if text.contains(what)),
        Ends::Refused(what) => matches!(fault, Some(Fault::Refused(text)) if text.contains(what)),
        Ends::Module(what) => matches!(ended, Err(Ended::Module(error)) if error.to_string().contains(what)),
    }
}

#[test]
fn each_hostile_module_ends_as_it_must_and_the_neighbours_go_on() {
    assert!(CASES.len() >= 60, "{} hostile modules", CASES.len());
    // Where the time limit is not what is tested, a slow machine must not meet it first.
    let mut patient = House::new(Duration::from_secs(600));
    let mut strict = House::new(Duration::from_millis(100));
    let mut wrong = Vec::new();
    for Case { name, module, ends } in CASES {
        let house = if matches!(ends, Ends::Limit("time")) { &mut strict } else { &mut patient };
        let ended = house.run(module);
        let told = match &ended {
            Ok(()) => String::new(),
            Err(Ended::Fault(fault)) => fault.to_string(),
            Err(Ended::Module(error)) => error.to_string(),
        };
        if !is_as_expected(ends, &ended) || told.chars().any(char::is_control) || told.len() > 4 << 10 {
            wrong.push(format!("{name}: expected {ends:?}, ended as {ended:?}"));
        }
        patient.neighbours_answer(name);
    }
    strict.neighbours_answer("all of them");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}
