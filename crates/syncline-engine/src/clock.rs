//! The one place that knows the time.

use futures_util::future::BoxFuture;
use std::time::Duration;

/// Tells the time and waits; handed in, so that a simulation can run in time of its own.
pub trait Clock: Send + Sync {
    /// Now, in microseconds since 1970.
    fn now(&self) -> i64;

    /// Waits.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;

    /// Waits until it is time to look again whether another process asked for something: about a second.
    fn beat(&self) -> BoxFuture<'_, ()> {
        self.sleep(Duration::from_secs(1))
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks for the time")]
    fn now(&self) -> i64 {
        jiff::Timestamp::now().as_microsecond()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
