//! A connection that the host gives away, or a stream of one.

use http::Extensions;
use hyper::upgrade::OnUpgrade;
use tokio::io::DuplexStream;

/// Where an upgraded connection comes from.
#[derive(Debug)]
pub(crate) enum Upgrade {
    /// From the host, once the head of the answer is out.
    Host(OnUpgrade),
    /// From a test that has no host.
    Test(DuplexStream),
}

/// A connection that a test puts into a request's extensions. They must be `Clone`, a connection is not.
#[derive(Debug, Clone)]
pub(crate) struct TestUpgrade(pub(crate) std::sync::Arc<std::sync::Mutex<Option<DuplexStream>>>);

impl Upgrade {
    /// Takes it out of a request, if it is there. hyper puts it in even where the host has upgrades switched off:
    /// then the wait for the connection ends with an error.
    pub(crate) fn take(extensions: &mut Extensions) -> Option<Self> {
        if let Some(TestUpgrade(test)) = extensions.remove::<TestUpgrade>() {
            return test.lock().ok()?.take().map(Self::Test);
        }
        extensions.remove::<OnUpgrade>().map(Self::Host)
    }
}
