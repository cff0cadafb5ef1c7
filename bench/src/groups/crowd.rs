//! All members of all groups, and what they are told to do together.

use super::ledger::{Commits, Settled};
use super::member::{Member, Order, Shared};
use super::pace::{self, Given, Pace, WAITING_AT_MOST};
use anyhow::{Context, Result, bail, ensure};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, Sender};
use tokio::task::JoinSet;

/// How long groups may take to come to rest, and commits to be answered.
const AT_MOST: Duration = Duration::from_secs(120);
/// How often it is looked whether all commits are answered.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How many there are.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Groups.
    pub groups: usize,
    /// Members of each.
    pub members: usize,
    /// Partitions of the topic that all read.
    pub partitions: i32,
}

impl Scale {
    /// Refuses what cannot be.
    pub fn check(self) -> Result<()> {
        ensure!(self.groups > 0 && self.members > 0, "--groups and --members are at least 1");
        let members = i32::try_from(self.members).context("--members")?;
        ensure!(self.partitions >= members, "--partitions is at least --members, so that each has something to commit");
        Ok(())
    }
}

/// The members. Dropping it ends their connections without a word; see [`Self::leave`].
pub struct Crowd {
    shared: Rc<Shared>,
    scale: Scale,
    /// In turn: a member of each group, then another of each.
    orders: Vec<Sender<Order>>,
    members: JoinSet<Result<()>>,
}

impl Crowd {
    /// Members that connect, and that begin to join with [`Self::join`].
    pub fn start(shared: Rc<Shared>, scale: Scale) -> Self {
        let (mut orders, mut members) = (Vec::new(), JoinSet::new());
        for number in 0..scale.members {
            for group in 0..scale.groups {
                let (sender, receiver) = mpsc::channel(WAITING_AT_MOST);
                orders.push(sender);
                members.spawn_local(Member::run(shared.clone(), group, number, receiver));
            }
        }
        Self { shared, scale, orders, members }
    }

    /// Lets everybody join at once, as soon as all are connected, and waits until all groups are at rest.
    pub async fn join(&mut self) -> Result<(Instant, Vec<Settled>)> {
        let shared = self.shared.clone();
        self.unless_one_fails(shared.connected.wait()).await?;
        let began = Instant::now();
        Ok((began, self.settled().await?))
    }

    /// When each group came to rest, once all have.
    async fn settled(&mut self) -> Result<Vec<Settled>> {
        let shared = self.shared.clone();
        self.unless_one_fails(shared.ledger.all_settled()).await
    }

    /// Lets one member of each group leave and join again, all at once, and waits until all groups are at rest.
    pub async fn rebalance(&mut self) -> Result<(Instant, Vec<Settled>)> {
        self.shared.ledger.unsettle();
        let began = Instant::now();
        for leaving in &self.orders[..self.scale.groups] {
            leaving.try_send(Order::LeaveAndJoin).ok().context("a member has too much waiting for it")?;
        }
        Ok((began, self.settled().await?))
    }

    /// Begins to commit, and tells by the channel what was given out.
    pub fn begin_commits(&self, pace: Pace) -> tokio::task::JoinHandle<Given> {
        let orders = self.orders.clone();
        tokio::task::spawn_blocking(move || pace::give_out(&orders, pace))
    }

    /// Waits until all that was given out is answered.
    pub async fn all_answered(&mut self, giving: tokio::task::JoinHandle<Given>) -> Result<(Given, Commits)> {
        let shared = self.shared.clone();
        let answered = async {
            let given = giving.await?;
            while shared.ledger.answers() < given.commits {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            anyhow::Ok(given)
        };
        let given = self.unless_one_fails(answered).await??;
        let commits = self.shared.ledger.take_commits()?;
        ensure!(commits.answered() == given.commits, "void: {} commits were answered", commits.answered());
        ensure!(commits.fenced == 0, "void: {} commits were refused as those of strangers", commits.fenced);
        Ok((given, commits))
    }

    /// Waits for a while.
    pub async fn rest(&mut self, wait: Duration) -> Result<()> {
        self.unless_one_fails(tokio::time::sleep(wait)).await
    }

    /// Everybody leaves.
    pub async fn leave(mut self) -> Result<()> {
        self.orders.clear();
        let gone = async {
            while let Some(ended) = self.members.join_next().await {
                ended.context("a member panicked")??;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(AT_MOST, gone).await.context("some members do not leave")?
    }

    /// Waits for something, but no longer than it may take, and only while all members are well.
    async fn unless_one_fails<T>(&mut self, what: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            done = what => Ok(done),
            Some(ended) = self.members.join_next() => {
                ended.context("a member panicked")??;
                bail!("a member left by itself")
            }
            () = tokio::time::sleep(AT_MOST) => bail!("void: it did not come to pass within {} s", AT_MOST.as_secs()),
        }
    }
}
