//! A configuration bound to a store: what an execution runs with.

use crate::execution::EngineError;
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncline_adapters::{Adapter, AdapterError, Shared, registry};
use syncline_core::config::Secrets;
use syncline_core::config::model::{
    Config, Connection, ConversionSchema, Matching, MergeStrategy, SyncTask,
};
use syncline_core::convert::Converter;
use syncline_core::plan::program::{Program, ProgramIds};
use syncline_core::plan::rows::{EntityId, EntityName, KindId, RuleId, RuleName, TypeId};
use syncline_core::plan::rules::Rules;
use syncline_store::erasure::Erased;
use syncline_store::{Catalog, Store};

/// Opens the adapter of a connection; relative paths start from the folder.
pub type OpenAdapter =
    Arc<dyn Fn(&Connection, &Path) -> Result<Arc<dyn Adapter>, AdapterError> + Send + Sync>;

/// A configuration, compiled and bound to the row numbers of a store.
#[derive(Clone)]
pub struct World {
    /// The configuration.
    pub config: Arc<Config>,
    /// The folder that relative paths start from.
    pub base: PathBuf,
    /// How connections are opened: [`registry::open`], unless somebody puts another way here.
    pub open_adapter: OpenAdapter,
    /// What the connections' adapters share: limits, and tokens.
    pub shared: Arc<Shared>,
    /// Where shards are kept.
    pub store: Arc<dyn Store>,
    /// The compiled rules.
    pub rules: Arc<Rules>,
    /// The tenant.
    pub tenant: String,
    /// Every entity of the store by row number, those that the configuration no longer has included.
    pub entities: FxHashMap<EntityId, EntityName>,
    /// Every relationship of the store.
    pub kinds: FxHashMap<KindId, String>,
    /// Every shard type of the store.
    pub shard_types: FxHashMap<TypeId, String>,
    /// Every match rule of the store, those that the configuration no longer has included.
    pub match_rules: FxHashMap<RuleId, RuleName>,
    /// Names the configuration: equal text means equal outcome for equal input.
    pub fingerprint: String,
    /// The records that were erased.
    pub(crate) erased: Erased,
    secrets: Secrets,
    tasks: FxHashMap<String, Task>,
    /// By the index of a shard type: what names how its records are matched.
    matching: Vec<MatchNames>,
}

/// What of a task is worked out once.
#[derive(Clone, Default)]
struct Task {
    /// The entity of its records.
    entity: EntityId,
    conversion: String,
    outbound: String,
}

/// What names how the records of a shard type are matched.
#[derive(Clone, Default)]
struct MatchNames {
    /// Where no model is made for another number of records than it was trained on.
    comparing: String,
    merging: String,
}

impl World {
    /// Binds a compiled configuration to a store. `secrets` are kept out of everything that is stored or told.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn open(
        config: Config,
        program: Program,
        base: &Path,
        store: Arc<dyn Store>,
        secrets: Secrets,
    ) -> Result<Self, EngineError> {
        let names = program.names();
        let tenant = program.tenant().to_owned();
        let task_entities: Vec<(String, EntityName)> = config
            .sync_tasks
            .keys()
            .filter_map(|task| Some((task.clone(), program.task_entity(task)?.clone())))
            .collect();
        let ids = store
            .register(Catalog {
                shard_types: names.shard_types.clone(),
                entities: names.entities.clone(),
                kinds: names.kinds.clone(),
                rules: names.rules.clone(),
            })
            .await?;
        let erased = store.erased().await?;
        let (all, all_ids) = store.catalog().await?;
        let ids = ProgramIds {
            shard_types: ids.shard_types,
            entities: ids.entities,
            kinds: ids.kinds,
            rules: ids.rules,
        };
        let known: Vec<(EntityName, EntityId)> =
            all.entities.into_iter().zip(all_ids.entities).collect();
        let of_task = |name: &EntityName| names.entities.iter().position(|known| known == name);
        let tasks = task_entities.iter().filter_map(|(task, name)| {
            let entity = ids.entities[of_task(name)?];
            let conversion = conversion_fingerprint(&config, task);
            let outbound = outbound_fingerprint(&config, task);
            Some((task.clone(), Task { entity, conversion, outbound }))
        });
        let tasks = tasks.collect();
        let shared = Arc::new(Shared::new(&config.limits));
        let mut world = Self {
            rules: Arc::new(program.bind(&names, &ids, &known)),
            fingerprint: fingerprint(&config),
            entities: known.into_iter().map(|(name, id)| (id, name)).collect(),
            kinds: all_ids.kinds.into_iter().zip(all.kinds).collect(),
            match_rules: all_ids.rules.into_iter().zip(all.rules).collect(),
            shard_types: all_ids.shard_types.into_iter().zip(all.shard_types).collect(),
            base: base.to_owned(),
            open_adapter: opener(&config, &shared),
            shared,
            config: Arc::new(config),
            store,
            tenant,
            erased,
            secrets,
            tasks,
            matching: Vec::new(),
        };
        world.matching = (0..world.rules.types.len())
            .map(|index| MatchNames {
                comparing: world.comparing(index, None),
                merging: world.merging(index),
            })
            .collect();
        Ok(world)
    }

    /// The world with what was erased meanwhile. The same one, where nothing was.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn current(self: &Arc<Self>) -> Result<Arc<Self>, EngineError> {
        let erased = self.store.erased().await?;
        if erased == self.erased {
            return Ok(self.clone());
        }
        Ok(Arc::new(Self { erased, ..Self::clone(self) }))
    }

    /// The world with its models for as many records as the store holds now, so that a cut-off which suits few
    /// records is not trusted among many. The same one, where its models are right already.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn sized(self: &Arc<Self>) -> Result<Arc<Self>, EngineError> {
        let mut sized = None;
        for (index, rules) in self.rules.types.iter().enumerate() {
            if rules.matcher.model().is_none() {
                continue;
            }
            let mut records = 0;
            let entities = self.rules.entities.iter();
            for (entity, _) in entities.filter(|(_, of)| of.shard_type == index) {
                records += self.store.live_links(*entity).await?;
            }
            if let Some(matcher) = rules.matcher.for_records(records) {
                let world = sized.get_or_insert_with(|| Self::clone(self));
                Arc::make_mut(&mut world.rules).types[index].matcher = matcher;
            }
        }
        Ok(sized.map_or_else(|| self.clone(), Arc::new))
    }

    /// Names what a task's records are made with. Equal texts mean that what is stored of unchanged records
    /// stands.
    pub(crate) fn conversion_fingerprint(&self, task: &str) -> &str {
        self.tasks.get(task).map_or("", |task| &task.conversion)
    }

    /// Names how shards become records of a task's entity, and which do.
    pub(crate) fn outbound_fingerprint(&self, task: &str) -> &str {
        self.tasks.get(task).map_or("", |task| &task.outbound)
    }

    /// The shard types that a task's records become, by their index in the rules.
    pub(crate) fn types_of_task(&self, task: &str) -> Vec<usize> {
        let schema = self.config.sync_tasks.get(task).map(|task| &task.conversion_schema);
        let schema = schema.and_then(|name| self.config.conversion_schemas.get(name));
        let names: Vec<&str> = schema.iter().flat_map(|schema| shard_types(schema)).collect();
        let types = self.rules.types.iter().enumerate();
        let wanted = types.filter(|(_, rules)| names.contains(&rules.layout.shard_type.as_str()));
        wanted.map(|(index, _)| index).collect()
    }

    /// Names how the records of a shard type are matched: what keys and match edges hang on, and what clusters
    /// and surviving values hang on besides.
    pub(crate) fn match_fingerprints(&self, index: usize) -> (String, String) {
        let Some(names) = self.matching.get(index) else { return Default::default() };
        let model = self.rules.types[index].matcher.model();
        let size = model.filter(|model| model.records() != model.trained_on());
        let comparing = match size {
            Some(model) => self.comparing(index, Some(model.records())),
            None => names.comparing.clone(),
        };
        (comparing, names.merging.clone())
    }

    /// Names what keys and match edges hang on; `size` is the number of records that a model was made for, where that
    /// is another than the one it was trained on.
    fn comparing(&self, index: usize, size: Option<u64>) -> String {
        let rules = &self.rules.types[index];
        let Some(shard_type) = self.config.shard_types.get(&*rules.layout.shard_type) else {
            return String::new();
        };
        let matching = shard_type.matching.clone().unwrap_or_default();
        let asks = matching.merge == MergeStrategy::Manual;
        let comparing = Matching { merge: MergeStrategy::default(), cluster_max: 0, ..matching };
        fingerprint(&(&shard_type.identity, comparing, asks, &rules.found_by, size))
    }

    /// Names what clusters and surviving values hang on besides.
    fn merging(&self, index: usize) -> String {
        let name = &*self.rules.types[index].layout.shard_type;
        let Some(shard_type) = self.config.shard_types.get(name) else { return String::new() };
        let matching = shard_type.matching.clone().unwrap_or_default();
        let ranks: Vec<_> = self
            .config
            .connections
            .iter()
            .map(|(name, of)| (name, of.priority, of.duplicate_free))
            .collect();
        let tasks = self.config.sync_tasks.values();
        let sources: Vec<_> = tasks
            .filter_map(|task| {
                let schema = self.config.conversion_schemas.get(&task.conversion_schema)?;
                let connection = self.config.connections.get(&task.connection)?;
                let entity = connection.entities.get(&task.entity)?;
                let is_source = shard_types(schema).any(|of| of == name);
                let timed = entity.modified.is_some();
                is_source.then_some((&task.connection, &task.entity, schema.target, timed))
            })
            .collect();
        let surviving = &shard_type.survivorship;
        fingerprint(&(matching.merge, matching.cluster_max, surviving, ranks, sources))
    }

    /// What makes values of an entity's records; `None` where nothing is made of them.
    pub(crate) fn converter(&self, entity: EntityId) -> Option<&Converter> {
        Some(&self.rules.entities.get(&entity)?.conversion.as_ref()?.converter)
    }

    /// The name of a match rule; empty where the store knows none of this number.
    pub fn rule_name(&self, rule: RuleId) -> &str {
        self.match_rules.get(&rule).map_or("", |name| &name.rule)
    }

    /// The text without any secret of the configuration.
    pub fn scrub(&self, text: &str) -> String {
        self.secrets.scrub(text).into_owned()
    }

    /// A task and the entity of its records.
    ///
    /// # Errors
    ///
    /// When the configuration has no such task.
    pub fn task(&self, name: &str) -> Result<(&SyncTask, EntityId), EngineError> {
        match (self.config.sync_tasks.get(name), self.tasks.get(name)) {
            (Some(task), Some(known)) => Ok((task, known.entity)),
            _ => Err(EngineError::UnknownTask(name.to_owned())),
        }
    }
}

/// Opens the connections of a configuration. Adapters know them by their settings, and share by their names.
fn opener(config: &Config, shared: &Arc<Shared>) -> OpenAdapter {
    let (connections, shared) = (config.connections.clone(), shared.clone());
    Arc::new(move |connection, base| {
        let name = connections.iter().find(|(_, known)| *known == connection);
        let name = name.map_or("", |(name, _)| name.as_str());
        registry::open_sharing(connection, base, name, &shared)
    })
}

/// The shard types that the records of a conversion schema become.
fn shard_types(schema: &ConversionSchema) -> impl Iterator<Item = &str> {
    let derived = schema.derived.iter().map(|derived| derived.shard_type.as_str());
    std::iter::once(schema.shard_type.as_str()).chain(derived)
}

/// Names what a task's records are made with.
fn conversion_fingerprint(config: &Config, task: &str) -> String {
    let Some(task) = config.sync_tasks.get(task) else { return String::new() };
    let schema = config.conversion_schemas.get(&task.conversion_schema);
    let connection = config.connections.get(&task.connection);
    let entity = connection.and_then(|connection| connection.entities.get(&task.entity));
    let fields: Vec<_> = schema
        .iter()
        .flat_map(|schema| shard_types(schema))
        .filter_map(|name| Some((name, &config.shard_types.get(name)?.fields)))
        .collect();
    fingerprint(&(schema, entity, fields))
}

/// Names how shards become records of a task's entity, and which do.
fn outbound_fingerprint(config: &Config, task: &str) -> String {
    let Some(task) = config.sync_tasks.get(task) else { return String::new() };
    let schema = config.conversion_schemas.get(&task.conversion_schema);
    let schema = schema.map(|schema| (&schema.shard_type, &schema.fields, &schema.outbound));
    fingerprint(&(task.direction, &task.fields, &task.outbound, schema))
}

/// Names a part of a configuration by what it says.
fn fingerprint(part: &impl Serialize) -> String {
    let json = serde_json::to_string(part).unwrap_or_default();
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(json.as_bytes()))
}
