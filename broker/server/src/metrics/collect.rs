//! Puts the numbers together when somebody asks for them. `broker/server/METRICS.md` says what each means.

use super::exposition::{Exposition, Kind};
use super::histogram::Distribution;
use super::{ApiNumbers, Ended, KEYS, Metrics, VERSIONS, lag};
use crate::driver::numbers::{Owed, ShardNumbers};
use crate::handlers::{APIS, Api};
use crate::net::connection_limits::Refused;
use crate::protocol::answer_fields;
use crate::server::{MEMORY_KIB, Server};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The numbers of a broker, in Prometheus' text format.
pub async fn collect(server: &Arc<Server>) -> String {
    let shards = server.driver.numbers().await;
    let mut text = Exposition::default();
    requests(&mut text, &server.metrics);
    request_times(&mut text, &server.metrics);
    throttles(&mut text, &server.metrics);
    connections(&mut text, server);
    memory(&mut text, server);
    topics(&mut text, server);
    waiting(&mut text, &shards);
    logs(&mut text, &shards);
    partitions(&mut text, server, &shards);
    storage(&mut text, server, &shards);
    disk(&mut text, &server.metrics);
    lag::write(&mut text, &shards);
    text.finish()
}

/// The stripes of one API.
fn of_api<'a>(metrics: &'a Metrics, api: &Api) -> impl Iterator<Item = &'a ApiNumbers> {
    let key = (api.key as i16 as usize).min(KEYS - 1);
    metrics.stripes.iter().filter_map(move |stripe| stripe.apis[key].get()).map(|numbers| &**numbers)
}

fn requests(text: &mut Exposition, metrics: &Metrics) {
    text.family("pelton_requests_total", Kind::Counter, "Requests that were answered.");
    for api in APIS {
        for version in 0..VERSIONS {
            let count: u64 = of_api(metrics, api).map(|numbers| numbers.versions[version].get()).sum();
            if count > 0 {
                text.sample(&[("api", &api.name), ("version", &version)], count);
            }
        }
    }
    type OfApi = fn(&ApiNumbers) -> u64;
    let sizes: [(&str, &str, OfApi); 2] = [
        ("pelton_request_bytes_total", "Bytes of requests.", |numbers| numbers.bytes_in.get()),
        ("pelton_response_bytes_total", "Bytes of answers.", |numbers| numbers.bytes_out.get()),
    ];
    for (name, help, value) in sizes {
        text.family(name, Kind::Counter, help);
        for api in APIS {
            let mut numbers = of_api(metrics, api).peekable();
            if numbers.peek().is_some() {
                text.sample(&[("api", &api.name)], numbers.map(value).sum::<u64>());
            }
        }
    }
    text.family("pelton_request_errors_total", Kind::Counter, "Error codes in answers, each place counted.");
    for (key, code, count) in metrics.error_codes() {
        let name = APIS.iter().find(|api| api.key as i16 == key).map_or("unknown", |api| api.name);
        text.sample(&[("api", &name), ("error", &answer_fields::name(code))], count);
    }
}

fn request_times(text: &mut Exposition, metrics: &Metrics) {
    text.family("pelton_request_seconds", Kind::Histogram, "How long requests took, by stage.");
    for api in APIS {
        let names = super::Stages::default().named().map(|(name, _)| name);
        for (stage, name) in names.iter().enumerate() {
            let mut sum = Distribution::default();
            of_api(metrics, api).for_each(|numbers| numbers.stages[stage].add_to(&mut sum));
            if sum.count() > 0 {
                text.histogram(&[("api", &api.name), ("stage", name)], &sum);
            }
        }
    }
}

fn throttles(text: &mut Exposition, metrics: &Metrics) {
    text.family("pelton_request_throttle_seconds", Kind::Histogram, "How long clients were throttled.");
    for api in APIS {
        if let Some(throttles) = metrics.throttles[(api.key as i16 as usize).min(KEYS - 1)].get() {
            text.histogram(&[("api", &api.name)], &throttles.distribution());
        }
    }
}

fn connections(text: &mut Exposition, server: &Server) {
    let listeners = server.metrics.listeners();
    text.family("pelton_connections", Kind::Gauge, "Connections that there are.");
    for listener in &listeners {
        text.sample(&[("listener", &listener.name)], listener.active());
    }
    text.family("pelton_connections_accepted_total", Kind::Counter, "Connections that were accepted.");
    for listener in &listeners {
        text.sample(&[("listener", &listener.name)], listener.accepted.get());
    }
    text.family("pelton_connections_refused_total", Kind::Counter, "Connections that were closed at once, by limit.");
    for listener in &listeners {
        for reason in [Refused::Total, Refused::PerIp, Refused::Control] {
            let count = listener.refused[reason as usize].get();
            text.sample(&[("listener", &listener.name), ("reason", &reason.name())], count);
        }
    }
    text.family("pelton_connections_closed_total", Kind::Counter, "Connections that ended, by reason.");
    for listener in &listeners {
        for (reason, name) in Ended::ALL {
            text.sample(&[("listener", &listener.name), ("reason", &name)], listener.ended[reason as usize].get());
        }
    }
}

fn memory(text: &mut Exposition, server: &Server) {
    let usage = server.request_memory.usage();
    text.family("pelton_request_memory_limit_bytes", Kind::Gauge, "Memory that requests may take, by class.");
    for usage in usage {
        text.sample(&[("class", &usage.class.name())], usage.limit_bytes);
    }
    text.family("pelton_request_memory_used_bytes", Kind::Gauge, "Memory that requests were admitted to.");
    for usage in usage {
        text.sample(&[("class", &usage.class.name())], usage.used_bytes);
    }
    text.family("pelton_request_queue_size", Kind::Gauge, "Requests that wait for memory, unread.");
    for usage in usage {
        text.sample(&[("class", &usage.class.name())], usage.waiting);
    }
    let kib = |kib: usize| kib as u64 * 1024;
    let help = "Memory for what answers to fetches do not leave in files.";
    text.single("pelton_answer_memory_limit_bytes", Kind::Gauge, help, kib(MEMORY_KIB));
    let used = MEMORY_KIB.saturating_sub(server.answer_memory.available_permits());
    let help = "What answers to fetches hold of their memory.";
    text.single("pelton_answer_memory_used_bytes", Kind::Gauge, help, kib(used));
    let (sessions, partitions) = server.fetching.session_counts();
    let help = "Fetch sessions that are kept.";
    text.single("pelton_fetch_sessions", Kind::Gauge, help, sessions);
    let help = "Partitions of all fetch sessions together.";
    text.single("pelton_fetch_session_partitions", Kind::Gauge, help, partitions);
}

/// A number of a topic.
type OfTopic = fn(&super::TopicNumbers) -> u64;

const TOPIC_FAMILIES: [(&str, &str, OfTopic); 8] = [
    ("pelton_topic_bytes_in_total", "Bytes of batches that were appended.", |topic| topic.bytes_in.get()),
    ("pelton_topic_messages_in_total", "Records that were appended.", |topic| topic.messages_in.get()),
    ("pelton_topic_bytes_out_total", "Bytes of records in answers to fetches.", |topic| topic.bytes_out.get()),
    ("pelton_topic_bytes_rejected_total", "Bytes of batches that were refused.", |topic| topic.bytes_rejected.get()),
    ("pelton_topic_produce_requests_total", "Partitions of produce requests.", |topic| topic.produce_requests.get()),
    ("pelton_topic_failed_produce_requests_total", "Those that were refused.", |topic| {
        topic.failed_produce_requests.get()
    }),
    ("pelton_topic_fetch_requests_total", "Partitions of fetch requests.", |topic| topic.fetch_requests.get()),
    ("pelton_topic_failed_fetch_requests_total", "Those that were refused.", |topic| topic.failed_fetch_requests.get()),
];

fn topics(text: &mut Exposition, server: &Server) {
    let image = server.image();
    let ids: BTreeSet<_> = image.topics.values().map(|topic| topic.id).collect();
    let topics = server.metrics.topics.retain(|id| ids.contains(&id));
    for (name, help, value) in TOPIC_FAMILIES {
        text.family(name, Kind::Counter, help);
        for topic in &topics {
            text.sample(&[("topic", &topic.name)], value(topic));
        }
    }
}

fn waiting(text: &mut Exposition, shards: &[ShardNumbers]) {
    text.family("pelton_shard_queue_size", Kind::Gauge, "Letters in the mailbox of a shard.");
    for (shard, numbers) in shards.iter().enumerate() {
        text.sample(&[("shard", &shard)], numbers.letters);
    }
    let silent = shards.iter().filter(|shard| shard.silent).count();
    let help = "Shards that did not tell their numbers in time.";
    text.single("pelton_silent_shards", Kind::Gauge, help, silent);
    text.family("pelton_purgatory_size", Kind::Gauge, "Answers that shards owe, by what they are about.");
    for (about, name) in Owed::ALL {
        let owed: usize = shards.iter().map(|shard| shard.owed[about as usize]).sum();
        text.sample(&[("operation", &name)], owed);
    }
}

fn logs(text: &mut Exposition, shards: &[ShardNumbers]) {
    type OfLog = fn(&crate::driver::numbers::LogNumbers) -> i64;
    let families: [(&str, &str, OfLog); 5] = [
        ("pelton_log_size_bytes", "Bytes of a log.", |log| i64::try_from(log.bytes).unwrap_or(i64::MAX)),
        ("pelton_log_segments", "Segments of a log.", |log| i64::try_from(log.segments).unwrap_or(i64::MAX)),
        ("pelton_log_start_offset", "The first offset of a log.", |log| log.log_start),
        ("pelton_log_end_offset", "One past the last offset of a log.", |log| log.log_end),
        ("pelton_log_high_watermark", "What consumers may read ends here.", |log| log.high_watermark),
    ];
    for (name, help, value) in families {
        text.family(name, Kind::Gauge, help);
        for log in shards.iter().flat_map(|shard| &shard.logs) {
            let labels: super::exposition::Labels<'_> =
                &[("topic", &log.partition.topic), ("partition", &log.partition.partition)];
            text.sample(labels, value(log));
        }
    }
}

fn partitions(text: &mut Exposition, server: &Server, shards: &[ShardNumbers]) {
    let image = server.image();
    let all: i64 = image.topics.values().map(|topic| i64::from(topic.partitions)).sum();
    let sum = |value: fn(&ShardNumbers) -> usize| shards.iter().map(value).sum::<usize>();
    let (here, offline) = (sum(|shard| shard.logs.len()), sum(|shard| shard.offline));
    // Every partition has one replica: its leader, which is in sync with itself wherever it is online.
    let gauges: [(&'static str, &str, i64); 8] = [
        ("pelton_topics", "Topics, the broker's own included.", image.topics.len() as i64),
        ("pelton_partitions", "Partitions of all topics.", all),
        ("pelton_leader_partitions", "Partitions that this broker leads.", here as i64),
        ("pelton_offline_partitions", "Partitions without a leader: their directory is offline.", offline as i64),
        ("pelton_under_replicated_partitions", "Partitions led here with fewer replicas in sync than they have.", 0),
        (
            "pelton_fenced_logs",
            "Logs that take no records because their disk failed.",
            sum(|shard| shard.fenced) as i64,
        ),
        ("pelton_full_logs", "Logs that had no room for records.", sum(|shard| shard.full) as i64),
        ("pelton_active_controllers", "Whether this broker is the active controller.", 1),
    ];
    for (name, help, value) in gauges {
        text.single(name, Kind::Gauge, help, value);
    }
}

fn storage(text: &mut Exposition, server: &Server, shards: &[ShardNumbers]) {
    let directories = server.directories.all();
    text.family("pelton_log_directory_offline", Kind::Gauge, "Whether a log directory is offline (1).");
    for directory in directories {
        let offline = u8::from(directory.failure().is_some());
        text.sample(&[("directory", &directory.path().display())], offline);
    }
    let help = "Log directories that are offline.";
    let offline = directories.iter().filter(|directory| directory.failure().is_some()).count();
    text.single("pelton_offline_log_directories", Kind::Gauge, help, offline);
    text.family("pelton_log_directory_size_bytes", Kind::Gauge, "Bytes of the logs in a log directory.");
    for (index, directory) in directories.iter().enumerate() {
        let logs = shards.iter().flat_map(|shard| &shard.logs).filter(|log| log.directory.0 == index);
        text.sample(&[("directory", &directory.path().display())], logs.map(|log| log.bytes).sum::<u64>());
    }
    let moving = server.directories.moves.all().len();
    text.single("pelton_log_moves", Kind::Gauge, "Logs that move from one directory to another.", moving);
}

fn disk(text: &mut Exposition, metrics: &Metrics) {
    text.family("pelton_log_flush_seconds", Kind::Histogram, "How long syncs of logs took.");
    text.histogram(&[], &metrics.flush.distribution());
    let help = "Syncs of logs that failed.";
    text.single("pelton_log_flush_failures_total", Kind::Counter, help, metrics.flush_failed.get());
    let cleaner = &metrics.cleaner;
    text.family("pelton_log_cleaner_seconds", Kind::Histogram, "How long compactions of a log took.");
    text.histogram(&[], &cleaner.seconds.distribution());
    let counters: [(&'static str, &str, u64); 5] = [
        ("pelton_log_cleaner_compactions_total", "Logs that were compacted.", cleaner.rounds.get()),
        ("pelton_log_cleaner_read_bytes_total", "Bytes that compaction read.", cleaner.bytes_read.get()),
        ("pelton_log_cleaner_written_bytes_total", "Bytes that compaction kept.", cleaner.bytes_kept.get()),
        ("pelton_log_cleaner_read_records_total", "Records that compaction read.", cleaner.records_read.get()),
        ("pelton_log_cleaner_kept_records_total", "Records that compaction kept.", cleaner.records_kept.get()),
    ];
    for (name, help, value) in counters {
        text.single(name, Kind::Counter, help, value);
    }
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    let help = "Logs that cannot be compacted.";
    text.single("pelton_log_cleaner_uncleanable_logs", Kind::Gauge, help, cleaner.uncleanable.load(relaxed));
    let help = "The dirty share of the dirtiest log.";
    let ratio = cleaner.max_dirty_ppm.load(relaxed) as f64 / 1e6;
    text.single("pelton_log_cleaner_max_dirty_ratio", Kind::Gauge, help, ratio);
}
