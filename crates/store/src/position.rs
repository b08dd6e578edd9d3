//! The place of a change in the order of all changes.

use crate::Revision;
use crate::txn::MAX_OPS;

const PLACE_BITS: u32 = MAX_OPS.ilog2();

/// A revision and a place within its transaction as one number; in SQLite the
/// number of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(pub u64);

impl Position {
    pub fn new(revision: Revision, place: u16) -> Self {
        Self((revision << PLACE_BITS) | u64::from(place))
    }

    /// Before the first change of `revision`.
    pub fn start_of(revision: Revision) -> Self {
        Self::new(revision, 0)
    }

    /// At or after the last change of `revision`.
    pub fn end_of(revision: Revision) -> Self {
        Self(Self::start_of(revision + 1).0 - 1)
    }

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub fn revision(self) -> Revision {
        self.0 >> PLACE_BITS
    }

    pub fn place(self) -> u16 {
        (self.0 & (MAX_OPS as u64 - 1)) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_ordered_as_their_changes() {
        let position = Position::new(7, 1023);
        assert_eq!((position.revision(), position.place()), (7, 1023));
        assert_eq!(position, Position::end_of(7));
        assert_eq!(position.next(), Position::start_of(8));
    }
}
