//! Reading the records of a shard type from its connections, to train a model on them or to try one.

use crate::error::Error;
use crate::models::Places;
use crate::syncing::Syncline;
use crate::workspace::Workspace;
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use syncline_adapters::ReadRequest;
use syncline_core::convert::Outcome;
use syncline_core::matching::model::{Declaration, Trained, Trainer, declare};
use syncline_core::plan::rows::Verdict;
use syncline_core::problem::ConfigPath;
use syncline_core::record::Page;
use syncline_core::shard::Layout;
use syncline_core::value::Cell;
use tokio::sync::mpsc;

/// Pages that may wait to be converted.
const PAGES_WAITING: usize = 4;

/// What is known of records from a file: which of them are the same.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// By external id, the thing that the record is about.
    pub entities: FxHashMap<String, u32>,
}

impl Labels {
    /// Whether two records are the same; `None` where nothing is known of one of them.
    pub fn is_same(&self, a: &str, b: &str) -> Option<bool> {
        Some(self.entities.get(a)? == self.entities.get(b)?)
    }
}

/// A model that was trained.
#[derive(Clone, Debug, Serialize)]
pub struct Training {
    /// The shard type.
    pub shard_type: String,
    /// The file that it was written to.
    pub file: PathBuf,
    /// How many records there are.
    pub records: u64,
    /// How many of them it was trained on.
    pub sampled: u64,
    /// How many pairs of these share a key.
    pub pairs: u64,
    /// How many pairs of these it learnt from as people had decided them.
    pub decided: u64,
    /// How many pairs of all records are expected to be the same.
    pub same_pairs: f64,
    /// The least probability of a match.
    pub threshold: f64,
    /// The least probability of a pair that a person should look at.
    pub review: f64,
}

/// Trains the models of a configuration, or that of one shard type, and writes their files.
///
/// # Errors
///
/// When no shard type has a model, when a connection cannot be read, when there is too little to learn from,
/// or when no file can be written.
pub async fn train(
    workspace: Workspace,
    only: Option<&str>,
    seed: u64,
    labels: &Labels,
    output: Option<PathBuf>,
) -> Result<Vec<Training>, Error> {
    let store = workspace.store_path.clone();
    let folder = workspace.located.folder.clone();
    let models = declared(&workspace, only)?;
    if output.is_some() && models.len() > 1 {
        let hint = "say which one is meant: `--type TYPE`";
        return Err(Error::usage("there are several models, and `--output` names one file", hint));
    }
    let (sync, _) = Syncline::over_memory(workspace).await?;
    let decisions = sync.decisions().await?;
    let mut done = Vec::new();
    for (shard_type, model, declaration) in models {
        let mut trainer = Trainer::new(declaration, seed);
        for decision in &decisions {
            let (a, b) = (decision.a.written(), decision.b.written());
            trainer.decide(&a, &b, decision.verdict == Verdict::Same);
        }
        let trainer = each_record(&sync, &shard_type, trainer, |trainer, name, image| {
            trainer.add(name, image);
        })
        .await?;
        let trained = tokio::task::block_in_place(|| {
            // A record's name ends with its external id.
            let id = |name: &str| name.splitn(3, '/').nth(2).unwrap_or_default().to_owned();
            if labels.entities.is_empty() {
                trainer.train(&|_, _| None)
            } else {
                trainer.train(&|a, b| labels.is_same(&id(a), &id(b)))
            }
        });
        let Trained { file, sampled, pairs, decided } = trained.map_err(|error| {
            let hint = "see that the connections of its tasks hold records: `syncline check`";
            Error::refused(format!("shard type `{shard_type}`: {error}"), hint)
        })?;
        let text = file.to_yaml();
        let path = match &output {
            Some(path) => {
                crate::models::write(path, &text)
                    .map_err(|source| Error::Write { path: path.clone(), source })?;
                path.clone()
            }
            None => Places { folder: &folder, store: &store }.write(&shard_type, &model, &text)?,
        };
        done.push(Training {
            shard_type,
            file: path,
            records: file.records,
            sampled,
            pairs,
            decided,
            same_pairs: file.same_pairs,
            threshold: file.threshold,
            review: file.review,
        });
    }
    Ok(done)
}

type Declared = (String, String, Arc<Declaration>);

/// The shard types that have a model, with the name of its file.
fn declared(workspace: &Workspace, only: Option<&str>) -> Result<Vec<Declared>, Error> {
    let mut found = Vec::new();
    for (name, shard_type) in &workspace.config().shard_types {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let Some(matching) = &shard_type.matching else { continue };
        let layout = Layout::new(name, shard_type);
        // What is wrong was told when the configuration was compiled.
        let declaration = declare(&layout, matching, &ConfigPath::root()).ok().flatten();
        if let (Some(model), Some(declaration)) = (&matching.model, declaration) {
            found.push((name.clone(), model.clone(), Arc::new(declaration)));
        }
    }
    let types = &workspace.config().shard_types;
    if let Some(only) = only.filter(|only| !types.contains_key(*only)) {
        return Err(crate::commands::shards::unknown_type(only, types.keys().map(String::as_str)));
    }
    if found.is_empty() {
        let message = match only {
            Some(only) => format!("shard type `{only}` has no model"),
            None => "no shard type has a model".to_owned(),
        };
        let hint =
            "declare one: `matching: { model: contacts.model.yaml, compare: { email: email } }`";
        return Err(Error::usage(message, hint));
    }
    Ok(found)
}

/// Hands every record of a shard type to `take`, as the connections of its tasks hold them now: its name
/// (`connection/entity/external id`) and its image.
///
/// # Errors
///
/// When a connection cannot be read.
pub(crate) async fn each_record<T: Send + 'static>(
    sync: &Syncline,
    shard_type: &str,
    mut state: T,
    take: impl Fn(&mut T, &str, &[Cell]) + Copy + Send + 'static,
) -> Result<T, Error> {
    let world = sync.world();
    let mut read = Vec::new();
    for (name, task) in &world.config.sync_tasks {
        let schema = world.config.conversion_schemas.get(&task.conversion_schema);
        let source = (task.connection.clone(), task.entity.clone());
        if schema.is_none_or(|schema| schema.shard_type != shard_type) || read.contains(&source) {
            continue;
        }
        let (_, entity) = world.task(name)?;
        let adapter =
            (world.open_adapter)(&world.config.connections[&task.connection], &world.base)?;
        let request = ReadRequest {
            entity: task.entity.clone(),
            cursor: None,
            full: true,
            page_len: usize::try_from(task.batch.size.max(1)).unwrap_or(1000),
            changed_since: None,
        };
        let (sender, mut pages) = mpsc::channel::<Page>(PAGES_WAITING);
        let (owned, prefix) = (world.clone(), format!("{}/{}/", source.0, source.1));
        let converting = tokio::task::spawn_blocking(move || {
            let conversion = owned.rules.entities.get(&entity);
            let Some(conversion) = conversion.and_then(|e| e.conversion.as_ref()) else {
                return state;
            };
            let mut name = prefix.clone();
            while let Some(page) = pages.blocking_recv() {
                for record in conversion.converter.convert(&page) {
                    if let Outcome::Mapped(mapped) = record.outcome {
                        name.truncate(prefix.len());
                        name.push_str(&record.external_id);
                        take(&mut state, &name, &mapped.image);
                    }
                }
            }
            state
        });
        let end = adapter.read(request, sender).await;
        state = match converting.await {
            Ok(state) => state,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        end?;
        read.push(source);
    }
    Ok(state)
}

impl Labels {
    /// Reads a CSV file: a header `id,entity` and a line for each record, or (with any other first line) pairs
    /// of external ids that are the same, which are closed transitively.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is no such file.
    pub fn read(path: &std::path::Path) -> Result<Self, Error> {
        let trouble = |source| Error::Read { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(trouble)?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut groups = Groups::default();
        let mut is_table = false;
        for (index, row) in reader.records().enumerate() {
            let bad = || {
                let message =
                    format!("`{}` line {}: expected two columns", path.display(), index + 1);
                Error::usage(message, "lines are `id,entity` below such a header, or pairs of ids")
            };
            let row = row.map_err(|_| bad())?;
            let (Some(a), Some(b)) = (row.get(0), row.get(1)) else { return Err(bad()) };
            let (a, b) = (a.trim(), b.trim());
            if index == 0 && b.eq_ignore_ascii_case("entity") {
                is_table = true;
            } else if is_table {
                let (record, entity) = (groups.of(format!("r{a}")), groups.of(format!("e{b}")));
                groups.join(record, entity);
            } else {
                let (a, b) = (groups.of(format!("r{a}")), groups.of(format!("r{b}")));
                groups.join(a, b);
            }
        }
        Ok(groups.into_labels())
    }
}

/// Sets of names, put together two by two.
#[derive(Default)]
struct Groups {
    numbers: FxHashMap<String, u32>,
    parents: Vec<u32>,
}

impl Groups {
    fn of(&mut self, name: String) -> u32 {
        let next = u32::try_from(self.parents.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(name).or_insert(next);
        if number == next {
            self.parents.push(next);
        }
        number
    }

    fn root(&mut self, mut number: u32) -> u32 {
        while self.parents[number as usize] != number {
            let above = self.parents[self.parents[number as usize] as usize];
            self.parents[number as usize] = above;
            number = above;
        }
        number
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a as usize] = b;
    }

    fn into_labels(mut self) -> Labels {
        let numbers: Vec<(String, u32)> = self.numbers.drain().collect();
        let records = numbers.into_iter().filter_map(|(name, number)| {
            let id = name.strip_prefix('r')?.to_owned();
            Some((id, self.root(number)))
        });
        Labels { entities: records.collect() }
    }
}
