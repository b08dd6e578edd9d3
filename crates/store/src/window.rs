//! The newest events, in memory, shared by all watchers.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Event;
use crate::position::Position;

/// How much of the past a store keeps.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Events in memory.
    pub window_events: usize,
    /// Bytes that only the window keeps alive (entries since replaced), about.
    pub window_bytes: usize,
    /// Replaced rows that a durable engine keeps on disk.
    pub history_rows: u64,
    /// Bytes in those rows.
    pub history_bytes: u64,
    /// Roots kept for lists that go on at an exact revision.
    pub retained_roots: usize,
    /// Bytes that only those roots keep alive, about.
    pub retained_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window_events: 4096,
            window_bytes: 4 << 20,
            history_rows: 100_000,
            history_bytes: 64 << 20,
            retained_roots: 8,
            retained_bytes: 8 << 20,
        }
    }
}

pub(crate) struct Window {
    events: VecDeque<(Position, Arc<Event>)>,
    bytes: usize,
    /// Everything after this is in `events`.
    floor: Position,
}

impl Window {
    pub fn after(floor: Position) -> Self {
        Self { events: VecDeque::new(), bytes: 0, floor }
    }

    pub fn floor(&self) -> Position {
        self.floor
    }

    pub fn push(&mut self, event: Arc<Event>) {
        self.bytes += weight(&event);
        self.events.push_back((Position::new(event.revision, event.place), event));
    }

    /// Lets go of what is over the limits; the caller drops it where no lock is held.
    pub fn trim(&mut self, limits: &Limits) -> Vec<Arc<Event>> {
        let mut gone = Vec::new();
        while self.events.len() > limits.window_events || self.bytes > limits.window_bytes {
            let Some((position, event)) = self.events.pop_front() else { break };
            self.bytes -= weight(&event);
            self.floor = position;
            gone.push(event);
        }
        gone
    }

    /// The events from `position` on; `None` where some of them are gone.
    pub fn from(&self, position: Position) -> Option<impl Iterator<Item = &(Position, Arc<Event>)>> {
        if position <= self.floor {
            return None;
        }
        let first = self.events.partition_point(|(at, _)| *at < position);
        Some(self.events.range(first..))
    }
}

/// What the event keeps alive: the entry it replaced, and itself. What is
/// current belongs to the index until a later event replaces it.
fn weight(event: &Event) -> usize {
    128 + event.previous.as_ref().map_or(0, |previous| previous.weight())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(revision: u64, place: u16) -> Arc<Event> {
        Arc::new(Event { revision, key: "/a".into(), previous: None, current: None, place })
    }

    #[test]
    fn the_window_keeps_to_its_limits_and_knows_what_is_gone() {
        let limits = Limits { window_events: 3, ..Limits::default() };
        let mut window = Window::after(Position::end_of(1));
        for (revision, place) in [(2, 0), (3, 0), (3, 1), (4, 0), (5, 0)] {
            window.push(event(revision, place));
        }
        assert_eq!(window.trim(&limits).len(), 2);
        let from = |revision, place| {
            window.from(Position::new(revision, place)).map(|events| {
                events.map(|(position, _)| (position.revision(), position.place())).collect::<Vec<_>>()
            })
        };
        assert_eq!(from(3, 0), None);
        assert_eq!(from(3, 1), Some(vec![(3, 1), (4, 0), (5, 0)]));
        assert_eq!(from(4, 1), Some(vec![(5, 0)]));
        assert_eq!(from(9, 0), Some(vec![]));
    }

    #[test]
    fn bytes_bound_the_window_too() {
        let limits = Limits { window_bytes: 300, ..Limits::default() };
        let mut window = Window::after(Position::end_of(1));
        for revision in 2..10 {
            window.push(event(revision, 0));
            window.trim(&limits);
        }
        assert_eq!(window.floor(), Position::new(7, 0));
    }
}
