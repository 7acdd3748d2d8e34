//! Lists that are joined, left and emptied into one another in a few steps, however long they are.
//!
//! ```text
//! chain ─► link ─► link ─► link ─┐      a ring in one slab; the chain is a link of its own that no seat has, so that
//!   ▲                            │      taking a link out needs to know its two neighbours and nothing else
//!   └────────────────────────────┘
//! ```

use slab::Slab;

#[derive(Debug, Default)]
pub(crate) struct Chains {
    links: Slab<Link>,
}

/// A place of a seat in a chain. One that stands in none is its own neighbour.
#[derive(Debug)]
struct Link {
    former: usize,
    next: usize,
    seat: usize,
    /// The chain it belongs to when its reader waits.
    home: usize,
}

/// The seat of the link that a chain begins with.
const NOBODY: usize = usize::MAX;

impl Chains {
    /// A new chain, empty.
    pub(crate) fn begin(&mut self) -> usize {
        self.insert(NOBODY, NOBODY)
    }

    /// A new link of a seat, which belongs to a chain and does not stand in it yet.
    pub(crate) fn link(&mut self, seat: usize, home: usize) -> usize {
        self.insert(seat, home)
    }

    fn insert(&mut self, seat: usize, home: usize) -> usize {
        let vacant = self.links.vacant_entry();
        let key = vacant.key();
        vacant.insert(Link { former: key, next: key, seat, home });
        key
    }

    /// Takes a link out of where it stands and away, or a chain that is empty.
    pub(crate) fn remove(&mut self, link: usize) {
        self.detach(link);
        self.links.remove(link);
    }

    /// Puts a link at the end of its own chain, wherever it stood.
    pub(crate) fn attach(&mut self, link: usize) {
        self.detach(link);
        let home = self.links[link].home;
        let last = std::mem::replace(&mut self.links[home].former, link);
        self.links[last].next = link;
        self.links[link].former = last;
        self.links[link].next = home;
    }

    /// Takes a link out of where it stands.
    pub(crate) fn detach(&mut self, link: usize) {
        let Link { former, next, .. } = self.links[link];
        if next == link {
            return;
        }
        self.links[former].next = next;
        self.links[next].former = former;
        (self.links[link].former, self.links[link].next) = (link, link);
    }

    /// Moves all of a chain to the end of another.
    pub(crate) fn pour(&mut self, chain: usize, onto: usize) {
        let Link { former: last, next: first, .. } = self.links[chain];
        if first == chain {
            return;
        }
        (self.links[chain].former, self.links[chain].next) = (chain, chain);
        let end = std::mem::replace(&mut self.links[onto].former, last);
        self.links[end].next = first;
        self.links[first].former = end;
        self.links[last].next = onto;
    }

    /// The seat that stands first in a chain.
    pub(crate) fn first(&self, chain: usize) -> Option<usize> {
        Some(self.links[self.links[chain].next].seat).filter(|seat| *seat != NOBODY)
    }

    /// The seat that stands last in a chain.
    pub(crate) fn last(&self, chain: usize) -> Option<usize> {
        Some(self.links[self.links[chain].former].seat).filter(|seat| *seat != NOBODY)
    }
}

#[cfg(test)]
#[cfg(not(realtime_loom))]
impl Chains {
    /// The seats of a chain in order, the same in both directions.
    pub(crate) fn seats(&self, chain: usize) -> Vec<usize> {
        let walk = |step: fn(&Link) -> usize| {
            let links =
                std::iter::successors(Some(step(&self.links[chain])), |at| Some(step(&self.links[*at])));
            links.take_while(|at| *at != chain).map(|at| self.links[at].seat).collect::<Vec<_>>()
        };
        let (forth, mut back) = (walk(|link| link.next), walk(|link| link.former));
        back.reverse();
        assert_eq!(forth, back);
        forth
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }
}

#[cfg(test)]
#[cfg(not(realtime_loom))]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_poured_in_order_and_left_from_anywhere() {
        let mut chains = Chains::default();
        let (home, other, due) = (chains.begin(), chains.begin(), chains.begin());
        let links: Vec<_> = (0..5).map(|seat| chains.link(seat, home)).collect();
        let foreign = chains.link(9, other);
        links.iter().for_each(|link| chains.attach(*link));
        chains.attach(foreign);
        chains.pour(home, due);
        chains.pour(home, due);
        chains.pour(other, due);
        assert_eq!((chains.seats(due), chains.first(home)), (vec![0, 1, 2, 3, 4, 9], None));

        chains.detach(links[2]);
        chains.detach(links[2]);
        chains.attach(links[4]);
        chains.attach(links[0]);
        assert_eq!((chains.seats(due), chains.seats(home)), (vec![1, 3, 9], vec![4, 0]));
        assert_eq!((chains.first(due), chains.last(due), chains.last(other)), (Some(1), Some(9), None));

        links.into_iter().chain([foreign, home, other, due]).for_each(|link| chains.remove(link));
        assert!(chains.is_empty());
    }
}
