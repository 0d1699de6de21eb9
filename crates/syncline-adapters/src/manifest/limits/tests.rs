//! How fast a system is asked, in a time of the tests' own.

use super::breaker::BreakerRule;
use super::pace::{Ask, Decision, Operation, Pace, Rules, Standing};
use super::said::Said;
use super::window::Rate;
use proptest::prelude::*;

const S: i64 = 1_000_000;

fn rate(calls: u32, seconds: i64) -> Rate {
    Rate { calls, per: seconds * S, is_fixed: false }
}

fn ask(operation: Operation, key: &str, rates: &[usize]) -> Ask {
    let rates = rates.iter().map(|index| (*index, 1)).collect();
    Ask { operation, key: key.to_owned(), rates }
}

fn pace(rates: Vec<Rate>, reserve: f64) -> Pace {
    Pace::new(Rules { rates, reserve, ..Rules::default() })
}

/// When a call that is wanted at `now` goes, if it waits as it is told.
fn goes_at(pace: &mut Pace, ask: Ask, mut now: i64) -> i64 {
    let ticket = pace.join(ask);
    loop {
        match pace.decide(ticket, now) {
            Decision::Go => return now,
            Decision::Wait(more) => now += more,
            Decision::Open(until) => now = until,
            Decision::Claim => unreachable!("nothing is shared"),
        }
    }
}

#[test]
fn calls_that_are_too_many_wait_for_their_window() {
    let mut moving = pace(vec![rate(3, 10)], 0.0);
    let at: Vec<i64> = (0..7)
        .map(|index| goes_at(&mut moving, ask(Operation::Fetch, "a", &[0]), index * S))
        .collect();
    assert_eq!(at, [0, S, 2 * S, 10 * S, 11 * S, 12 * S, 20 * S]);
    let fixed = Rate { is_fixed: true, ..rate(2, 10) };
    let mut fixed = pace(vec![fixed], 0.0);
    let (mut now, mut at) = (9 * S, Vec::new());
    for _ in 0..5 {
        now = goes_at(&mut fixed, ask(Operation::Fetch, "a", &[0]), now);
        at.push(now);
    }
    assert_eq!(at, [9 * S, 9 * S, 19 * S, 19 * S, 29 * S]);
    let mut both = pace(vec![rate(100, 60), rate(1, 60)], 0.0);
    assert_eq!(goes_at(&mut both, ask(Operation::Delete, "a", &[0, 1]), 0), 0);
    assert_eq!(goes_at(&mut both, ask(Operation::Delete, "a", &[0, 1]), 0), 60 * S);
    assert_eq!(
        goes_at(&mut both, ask(Operation::Fetch, "a", &[0]), 0),
        0,
        "that is a matter of deletions"
    );
}

#[test]
fn some_calls_are_kept_for_writes() {
    let mut pace = pace(vec![rate(10, 60)], 0.2);
    for _ in 0..8 {
        assert_eq!(goes_at(&mut pace, ask(Operation::Fetch, "a", &[0]), 0), 0);
    }
    let reading = pace.join(ask(Operation::Fetch, "a", &[0]));
    assert_eq!(pace.decide(reading, 0), Decision::Wait(60 * S));
    assert_eq!(goes_at(&mut pace, ask(Operation::Update, "a", &[0]), 0), 0);
    assert_eq!(goes_at(&mut pace, ask(Operation::Create, "a", &[0]), 0), 0);
    assert_eq!(goes_at(&mut pace, ask(Operation::Create, "a", &[0]), 0), 60 * S);
}

#[test]
fn writes_go_first_and_equals_take_turns() {
    let mut pace = pace(vec![rate(1, 1)], 0.0);
    assert_eq!(goes_at(&mut pace, ask(Operation::Fetch, "big", &[0]), 0), 0);
    let wanted = [
        (Operation::Fetch, "big"),
        (Operation::Fetch, "big"),
        (Operation::Fetch, "small"),
        (Operation::Fetch, "big"),
        (Operation::Update, "small"),
        (Operation::Fetch, "small"),
    ];
    let mut tickets: Vec<_> = wanted
        .iter()
        .map(|(operation, key)| (pace.join(ask(*operation, key, &[0])), *key))
        .collect();
    let mut order = Vec::new();
    for second in 1..=6 {
        let gone =
            tickets.iter().position(|(ticket, _)| pace.decide(*ticket, second * S) == Decision::Go);
        let (_, key) = tickets.remove(gone.unwrap());
        order.push(key);
    }
    assert_eq!(order, ["small", "big", "small", "big", "small", "big"]);
    assert!(tickets.is_empty());
}

#[test]
fn what_the_system_says_is_kept() {
    let mut slowed = pace(Vec::new(), 0.0);
    let said = |remaining: f64, seconds: i64| Said {
        remaining: Some(remaining),
        limit: Some(100.0),
        reset: Some(seconds * S),
        not_before: None,
    };
    let next = |pace: &mut Pace, now: i64| goes_at(pace, ask(Operation::Fetch, "a", &[]), now);
    assert_eq!(next(&mut slowed, 0), 0);
    slowed.heard(0, false, &said(60.0, 60));
    assert_eq!(next(&mut slowed, 0), 0, "there are enough");
    slowed.heard(0, false, &said(20.0, 60));
    assert_eq!(next(&mut slowed, 0), 1_500_000, "half as fast as what is left allows");
    slowed.heard(2 * S, false, &said(5.0, 62));
    assert_eq!(next(&mut slowed, 2 * S), 1_500_000 + 12 * S);
    slowed.heard(14 * S, false, &said(0.0, 62));
    assert_eq!(next(&mut slowed, 14 * S), 62 * S);
    slowed.heard(62 * S, false, &Said { not_before: Some(100 * S), ..Said::default() });
    assert_eq!(next(&mut slowed, 63 * S), 100 * S);
    assert_eq!(next(&mut slowed, 101 * S), 101 * S, "that is over");
}

#[test]
fn a_connection_that_fails_is_left_alone_and_tried_once() {
    let rules = Rules { breaker: BreakerRule { failures: 3, pause: 60 * S }, ..Rules::default() };
    let mut pace = Pace::new(rules);
    let nothing = Said::default();
    for _ in 0..3 {
        assert_eq!(goes_at(&mut pace, ask(Operation::Fetch, "a", &[]), 0), 0);
        pace.heard(0, true, &nothing);
    }
    let ticket = pace.join(ask(Operation::Fetch, "a", &[]));
    assert_eq!(pace.decide(ticket, S), Decision::Open(60 * S));
    assert_eq!(pace.decide(ticket, 60 * S), Decision::Go, "one is let through");
    let other = pace.join(ask(Operation::Update, "a", &[]));
    assert!(matches!(pace.decide(other, 61 * S), Decision::Open(_)), "and only one");
    pace.heard(62 * S, true, &nothing);
    assert_eq!(pace.decide(other, 63 * S), Decision::Open(122 * S));
    assert_eq!(pace.decide(other, 122 * S), Decision::Go);
    pace.heard(123 * S, false, &nothing);
    assert_eq!(goes_at(&mut pace, ask(Operation::Fetch, "a", &[]), 123 * S), 123 * S);
}

#[test]
fn a_heavy_call_takes_the_room_of_several() {
    for is_fixed in [false, true] {
        let mut pace = pace(vec![Rate { is_fixed, ..rate(5, 10) }], 0.0);
        let mut heavy = |weight: u32, now: i64| {
            let ask = Ask { rates: vec![(0, weight)], ..ask(Operation::Fetch, "a", &[]) };
            goes_at(&mut pace, ask, now)
        };
        assert_eq!([heavy(3, 0), heavy(2, 0), heavy(3, S)], [0, 0, 10 * S]);
    }
}

/// A call of one of several processes that share `standing`, if it waits as it is told.
fn shared_call(pace: &mut Pace, standing: &mut Standing, mut now: i64) -> i64 {
    let ticket = pace.join(ask(Operation::Fetch, "a", &[0]));
    loop {
        match pace.decide(ticket, now) {
            Decision::Go => return now,
            Decision::Wait(more) => now += more,
            Decision::Open(until) => now = until,
            Decision::Claim => pace.claim(ticket, standing, now),
        }
    }
}

#[test]
fn a_process_that_ends_leaves_its_calls_to_the_next() {
    let mut standing = Standing::default();
    let sharing = |process: u32| {
        let mut pace = pace(vec![rate(100, 60)], 0.0);
        pace.share(process);
        pace
    };
    let mut first = sharing(1);
    for _ in 0..42 {
        assert_eq!(shared_call(&mut first, &mut standing, 0), 0);
    }
    first.give_back(&mut standing);
    let mut second = sharing(2);
    for _ in 0..58 {
        assert_eq!(shared_call(&mut second, &mut standing, S), S);
    }
    assert_eq!(shared_call(&mut second, &mut standing, S), 60 * S);

    let told = Said { not_before: Some(200 * S), ..Said::default() };
    assert!(second.heard(61 * S, false, &told));
    second.tell(&mut standing);
    assert_eq!(shared_call(&mut sharing(3), &mut standing, 130 * S), 200 * S);
}

proptest! {
    /// However many processes ask whenever: together they make no more calls than the rate allows, moving or fixed, and
    /// they take slices of it.
    #[test]
    fn processes_keep_a_rate_together(
        calls in 1_u32..120,
        seconds in 1_i64..20,
        is_fixed in any::<bool>(),
        wanted in proptest::collection::vec((0_usize..3, 0_i64..300_000), 1..300),
    ) {
        let rate = Rate { is_fixed, ..rate(calls, seconds) };
        let mut standing = Standing::default();
        let mut paces: Vec<Pace> = (0..3).map(|process| {
            let mut pace = pace(vec![rate], 0.1);
            pace.share(process);
            pace
        }).collect();
        let (mut now, mut went) = (0, Vec::new());
        for (process, later) in wanted {
            // Through the file that they share.
            let text = serde_json::to_string(&standing).unwrap();
            standing = serde_json::from_str(&text).unwrap();
            now = shared_call(&mut paces[process], &mut standing, now + later);
            went.push(now);
        }
        // Two fixed windows can meet within one period.
        let most = if is_fixed { 2 * calls } else { calls };
        for (index, start) in went.iter().enumerate() {
            let within = went[index..].iter().take_while(|at| **at < start + seconds * S).count();
            prop_assert!(within <= most as usize, "{within} calls in {seconds} s");
        }
    }
}

proptest! {
    /// Whatever is wanted when: no window ever holds more calls than it may.
    #[test]
    fn no_window_holds_too_many(
        calls in 1_u32..6,
        seconds in 1_i64..20,
        wanted in proptest::collection::vec(0_i64..5_000_000, 1..60),
    ) {
        let mut pace = pace(vec![rate(calls, seconds)], 0.1);
        let mut now = 0;
        let mut went = Vec::new();
        for later in wanted {
            now += later;
            now = goes_at(&mut pace, ask(Operation::Fetch, "a", &[0]), now);
            went.push(now);
        }
        for (index, start) in went.iter().enumerate() {
            let within = went[index..].iter().take_while(|at| **at < start + seconds * S).count();
            prop_assert!(within <= calls as usize, "{within} calls in {seconds} s");
        }
    }
}

#[test]
fn a_policy_holds_for_the_requests_that_it_describes() {
    use super::super::load::Node;
    use super::budget::Budget;
    use super::limiter::Call;
    use serde_json::json;
    let matcher = json!({
        "type": "HttpRequestRegexMatcher", "method": "get", "url_base": "https://x.org/",
        "url_path_pattern": "^/v1/", "params": {"kind": 1}, "headers": {"X-Plan": "free"},
        "weight": "{{ config['weight'] }}",
    });
    let policy = json!({
        "type": "FixedWindowCallRatePolicy", "call_limit": 5, "period": "PT1S", "matchers": [matcher],
    });
    let declared = json!({"type": "HTTPAPIBudget", "policies": [policy]});
    let node = Node::new(declared.as_object().unwrap(), "api_budget".to_owned());
    let load = |weight: u32| Budget::load(Some(&node), &json!({ "weight": weight }));
    let refused = load(6).unwrap_err().message;
    assert!(refused.contains("counts as 6 calls, which is more than the 5"), "{refused}");
    assert!(load(0).is_err());
    let budget = load(3).unwrap();
    let cases = [
        ("https://x.org/v1/rows?kind=1", json!({"x-plan": "free"}), true),
        ("https://x.org/v1/rows?kind=1", json!({"x-plan": "paid"}), false),
        ("https://x.org/v1/rows?kind=1", json!({}), false),
        ("https://x.org/v1/rows?kind=2", json!({"x-plan": "free"}), false),
        ("https://x.org/v2/rows?kind=1", json!({"x-plan": "free"}), false),
        ("https://y.org/v1/rows?kind=1", json!({"x-plan": "free"}), false),
    ];
    for (url, headers, counts) in cases {
        let call = Call {
            operation: Operation::Fetch,
            stream: "rows",
            method: &reqwest::Method::GET,
            url: &url.parse().unwrap(),
            headers: headers.as_object().unwrap(),
        };
        let expected = if counts { vec![(0, 3)] } else { vec![] };
        assert_eq!(budget.counts(&call), expected, "{url} {headers}");
    }
}
