//! The harness of an [`Interceptor`].

use super::{TestRecord, decode, decode_at, encode};
use crate::codec::{Decode, Encode};
use crate::guest::interceptor::{Answer, Instance};
use crate::host::native::{Granted, Series, StubHost, lend};
use crate::log::Level;
use crate::metrics::Labels;
use crate::verdict::Change;
use crate::{Acknowledgement, Commit, Interceptor, Origin, Wants};
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// Topics, and the records of the batch that was emitted to each, in order.
pub type Emissions = Vec<(String, Vec<TestRecord>)>;

/// The entries of a partition's store.
type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// What came of one batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// The records that go on, in their new form.
    pub records: Vec<TestRecord>,
    /// Whether the plugin said that the batch goes on as it is.
    pub unchanged: bool,
    /// Which records (by their place in the batch, from 0) were taken away.
    pub dropped: Vec<i32>,
    /// Which records (by their place in the batch, from 0) were rejected, and why. They are among `records`: what becomes
    /// of them is the topic's choice.
    pub rejected: Vec<(i32, String)>,
    /// What was emitted.
    pub emitted: Emissions,
}

/// One configured instance of an interceptor, with a store for each partition and a clock that stands still.
///
/// As in Pelton, the plugin sees only the parts that it says it reads, and what it does beyond [`Wants`] is a
/// fault: an error here.
pub struct InterceptorHarness<I> {
    /// Whose records pass, and where.
    pub origin: Origin,
    /// Offset of the next batch's first record.
    pub next_offset: i64,
    instance: Instance<I>,
    host: StubHost,
    stores: BTreeMap<i32, Entries>,
}

impl<I> std::fmt::Debug for InterceptorHarness<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InterceptorHarness")
            .field("origin", &self.origin)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl<I: Interceptor> InterceptorHarness<I> {
    /// Configures an instance with JSON text, as `pelton.plugin.NAME.config` would. Records come from `User:alice`,
    /// client `client`, partition 0 of `topic`; the clock shows 0.
    ///
    /// # Errors
    /// What the plugin has against its configuration; that it wants no hook.
    pub fn new(config: &str) -> Result<Self, String> {
        if I::wants().hooks == Wants::new().hooks {
            return Err("the plugin wants no hook: say in `wants` at which it is called".to_owned());
        }
        let mut host = StubHost { granted: Some(Granted::default()), ..StubHost::default() };
        let instance = lend(&mut host, || Instance::configure(config))?;
        let origin = Origin {
            principal: "User:alice".to_owned(),
            client_id: "client".to_owned(),
            client_address: "/127.0.0.1".to_owned(),
            topic: "topic".to_owned(),
            partition: 0,
        };
        Ok(Self { origin, next_offset: 0, instance, host, stores: BTreeMap::new() })
    }

    /// The harness, with a plugin that may emit to these topics.
    #[must_use]
    pub fn emitting_to(mut self, topics: &[&str]) -> Self {
        self.granted().topics.extend(topics.iter().map(|&topic| topic.to_owned()));
        self
    }

    /// Sets the clock, in milliseconds since the Unix epoch.
    pub fn set_now_ms(&mut self, now_ms: i64) {
        self.granted().now_ms = now_ms;
    }

    /// Sends a batch, which is then appended.
    ///
    /// # Errors
    /// The plugin's own error, or what it did that it may not. The state is then as before the call.
    pub fn on_send(&mut self, records: &[TestRecord]) -> Result<Judged, String> {
        self.need(I::wants().hooks.on_send, "on_send")?;
        let (judged, state) = self.judge(0, records, Instance::on_send)?;
        self.stores.insert(self.origin.partition, state);
        Ok(judged)
    }

    /// Sends a batch that is refused afterwards, by the broker or by another plugin: what the plugin put into the state
    /// is gone.
    ///
    /// # Errors
    /// As for [`InterceptorHarness::on_send`].
    pub fn on_send_refused(&mut self, records: &[TestRecord]) -> Result<Judged, String> {
        self.need(I::wants().hooks.on_send, "on_send")?;
        self.judge(0, records, Instance::on_send).map(|(judged, _)| judged)
    }

    /// Delivers a batch of the partition, from `next_offset` on.
    ///
    /// # Errors
    /// As for [`InterceptorHarness::on_send`].
    pub fn on_consume(&mut self, records: &[TestRecord]) -> Result<Judged, String> {
        self.need(I::wants().hooks.on_consume, "on_consume")?;
        let (judged, state) = self.judge(self.next_offset, records, Instance::on_consume)?;
        self.stores.insert(self.origin.partition, state);
        self.next_offset += records.len() as i64;
        Ok(judged)
    }

    /// Tells the plugin what became of a batch; gives what it emitted.
    ///
    /// # Errors
    /// The plugin's own error.
    pub fn on_acknowledgement(&mut self, acknowledged: &Acknowledgement) -> Result<Emissions, String> {
        self.need(I::wants().hooks.on_acknowledgement, "on_acknowledgement")?;
        let origin = self.origin.clone();
        let ((), emitted, state) =
            self.call(origin.partition, |instance| instance.on_acknowledgement(&origin, acknowledged))?;
        self.stores.insert(origin.partition, state);
        Ok(emitted)
    }

    /// Tells the plugin of committed offsets; gives what it emitted.
    ///
    /// # Errors
    /// The plugin's own error.
    pub fn on_commit(&mut self, committed: &Commit) -> Result<Emissions, String> {
        self.need(I::wants().hooks.on_commit, "on_commit")?;
        let partition = committed.offsets.first().map_or(0, |(partition, _)| *partition);
        let ((), emitted, state) = self.call(partition, |instance| instance.on_commit(committed))?;
        self.stores.insert(partition, state);
        Ok(emitted)
    }

    /// The entries of a partition's store, as bytes; `None` while nothing was put there.
    pub fn state(&self, partition: i32) -> Option<&BTreeMap<Vec<u8>, Vec<u8>>> {
        self.stores.get(&partition).filter(|store| !store.is_empty())
    }

    /// Gives a partition's store these entries, as one finds them that another version of the plugin left.
    pub fn set_state(&mut self, partition: i32, entries: BTreeMap<Vec<u8>, Vec<u8>>) {
        self.stores.insert(partition, entries);
    }

    /// The value under `key` of a partition's store. Panics when the value is no `V`.
    pub fn stored<V: Decode>(&self, partition: i32, key: &(impl Encode + ?Sized)) -> Option<V> {
        let mut bytes = Vec::new();
        key.encode(&mut bytes);
        let value = self.state(partition)?.get(&bytes)?;
        Some(V::decode(value).unwrap_or_else(|error| panic!("the store of partition {partition}: {error}")))
    }

    /// What a counter stands at; 0 when it was never added to.
    pub fn counter(&self, name: &str, labels: Labels<'_>) -> u64 {
        self.host.counters.get(&series(name, labels)).copied().unwrap_or(0)
    }

    /// What a gauge was set to.
    pub fn gauge(&self, name: &str, labels: Labels<'_>) -> Option<f64> {
        self.host.gauges.get(&series(name, labels)).copied()
    }

    /// What a histogram has observed, in order.
    pub fn observations(&self, name: &str, labels: Labels<'_>) -> &[f64] {
        self.host.observations.get(&series(name, labels)).map_or(&[], Vec::as_slice)
    }

    /// The lines that the plugin has logged.
    pub fn log_lines(&self) -> &[(Level, String)] {
        &self.host.lines
    }

    fn granted(&mut self) -> &mut Granted {
        self.host.granted.get_or_insert_default()
    }

    fn need(&self, wanted: bool, hook: &str) -> Result<(), String> {
        if wanted { Ok(()) } else { Err(format!("the plugin does not want {hook}, so it is never called")) }
    }

    fn judge(
        &mut self,
        base_offset: i64,
        records: &[TestRecord],
        hook: impl FnOnce(&mut Instance<I>, &Origin, &[u8]) -> Result<Answer, String>,
    ) -> Result<(Judged, Entries), String> {
        let wants = I::wants();
        let seen: Vec<TestRecord> = records.iter().map(|record| record.projected(wants.reads)).collect();
        let batch = encode(base_offset, &seen);
        let origin = self.origin.clone();
        let ((change, rejected), emitted, state) =
            self.call(origin.partition, |instance| hook(instance, &origin, &batch))?;
        let unchanged = change == Change::None;
        let kept = applied(&wants, records, &seen, change)?;
        let dropped = (0..records.len() as i32).filter(|place| !kept.contains_key(place)).collect();
        Ok((Judged { records: kept.into_values().collect(), unchanged, dropped, rejected, emitted }, state))
    }

    /// Runs a hook with the store of `partition`, and gives that store as it is afterwards.
    fn call<R>(
        &mut self,
        partition: i32,
        hook: impl FnOnce(&mut Instance<I>) -> Result<R, String>,
    ) -> Result<(R, Emissions, Entries), String> {
        self.host.stores = vec![self.stores.get(&partition).cloned().unwrap_or_default()];
        self.granted().emitted.clear();
        let answer = lend(&mut self.host, || hook(&mut self.instance))?;
        let emitted = std::mem::take(&mut self.granted().emitted);
        let emitted = emitted.into_iter().map(|(topic, batch)| Ok((topic, decode(&batch)?)));
        Ok((answer, emitted.collect::<Result<_, String>>()?, std::mem::take(&mut self.host.stores[0])))
    }
}

fn series(name: &str, labels: Labels<'_>) -> Series {
    (name.to_owned(), labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// The records that go on, by their place: the plugin's answer under the rules that the host holds it to.
fn applied(
    wants: &Wants,
    given: &[TestRecord],
    seen: &[TestRecord],
    change: Change,
) -> Result<BTreeMap<i32, TestRecord>, String> {
    let mut kept: BTreeMap<i32, TestRecord> = (0..).zip(given.iter().cloned()).collect();
    let answered: BTreeMap<i32, TestRecord> = match change {
        Change::None => return Ok(kept),
        Change::Drop(deltas) => (0..).zip(seen.iter().cloned()).filter(|(place, _)| !deltas.contains(place)).collect(),
        Change::Replace(batch) => decode_at(&batch)?.into_iter().collect(),
    };
    kept.retain(|place, _| answered.contains_key(place));
    if kept.len() < given.len() && !wants.drops {
        return Err("the plugin takes records away and does not say so: Wants::drops".to_owned());
    }
    for (place, new) in answered {
        let (Some(record), Some(old)) = (kept.get_mut(&place), seen.get(place as usize)) else {
            return Err(format!("the plugin adds a record at {place}"));
        };
        for (part, differs, may) in [
            ("key", new.key != old.key, wants.writes.key),
            ("value", new.value != old.value, wants.writes.value),
            ("headers", new.headers != old.headers, wants.writes.headers),
            ("timestamp", new.timestamp_ms != old.timestamp_ms, false),
        ] {
            if differs && !may {
                return Err(format!("the plugin changes the {part} of a record and does not say so in its Wants"));
            }
        }
        let TestRecord { key, value, headers, .. } = new;
        if wants.writes.key {
            record.key = key;
        }
        if wants.writes.value {
            record.value = value;
        }
        if wants.writes.headers {
            record.headers = headers;
        }
    }
    Ok(kept)
}
