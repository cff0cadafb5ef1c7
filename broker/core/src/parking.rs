//! Where answers wait: for an offset to be committed, for something to be readable, for a deadline.
//!
//! One small structure serves all three, since each is "release everything up to here, in order". It
//! holds the waiting things, and nothing else: who calls [`Parking::release_through`], and when, is the
//! machine's affair.
//!
//! Invariants: things leave in the order of their keys and, under one key, of their arrival; never more
//! than the capacity wait; a thing leaves once.

use crate::model::Token;
use std::collections::BTreeMap;

/// Things that wait for a key (an offset, an instant) to be reached.
#[derive(Debug)]
pub struct Parking<K, T> {
    waiting: BTreeMap<(K, u64), Parked<T>>,
    places: BTreeMap<Token, (K, u64)>,
    arrivals: u64,
    capacity: usize,
}

#[derive(Debug)]
struct Parked<T> {
    token: Option<Token>,
    thing: T,
}

impl<K: Ord + Copy, T> Parking<K, T> {
    /// An empty place for at most `capacity` things.
    pub fn new(capacity: usize) -> Self {
        Self { waiting: BTreeMap::new(), places: BTreeMap::new(), arrivals: 0, capacity }
    }

    /// Whether nothing more may be parked. Whoever cannot take a decision back asks this before the decision.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= self.capacity
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many things wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The key that is reached first.
    pub fn first_key(&self) -> Option<K> {
        self.waiting.first_key_value().map(|((key, _), _)| *key)
    }

    /// Parks a thing until `key` is reached. A token names it for [`Parking::remove`]; one token names one
    /// thing, the newest.
    ///
    /// # Errors
    /// Gives the thing back when the place is full.
    pub fn park(&mut self, key: K, token: Option<Token>, thing: T) -> Result<(), T> {
        if self.is_full() {
            return Err(thing);
        }
        let place = (key, self.arrivals);
        self.arrivals += 1;
        if let Some(token) = token {
            self.places.insert(token, place);
        }
        self.waiting.insert(place, Parked { token, thing });
        Ok(())
    }

    /// Takes out the thing under this token.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        let place = self.places.remove(&token)?;
        self.waiting.remove(&place).map(|parked| parked.thing)
    }

    /// Takes out everything whose key is at most `reached`, in order.
    pub fn release_through(&mut self, reached: K) -> Vec<T> {
        let mut released = Vec::new();
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > reached {
                break;
            }
            let (place, parked) = entry.remove_entry();
            self.forget(parked.token, place);
            released.push(parked.thing);
        }
        released
    }

    /// Takes out everything whose key is above `limit`, in order.
    pub fn take_above(&mut self, limit: K) -> Vec<T> {
        let above = self.waiting.split_off(&(limit, u64::MAX));
        let mut taken = Vec::with_capacity(above.len());
        for (place, parked) in above {
            self.forget(parked.token, place);
            taken.push(parked.thing);
        }
        taken
    }

    /// Takes out everything, in order.
    pub fn drain(&mut self) -> Vec<T> {
        self.places.clear();
        std::mem::take(&mut self.waiting).into_values().map(|parked| parked.thing).collect()
    }

    fn forget(&mut self, token: Option<Token>, place: (K, u64)) {
        if let Some(token) = token
            && self.places.get(&token) == Some(&place)
        {
            self.places.remove(&token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_leave_in_order_and_once() {
        let mut parking = Parking::new(10);
        for (key, thing) in [(5, "late"), (3, "first"), (3, "second"), (4, "third")] {
            parking.park(key, None, thing).unwrap();
        }
        assert_eq!(parking.first_key(), Some(3));
        assert_eq!(parking.release_through(2), Vec::<&str>::new());
        assert_eq!(parking.release_through(4), ["first", "second", "third"]);
        assert_eq!(parking.release_through(4), Vec::<&str>::new());
        assert_eq!(parking.drain(), ["late"]);
        assert!(parking.is_empty());
    }

    #[test]
    fn a_token_takes_its_thing_out() {
        let mut parking = Parking::new(10);
        parking.park(1, Some(Token(7)), "a").unwrap();
        parking.park(1, Some(Token(8)), "b").unwrap();
        assert_eq!(parking.remove(Token(7)), Some("a"));
        assert_eq!(parking.remove(Token(7)), None);
        assert_eq!(parking.release_through(1), ["b"]);
        assert_eq!(parking.remove(Token(8)), None);
    }

    #[test]
    fn a_full_place_gives_the_thing_back() {
        let mut parking = Parking::new(1);
        assert_eq!(parking.park(1, None, "a"), Ok(()));
        assert!(parking.is_full());
        assert_eq!(parking.park(0, None, "b"), Err("b"));
        assert_eq!(parking.len(), 1);
    }

    #[test]
    fn a_token_that_is_used_again_names_the_newest_thing() {
        let mut parking = Parking::new(4);
        parking.park(1, Some(Token(7)), "old").unwrap();
        parking.park(2, Some(Token(7)), "new").unwrap();
        assert_eq!(parking.release_through(1), ["old"]);
        assert_eq!(parking.remove(Token(7)), Some("new"));
    }
}
