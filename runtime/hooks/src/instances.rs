//! Instances of one plugin for one topic, kept between calls.
//!
//! A call takes an instance, or makes one where none is idle, and gives it back unless it failed: an instance is never used
//! after a fault. How many there are at a time is bounded by how many calls run at a time; of the idle ones a few are kept.

use pelton_api::fault::Fault;
use std::sync::{Mutex, PoisonError};

type Make<T> = Box<dyn Fn() -> Result<Box<T>, Fault> + Send + Sync>;

/// The idle instances of one plugin, and how to make more.
pub struct Instances<T: ?Sized> {
    make: Make<T>,
    idle: Mutex<Vec<Box<T>>>,
    most_idle: usize,
}

impl<T: ?Sized> Instances<T> {
    /// None yet; at most `most_idle` are kept between calls.
    pub fn new(most_idle: usize, make: impl Fn() -> Result<Box<T>, Fault> + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), idle: Mutex::default(), most_idle }
    }

    /// An idle instance, the one that was used last, or a new one.
    ///
    /// # Errors
    /// Why none could be made.
    pub fn take(&self) -> Result<Box<T>, Fault> {
        self.take_idle().map_or_else(|| (self.make)(), Ok)
    }

    /// An idle instance, if there is one: to make one takes longer than a caller may be able to wait.
    pub fn take_idle(&self) -> Option<Box<T>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Gives an instance back whose last call ended well.
    pub fn give_back(&self, instance: Box<T>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most_idle {
            idle.push(instance);
            return;
        }
        // To tear an instance down takes time that no other call should wait for.
        drop(idle);
        drop(instance);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn idle_instances_are_used_again_and_few_are_kept() {
        let made = Arc::new(AtomicUsize::new(0));
        let counter = made.clone();
        let instances: Instances<usize> =
            Instances::new(2, move || Ok(Box::new(counter.fetch_add(1, Ordering::Relaxed))));
        let taken: Vec<_> = (0..4).map(|_| instances.take().unwrap()).collect();
        assert_eq!(made.load(Ordering::Relaxed), 4);
        taken.into_iter().for_each(|instance| instances.give_back(instance));
        assert_eq!((*instances.take().unwrap(), *instances.take().unwrap(), *instances.take().unwrap()), (1, 0, 4));
    }
}
