use super::features::{Features, prepare, sound};
use super::levels::{self, MISSING, level};
use super::*;
use crate::config::model::indexed::IndexedMap;
use crate::config::model::{FieldDef, FieldType, Kind, Matching, ShardType};
use crate::problem::ConfigPath;
use crate::shard::Layout;
use crate::value::Value;
use proptest::prelude::*;

fn features(kind: Kind, text: &str) -> Features {
    Features::collect(1, |_, add| {
        let mut scratch = String::new();
        let (feature, text) = prepare(kind, text, &mut scratch).unwrap();
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
        (Kind::Name, "Jane Smith", "Smith, Jane", "same words"),
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
        let got = level(kind, &one.of(0).next().unwrap(), &other.of(0).next().unwrap());
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
    let fields = FIELDS.map(|(name, _)| (name.to_owned(), FieldDef::Short(FieldType::Text)));
    let shard_type = ShardType { fields: IndexedMap(fields.to_vec()), ..ShardType::default() };
    let compare = FIELDS.map(|(name, kind)| (name.to_owned(), kind));
    let matching = Matching {
        model: Some("m.yaml".to_owned()),
        compare: IndexedMap(compare.to_vec()),
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
    assert_eq!(ModelFile::parse(&text).unwrap(), file);
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
fn labels_are_believed() {
    let people = people();
    let mut trainer = Trainer::new(declaration(), 1);
    people.iter().for_each(|(name, image)| trainer.add(name, image));
    let none = trainer.train(&|_, _| Some(false)).unwrap().file;
    assert!(none.same_pairs < 2.0, "{}", none.same_pairs);
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
    assert!(ModelFile::parse("syncline_model: 1").is_err());
    assert!(
        ModelFile::parse(&file.to_yaml().replace("syncline_model: 1", "syncline_model: 9"))
            .is_err()
    );
    assert!(Trainer::new(declaration(), 1).train(&|_, _| None).is_err());
}

proptest! {
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
