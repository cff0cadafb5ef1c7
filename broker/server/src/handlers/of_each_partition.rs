//! What the requests do alike that name partitions by topic: each partition is looked up, those that are there are asked
//! something, all of them before the first answer is waited for, and what each came to is told in the order of the request.

use super::scope::{partition_answer, partition_of};
use crate::driver::Pending;
use kafka_protocol::messages::TopicName;
use pelton_core::cluster::TopicImage;
use pelton_core::event::PartitionReply;
use pelton_core::model::TopicPartition;
use pelton_core::refusal::Refusal;
use std::sync::Arc;

/// Something of each partition of a request, by topic, in its order.
pub type ByTopic<T> = Vec<(TopicName, Vec<T>)>;

/// What was begun for a partition, by its number, or why nothing was.
pub type Begun<T> = (i32, Result<T, Refusal>);

/// Does `begin` for each partition that is there. `topic` finds a topic if the client may do this to it, and `index_of`
/// says which partition is meant.
pub fn begin<'a, A, T>(
    topics: impl IntoIterator<Item = (TopicName, Vec<A>)>,
    topic: impl Fn(&TopicName) -> Result<(&'a Arc<str>, &'a TopicImage), Refusal>,
    index_of: impl Fn(&A) -> i32,
    begin: impl Fn(TopicPartition, A) -> T,
) -> ByTopic<Begun<T>> {
    let topics = topics.into_iter().map(|(name, partitions)| {
        let found = topic(&name);
        let mut begun = Vec::with_capacity(partitions.len());
        for asked in partitions {
            let index = index_of(&asked);
            let partition = found.clone().and_then(|(name, described)| partition_of(name, described, index));
            begun.push((index, partition.map(|partition| begin(partition, asked))));
        }
        (name, begun)
    });
    topics.collect()
}

/// What each of them comes to by `answer`, one after the other.
pub async fn answered<T, R, F: Future<Output = R>>(
    begun: ByTopic<Begun<T>>,
    answer: impl Fn(i32, Result<T, Refusal>) -> F,
) -> ByTopic<R> {
    let mut topics = Vec::with_capacity(begun.len());
    for (name, begun) in begun {
        let mut partitions = Vec::with_capacity(begun.len());
        for (index, begun) in begun {
            partitions.push(answer(index, begun).await);
        }
        topics.push((name, partitions));
    }
    topics
}

/// What a partition answered that was asked, or why it was not.
pub async fn reply(pending: Result<Pending, Refusal>) -> Result<PartitionReply, Refusal> {
    partition_answer(pending?.await)
}
