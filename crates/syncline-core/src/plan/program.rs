//! A configuration, compiled: every mapping, rule and reference resolved before the first record is read.

use super::rows::{EntityId, EntityName, KindId, RuleId, RuleName, TypeId};
use super::rules::{Conversion, EntityRules, LookupRule, Rules, TwoWay, TypeRules};
use super::ways;
use crate::config::model::{
    Config, ConversionSchema, Entity, OneOrMany, SyncTask, Target as TargetFlags,
};
use crate::convert::{Converter, Names, Notices, Target};
use crate::matching::Matcher;
use crate::problem::{ConfigPath, Problem};
use crate::shard::Layout;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A configuration whose mappings and rules are compiled, not yet bound to a store's row numbers.
pub struct Program {
    types: Vec<(Arc<Layout>, Matcher)>,
    tasks: Vec<TaskProgram>,
    systems: BTreeMap<String, u32>,
    priorities: BTreeMap<String, i64>,
    tenant: String,
}

struct TaskProgram {
    name: String,
    entity: EntityName,
    schema: String,
    target: TargetFlags,
    is_timed: bool,
    converter: Converter,
    two_way: Option<TwoWay>,
}

/// The names that a program uses, each once, to be given row numbers by a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProgramNames {
    /// Shard types.
    pub shard_types: Vec<String>,
    /// Entities, derived entities and field pseudo-entities.
    pub entities: Vec<EntityName>,
    /// Relationships.
    pub kinds: Vec<String>,
    /// Match rules: those of the first shard type in their order, then those of the second, and so on.
    pub rules: Vec<RuleName>,
}

/// The row numbers of [`ProgramNames`], in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProgramIds {
    /// Shard types.
    pub shard_types: Vec<TypeId>,
    /// Entities.
    pub entities: Vec<EntityId>,
    /// Relationships.
    pub kinds: Vec<KindId>,
    /// Match rules.
    pub rules: Vec<RuleId>,
}

impl Program {
    /// Compiles a configuration whose parts refer to each other rightly.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with its mappings, expressions and match rules.
    pub fn compile(config: &Config) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let root = ConfigPath::root();
        let layouts: BTreeMap<String, Arc<Layout>> = config
            .shard_types
            .iter()
            .map(|(name, shard_type)| (name.clone(), Arc::new(Layout::new(name, shard_type))))
            .collect();
        let mut types = Vec::new();
        for (name, shard_type) in &config.shard_types {
            let path = root.key("shard_types").key(name);
            match Matcher::compile(&layouts[name], shard_type, &path) {
                Ok(matcher) => types.push((layouts[name].clone(), matcher)),
                Err(found) => problems.extend(found),
            }
        }
        let tenant = config.tenant.clone().unwrap_or_else(|| "default".to_owned());
        let mut tasks: Vec<TaskProgram> = Vec::new();
        for (name, task) in &config.sync_tasks {
            match compile_task(config, &layouts, &tenant, name, task) {
                Ok(program) => {
                    problems.extend(clash(&tasks, &program));
                    tasks.push(program);
                }
                Err(found) => problems.extend(found),
            }
        }
        // Of a schema that no sound task uses, what is wrong with it is told all the same.
        let is_used = |name: &str| tasks.iter().any(|task| task.schema == name);
        for (name, schema) in config.conversion_schemas.iter().filter(|(name, _)| !is_used(name)) {
            let found = compile_unused(schema, &layouts, &tenant, name).err().unwrap_or_default();
            let new = found.into_iter().filter(|found| !problems.contains(found));
            let new: Vec<_> = new.collect();
            problems.extend(new);
        }
        for (name, connection) in &config.connections {
            let webhook = connection.webhook.as_ref();
            let compiled = webhook.map(|webhook| Notices::compile(name, connection, webhook));
            problems.extend(compiled.and_then(Result::err).unwrap_or_default());
        }
        problems.dedup();
        if !problems.is_empty() {
            return Err(problems);
        }
        let single = config.connections.iter().filter(|(_, c)| c.duplicate_free);
        let systems = single.zip(1..).map(|((name, _), number)| (name.clone(), number)).collect();
        let priorities = config.connections.iter().map(|(n, c)| (n.clone(), c.priority)).collect();
        Ok(Self { types, tasks, systems, priorities, tenant })
    }

    /// The tenant whose configuration it is.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The names that need row numbers.
    pub fn names(&self) -> ProgramNames {
        let mut names = ProgramNames {
            shard_types: self.types.iter().map(|(l, _)| l.shard_type.to_string()).collect(),
            ..ProgramNames::default()
        };
        for (layout, matcher) in &self.types {
            let name = |rule: &str| RuleName {
                shard_type: layout.shard_type.to_string(),
                rule: rule.into(),
            };
            names.rules.extend(matcher.rule_names().map(name));
        }
        for task in &self.tasks {
            names.entities.push(task.entity.clone());
            for spec in task.converter.relationships() {
                names.kinds.push(spec.name.clone());
                names.entities.push(Conversion::target_entity(&spec.by, &spec.shard_type));
            }
            for spec in task.converter.derived() {
                names.kinds.push(spec.relationship.clone());
                names.entities.push(derived_entity(&task.entity, &spec.name, &spec.shard_type));
            }
            for spec in task.converter.lookups() {
                names.kinds.push(lookup_kind(task.converter.layout(), spec.field));
                names.entities.push(Conversion::target_entity(&spec.by, &spec.shard_type));
            }
        }
        names.entities.sort();
        names.entities.dedup();
        names.kinds.sort();
        names.kinds.dedup();
        names
    }

    /// The entity of a task's own records.
    pub fn task_entity(&self, task: &str) -> Option<&EntityName> {
        self.tasks.iter().find(|program| program.name == task).map(|program| &program.entity)
    }

    /// Binds the program to a store's row numbers for its names. `known` are all entities of the store: those
    /// that the configuration no longer has keep what they said, at priority 0.
    pub fn bind(
        self,
        names: &ProgramNames,
        ids: &ProgramIds,
        known: &[(EntityName, EntityId)],
    ) -> Rules {
        let binding = Binding {
            entities: names.entities.iter().zip(&ids.entities).map(|(n, &i)| (n, i)).collect(),
            kinds: names.kinds.iter().map(String::as_str).zip(ids.kinds.iter().copied()).collect(),
            types: (0..)
                .zip(&self.types)
                .map(|(i, (l, _))| (l.shard_type.to_string(), i))
                .collect(),
            layouts: self.types.iter().map(|(layout, _)| layout.clone()).collect(),
        };
        let mut types = type_rules(self.types, ids);
        let mut entities = FxHashMap::default();
        for task in self.tasks {
            mark_targets(&task.converter, &binding, &mut types);
            let rules = |name: &EntityName, conversion| EntityRules {
                connection: name.connection.clone(),
                entity: name.entity.clone(),
                priority: self.priorities.get(&name.connection).copied().unwrap_or(0),
                system: self.systems.get(&name.connection).copied().unwrap_or(0),
                shard_type: binding.types[&name.shard_type],
                target: task.target,
                is_timed: task.is_timed,
                conversion,
                two_way: None,
            };
            for spec in task.converter.derived() {
                let name = derived_entity(&task.entity, &spec.name, &spec.shard_type);
                let derived = EntityRules { system: 0, ..rules(&name, None) };
                entities.entry(binding.entities[&name]).or_insert(derived);
            }
            let id = binding.entities[&task.entity];
            let own = rules(&task.entity, None);
            let conversion = Some(binding.conversion(task.converter, &task.entity));
            if task.two_way.as_ref().is_some_and(|two_way| two_way.outbound.is_some()) {
                types[own.shard_type].written_to.push(id);
            }
            let own = EntityRules { conversion, two_way: task.two_way, ..own };
            for (_, target) in own.references() {
                types[target.shard_type].referred_to = true;
                types[own.shard_type].refers = true;
            }
            entities.entry(id).or_insert(own);
        }
        for (name, id) in known {
            let Some(&shard_type) = binding.types.get(&name.shard_type) else { continue };
            entities.entry(*id).or_insert_with(|| EntityRules {
                connection: name.connection.clone(),
                entity: name.entity.clone(),
                priority: self.priorities.get(&name.connection).copied().unwrap_or(0),
                system: 0,
                shard_type,
                target: TargetFlags::default(),
                is_timed: false,
                conversion: None,
                two_way: None,
            });
        }
        Rules { types, entities: Arc::new(entities) }
    }
}

/// The shard types, with their row numbers. What others make of them is marked later.
fn type_rules(types: Vec<(Arc<Layout>, Matcher)>, ids: &ProgramIds) -> Vec<TypeRules> {
    let mut rule_ids = ids.rules.iter().copied();
    types
        .into_iter()
        .zip(&ids.shard_types)
        .map(|((layout, matcher), &id)| {
            let of_type = rule_ids.by_ref().take(matcher.rule_names().count()).collect();
            TypeRules::new(id, layout, matcher, of_type)
        })
        .collect()
}

struct Binding<'a> {
    entities: BTreeMap<&'a EntityName, EntityId>,
    kinds: BTreeMap<&'a str, KindId>,
    types: BTreeMap<String, usize>,
    layouts: Vec<Arc<Layout>>,
}

impl Binding<'_> {
    fn target(&self, by: &Target, shard_type: &str) -> EntityId {
        self.entities[&Conversion::target_entity(by, shard_type)]
    }

    fn conversion(&self, converter: Converter, own: &EntityName) -> Conversion {
        let relationships = converter
            .relationships()
            .iter()
            .map(|spec| (self.kinds[spec.name.as_str()], self.target(&spec.by, &spec.shard_type)))
            .collect();
        let derived = converter
            .derived()
            .iter()
            .map(|spec| {
                let name = derived_entity(own, &spec.name, &spec.shard_type);
                (self.kinds[spec.relationship.as_str()], self.entities[&name])
            })
            .collect();
        let lookups = converter
            .lookups()
            .iter()
            .map(|spec| {
                let shard_type = self.types[&spec.shard_type];
                LookupRule {
                    kind: self.kinds[lookup_kind(converter.layout(), spec.field).as_str()],
                    entity: self.target(&spec.by, &spec.shard_type),
                    by_field: match &spec.by {
                        Target::Field(field) => Some((spec.shard_type.clone(), field.clone())),
                        Target::ExternalId { .. } => None,
                    },
                    shard_type,
                    returns: self.layouts[shard_type].position(&spec.returns),
                }
            })
            .collect();
        Conversion { converter, relationships, lookups, derived }
    }
}

fn compile_task(
    config: &Config,
    layouts: &BTreeMap<String, Arc<Layout>>,
    tenant: &str,
    name: &str,
    task: &SyncTask,
) -> Result<TaskProgram, Vec<Problem>> {
    let schema = config.conversion_schemas.get(&task.conversion_schema);
    let entity =
        config.connections.get(&task.connection).and_then(|c| c.entities.get(&task.entity));
    let (Some(schema), Some(entity)) = (schema, entity) else {
        let path = ConfigPath::root().key("sync_tasks").key(name);
        return Err(vec![Problem::new(path, "the task refers to what is not there")]);
    };
    let names = Names { tenant, connection: &task.connection, entity: &task.entity, task: name };
    let path = ConfigPath::root().key("conversion_schemas").key(&task.conversion_schema);
    let converter = Converter::compile(schema, entity, layouts, &names, &path)?;
    let two_way = ways::compile(config, (name, task), schema, converter.layout(), &names)?;
    let target = TargetFlags {
        create_if_missing: schema.target.create_if_missing && task.direction.takes(),
        ..schema.target
    };
    Ok(TaskProgram {
        name: name.to_owned(),
        entity: EntityName {
            connection: task.connection.clone(),
            entity: task.entity.clone(),
            shard_type: schema.shard_type.clone(),
        },
        schema: task.conversion_schema.clone(),
        target,
        is_timed: entity.modified.is_some(),
        converter,
        two_way,
    })
}

/// Compiles a schema for the problems in it, as if some entity used it.
fn compile_unused(
    schema: &ConversionSchema,
    layouts: &BTreeMap<String, Arc<Layout>>,
    tenant: &str,
    name: &str,
) -> Result<Converter, Vec<Problem>> {
    let entity = Entity { key: OneOrMany::One("id".to_owned()), ..Entity::default() };
    let names = Names { tenant, connection: "", entity: &schema.shard_type, task: "" };
    let path = ConfigPath::root().key("conversion_schemas").key(name);
    Converter::compile(schema, &entity, layouts, &names, &path)
}

/// Two tasks may not make the same shards of the same records in different ways.
fn clash(tasks: &[TaskProgram], new: &TaskProgram) -> Option<Problem> {
    let writes = |task: &TaskProgram| task.two_way.as_ref().is_some_and(|w| w.outbound.is_some());
    let same = tasks.iter().find(|t| t.entity == new.entity);
    if let Some(other) = same.filter(|other| writes(other) || writes(new)) {
        let path = ConfigPath::root().key("sync_tasks").key(&new.name).key("entity");
        let message = format!("task `{}` syncs the same records", other.name);
        let help = "records that are written to are synced by one task alone";
        return Some(Problem::new(path, message).with_help(help));
    }
    let other = tasks.iter().find(|t| t.entity == new.entity && t.schema != new.schema)?;
    let path = ConfigPath::root().key("sync_tasks").key(&new.name).key("conversion_schema");
    let message = format!(
        "task `{}` makes the same shards of the same records with another conversion schema",
        other.name
    );
    Some(Problem::new(path, message).with_help(format!("use `{}` in both", other.schema)))
}

/// Marks the types whose records others look up, and the fields by which they are found.
fn mark_targets(converter: &Converter, binding: &Binding<'_>, types: &mut [TypeRules]) {
    let lookups = converter.lookups().iter().map(|spec| (&spec.by, &spec.shard_type, true));
    let relationships =
        converter.relationships().iter().map(|spec| (&spec.by, &spec.shard_type, false));
    for (by, shard_type, is_lookup) in lookups.chain(relationships) {
        let rules = &mut types[binding.types[shard_type]];
        rules.looked_up |= is_lookup;
        if let Target::Field(field) = by
            && let Some(position) = rules.layout.position(field)
            && !rules.found_by.contains(&position)
        {
            rules.found_by.push(position);
            rules.found_under.push(binding.target(by, shard_type));
        }
    }
}

fn derived_entity(own: &EntityName, name: &str, shard_type: &str) -> EntityName {
    EntityName {
        connection: own.connection.clone(),
        entity: format!("{}#{name}", own.entity),
        shard_type: shard_type.to_owned(),
    }
}

fn lookup_kind(layout: &Layout, field: usize) -> String {
    format!("lookup:{}", layout.names()[field])
}
