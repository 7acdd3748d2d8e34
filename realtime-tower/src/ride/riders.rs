//! Who rides, in a dense list, and how far a run has come in it.

use std::io;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use realtime_core::Cursor;
use slab::Slab;
use tokio::io::Interest;
use tokio::net::tcp::OwnedWriteHalf;

use super::run::{Run, Wire, position};
use crate::seat::{Leave, Seat};
use crate::timer::Moment;

/// One who rides.
#[derive(Debug)]
pub(super) struct Rider {
    pub(super) writer: OwnedWriteHalf,
    /// Where it stood when it boarded: then it may have been ahead.
    pub(super) boarded: u64,
    pub(super) waker: Waker,
    pub(super) slot: usize,
    pub(super) leash: Option<Box<Leash>>,
}

/// What a session allows its readers: nothing is written once it has ended.
#[derive(Debug)]
pub(crate) struct Leash {
    pub(crate) seat: Arc<Seat>,
    pub(crate) ends: Option<Moment>,
}

impl Leash {
    fn is_over(&self) -> bool {
        self.ends.is_some_and(Moment::is_past) || self.seat.told() == Some(Leave::Expired)
    }
}

/// What a session finds in its slot: where it rides, or what it was left with.
#[derive(Debug)]
pub(super) enum Slot {
    Rides(usize),
    Off(Box<Alighted>),
}

/// What one who alights is left with.
#[derive(Debug)]
pub(crate) struct Alighted {
    pub(crate) writer: OwnedWriteHalf,
    /// It has had everything up to here, and
    pub(crate) place: Cursor,
    /// the beginning of a frame whose rest is this, and whose place is that.
    pub(crate) left: Option<(Bytes, Cursor)>,
    /// When something was sent last, to it or to the others.
    pub(crate) last: Moment,
    /// What the connection said.
    pub(crate) error: Option<io::Error>,
}

/// The list. While a run goes through it, those in front of `served` have had it; the others have not.
#[derive(Debug, Default)]
pub(super) struct Riders {
    list: Vec<Rider>,
    served: usize,
}

/// What some writes came to.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) deliveries: u64,
    pub(super) bytes: u64,
}

impl Riders {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn is_all_served(&self) -> bool {
        self.served == self.list.len()
    }

    /// Whether this one has had the run.
    pub(super) fn is_served(&self, index: usize) -> bool {
        index < self.served
    }

    pub(super) fn begin(&mut self) {
        self.served = 0;
    }

    /// Where this one stood when it boarded.
    pub(super) fn boarded(&self, index: usize) -> u64 {
        self.list.get(index).map_or(0, |rider| rider.boarded)
    }

    pub(super) fn rider(&mut self, index: usize) -> Option<&mut Rider> {
        self.list.get_mut(index)
    }

    /// Takes one in, who has not been served.
    pub(super) fn board(&mut self, rider: Rider, slots: &mut Slab<Slot>) {
        slots[rider.slot] = Slot::Rides(self.list.len());
        self.list.push(rider);
    }

    /// Takes one out. The last of its part of the list moves into its place, so that the parts stay what they are.
    pub(super) fn remove(&mut self, index: usize, slots: &mut Slab<Slot>) -> Rider {
        let mut hole = index;
        if hole < self.served {
            self.served -= 1;
            self.list.swap(hole, self.served);
            slots[self.list[hole].slot] = Slot::Rides(hole);
            hole = self.served;
        }
        let rider = self.list.swap_remove(hole);
        if let Some(moved) = self.list.get(hole) {
            slots[moved.slot] = Slot::Rides(hole);
        }
        if self.list.len() < self.list.capacity() / 4 {
            self.list.shrink_to(self.list.len() * 2);
        }
        rider
    }

    /// Takes the last one out.
    pub(super) fn pop(&mut self) -> Option<Rider> {
        let rider = self.list.pop();
        self.served = self.served.min(self.list.len());
        rider
    }

    /// Serves so many more. Who could not be written to is put off, and is to be woken.
    pub(super) fn serve(
        &mut self,
        count: usize,
        pass: &Pass<'_>,
        slots: &mut Slab<Slot>,
        woken: &mut Vec<Waker>,
    ) -> Written {
        let mut sum = Written::default();
        // Their sockets lie far apart in memory: looked at in a row they come together, and not one by one between the writes.
        self.list.iter().skip(self.served).take(count).for_each(Rider::touch);
        for _ in 0..count {
            let Some(rider) = self.list.get(self.served) else { break };
            match rider.write(pass, &mut sum) {
                Ok(()) => self.served += 1,
                Err(end) => {
                    let at = |position: u64| pass.here.at(position.into());
                    let place = at(end.place.unwrap_or(rider.boarded.max(position(pass.here))));
                    let left = end.left.map(|(bytes, place)| (bytes, at(place)));
                    // Who took nothing of it was sent nothing.
                    let last = if end.place.is_some() || left.is_some() { pass.begun } else { pass.before };
                    let (slot, waker, alighted) = self.remove(self.served, slots).left(place, last);
                    let off = Alighted { left, error: end.error, ..alighted };
                    slots[slot] = Slot::Off(Box::new(off));
                    woken.push(waker);
                }
            }
        }
        sum
    }
}

/// A run on its way through the list.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    pub(super) run: &'a Run,
    pub(super) wire: &'a Wire,
    /// The place of who has not had it, unless it boarded ahead.
    pub(super) here: Cursor,
    pub(super) begun: Moment,
    /// When the one before it began.
    pub(super) before: Moment,
}

/// Why one was put off.
struct End {
    place: Option<u64>,
    left: Option<(Bytes, u64)>,
    error: Option<io::Error>,
}

impl End {
    const NOTHING: Self = Self { place: None, left: None, error: None };
}

impl Rider {
    /// What one is left with who alights between two frames: by its slot, and who is to be woken.
    pub(super) fn left(self, place: Cursor, last: Moment) -> (usize, Waker, Alighted) {
        let Self { writer, waker, slot, .. } = self;
        (slot, waker, Alighted { writer, place, left: None, last, error: None })
    }

    fn touch(&self) {
        let _ = self.writer.as_ref().try_io(Interest::WRITABLE, || Ok(()));
    }

    fn write(&self, pass: &Pass<'_>, sum: &mut Written) -> Result<(), End> {
        if self.leash.as_deref().is_some_and(Leash::is_over) {
            return Err(End::NOTHING);
        }
        let own;
        let mut run = pass.run;
        if !run.are_events && self.boarded > run.to() {
            // A place that was told does not move back.
            own = Run::beat(pass.here.at(self.boarded.into()), pass.wire);
            run = &own;
        }
        let had = run.had(self.boarded);
        let bytes = run.behind(had);
        if bytes.is_empty() {
            return Ok(());
        }
        match self.writer.try_write(bytes) {
            Ok(written) if written == bytes.len() => {
                sum.bytes += written as u64;
                sum.deliveries += if run.are_events { (run.len() - had) as u64 } else { 0 };
                Ok(())
            }
            Ok(written) => {
                let cut = run.cut(had, written);
                sum.bytes += written as u64;
                sum.deliveries += if run.are_events { cut.begun as u64 } else { 0 };
                Err(End { place: cut.whole, left: cut.left, error: None })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(End::NOTHING),
            Err(error) => Err(End { error: Some(error), ..End::NOTHING }),
        }
    }
}

#[cfg(test)]
impl Riders {
    /// How many there is room for.
    pub(super) fn room(&self) -> usize {
        self.list.capacity()
    }
}
