//! Where a partition is, or goes: decided from what was found, without a file.
//!
//! Invariant: a log that may exist somewhere is never begun anew, and of two copies the one that a finished move left
//! behind is never opened.

/// A log directory, by its place in `log.dirs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryIndex(pub usize);

/// A log of the partition that stands in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// In which directory.
    pub directory: DirectoryIndex,
    /// Whether it stays there.
    pub stands: Stands,
}

/// What is known of a log that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// It belongs there.
    Here,
    /// It was about to be replaced by its copy in another directory, if that one is known.
    Leaving(Option<DirectoryIndex>),
}

/// A directory, as far as a placement depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Whether it can be used.
    pub online: bool,
    /// Logs that are in it, those that move there included.
    pub partitions: usize,
}

/// Where a partition is, or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// Its log is there.
    At {
        /// The directory.
        directory: DirectoryIndex,
        /// Whether a move from there was begun and not finished.
        was_leaving: bool,
        /// Directories that still have what a finished move left behind.
        left_behind: Vec<DirectoryIndex>,
    },
    /// It has no log yet, and gets one there.
    New(DirectoryIndex),
    /// Its log is, or may be, in a directory that is offline.
    Offline,
    /// Two directories claim to have it.
    Twice(DirectoryIndex, DirectoryIndex),
}

/// Decides. `existed`: the partition was there before this start, so its log is somewhere. A new partition goes where
/// the fewest are, and among equals where the operator named the directory first.
pub fn place(found: &[Found], rooms: &[Room], existed: bool) -> Placement {
    let offline = rooms.iter().any(|room| !room.online);
    let settled: Vec<DirectoryIndex> =
        found.iter().filter(|log| log.stands == Stands::Here).map(|log| log.directory).collect();
    let leaving: Vec<&Found> = found.iter().filter(|log| log.stands != Stands::Here).collect();
    match settled[..] {
        [directory] => {
            let left_behind = leaving.iter().map(|log| log.directory).collect();
            return Placement::At { directory, was_leaving: false, left_behind };
        }
        [first, second, ..] => return Placement::Twice(first, second),
        [] => {}
    }
    if leaving.is_empty() {
        return match fewest(rooms) {
            Some(directory) if !(existed && offline) => Placement::New(directory),
            _ => Placement::Offline,
        };
    }
    if offline {
        // The copy that took its place may be there.
        return Placement::Offline;
    }
    // A log whose target has it too went on from there.
    let went_on = |log: &Found| match log.stands {
        Stands::Leaving(Some(target)) => found.iter().any(|other| other.directory == target),
        _ => false,
    };
    let (left_behind, current): (Vec<&Found>, Vec<&Found>) = leaving.into_iter().partition(|log| went_on(log));
    let directories = |logs: &[&Found]| logs.iter().map(|log| log.directory).collect::<Vec<_>>();
    match current[..] {
        [log] => Placement::At { directory: log.directory, was_leaving: true, left_behind: directories(&left_behind) },
        [first, second, ..] => Placement::Twice(first.directory, second.directory),
        [] => Placement::Twice(left_behind[0].directory, left_behind[left_behind.len() - 1].directory),
    }
}

/// The directory with the fewest logs of those that can be used.
fn fewest(rooms: &[Room]) -> Option<DirectoryIndex> {
    let usable = rooms.iter().enumerate().filter(|(_, room)| room.online);
    usable.min_by_key(|(index, room)| (room.partitions, *index)).map(|(index, _)| DirectoryIndex(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(partitions: &[Option<usize>]) -> Vec<Room> {
        let room = |count: &Option<usize>| Room { online: count.is_some(), partitions: count.unwrap_or(0) };
        partitions.iter().map(room).collect()
    }

    fn here(index: usize) -> Found {
        Found { directory: DirectoryIndex(index), stands: Stands::Here }
    }

    fn leaving(index: usize, target: Option<usize>) -> Found {
        Found { directory: DirectoryIndex(index), stands: Stands::Leaving(target.map(DirectoryIndex)) }
    }

    fn at(index: usize, was_leaving: bool, left_behind: &[usize]) -> Placement {
        let left_behind = left_behind.iter().copied().map(DirectoryIndex).collect();
        Placement::At { directory: DirectoryIndex(index), was_leaving, left_behind }
    }

    #[test]
    fn a_new_partition_goes_where_the_fewest_are() {
        let cases = [(vec![Some(3), Some(1), Some(2)], 1), (vec![Some(2), Some(2)], 0), (vec![None, Some(9)], 1)];
        for (partitions, expected) in cases {
            assert_eq!(place(&[], &rooms(&partitions), false), Placement::New(DirectoryIndex(expected)));
        }
        assert_eq!(place(&[], &rooms(&[None]), false), Placement::Offline);
    }

    #[test]
    fn a_log_is_opened_where_it_is_and_never_begun_anew() {
        assert_eq!(place(&[here(1)], &rooms(&[Some(0), Some(9)]), true), at(1, false, &[]));
        assert_eq!(place(&[here(1)], &rooms(&[None, Some(9)]), true), at(1, false, &[]));
        assert_eq!(place(&[], &rooms(&[None, Some(9)]), true), Placement::Offline);
        let twice = Placement::Twice(DirectoryIndex(0), DirectoryIndex(1));
        assert_eq!(place(&[here(0), here(1)], &rooms(&[Some(1), Some(1)]), true), twice);
    }

    #[test]
    fn what_a_move_left_behind_is_not_opened() {
        let all = rooms(&[Some(1), Some(1), Some(1)]);
        assert_eq!(place(&[leaving(0, Some(1)), here(1)], &all, true), at(1, false, &[0]));
        // The copy went on to a third directory.
        assert_eq!(place(&[leaving(0, Some(1)), here(2)], &all, true), at(2, false, &[0]));
        assert_eq!(place(&[leaving(0, Some(1)), leaving(1, Some(2))], &all, true), at(1, true, &[0]));
        // The move did not come to its end.
        assert_eq!(place(&[leaving(0, Some(1))], &all, true), at(0, true, &[]));
        // Whether it did cannot be seen.
        assert_eq!(place(&[leaving(0, Some(1))], &rooms(&[Some(1), None]), true), Placement::Offline);
        let circle = place(&[leaving(0, Some(1)), leaving(1, Some(0))], &all, true);
        assert_eq!(circle, Placement::Twice(DirectoryIndex(0), DirectoryIndex(1)));
    }
}
