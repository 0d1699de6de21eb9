use super::*;
use crate::config::model::{
    BlockPart, BlockSpec, Comparator, Comparison, FieldDef, FieldType, MatchRule, Matching,
    Missing, Normaliser, Phonetic,
};
use proptest::prelude::*;

const FIELDS: [&str; 7] = ["email", "name", "last_name", "postcode", "phone", "age", "tags"];

fn shard_type(identity: &[&str], rules: Vec<MatchRule>) -> ShardType {
    let mut shard_type = ShardType::default();
    for name in FIELDS {
        shard_type.fields.0.push((name.to_owned(), FieldDef::Short(FieldType::Text)));
    }
    shard_type.identity = identity.iter().map(|&name| name.to_owned()).collect();
    shard_type.matching = Some(Matching { rules, ..Matching::default() });
    shard_type
}

fn compile(shard_type: &ShardType) -> Result<Matcher, Vec<Problem>> {
    let layout = Arc::new(Layout::new("contact", shard_type));
    let path = ConfigPath::root().key("shard_types").key("contact");
    Matcher::compile(&layout, shard_type, &path)
}

fn matcher(rules: Vec<MatchRule>) -> Matcher {
    compile(&shard_type(&[], rules)).unwrap()
}

fn compared(field: &str, by: Comparator, weight: f64) -> Comparison {
    Comparison {
        field: field.to_owned(),
        by,
        normalise: None,
        weight,
        min: 0.0,
        missing: Missing::Skip,
    }
}

fn rule(name: &str, threshold: f64, block: Vec<BlockPart>, compare: Vec<Comparison>) -> MatchRule {
    MatchRule { name: name.to_owned(), block, compare, threshold, review: None }
}

fn field(name: &str) -> BlockPart {
    BlockPart::Field(name.to_owned())
}

fn part(name: &str, normalise: Option<Normaliser>, phonetic: Option<Phonetic>) -> BlockPart {
    BlockPart::Full(BlockSpec {
        field: name.to_owned(),
        normalise,
        phonetic,
        ..BlockSpec::default()
    })
}

fn image(values: &[(&str, &str)]) -> Vec<Cell> {
    let cell = |name| values.iter().find(|v| v.0 == name).map(|v| Value::text(v.1));
    FIELDS.iter().map(|name| cell(*name)).collect()
}

fn keys(matcher: &Matcher, image: &[Cell]) -> Vec<BlockKey> {
    let mut out = vec![BlockKey { hash: 1, rule: 9 }];
    matcher.keys(image, &mut out);
    out
}

fn share_a_key(matcher: &Matcher, a: &[Cell], b: &[Cell]) -> bool {
    let of_b = keys(matcher, b);
    keys(matcher, a).iter().any(|key| of_b.contains(key))
}

/// The contact rules of the benchmark: exact e-mail, fuzzy name in a block, exact phone.
fn contact_rules() -> Vec<MatchRule> {
    let by = |field: &str, normalise| Comparison {
        normalise: Some(normalise),
        ..compared(field, Comparator::Exact, 1.0)
    };
    vec![
        rule("email", 1.0, vec![], vec![by("email", Normaliser::Email)]),
        rule(
            "name",
            0.8,
            vec![
                part("postcode", Some(Normaliser::Alphanumeric), None),
                part("last_name", Some(Normaliser::Name), Some(Phonetic::DoubleMetaphone)),
            ],
            vec![
                compared("name", Comparator::JaroWinkler, 0.6),
                compared("last_name", Comparator::Levenshtein, 0.4),
            ],
        ),
        rule("phone", 1.0, vec![], vec![by("phone", Normaliser::Phone)]),
    ]
}

#[test]
fn duplicates_of_the_specification_are_found_exactly_and_fuzzily() {
    let fuzzy = rule(
        "email and name",
        0.8,
        vec![part("email", Some(Normaliser::Email), None)],
        vec![
            Comparison {
                normalise: Some(Normaliser::Email),
                ..compared("email", Comparator::Levenshtein, 0.6)
            },
            Comparison {
                normalise: Some(Normaliser::Name),
                ..compared("name", Comparator::JaroWinkler, 0.4)
            },
        ],
    );
    let matcher = matcher(vec![fuzzy]);
    let fetched = image(&[("email", "jane@company.com"), ("name", "Jane Smith")]);
    let shard_1 = image(&[("email", "jane@company.com"), ("name", "Jane Smith")]);
    let shard_2 = image(&[("email", "Jane@Company.com"), ("name", "Jane M.")]);
    let other = image(&[("email", "john@company.com"), ("name", "Jane Smith")]);
    assert!(share_a_key(&matcher, &fetched, &shard_1));
    assert!(share_a_key(&matcher, &fetched, &shard_2));
    assert!(!share_a_key(&matcher, &fetched, &other));
    assert_eq!(matcher.compare(&fetched, &shard_1, 1), Some(SURE));
    let second = matcher.compare(&fetched, &shard_2, 1).unwrap();
    assert!(second.score > 0.9 && second.score < 1.0, "{second:?}");

    let name = |id| ("c", "contact", id);
    let nodes = [(3, "50"), (1, "shard_1"), (2, "shard_2")].map(|(id, key)| ClusterNode {
        id,
        system: 0,
        name: name(key),
    });
    let edges =
        [(3, 1, 1.0), (3, 2, second.score)].map(|(a, b, score)| ClusterEdge { a, b, score });
    assert_eq!(cluster(&nodes, &edges, &[], &[], matcher.cluster_max()), [vec![1, 2, 3]]);
    let source = |image, stamp, id| Source { image, stamp, priority: 0, name: name(id) };
    let sources =
        [source(&shard_1, 1, "shard_1"), source(&shard_2, 2, "shard_2"), source(&fetched, 3, "50")];
    let (merged, from) = survive(matcher.strategy(), &sources, FIELDS.len());
    assert_eq!(merged, fetched);
    assert_eq!(&from[..2], [Some(2), Some(2)]);
}

#[test]
fn keys_meet_where_normal_forms_do() {
    let matcher = matcher(contact_rules());
    let a = image(&[
        ("email", "Jane.Smith+x@gmail.com"),
        ("last_name", "Schmidt"),
        ("postcode", "SW1 1AA"),
        ("phone", "+44 20 7946 0958"),
    ]);
    let b = image(&[
        ("email", "janesmith@googlemail.com"),
        ("last_name", "Schmitt"),
        ("postcode", "sw11aa"),
        ("phone", "020 7946 0958"),
    ]);
    assert_eq!(keys(&matcher, &a).len(), 3);
    assert_eq!(keys(&matcher, &a), keys(&matcher, &b));
}

#[test]
fn a_blank_part_gives_no_key() {
    let matcher = matcher(contact_rules());
    for values in [
        vec![],
        vec![("email", ""), ("phone", " "), ("postcode", "1")],
        vec![("last_name", "123"), ("postcode", "1")],
        vec![("last_name", "Smith"), ("postcode", "--"), ("phone", "n/a")],
    ] {
        assert_eq!(keys(&matcher, &image(&values)), [], "{values:?}");
    }
    let mut nulls = image(&[]);
    nulls[0] = Some(Value::Null);
    assert_eq!(keys(&matcher, &nulls), []);
    assert_eq!(keys(&matcher, &[]), []);
}

#[test]
fn keys_depend_on_recipe_and_shard_type_and_not_on_the_rules_name() {
    let exact =
        |name: &str, block| rule(name, 1.0, block, vec![compared("email", Comparator::Exact, 1.0)]);
    let a = image(&[("email", "x"), ("name", "x")]);
    let same = matcher(vec![
        exact("one", vec![field("email"), field("name")]),
        exact("two", vec![field("name"), field("email"), field("name")]),
        exact("three", vec![field("email")]),
    ]);
    let of = |rule| move |key: &&BlockKey| key.rule == rule;
    let all = keys(&same, &a);
    let hash = |rule| all.iter().find(of(rule)).unwrap().hash;
    assert_eq!(hash(0), hash(1));
    assert_ne!(hash(0), hash(2));
    assert!(all.is_sorted());
    let shard_type = shard_type(&[], vec![exact("three", vec![field("email")])]);
    let layout = Arc::new(Layout::new("person", &shard_type));
    let person = Matcher::compile(&layout, &shard_type, &ConfigPath::root()).unwrap();
    assert_ne!(keys(&person, &a)[0].hash, hash(2));
    // The parts' values must not run into each other.
    let b = image(&[("email", "ab"), ("name", "c")]);
    let c = image(&[("email", "a"), ("name", "bc")]);
    assert!(!share_a_key(&same, &b, &c));
}

#[test]
fn stored_keys_stay_valid() {
    let matcher = matcher(contact_rules());
    let a = image(&[("email", "jane@company.com"), ("last_name", "Smith"), ("postcode", "1")]);
    let found: Vec<(u16, u64)> =
        keys(&matcher, &a).iter().map(|key| (key.rule, key.hash)).collect();
    assert_eq!(found, [(0, 0x4f8c_a24c_6471_1423), (1, 0x835e_1547_4ef8_9f80)]);
}

#[test]
fn a_prefix_cuts_the_key() {
    let mut cut = part("name", None, None);
    if let BlockPart::Full(spec) = &mut cut {
        spec.prefix = Some(3);
    }
    let compare = vec![compared("name", Comparator::Levenshtein, 1.0)];
    let matcher = matcher(vec![rule("r", 0.8, vec![cut], compare)]);
    let of = |name| image(&[("name", name)]);
    assert!(share_a_key(&matcher, &of("Łukasz"), &of("lukewarm")));
    assert!(!share_a_key(&matcher, &of("Łukasz"), &of("lupe")));
}

#[test]
fn lists_meet_at_their_best_pair() {
    let matcher =
        matcher(vec![rule("tags", 1.0, vec![], vec![compared("tags", Comparator::Exact, 1.0)])]);
    let of = |items: Vec<Value>| {
        let mut image = image(&[]);
        image[6] = Some(Value::List(items));
        image
    };
    let a = of(vec![Value::text("a"), Value::text("B"), Value::Null, Value::Int(7)]);
    assert_eq!(keys(&matcher, &a).len(), 3);
    for (b, is_same) in [
        (of(vec![Value::text("x"), Value::text("b")]), true),
        (of(vec![Value::text("7")]), true),
        (image(&[("tags", "A")]), true),
        (of(vec![Value::text("x")]), false),
        (of(vec![Value::Null]), false),
        (of(vec![]), false),
    ] {
        assert_eq!(share_a_key(&matcher, &a, &b), is_same);
        assert_eq!(matcher.compare(&a, &b, 1).is_some(), is_same);
    }
    let many = of((0..100_000).map(Value::Int).collect());
    assert_eq!(keys(&matcher, &many).len(), 20);
}

#[test]
fn numbers_and_booleans_compare_by_their_plain_text() {
    let matcher = matcher(vec![rule(
        "age",
        0.8,
        vec![field("tags")],
        vec![compared("age", Comparator::Numeric, 1.0)],
    )]);
    let of = |tag: Value, age: Value| {
        let mut image = image(&[]);
        (image[5], image[6]) = (Some(age), Some(tag));
        image
    };
    let a = of(Value::Bool(true), Value::Int(100));
    let b = of(Value::text("TRUE"), Value::text("99.0"));
    assert!(share_a_key(&matcher, &a, &b));
    let score = matcher.compare(&a, &b, 1).unwrap().score;
    assert!((score - 0.9).abs() < 1e-6);
    assert_eq!(matcher.compare(&a, &of(Value::Int(1), Value::Null), 1), None);
}

#[test]
fn missing_sides_are_skipped_or_differ() {
    let with = |missing| {
        let email = Comparison { missing, ..compared("email", Comparator::Exact, 0.5) };
        let name = compared("name", Comparator::Exact, 0.5);
        matcher(vec![rule("r", 0.5, vec![field("phone")], vec![email, name])])
    };
    let full = image(&[("email", "e"), ("name", "n")]);
    let half = image(&[("name", "n")]);
    let none = image(&[("phone", "1")]);
    let score = |m: &Matcher, a: &[Cell], b: &[Cell]| m.compare(a, b, 1).map(|pair| pair.score);
    assert_eq!(score(&with(Missing::Skip), &full, &half), Some(1.0));
    assert_eq!(score(&with(Missing::Differ), &full, &half), Some(0.5));
    assert_eq!(score(&with(Missing::Skip), &full, &none), None);
    assert_eq!(score(&with(Missing::Differ), &none, &none), None);
}

#[test]
fn the_best_rule_of_the_mask_wins_and_the_first_of_equals() {
    let matcher = matcher(contact_rules());
    let a = image(&[
        ("email", "a@x.com"),
        ("name", "Jane Smith"),
        ("last_name", "Smith"),
        ("phone", "555 123 4567"),
    ]);
    let b = image(&[
        ("email", "A@X.com"),
        ("name", "Jane Smyth"),
        ("last_name", "Smyth"),
        ("phone", "+1 555 123 4567"),
    ]);
    let best = |rules| matcher.compare(&a, &b, rules).map(|pair| pair.rule);
    assert_eq!(best(u64::MAX), Some(0));
    assert_eq!(best(0b110), Some(2));
    assert_eq!(best(0b010), Some(1));
    assert_eq!(best(0b1000), None);
    assert_eq!(best(0), None);
    assert_eq!(matcher.rule_name(1), "name");
    assert_eq!(matcher.rule_name(3), "");
}

#[test]
fn weights_that_floats_cannot_hold_still_reach_the_threshold() {
    let compare = vec![
        compared("email", Comparator::Exact, 0.1),
        compared("name", Comparator::Exact, 0.7),
        compared("phone", Comparator::Exact, 0.2),
    ];
    let matcher = matcher(vec![rule("r", 0.8, vec![], compare)]);
    let a = image(&[("email", "e"), ("name", "n"), ("phone", "1")]);
    let b = image(&[("email", "e"), ("name", "n"), ("phone", "2")]);
    assert!(matcher.compare(&a, &b, 1).is_some());
}

/// What the first rule says of equal records.
const SURE: PairScore = PairScore { score: 1.0, rule: 0, zone: Zone::Match };

#[test]
fn a_score_between_the_review_line_and_the_threshold_asks_a_person() {
    let by_name = |name: &str, threshold, review| {
        let compare = vec![compared("name", Comparator::Levenshtein, 1.0)];
        MatchRule { review, ..rule(name, threshold, vec![field("email")], compare) }
    };
    let of = |name| image(&[("name", name), ("email", "e")]);
    let (base, near, far, other) = (of("abcdefghij"), of("abcdefghix"), of("abcdefgxyz"), of("x"));
    let zone = |matcher: &Matcher, b: &[Cell], rules| {
        matcher.compare(&base, b, rules).map(|pair| (pair.zone, pair.rule))
    };
    let asking = matcher(vec![by_name("strict", 0.9, Some(0.6)), by_name("lax", 0.7, None)]);
    assert_eq!(zone(&asking, &near, 0b01), Some((Zone::Match, 0)));
    assert_eq!(zone(&asking, &far, 0b01), Some((Zone::Review, 0)));
    assert_eq!(zone(&asking, &other, 0b01), None);
    assert_eq!(zone(&asking, &far, 0b11), Some((Zone::Match, 1)), "a match outdoes a question");
    let mut all = shard_type(&[], vec![by_name("strict", 0.9, None)]);
    all.matching.as_mut().unwrap().merge = MergeStrategy::Manual;
    let manual = compile(&all).unwrap();
    assert_eq!(zone(&manual, &near, 1), Some((Zone::Review, 0)));
    assert_eq!(zone(&manual, &far, 1), None);
    for (threshold, review) in [(0.5, 0.6), (0.9, 1.5), (0.9, -0.1)] {
        let wrong = compile(&shard_type(&[], vec![by_name("r", threshold, Some(review))]));
        assert!(wrong.is_err(), "{threshold} {review}");
    }
}

#[test]
fn identity_is_a_first_rule() {
    let matcher = compile(&shard_type(&["email", "name"], contact_rules())).unwrap();
    assert_eq!(matcher.rule_name(0), "identity");
    assert_eq!(matcher.rule_name(1), "email");
    let a = image(&[("email", "E"), ("name", "N")]);
    let b = image(&[("email", "e "), ("name", "ń")]);
    assert!(share_a_key(&matcher, &a, &b));
    assert_eq!(matcher.compare(&a, &b, 1), Some(SURE));
    assert_eq!(matcher.compare(&a, &image(&[("email", "e")]), 1), None);
    assert!(compile(&ShardType::default()).unwrap().is_empty());
    assert_eq!(compile(&ShardType::default()).unwrap().block_max(), 50);
}

#[test]
fn an_explanation_shows_the_whole_waterfall() {
    let matcher = matcher(contact_rules());
    let a = image(&[("name", "Jane Smith"), ("last_name", "Smith"), ("phone", "12")]);
    let b = image(&[("name", "Jane Smyth"), ("last_name", "SMITH")]);
    let explained = matcher.explain(&a, &b, 0b110);
    insta::assert_json_snapshot!(explained, @r#"
    [
      {
        "rule": "name",
        "score": 0.976,
        "threshold": 0.8,
        "review": 0.8,
        "is_match": true,
        "comparisons": [
          {
            "field": "name",
            "by": "jaro_winkler",
            "normalise": "text",
            "left": "jane smith",
            "right": "jane smyth",
            "similarity": 0.96,
            "weight": 0.6,
            "contribution": 0.576
          },
          {
            "field": "last_name",
            "by": "levenshtein",
            "normalise": "text",
            "left": "smith",
            "right": "smith",
            "similarity": 1.0,
            "weight": 0.4,
            "contribution": 0.4
          }
        ]
      },
      {
        "rule": "phone",
        "score": null,
        "threshold": 1.0,
        "review": 1.0,
        "is_match": false,
        "comparisons": [
          {
            "field": "phone",
            "by": "exact",
            "normalise": "phone",
            "left": null,
            "right": null,
            "similarity": null,
            "weight": 0.0,
            "contribution": 0.0
          }
        ]
      }
    ]
    "#);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let mut rules = vec![
        rule("a", 1.5, vec![], vec![compared("emial", Comparator::Exact, -1.0)]),
        rule("a", 0.8, vec![], vec![compared("name", Comparator::JaroWinkler, 1.0)]),
        rule("c", 0.8, vec![field("zzzzzzzzz")], vec![compared("name", Comparator::Ngram, 0.0)]),
        rule("", f64::NAN, vec![], vec![]),
        rule("identity", 0.8, vec![], vec![compared("name", Comparator::Soundex, 1.0)]),
    ];
    rules[4].compare[0].min = 2.0;
    rules[4].block = vec![BlockPart::Full(BlockSpec {
        field: "phnoe".to_owned(),
        prefix: Some(0),
        ngram: Some(1),
        ..BlockSpec::default()
    })];
    let mut shard_type = shard_type(&["mail", "name"], rules);
    shard_type.matching.as_mut().unwrap().block_max = 0;
    let problems = compile(&shard_type).unwrap_err();
    let said: Vec<String> = problems
        .iter()
        .map(|p| format!("{}: {} ({})", p.path, p.message, p.help.as_deref().unwrap_or("-")))
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    shard_types.contact.identity[0]: shard type `contact` has no field `mail` (did you mean `email`?)
    shard_types.contact.matching.block_max: `block_max` must be at least 1 (leave it out to take the default)
    shard_types.contact.matching.rules[0].threshold: `threshold` must be from 0 to 1, and is 1.5 (-)
    shard_types.contact.matching.rules[0].compare[0].weight: `weight` must be from 0 to 1, and is -1 (-)
    shard_types.contact.matching.rules[0].compare[0].field: shard type `contact` has no field `emial` (did you mean `email`?)
    shard_types.contact.matching.rules[1].name: there is another rule `a` (give each rule a name of its own)
    shard_types.contact.matching.rules[1]: rule `a` would compare everything with everything (name the fields on which records must agree before they are compared: `block: [postcode]`)
    shard_types.contact.matching.rules[2].compare: all comparisons of rule `c` have the weight 0 (give at least one of them a weight)
    shard_types.contact.matching.rules[2].block[0]: shard type `contact` has no field `zzzzzzzzz` (its fields are `email`, `name`, `last_name`, `postcode`, `phone`, `age`, `tags`)
    shard_types.contact.matching.rules[3].name: a rule needs a name (name it after what it compares)
    shard_types.contact.matching.rules[3].threshold: `threshold` must be from 0 to 1, and is NaN (-)
    shard_types.contact.matching.rules[3].compare: rule `` compares nothing (name at least one field to compare)
    shard_types.contact.matching.rules[4].name: there is another rule `identity` (give each rule a name of its own)
    shard_types.contact.matching.rules[4].compare[0].min: `min` must be from 0 to 1, and is 2 (-)
    shard_types.contact.matching.rules[4].block[0].ngram: `ngram` must be at least 2 (three is usual: names that differ in one letter still have pieces in common)
    shard_types.contact.matching.rules[4].block[0].prefix: `prefix` must be at least 1 (leave it out to take the whole value)
    shard_types.contact.matching.rules[4].block[0].field: shard type `contact` has no field `phnoe` (did you mean `phone`?)
    ");
}

#[test]
fn there_are_at_most_64_rules() {
    let rules = |count: usize| -> Vec<MatchRule> {
        (0..count)
            .map(|i| {
                rule(&i.to_string(), 1.0, vec![], vec![compared("name", Comparator::Exact, 1.0)])
            })
            .collect()
    };
    let a = image(&[("name", "n")]);
    let full = matcher(rules(64));
    assert_eq!(keys(&full, &a).len(), 64);
    assert_eq!(full.compare(&a, &a, 1 << 63).unwrap().rule, 63);
    let problems = compile(&shard_type(&["name"], rules(64))).unwrap_err();
    assert_eq!(problems[0].path.to_string(), "shard_types.contact.matching.rules");
}

fn any_image() -> impl Strategy<Value = Vec<Cell>> {
    let word = prop_oneof![
        "[a-c]{0,3}",
        "(Jane|Jayne|Müller|Mueller) (Smith|Schmidt|Smyth)",
        "[0-3]{4,6}",
        any::<String>(),
    ];
    let scalar = prop_oneof![
        word.prop_map(Value::text),
        (0..30_i64).prop_map(Value::Int),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
    ];
    let list = proptest::collection::vec(scalar.clone(), 0..4).prop_map(Value::List);
    let cell = proptest::option::of(prop_oneof![4 => scalar, 1 => list]);
    proptest::collection::vec(cell, FIELDS.len())
}

fn many_rules() -> Vec<MatchRule> {
    let mut rules = contact_rules();
    let by =
        [Comparator::TokenSet, Comparator::Ngram, Comparator::DoubleMetaphone, Comparator::Date];
    for (i, by) in by.into_iter().enumerate() {
        let fuzzy = Comparison { min: 0.3, ..compared("name", by, 0.7) };
        let age = compared("age", Comparator::Numeric, 0.5);
        let tags =
            Comparison { missing: Missing::Differ, ..compared("tags", Comparator::Exact, 0.2) };
        rules.push(rule(
            &format!("r{i}"),
            0.2 * i as f64,
            vec![field("email")],
            vec![fuzzy, tags, age],
        ));
    }
    rules
}

proptest! {
    #[test]
    fn comparing_is_symmetric_and_agrees_with_its_explanation(
        a in any_image(),
        b in any_image(),
        rules in any::<u64>(),
    ) {
        let matcher = matcher(many_rules());
        let pair = matcher.compare(&a, &b, rules);
        prop_assert_eq!(pair, matcher.compare(&b, &a, rules));
        let mut best: Option<(f32, String)> = None;
        for explained in matcher.explain(&a, &b, rules) {
            let score = explained.score.unwrap_or(0.0);
            let sum: f64 = explained.comparisons.iter().map(|c| c.contribution).sum();
            prop_assert!((sum - score).abs() < 1e-6);
            if explained.is_match && best.as_ref().is_none_or(|best| best.0 < score as f32) {
                best = Some((score as f32, explained.rule));
            }
        }
        prop_assert_eq!(
            pair.map(|pair| (pair.score, matcher.rule_name(pair.rule).to_owned())),
            best
        );
    }

    #[test]
    fn keys_are_sorted_without_repeats_and_say_the_same_of_normal_forms(a in any_image()) {
        let matcher = matcher(contact_rules());
        let of_a = keys(&matcher, &a);
        prop_assert!(of_a.windows(2).all(|pair| pair[0] < pair[1]));
        let mut normal = a.clone();
        for (field, by) in [(0, Normaliser::Email), (3, Normaliser::Alphanumeric), (4, Normaliser::Phone)] {
            if let Some(Value::Text(text)) = &a[field] {
                normal[field] = Some(Value::text(normalise(by, text)));
            }
        }
        prop_assert_eq!(of_a, keys(&matcher, &normal));
    }
}

#[test]
fn a_unique_identifier_that_differs_speaks_against_a_match() {
    let shard_type: ShardType = serde_json::from_str(
        r#"{"fields": {"name": "text", "tax_number": "text"}, "matching": {"rules": [{"name": "name",
            "block": ["name"], "threshold": 0.8, "compare": [{"field": "name", "weight": 0.5},
            {"field": "tax_number", "weight": 0.5}]}]}}"#,
    )
    .unwrap();
    let layout = Arc::new(Layout::new("firm", &shard_type));
    let matcher = Matcher::compile(&layout, &shard_type, &ConfigPath::root()).unwrap();
    for (left, right, is_match) in [
        (Some("7"), Some("7"), true),
        (Some("7"), None, true),
        (None, None, true),
        (Some("7"), Some("8"), false),
    ] {
        let image = |tax: Option<&str>| vec![Some(Value::text("Acme")), tax.map(Value::text)];
        let score = matcher.compare(&image(left), &image(right), matcher.all_rules());
        assert_eq!(score.is_some(), is_match, "{left:?} {right:?}: {score:?}");
    }
}

#[test]
fn each_piece_of_a_value_gives_a_key() {
    let keys_of = |name: &str| {
        let block = vec![BlockPart::Full(BlockSpec {
            field: "name".to_owned(),
            ngram: Some(3),
            ..BlockSpec::default()
        })];
        let rules =
            vec![rule("pieces", 0.8, block, vec![compared("name", Comparator::Levenshtein, 1.0)])];
        let matcher = compile(&shard_type(&[], rules)).unwrap();
        keys(&matcher, &image(&[("name", name)]))
    };
    let common =
        |a: &str, b: &str| keys_of(a).iter().filter(|key| keys_of(b).contains(key)).count();
    assert_eq!(keys_of("meier").len(), 3);
    assert_eq!((keys_of("me").len(), keys_of("").len(), keys_of("  ").len()), (1, 0, 0));
    assert_eq!((common("Meier", "xmeier"), common("meier", "meiser")), (3, 1));
    assert_eq!(common("mayer", "smith"), 0);
    assert_eq!(keys_of("äöüßéñ").len(), 5, "folded: `aoussen`");
    assert_eq!(keys_of(&"ab cd ".repeat(100)).len(), 6);
}
