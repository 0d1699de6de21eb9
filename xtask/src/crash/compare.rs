//! What a store holds, but for what may differ between two runs of the same work: ids and times.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

/// Columns and keys that may differ between two runs of the same work.
const VOLATILE: [&str; 11] = [
    "id",
    "shard_id",
    "edge_id",
    "seq",
    "version",
    "created_at",
    "updated_at",
    "execution",
    "execution_id",
    "external_id",
    "aliases",
];

/// What the command line prints of a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Exports {
    /// `export links --format csv`
    pub(super) links: String,
    /// `export shards --format jsonl`
    pub(super) shards: String,
    /// `export edges --format csv`
    pub(super) edges: String,
    /// `executions --json`
    pub(super) executions: String,
}

/// The same, comparable: ids replaced by what they stand for, everything in one order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    /// Each shard: its type and data, and the records that are linked to it.
    shards: Vec<String>,
    edges: Vec<String>,
    /// Sums over all executions, killed ones included.
    counters: BTreeMap<String, i128>,
    /// How many records are linked.
    links: usize,
}

impl State {
    /// # Errors
    ///
    /// When a text is not of its form, or a link points to a shard that is not there.
    pub(super) fn new(exports: &Exports) -> Result<Self, Box<dyn Error>> {
        let mut records = links(&exports.links)?;
        let links = records.values().map(BTreeSet::len).sum();
        let mut names = BTreeMap::new();
        let mut shards = Vec::new();
        for line in exports.shards.lines().filter(|line| !line.trim().is_empty()) {
            let shard: Value = serde_json::from_str(line)?;
            let id = ["id", "shard_id"].iter().find_map(|key| shard[*key].as_str());
            let id = id.ok_or_else(|| format!("a shard without an id: {line}"))?;
            let of_shard = records.remove(id).unwrap_or_default();
            let text = lasting(&shard);
            names.insert(id.to_owned(), name(&of_shard, &text));
            let records: Vec<String> = of_shard.into_iter().collect();
            shards.push(format!("{text} <- {}", records.join(" ")));
        }
        if let Some((id, records)) = records.first_key_value() {
            return Err(format!("{records:?} are linked to `{id}`, which is no shard").into());
        }
        shards.sort_unstable();
        let edges = edges(&exports.edges, &names)?;
        Ok(Self { shards, edges, counters: counters(&exports.executions)?, links })
    }

    /// How much there is, for people.
    pub(super) fn summary(&self) -> String {
        let (shards, edges) = (self.shards.len(), self.edges.len());
        format!(
            "{} links, {shards} shards, {edges} edges, counters {:?}",
            self.links, self.counters
        )
    }

    /// What is only here and what is only in `other`, one line each; empty where both are the same.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.links != other.links {
            found.push(format!("links: expected {}, found {}", self.links, other.links));
        }
        let keys: BTreeSet<&String> = self.counters.keys().chain(other.counters.keys()).collect();
        for key in keys {
            let (expected, counted) = (self.counters.get(key), other.counters.get(key));
            if expected.unwrap_or(&0) != counted.unwrap_or(&0) {
                found.push(format!("counter {key}: expected {expected:?}, found {counted:?}"));
            }
        }
        found.extend(apart("shard", &self.shards, &other.shards));
        found.extend(apart("edge", &self.edges, &other.edges));
        found
    }
}

/// What a shard is called here: its smallest record if it has one, else its own data.
fn name(records: &BTreeSet<String>, text: &str) -> String {
    // Derived shards may share a record with their primary one, so the type goes with it.
    let of_type = serde_json::from_str::<Value>(text).ok().and_then(|shard| {
        ["type", "shard_type"].iter().find_map(|key| shard[*key].as_str().map(str::to_owned))
    });
    match records.first() {
        Some(record) => format!("{}#{record}", of_type.unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The records of each shard id.
fn links(csv: &str) -> Result<BTreeMap<String, BTreeSet<String>>, Box<dyn Error>> {
    let mut records: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let columns = reader.headers()?.clone();
    let column = |name: &str| columns.iter().position(|column| column == name);
    let (Some(external_id), Some(shard_id)) = (column("external_id"), column("shard_id")) else {
        return Err(format!("links have the columns {columns:?}").into());
    };
    let others = [column("connection"), column("entity"), column("status")];
    for row in reader.records() {
        let row = row?;
        let place: Vec<&str> = others.iter().flatten().map(|&column| &row[column]).collect();
        let record = format!("{}({})", &row[external_id], place.join("/"));
        records.entry(row[shard_id].to_owned()).or_default().insert(record);
    }
    Ok(records)
}

/// The edges, shard ids replaced by their names.
fn edges(csv: &str, names: &BTreeMap<String, String>) -> Result<Vec<String>, Box<dyn Error>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let columns = reader.headers()?.clone();
    let mut edges = Vec::new();
    for row in reader.records() {
        let row = row?;
        // A cell that is an id of a shard is an end of the edge, whatever its column is called.
        let cells = columns.iter().zip(&row).filter_map(|(column, cell)| match names.get(cell) {
            Some(name) => Some(format!("{column}={name}")),
            None if VOLATILE.contains(&column) && column != "external_id" => None,
            None => Some(format!("{column}={cell}")),
        });
        edges.push(cells.collect::<Vec<_>>().join(" "));
    }
    edges.sort_unstable();
    Ok(edges)
}

/// The sums of every number in the results of all executions, by their way into them.
fn counters(json: &str) -> Result<BTreeMap<String, i128>, Box<dyn Error>> {
    let all: Value = serde_json::from_str(json)?;
    let list = if all.is_array() { &all } else { &all["executions"] };
    let list = list.as_array().ok_or("executions are no list")?;
    let mut sums = BTreeMap::new();
    for execution in list {
        add(&execution["results"], "", &mut sums);
    }
    Ok(sums)
}

fn add(value: &Value, path: &str, sums: &mut BTreeMap<String, i128>) {
    match value {
        Value::Object(parts) => {
            for (key, part) in parts {
                add(part, &format!("{path}/{key}"), sums);
            }
        }
        Value::Number(number) => {
            if let Some(count) = number.as_i64() {
                *sums.entry(path.to_owned()).or_default() += i128::from(count);
            }
        }
        _ => {}
    }
}

/// `shard` as text, keys in order, without what may differ.
fn lasting(shard: &Value) -> String {
    let Value::Object(parts) = shard else { return shard.to_string() };
    let kept = parts.iter().filter(|(key, _)| !VOLATILE.contains(&key.as_str()));
    ordered(&Value::Object(kept.map(|(key, part)| (key.clone(), part.clone())).collect()))
        .to_string()
}

fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(parts) => {
            let sorted: BTreeMap<&String, &Value> = parts.iter().collect();
            Value::Object(
                sorted.into_iter().map(|(key, part)| (key.clone(), ordered(part))).collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(ordered).collect()),
        other => other.clone(),
    }
}

/// Lines that are in one of two sorted lists more often than in the other.
fn apart(what: &str, expected: &[String], found: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&String, i64> = BTreeMap::new();
    for line in expected {
        *counts.entry(line).or_default() += 1;
    }
    for line in found {
        *counts.entry(line).or_default() -= 1;
    }
    let told = |(line, count): (&&String, &i64)| match count {
        0 => None,
        count if *count > 0 => Some(format!("{what} missing ({count}): {line}")),
        count => Some(format!("{what} too many ({}): {line}", -count)),
    };
    counts.iter().filter_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two people, one of them with two records, both at a derived company; ids end in `run`.
    fn exports(run: &str) -> Exports {
        let id = |name: &str| format!("{name}-{run}");
        let links = format!(
            "external_id,shard_id,connection\nC1,{a},crm\nC2,{a},crm\nC3,{b},crm\n",
            a = id("a"),
            b = id("b")
        );
        let shards = format!(
            "{}\n{}\n{}\n",
            format_args!(
                r#"{{"id":"{}","type":"person","version":1,"data":{{"n":"Ann"}}}}"#,
                id("a")
            ),
            format_args!(
                r#"{{"type":"person","id":"{}","version":2,"data":{{"n":"Bo"}}}}"#,
                id("b")
            ),
            format_args!(r#"{{"id":"{}","type":"company","data":{{"n":"X","y":1}}}}"#, id("x")),
        );
        let edges = format!(
            "id,name,from,to\n1{run},works_at,{a},{x}\n2{run},works_at,{b},{x}\n",
            a = id("a"),
            b = id("b"),
            x = id("x")
        );
        let executions = r#"[{"id":"e","results":{"fetched":3,"created":2,"merged":{"all":1}}}]"#;
        Exports { links, shards, edges, executions: executions.to_owned() }
    }

    fn differences(change: impl Fn(&mut Exports)) -> Vec<String> {
        let mut other = exports("2");
        change(&mut other);
        State::new(&exports("1")).unwrap().differences(&State::new(&other).unwrap())
    }

    #[test]
    fn ids_and_order_make_no_difference() {
        assert_eq!(differences(|_| {}), Vec::<String>::new());
        let reversed = |other: &mut Exports| {
            let lines: Vec<&str> = other.shards.lines().rev().collect();
            other.shards = lines.join("\n").replace(r#""n":"X","y":1"#, r#""y":1,"n":"X""#);
        };
        assert_eq!(differences(reversed), Vec::<String>::new());
    }

    #[test]
    fn counters_are_summed_over_killed_and_finished_executions() {
        let split = |other: &mut Exports| {
            other.executions = r#"{"executions":[{"results":{"fetched":1,"created":1}},
                {"results":{"fetched":2,"created":1,"merged":{"all":1},"failed":0}}]}"#
                .to_owned();
        };
        assert_eq!(differences(split), Vec::<String>::new());
        let lost = |other: &mut Exports| {
            other.executions = other.executions.replace("\"all\":1", "\"all\":2");
        };
        assert_eq!(differences(lost), ["counter /merged/all: expected Some(1), found Some(2)"]);
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let cases: [(&str, &str, usize); 5] = [
            ("C2,a-2", "C2,b-2", 2 + 2),
            ("Ann", "Anne", 2),
            ("\"y\":1", "\"y\":2", 2 + 4),
            ("2works_at,b-2", "2works_at,a-2", 0),
            ("works_at,b-2", "works_at,a-2", 2),
        ];
        for (text, other_text, least) in cases {
            let found = differences(|other| {
                for part in [&mut other.links, &mut other.shards, &mut other.edges] {
                    *part = part.replace(text, other_text);
                }
            });
            assert!(found.len() >= least.min(2), "{text}: {found:?}");
        }
        let shorter = |other: &mut Exports| other.links = other.links.replace("C3,b-2,crm\n", "");
        assert!(differences(shorter).contains(&"links: expected 3, found 2".to_owned()));
    }

    #[test]
    fn a_shard_that_comes_twice_is_one_too_many() {
        let twice = |other: &mut Exports| {
            other.shards.push_str(r#"{"id":"z","type":"company","data":{"n":"X","y":1}}"#);
        };
        let found = differences(twice);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("shard too many (1)"), "{found:?}");
    }

    #[test]
    fn a_link_to_nothing_is_an_error() {
        let mut broken = exports("1");
        broken.links.push_str("C9,nowhere,crm\n");
        assert!(State::new(&broken).unwrap_err().to_string().contains("nowhere"));
    }
}
