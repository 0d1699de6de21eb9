//! One run of a task at a time, and ways to stop it.

use crate::project::{CONTACTS, Project, Ran};
use std::io::Write;
use std::process::Command;

/// A task that reads standard input, record by record.
fn endless() -> Project {
    let config = CONTACTS
        .replace("path: contacts.csv", "path: \"-\", format: jsonl")
        .replace("conversion_schema: person }", "conversion_schema: person, batch: { size: 1 } }");
    Project::new(&[("syncline.yaml", &config)])
}

fn feed(child: &mut std::process::Child, ids: std::ops::Range<u32>) {
    let pipe = child.stdin.as_mut().unwrap();
    for id in ids {
        // Once the program has ended, nobody reads any more.
        if writeln!(pipe, "{{\"id\":{id},\"email\":\"p{id}@x.org\"}}").is_err() {
            return;
        }
    }
    drop(pipe.flush());
}

#[test]
fn a_task_runs_once_at_a_time() {
    let project = endless();
    let mut child = project.start(&["run", "--json"]);
    let second = project.run(&["run"]);
    second.expect(6, &["task `contacts` is running already", "syncline cancel contacts"]);
    feed(&mut child, 0..5);
    drop(child.stdin.take());
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(ran.json()["results"]["created"], 5);
}

#[test]
fn cancel_stops_at_a_batch_border_and_what_was_committed_stands() {
    let project = endless();
    let mut child = project.start(&["run", "--json"]);
    feed(&mut child, 0..3);
    project.run(&["cancel", "contacts"]).expect(0, &["stops at its next batch border"]);
    for round in 1..200 {
        feed(&mut child, round * 3..round * 3 + 3);
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    drop(child.stdin.take());
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(5), "{ran:#?}");
    assert_eq!(ran.json()["status"], "cancelled");
    let created = ran.json()["results"]["created"].as_u64();
    let shards = project.json(&["status", "--json"])["store"]["shards"]["person"].as_u64();
    assert_eq!(shards.unwrap_or(0), created.unwrap(), "stopped before the first commit, too");
    project.run(&["cancel", "contacts"]).expect(1, &["is not running"]);
}

#[cfg(unix)]
#[test]
fn a_first_interrupt_stops_at_a_batch_border_and_a_second_at_once() {
    let interrupt = |id: u32| {
        let status = Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap();
        assert!(status.success());
    };
    let project = endless();
    let mut child = project.start(&["run"]);
    interrupt(child.id());
    for round in 0..200 {
        feed(&mut child, round * 3..round * 3 + 3);
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let ran = Ran::of(child.wait_with_output().unwrap());
    ran.expect(5, &["stopping at the next batch border"]);

    let mut child = project.start(&["run"]);
    for _ in 0..100 {
        interrupt(child.id());
        std::thread::sleep(std::time::Duration::from_millis(50));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(matches!(status.code(), Some(130 | 5)), "{status:?}");
            return;
        }
    }
    panic!("it never ended");
}

#[test]
fn a_killed_run_shows_as_interrupted_and_holds_nobody_up() {
    let project = endless();
    let mut child = project.start(&["run"]);
    feed(&mut child, 0..10);
    child.kill().unwrap();
    child.wait().unwrap();
    project.run(&["status"]).expect(0, &["interrupted", "`syncline run --task contacts` goes on"]);
    let listed = project.json(&["executions", "--json"]);
    assert_eq!(listed["executions"][0]["status"], "interrupted", "{listed:#}");
    project.write("more.jsonl", "{\"id\":99,\"email\":\"z@x.org\"}\n");
    let mut command = project.command(&["retry", "--json"]);
    command.stdin(std::fs::File::open(project.path("more.jsonl")).unwrap());
    let ran = Ran::of(command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    project.run(&["cancel", "contacts"]).expect(1, &["no task is running"]);
}

#[test]
fn a_preview_does_not_wait_for_a_run() {
    let project = endless();
    let mut child = project.start(&["run", "--quiet"]);
    let preview = project.run(&["preview", "--json"]);
    preview.expect(0, &[]);
    assert_eq!(preview.json()["results"]["fetched"], 0);
    drop(child.stdin.take());
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:#?}");
}
