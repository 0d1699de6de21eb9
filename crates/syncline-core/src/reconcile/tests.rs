//! Tables of what the function answers, by the hazard that each row is about, and the laws it keeps.

use super::*;
use crate::config::model::{ConflictStrategy, FieldRuleSpec, FieldType};
use crate::problem::ConfigPath;
use crate::value::Value;
use proptest::prelude::*;

const BOTH: Flow = Flow { takes: true, gives: true };

fn text(value: &str) -> Cell {
    Some(Value::text(value))
}

fn stamp(at: i64) -> Stamp {
    Stamp::here(at, 0)
}

fn same(value: &Cell) -> Cell {
    value.clone()
}

/// A record that keeps letters small.
fn lowered(value: &Cell) -> Cell {
    match value {
        Some(Value::Text(value)) => text(&value.to_lowercase()),
        other => other.clone(),
    }
}

fn unit<'a>(shard: &'a Cell, remote: &'a Cell, base: &'a Base) -> Unit<'a> {
    let (shard_stamp, remote_stamp) = (stamp(10), stamp(20));
    Unit { shard, remote, base, sent: &[], shard_stamp, remote_stamp }
}

#[test]
fn only_what_left_the_base_has_changed() {
    // Hazards 1 (echo), 2 (nobody's name decides), 41 (conflict is both sides off the base) and 43 (same change).
    let met = Base::agreed(text("a"), text("a"));
    let cases: [(&str, &str, Option<&str>, Base, bool); 5] = [
        ("a", "a", None, met.clone(), false),
        ("b", "a", None, met.clone(), false),
        ("a", "b", Some("b"), Base::agreed(text("b"), text("b")), false),
        ("b", "b", None, Base::agreed(text("b"), text("b")), false),
        ("b", "c", Some("c"), Base::agreed(text("c"), text("c")), true),
    ];
    for (shard, remote, becomes, base, disputed) in cases {
        let (shard, remote) = (text(shard), text(remote));
        let found = reconcile(&unit(&shard, &remote, &met), &Rule::Newest, BOTH, &mut same);
        assert_eq!(
            found.shard,
            becomes.map(|value| Some(Value::text(value))),
            "{shard:?} {remote:?}"
        );
        assert_eq!((found.base, found.dispute.is_some()), (base, disputed), "{shard:?} {remote:?}");
    }
}

#[test]
fn a_record_that_normalises_neither_echoes_nor_degrades_the_shard() {
    // Hazards 4 and 5.
    let base = Base::agreed(text("Ann"), text("ann"));
    let found =
        reconcile(&unit(&text("Ann"), &text("ann"), &base), &Rule::Newest, BOTH, &mut lowered);
    assert_eq!(found, Reconciled { shard: None, base: base.clone(), dispute: None });
    assert_eq!(owed(&text("Ann"), &text("ann"), &base, BOTH, &mut lowered), Owed::Nothing);
    // The shard was edited to what would be read back as what is there already.
    assert_eq!(owed(&text("ANN"), &text("ann"), &base, BOTH, &mut lowered), Owed::Same);
    assert_eq!(owed(&text("Bob"), &text("ann"), &base, BOTH, &mut lowered), Owed::Value);
    // Both sides made the same change: the shard keeps the richer form.
    let found =
        reconcile(&unit(&text("Bob"), &text("bob"), &base), &Rule::Newest, BOTH, &mut lowered);
    assert_eq!((found.shard, found.base), (None, Base::agreed(text("Bob"), text("bob"))));
}

#[test]
fn what_a_system_makes_of_a_value_is_told_from_a_persons_edit() {
    // Hazards 4 and 5: sent, got, what was held before, and whether the system made the one of the other.
    let cases: [(&str, &str, Option<&str>, bool); 17] = [
        ("Ann Lee", "ann lee", Some("bob"), true),
        ("Ann Lee", "ANN LEE", Some("BOB"), true),
        ("ann lee", "Ann Lee", Some("Bob Ray"), true),
        (" Ann  Lee ", "Ann Lee", Some("Bob"), true),
        ("+49 (0) 30-12", "4903012", Some("55"), true),
        ("4903012", "490-30-12", Some("55-1"), true),
        ("Ann Lee of Bonn", "Ann Lee of", Some("Bob"), true),
        // What was held before shows that the system does no such thing.
        ("Ann Lee", "ANN LEE", Some("Bob"), false),
        ("Ann Lee", "ann lee", Some("Bob"), false),
        ("Ann Lee", "ANN LEE", Some("bob"), false),
        ("4903012", "490-30-12", Some("55"), false),
        ("Ann Lee of Bonn", "Ann Lee of", Some("Bob Ray of Kiel"), false),
        // A short text is a person's.
        ("Ann Lee", "Ann", Some("Bob"), false),
        ("Ann Lee", "", Some("Bob"), false),
        ("Ann", "Bob", None, false),
        // Nothing tells: the value that says more is kept.
        ("Ann", "ann", None, true),
        ("Ann", "ann", Some("bob"), true),
    ];
    for (sent, got, held, is_form) in cases {
        let held = held.map(Value::text);
        let found = is_form_of(&text(sent), &text(got), &held);
        assert_eq!(found, is_form, "{sent:?} {got:?} {held:?}");
    }
    let number = |n: f64| Some(Value::Float(n));
    for (sent, got, held, is_form) in [
        (12.345, 12.35, Some(7.5), true),
        (12.345, 12.0, None, true),
        (12.345, 12.35, Some(7.125), false),
        (100.0, 101.0, Some(7.0), false),
        (12.345, 13.5, None, false),
    ] {
        let found = is_form_of(&number(sent), &number(got), &held.and_then(number));
        assert_eq!(found, is_form, "{sent} {got} {held:?}");
    }
}

#[test]
fn what_was_written_and_not_seen_is_ours_in_whatever_form() {
    // Hazards 1 and 5: the write was done, its record was not shown, and could not be read then.
    let base = Base::written(text("Ann"), text("Ann"));
    for (shard, remote, becomes, next, disputed) in [
        ("Ann", "Ann", None, Base::agreed(text("Ann"), text("Ann")), false),
        ("Ann", "ann", None, Base::agreed(text("Ann"), text("ann")), false),
        ("Bob", "ann", None, Base::agreed(text("Ann"), text("ann")), false),
        ("Ann", "Eve", Some("Eve"), Base::agreed(text("Eve"), text("Eve")), false),
        ("Bob", "Eve", Some("Eve"), Base::agreed(text("Eve"), text("Eve")), true),
    ] {
        let (shard, remote) = (text(shard), text(remote));
        let found = reconcile(&unit(&shard, &remote, &base), &Rule::Newest, BOTH, &mut same);
        assert_eq!(
            found.shard,
            becomes.map(|value| Some(Value::text(value))),
            "{shard:?} {remote:?}"
        );
        assert_eq!((found.base, found.dispute.is_some()), (next, disputed), "{shard:?} {remote:?}");
    }
}

#[test]
fn a_persons_change_of_case_is_no_late_echo() {
    // Hazards 3 and 4: the reply to "Ann" was lost, and a person writes it in capitals.
    let sent = [text("Ann")];
    for (held, shard_was, remote, becomes) in [
        ("Old", "Old", "ANN", Some("ANN")),
        ("old", "Old", "ann", None),
        ("OLD", "Old", "ANN", None),
    ] {
        let base = Base::agreed(text(shard_was), text(held));
        let (shard, remote) = (text("Ann"), text(remote));
        let unit = Unit { sent: &sent, ..unit(&shard, &remote, &base) };
        let found = reconcile(&unit, &Rule::Newest, BOTH, &mut same);
        assert_eq!(found.shard, becomes.map(|value| Some(Value::text(value))), "{held} {remote:?}");
        assert_eq!(found.dispute.is_some(), becomes.is_some(), "{held} {remote:?}");
    }
}

#[test]
fn a_late_echo_is_our_own_write() {
    // Hazard 3: the reply to "b" was lost, "c" was written here since; "b" lands with a later time than "c".
    let (base, sent) = (Base::agreed(text("a"), text("a")), [text("b")]);
    let (shard, remote) = (text("c"), text("b"));
    let unit = Unit { sent: &sent, ..unit(&shard, &remote, &base) };
    let found = reconcile(&unit, &Rule::Newest, BOTH, &mut same);
    assert_eq!((found.shard, found.dispute), (None, None));
    assert_eq!(found.base, Base::agreed(text("b"), text("b")));
    assert_eq!(owed(&shard, &remote, &found.base, BOTH, &mut same), Owed::Value);
}

#[test]
fn a_value_that_returns_to_an_older_one_is_still_owed() {
    // Hazard 44: the shard won with "b" over "c"; then another route brings it back to "a", the old base.
    let base = Base::agreed(text("a"), text("a"));
    let won = reconcile(&unit(&text("b"), &text("c"), &base), &Rule::Local, BOTH, &mut same);
    assert_eq!(won.base, Base::dirty(text("c")));
    assert_eq!(owed(&text("a"), &text("c"), &won.base, BOTH, &mut same), Owed::Value);
}

#[test]
fn absent_says_nothing_and_null_clears() {
    // Hazards 45 and 65.
    let base = Base::agreed(text("a"), text("a"));
    let found = reconcile(&unit(&text("b"), &None, &base), &Rule::Remote, BOTH, &mut same);
    assert_eq!(found, Reconciled { shard: None, base: base.clone(), dispute: None });
    let null = Some(Value::Null);
    let found = reconcile(&unit(&text("a"), &null, &base), &Rule::Remote, BOTH, &mut same);
    assert_eq!(found.shard, Some(Some(Value::Null)));
    assert_eq!(owed(&None, &text("a"), &base, BOTH, &mut same), Owed::Nothing);
    assert_eq!(owed(&null, &text("a"), &base, BOTH, &mut same), Owed::Value);
    assert_eq!(owed(&null, &None, &Base::dirty(None), BOTH, &mut same), Owed::Nothing);
}

#[test]
fn times_decide_and_never_detect() {
    // Hazards 39 (a clock that is ahead wins nothing), 40, 41 (however close), 42 (ties are symmetric).
    let base = Base::agreed(text("a"), text("a"));
    let decide = |shard_stamp, remote_stamp| {
        let (shard, remote) = (text("b"), text("c"));
        let unit = Unit { shard_stamp, remote_stamp, ..unit(&shard, &remote, &base) };
        let dispute = reconcile(&unit, &Rule::Newest, BOTH, &mut same).dispute.unwrap();
        (dispute.winner, dispute.by_tie)
    };
    let seen = |claim| Stamp::seen(claim, 5, 0, 100, 0);
    assert_eq!(decide(stamp(10), seen(Some(20))), (Winner::Remote, false));
    assert_eq!(decide(stamp(30), seen(Some(20))), (Winner::Local, false));
    // Within the tolerance the greater value stands, whichever side it is on.
    assert_eq!(decide(stamp(22), seen(Some(20))), (Winner::Remote, true));
    assert_eq!(decide(seen(Some(20)), stamp(22)), (Winner::Remote, true));
    // The higher rank comes first.
    assert_eq!(decide(Stamp::here(22, 7), seen(Some(20))), (Winner::Local, true));
    // A claim of the future is one of now; one before the record was last seen unchanged is one of then.
    assert_eq!(decide(stamp(100), seen(Some(1_000_000))), (Winner::Remote, true));
    assert_eq!(decide(stamp(40), Stamp::seen(Some(3), 0, 50, 100, 0)), (Winner::Remote, false));
    // No claim: anything since then.
    assert_eq!(decide(stamp(40), seen(None)), (Winner::Remote, true));
}

#[test]
fn the_specifications_example_4() {
    let at = |time: &str| time.parse::<jiff::Timestamp>().unwrap().as_microsecond();
    let local = stamp(at("2025-12-09T10:00:00Z"));
    let observed = at("2025-12-09T11:05:00Z");
    let remote = Stamp::seen(Some(at("2025-12-09T11:00:00Z")), 1_000_000, 0, observed, 0);
    let fields = [
        ("John", "John Doe", "Jonathan Doe"),
        ("j@example.com", "john@example.com", "john.doe@example.com"),
    ];
    for (before, here, there) in fields {
        let base = Base::agreed(text(before), text(before));
        let (here, there) = (text(here), text(there));
        let unit = Unit { shard_stamp: local, remote_stamp: remote, ..unit(&here, &there, &base) };
        let found = reconcile(&unit, &Rule::Newest, BOTH, &mut same);
        let dispute = found.dispute.unwrap();
        assert_eq!((dispute.local, dispute.remote), (here.clone(), there.clone()));
        assert_eq!((dispute.winner, dispute.by_tie), (Winner::Remote, false));
        assert_eq!(found.shard, Some(there.clone()));
        assert_eq!(found.base, Base::agreed(there.clone(), there));
    }
}

#[test]
fn each_strategy_decides_as_it_says() {
    let rule = |strategy, field_type| {
        let expression = Some("local ~ '+' ~ remote");
        Rule::compile(strategy, expression, None, field_type, &ConfigPath::root()).unwrap()
    };
    let base = Base::agreed(text("a"), text("a"));
    let winner = |strategy| {
        let rule = rule(strategy, FieldType::Text);
        let found = reconcile(&unit(&text("b"), &text("c"), &base), &rule, BOTH, &mut same);
        let dispute = found.dispute.unwrap();
        (dispute.winner, dispute.value)
    };
    assert_eq!(winner(ConflictStrategy::SourceWins), (Winner::Remote, text("c")));
    assert_eq!(winner(ConflictStrategy::DestinationWins), (Winner::Local, text("b")));
    assert_eq!(winner(ConflictStrategy::NewestWins), (Winner::Remote, text("c")));
    assert_eq!(winner(ConflictStrategy::Merge), (Winner::Remote, text("c")));
    assert_eq!(winner(ConflictStrategy::Manual), (Winner::Nobody, None));
    assert_eq!(winner(ConflictStrategy::Custom), (Winner::Merged, text("b+c")));
}

#[test]
fn a_rule_that_breaks_down_asks_a_person() {
    // Hazard 49.
    let spec = FieldRuleSpec::Expression("local / 0 + remote.x.y()".to_owned());
    let path = ConfigPath::root();
    let rule =
        Rule::compile(ConflictStrategy::Merge, None, Some(&spec), FieldType::Text, &path).unwrap();
    let base = Base::agreed(text("a"), text("a"));
    let found = reconcile(&unit(&text("b"), &text("c"), &base), &rule, BOTH, &mut same);
    let dispute = found.dispute.unwrap();
    assert_eq!(dispute.winner, Winner::Nobody);
    assert!(dispute.problem.is_some());
    let custom = ConflictStrategy::Custom;
    assert!(Rule::compile(custom, None, None, FieldType::Text, &path).is_err());
}

#[test]
fn a_held_field_is_not_written_and_lets_go_by_itself() {
    // Hazard 50.
    let base = Base::agreed(text("a"), text("a"));
    let found = reconcile(&unit(&text("b"), &text("c"), &base), &Rule::Manual, BOTH, &mut same);
    assert_eq!((found.shard, &found.base), (None, &base));
    assert_eq!(owed(&text("b"), &text("c"), &found.base, BOTH, &mut same), Owed::Nothing);
    // Asked again when the record moves on; let go when it comes round, or goes back.
    let again = reconcile(&unit(&text("b"), &text("d"), &base), &Rule::Manual, BOTH, &mut same);
    assert_eq!(again.dispute.unwrap().remote, text("d"));
    let agreed = reconcile(&unit(&text("b"), &text("b"), &base), &Rule::Manual, BOTH, &mut same);
    assert_eq!((agreed.dispute, agreed.base), (None, Base::agreed(text("b"), text("b"))));
    let back = reconcile(&unit(&text("b"), &text("a"), &base), &Rule::Manual, BOTH, &mut same);
    assert_eq!(back.dispute, None);
    assert_eq!(owed(&text("b"), &text("a"), &back.base, BOTH, &mut same), Owed::Value);
}

#[test]
fn a_field_belongs_to_the_side_that_owns_it() {
    let base = Base::agreed(text("a"), text("a"));
    let (theirs, ours) = (Flow { takes: true, gives: false }, Flow { takes: false, gives: true });
    assert_eq!(owed(&text("b"), &text("a"), &base, theirs, &mut same), Owed::Nothing);
    // A record's edit of a field that is ours is taken back.
    let found = reconcile(&unit(&text("a"), &text("b"), &base), &Rule::Remote, ours, &mut same);
    assert_eq!((found.shard, &found.base), (None, &Base::dirty(text("b"))));
    assert_eq!(owed(&text("a"), &text("b"), &found.base, ours, &mut same), Owed::Value);
    // Where nothing is written, the shard's win leaves nothing owed, and no difference for ever.
    let found = reconcile(&unit(&text("c"), &text("b"), &base), &Rule::Local, theirs, &mut same);
    assert_eq!(found.base, Base::agreed(text("c"), text("b")));
}

#[test]
fn counters_add_both_changes_and_texts_take_both_lines() {
    // Hazard 47.
    let n = |n| Some(Value::Int(n));
    let base = Base::agreed(n(10), n(10));
    let found = reconcile(&unit(&n(13), &n(15), &base), &Rule::Counter, BOTH, &mut same);
    assert_eq!((found.shard, found.base), (Some(n(18)), Base::dirty(n(15))));
    // The shard's 18 is on its way; the record counts on.
    let found =
        reconcile(&unit(&n(18), &n(16), &Base::dirty(n(15))), &Rule::Counter, BOTH, &mut same);
    assert_eq!(found.shard, Some(n(19)));
    let base = Base::agreed(text("a\nb\nc\nd\n"), text("a\nb\nc\nd\n"));
    let (here, there) = (text("A\nb\nc\nd\n"), text("a\nb\nc\nD\n"));
    let found = reconcile(&unit(&here, &there, &base), &Rule::Text, BOTH, &mut same);
    assert_eq!(found.shard, Some(text("A\nb\nc\nD\n")));
    let (here, there) = (text("X\nb\nc\nd\n"), text("Y\nb\nc\nd\n"));
    let found = reconcile(&unit(&here, &there, &base), &Rule::Text, BOTH, &mut same);
    assert_eq!(found.dispute.unwrap().winner, Winner::Remote, "the newest");
}

#[test]
fn the_first_meeting_leaves_nothing_silently_apart() {
    let met = |shard: &Cell, remote: &Cell, flow| {
        base_of_first_meeting(shard, remote, flow, &mut lowered)
    };
    assert_eq!(met(&text("A"), &text("a"), BOTH), Base::agreed(text("A"), text("a")));
    assert_eq!(met(&text("A"), &text("b"), BOTH), Base::dirty(text("b")));
    let read_only = Flow { takes: true, gives: false };
    assert_eq!(met(&text("A"), &text("b"), read_only), Base::agreed(text("A"), text("b")));
}

#[test]
fn an_edit_survives_a_deletion_that_is_not_surely_later() {
    // Hazard 51.
    use ConflictStrategy::{DestinationWins, Manual, Merge, NewestWins, SourceWins};
    use DeletionFate::{Asks, ComesBack, Goes, Stays};
    let overlapping = Stamp { lo: 5, hi: 15, rank: 0 };
    let cases = [
        (SourceWins, Some(stamp(10)), Goes, ComesBack),
        (DestinationWins, Some(stamp(10)), ComesBack, Goes),
        (NewestWins, Some(stamp(5)), Goes, Goes),
        (NewestWins, Some(stamp(15)), ComesBack, ComesBack),
        (NewestWins, Some(overlapping), Stays, Stays),
        (Merge, Some(stamp(10)), Asks, Asks),
        (Manual, Some(stamp(10)), Asks, Asks),
        (Manual, None, Goes, Goes),
        (DestinationWins, None, Goes, Goes),
    ];
    for (strategy, edited, record, shard) in cases {
        let deleted = stamp(10);
        assert_eq!(record_deleted(strategy, edited, deleted), record, "{strategy:?} {edited:?}");
        assert_eq!(shard_deleted(strategy, edited, deleted), shard, "{strategy:?} {edited:?}");
    }
}

fn value() -> impl Strategy<Value = Cell> {
    // Few values, so that states collide.
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        prop::sample::select(vec!["a", "A", "b", "B", "c"]).prop_map(|t| Some(Value::text(t))),
    ]
}

fn base() -> impl Strategy<Value = Base> {
    prop_oneof![
        value().prop_map(Base::dirty),
        value().prop_map(|shard| {
            let remote = lowered(&shard);
            Base::agreed(shard, remote)
        }),
    ]
}

fn rules() -> impl Strategy<Value = Rule> {
    prop::sample::select(vec![Rule::Local, Rule::Remote, Rule::Newest, Rule::Union, Rule::Manual])
}

fn list() -> impl Strategy<Value = Cell> {
    prop::collection::vec(0_i64..5, 0..5)
        .prop_map(|items| Some(Value::List(items.into_iter().map(Value::Int).collect())))
}

proptest! {
    #[test]
    fn seeing_a_record_again_changes_nothing(
        shard in value(), remote in value(), base in base(), rule in rules(), at in 0_i64..40,
    ) {
        // Hazards 12, 15 and 19: pages come twice, and a full read is the same merge.
        let remote = lowered(&remote);
        let first = Unit { remote_stamp: stamp(at), ..unit(&shard, &remote, &base) };
        let found = reconcile(&first, &rule, BOTH, &mut lowered);
        let shard = found.shard.clone().unwrap_or(shard);
        let again = Unit { remote_stamp: stamp(at), ..unit(&shard, &remote, &found.base) };
        let second = reconcile(&again, &rule, BOTH, &mut lowered);
        prop_assert_eq!(second.shard, None);
        prop_assert_eq!(second.base, found.base);
    }

    #[test]
    fn once_written_nothing_is_owed(
        shard in value(), remote in value(), base in base(), rule in rules(),
    ) {
        let remote = lowered(&remote);
        let found = reconcile(&unit(&shard, &remote, &base), &rule, BOTH, &mut lowered);
        let shard = found.shard.clone().unwrap_or(shard);
        if owed(&shard, &remote, &found.base, BOTH, &mut lowered) == Owed::Value {
            let written = lowered(&shard);
            let base = Base::agreed(shard.clone(), written.clone());
            prop_assert_eq!(owed(&shard, &written, &base, BOTH, &mut lowered), Owed::Nothing);
            let quiet = reconcile(&unit(&shard, &written, &base), &rule, BOTH, &mut lowered);
            prop_assert_eq!((quiet.shard, quiet.base), (None, base));
        }
    }

    #[test]
    fn no_value_is_lost_without_a_dispute(
        shard in value(), remote in value(), base in base(), rule in rules(),
    ) {
        let remote = lowered(&remote);
        let found = reconcile(&unit(&shard, &remote, &base), &rule, BOTH, &mut lowered);
        let replaced = found.shard.is_some();
        let was_known = matches!(&base, Base::Met { shard: Side::Is(bs), .. } if *bs == shard);
        prop_assert!(!replaced || was_known || found.dispute.is_some());
        let still_owed = found.base == Base::dirty(remote.clone());
        let Base::Met { remote: br, .. } = &base else { unreachable!("met") };
        prop_assert!(!still_owed || *br == remote || found.dispute.is_some());
    }

    #[test]
    fn which_side_is_which_does_not_matter(
        left in value(), right in value(), base in base(), a in 0_i64..9, b in 0_i64..9, rule in rules(),
    ) {
        // Hazards 42 and 48. Local and remote are about sides, so they are left out.
        if matches!(rule, Rule::Newest | Rule::Union) {
            let one = rule.decide(&base, (&left, stamp(a)), (&right, stamp(b)));
            let other = rule.decide(&base, (&right, stamp(b)), (&left, stamp(a)));
            prop_assert_eq!(one.value, other.value);
        }
    }

    #[test]
    fn a_union_keeps_what_either_added_and_drops_what_either_removed(
        base in list(), left in list(), right in list(),
    ) {
        // Hazard 46.
        let union = |base: &Cell, left: &Cell, right: &Cell| {
            merge::united(base.as_ref(), left.as_ref(), right.as_ref())
        };
        let once = union(&base, &left, &right);
        prop_assert_eq!(&once, &union(&base, &right, &left));
        prop_assert_eq!(&union(&once, &once, &once), &once);
        let has = |cell: &Cell, n: i64| {
            matches!(cell, Some(Value::List(items)) if items.contains(&Value::Int(n)))
        };
        for n in 0..5 {
            let (b, l, r) = (has(&base, n), has(&left, n), has(&right, n));
            let stays = if b { l && r } else { l || r };
            prop_assert_eq!(has(&once, n), stays);
        }
    }
}
