//! Somebody is erased.

use super::{CONFIG, LEFT, Pair, RIGHT};

/// The usual pair; people of the left side may have a boss among them, whose name is looked up.
fn pair(right: &str) -> Pair {
    let config = CONFIG
        .replace("city: text }", "city: text, boss: text }")
        .replace(
            "city: city }",
            "city: city, boss: { lookup: { shard_type: person, entity: person, from: boss, return: name } } }",
        )
        .replacen("outbound: { deletes", "fields: { boss: inbound }\n    outbound: { deletes", 1);
    let left = LEFT.replace("city text", "city text, boss int");
    Pair::new(&left, right, &config)
}

impl Pair {
    /// The id of the shard with this address.
    pub(super) fn shard(&self, email: &str) -> String {
        let ran = self.run(&["shards", "list", "--json", "--where", &format!("email={email}")]);
        let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let text = found.to_string();
        let at = text.find("\"id\":\"").unwrap() + 6;
        text[at..at + 36].to_owned()
    }

    /// Which files of the store hold a text, in whatever case.
    fn holding(&self, text: &str) -> Vec<&'static str> {
        let has = |name: &&str| {
            let bytes = std::fs::read(self.project.path(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).to_lowercase().contains(text)
        };
        ["syncline.db", "syncline.db-wal", "syncline.db-shm"].into_iter().filter(has).collect()
    }
}

#[test]
fn who_is_erased_leaves_no_byte_in_the_store_and_does_not_come_back() {
    // Hazard 71.
    let pair = pair(&RIGHT.replace("town text", "town text CHECK (town <> 'Secretbad')"));
    pair.left(
        "INSERT INTO people (name, email, city, boss) VALUES
            ('Secretada', 'secretada@x.org', 'Secretrome', NULL), ('Bob', 'bob@x.org', 'Oslo', 1)",
    );
    pair.run(&["run"]);
    // A history, a conflict, a write that is refused, and a write that is owed.
    pair.left("UPDATE people SET city = 'Secretleft' WHERE id = 1");
    pair.right("UPDATE contacts SET town = 'Secretright' WHERE mail = 'secretada@x.org'");
    pair.run(&["run"]);
    pair.run(&["conflicts", "--all"]).expect(0, &["Secretleft"]);
    pair.left("UPDATE people SET city = 'Secretbad' WHERE id = 1");
    pair.try_run(&["run"]).expect(3, &["could not be written"]);
    pair.run(&["dead-letters", "list"]).expect(0, &["right/contact"]);
    assert!(pair.run(&["shards", "list"]).out.contains("Secretada"));
    let id = pair.shard("secretada@x.org");
    let (before, stored) = (pair.written(), pair.holding("secret"));
    assert!(!stored.is_empty());

    let shown = pair.run(&["erase", &id, "--preview"]);
    shown.expect(
        0,
        &["would be erased", "1 other record looked something up there", "this was a preview"],
    );
    assert_eq!(pair.holding("secret"), stored);
    let told = pair.run(&["erase", &id]);
    told.expect(
        0,
        &[
            "erased: shard",
            "records at their systems",
            "left as it is",
            "person",
            "right",
            "contact",
        ],
    );
    assert_eq!(pair.holding("secret"), [""; 0]);
    pair.run(&["shards", "list"]).expect(0, &["Bob"]);
    pair.run(&["dead-letters", "list"]).expect(0, &["no record was refused"]);
    pair.run(&["erase", &id]).expect(0, &["erased: shard"]);

    // The records at both sides are as they were, and stay away, whatever becomes of them.
    assert_eq!(pair.written(), before);
    pair.is_quiet();
    pair.left("UPDATE people SET city = 'Secretnew' WHERE id = 1");
    pair.right("UPDATE contacts SET town = 'Secretold' WHERE mail = 'secretada@x.org'");
    pair.run(&["run", "--full"]);
    assert_eq!(pair.holding("secret"), [""; 0]);
    assert_eq!(pair.left("SELECT city FROM people ORDER BY id"), "Secretnew\nOslo");
    // Everybody else goes on; a new record with that address is somebody new.
    pair.left("UPDATE people SET city = 'Bern' WHERE id = 2; DELETE FROM people WHERE id = 1");
    pair.right("DELETE FROM contacts WHERE mail = 'secretada@x.org'");
    pair.run(&["run"]);
    pair.left("INSERT INTO people (name, email) VALUES ('Another', 'secretada@x.org')");
    pair.run(&["run"]).expect(0, &["written: 1 created"]);
    pair.holds(&["Bob|bob@x.org|Bern", "Another|secretada@x.org|"]);
    pair.is_quiet();
}

#[test]
fn nobody_is_erased_while_a_write_about_them_may_be_on_its_way() {
    // Nothing of what is written is unique at the right side: nobody can tell whether the row was made.
    let pair = pair(&RIGHT.replace("mail text UNIQUE", "mail text"));
    pair.left("INSERT INTO people (name, email, city) VALUES ('Ada', 'ada@x.org', 'Rome')");
    let proxy = super::Proxy::to(pair.server.port);
    proxy.trap("COMMIT", 0, super::Fault::LoseReply);
    pair.run_behind(&proxy);
    let id = pair.shard("ada@x.org");
    let refused = pair.try_run(&["erase", &id]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.err.contains("nobody knows what became of it"), "{refused:?}");
    // The row is there, and is met.
    pair.try_run(&["run"]);
    // At the systems, too, where that is wanted.
    pair.run(&["erase", &id, "--at-systems", "delete"]).expect(0, &["erased", "deleted"]);
    assert_eq!(pair.holding("ada@x.org"), [""; 0]);
    pair.holds(&[]);
    pair.is_quiet();
}
