//! Virtual time, and crashes.

use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use syncline_engine::Clock;
use tokio::sync::Notify;

/// A clock that jumps to the end of every wait.
#[derive(Debug)]
pub struct VirtualClock(AtomicI64);

impl VirtualClock {
    /// A clock that stands at the end of November 2025.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_764_000_000_000_000)))
    }

    /// Lets time pass, in microseconds.
    pub fn pass(&self, us: i64) {
        self.0.fetch_add(us, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.pass(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4));
        Box::pin(std::future::ready(()))
    }

    fn beat(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// Where a process dies: at the so-manieth time that it writes to its store or calls a remote.
#[derive(Debug, Default)]
pub struct Crash {
    left: AtomicU64,
    hit: Notify,
    points: AtomicU64,
}

impl Crash {
    /// Dies after so many more points; 0 is never.
    pub fn arm(&self, points: u64) {
        self.left.store(points, Ordering::Relaxed);
    }

    /// How many points were passed.
    pub fn points(&self) -> u64 {
        self.points.load(Ordering::Relaxed)
    }

    /// A point at which the process may die: it then never comes back from here.
    pub async fn point(&self) {
        self.points.fetch_add(1, Ordering::Relaxed);
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return;
        }
        self.left.store(left - 1, Ordering::Relaxed);
        if left == 1 {
            self.hit.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// Comes back when the process has died.
    pub async fn died(&self) {
        self.hit.notified().await;
    }
}
