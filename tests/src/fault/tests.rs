use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpListener;

use super::*;
use crate::dial::Dialer;

const TEXT: &[u8] = b"0123456789";

#[tokio::test(start_paused = true)]
async fn cut_lets_exactly_n_bytes_through() {
    for cut in [Cut::Fin, Cut::Abrupt] {
        for n in 0..=TEXT.len() {
            let (near, mut far) = duplex(64);
            let (mut faulty, link) = Faulty::new(near, Plan::default().cut(Way::Down, n as u64, cut));
            far.write_all(TEXT).await.unwrap();
            let mut got = Vec::new();
            let end = faulty.read_to_end(&mut got).await;
            assert_eq!(got, &TEXT[..n]);
            assert_eq!(end.is_err(), cut == Cut::Abrupt);
            assert_eq!((link.bytes(Way::Down), link.fate()), (n as u64, Some(cut)));
            assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "the server sees the end too");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cut_upwards_lets_exactly_n_bytes_through() {
    for n in 0..TEXT.len() {
        let (near, mut far) = duplex(64);
        let (mut faulty, link) = Faulty::new(near, Plan::default().cut(Way::Up, n as u64, Cut::Fin));
        assert!(faulty.write_all(TEXT).await.is_err());
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert_eq!((got.as_slice(), link.bytes(Way::Up)), (&TEXT[..n], n as u64));
    }
}

#[tokio::test(start_paused = true)]
async fn stall_holds_until_released() {
    let (near, mut far) = duplex(64);
    let (mut faulty, link) = Faulty::new(near, Plan::default().stall(Way::Down, 4));
    far.write_all(TEXT).await.unwrap();
    let mut got = [0; 10];
    assert_eq!(faulty.read(&mut got).await.unwrap(), 4);
    let wait = std::time::Duration::from_secs(3600);
    assert!(tokio::time::timeout(wait, faulty.read(&mut got)).await.is_err());
    let reading = tokio::spawn(async move { faulty.read(&mut got).await.map(|n| got[..n].to_vec()) });
    tokio::task::yield_now().await;
    link.release(Way::Down);
    assert_eq!(reading.await.unwrap().unwrap(), &TEXT[4..]);
}

#[tokio::test(start_paused = true)]
async fn a_pace_rests_after_each_burst_and_loses_nothing() {
    let per = Duration::from_secs(1);
    let (near, mut far) = duplex(64);
    let (mut faulty, _link) =
        Faulty::new(near, Plan::default().pace(Way::Down, 4, per).pace(Way::Up, 3, per));
    let begun = tokio::time::Instant::now();
    far.write_all(TEXT).await.unwrap();
    let mut got = [0; 10];
    let mut came = Vec::new();
    for _ in 0..3 {
        let read = faulty.read(&mut got).await.unwrap();
        came.push((read, begun.elapsed().as_secs()));
    }
    assert_eq!(came, [(4, 0), (4, 1), (2, 2)]);
    faulty.write_all(TEXT).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 5, "three rests lie within ten bytes");
    far.read_exact(&mut got).await.unwrap();
    assert_eq!(got, TEXT);
}

#[tokio::test(start_paused = true)]
async fn cut_by_hand_wakes_a_parked_reader_and_needs_no_reader() {
    let (near, mut far) = duplex(64);
    let (mut faulty, link) = Faulty::new(near, Plan::default());
    let reading = tokio::spawn(async move { faulty.read(&mut [0; 8]).await });
    tokio::task::yield_now().await;
    link.cut(Cut::Abrupt);
    assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionReset);

    let (near, mut other) = duplex(64);
    let (_unread, link) = Faulty::new(near, Plan::default());
    link.cut(Cut::Fin);
    assert_eq!(other.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn chunks_fall_alike_for_a_seed_and_lose_nothing() {
    async fn sizes(chunks: Chunks) -> Vec<usize> {
        let (near, mut far) = duplex(64);
        let (mut faulty, _link) = Faulty::new(near, Plan::default().chunk(Way::Down, chunks));
        far.write_all(TEXT).await.unwrap();
        drop(far);
        let (mut sizes, mut all) = (Vec::new(), Vec::new());
        let mut piece = [0; 64];
        while let n @ 1.. = faulty.read(&mut piece).await.unwrap() {
            sizes.push(n);
            all.extend_from_slice(&piece[..n]);
        }
        assert_eq!(all, TEXT);
        sizes
    }
    assert_eq!(sizes(Chunks::Of(1)).await, [1; 10]);
    assert_eq!(sizes(Chunks::AsIs).await, [10]);
    let random = Chunks::Random { seed: 7, max: 4 };
    assert_eq!(sizes(random.clone()).await, sizes(random).await);
}

#[tokio::test(start_paused = true)]
async fn chunks_upwards_arrive_one_by_one() {
    let (near, mut far) = duplex(64);
    let (mut faulty, _link) = Faulty::new(near, Plan::default().chunk(Way::Up, Chunks::Of(1)));
    let reading = tokio::spawn(async move {
        let (mut sizes, mut piece) = (Vec::new(), [0; 64]);
        while let n @ 1.. = far.read(&mut piece).await.unwrap() {
            sizes.push(n);
        }
        sizes
    });
    tokio::task::yield_now().await;
    faulty.write_all(TEXT).await.unwrap();
    drop(faulty);
    assert_eq!(reading.await.unwrap(), [1; 10]);
}

#[tokio::test]
async fn proxy_cuts_real_sockets_at_the_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            tokio::spawn(async move {
                peer.write_all(TEXT).await.unwrap();
                let _ = peer.read(&mut [0; 8]).await; // stays until the other end goes
            });
        }
    });
    let proxy = FaultProxy::bind(target, |n| match n {
        0 => Plan::default().cut(Way::Down, 3, Cut::Fin),
        1 => Plan::default().cut(Way::Down, 7, Cut::Abrupt),
        _ => Plan::default(),
    });
    let proxy = proxy.await.unwrap();
    let mut got = Vec::new();
    assert!(proxy.dialer().dial().await.unwrap().read_to_end(&mut got).await.is_ok());
    assert_eq!(got, &TEXT[..3]);
    got.clear();
    let end = proxy.dialer().dial().await.unwrap().read_to_end(&mut got).await;
    assert_eq!((got.as_slice(), end.unwrap_err().kind()), (&TEXT[..7], io::ErrorKind::ConnectionReset));
    let mut third = Dialer::tcp(proxy.addr()).dial().await.unwrap();
    let mut all = [0; 10];
    third.read_exact(&mut all).await.unwrap();
    assert_eq!((&all[..], proxy.links().len()), (TEXT, 3));
}
