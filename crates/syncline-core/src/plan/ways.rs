//! Compiling what a task says of directions and conflicts.

use super::rules::TwoWay;
use crate::config::model::{
    Config, ConflictStrategy, ConversionSchema, Direction, FieldRuleSpec, SyncTask,
};
use crate::convert::{Names, Outbound, OutboundSpec};
use crate::problem::{ConfigPath, Problem, nearest};
use crate::reconcile::{Flow, Policy, Rule};
use crate::shard::Layout;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How far modified times may be off where a task does not say, in milliseconds.
const TOLERANCE_MS: u32 = 1000;

/// How the records of a task and their shards are reconciled; `None` where shards of that type are written to no
/// system.
pub(super) fn compile(
    config: &Config,
    (name, task): (&str, &SyncTask),
    schema: &ConversionSchema,
    layout: &Arc<Layout>,
    names: &Names<'_>,
) -> Result<Option<TwoWay>, Vec<Problem>> {
    let path = ConfigPath::root().key("sync_tasks").key(name);
    let mut problems = unknown_fields(task, layout, &path);
    if !config.sync_tasks.values().any(|other| writes(config, other, &schema.shard_type)) {
        return if problems.is_empty() { Ok(None) } else { Err(problems) };
    }
    let direction =
        |field: &str| task.fields.get(field).copied().unwrap_or(Direction::Bidirectional);
    let outbound = if task.direction.gives() {
        let fields = schema.fields.keys().map(String::as_str);
        let read_only: BTreeSet<&str> = fields.filter(|field| !direction(field).gives()).collect();
        let entity = config.connections.get(&task.connection);
        let entity = entity.and_then(|connection| connection.entities.get(&task.entity));
        let schemas = ConfigPath::root().key("conversion_schemas");
        let spec = OutboundSpec {
            schema,
            schema_path: &schemas.key(&task.conversion_schema),
            entity: &entity.cloned().unwrap_or_default(),
            filter: &task.outbound.filter,
            filter_path: &path.key("outbound").key("filter"),
            read_only: &read_only,
        };
        match Outbound::compile(&spec, layout, names) {
            Ok(outbound) => Some(outbound),
            Err(found) => {
                problems.extend(found);
                None
            }
        }
    } else {
        None
    };
    let flow = |(index, field): (usize, &compact_str::CompactString)| Flow {
        takes: task.direction.takes() && direction(field).takes(),
        gives: direction(field).gives()
            && outbound.as_ref().is_some_and(|outbound| outbound.can_write(index)),
    };
    let flows = layout.names().iter().enumerate().map(flow).collect();
    let mut rules = rules(task, layout, &path, &mut problems);
    let groups = groups(task, layout, &path.key("conflicts"), &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    for &field in groups.iter().flatten() {
        rules[field] = match task.conflicts.strategy {
            ConflictStrategy::SourceWins => Rule::Remote,
            ConflictStrategy::DestinationWins => Rule::Local,
            _ => Rule::Newest,
        };
    }
    let tolerance = task.conflicts.tolerance_ms.unwrap_or(TOLERANCE_MS);
    let policy = Policy {
        strategy: task.conflicts.strategy,
        rules,
        flows,
        groups,
        tolerance_us: i64::from(tolerance) * 1000,
    };
    let (creates, deletes) = (task.outbound.create, task.outbound.deletes);
    Ok(Some(TwoWay { task: name.to_owned(), policy, outbound, creates, deletes }))
}

fn writes(config: &Config, task: &SyncTask, shard_type: &str) -> bool {
    let schema = config.conversion_schemas.get(&task.conversion_schema);
    task.direction.gives() && schema.is_some_and(|schema| schema.shard_type == shard_type)
}

fn rules(
    task: &SyncTask,
    layout: &Layout,
    path: &ConfigPath,
    problems: &mut Vec<Problem>,
) -> Vec<Rule> {
    let conflicts = &task.conflicts;
    let mut rules = Vec::with_capacity(layout.names().len());
    for (index, name) in layout.names().iter().enumerate() {
        let field: Option<&FieldRuleSpec> = conflicts.fields.get(name.as_str());
        let at = match field {
            Some(_) => path.key("conflicts").key("fields").key(name.as_str()),
            None => path.key("conflicts").key("expression"),
        };
        let expression = conflicts.expression.as_deref();
        match Rule::compile(conflicts.strategy, expression, field, layout.field_type(index), &at) {
            Ok(rule) => rules.push(rule),
            Err(found) => problems.extend(found),
        }
    }
    problems.dedup();
    rules
}

/// The fields of each group, in the order of the layout.
fn groups(
    task: &SyncTask,
    layout: &Layout,
    path: &ConfigPath,
    problems: &mut Vec<Problem>,
) -> Vec<Vec<usize>> {
    let conflicts = &task.conflicts;
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut refuse = |at: ConfigPath, message: String, help: &str| {
        problems.push(Problem::new(at, message).with_help(help));
    };
    for (number, names) in conflicts.groups.iter().enumerate() {
        let at = path.key("groups").index(number);
        if names.len() < 2 {
            let message = "a group has two fields or more".to_owned();
            refuse(at.clone(), message, "name the others, or remove it");
        }
        if matches!(conflicts.strategy, ConflictStrategy::Manual | ConflictStrategy::Custom) {
            let message = format!(
                "the strategy `{}` decides field by field, so it has no groups",
                conflicts.strategy.name()
            );
            let help = "take `newest_wins`, `source_wins`, `destination_wins` or `merge`, or remove the group";
            refuse(at.clone(), message, help);
        }
        let mut group: Vec<usize> = Vec::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            let Some(field) = layout.position(name) else { continue };
            if groups.iter().any(|other| other.contains(&field)) || group.contains(&field) {
                let message = format!("`{name}` is in a group already");
                refuse(at.index(place), message, "a field belongs to one group");
            }
            if conflicts.fields.contains_key(name) {
                let message =
                    format!("`{name}` has a rule of its own, so it cannot be decided with others");
                refuse(at.index(place), message, "remove it here, or in `conflicts.fields`");
            }
            group.push(field);
        }
        group.sort_unstable();
        groups.push(group);
    }
    groups
}

/// Fields that are named and that the shard type does not have.
fn unknown_fields(task: &SyncTask, layout: &Layout, path: &ConfigPath) -> Vec<Problem> {
    let mut problems = Vec::new();
    let fields = task.fields.keys().map(|name| (path.key("fields"), name));
    let conflicts = path.key("conflicts").key("fields");
    let rules = task.conflicts.fields.keys().map(|name| (conflicts.key(name), name));
    let fields = fields.map(|(at, name)| (at.key(name), name));
    let groups = task.conflicts.groups.iter().enumerate().flat_map(|(number, names)| {
        let at = path.key("conflicts").key("groups").index(number);
        names.iter().enumerate().map(move |(place, name)| (at.index(place), name))
    });
    let named = fields.chain(rules).chain(groups);
    for (at, name) in named.filter(|(_, name)| layout.position(name).is_none()) {
        let message = format!("shard type `{}` has no field `{name}`", layout.shard_type);
        let known = layout.names().iter().map(|name| name.as_str());
        let help = match nearest(name, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
        };
        problems.push(Problem::new(at, message).with_help(help));
    }
    problems
}
