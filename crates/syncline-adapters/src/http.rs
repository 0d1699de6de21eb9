//! The HTTP client that all adapters share.

use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// A client in the making, with the time-outs and the name that all requests have.
pub(crate) fn client() -> reqwest::ClientBuilder {
    // Another part of the program may have chosen the provider already.
    let _already_chosen = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
}
