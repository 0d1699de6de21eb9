//! Real faults: connections that break, servers that die or do not answer, a program that is killed, a full disk.
//! Whatever happens, nothing is lost and nothing doubled once all is well again.

use super::proxy::{Fault, Proxy};
use super::{CONFIG, LEFT, Pair, RIGHT};
use crate::project::Ran;

/// People at the left side, and others at the right side, of whom a third are the same.
fn apart(pair: &Pair, count: usize) {
    pair.left(&format!(
        "INSERT INTO people (name, email, city)
            SELECT 'Left ' || n, n || '@x.org', 'Rome' FROM generate_series(1, {count}) AS n"
    ));
    pair.right(&format!(
        "INSERT INTO contacts (\"full\", mail, town)
            SELECT 'Left ' || n, n || '@x.org', 'Rome' FROM generate_series({count} * 2 / 3 + 1, {count} * 5 / 3) AS n"
    ));
}

/// Edits of other people at each side, a row that goes at the left, and a new one at each. What goes in some round is
/// never edited at the right: an edit of it that no run has seen would outlive the deletion.
fn edit(pair: &Pair, round: usize) {
    pair.left(&format!(
        "UPDATE people SET city = 'L{round}' WHERE id % 3 = 0; DELETE FROM people WHERE email = '{round}@x.org';
        INSERT INTO people (name, email) VALUES ('New', 'left{round}@x.org')"
    ));
    pair.right(&format!(
        "UPDATE contacts SET \"full\" = 'R{round} ' || mail WHERE no % 4 = 0 AND mail !~ '^([1-9]|1[0-2])@';
        INSERT INTO contacts (\"full\", mail) VALUES ('New', 'right{round}@x.org')"
    ));
}

impl Pair {
    /// Runs the program with the right side behind `proxy`.
    pub(super) fn run_behind(&self, proxy: &Proxy) -> Ran {
        let (left, right) = (format!("left={}", self.server.port), format!("right={}", proxy.port));
        self.project.run(&["run", "--var", &left, "--var", &right])
    }

    /// Makes sure that all comes right with the next runs: both sides hold the same, each row once.
    #[track_caller]
    fn comes_right(&self) {
        self.run(&["run"]);
        self.run(&["run"]);
        let [left, right] = self.rows();
        let differs = left.lines().zip(right.lines()).find(|(left, right)| left != right);
        assert_eq!((differs, left.lines().count()), (None, right.lines().count()));
        self.is_quiet();
    }
}

#[test]
fn a_reply_to_a_commit_that_is_lost_doubles_nothing_and_loses_nothing() {
    // Hazards 22, 23 and 37. The commit arrives, or it does not: the program cannot know.
    let pair = Pair::usual();
    apart(&pair, 30);
    for (round, fault) in
        [Fault::LoseReply, Fault::LoseRequest, Fault::LoseReply, Fault::LoseRequest]
            .into_iter()
            .enumerate()
    {
        let proxy = Proxy::to(pair.server.port);
        proxy.trap("COMMIT", 0, fault);
        pair.run_behind(&proxy);
        assert_eq!(proxy.sprung(), 1);
        pair.comes_right();
        edit(&pair, round + 1);
    }
    pair.comes_right();
}

#[test]
fn a_lost_reply_where_nothing_names_the_new_row_waits_for_a_person() {
    // Nothing of what is written is unique at the right side: a second attempt could double.
    let right = RIGHT.replace("mail text UNIQUE", "mail text");
    let pair = Pair::new(LEFT, &right, CONFIG);
    pair.left("INSERT INTO people (name, email) VALUES ('Ada', 'ada@x.org')");
    let proxy = Proxy::to(pair.server.port);
    proxy.trap("COMMIT", 0, Fault::LoseReply);
    let ran = pair.run_behind(&proxy);
    ran.expect(3, &["nobody knows whether it was made", "1 dead letter"]);
    // It did arrive, and is met by the next read: no second row is made, and nothing is open any more.
    pair.run(&["run"]);
    pair.run(&["dead-letters", "list"]).expect(0, &["no record was refused"]);
    pair.holds(&["Ada|ada@x.org|"]);
}

#[test]
fn connections_that_break_anywhere_lose_nothing() {
    let pair = Pair::usual();
    apart(&pair, 12);
    let texts = [
        "START TRANSACTION",
        "SAVEPOINT part",
        "INSERT INTO",
        "FOR UPDATE",
        "UPDATE \"public\"",
        "SELECT",
    ];
    for (round, text) in texts.into_iter().enumerate() {
        for skip in [0, 1] {
            let proxy = Proxy::to(pair.server.port);
            proxy.trap(text, skip, Fault::LoseReply);
            pair.run_behind(&proxy);
        }
        edit(&pair, round + 1);
    }
    pair.comes_right();
}

#[test]
fn an_edit_made_between_reading_and_writing_is_not_covered() {
    // Hazard 20.
    let pair = Pair::usual();
    pair.left("INSERT INTO people (name, email, city) VALUES ('Ada', 'ada@x.org', 'Rome'), ('Bob', 'bob@x.org', 'Rome')");
    pair.run(&["run"]);
    pair.left("UPDATE people SET city = 'Bern'");
    let change = "UPDATE contacts SET town = 'Oslo' WHERE \"full\" = 'Bob'";
    pair.run_amid("START TRANSACTION", 0, change);
    pair.run(&["run"]);
    pair.holds(&["Ada|ada@x.org|Bern", "Bob|bob@x.org|Oslo"]);
    pair.run(&["conflicts", "--all"]).expect(0, &["\"Bern\"", "\"Oslo\""]);
    pair.is_quiet();
}

#[test]
fn a_server_that_dies_and_comes_back_loses_nothing() {
    let mut pair = Pair::usual();
    apart(&pair, 300);
    for round in 1..4 {
        let port = format!("left={}", pair.server.port);
        let proxy = Proxy::to(pair.server.port);
        let right = format!("right={}", proxy.port);
        let mut command = pair.project.command(&["run", "--var", &port, "--var", &right]);
        std::thread::scope(|scope| {
            let (ask, asked) = std::sync::mpsc::channel::<()>();
            proxy.trap(
                ["INSERT INTO", "COMMIT", "SELECT"][round - 1],
                0,
                Fault::First(Box::new(move || ask.send(()).unwrap())),
            );
            let running = scope.spawn(move || Ran::of(command.output().unwrap()));
            asked.recv().unwrap();
            pair.server.kill();
            pair.server.run();
            running.join().unwrap();
        });
        edit(&pair, round);
    }
    pair.comes_right();
}

#[test]
fn a_server_that_does_not_answer_is_given_up_and_nothing_is_lost() {
    let config = CONFIG
        .replace("user: admin,", "user: admin, connect_timeout_s: 1, statement_timeout_s: 1,");
    let pair = Pair::new(LEFT, RIGHT, &config);
    apart(&pair, 30);
    pair.run(&["run"]);
    edit(&pair, 1);
    pair.server.signal("STOP");
    let ran = pair.try_run(&["run"]);
    pair.server.signal("CONT");
    assert_ne!(ran.code, Some(0), "{ran:?}");
    pair.comes_right();
}

#[test]
fn a_disk_that_is_full_loses_nothing() {
    // A limit on the size of files stands in for the disk.
    let pair = Pair::usual();
    apart(&pair, 300);
    let (left, right) =
        (format!("left={0}", pair.server.port), format!("right={0}", pair.server.port));
    let mut failed = 0;
    for (round, blocks) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1200)] {
        let command = pair.project.command(&["run", "--var", &left, "--var", &right]);
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(limited).arg(command.get_program()).args(command.get_args());
        shell.current_dir(pair.project.path("."));
        let ran = Ran::of(shell.output().unwrap());
        failed += usize::from(ran.code != Some(0));
        edit(&pair, round);
    }
    assert!(failed > 0);
    pair.comes_right();
}

#[test]
fn a_store_that_is_restored_from_a_backup_loses_nothing() {
    // Hazard 68: the bases are those of yesterday, and what was agreed on since is met again.
    let pair = Pair::usual();
    apart(&pair, 60);
    pair.run(&["run"]);
    let store = pair.project.path("syncline.db");
    let backup = pair.project.path("backup.db");
    rusqlite::Connection::open(&store)
        .unwrap()
        .execute("VACUUM INTO ?1", [backup.to_str().unwrap()])
        .unwrap();
    for round in 1..4 {
        edit(&pair, round);
        pair.run(&["run"]);
    }
    // Not yet synced when the disk went.
    pair.left("UPDATE people SET city = 'L4' WHERE id % 3 = 0; DELETE FROM people WHERE email = '7@x.org'");
    pair.right(
        "UPDATE contacts SET \"full\" = 'R4 ' || mail WHERE no % 4 = 0 AND mail <> '7@x.org'",
    );
    for name in ["syncline.db-wal", "syncline.db-shm"] {
        std::fs::remove_file(pair.project.path(name)).unwrap_or_default();
    }
    std::fs::copy(&backup, &store).unwrap();
    pair.comes_right();
    let rows = pair.rows_of_left();
    assert_eq!(rows.lines().count(), 100 - 4 + 6, "{rows}");
    assert!(rows.contains("|L4") && rows.contains("R4 "), "{rows}");
}

#[test]
fn a_program_that_is_killed_again_and_again_loses_nothing() {
    let pair = Pair::usual();
    apart(&pair, 300);
    for round in 1..=12_usize {
        // Each a little later than the one before.
        pair.run_and_kill(round);
        if round % 4 == 0 {
            edit(&pair, round);
        }
    }
    pair.comes_right();
}
