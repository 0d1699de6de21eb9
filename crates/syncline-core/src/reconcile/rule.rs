//! Rules: which of two changes of a field stands.

use super::merge::{counted, texts_merged, united};
use super::{Base, Side, Stamp};
use crate::config::model::{ConflictStrategy, FieldRuleSpec, FieldType};
use crate::convert::Formula;
use crate::problem::{ConfigPath, Problem};
use crate::value::{Cell, Value};
use serde::{Deserialize, Serialize};

/// Which way a field's changes go between a shard and a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// What the record says comes into the shard.
    pub takes: bool,
    /// What the shard says goes to the record.
    pub gives: bool,
}

/// What decides where both sides changed a field, compiled.
#[derive(Clone, Debug)]
pub enum Rule {
    /// The shard's value.
    Local,
    /// The record's value.
    Remote,
    /// The one that is surely later; of those that may be of one time, the one of the higher rank, then the greater
    /// value.
    Newest,
    /// The items (or lines) of both, less what either took away.
    Union,
    /// The sum of both changes.
    Counter,
    /// Both changes of a text, where they are of different lines; else the newest.
    Text,
    /// A person is asked.
    Manual,
    /// What an expression over `base`, `local`, `remote`, `local_at`, `remote_at` comes to.
    Expression(Formula),
}

/// How a task decides between changes, field by field.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What it says of whole records: an update against a deletion.
    pub strategy: ConflictStrategy,
    /// For each field of the layout.
    pub rules: Vec<Rule>,
    /// For each field of the layout.
    pub flows: Vec<Flow>,
    /// Fields that win or lose together.
    pub groups: Vec<Vec<usize>>,
    /// How far a record's times may be off, in microseconds.
    pub tolerance_us: i64,
}

/// Who won.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Winner {
    /// The shard.
    Local,
    /// The record.
    Remote,
    /// A value that was made of both.
    Merged,
    /// Nobody yet: a person is asked.
    Nobody,
}

/// What a rule says of two changes.
pub(super) struct Ruling {
    pub(super) winner: Winner,
    pub(super) value: Cell,
    pub(super) by_tie: bool,
    pub(super) problem: Option<String>,
}

impl Rule {
    /// Compiles the rule of a field of type `field_type`, given what the task says of it and in general.
    ///
    /// # Errors
    ///
    /// What is wrong with an expression, which stands at `path`.
    pub fn compile(
        strategy: ConflictStrategy,
        expression: Option<&str>,
        field: Option<&FieldRuleSpec>,
        field_type: FieldType,
        path: &ConfigPath,
    ) -> Result<Self, Vec<Problem>> {
        let formula = |source: &str, at: &ConfigPath| {
            let names = ["base", "local", "remote", "local_at", "remote_at"];
            Formula::compile(source, &names, at).map(Self::Expression)
        };
        Ok(match (field, strategy) {
            (Some(FieldRuleSpec::Expression(source)), _) => return formula(source, path),
            (Some(FieldRuleSpec::Local), _) | (None, ConflictStrategy::DestinationWins) => {
                Self::Local
            }
            (Some(FieldRuleSpec::Remote), _) | (None, ConflictStrategy::SourceWins) => Self::Remote,
            (Some(FieldRuleSpec::Newest), _) | (None, ConflictStrategy::NewestWins) => Self::Newest,
            (Some(FieldRuleSpec::Union), _) => Self::Union,
            (Some(FieldRuleSpec::Counter), _) => Self::Counter,
            (Some(FieldRuleSpec::Text), _) => Self::Text,
            (Some(FieldRuleSpec::Manual), _) | (None, ConflictStrategy::Manual) => Self::Manual,
            (None, ConflictStrategy::Merge) if field_type == FieldType::List => Self::Union,
            (None, ConflictStrategy::Merge) => Self::Newest,
            (None, ConflictStrategy::Custom) => match expression {
                Some(source) => return formula(source, path),
                None => {
                    let message = "the strategy `custom` needs an `expression`";
                    return Err(vec![Problem::new(path.clone(), message)]);
                }
            },
        })
    }

    /// The rule as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Newest => "newest",
            Self::Union => "union",
            Self::Counter => "counter",
            Self::Text => "text",
            Self::Manual => "manual",
            Self::Expression(_) => "expression",
        }
    }

    /// Decides between two changes. Pure, and the same whichever side was seen first.
    pub(super) fn decide(
        &self,
        base: &Base,
        (local, local_stamp): (&Cell, Stamp),
        (remote, remote_stamp): (&Cell, Stamp),
    ) -> Ruling {
        let newest = || newest((local, local_stamp), (remote, remote_stamp));
        let (bs, br) = sides(base);
        match self {
            Self::Local => Ruling::of(Winner::Local, local),
            Self::Remote => Ruling::of(Winner::Remote, remote),
            Self::Manual => Ruling::ask(None),
            Self::Newest => newest(),
            Self::Union => match united(bs.or(br), local.as_ref(), remote.as_ref()) {
                Some(value) => Ruling::merged(Some(value), local, remote),
                None => newest(),
            },
            Self::Counter => match counted(br, local.as_ref(), remote.as_ref()) {
                Some(value) => Ruling::merged(Some(value), local, remote),
                None => newest(),
            },
            Self::Text => match texts_merged(bs.or(br), local.as_ref(), remote.as_ref()) {
                Some(value) => Ruling::merged(Some(value), local, remote),
                None => newest(),
            },
            Self::Expression(formula) => {
                let value = |cell: Option<&Value>| cell.cloned().unwrap_or(Value::Null);
                let values = vec![
                    value(bs.or(br)),
                    value(local.as_ref()),
                    value(remote.as_ref()),
                    Value::Int(local_stamp.hi),
                    Value::Int(remote_stamp.hi),
                ];
                match formula.eval(values) {
                    Ok(value) => Ruling::merged(value, local, remote),
                    Err(problem) => Ruling::ask(Some(problem)),
                }
            }
        }
    }
}

impl Ruling {
    fn of(winner: Winner, value: &Cell) -> Self {
        Self { winner, value: value.clone(), by_tie: false, problem: None }
    }

    fn ask(problem: Option<String>) -> Self {
        Self { winner: Winner::Nobody, value: None, by_tie: false, problem }
    }

    /// A made value; one that is a side's own is that side's win. Nothing at all is for a person to fill in.
    fn merged(value: Cell, local: &Cell, remote: &Cell) -> Self {
        match value {
            None => Self::ask(Some("the rule comes to nothing".to_owned())),
            value if value == *remote => Self::of(Winner::Remote, &value),
            value if value == *local => Self::of(Winner::Local, &value),
            value => Self::of(Winner::Merged, &value),
        }
    }
}

fn sides(base: &Base) -> (Option<&Value>, Option<&Value>) {
    match base {
        Base::Unmet => (None, None),
        Base::Met { shard: Side::Dirty, remote } => (None, remote.as_ref()),
        Base::Met { shard: Side::Is(shard) | Side::Written(shard), remote } => {
            (shard.as_ref(), remote.as_ref())
        }
    }
}

fn newest((local, local_stamp): (&Cell, Stamp), (remote, remote_stamp): (&Cell, Stamp)) -> Ruling {
    if local_stamp.is_after(&remote_stamp) {
        return Ruling::of(Winner::Local, local);
    }
    if remote_stamp.is_after(&local_stamp) {
        return Ruling::of(Winner::Remote, remote);
    }
    let key = |stamp: Stamp, cell: &Cell| (stamp.rank, cell.as_ref().map(Value::to_json));
    let is_local = key(local_stamp, local) >= key(remote_stamp, remote);
    let ruling = if is_local {
        Ruling::of(Winner::Local, local)
    } else {
        Ruling::of(Winner::Remote, remote)
    };
    Ruling { by_tie: true, ..ruling }
}
