//! Who holds a lease, and whether that worker is still alive.

use crate::execution::Worker;

/// How old a heartbeat from another machine may be, in microseconds, before its worker counts as dead.
pub(crate) const HEARTBEAT_AGE_MAX: i64 = 60_000_000;

/// What executions that were interrupted are said to have ended of.
pub(crate) const INTERRUPTED: &str = "interrupted: its process ended before it did";

impl Worker {
    /// This process.
    pub fn current() -> Self {
        let pid = std::process::id();
        Self { host: host(), pid, started: started(pid).unwrap_or_default() }
    }

    /// Whether the worker is alive, as far as can be told at `now`, when its last sign of life was at
    /// `heartbeat` (both in microseconds since 1970).
    ///
    /// On this machine the process itself is looked for. A worker elsewhere counts as alive while its
    /// heartbeat is younger than a minute; if it was only slow, it finds itself fenced.
    pub(crate) fn is_alive(&self, heartbeat: i64, now: i64) -> bool {
        if self.started != 0 && self.host == host() {
            return started(self.pid) == Some(self.started);
        }
        now.saturating_sub(heartbeat) < HEARTBEAT_AGE_MAX
    }

    /// Names the worker to people, with how long it has been at it.
    pub(crate) fn describe(&self, since: i64, now: i64) -> String {
        let place = if self.host == host() { "" } else { " on another machine" };
        let seconds = now.saturating_sub(since).max(0) / 1_000_000;
        format!("process {}{place}, for {seconds} s", self.pid)
    }
}

/// Names the boot of the machine, and the namespace in which process ids mean something.
fn host() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), namespace.display())
}

/// When a process started, in clock ticks since the machine did; `None` when there is no such process.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program comes second, in parentheses, and may itself hold spaces and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    // A zombie has let go of its files: whatever it held, it no longer works.
    (!matches!(state, "Z" | "X")).then(|| fields.nth(18))??.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_one_that_reuses_its_number_is_not_it() {
        let me = Worker::current();
        assert!(me.started > 0 && me.is_alive(0, i64::MAX));
        assert!(!Worker { started: me.started + 1, ..me.clone() }.is_alive(0, 1));
        assert!(!Worker { pid: u32::MAX, ..me.clone() }.is_alive(0, 1));
        let elsewhere = Worker { host: "other".into(), ..me };
        assert!(elsewhere.is_alive(0, HEARTBEAT_AGE_MAX - 1));
        assert!(!elsewhere.is_alive(0, HEARTBEAT_AGE_MAX));
    }
}
