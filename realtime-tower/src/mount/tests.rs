//! What a mount counts, whom it tells, and what a permit holds.

use super::*;
use crate::proxies::Peer;

#[test]
fn a_place_comes_back_on_every_way_out() {
    let mount = Mount::new(Config { readers_max: 2, ..Config::default() }, &["a"]);
    let first = mount.admit(0).unwrap();
    let second = mount.admit(0).unwrap();
    assert_eq!(mount.admit(0).err(), Some(Away::Full));
    assert_eq!(mount.stats().of("a").map(|a| a.connections), Some(2));
    drop(first);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _held = second;
        panic!("a handler");
    }));
    assert!(panicked.is_err());
    assert_eq!((mount.readers(), mount.stats().of("a").map(|a| a.connections)), (0, Some(0)));
}

#[test]
fn whoever_is_there_is_told_and_nobody_comes_after() {
    let mount = Mount::new(Config::default(), &["a"]);
    let permit = mount.admit(0).unwrap();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(permit.poll_told(&mut cx).is_pending());
    mount.close().into_iter().for_each(Told::tell);
    assert!(permit.poll_told(&mut cx).is_ready());
    assert_eq!(mount.admit(0).err(), Some(Away::Draining));
}

#[test]
fn a_drained_crowd_is_told_to_come_back_over_as_long_as_it_needs() {
    let few = std::num::NonZeroU32::new(10).unwrap();
    let config = Config { returns_per_second: few, ..Config::default() };
    let (retry, second) = (config.retry, Duration::from_secs(1));
    let furthest = |readers: usize, is_drained: bool| {
        let mount = Mount::new(config.clone(), &["a"]);
        let _permits: Vec<_> = (0..readers).map(|_| mount.admit(0).unwrap()).collect();
        if is_drained {
            mount.close();
            mount.close(); // whoever calls it again sends nobody else away
        }
        (0..1_000).map(|_| mount.retry()).max().unwrap()
    };
    assert_eq!([furthest(200, false), furthest(9, true)], [retry; 2]);
    assert!((retry + second * 19..=retry + second * 20).contains(&furthest(200, true)));
    assert!((retry + second * 28..=retry + second * 30).contains(&furthest(2_000, true)));
}

fn parts(address: Option<[u8; 4]>) -> Parts {
    let mut request = http::Request::new(());
    if let Some(address) = address {
        request.extensions_mut().insert(Peer((address, 40_000).into()));
    }
    request.into_parts().0
}

#[test]
fn a_reader_is_counted_among_those_of_its_address_and_of_its_principal() {
    let max = Some(1);
    let config = Config { readers_per_address_max: max, readers_per_principal_max: max, ..Config::default() };
    let mount = Mount::new(config, &["a"]);
    let [mut first, mut second] = [(); 2].map(|()| mount.admit(0).unwrap());
    let (here, there) = (parts(Some([192, 0, 2, 1])), parts(Some([192, 0, 2, 2])));
    assert_eq!(first.count_address(&here), Ok(()));
    assert_eq!([&here, &there].map(|from| second.count_address(from)), [Err(Away::Crowded), Ok(())]);

    let (ann, ben) = (|| Principal::new("ann"), || Principal::new("ben"));
    assert_eq!([ann(), ann()].map(|who| first.count_principal(who)), [Ok(()); 2], "not beside itself");
    assert_eq!([ann(), ben()].map(|who| second.count_principal(who)), [Err(Away::Crowded), Ok(())]);
    assert_eq!(first.count_principal(ben()), Err(Away::Crowded), "and is Ann no more");
    assert_eq!(second.count_principal(ann()), Ok(()));

    drop((first, second));
    let mut third = mount.admit(0).unwrap();
    assert_eq!((third.count_address(&here), third.count_principal(ann())), (Ok(()), Ok(())));
}

#[test]
fn whoever_is_sent_away_is_told_why_and_that_its_cursor_holds() {
    let words = [Away::Full, Away::Crowded, Away::Draining, Away::Source].map(Away::detail);
    let reasons = words.map(|words| words.strip_suffix("; come back with the same cursor").unwrap());
    let different: std::collections::BTreeSet<_> = reasons.into_iter().collect();
    assert_eq!(different.len(), words.len());
}

#[test]
fn where_there_is_no_bound_nobody_is_counted() {
    let mut permit = Mount::new(Config::default(), &["a"]).admit(0).unwrap();
    assert_eq!(permit.count_address(&parts(Some([192, 0, 2, 1]))), Ok(()));
    assert_eq!(permit.count_principal(Principal::new("ann")), Ok(()));
    assert!(permit.claims.is_none());
}

#[test]
fn that_the_host_tells_no_addresses_is_said_once_and_keeps_nobody_out() {
    let said = Arc::<AtomicUsize>::default();
    let count = said.clone();
    let lines = tracing_subscriber::fmt().with_writer(move || {
        count.fetch_add(1, Ordering::Relaxed);
        std::io::sink()
    });
    let config = Config { readers_per_address_max: Some(0), ..Config::default() };
    let mount = Mount::new(config, &["a"]);
    tracing::subscriber::with_default(lines.finish(), || {
        for _ in 0..3 {
            assert_eq!(mount.admit(0).unwrap().count_address(&parts(None)), Ok(()));
            assert_eq!(said.load(Ordering::Relaxed), 1);
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_reader_is_held_to_its_session_and_a_drain_is_no_end_of_it() {
    const MINUTE: Duration = Duration::from_secs(60);
    let mount = Mount::new(Config::default(), &["a"]);
    let (session, revoke) = Session::revocable();
    let timed = || Session::expires_in(MINUTE);
    let sessions = [None, Some(session.clone()), Some(timed()), Some(session.and(timed()))];
    let mut permits = sessions.map(|session| {
        let mut permit = mount.admit(0).unwrap();
        session.into_iter().for_each(|session| permit.begin(session));
        permit
    });
    let leashes = permits.each_ref().map(|permit| permit.leash().map(|leash| leash.ends.is_some()));
    assert_eq!(leashes, [None, Some(false), Some(true), Some(true)]);
    assert_eq!(permits.each_ref().map(Permit::is_limited), [false, true, true, true]);
    let expired = |permits: &mut [Permit; 4]| {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let expired = permits.each_ref().map(Permit::is_expired);
        assert_eq!(permits.each_mut().map(|permit| permit.poll_expired(&mut cx)), expired);
        expired
    };
    assert_eq!(expired(&mut permits), [false; 4]);
    revoke.revoke();
    assert_eq!(expired(&mut permits), [false, true, false, true]);
    assert_eq!(permits.each_ref().map(Permit::is_told), [false; 4], "the mount does not drain");
    let told = mount.close();
    assert_eq!(permits.each_ref().map(Permit::is_told), [false, true, false, true], "and tells none yet");
    told.into_iter().for_each(Told::tell);
    assert_eq!(permits.each_ref().map(Permit::is_told), [true; 4]);
    assert_eq!(expired(&mut permits), [false, true, false, true]);
    timer::pause(MINUTE).await;
    assert_eq!(expired(&mut permits), [false, true, true, true]);
}

#[tokio::test(start_paused = true)]
async fn a_permit_holds_what_its_reader_is_written_by() {
    use tokio::io::AsyncWriteExt as _;
    let config = Config { retry: Duration::from_secs(7), ..Config::default() };
    let mut permit = Mount::new(config, &["a"]).admit(0).unwrap();
    assert_eq!((permit.retry(), permit.config().retry), (Duration::from_secs(7), Duration::from_secs(7)));

    let (signed, place) = (crate::fixture::signed(), crate::fixture::at(12));
    assert_eq!(permit.cursors().text(place).as_bytes(), place.to_string().as_bytes());
    permit.write_cursors(crate::fixture::signed());
    assert_eq!(permit.cursors().text(place).as_bytes(), signed.text(place).as_bytes());

    let (ours, _theirs) = tokio::io::duplex(1);
    let mut ours = crate::WriteDeadline::new(ours, Duration::from_secs(10));
    permit.watch(Some(ours.stalled()));
    assert!(!permit.is_stalled());
    ours.write_all(b"two").await.unwrap_err();
    assert!(permit.is_stalled());
}
