//! No proxy outlives the test that started it, whether it ends well, panics, or is killed.

use std::fs;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use realtime_tests::proxy::{Conf, Kind, free_addr};

use crate::client::PATIENCE;

#[test]
fn a_proxy_ends_with_its_test() {
    for kind in Kind::ALL {
        let nobody = free_addr();
        let proxy = Conf::shipped(kind).start(nobody);
        let (addr, dir, group) = (proxy.addr(), proxy.dir().to_owned(), proxy.group());
        assert!(members(group) >= 3, "{kind:?}: the warden, a master and a worker");
        let panics = catch_unwind(AssertUnwindSafe(move || {
            let _lives_here = proxy;
            panic!("on purpose");
        }));
        assert!(panics.is_err());
        let begun = Instant::now();
        // A process of many threads is dead a moment before it has let go of its socket.
        while members(group) > 0 || TcpStream::connect(addr).is_ok() {
            assert!(begun.elapsed() < PATIENCE, "{kind:?}: one of group {group} lives on");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!dir.exists(), "{kind:?}");
    }
}

/// How many processes of a group are there and no mere entries of the dead.
fn members(group: u32) -> usize {
    let stat = |pid: fs::DirEntry| fs::read_to_string(pid.path().join("stat")).ok();
    let is_of = |stat: &String| {
        // "pid (name) state parent group ..."; a name may hold anything.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let fields: Vec<&str> = after.split_whitespace().collect();
        fields.first() != Some(&"Z") && fields.get(2) == Some(&group.to_string().as_str())
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(stat).filter(is_of).count()
}
