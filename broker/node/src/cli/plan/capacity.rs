//! What a load takes, figure by figure, each with the formula that it came from. Pure: numbers in, numbers out.
//!
//! A byte is counted as it is sent, after compression, unless the figure says otherwise; megabytes and gigabytes are powers of ten,
//! sizes of memory and disks powers of two.

use serde::Serialize;

/// Where the numbers come from that are no arguments.
pub const SOURCES: &str = "\
Processors: CPU seconds for a GB of uncompressed records, as measured of one broker with librdkafka's clients on a virtual\n\
machine with 2 CPUs (bench/RESULTS.md, W1 and W3): other clients, batches and machines differ. What a follower costs was not\n\
measured; it is counted as a write without fsync and, at the leader, as a read. Memory of the process: W10, and the 512 MiB\n\
of requests that `queued.max.request.bytes` allows where it is not set. A segment is closed after 7 days (`segment.ms`).";

/// CPU seconds for 10^9 bytes of records, written with fsync (W1, librdkafka, no compression).
const WRITE_FSYNC: f64 = 1.9;
/// The same without fsync.
const WRITE_REPLICATED: f64 = 0.675;
/// CPU seconds for 10^9 bytes of records, read from the page cache (W3, librdkafka).
const READ: f64 = 0.425;
/// Memory of a broker without partitions, in bytes (W10).
const PROCESS_BYTES: f64 = 27.0 * MIB;
/// Memory of a partition at rest, in bytes: 7 MiB for 1,000 of them (W10).
const PARTITION_BYTES: f64 = 7.0 * 1024.0;
/// Memory for requests where nothing else is configured, in bytes.
const REQUEST_BYTES: f64 = 512.0 * MIB;
/// What the indexes take of the disk: entries of 8 and 12 bytes for 4,096 bytes of records (`index.interval.bytes`).
const INDEX_SHARE: f64 = 20.0 / 4096.0;
/// When a segment is closed though it is not full, in seconds (`segment.ms`).
const SEGMENT_SECS: f64 = 7.0 * 86_400.0;
const MIB: f64 = 1_048_576.0;

/// What is to be carried, and on what.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Bytes that producers send in a second, on average, before compression.
    pub bytes_per_sec: f64,
    /// Bytes of a record, before compression.
    pub record_bytes: f64,
    /// How many times smaller compression makes them.
    pub compression_ratio: f64,
    /// How long records are kept.
    pub retention_secs: f64,
    /// How much of each partition is kept at most.
    pub retention_bytes: Option<f64>,
    /// Replicas of each partition.
    pub replication_factor: f64,
    /// Brokers.
    pub brokers: f64,
    /// Groups that read everything once.
    pub consumer_groups: f64,
    /// How many times the average the peak is.
    pub peak_factor: f64,
    /// The share that stays free, from 0 to below 1.
    pub headroom: f64,
    /// What goes to one partition at most, in a second.
    pub partition_bytes_per_sec: f64,
    /// What one consumer gets through, in a second.
    pub consumer_bytes_per_sec: f64,
    /// How many partitions, where that is decided already.
    pub partitions: Option<f64>,
    /// Bytes of a segment.
    pub segment_bytes: f64,
    /// How much of the newest records is to stay in memory.
    pub cache_secs: f64,
    /// What an acknowledgement waits for.
    pub durability: Durability,
}

/// What an acknowledgement waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The medium.
    Fsync,
    /// The page cache.
    Replicated,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Bytes in a second.
    BytesPerSec,
    /// Bits in a second.
    BitsPerSec,
    /// Records in a second.
    RecordsPerSec,
    /// Processors.
    Cores,
}

/// A figure of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name for programs.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// The figure.
    pub value: f64,
    /// What it counts.
    pub unit: Unit,
    /// How it came about, with the numbers.
    pub formula: String,
}

/// Works out what a load takes.
///
/// # Errors
/// When it cannot be carried so, with what would have to change.
pub fn plan(load: &Load) -> Result<Vec<Figure>, String> {
    if load.replication_factor > load.brokers {
        return Err(format!(
            "{} replicas need as many brokers and there are {}; give --brokers or --replication-factor",
            load.replication_factor, load.brokers
        ));
    }
    let mut figures = Vec::new();
    let traffic = traffic(load, &mut figures);
    let partitions = partitions(load, &traffic, &mut figures);
    disk(load, &traffic, partitions, &mut figures);
    network(load, &traffic, &mut figures);
    memory(load, &traffic, partitions, &mut figures);
    processors(load, &mut figures);
    Ok(figures)
}

/// Bytes in a second, as they are sent.
struct Traffic {
    average: f64,
    peak: f64,
}

fn figure(figures: &mut Vec<Figure>, name: &'static str, title: &'static str, value: f64, unit: Unit, formula: String) {
    figures.push(Figure { name, title, value, unit, formula });
}

/// Bytes in a second, for a formula.
fn mb(bytes_per_sec: f64) -> String {
    format!("{} MB/s", short(bytes_per_sec / 1e6))
}

/// A number without a tail of zeros.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn traffic(load: &Load, figures: &mut Vec<Figure>) -> Traffic {
    let average = load.bytes_per_sec / load.compression_ratio;
    let peak = average * load.peak_factor;
    let (ratio, factor) = (short(load.compression_ratio), short(load.peak_factor));
    let formula = format!("{} / {} B", mb(load.bytes_per_sec), short(load.record_bytes));
    let records = load.bytes_per_sec / load.record_bytes;
    figure(figures, "records_per_sec", "records, on average", records, Unit::RecordsPerSec, formula);
    let formula = format!("{} / compression {ratio}", mb(load.bytes_per_sec));
    figure(figures, "average_bytes_per_sec", "sent, on average", average, Unit::BytesPerSec, formula);
    let formula = format!("{} x peak {factor}", mb(average));
    figure(figures, "peak_bytes_per_sec", "sent, at the peak", peak, Unit::BytesPerSec, formula);
    Traffic { average, peak }
}

fn partitions(load: &Load, traffic: &Traffic, figures: &mut Vec<Figure>) -> f64 {
    let needed = |each: f64| (traffic.peak / each).ceil().max(1.0);
    let (producers, consumers) = (needed(load.partition_bytes_per_sec), needed(load.consumer_bytes_per_sec));
    let spread = (producers.max(consumers) / load.brokers).ceil() * load.brokers;
    let partitions = load.partitions.unwrap_or(spread);
    let formula = match load.partitions {
        Some(_) => format!("as given; producers need {producers}, consumers {consumers}"),
        None => format!(
            "the larger of {peak} / {} and {peak} / {}, up to a multiple of {} brokers",
            mb(load.partition_bytes_per_sec),
            mb(load.consumer_bytes_per_sec),
            load.brokers,
            peak = mb(traffic.peak),
        ),
    };
    figure(figures, "partitions", "partitions", partitions, Unit::Count, formula);
    let logs = (partitions * load.replication_factor / load.brokers).ceil();
    let formula = format!("{partitions} partitions x {} replicas / {} brokers", load.replication_factor, load.brokers);
    figure(figures, "logs_per_broker", "logs of each broker", logs, Unit::Count, formula);
    partitions
}

fn disk(load: &Load, traffic: &Traffic, partitions: f64, figures: &mut Vec<Figure>) {
    let by_time = traffic.average * load.retention_secs;
    let by_size = load.retention_bytes.map(|bytes| bytes * partitions);
    let retained = by_size.map_or(by_time, |by_size| by_time.min(by_size));
    let formula = match by_size {
        Some(by_size) if by_size < by_time => {
            format!("{partitions} partitions x retention {} B", short(load.retention_bytes.unwrap_or_default()))
        }
        _ => format!("{} x retention {} h", mb(traffic.average), short(load.retention_secs / 3600.0)),
    };
    figure(figures, "retained_bytes", "kept, of one replica", retained, Unit::Bytes, formula);
    // The segment that is being written is never deleted, so up to one of each partition is there beyond the retention.
    let open = load.segment_bytes.min(traffic.average / partitions * SEGMENT_SECS) * partitions;
    let formula = format!("{partitions} partitions x a segment, of {} B or 7 days", short(load.segment_bytes));
    figure(figures, "open_segments_bytes", "open segments, of one replica", open, Unit::Bytes, formula);
    let stored = (retained + open) * (1.0 + INDEX_SHARE);
    let each = stored * load.replication_factor / load.brokers / (1.0 - load.headroom);
    let formula = format!(
        "(kept + open) x 1.005 for indexes x {} replicas / {} brokers / {}",
        load.replication_factor,
        load.brokers,
        short(1.0 - load.headroom)
    );
    figure(figures, "disk_bytes_per_broker", "disk of each broker", each, Unit::Bytes, formula);
    let formula = format!("that of each x {} brokers", load.brokers);
    figure(figures, "disk_bytes_in_all", "disk in all", each * load.brokers, Unit::Bytes, formula);
    let written = traffic.peak * load.replication_factor / load.brokers;
    let formula = format!("{} x {} replicas / {} brokers", mb(traffic.peak), load.replication_factor, load.brokers);
    figure(figures, "disk_write_bytes_per_sec", "written to it, at the peak", written, Unit::BytesPerSec, formula);
}

fn network(load: &Load, traffic: &Traffic, figures: &mut Vec<Figure>) {
    let (peak, followers) = (mb(traffic.peak), load.replication_factor - 1.0);
    let inward = traffic.peak * (1.0 + followers) / load.brokers;
    let formula = format!("{peak} x (1 for producers + {followers} as follower) / {} brokers", load.brokers);
    figure(figures, "network_in_bytes_per_sec", "network in, each broker", inward, Unit::BytesPerSec, formula);
    let outward = traffic.peak * (load.consumer_groups + followers) / load.brokers;
    let formula =
        format!("{peak} x ({} groups + {followers} followers) / {} brokers", load.consumer_groups, load.brokers);
    figure(figures, "network_out_bytes_per_sec", "network out, each broker", outward, Unit::BytesPerSec, formula);
    let link = inward.max(outward) * 8.0 / (1.0 - load.headroom);
    let formula = format!("the larger of the two x 8 bits / {}", short(1.0 - load.headroom));
    figure(figures, "network_bits_per_sec", "link of each broker, full duplex", link, Unit::BitsPerSec, formula);
}

fn memory(load: &Load, traffic: &Traffic, partitions: f64, figures: &mut Vec<Figure>) {
    let cache = traffic.peak * load.replication_factor / load.brokers * load.cache_secs;
    let (replicas, brokers, secs) = (load.replication_factor, load.brokers, short(load.cache_secs));
    let formula = format!("{} x {replicas} replicas / {brokers} brokers x {secs} s", mb(traffic.peak));
    figure(figures, "page_cache_bytes", "page cache of each broker", cache, Unit::Bytes, formula);
    let logs = (partitions * load.replication_factor / load.brokers).ceil();
    let process = PROCESS_BYTES + PARTITION_BYTES * logs + REQUEST_BYTES;
    let formula = format!("27 MiB + 7 KiB x {logs} logs + 512 MiB of requests");
    figure(figures, "process_bytes", "process of each broker", process, Unit::Bytes, formula);
    let whole = (cache + process) / (1.0 - load.headroom);
    let formula = format!("(page cache + process) / {}", short(1.0 - load.headroom));
    figure(figures, "memory_bytes_per_broker", "memory of each broker", whole, Unit::Bytes, formula);
}

fn processors(load: &Load, figures: &mut Vec<Figure>) {
    let write = match load.durability {
        Durability::Fsync => WRITE_FSYNC,
        Durability::Replicated => WRITE_REPLICATED,
    };
    let peak = load.bytes_per_sec * load.peak_factor;
    let followers = load.replication_factor - 1.0;
    let reads = load.consumer_groups + followers;
    let cpu_secs = write + followers * WRITE_REPLICATED + reads * READ;
    let cores = peak / 1e9 * cpu_secs / load.brokers / (1.0 - load.headroom);
    let formula = format!(
        "{} uncompressed x ({write} written + {followers} x {WRITE_REPLICATED} as follower + {reads} x {READ} read) CPU-s/GB / {} brokers / {}",
        mb(peak),
        load.brokers,
        short(1.0 - load.headroom)
    );
    figure(figures, "cores_per_broker", "processors of each broker", cores, Unit::Cores, formula);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Load {
        Load {
            bytes_per_sec: 100e6,
            record_bytes: 1000.0,
            compression_ratio: 2.0,
            retention_secs: 86_400.0,
            retention_bytes: None,
            replication_factor: 3.0,
            brokers: 5.0,
            consumer_groups: 2.0,
            peak_factor: 2.0,
            headroom: 0.5,
            partition_bytes_per_sec: 10e6,
            consumer_bytes_per_sec: 8e6,
            partitions: None,
            segment_bytes: 1e9,
            cache_secs: 10.0,
            durability: Durability::Fsync,
        }
    }

    fn of(load: &Load, name: &str) -> f64 {
        let figures = plan(load).unwrap();
        figures.iter().find(|figure| figure.name == name).unwrap_or_else(|| panic!("no {name}")).value
    }

    fn is(found: f64, wanted: f64) {
        assert!((found - wanted).abs() <= wanted.abs() * 1e-9, "{found} is not {wanted}");
    }

    #[test]
    fn a_plan_by_hand() {
        let load = load();
        is(of(&load, "records_per_sec"), 100_000.0);
        is(of(&load, "average_bytes_per_sec"), 50e6);
        is(of(&load, "peak_bytes_per_sec"), 100e6);
        // Ten for producers, thirteen for consumers, and the next multiple of five brokers.
        is(of(&load, "partitions"), 15.0);
        is(of(&load, "logs_per_broker"), 9.0);
        is(of(&load, "retained_bytes"), 50e6 * 86_400.0);
        is(of(&load, "open_segments_bytes"), 15e9);
        is(of(&load, "disk_bytes_per_broker"), (50e6 * 86_400.0 + 15e9) * (1.0 + 20.0 / 4096.0) * 3.0 / 5.0 / 0.5);
        is(of(&load, "disk_write_bytes_per_sec"), 60e6);
        is(of(&load, "network_in_bytes_per_sec"), 60e6);
        is(of(&load, "network_out_bytes_per_sec"), 80e6);
        is(of(&load, "network_bits_per_sec"), 80e6 * 8.0 / 0.5);
        is(of(&load, "page_cache_bytes"), 600e6);
        is(of(&load, "memory_bytes_per_broker"), (600e6 + 539.0 * MIB + 9.0 * 7168.0) / 0.5);
        is(of(&load, "cores_per_broker"), 0.2 * (1.9 + 2.0 * 0.675 + 4.0 * 0.425) / 5.0 / 0.5);
    }

    #[test]
    fn retention_goes_by_what_comes_first() {
        let small = Load { retention_bytes: Some(1e9), partitions: Some(7.0), ..load() };
        is(of(&small, "retained_bytes"), 7e9);
        let large = Load { retention_bytes: Some(1e18), ..load() };
        is(of(&large, "retained_bytes"), 50e6 * 86_400.0);
        // A trickle never fills a segment: what comes in a week stays.
        let trickle = Load { bytes_per_sec: 20.0, partitions: Some(1.0), ..load() };
        is(of(&trickle, "open_segments_bytes"), 10.0 * 604_800.0);
    }

    #[test]
    fn more_of_everything_never_takes_less() {
        let base = load();
        for more in [
            Load { bytes_per_sec: 200e6, ..load() },
            Load { replication_factor: 4.0, ..load() },
            Load { peak_factor: 3.0, ..load() },
            Load { headroom: 0.6, ..load() },
            Load { consumer_groups: 9.0, ..load() },
            Load { retention_secs: 1e6, ..load() },
        ] {
            for (before, after) in plan(&base).unwrap().iter().zip(plan(&more).unwrap()) {
                assert!(after.value >= before.value, "{}: {} and then {}", after.name, before.value, after.value);
            }
        }
    }

    #[test]
    fn no_figure_is_without_a_number_or_a_formula() {
        for figure in plan(&Load { headroom: 0.0, consumer_groups: 0.0, ..load() }).unwrap() {
            assert!(figure.value.is_finite() && !figure.formula.is_empty(), "{figure:?}");
        }
        assert!(plan(&Load { brokers: 2.0, ..load() }).unwrap_err().contains("--brokers"));
    }
}
