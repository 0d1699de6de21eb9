//! Hazards that the simulation found, each told step by step: the real engine, and a remote that does what it is told.

use crate::stories::{Story, sqlite, traits};
use syncline_adapters::write::{CreateGuard, UpdateGuard};
use syncline_core::value::Value;
use syncline_sim::remote::{Happens, Held, Traits};

/// A person of whom both sides know, by the name of `Old`; the id of the record at `b`.
async fn known(b: Traits, task: &str) -> (Story, String) {
    let story = Story::with(b, "bidirectional", task, sqlite()).await;
    story.a.make("a1", &[("email", "j@x.org"), ("name", "Old"), ("notes", "n")]);
    story.quiet().await;
    let b1 = story.b.records().into_keys().next().unwrap();
    (story, b1)
}

#[tokio::test]
async fn hazard_5_what_was_written_and_could_not_be_read_back_is_no_edit() {
    // The record is made, the reply shows nothing, and reading it back fails: its system had made the name small.
    let b = Traits { normalises: true, shows: false, ..traits() };
    for edit in [None, Some("Later")] {
        let story = Story::with(b, "bidirectional", "", sqlite()).await;
        story.a.make("a1", &[("email", "j@x.org"), ("name", "Ann"), ("notes", "n")]);
        story.run("a").await;
        story.b.expect([Happens::Nothing, Happens::Unanswered]);
        story.run("b").await;
        assert_eq!(story.says(&story.b, "name"), ["ann"], "it was made");
        if let Some(name) = edit {
            story.a.set("a1", "name", name);
        }
        story.quiet().await;
        let name = edit.unwrap_or("Ann");
        assert_eq!(story.says(&story.a, "name"), [name]);
        assert_eq!(story.says(&story.b, "name"), [name.to_lowercase()]);
        assert!(story.conflicts(true).await.is_empty());
    }
}

#[tokio::test]
async fn hazard_5_what_a_person_says_after_a_write_that_nobody_saw_is_an_edit() {
    let (story, b1) = known(Traits { shows: false, ..traits() }, "").await;
    story.a.set("a1", "name", "Ann");
    story.run("a").await;
    story.b.expect([Happens::Nothing, Happens::Unanswered]);
    story.run("b").await;
    assert_eq!(story.says(&story.b, "name"), ["Ann"]);
    story.b.set(&b1, "name", "Eve");
    story.quiet().await;
    assert_eq!(story.says(&story.a, "name"), ["Eve"]);
}

#[tokio::test]
async fn hazard_20_a_system_that_says_versions_and_does_not_compare_them_is_looked_at_first() {
    // Between the listing and the write a person sets the same field: it is not covered unseen.
    for update in [UpdateGuard::Nothing, UpdateGuard::Weak { granularity_ms: 1000 }] {
        let (story, b1) = known(Traits { update, ..traits() }, "").await;
        story.a.set("a1", "name", "from a");
        story.run("a").await;
        story.b.expect([Happens::Edited { id: b1, field: "name", text: "from b" }]);
        story.quiet().await;
        let conflicts = story.conflicts(true).await;
        assert_eq!(conflicts.len(), 1, "{update:?}");
        let sides = [&conflicts[0].local, &conflicts[0].remote].map(|v| v.clone().unwrap());
        assert!(sides.contains(&Value::text("from b")), "{update:?}: {sides:?}");
    }
}

#[tokio::test]
async fn hazard_4_a_lost_reply_of_a_system_that_normalises_is_no_edit() {
    for versions in [true, false] {
        let (story, _) = known(Traits { normalises: true, versions, ..traits() }, "").await;
        story.a.set("a1", "name", "Ann Lee");
        story.run("a").await;
        let look = if versions { None } else { Some(Happens::Nothing) };
        story.b.expect(look.into_iter().chain([Happens::ReplyLost]));
        story.quiet().await;
        assert_eq!(story.says(&story.a, "name"), ["Ann Lee"], "the shard is not degraded");
        assert_eq!(story.says(&story.b, "name"), ["ann lee"]);
        assert!(story.conflicts(true).await.is_empty());
    }
}

#[tokio::test]
async fn hazard_3_a_persons_change_of_case_flows_although_a_write_was_lost() {
    // The system keeps capitals: the person's form is theirs, and it is later.
    let (story, b1) = known(traits(), "").await;
    story.a.set("a1", "name", "Ann");
    story.run("a").await;
    story.b.expect([Happens::ReplyLost, Happens::Unanswered]);
    story.run("b").await;
    story.hour_passes();
    story.b.set(&b1, "name", "ANN");
    story.quiet().await;
    assert_eq!(story.says(&story.a, "name"), ["ANN"]);
    assert_eq!(story.says(&story.b, "name"), ["ANN"]);
}

#[tokio::test]
async fn hazard_4_a_persons_change_of_case_is_what_its_system_keeps_of_it() {
    for (normalises, stands) in [(false, "OLD"), (true, "Old")] {
        let (story, b1) = known(Traits { normalises, ..traits() }, "").await;
        story.b.set(&b1, "name", "OLD");
        story.quiet().await;
        // A system that makes names small keeps nothing of a change of case: there is no edit, and no loss.
        assert_eq!(story.says(&story.a, "name"), [stands]);
        story.b.set(&b1, "name", "Eve");
        story.quiet().await;
        assert_eq!(story.says(&story.a, "name"), [if normalises { "eve" } else { "Eve" }]);
    }
}

#[tokio::test]
async fn hazard_52_what_is_made_of_a_shard_that_is_gone_by_then_brings_nobody_back() {
    // The creation at b is lost, or its reply is; a person deletes the record at a; the creation is repeated, or found.
    for first in [Happens::Unanswered, Happens::ReplyLost] {
        let b = Traits { create: CreateGuard::Marker, ..traits() };
        let task = ", outbound: { deletes: propagate }, fuse: { count: 1000 }";
        let story = Story::with(b, "bidirectional", task, sqlite()).await;
        story.a.make("a1", &[("email", "j@x.org"), ("name", "Old"), ("notes", "n")]);
        story.a.make("a2", &[("email", "k@x.org"), ("name", "Stays"), ("notes", "n")]);
        story.run("a").await;
        story.b.expect([first, Happens::Unanswered]);
        story.run("b").await;
        story.a.remove("a1");
        story.run("a").await;
        story.quiet().await;
        assert_eq!(story.says(&story.a, "name"), ["Stays"]);
        assert_eq!(story.says(&story.b, "name"), ["Stays"]);
    }
}

#[tokio::test]
async fn hazard_52_a_write_that_nobody_heard_of_keeps_no_deletion_off() {
    // A change is written to b, and nobody hears of it; then the record is deleted at a. What b shows is our own word,
    // unless a person says something there besides.
    for edit in [None, Some("moved on")] {
        let task = ", outbound: { deletes: propagate }, fuse: { count: 1000 }";
        let b = Traits { update: UpdateGuard::Nothing, lands_within_ms: 5_000, ..traits() };
        let (story, b1) = known(b, task).await;
        story.a.make("a2", &[("email", "k@x.org"), ("name", "Stays"), ("notes", "n")]);
        story.quiet().await;
        story.a.set("a1", "name", "New");
        story.run("a").await;
        story.b.expect([Happens::Nothing, Happens::Late(4_000), Happens::Unanswered]);
        story.run("b").await;
        story.a.remove("a1");
        story.run("a").await;
        story.hour_passes();
        if let Some(notes) = edit {
            story.b.set(&b1, "notes", notes);
        }
        story.quiet().await;
        let left = if edit.is_some() { &["New", "Stays"][..] } else { &["Stays"] };
        assert_eq!(story.says(&story.b, "name"), left);
        assert_eq!(story.says(&story.a, "name"), left);
    }
}

#[tokio::test]
async fn hazard_3_a_write_that_lands_late_is_looked_out_for_until_it_was_read() {
    // "one" is sent, and lands when nobody looks, after its time: the next read still knows whose it is.
    let b = Traits { update: UpdateGuard::Nothing, lands_within_ms: 5_000, ..traits() };
    let (story, b1) = known(b, "").await;
    story.a.set("a1", "name", "one");
    story.run("a").await;
    story.b.expect([Happens::Nothing, Happens::Late(4_000), Happens::Unanswered]);
    story.run("b").await;
    story.b.set(&b1, "notes", "moved on");
    story.quiet().await;
    assert_eq!(story.says(&story.a, "name"), ["one"]);
    assert_eq!(story.says(&story.b, "name"), ["one"]);
    assert_eq!(story.says(&story.a, "notes"), ["moved on"]);
    assert!(story.conflicts(true).await.is_empty());
}

#[tokio::test]
async fn hazard_23_a_repeated_batch_of_which_one_is_gone_by_then_gives_nobody_anothers_record() {
    // Three are made, and nobody hears of it; a person deletes the first; the batch is repeated, and the reply shows
    // the other two: each is found as its own, nothing is taken for the first, and nothing is made twice.
    let b =
        Traits { create: CreateGuard::IdempotencyKey { remembered_ms: 86_400_000 }, ..traits() };
    let story = Story::with(b, "bidirectional", "", sqlite()).await;
    for (id, name) in [("a1", "First"), ("a2", "Second"), ("a3", "Third")] {
        let email = format!("{id}@x.org");
        story.a.make(id, &[("email", &email), ("name", name), ("notes", "n")]);
    }
    story.run("a").await;
    story.b.expect([Happens::ReplyLost, Happens::Unanswered]);
    story.run("b").await;
    let is_first = |held: &Held| held.fields["name"] == Value::text("First");
    let first = story.b.records().into_iter().find(|(_, held)| is_first(held));
    story.b.remove(&first.unwrap().0);
    story.quiet().await;
    assert_eq!(story.says(&story.a, "name"), ["First", "Second", "Third"]);
    assert_eq!(story.says(&story.b, "name"), ["Second", "Third"]);
    assert!(story.conflicts(true).await.is_empty());
}

#[tokio::test]
async fn hazard_23_a_creation_that_nobody_could_tell_of_is_over_once_its_record_is_met() {
    // Nothing is unique at b. The record is made, and its reply is lost: the next read finds it.
    let b = Traits { create: CreateGuard::Nothing, ..traits() };
    let story = Story::with(b, "bidirectional", "", sqlite()).await;
    story.a.make("a1", &[("email", "j@x.org"), ("name", "Old"), ("notes", "n")]);
    story.run("a").await;
    story.b.expect([Happens::ReplyLost]);
    assert_eq!(story.run("b").await.status, "partial");
    assert_eq!((story.open_intents().await.len(), story.letters().await.len()), (1, 1));
    assert_eq!(story.run("b").await.status, "success");
    assert!(story.open_intents().await.is_empty() && story.letters().await.is_empty());
    story.quiet().await;
    assert_eq!(story.says(&story.b, "name"), ["Old"]);
    assert_eq!(story.shards().await, [["a a1", "b b1"]]);
}

#[tokio::test]
async fn hazard_23_a_creation_that_did_not_arrive_waits_for_a_person_who_has_looked() {
    let b = Traits { create: CreateGuard::Nothing, ..traits() };
    let story = Story::with(b, "bidirectional", "", sqlite()).await;
    story.a.make("a1", &[("email", "j@x.org"), ("name", "Old"), ("notes", "n")]);
    story.run("a").await;
    story.b.expect([Happens::Unanswered]);
    story.run("b").await;
    for _ in 0..2 {
        let report = story.run("b").await;
        assert_eq!((report.status.as_str(), report.results.written_created), ("partial", 0));
        assert_eq!(story.letters().await.len(), 1, "it is told once");
    }
    // What is made then is what the shard says by then.
    story.a.set("a1", "name", "New");
    story.run("a").await;
    story.repeat(story.open_intents().await[0].id).await;
    story.quiet().await;
    assert_eq!(story.says(&story.b, "name"), ["New"]);
    assert!(story.open_intents().await.is_empty() && story.letters().await.is_empty());
}

#[tokio::test]
async fn hazard_55_a_key_that_was_given_to_another_record_joins_nobody() {
    // A person deletes b1, and the system gives its key to the record that we make: before we know of it, or after.
    for (deletes, is_known) in
        [("unlink", false), ("unlink", true), ("propagate", false), ("propagate", true)]
    {
        let b = Traits { create: CreateGuard::Marker, reuses: true, ..traits() };
        let task = format!(", outbound: {{ deletes: {deletes} }}");
        let story = Story::with(b, "bidirectional", &task, sqlite()).await;
        story.a.make("a1", &[("email", "j@x.org"), ("name", "Old"), ("notes", "n")]);
        story.quiet().await;
        story.a.make("a2", &[("email", "k@x.org"), ("name", "Stays"), ("notes", "n")]);
        story.quiet().await;
        let removed = Happens::Removed { id: "b1".to_owned() };
        if is_known {
            story.b.remove("b1");
            story.run("b").await;
        }
        story.a.make("a3", &[("email", "l@x.org"), ("name", "New"), ("notes", "m")]);
        story.run("a").await;
        story.b.expect((!is_known).then_some(removed));
        story.run("b").await;
        assert_eq!(story.b.records()["b1"].fields["name"], Value::text("New"), "{deletes}");
        story.quiet().await;
        let (mut names, mut shards) =
            (vec!["New", "Stays"], vec![vec!["a a2", "b b2"], vec!["a a3", "b b1"]]);
        if deletes == "unlink" {
            names.insert(1, "Old");
            shards.insert(0, vec!["a a1"]);
        }
        assert_eq!(story.says(&story.a, "name"), names, "{deletes} {is_known}");
        assert_eq!(story.says(&story.b, "name"), ["New", "Stays"], "{deletes} {is_known}");
        assert_eq!(story.shards().await, shards, "{deletes} {is_known}");
        assert!(story.conflicts(true).await.is_empty(), "{deletes} {is_known}");
    }
}

#[tokio::test]
async fn hazard_55_a_record_that_has_nothing_in_common_with_the_deleted_one_of_its_key_is_another()
{
    // A person deletes b1, a run sees it, and a person makes another b1: it writes nothing over what ua1 says. One that
    // is still the same person comes back.
    for (email, is_another) in [("z@x.org", true), ("j@x.org", false)] {
        let story = Story::with(traits(), "bidirectional", "", sqlite()).await;
        story.a.make("ua1", &[("email", "j@x.org"), ("name", "Old"), ("notes", "n")]);
        story.quiet().await;
        story.b.remove("b1");
        story.b.make("b2", &[("email", "k@x.org"), ("name", "Stays"), ("notes", "n")]);
        story.quiet().await;
        story.b.make("b1", &[("email", email), ("name", "New"), ("notes", "m")]);
        story.quiet().await;
        let names: &[&str] = if is_another { &["New", "Old", "Stays"] } else { &["New", "Stays"] };
        assert_eq!(story.says(&story.a, "name"), names, "{email}");
        assert_eq!(story.says(&story.b, "name"), ["New", "Stays"], "{email}");
        assert_eq!(story.shards().await.len(), names.len(), "{email}");
    }
}

#[tokio::test]
async fn hazard_28_two_things_that_a_system_takes_for_one_stay_two_and_are_told() {
    // Two people of one name: b takes the second creation for a change of what the first made.
    for (shows, batch_max) in [(true, 100), (false, 100), (true, 1)] {
        let b = Traits {
            create: CreateGuard::Upsert,
            merges: Some("name"),
            shows,
            batch_max,
            ..traits()
        };
        let story = Story::with(b, "bidirectional", "", sqlite()).await;
        story.a.make("a1", &[("email", "j@x.org"), ("name", "Same"), ("notes", "n1")]);
        story.a.make("a2", &[("email", "k@x.org"), ("name", "Same"), ("notes", "n2")]);
        story.run("a").await;
        assert_eq!(story.run("b").await.status, "partial");
        assert_eq!(story.run("b").await.status, "partial");
        let (writes, what) = (story.b.writes(), format!("{shows} {batch_max}"));
        story.run("a").await;
        assert_eq!(story.run("b").await.status, "partial");
        assert_eq!(story.b.writes(), writes, "{what}: it is not written over again and again");
        assert_eq!(story.shards().await, [vec!["a a1", "b b1"], vec!["a a2"]], "{what}");
        assert_eq!(story.says(&story.a, "notes"), ["n1", "n2"], "{what}");
        assert_eq!(
            story.says(&story.b, "notes"),
            ["n1"],
            "{what}: it says what its own shard says"
        );
        assert_eq!(story.says(&story.b, "email"), ["j@x.org"], "{what}");
        let letters = story.letters().await;
        assert!(letters.len() == 1 && letters[0].contains("`b1`"), "{what}: {letters:?}");
        // Once the system can tell them apart, both are there.
        story.a.set("a2", "name", "Other");
        story.run("a").await;
        story.quiet().await;
        assert_eq!(story.says(&story.b, "name"), ["Other", "Same"], "{what}");
        assert!(story.letters().await.is_empty(), "{what}");
    }
}

#[tokio::test]
async fn hazard_28_a_reply_that_shows_anothers_record_gives_nobody_anothers_record() {
    let story = Story::with(traits(), "bidirectional", "", sqlite()).await;
    for (id, name) in [("a1", "First"), ("a2", "Second")] {
        let email = format!("{id}@x.org");
        story.a.make(id, &[("email", &email), ("name", name), ("notes", "n")]);
    }
    story.run("a").await;
    story.b.expect([Happens::Swapped]);
    story.run("b").await;
    story.quiet().await;
    assert_eq!(story.says(&story.b, "name"), ["First", "Second"]);
    assert_eq!(story.shards().await, [["a a1", "b b1"], ["a a2", "b b2"]]);
    assert!(story.conflicts(true).await.is_empty());
}
