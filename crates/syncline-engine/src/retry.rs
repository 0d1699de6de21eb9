//! How long to wait before a failed call is tried again.

use std::time::Duration;
use syncline_core::config::model::Retry;

/// Returns how long to wait after failed attempt number `attempt`, counted from 1; `None` when no attempt
/// is left, since `max_attempts` counts the retries after the first try.
///
/// Starts at `delay_ms`, grows by `multiplier` each time, stays at `delay_ms_max`; then `jitter`, from -1 to
/// 1, stretches or shrinks it by the policy's share. A wait that the system asked for wins. Equal input gives
/// an equal wait.
pub fn retry_delay(
    policy: &Retry,
    attempt: u32,
    jitter: f64,
    asked_ms: Option<u64>,
) -> Option<Duration> {
    if attempt > policy.max_attempts {
        return None;
    }
    if let Some(asked) = asked_ms {
        return Some(Duration::from_millis(asked));
    }
    let growth = policy.multiplier.powi(i32::try_from(attempt).unwrap_or(i32::MAX) - 1);
    let delay = (policy.delay_ms as f64 * growth).min(policy.delay_ms_max as f64);
    let stretched = delay * (1.0 + policy.jitter * jitter.clamp(-1.0, 1.0));
    Some(Duration::from_millis(stretched.max(0.0).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_end_after_the_last_attempt() {
        let policy = Retry { max_attempts: 7, ..Retry::default() };
        let waits: Vec<_> = (1..=8).map(|n| retry_delay(&policy, n, 0.0, None)).collect();
        let ms = |ms| Some(Duration::from_millis(ms));
        let expected =
            [ms(1000), ms(2000), ms(4000), ms(8000), ms(16_000), ms(30_000), ms(30_000), None];
        assert_eq!(waits, expected);
    }

    #[test]
    fn jitter_stretches_by_a_fifth_at_most_and_a_wait_asked_for_wins() {
        let policy = Retry::default();
        let wait = |jitter| retry_delay(&policy, 1, jitter, None).unwrap().as_millis();
        assert_eq!((wait(-5.0), wait(-1.0), wait(1.0)), (800, 800, 1200));
        assert_eq!(retry_delay(&policy, 3, 1.0, Some(7)), Some(Duration::from_millis(7)));
        assert_eq!(retry_delay(&policy, 4, 1.0, Some(7)), None);
    }
}
