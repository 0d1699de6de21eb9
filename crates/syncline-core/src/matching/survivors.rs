//! Survivorship of single fields: whose value stands, whatever the merge strategy says of the others.

use super::survivorship::Source;
use crate::config::model::Survivor;
use crate::convert::Formula;
use crate::problem::{ConfigPath, Problem};
use crate::value::{Cell, Value};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Whose value of a field stands, compiled.
#[derive(Clone, Debug)]
pub enum FieldRule {
    /// The newest record's.
    Newest,
    /// The oldest record's.
    Oldest,
    /// The one that most records give.
    MostFrequent,
    /// That of the record with the most filled fields.
    MostComplete,
    /// The longest text.
    Longest,
    /// The items of all lists, each once.
    Union,
    /// That of the connection that comes first.
    SourcePriority(Vec<String>),
    /// What the expression makes of all values.
    Expression {
        /// As it was written.
        text: String,
        /// Compiled, over `values` and `sources`.
        formula: Formula,
    },
}

impl FieldRule {
    /// Compiles a rule that stands at `path` of the configuration.
    ///
    /// # Errors
    ///
    /// What is wrong with its expression.
    pub fn compile(survivor: &Survivor, path: &ConfigPath) -> Result<Self, Vec<Problem>> {
        Ok(match survivor {
            Survivor::Newest => Self::Newest,
            Survivor::Oldest => Self::Oldest,
            Survivor::MostFrequent => Self::MostFrequent,
            Survivor::MostComplete => Self::MostComplete,
            Survivor::Longest => Self::Longest,
            Survivor::Union => Self::Union,
            Survivor::SourcePriority(list) => Self::SourcePriority(list.clone()),
            Survivor::Expression(text) => Self::Expression {
                text: text.clone(),
                formula: Formula::compile(text, &["values", "sources"], &path.key("expression"))?,
            },
        })
    }

    /// The rule in words, for people.
    pub fn told(&self) -> String {
        match self {
            Self::Newest => "newest: the newest value".to_owned(),
            Self::Oldest => "oldest: the oldest value".to_owned(),
            Self::MostFrequent => "most_frequent: the value that most records give".to_owned(),
            Self::MostComplete => {
                "most_complete: the value of the record with the most filled fields".to_owned()
            }
            Self::Longest => "longest: the longest text".to_owned(),
            Self::Union => "union: the items of all records, each once".to_owned(),
            Self::SourcePriority(list) => format!("source_priority: {}", list.join(", then ")),
            Self::Expression { text, .. } => format!("expression: {text}"),
        }
    }

    /// The value of `field` that stands, and the index of the source that gave it; `None` for that where it is
    /// made of several. `fields` is how many fields there are.
    ///
    /// Blank values stand back behind others; where all are blank, the newest that is not null stands, else
    /// null, else nothing. Where an expression fails, the newest value stands.
    pub(super) fn pick(
        &self,
        sources: &[Source<'_>],
        field: usize,
        fields: usize,
    ) -> (Cell, Option<u32>) {
        let mut said: Vec<(usize, &Value)> =
            (0..sources.len()).filter_map(|i| Some((i, sources[i].cell(field)?))).collect();
        said.sort_unstable_by_key(|&(i, value)| {
            let source = &sources[i];
            (value.is_null(), value.is_blank(), Reverse((source.stamp, source.rank())))
        });
        let Some(&newest) = said.first() else { return (None, None) };
        let filled = said.iter().take_while(|(_, value)| !value.is_blank()).count();
        let filled = &said[..filled];
        let chosen = match self {
            Self::Newest => newest,
            // Of equals, the first: they are sorted by age and rank.
            Self::Oldest => first_of(filled, |i, _| (sources[i].stamp, Reverse(sources[i].rank())))
                .unwrap_or(newest),
            Self::MostFrequent => most_frequent(filled).unwrap_or(newest),
            Self::MostComplete => {
                first_of(filled, |i, _| Reverse(sources[i].fields_filled(fields))).unwrap_or(newest)
            }
            Self::Longest => first_of(filled, |_, value| Reverse(value.to_plain().chars().count()))
                .unwrap_or(newest),
            Self::SourcePriority(list) => first_of(filled, |i, _| {
                let (connection, _, _) = sources[i].name;
                list.iter().position(|name| name == connection).unwrap_or(list.len())
            })
            .unwrap_or(newest),
            Self::Union if filled.is_empty() => newest,
            Self::Union => return origin(united(filled), filled),
            Self::Expression { formula, .. } => {
                let values = filled.iter().map(|(_, value)| (*value).clone()).collect();
                let of = filled.iter().map(|&(i, _)| Value::text(sources[i].name.0)).collect();
                match formula.eval(vec![Value::List(values), Value::List(of)]) {
                    Ok(Some(value)) => return origin(value, filled),
                    Ok(None) => return (None, None),
                    Err(_) => newest,
                }
            }
        };
        (Some(chosen.1.clone()), Some(index(chosen.0)))
    }
}

/// The first of those whose key is least.
fn first_of<'a, K: Ord>(
    said: &[(usize, &'a Value)],
    key: impl Fn(usize, &Value) -> K,
) -> Option<(usize, &'a Value)> {
    said.iter().copied().min_by_key(|&(i, value)| key(i, value))
}

fn most_frequent<'a>(said: &[(usize, &'a Value)]) -> Option<(usize, &'a Value)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, value) in said {
        *counts.entry(value.to_json()).or_default() += 1;
    }
    first_of(said, |_, value| Reverse(counts.get(&value.to_json()).copied()))
}

fn united(said: &[(usize, &Value)]) -> Value {
    let mut items: Vec<Value> = Vec::new();
    for (_, value) in said {
        let given = match value {
            Value::List(given) => given.as_slice(),
            one => std::slice::from_ref(*one),
        };
        for item in given {
            if !items.contains(item) {
                items.push(item.clone());
            }
        }
    }
    Value::List(items.into_iter().collect())
}

/// A value that was made of several, and the source that says just that, if there is one.
fn origin(value: Value, said: &[(usize, &Value)]) -> (Cell, Option<u32>) {
    let source = said.iter().find(|(_, other)| **other == value).map(|(i, _)| index(*i));
    (Some(value), source)
}

fn index(source: usize) -> u32 {
    u32::try_from(source).expect("a cluster has fewer than 2^32 records")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(json: &str) -> FieldRule {
        let survivor: Survivor = serde_json::from_str(json).unwrap();
        FieldRule::compile(&survivor, &ConfigPath::root()).unwrap()
    }

    const RULES: [&str; 8] = [
        r#""newest""#,
        r#""oldest""#,
        r#""most_frequent""#,
        r#""most_complete""#,
        r#""longest""#,
        r#""union""#,
        r#"{"source_priority":["b","a"]}"#,
        r#"{"expression":"values | sort | last"}"#,
    ];

    #[test]
    fn each_rule_picks_what_it_says() {
        // Connection, stamp, the value, whether the other field is filled.
        let said = [
            ("a", 1, "x", true),
            ("b", 2, "yyy", false),
            ("c", 3, "x", false),
            ("d", 4, " ", true),
        ];
        let images: Vec<Vec<Cell>> = said
            .iter()
            .map(|(_, _, value, other)| {
                vec![Some(Value::text(*value)), other.then(|| Value::Int(1))]
            })
            .collect();
        let sources: Vec<Source<'_>> = said
            .iter()
            .zip(&images)
            .map(|((connection, stamp, ..), image)| Source {
                image,
                stamp: *stamp,
                priority: 0,
                name: (connection, "e", "1"),
            })
            .collect();
        let expected = [
            (r#""x""#, Some(2)),
            (r#""x""#, Some(0)),
            (r#""x""#, Some(2)),
            (r#""x""#, Some(0)),
            (r#""yyy""#, Some(1)),
            (r#"["x","yyy"]"#, None),
            (r#""yyy""#, Some(1)),
            (r#""yyy""#, Some(1)),
        ];
        for (json, (value, from)) in RULES.into_iter().zip(expected) {
            let (cell, origin) = rule(json).pick(&sources, 0, 2);
            assert_eq!((cell.unwrap().to_json().as_str(), origin), (value, from), "{json}");
        }
        let failing = rule(r#"{"expression":"values + 1"}"#);
        assert_eq!(failing.pick(&sources, 0, 2), (Some(Value::text("x")), Some(2)));
    }

    #[test]
    fn an_expression_may_use_values_and_sources_alone() {
        for text in ["values | ", "email", "value"] {
            let wrong = FieldRule::compile(&Survivor::Expression(text.into()), &ConfigPath::root());
            assert!(wrong.is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_once_more_changes_nothing(
            drawn in proptest::collection::vec((0..5_u8, 0..3_i64, 0..2_i64), 1..6),
            turn in 0..6_usize,
        ) {
            let images: Vec<Vec<Cell>> = drawn.iter().map(|(cell, ..)| vec![match cell {
                0 => None,
                1 => Some(Value::Null),
                2 => Some(Value::text("")),
                n => Some(Value::text("a".repeat(usize::from(*n)))),
            }]).collect();
            let names: Vec<String> = (0..drawn.len()).map(|i| i.to_string()).collect();
            let sources: Vec<Source<'_>> = (0..drawn.len()).map(|i| Source {
                image: &images[i],
                stamp: drawn[i].1,
                priority: drawn[i].2,
                name: (if i % 2 == 0 { "a" } else { "b" }, "e", &names[i]),
            }).collect();
            let mut other = sources.clone();
            other.rotate_left(turn % drawn.len());
            other.reverse();
            for json in RULES {
                let rule = rule(json);
                let (cell, from) = rule.pick(&sources, 0, 1);
                let (cell_2, from_2) = rule.pick(&other, 0, 1);
                prop_assert_eq!(&cell, &cell_2, "{}", json);
                let name = from.map(|i| sources[i as usize].name);
                prop_assert_eq!(name, from_2.map(|i| other[i as usize].name), "{}", json);
                let image = [cell.clone()];
                let itself = Source { image: &image, stamp: 9, priority: 9, name: ("", "", "") };
                prop_assert_eq!(&rule.pick(&[itself, itself], 0, 1).0, &cell, "{}", json);
            }
        }
    }
}
