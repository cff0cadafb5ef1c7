//! Writes the seeds of the corpus, one of each thing that a target can be given: `cargo run --example seeds -- corpus`.
//!
//! For every API key, in its lowest and its highest version, one request with everything default and one in which every
//! array has an element and every text a letter; records in every codec; every file of a small partition; the records of
//! every coordinator. Seeds have names; what a fuzzer found since is called by its hash.

use bytes::BytesMut;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Encodable;
use pelton_fuzz::log_files;
use pelton_log::Disk;
use pelton_record::{BatchBuilder, BatchView, Codec, ControlType, Header, compressed_batch, control_batch};
use pelton_server::handlers::{APIS, Api};
use pelton_server::protocol::shape::{Field, Kind};
use std::io::Write;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::args().nth(1).expect("usage: seeds DIRECTORY"));
    requests(&root.join("requests"));
    frames(&root.join("frames"));
    records(&root.join("records"));
    files(&root.join("log_files"));
    coordinators(&root.join("group_records"));
    configs(&root.join("configs"));
}

fn write(dir: &Path, name: &str, parts: &[&[u8]]) {
    std::fs::create_dir_all(dir).expect("a directory for seeds");
    std::fs::write(dir.join(name), parts.concat()).expect("a seed is written");
}

/// Default bodies, by the name of the API. Of a version that a default does not fit there is none.
fn default_body(name: &str, version: i16) -> Option<BytesMut> {
    let mut body = BytesMut::new();
    macro_rules! of {
        ($($api:literal $request:ident)*) => {
            match name {
                $($api => $request::default().encode(&mut body, version).ok(),)*
                other => panic!("{other} has no default here: add it"),
            }
        };
    }
    of! {
        "Produce" ProduceRequest "Fetch" FetchRequest "ListOffsets" ListOffsetsRequest "Metadata" MetadataRequest
        "OffsetCommit" OffsetCommitRequest "OffsetFetch" OffsetFetchRequest "FindCoordinator" FindCoordinatorRequest
        "JoinGroup" JoinGroupRequest "Heartbeat" HeartbeatRequest "LeaveGroup" LeaveGroupRequest
        "SyncGroup" SyncGroupRequest "DescribeGroups" DescribeGroupsRequest "ListGroups" ListGroupsRequest
        "SaslHandshake" SaslHandshakeRequest "ApiVersions" ApiVersionsRequest "CreateTopics" CreateTopicsRequest
        "DeleteTopics" DeleteTopicsRequest "DeleteRecords" DeleteRecordsRequest "InitProducerId" InitProducerIdRequest
        "OffsetForLeaderEpoch" OffsetForLeaderEpochRequest "AddPartitionsToTxn" AddPartitionsToTxnRequest
        "AddOffsetsToTxn" AddOffsetsToTxnRequest "EndTxn" EndTxnRequest "WriteTxnMarkers" WriteTxnMarkersRequest
        "TxnOffsetCommit" TxnOffsetCommitRequest "DescribeAcls" DescribeAclsRequest "CreateAcls" CreateAclsRequest
        "DeleteAcls" DeleteAclsRequest "DescribeConfigs" DescribeConfigsRequest "AlterConfigs" AlterConfigsRequest
        "AlterReplicaLogDirs" AlterReplicaLogDirsRequest "DescribeLogDirs" DescribeLogDirsRequest
        "SaslAuthenticate" SaslAuthenticateRequest "CreatePartitions" CreatePartitionsRequest
        "DeleteGroups" DeleteGroupsRequest "ElectLeaders" ElectLeadersRequest
        "IncrementalAlterConfigs" IncrementalAlterConfigsRequest
        "AlterPartitionReassignments" AlterPartitionReassignmentsRequest
        "ListPartitionReassignments" ListPartitionReassignmentsRequest "OffsetDelete" OffsetDeleteRequest
        "DescribeClientQuotas" DescribeClientQuotasRequest "AlterClientQuotas" AlterClientQuotasRequest
        "DescribeUserScramCredentials" DescribeUserScramCredentialsRequest
        "AlterUserScramCredentials" AlterUserScramCredentialsRequest "DescribeQuorum" DescribeQuorumRequest
        "UpdateFeatures" UpdateFeaturesRequest "DescribeCluster" DescribeClusterRequest
        "DescribeProducers" DescribeProducersRequest "UnregisterBroker" UnregisterBrokerRequest
        "DescribeTransactions" DescribeTransactionsRequest "ListTransactions" ListTransactionsRequest
        "ListConfigResources" ListConfigResourcesRequest "DescribeTopicPartitions" DescribeTopicPartitionsRequest
    }?;
    Some(body)
}

/// A body with one element in every array, written by its shape.
struct Filled {
    body: Vec<u8>,
    version: i16,
    flexible: bool,
}

impl Filled {
    fn of(api: &Api, version: i16) -> Vec<u8> {
        let mut filled = Self { body: Vec::new(), version, flexible: version >= api.shape.flexible_from };
        filled.structure(api.shape.fields);
        filled.body
    }

    fn length(&mut self, text: bool, length: usize) {
        if self.flexible {
            self.body.push(length as u8 + 1);
        } else if text {
            self.body.extend_from_slice(&(length as i16).to_be_bytes());
        } else {
            self.body.extend_from_slice(&(length as i32).to_be_bytes());
        }
    }

    fn value(&mut self, kind: Kind) {
        match kind {
            Kind::Fixed(size) => self.body.resize(self.body.len() + size, 1),
            Kind::Text | Kind::Bytes => {
                self.length(matches!(kind, Kind::Text), 1);
                self.body.push(b't');
            }
            Kind::List(element) => {
                self.length(false, 1);
                self.value(*element);
            }
            Kind::Structs(fields) => {
                self.length(false, 1);
                self.structure(fields);
            }
            Kind::Struct(fields) => self.structure(fields),
            Kind::Optional(fields) => {
                self.body.push(1);
                self.structure(fields);
            }
        }
    }

    fn structure(&mut self, fields: &[Field]) {
        let version = self.version;
        let here: Vec<&Field> = fields.iter().filter(|field| field.from <= version && version <= field.to).collect();
        here.iter().filter(|field| field.tag.is_none()).for_each(|field| self.value(field.kind));
        if !self.flexible {
            return;
        }
        let tagged: Vec<_> = here.iter().filter_map(|field| Some((field.tag?, field.kind))).collect();
        self.body.push(tagged.len() as u8);
        for (tag, kind) in tagged {
            let mut inner = Self { body: Vec::new(), ..*self };
            inner.value(kind);
            self.body.extend_from_slice(&[tag as u8, inner.body.len() as u8]);
            self.body.append(&mut inner.body);
        }
    }
}

/// The header of a request.
fn header(api: &Api, version: i16) -> Vec<u8> {
    let mut header = [(api.key as i16).to_be_bytes(), version.to_be_bytes()].concat();
    header.extend_from_slice(b"\x00\x00\x00\x07\x00\x04seed");
    if api.key.request_header_version(version) >= 2 {
        header.push(0);
    }
    header
}

fn requests(dir: &Path) {
    for api in APIS {
        let name = |version: i16| format!("{:02}-{}-v{version}", api.key as i16, api.name);
        for version in [api.min, api.max] {
            let filled = Filled::of(api, version);
            write(dir, &format!("{}-filled", name(version)), &[&header(api, version), &filled]);
        }
        // The library does not write every version that is read.
        let default = |version: i16| Some((version, default_body(api.name, version)?));
        let (lowest, highest) = ((api.min..=api.max).find_map(default), (api.min..=api.max).rev().find_map(default));
        for (version, body) in lowest.into_iter().chain(highest) {
            write(dir, &format!("{}-default", name(version)), &[&header(api, version), &body]);
        }
    }
    let api_versions = APIS.iter().find(|api| api.name == "ApiVersions").expect("it is served");
    write(dir, "18-ApiVersions-v99", &[&header(api_versions, 99)]);
    hungry(dir);
}

/// Small requests that would be large when decoded: partitions without records, and tagged fields that nobody knows.
fn hungry(dir: &Path) {
    const FIVE_HUNDRED: [u8; 2] = [0xf5, 0x03];
    let produce = |partition: &[u8]| {
        let front = b"\x00\x00\x00\x09\x00\x00\x00\x07\xff\xff\x00\x00\x00\x01\x00\x00\x00\x00\x02\x01";
        [&front[..], &FIVE_HUNDRED, &partition.repeat(500), &[0, 0]].concat()
    };
    write(dir, "00-Produce-v9-without-records", &[&produce(&[0; 6])]);
    write(dir, "00-Produce-v9-tagged-partitions", &[&produce(&[0, 0, 0, 0, 0, 1, 5, 0])]);
    let heartbeat = b"\x00\x0c\x00\x04\x00\x00\x00\x07\xff\xff\x94\x0a";
    let tags: Vec<u8> = (0..1_300).flat_map(|tag: u16| [(tag & 0x7f) as u8 | 0x80, (tag >> 7) as u8, 0]).collect();
    write(dir, "12-Heartbeat-v4-tagged-header", &[heartbeat, &tags, b"\x01\x00\x00\x00\x00\x01\x00\x00"]);
}

fn frames(dir: &Path) {
    let frame = |length: usize| [&(length as u32).to_be_bytes()[..], &vec![7; length]].concat();
    write(dir, "one", &[&[255], &frame(20)]);
    write(dir, "many", &[&[0], &frame(2), &frame(700), &frame(3)]);
    write(dir, "torn", &[&[1], &frame(40), &frame(90)[..50]]);
    write(dir, "huge", &[&[9], b"\x06\x40\x00\x00\x00\x12\x00\x00"]);
    write(dir, "negative", &[&[9], b"\xff\xff\xff\xff\x00\x12\x00\x00"]);
}

fn plain(transactional: bool) -> Vec<u8> {
    const NOW_MS: i64 = 1_700_000_000_000;
    let mut builder = BatchBuilder::new(NOW_MS);
    let headers = [Header { key: "h", value: Some(b"v") }, Header { key: "n", value: None }];
    builder.push(NOW_MS, Some(b"key"), Some(b"value value value value value"), &headers);
    builder.push(NOW_MS + 1, Some(b"key"), None, &[]);
    builder.push(NOW_MS - 1, None, Some(b""), &[]);
    builder.set_producer(7, 1, 3);
    builder.set_transactional(transactional);
    builder.into_bytes_with_crc()
}

fn records(dir: &Path) {
    let as_it_is = |name: &str, bytes: &[u8]| {
        for (choice, rules) in [(0u8, "any"), (1, "compact"), (0x2e, "zstd"), (0x11, "gzip")] {
            write(dir, &format!("{name}-{rules}"), &[&[0, choice], bytes]);
        }
        write(dir, &format!("{name}-mended"), &[&[1, 0], bytes]);
    };
    as_it_is("plain", &plain(false));
    as_it_is("transactional", &plain(true));
    as_it_is("marker", &control_batch(ControlType::Commit, 7, 1, 2, 1_700_000_000_000));
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let batch = plain(false);
        let view = BatchView::parse(&batch).expect("a batch");
        as_it_is(codec.name(), &compressed_batch(&view, codec).expect("it compresses"));
        write(dir, &format!("{}-by-the-target", codec.name()), &[&[1 | codec.id() << 1, 4], &batch]);
        write(dir, &format!("{}-bomb", codec.name()), &[&[1, 1], &bomb(codec)]);
    }
    write(dir, "two-batches", &[&[0, 0], &plain(false), &plain(true)]);
    write(dir, "old-magic", &[&[0, 0], &[0; 16], &[1], &[0; 60]]);
}

/// A batch whose one record is larger than the cap, in as few bytes as its codec can say it.
fn bomb(codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(0);
    builder.push(0, Some(b"key"), Some(&vec![0; 80_000]), &[]);
    let batch = builder.into_bytes_with_crc();
    compressed_batch(&BatchView::parse(&batch).expect("a batch"), codec).expect("it compresses")
}

fn files(dir: &Path) {
    let disk = log_files::partition();
    for (index, name) in log_files::FILES.iter().enumerate() {
        let bytes = disk.read_small(&log_files::path(name), 1 << 20).unwrap_or_default();
        for mend in [1u8, 6] {
            write(dir, &format!("{}-{mend}", name.trim_start_matches("../")), &[&[index as u8, mend], &bytes]);
        }
    }
}

fn coordinators(dir: &Path) {
    fn record(flags: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
        let lengths = [(key.len() as u16).to_be_bytes(), (value.len() as u16).to_be_bytes()].concat();
        [&[flags][..], &lengths, key, value].concat()
    }
    let offset_key = b"\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x00";
    let offset = b"\x00\x03\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x07\x00\x01m\x00\x00\x01\x8b\xcf\xe5\x68\x00";
    let expiring = b"\x00\x01\x00\x00\x00\x00\x00\x00\x01\x02\x00\x01m\x00\x00\x00\x00\x00\x00\x02\x01\x00\x00\x00\x00\x00\x00\x02\x58";
    let flexible = b"\x00\x04\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x07\x02m\x00\x00\x00\x00\x00\x00\x02\x01\x01\x00\x100123456789abcdef";
    let group_key = b"\x00\x02\x00\x01g";
    let group = b"\x00\x03\x00\x08consumer\x00\x00\x00\x04\x00\x05range\x00\x01m\x00\x00\x00\x00\x00\x00\x00\x05\
        \x00\x00\x00\x01\x00\x01m\x00\x01i\x00\x01c\x00\x02/h\x00\x00\x00\x09\x00\x00\x00\x08\
        \x00\x00\x00\x0a\x00\x01\x00\x00\x00\x01\x00\x01t\xff\x00\x00\x00\x02\xbb\xcc";
    let group_v4 = b"\x00\x04\x09consumer\x00\x00\x00\x04\x06range\x02m\x00\x00\x00\x00\x00\x00\x00\x05\
        \x02\x02m\x02i\x02c\x03/h\x00\x00\x00\x09\x00\x00\x00\x08\x02\xaa\x03\xbb\xcc\x00\x00";
    let group_v0 = b"\x00\x00\x00\x08consumer\x00\x00\x00\x04\x00\x05range\x00\x01m\x00\x00\x00\x01\
        \x00\x01m\x00\x01c\x00\x02/h\x00\x00\x00\x08\x00\x00\x00\x01\xaa\x00\x00\x00\x02\xbb\xcc";
    let seeds: [(&str, Vec<Vec<u8>>); 6] = [
        ("offsets", vec![record(0, offset_key, offset), record(0, offset_key, expiring), record(1, offset_key, b"")]),
        ("offsets-flexible", vec![record(0, offset_key, flexible), record(6, offset_key, offset)]),
        ("offsets-in-transactions", vec![record(2, offset_key, offset), record(14, offset_key, offset)]),
        ("groups", vec![record(0, group_key, group), record(0, offset_key, offset), record(1, group_key, b"")]),
        ("groups-old", vec![record(0, group_key, group_v0), record(0, group_key, group_v4)]),
        ("later-type", vec![record(0, b"\x00\x03\x00\x01g", b"\x00\x00"), record(0, offset_key, offset)]),
    ];
    for (name, records) in seeds {
        write(dir, name, &[&[0], &records.concat()]);
    }
    let state = |status: u8| {
        let mut value = b"\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x03\x00\x00\xea\x60".to_vec();
        value.push(status);
        value.extend_from_slice(b"\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x02");
        value.extend_from_slice(b"\x00\x00\x01\x8b\xcf\xe5\x68\x00\x00\x00\x01\x8b\xcf\xe5\x68\x00");
        value
    };
    for status in 0..8 {
        write(dir, &format!("transaction-{status}"), &[&[1], &record(0, b"\x00\x00\x00\x02ab", &state(status))]);
    }
    let dead = [record(0, b"\x00\x00\x00\x02ab", &state(1)), record(1, b"\x00\x00\x00\x02ab", b"")].concat();
    write(dir, "transaction-forgotten", &[&[1], &dead]);
    let image = [
        record(
            0,
            br#"{"topic":"t"}"#,
            br#"{"version":1,"id":"05","partitions":2,"configs":{"a":"b"},"internal":false}"#,
        ),
        record(0, br#"{"document":"d"}"#, br#"{"version":1,"text":"x"}"#),
        record(0, br#"{"broker":""}"#, br#"{"version":1,"configs":{"max.connections":"5"}}"#),
        record(0, br#""producer_ids""#, br#"{"version":1,"next":1000}"#),
        record(1, br#"{"topic":"t"}"#, b""),
    ];
    write(dir, "cluster-image", &[&[2], &image.concat()]);
    write(dir, "subscription", &[&[3], b"\x00\x01\x00\x00\x00\x02\x00\x01a\x00\x02bc\xff\xff\xff\xff\x00\x00\x00\x00"]);
    write(dir, "batches-of-offsets", &[&[4], &plain(false)]);
    write(dir, "batches-with-a-marker", &[&[4], &plain(true), &control_batch(ControlType::Abort, 7, 1, 2, 5)]);
}

fn configs(dir: &Path) {
    let mut all = Vec::new();
    for config in pelton_core::cluster::topic_config::TOPIC_CONFIGS {
        writeln!(all, "{}={}", config.name, config.default).expect("a vector takes it");
        write(dir, &format!("topic-{}", config.name), &[config.name.as_bytes(), b"=", config.default.as_bytes()]);
    }
    write(dir, "all-defaults", &[&all]);
    let dynamic = b"max.connections=5\nmax.connections.per.ip=9\nmax.connections.per.ip.overrides=127.0.0.1:5,::1:7\n\
        log.cleaner.io.max.bytes.per.second=1.5e3\nlog.cleaner.backoff.ms=10\nlog.retention.ms=-1\n";
    write(dir, "dynamic", &[dynamic]);
    write(dir, "plugins", &[b"pelton.interceptors=audit@2,mask@1\npelton.plugin.audit.config={\"a\":1}\n"]);
}
