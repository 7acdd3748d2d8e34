//! What must hold of `/events` in any host, shown over a real port by foreign clients.

use std::future::Future;
use std::pin::Pin;

use futures_util::StreamExt;
use realtime_core::{Event, Log};
use realtime_examples::Result;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

/// The signal to stop.
pub(crate) type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves by `serve`, which is to return once the signal has come and the readers have gone.
pub(crate) async fn holds<F, Fut>(serve: F) -> Result
where
    F: FnOnce(TcpListener, Log, Stopped) -> Fut,
    Fut: Future<Output = Result> + Send + 'static,
{
    let log = Log::new();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("127.0.0.1:{}/events", listener.local_addr()?.port());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, log.clone(), Box::pin(async { _ = stopped.await })));
    log.publish(Event::json("tick", &1)?)?;

    let page = reqwest::get(format!("http://{url}")).await?.text().await?;
    assert!(page.contains(r#""event":"tick","data":1"#), "{page}");
    assert_eq!(reqwest::get(format!("http://{url}/other")).await?.status(), 404);

    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{url}")).await?;
    assert_eq!(socket.next().await.ok_or("the last five come first")??, Message::text("1"));
    let sse = reqwest::Client::new().get(format!("http://{url}")).header("accept", "text/event-stream");
    let sse = sse.send().await?;
    let long_poll = reqwest::Client::new().get(format!("http://{url}?offset={}", log.tail()));
    let long_poll = tokio::spawn(long_poll.header("prefer", "wait=20").send());
    log.publish(Event::json("tick", &2)?)?;
    assert!(long_poll.await??.text().await?.contains(r#""data":2"#));
    assert_eq!(socket.next().await.ok_or("it lives")??, Message::text("2"));

    stop.send(()).map_err(|()| "the server has gone")?;
    match socket.next().await.ok_or("a stop is said")?? {
        Message::Close(Some(close)) => {
            assert_eq!((u16::from(close.code), close.reason.as_str()), (1001, &*log.tail().to_string()));
        }
        other => panic!("{other:?}"),
    }
    assert!(socket.next().await.is_none_or(|after| after.is_err()));
    let sse = sse.text().await?;
    assert!(sse.contains("data: 2\n") && sse.contains(r#"data: {"reason":"drain","#), "{sse}");
    server.await?
}
