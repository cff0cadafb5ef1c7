//! `pelton group describe`: the members of groups, what each of them reads, and how far behind it is.
//!
//! The table of the lag is put together by [`rows`], which is pure.

use super::wire::{Cluster, Committed, Group, Lookup, Member};
use super::{Bootstrap, output, unknown};
use anyhow::bail;
use clap::Args;
use pelton_core::model::TopicPartition;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Show groups: their state, their members with what each was assigned, and how far behind they are.
///
/// COMMITTED is the next offset that the group will read, END the high watermark, LAG what lies between. A partition that is
/// assigned and has no committed offset has no lag either: where it begins is for its consumer to say.
#[derive(Debug, Args)]
#[command(
    override_usage = "pelton group describe [OPTIONS] [GROUP]...",
    after_long_help = "Examples:\n\
    \x20 pelton group describe billing\n\
    \x20 pelton group describe --all --json"
)]
pub struct Describe {
    /// Ids of the groups.
    #[arg(value_name = "GROUP", required_unless_present = "all")]
    groups: Vec<String>,
    /// Show all groups.
    #[arg(long, conflicts_with = "groups")]
    all: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, Serialize)]
struct Described {
    group: String,
    state: String,
    protocol_type: String,
    assignor: String,
    coordinator: i32,
    members: Vec<DescribedMember>,
    partitions: Vec<Row>,
    /// The lag of all partitions that have one.
    lag: i64,
}

#[derive(Debug, Serialize)]
struct DescribedMember {
    member: String,
    instance: Option<String>,
    client_id: String,
    host: String,
    assigned: BTreeMap<String, Vec<i32>>,
}

/// One partition in the table of the lag.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    topic: String,
    partition: i32,
    /// The next offset that is read.
    committed: Option<i64>,
    /// The high watermark; nothing where the partition is gone.
    end: Option<i64>,
    lag: Option<i64>,
    /// Who reads it.
    member: Option<String>,
    client_id: Option<String>,
    host: Option<String>,
}

impl Describe {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let mut cluster = Cluster::connect(&self.bootstrap.bootstrap)?;
        let groups = match self.all {
            true => cluster.groups(&[])?.into_iter().map(|group| group.group).collect(),
            false => self.groups.clone(),
        };
        let mut described = Vec::with_capacity(groups.len());
        for id in groups {
            match describe(&mut cluster, &id)? {
                Some(group) => described.push(group),
                // It went away since it was listed.
                None if self.all => {}
                None => bail!(unknown(&id)),
            }
        }
        if self.json {
            output::json(&described);
            return Ok(());
        }
        for (at, group) in described.iter().enumerate() {
            if at > 0 {
                output::line("");
            }
            print(group);
        }
        Ok(())
    }
}

fn describe(cluster: &mut Cluster, id: &str) -> anyhow::Result<Option<Described>> {
    let Some(group) = cluster.group(id)? else { return Ok(None) };
    let committed = cluster.committed(id)?;
    let assigned = group.members.iter().flat_map(|member| &member.assigned);
    let partitions: BTreeSet<&TopicPartition> = committed.keys().chain(assigned).collect();
    let partitions: Vec<TopicPartition> = partitions.into_iter().cloned().collect();
    let found = cluster.offsets(&partitions, Lookup::End)?;
    let ends = found.into_iter().filter_map(|(partition, end)| Some((partition, end.ok().flatten()?)));
    let partitions = rows(&group, &committed, &ends.collect());
    Ok(Some(Described {
        group: id.to_owned(),
        lag: partitions.iter().filter_map(|row| row.lag).sum(),
        members: group.members.iter().map(described_member).collect(),
        state: group.state,
        protocol_type: group.protocol_type,
        assignor: group.protocol,
        coordinator: group.coordinator,
        partitions,
    }))
}

/// Each partition that the group has committed or is assigned, with how far it is.
fn rows(
    group: &Group,
    committed: &BTreeMap<TopicPartition, Committed>,
    ends: &BTreeMap<TopicPartition, i64>,
) -> Vec<Row> {
    let readers: BTreeMap<&TopicPartition, &Member> = group
        .members
        .iter()
        .flat_map(|member| member.assigned.iter().map(move |partition| (partition, member)))
        .collect();
    let all: BTreeSet<&TopicPartition> = committed.keys().chain(readers.keys().copied()).collect();
    let row = |partition: &TopicPartition| {
        let (committed, end) = (committed.get(partition).map(|found| found.offset), ends.get(partition).copied());
        let reader = readers.get(partition);
        Row {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            committed,
            end,
            // A committed offset may lie behind the end when records were lost with a leader; there is nothing to read then.
            lag: committed.zip(end).map(|(committed, end)| (end - committed).max(0)),
            member: reader.map(|member| member.member.clone()),
            client_id: reader.map(|member| member.client_id.clone()),
            host: reader.map(|member| member.host.clone()),
        }
    };
    all.into_iter().map(row).collect()
}

fn described_member(member: &Member) -> DescribedMember {
    let mut assigned: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for partition in &member.assigned {
        assigned.entry(partition.topic.to_string()).or_default().push(partition.partition);
    }
    DescribedMember {
        member: member.member.clone(),
        instance: member.instance.clone(),
        client_id: member.client_id.clone(),
        host: member.host.clone(),
        assigned,
    }
}

fn print(group: &Described) {
    let assignor = if group.assignor.is_empty() { String::new() } else { format!(", assignor {}", group.assignor) };
    let Described { group: id, state, coordinator, members, partitions, lag, .. } = group;
    let people = output::counted(members.len(), "member");
    output::line(&format!("group {id}: {state}, coordinator {coordinator}{assignor}, {people}, lag {lag}"));
    let shown = |text: Option<&String>| text.filter(|text| !text.is_empty()).map_or("-".to_owned(), Clone::clone);
    let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
    if !members.is_empty() {
        output::line("");
        output::table(
            &["MEMBER", "INSTANCE", "CLIENT", "HOST", "ASSIGNED"],
            members.iter().map(|member| {
                let list = |(topic, indexes): (&String, &Vec<i32>)| {
                    let indexes: Vec<String> = indexes.iter().map(ToString::to_string).collect();
                    format!("{topic}:{}", indexes.join(","))
                };
                let assigned: Vec<String> = member.assigned.iter().map(list).collect();
                let assigned = assigned.join(" ");
                let (instance, client) = (shown(member.instance.as_ref()), shown(Some(&member.client_id)));
                vec![member.member.clone(), instance, client, member.host.clone(), shown(Some(&assigned))]
            }),
        );
    }
    if !partitions.is_empty() {
        output::line("");
        output::table(
            &["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"],
            partitions.iter().map(|row| {
                let (committed, end, lag) = (number(row.committed), number(row.end), number(row.lag));
                vec![row.topic.clone(), row.partition.to_string(), committed, end, lag, shown(row.member.as_ref())]
            }),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_lies_between_what_is_committed_and_the_end() {
        let partition = |index| TopicPartition::new("orders", index);
        let member = Member {
            member: "a-1".to_owned(),
            instance: None,
            client_id: "a".to_owned(),
            host: "127.0.0.1".to_owned(),
            assigned: BTreeSet::from([partition(0), partition(1)]),
        };
        let group = Group {
            state: "Stable".to_owned(),
            protocol_type: "consumer".to_owned(),
            protocol: "range".to_owned(),
            coordinator: 1,
            members: vec![member],
        };
        let at = |offset| Committed { offset, metadata: String::new() };
        let committed = BTreeMap::from([(partition(0), at(7)), (partition(2), at(3)), (partition(3), at(9))]);
        let ends = BTreeMap::from([(partition(0), 10), (partition(1), 5), (partition(3), 8)]);
        let found = rows(&group, &committed, &ends);
        let seen: Vec<_> =
            found.iter().map(|row| (row.partition, row.committed, row.end, row.lag, row.member.as_deref())).collect();
        let wanted = [
            (0, Some(7), Some(10), Some(3), Some("a-1")),
            (1, None, Some(5), None, Some("a-1")),
            (2, Some(3), None, None, None),
            (3, Some(9), Some(8), Some(0), None),
        ];
        assert_eq!(seen, wanted);
    }
}
