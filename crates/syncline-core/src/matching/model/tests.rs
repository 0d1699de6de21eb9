use super::features::{Features, normaliser, prepare, sound};
use super::levels::{self, MISSING, level};
use super::*;
use crate::config::model::indexed::IndexedMap;
use crate::config::model::{FieldDef, FieldType, Kind, Matching, ShardType};
use crate::problem::ConfigPath;
use crate::shard::Layout;
use crate::value::Value;
use proptest::prelude::*;
use std::sync::LazyLock;

fn features(kind: Kind, text: &str) -> Features {
    Features::collect(1, |_, add| {
        let mut scratch = String::new();
        let (feature, text) = prepare(kind, normaliser(kind), text, &mut scratch).unwrap();
        add(feature, text);
    })
}

#[test]
fn levels_of_known_pairs() {
    for (kind, a, b, expected) in [
        (Kind::GivenName, "Robert", "ROBERT", "same"),
        (Kind::GivenName, "Robert", "Bob", "nickname"),
        (Kind::GivenName, "Robert", "Robrt", "one letter off"),
        (Kind::GivenName, "Robert", "R.", "initial"),
        (Kind::GivenName, "Robert", "Alice", "other"),
        (Kind::FamilyName, "Müller", "Mueller", "one letter off"),
        (Kind::FamilyName, "Schmidt", "Schmitt", "one letter off"),
        (Kind::FamilyName, "Philips", "Filipz", "sounds alike"),
        (Kind::FamilyName, "Jones", "Smith", "other"),
        (Kind::Name, "Jane Smith", "Smith, Jane", "same"),
        (Kind::Name, "Jane Smith", "Smith Jane", "same words"),
        (Kind::FamilyName, "Хрущёв", "Khrushchev", "same"),
        (Kind::Email, "a.b@x.com", "a.b@gmx.de", "same name, other domain"),
        (Kind::Email, "anna@x.com", "anma@x.com", "alike"),
        (Kind::Email, "info@x.com", "info@x.com", "shared"),
        (Kind::Phone, "+44 20 7946 0958", "020 7946 0958", "same"),
        (Kind::Phone, "020 7946 0958", "020 7946 0959", "one digit off"),
        (Kind::Company, "Acme Ltd", "ACME", "same"),
        (Kind::Address, "5 Main St", "5 Main Street", "same"),
        (Kind::Address, "5 Main St", "7 Main Street", "same street"),
        (Kind::Postcode, "SW1A 1AA", "sw1a1aa", "same"),
        (Kind::Postcode, "12345", "12399", "same area"),
        (Kind::Date, "1980-03-04", "1980-04-03", "day and month swapped"),
        (Kind::Date, "1980-03-04", "1990-03-04", "one digit off"),
        (Kind::Date, "1980-03-04", "1980-11-22", "same year"),
        (Kind::Number, "100", "101", "near"),
        (Kind::Exact, "a1", "a2", "other"),
    ] {
        let (one, other) = (features(kind, a), features(kind, b));
        let got =
            level(kind, &one.view().of(0).next().unwrap(), &other.view().of(0).next().unwrap());
        assert_ne!(got, MISSING, "{kind:?} {a} {b}");
        assert_eq!(levels::names(kind)[usize::from(got) - 1], expected, "{kind:?} {a} {b}");
    }
}

#[test]
fn names_that_sound_alike_share_a_code() {
    for (a, b, expected) in [
        ("philip", "filip", true),
        ("schmidt", "smit", true),
        ("catherine", "katherine", true),
        ("knight", "night", true),
        ("jones", "smith", false),
        ("", "smith", false),
    ] {
        assert_eq!(sound(a) == sound(b), expected, "{a} {b}");
    }
}

const FIELDS: [(&str, Kind); 5] = [
    ("first", Kind::GivenName),
    ("last", Kind::FamilyName),
    ("email", Kind::Email),
    ("street", Kind::Address),
    ("born", Kind::Date),
];

fn declaration() -> Arc<Declaration> {
    declaration_of(&FIELDS)
}

fn declaration_of(fields: &[(&str, Kind)]) -> Arc<Declaration> {
    let texts =
        fields.iter().map(|(name, _)| (String::from(*name), FieldDef::Short(FieldType::Text)));
    let shard_type = ShardType { fields: IndexedMap(texts.collect()), ..ShardType::default() };
    let compare = fields.iter().map(|(name, kind)| (String::from(*name), *kind));
    let matching = Matching {
        model: Some("m.yaml".to_owned()),
        compare: IndexedMap(compare.collect()),
        ..Matching::default()
    };
    let layout = Layout::new("person", &shard_type);
    Arc::new(declare(&layout, &matching, &ConfigPath::root()).unwrap().unwrap())
}

/// Made-up persons: every fourth one comes twice, with another spelling of the family name.
fn people() -> Vec<(String, Vec<Cell>)> {
    let first = ["Anna", "Bob", "Carla", "Dirk", "Eva", "Frank", "Gina"];
    let last = ["Adler", "Brandt", "Conrad", "Dorn", "Engel", "Fuchs", "Graf", "Huber", "Iversen"];
    let mut people = Vec::new();
    for i in 0..400_usize {
        let (a, b) = (first[i * 5 % 7], last[i * 7 % 9]);
        let email = format!("{a}.{b}{i}@mail.org").to_lowercase();
        let street = format!("{} Long Street {}", i % 60, i / 3);
        let born = format!("{}-{:02}-{:02}", 1940 + i % 60, i % 12 + 1, i % 27 + 1);
        let image = |last: &str| {
            [a, last, &email, &street, &born].map(|text| Some(Value::text(text))).to_vec()
        };
        people.push((format!("p/{i}"), image(b)));
        if i % 4 == 0 {
            people.push((format!("q/{i}"), image(&format!("{b}t"))));
        }
    }
    people
}

fn trained(people: &[(String, Vec<Cell>)]) -> ModelFile {
    let mut trainer = Trainer::new(declaration(), 1);
    people.iter().for_each(|(name, image)| trainer.add(name, image));
    trainer.train(&|_, _| None).unwrap().file
}

#[test]
fn a_model_finds_duplicates_without_labels_and_its_file_says_all_of_it() {
    let people = people();
    let file = trained(&people);
    assert!((90.0..=110.0).contains(&file.same_pairs), "{}", file.same_pairs);
    let mut reversed = people.clone();
    reversed.reverse();
    assert_eq!(file, trained(&reversed), "order makes no difference");
    let text = file.to_yaml();
    assert_eq!(ModelFile::read("m.yaml", text).unwrap(), file);
    let model = Model::compile(declaration(), &file).unwrap();
    let at = |name: &str| {
        let (_, image) = people.iter().find(|(known, _)| known == name).unwrap();
        model.prepare(image)
    };
    let (a, b, other) = (at("p/4"), at("q/4"), at("p/5"));
    let probability = model.probability(&a, &b, 0.0).unwrap();
    assert!(probability > 0.99, "{probability}");
    assert_eq!(model.probability(&b, &a, 0.0), Some(probability));
    assert!(model.probability(&a, &other, 0.01).is_none());
    assert!(model.keys(&a).iter().any(|key| model.keys(&b).contains(key)));
    let story = model.explain(&a, &b);
    let sum: f64 = story.comparisons.iter().map(|row| row.weight).sum();
    assert!((story.prior + sum + story.alternative - story.total).abs() < 1e-6);
    assert_eq!(story.comparisons[1].level, "one letter off");
}

#[test]
fn a_model_follows_the_number_of_records() {
    let file = trained(&people());
    let model = Model::compile(declaration(), &file).unwrap();
    assert!(model.for_records(600).is_none(), "500 were learnt from");
    assert!(model.for_records(0).is_none(), "an empty store tells nothing");
    let large = model.for_records(8_000).unwrap();
    assert_eq!((large.records(), large.trained_on()), (8_000, 500));
    // As if it had been trained on sixteen times as many records, sixteen times as many of which are the same.
    let mut grown = file.clone();
    grown.records *= 16;
    grown.same_pairs *= 16.0;
    for (name, alternative) in &mut grown.alternatives.0 {
        alternative.pairs *= if name == "namesake" { 256.0 } else { 16.0 };
    }
    let grown = Model::compile(declaration(), &grown).unwrap();
    let people = people();
    for (_, a) in people.iter().take(40) {
        for (_, b) in people.iter().take(40) {
            let of = |model: &Model| {
                let (a, b) = (model.prepare(a), model.prepare(b));
                (model.keys(&a), model.explain(&a, &b).probability)
            };
            let (ours, theirs) = (of(&large), of(&grown));
            assert_eq!(ours.0, theirs.0);
            assert!((ours.1 - theirs.1).abs() < 0.01, "{ours:?} {theirs:?}");
        }
    }
    // From whatever size it comes, a size is the same.
    assert_eq!(
        large
            .for_records(300)
            .unwrap()
            .explain(&large.prepare(&people[0].1), &large.prepare(&people[1].1))
            .prior,
        model.explain(&model.prepare(&people[0].1), &model.prepare(&people[1].1)).prior
    );
}

#[test]
fn labels_are_believed() {
    let people = people();
    let mut trainer = Trainer::new(declaration(), 1);
    people.iter().for_each(|(name, image)| trainer.add(name, image));
    let none = trainer.train(&|_, _| Some(false)).unwrap().file;
    assert!(none.same_pairs < 2.0, "{}", none.same_pairs);
}

#[test]
fn what_people_decided_is_learnt_from() {
    let people = people();
    let with = |decisions: &[(String, String, bool)]| {
        let mut trainer = Trainer::new(declaration(), 1);
        decisions.iter().for_each(|(a, b, is_same)| trainer.decide(a, b, *is_same));
        people.iter().for_each(|(name, image)| trainer.add(name, image));
        trainer.train(&|_, _| None).unwrap()
    };
    let level = |trained: &Trained, field: usize, name: &str| {
        let levels = &trained.file.compare.0[field].1.levels.0;
        levels.iter().find(|(known, _)| known == name).unwrap().1[0]
    };
    let none = with(&[]);
    assert_eq!(none.decided, 0);
    // The same, says somebody, though the given name is another one and no key is shared.
    let moved: Vec<_> =
        (1..40).map(|i| (format!("p/{}", i * 4 + 1), format!("p/{}", i * 4 + 2), true)).collect();
    let same = with(&moved);
    assert_eq!(same.decided, 39);
    let (before, after) = (level(&none, 0, "other"), level(&same, 0, "other"));
    assert!(after > before + 0.1, "{before} {after}");
    assert!((same.file.same_pairs / none.file.same_pairs - 1.0).abs() < 0.2, "chosen, not drawn");
    // All that looked the same is not: nothing is left that agrees.
    let apart: Vec<_> =
        (0..100).map(|i| (format!("q/{}", i * 4), format!("p/{}", i * 4), false)).collect();
    let apart = with(&apart);
    assert!(apart.file.same_pairs < none.file.same_pairs / 4.0, "{}", apart.file.same_pairs);
    let unknown = with(&[("p/0".to_owned(), "elsewhere/1".to_owned(), true)]);
    assert_eq!((unknown.decided, unknown.file), (0, none.file));
}

#[test]
fn a_file_that_does_not_fit_is_refused() {
    let file = trained(&people());
    let mut other = file.clone();
    other.compare.0.pop();
    assert!(Model::compile(declaration(), &other).is_err());
    let mut other = file.clone();
    other.threshold = 1.5;
    assert!(Model::compile(declaration(), &other).is_err());
    assert!(Trainer::new(declaration(), 1).train(&|_, _| None).is_err());
}

#[test]
fn what_is_wrong_with_a_file_is_told_by_line_and_column() {
    let good = trained(&people()).to_yaml();
    let line = |text: &str| good.lines().position(|line| line.starts_with(text)).unwrap() + 1;
    let at = |text: &str| format!("m.yaml:{}:", line(text));
    for (what, with, place, message) in [
        ("syncline_model: 1", "syncline_model: 9", at("syncline_model"), "form 9"),
        ("threshold: ", "threshold: 1", at("threshold"), "from 0 to 1, found 10."),
        ("records:", "record:", at("records"), "unknown field `record`"),
        ("threshold: ", "threshold: x", at("threshold"), "expected"),
        ("threshold: ", "thresh: ", at("threshold"), "thresh"),
        ("  born:", "  born: [", String::new(), "expected"),
        ("    kind: date", "    kind: dat", at("    kind: date"), "dat"),
        (
            "      nickname: [",
            "      nick: [",
            at("      nickname"),
            "no level `nick`; there are same",
        ),
        ("      nickname: [", "      nickname: [7", at("      nickname"), "found 70."),
        ("      {last", "      {lst", String::new(), "`lst` is not compared"),
    ] {
        let text = good.replacen(what, with, 1);
        assert_ne!(text, good, "{what}");
        let told = ModelFile::read("m.yaml", text).unwrap_err().to_string();
        assert!(told.contains(&place) && told.contains(message), "{what}: {told}");
        assert!(told.contains("syncline match train"), "{told}");
    }
    assert!(ModelFile::read("m.yaml", "syncline_model: 1".to_owned()).is_err());
}

/// For each kind some values, among them such as are nearly equal, stand for each other, or prove nothing.
const VALUES: [(&str, Kind, &[&str]); 13] = [
    ("first", Kind::GivenName, &["Robert", "Bob", "Robrt", "R.", "Anna", "Anna Maria", "Miller"]),
    ("last", Kind::FamilyName, &["Miller", "Müller", "Miler", "Anna", "Smith", "Robert", "Jones"]),
    ("name", Kind::Name, &["Bob Miller", "Miller, Bob", "Bob Miler", "Bob Q. Miller", "Ann Jones"]),
    ("email", Kind::Email, &["bob@x.com", "bob@y.org", "bobb@x.com", "info@x.com", "a.lee@x.com"]),
    ("phone", Kind::Phone, &["020 7946 0958", "020 7946 0959", "+44 20 7946 0958", "555 1234"]),
    ("company", Kind::Company, &["Acme Ltd", "ACME", "Acme Steel", "Acne", "Wolf and Sons"]),
    (
        "street",
        Kind::Address,
        &["5 Main St", "5 Main Street", "7 Main St", "5 Maine St", "1 Oak Rd"],
    ),
    ("city", Kind::Place, &["Salem", "Salam", "New Salem", "Dover"]),
    ("postcode", Kind::Postcode, &["12345", "12346", "12399", "98765", "SW1A 1AA"]),
    ("born", Kind::Date, &["1980-03-04", "1980-04-03", "1990-03-04", "1980-11-22", "1955-05-05"]),
    ("note", Kind::Text, &["likes tea", "likes teas", "likes trees", "none"]),
    ("code", Kind::Exact, &["a", "b", "c"]),
    ("size", Kind::Number, &["100", "101", "7", "no number"]),
];

fn values_model() -> &'static Model {
    static MODEL: LazyLock<Model> = LazyLock::new(|| {
        let declaration = declaration_of(&VALUES.map(|(name, kind, _)| (name, kind)));
        let mut trainer = Trainer::new(declaration.clone(), 1);
        for i in 0..200_usize {
            // Half of them come twice, with one value less.
            let values = VALUES.iter().enumerate().map(|(field, (.., values))| {
                let value = values[(i / 2 * 7 + i / 2 / (field + 1)) % values.len()];
                (i % 4 != 1 || i % 13 != field).then(|| Value::text(value))
            });
            trainer.add(&format!("p/{i}"), &values.collect::<Vec<Cell>>());
        }
        Model::compile(declaration, &trainer.train(&|_, _| None).unwrap().file).unwrap()
    });
    &MODEL
}

/// A record of these values: of each field none, one, or a list of two.
fn record() -> impl Strategy<Value = Vec<Cell>> {
    let cells: Vec<_> = VALUES
        .iter()
        .map(|(.., values)| {
            let one = proptest::sample::select(*values);
            let two = (one.clone(), one.clone());
            prop_oneof![
                2 => Just(None),
                8 => one.prop_map(|text| Some(Value::text(text))),
                1 => two.prop_map(|(a, b)| Some(Value::List(vec![Value::text(a), Value::text(b)]))),
            ]
        })
        .collect();
    cells
}

proptest! {
    #[test]
    fn what_is_refused_early_would_not_have_reached_the_line(
        a in record(),
        b in record(),
        same in proptest::collection::vec(any::<bool>(), VALUES.len()),
        line in 0.001..0.999_f64,
    ) {
        let model = values_model();
        // Else hardly any two would be alike.
        let pairs = a.iter().zip(b).zip(same);
        let b: Vec<Cell> = pairs.map(|((a, b), same)| if same { a.clone() } else { b }).collect();
        let (a, b) = (model.prepare(&a), model.prepare(&b));
        let pattern = model.declaration.pattern(&a, &b);
        let whole = model.weights.probability(&model.declaration, &pattern);
        for line in [line, 0.0, model.review, model.threshold, 0.9] {
            let line_met = line.clamp(1e-9, 1.0 - 1e-9);
            let expected = (whole >= line_met).then_some(whole);
            prop_assert_eq!(model.probability(&a, &b, line), expected);
            prop_assert_eq!(model.probability(&b, &a, line).is_some(), expected.is_some());
        }
    }

    #[test]
    fn any_values_can_be_compared_and_order_makes_no_difference(
        a in proptest::collection::vec(any::<String>(), 5),
        b in proptest::collection::vec("[a-c1-3@. -]{0,8}", 5),
    ) {
        let file = trained(&people()[..60]);
        let model = Model::compile(declaration(), &file).unwrap();
        let image = |texts: &[String]| -> Vec<Cell> {
            texts.iter().map(|text| Some(Value::text(text))).collect()
        };
        let (a, b) = (model.prepare(&image(&a)), model.prepare(&image(&b)));
        let (whole, other) = (model.probability(&a, &b, 0.0), model.probability(&b, &a, 0.0));
        let (whole, other) = (whole.unwrap_or(0.0), other.unwrap_or(0.0));
        prop_assert!((whole - other).abs() < 1e-9, "{} {}", whole, other);
        prop_assert!((0.0..=1.0).contains(&whole));
        // What is refused early would not have reached the line either.
        if let Some(early) = model.probability(&a, &b, 0.3) {
            prop_assert_eq!(early, whole);
        } else {
            prop_assert!(whole < 0.3);
        }
        model.keys(&a);
    }
}
