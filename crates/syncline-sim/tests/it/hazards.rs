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
