//! Virtual time, its text, and crashes.

use compact_str::CompactString;
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

/// A point in time as text, in UTC. It is made for every record of every page, so it goes without the machinery of
/// formats.
pub(crate) fn instant(us: i64) -> CompactString {
    // Whole microseconds as text that sorts: the engine reads numbers of that size as milliseconds.
    let (seconds, rest) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
    let days = seconds.div_euclid(86_400);
    let of_day = seconds.rem_euclid(86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let parts = [
        (0..4, year),
        (5..7, month),
        (8..10, day),
        (11..13, of_day / 3600),
        (14..16, of_day / 60 % 60),
        (17..19, of_day % 60),
        (20..26, rest),
    ];
    for (place, number) in parts {
        let mut rest = number.unsigned_abs();
        for digit in text[place].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
    }
    CompactString::from_utf8_lossy(&text)
}

/// The date that is so many days after 1 January 1970.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1)
}
