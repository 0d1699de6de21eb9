//! `match train`, `match eval`, `match explain`, and runs that a model decides.

use crate::project::Project;
use std::fmt::Write;

const CONFIG: &str = r#"
connections:
  crm:
    adapter: file
    entities:
      contact: { path: people.csv, key: id }
shard_types:
  person:
    fields: { first: text, last: text, email: text, street: text, postcode: text, born: text }
    matching:
      model: person.model.yaml
      compare: { first: given_name, last: family_name, email: email, street: address, postcode: postcode, born: date }
conversion_schemas:
  person:
    shard_type: person
    fields: { first: first, last: last, email: email, street: street, postcode: postcode, born: born }
sync_tasks:
  contacts: { connection: crm, entity: contact, conversion_schema: person }
"#;

/// Persons, every third of whom stands there twice: once with a typing error and without an e-mail address.
const PERSONS: u64 = 300;

fn people(count: u64) -> (String, String) {
    let (firsts, lasts) = (
        ["Anna", "Bert", "Clara", "David", "Emma", "Frank", "Greta", "Henry", "Ida", "Jonas"],
        ["Abel", "Becker", "Conrad", "Dietrich", "Engel", "Fischer", "Graf", "Hartmann", "Iversen"],
    );
    let (mut rows, mut truth) =
        ("id,first,last,email,street,postcode,born\n".to_owned(), "id,entity\n".to_owned());
    let mut state = 7_u64;
    for number in 0..count {
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let first = firsts[draw(10) as usize];
        let last =
            format!("{}{}", lasts[draw(9) as usize], ["", "s", "mann", "hof"][draw(4) as usize]);
        let street = format!("{} {} Street", 1 + draw(90), lasts[draw(9) as usize]);
        let (postcode, year) = (10_000 + draw(60), 1940 + draw(60));
        let born = format!("{year}-{:02}-{:02}", 1 + draw(12), 1 + draw(28));
        let end = format!("{street},{postcode},{born}");
        writeln!(rows, "a{number},{first},{last},{first}.{last}{number}@x.de,{end}").unwrap();
        writeln!(truth, "a{number},{number}").unwrap();
        if number % 3 == 0 {
            let typing_error = last.replacen('e', "", 1);
            writeln!(rows, "b{number},{first},{typing_error},,{end}").unwrap();
            writeln!(truth, "b{number},{number}").unwrap();
        }
    }
    (rows, truth)
}

fn project() -> Project {
    let (rows, truth) = people(PERSONS);
    Project::new(&[("syncline.yaml", CONFIG), ("people.csv", &rows), ("truth.csv", &truth)])
}

/// The pairs `aN` and `bN` that are in one shard.
fn found(project: &Project) -> Vec<u64> {
    let links = project.run(&["export", "links"]).out;
    let of = |id: String| {
        let line = links.lines().find(|line| line.starts_with(&format!("{id},")))?;
        line.split(',').nth(1)
    };
    let pairs = (0..PERSONS).step_by(3);
    pairs.filter(|n| of(format!("a{n}")) == of(format!("b{n}"))).collect()
}

#[test]
fn a_model_is_trained_tried_explained_and_decides() {
    let project = project();
    project.run(&["run"]).expect(2, &["is not trained yet", "syncline match train"]);
    project.run(&["match", "train"]).expect(0, &["person: trained, written to", "400"]);
    let model = std::fs::read_to_string(project.path("person.model.yaml")).unwrap();
    project.run(&["match", "train", "--output", "again.yaml"]).expect(0, &["again.yaml"]);
    assert_eq!(std::fs::read_to_string(project.path("again.yaml")).unwrap(), model);

    let quality = project.json(&["match", "eval", "--truth", "truth.csv", "--json"]);
    assert!(quality["pairs"]["f1"].as_f64().unwrap() > 0.97, "{quality}");
    let told = project.run(&["match", "eval", "--truth", "truth.csv"]);
    told.expect(0, &["clustered  precision", "true pairs lost"]);
    assert!(!project.path(".syncline").join("syncline.db").exists(), "the store is not touched");

    project.run(&["run"]).expect(0, &[]);
    let pairs = found(&project).len();
    assert!(pairs >= 97, "{pairs} of 100 pairs");
    project
        .run(&["match", "explain", "a3", "crm/contact/b3", "--svg", "why.svg"])
        .expect(0, &["model", "born"]);
    assert!(std::fs::read_to_string(project.path("why.svg")).unwrap().contains("<svg"));
    let explained = project.json(&["match", "explain", "a3", "b3", "--json"]);
    assert_eq!(
        (&explained["rules"][0]["rule"], &explained["rules"][0]["is_match"]),
        (&"model".into(), &true.into())
    );
    project.run(&["match", "explain", "a3", "nobody"]).expect(1, &["nobody"]);
}

#[test]
fn what_people_decide_holds_against_a_model() {
    let project = project();
    project.write(
        "syncline.yaml",
        &CONFIG.replace("      model:", "      merge: manual\n      model:"),
    );
    project.run(&["match", "train"]).expect(0, &[]);
    project.run(&["run"]).expect(0, &[]);
    assert_eq!(found(&project), [0_u64; 0], "a person is asked of every pair");
    let listed = project.json(&["review", "list", "--json"]);
    assert_eq!(listed["reviews"][0]["rule"], "model", "{listed}");
    let (a, b) = ("crm/contact:a3", "crm/contact:b3");
    project.run(&["review", "show", a, b]).expect(0, &["model"]);
    project.run(&["review", "merge", a, b, "--by", "eve"]).expect(0, &[]);
    assert_eq!(found(&project), [3]);

    // Two who have nothing in common are one person, because somebody says so; two who are alike are not.
    project.run(&["merge", "crm/contact:a1", "crm/contact:a2"]).expect(0, &[]);
    project.run(&["review", "apart", "crm/contact:a6", "crm/contact:b6"]).expect(0, &[]);
    project.write("syncline.yaml", CONFIG);
    project.run(&["run"]).expect(0, &["matched anew"]);
    let pairs = found(&project);
    assert!(pairs.len() >= 96 && pairs.contains(&3) && !pairs.contains(&6), "{pairs:?}");
    let links = project.run(&["export", "links"]).out;
    let of = |id: &str| links.lines().find(|l| l.starts_with(id)).unwrap().split(',').nth(1);
    assert_eq!(of("a1,"), of("a2,"));

    // A trial goes by what was decided, as a run does.
    let pairs_found = |project: &Project| {
        let tried = project.json(&["match", "eval", "--truth", "truth.csv", "--json"]);
        (tried["pairs"]["found"].as_u64().unwrap(), tried["pairs"]["right"].as_u64().unwrap())
    };
    let (found_now, right_now) = pairs_found(&project);
    let forget = |a, b| project.run(&["review", "forget", a, b]).expect(0, &[]);
    forget("crm/contact:a1", "crm/contact:a2");
    assert_eq!(pairs_found(&project), (found_now - 1, right_now));
    forget("crm/contact:a6", "crm/contact:b6");
    assert_eq!(pairs_found(&project), (found_now, right_now + 1));
    project.run(&["review", "apart", "crm/contact:a9", "crm/contact:b12"]).expect(0, &[]);
    let free =
        CONFIG.replace("    adapter: file\n", "    adapter: file\n    duplicate_free: true\n");
    project.write("syncline.yaml", &free);
    assert_eq!(pairs_found(&project).0, 1, "only what somebody said is the same");
    project.write("syncline.yaml", CONFIG);

    // A model that is trained anew matches what is stored anew, and decisions stand.
    project
        .run(&["match", "train", "--seed", "2", "--truth", "truth.csv"])
        .expect(0, &["5 pairs by people, learnt from"]);
    project.run(&["run"]).expect(0, &["matched anew"]);
    let pairs = found(&project);
    assert!(pairs.len() >= 96 && pairs.contains(&3) && pairs.contains(&6), "{pairs:?}");
}

/// The records of each shard, as sets.
fn shards(project: &Project) -> Vec<Vec<String>> {
    let links = project.run(&["export", "links"]).out;
    let mut shards = std::collections::BTreeMap::<&str, Vec<String>>::new();
    for line in links.lines().skip(1) {
        let mut cells = line.split(',');
        let (id, shard) = (cells.next().unwrap(), cells.next().unwrap());
        shards.entry(shard).or_default().push(id.to_owned());
    }
    let mut shards: Vec<_> = shards.into_values().collect();
    shards.iter_mut().for_each(|records| records.sort());
    shards.sort();
    shards
}

#[test]
fn a_model_that_learnt_from_few_records_is_fitted_to_many_whatever_their_batches() {
    let outgrown = "was trained on 400 records and is used for about 1,600";
    let (rows, truth) = people(1000);
    let at_once = project();
    at_once.run(&["match", "train"]).expect(0, &[]);
    at_once.write("people.csv", &rows);
    at_once.write("truth.csv", &truth);
    at_once.run(&["run"]).expect(0, &["matched anew", outgrown, "syncline match train"]);
    at_once.run(&["match", "explain", "a3", "b3"]).expect(0, &["among 1,600 records", outgrown]);
    at_once.run(&["match", "eval", "--truth", "truth.csv"]).expect(0, &[outgrown, "precision 1.0"]);
    // What was fitted once stays: nothing is left to be matched anew.
    let again = at_once.run(&["run", "--full"]);
    again.expect(0, &[outgrown]);
    assert!(!again.out.contains("matched anew"), "{}", again.out);

    let bit_by_bit = project();
    bit_by_bit.run(&["match", "train"]).expect(0, &[]);
    let few = bit_by_bit.run(&["run"]);
    assert!(!few.err.contains("was trained on"), "{}", few.err);
    for count in [420, 700, 1000] {
        bit_by_bit.write("people.csv", &people(count).0);
        bit_by_bit.run(&["run"]).expect(0, &[]);
    }
    assert_eq!(shards(&bit_by_bit), shards(&at_once));
    at_once.run(&["match", "train"]).expect(0, &[]);
    let fitted = at_once.run(&["run"]);
    fitted.expect(0, &["matched anew"]);
    assert!(!fitted.err.contains("was trained on"), "{}", fitted.err);
}

#[test]
fn a_broken_model_is_told_by_its_own_line() {
    let project = project();
    project.run(&["match", "train"]).expect(0, &[]);
    let model = std::fs::read_to_string(project.path("person.model.yaml")).unwrap();
    let line = model.lines().position(|line| line.starts_with("threshold")).unwrap() + 1;
    project.write("person.model.yaml", &model.replacen("threshold: ", "threshold: -", 1));
    let place = format!("person.model.yaml:{line}:12");
    project.run(&["check"]).expect(2, &[&place, "from 0 to 1", "syncline match train"]);
    project.write("person.model.yaml", &model);
    project.write("syncline.yaml", &CONFIG.replace(", born: date }", " }"));
    project.run(&["run"]).expect(2, &["syncline.yaml:11:", "other comparisons", "train it again"]);
    project.write("syncline.yaml", CONFIG);
    project.run(&["match", "train"]).expect(0, &[]);
    project.run(&["check"]).expect(0, &[]);
}

#[test]
fn what_is_typed_wrong_is_told_with_what_was_meant() {
    let project = project();
    project.run(&["match", "train", "--type", "persn"]).expect(2, &["did you mean `person`?"]);
    project.run(&["match", "train"]).expect(0, &[]);
    project.write("other.csv", "id,entity\nx1,1\nx2,1\n");
    let other = project.run(&["match", "eval", "--truth", "other.csv"]);
    other.expect(2, &["`other.csv` knows none of the 400 records", "`crm/contact/a0`"]);
    let args = ["match", "eval", "--truth", "truth.csv", "--type", "persn"];
    project.run(&args).expect(2, &["did you mean `person`?"]);
    project.run(&["run"]).expect(0, &[]);
    for (name, hint) in [
        ("crm/contcat:a3", "did you mean `crm/contact`?"),
        ("crm/contact:a3333", "there is no record `a3333` of `crm/contact`"),
        ("nobody", "name a record as `crm/contact:ID`"),
    ] {
        for command in [&["match", "explain"][..], &["review", "show"], &["merge"]] {
            project.run(&[command, &["a3", name]].concat()).expect(1, &[hint]);
        }
    }
    project.run(&["merge", "a3", "crm/contact/a3"]).expect(2, &["are one record"]);
    project.run(&["unmerge", "a3"]).expect(1, &["is a record, and no shard", "a3` takes"]);
    project.run(&["review", "show", "a3", "b3"]).expect(0, &["at first", "born"]);
}
