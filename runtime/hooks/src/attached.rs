//! What is attached to one topic, in one version: the partitioner that verifies, the live chain, the shadow, and the cache of what
//! on-consume made of batches. Here batches are unpacked and sealed, and what the chain decided is put into the broker's words.
//!
//! A batch that nobody can read (damaged records, a decompression bomb) is refused on its way in. On its way out, where it can only
//! stem from a time before the chain, the topic's policy for faults decides.

use crate::cache::{Cache, Kept, Key};
use crate::chain::{Chain, Passed, Stopped};
use crate::circuit::Clock;
use crate::dead_letter::{self, Circumstances};
use crate::form::{self, Deltas};
use crate::link::{Settle, Terms};
use crate::policy::OnError;
use crate::report::{TopicReport, count};
use crate::shadow::{Outcome, Shadow};
use crate::verify::{Verified, Verify};
use bytes::Bytes;
use pelton_api::hooks::{Acknowledgement, Commit, Consumed, Emission, Origin, Sent, TopicHooks};
use pelton_api::interceptor::{Hook, HookSet, Reuse};
use pelton_record::{BatchHeader, BatchView, Codec};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// For whom a result of on-consume holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Nobody,
    Principal,
    Everyone,
}

/// See the module.
pub(crate) struct Attached {
    id: u64,
    topic: Arc<str>,
    identity: String,
    hooks: HookSet,
    one_by_one: bool,
    holds: Holds,
    chain: Chain,
    chain_hooks: HookSet,
    verify: Option<Verify>,
    shadow: Option<Shadow>,
    cache: Arc<Cache>,
    cache_hits: AtomicU64,
    cache_misses: AtomicU64,
    decompressed_bytes: usize,
    attached_at_ms: u64,
}

/// The parts of an attachment.
pub(crate) struct Parts {
    pub(crate) id: u64,
    pub(crate) topic: Arc<str>,
    pub(crate) identity: String,
    pub(crate) chain: Chain,
    pub(crate) verify: Option<Verify>,
    pub(crate) shadow: Option<Shadow>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) decompressed_bytes: usize,
    pub(crate) clock: Clock,
}

/// What became of a batch on its way out.
struct Delivered {
    changed: Option<Bytes>,
    emitted: Vec<Emission>,
}

impl Attached {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { id, topic, identity, chain, verify, shadow, cache, decompressed_bytes, clock } = parts;
        let chain_hooks = chain.hooks();
        let mut hooks = chain_hooks.union(shadow.as_ref().map(Shadow::hooks).unwrap_or_default());
        if verify.is_some() {
            hooks = hooks.with(Hook::OnSend);
        }
        let consuming = || chain.links.iter().filter(|link| link.wants.hooks.has(Hook::OnConsume));
        let holds = if consuming().any(|link| link.wants.reuse == Reuse::Never) {
            Holds::Nobody
        } else if consuming().any(|link| link.wants.reuse == Reuse::ForPrincipal) {
            Holds::Principal
        } else {
            Holds::Everyone
        };
        Self {
            id,
            topic,
            identity,
            hooks,
            one_by_one: keeps_state_on_send(&chain),
            holds,
            chain,
            chain_hooks,
            verify,
            shadow,
            cache,
            cache_hits: AtomicU64::new(0),
            cache_misses: AtomicU64::new(0),
            decompressed_bytes,
            attached_at_ms: clock.now_ms(),
        }
    }

    pub(crate) fn report(&self) -> TopicReport {
        TopicReport {
            topic: self.topic.to_string(),
            identity: self.identity.clone(),
            attached_at_ms: self.attached_at_ms as i64,
            interceptors: self.chain.links.iter().map(|link| link.report()).collect(),
            partitioner: self.verify.as_ref().map(Verify::report),
            shadow: self.shadow.as_ref().map(Shadow::report),
            cache_hits: self.cache_hits.load(Ordering::Relaxed),
            cache_misses: self.cache_misses.load(Ordering::Relaxed),
        }
    }

    /// Sends a plain batch through the live chain and shows it to the shadow.
    fn pass(&self, hook: Hook, origin: &Origin, plain: &Bytes) -> Outcome {
        let outcome = self.chain.pass(hook, origin, plain, Terms::patient(Settle::WhenAppended));
        if let Some(shadow) = &self.shadow {
            shadow.batch(hook, origin, plain, &outcome);
        }
        outcome
    }

    /// What is said to the producer of a batch that was verified; `None`: it goes on to the chain.
    fn verified(&self, from: &Origin, came: &BatchHeader, plain: &Bytes) -> Option<Sent> {
        let verify = self.verify.as_ref()?;
        Some(match verify.check(from, plain) {
            Verified::Right => return None,
            Verified::Wrong(records) => {
                let plugin = &verify.circuit.plugin;
                let message = format!("records of the batch are in the wrong partition; {plugin} says which is right");
                Sent::Refuse { message, records }
            }
            Verified::Refused(message) => Sent::Refuse { message, records: Vec::new() },
            Verified::Unavailable(message) => Sent::Unavailable { message },
            Verified::Unreadable(error) => refuse_unreadable(&error),
            Verified::SetAside(emitted) => match form::emptied(plain).map(|plain| form::seal(came, plain)) {
                Ok(Ok(empty)) => Sent::Pass { changed: Some(empty), emitted },
                Ok(Err(error)) => refuse_unreadable(&error),
                Err(error) => refuse_unreadable(&error),
            },
        })
    }

    /// What is said to the producer of a batch that went to the chain; `None`: its call was cut short.
    fn sent_as(&self, from: &Origin, came: &BatchHeader, plain: &Bytes, outcome: Outcome) -> Option<Sent> {
        let sent = match outcome {
            Ok(Passed { changed: None, emitted, .. }) => return Some(Sent::Pass { changed: None, emitted }),
            Ok(Passed { changed: Some(changed), emitted, .. }) => match form::seal(came, changed) {
                Ok(changed) => return Some(Sent::Pass { changed: Some(changed), emitted }),
                Err(message) => Some(Sent::Refuse { message, records: Vec::new() }),
            },
            Err(Stopped::Refused { message, records }) => {
                Some(Sent::Refuse { message, records: by_index(plain, records) })
            }
            Err(Stopped::Unavailable(message)) => Some(Sent::Unavailable { message }),
            Err(Stopped::Unreadable(error)) => Some(refuse_unreadable(&error)),
            Err(Stopped::Late) => None,
        };
        self.settled(from.partition, false);
        sent
    }

    fn settled(&self, partition: i32, appended: bool) {
        self.chain.settle(partition, appended);
        if let Some(shadow) = &self.shadow {
            shadow.sent(partition, appended);
        }
    }

    /// One data batch on its way out.
    fn deliver(&self, to: &Origin, header: &BatchHeader, batch: &Bytes) -> Result<Delivered, String> {
        let key = self.key(to, header);
        if let Some(key) = &key {
            if let Some(changed) = self.cache.get(key) {
                count(&self.cache_hits, 1);
                return Ok(Delivered { changed, emitted: Vec::new() });
            }
            count(&self.cache_misses, 1);
        }
        let outcome = match form::plain(batch, self.decompressed_bytes) {
            Ok(plain) => self.pass(Hook::OnConsume, to, &plain),
            Err(error) => Err(Stopped::Unreadable(error.to_string())),
        };
        let passed = match outcome {
            Ok(passed) => passed,
            Err(Stopped::Unreadable(error)) => return self.deliver_unreadable(to, header, batch, &error),
            Err(Stopped::Unavailable(message)) => return Err(message),
            Err(Stopped::Late) => return Err("the plugins were not ready in time; fetch again".to_owned()),
            Err(Stopped::Refused { message, records }) => {
                return Err(match records.first() {
                    Some((delta, reason)) => {
                        let offset = header.base_offset.saturating_add(i64::from(*delta));
                        format!("{message}; the first is at offset {offset}: {reason}")
                    }
                    None => message,
                });
            }
        };
        let Passed { changed, emitted, whole, .. } = passed;
        let changed: Kept = changed.map(|plain| form::seal(header, plain)).transpose()?;
        // What was emitted must be emitted again when this delivery fails, so such an answer is not kept.
        if let Some(key) = key.filter(|_| whole && emitted.is_empty()) {
            self.cache.put(key, changed.clone());
        }
        Ok(Delivered { changed, emitted })
    }

    fn deliver_unreadable(
        &self,
        to: &Origin,
        header: &BatchHeader,
        batch: &Bytes,
        error: &str,
    ) -> Result<Delivered, String> {
        let text = form::cannot_be_read(&error);
        match self.chain.on_error {
            OnError::Reject => Err(format!("{text} (offset {})", header.base_offset)),
            OnError::Skip => Ok(Delivered { changed: None, emitted: Vec::new() }),
            OnError::DeadLetter => {
                let first = self.chain.links.iter().find(|link| link.wants.hooks.has(Hook::OnConsume));
                let about = Circumstances {
                    to: &self.chain.dead_letter_topic,
                    hook: Hook::OnConsume,
                    plugin: first.map_or("", |link| &*link.circuit.plugin),
                    digest: first.map_or("", |link| link.circuit.digest.as_str()),
                    origin: to,
                };
                let emitted = dead_letter::unreadable(&about, batch, &text);
                let empty = form::emptied(batch).map_err(|error| form::cannot_be_read(&error))?;
                Ok(Delivered { changed: Some(form::seal(header, empty)?), emitted })
            }
        }
    }

    fn key(&self, to: &Origin, header: &BatchHeader) -> Option<Key> {
        let principal = match self.holds {
            Holds::Nobody => return None,
            Holds::Principal => Some(to.principal.clone()),
            Holds::Everyone => None,
        };
        let (partition, base_offset, crc) = (to.partition, header.base_offset, header.crc);
        Some(Key { attachment: self.id, partition, base_offset, crc, principal })
    }
}

/// Whether batches must be sent one by one, so that what on-send wrote can be kept or discarded with each.
pub(crate) fn keeps_state_on_send(chain: &Chain) -> bool {
    chain.links.iter().any(|link| link.stores.is_some() && link.wants.hooks.has(Hook::OnSend))
}

fn refuse_unreadable(error: &impl std::fmt::Display) -> Sent {
    Sent::Refuse { message: form::cannot_be_read(error), records: Vec::new() }
}

impl TopicHooks for Attached {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn hooks(&self) -> HookSet {
        self.hooks
    }

    fn one_by_one(&self) -> bool {
        self.one_by_one
    }

    fn on_send(&self, from: &Origin, batch: &Bytes) -> Sent {
        if !self.hooks.has(Hook::OnSend) {
            return Sent::Pass { changed: None, emitted: Vec::new() };
        }
        let (came, plain) = match (BatchHeader::parse(batch), form::plain(batch, self.decompressed_bytes)) {
            (Ok(came), Ok(plain)) => (came, plain),
            (Err(error), _) => return refuse_unreadable(&error),
            (_, Err(error)) => return refuse_unreadable(&error),
        };
        if let Some(sent) = self.verified(from, &came, &plain) {
            return sent;
        }
        let outcome = self.pass(Hook::OnSend, from, &plain);
        self.sent_as(from, &came, &plain, outcome).unwrap_or_else(|| Sent::Unavailable {
            message: "the plugins were not ready in time; send again".to_owned(),
        })
    }

    fn on_send_within(&self, at_most: Duration, from: &Origin, batch: &Bytes) -> Option<Sent> {
        let came = BatchHeader::parse(batch).ok()?;
        // What is unpacked, verified or shown to a shadow takes longer than anybody's moment, or would happen twice.
        if !matches!(came.attributes.codec(), Ok(Codec::None)) || self.verify.is_some() || self.shadow.is_some() {
            return None;
        }
        let plain = form::plain(batch, self.decompressed_bytes).ok()?;
        let terms = Terms { settle: Settle::WhenAppended, at_most: Some(at_most) };
        let outcome = self.chain.pass(Hook::OnSend, from, &plain, terms);
        self.sent_as(from, &came, &plain, outcome)
    }

    fn sent(&self, partition: i32, appended: bool) {
        self.settled(partition, appended);
    }

    fn on_acknowledgement(&self, from: &Origin, acknowledged: &Acknowledgement) -> Vec<Emission> {
        if let Some(shadow) = &self.shadow {
            shadow.acknowledgement(from, acknowledged);
        }
        self.chain.acknowledge(from, acknowledged)
    }

    fn on_consume(&self, to: &Origin, records: &Bytes) -> Result<Consumed, String> {
        let unchanged = || Ok(Consumed { records: records.clone(), emitted: Vec::new() });
        let shadowed = self.shadow.as_ref().is_some_and(|shadow| shadow.hooks().has(Hook::OnConsume));
        if !self.chain_hooks.has(Hook::OnConsume) && !shadowed {
            return unchanged();
        }
        // Written only when something changes: until then the answer is the bytes that came.
        let mut out: Option<Vec<u8>> = None;
        let mut emitted = Vec::new();
        let mut at = 0;
        while at < records.len() {
            let view = BatchView::parse(&records[at..]).map_err(|error| form::cannot_be_read(&error))?;
            let (header, end) = (*view.header(), at + view.bytes().len());
            let batch = records.slice(at..end);
            let data = header.record_count > 0 && !header.attributes.is_control();
            let delivered = if data {
                self.deliver(to, &header, &batch)
            } else {
                Ok(Delivered { changed: None, emitted: Vec::new() })
            };
            match delivered {
                Ok(Delivered { changed, emitted: more }) => {
                    emitted.extend(more);
                    if let Some(changed) = changed {
                        out.get_or_insert_with(|| records[..at].to_vec()).extend_from_slice(&changed);
                    } else if let Some(out) = &mut out {
                        out.extend_from_slice(&batch);
                    }
                }
                // What comes before a batch that is held back is good: the consumer gets on as far as it can.
                Err(_) if at > 0 => {
                    let records = out.map_or_else(|| records.slice(..at), Bytes::from);
                    return Ok(Consumed { records, emitted });
                }
                Err(message) => return Err(message),
            }
            at = end;
        }
        Ok(Consumed { records: out.map_or_else(|| records.clone(), Bytes::from), emitted })
    }

    fn on_commit(&self, committed: &Commit) -> Vec<Emission> {
        if let Some(shadow) = &self.shadow {
            shadow.commit(committed);
        }
        self.chain.commit(committed)
    }
}

/// Records by their index in the batch instead of their offset delta.
fn by_index(plain: &[u8], records: Vec<(i32, String)>) -> Vec<(i32, String)> {
    match form::deltas(plain) {
        Ok(Deltas::Sparse(deltas)) => records
            .into_iter()
            .map(|(delta, reason)| (deltas.partition_point(|there| *there < delta) as i32, reason))
            .collect(),
        _ => records,
    }
}

#[cfg(test)]
mod tests;
