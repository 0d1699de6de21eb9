//! `syncline shards`: lists, searches and shows shards.

use super::why::{record_text, shown};
use crate::app::App;
use crate::error::{Error, Exit};
use crate::explain::{self, Explanation, Found, explain};
use crate::output::{Tone, counted, shorten};
use serde::Serialize;
use std::collections::BTreeMap;
use syncline_core::plan::rows::{KindId, LinkId, ShardId, ShardRow, TypeId};
use syncline_core::problem::nearest;
use syncline_core::value::Value;
use syncline_engine::World;
use syncline_store::query::{EdgeRow, FieldTest, MergeRow, ShardFilter};

/// What `syncline shards` takes.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
syncline shards list contact                            the first contacts\n  \
syncline shards list contact --where email=ann@x.org    those with exactly this value\n  \
syncline shards list --where name~smith --limit 100     those with this text somewhere in the field\n  \
syncline shards show 0199f3c2                           one shard, by the beginning of its id"
)]
pub struct Args {
    /// What is asked for.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What the list holds.
    #[command(flatten)]
    pub list: ListArgs,
}

/// What can be asked about shards.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Lists shards, or those whose fields hold what is asked for
    List(ListArgs),
    /// Shows a shard: fields, records, edges, merges
    Show {
        /// The shard's id, or the beginning of it
        shard: String,
    },
}

/// What the list holds.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only shards of this type
    #[arg(value_name = "TYPE")]
    pub shard_type: Option<String>,
    /// Only shards whose field is this value (`field=value`) or has this text in it (`field~text`); all must hold
    #[arg(long = "where", value_name = "TEST", value_parser = test)]
    pub tests: Vec<(String, FieldTest)>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// Deleted shards too
    #[arg(long)]
    pub deleted: bool,
}

fn test(text: &str) -> Result<(String, FieldTest), String> {
    let at = text.find(['=', '~']).filter(|at| *at > 0);
    let at = at.ok_or("expected `field=value` or `field~text`")?;
    let (field, value) = (text[..at].trim().to_owned(), text[at + 1..].to_owned());
    let is_equal = text.as_bytes()[at] == b'=';
    Ok((field, if is_equal { FieldTest::Equals(value) } else { FieldTest::Contains(value) }))
}

/// The type of this name.
///
/// # Errors
///
/// When there is none.
pub(super) fn type_named<'a>(
    types: impl IntoIterator<Item = (&'a TypeId, &'a String)>,
    wanted: &str,
) -> Result<TypeId, Error> {
    let types: Vec<(&TypeId, &String)> = types.into_iter().collect();
    if let Some((id, _)) = types.iter().find(|(_, name)| *name == wanted) {
        return Ok(**id);
    }
    let mut names: Vec<&str> = types.iter().map(|(_, name)| name.as_str()).collect();
    names.sort_unstable();
    let hint = match nearest(wanted, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "the store is empty: `syncline run` fills it".to_owned(),
        None => format!("the types are: {}", names.join(", ")),
    };
    Err(Error::usage(format!("there is no shard type `{wanted}`"), hint))
}

/// Lists or shows shards.
///
/// # Errors
///
/// When there is no such shard, type or field, or the store cannot be read.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    match args.command {
        Some(Command::Show { shard }) => show(&shard, app).await?,
        Some(Command::List(list)) => list_shards(list, app).await?,
        None => list_shards(args.list, app).await?,
    }
    Ok(Exit::Success)
}

/// A shard in a list.
#[derive(Debug, Serialize)]
struct Listed {
    id: String,
    #[serde(rename = "type")]
    shard_type: String,
    version: i64,
    deleted: bool,
    data: Value,
}

async fn list_shards(args: ListArgs, app: &App) -> Result<(), Error> {
    let sync = app.open_to_read(None).await?;
    let world = sync.world();
    let shard_type = match &args.shard_type {
        Some(name) => Some(type_named(&world.shard_types, name)?),
        None => None,
    };
    for (field, _) in &args.tests {
        know_field(world, shard_type, field)?;
    }
    let filter = ShardFilter {
        shard_type,
        fields: args.tests,
        after: ShardId(0),
        limit: args.limit.saturating_add(1),
        with_deleted: args.deleted,
    };
    let mut shards = world.store.shards(filter).await?;
    let has_more = shards.len() > args.limit;
    shards.truncate(args.limit);
    let listed: Vec<Listed> = shards.iter().map(|shard| listed(world, shard)).collect();
    if app.out.json {
        return app.out.json(&listed);
    }
    if listed.is_empty() {
        return app.out.line("no shards");
    }
    let columns = columns(world, shard_type);
    let mut headings = vec!["id"];
    if shard_type.is_none() {
        headings.push("type");
    }
    headings.extend(columns.iter().map(String::as_str));
    if columns.is_empty() {
        headings.push("fields");
    }
    let rows = listed.iter().map(|shard| row(shard, shard_type.is_none(), &columns)).collect();
    app.out.table(&headings, rows)?;
    if has_more {
        let shown = counted(listed.len() as u64, "shard");
        app.out.note(format!(
            "the first {shown}; `--limit N` shows more, `syncline export shards` all"
        ));
    }
    Ok(())
}

/// Makes sure that a field is there, so that a mistyped one does not look like an empty result.
fn know_field(world: &World, shard_type: Option<TypeId>, field: &str) -> Result<(), Error> {
    let types = world.rules.types.iter();
    let layouts = types.filter(|rules| shard_type.is_none_or(|id| id == rules.id));
    let known: Vec<&str> =
        layouts.flat_map(|rules| rules.layout.names().iter().map(AsRef::as_ref)).collect();
    if known.is_empty() || known.contains(&field) {
        return Ok(());
    }
    let hint = match nearest(field, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the fields are: {}", known.join(", ")),
    };
    Err(Error::usage(format!("there is no field `{field}`"), hint))
}

fn listed(world: &World, shard: &ShardRow) -> Listed {
    Listed {
        id: explain::uuid(shard.uuid),
        shard_type: type_name(world, shard.shard_type),
        version: shard.version,
        deleted: shard.deleted_at.is_some(),
        data: serde_json::from_str(&shard.data).unwrap_or(Value::Null),
    }
}

fn type_name(world: &World, id: TypeId) -> String {
    world.shard_types.get(&id).cloned().unwrap_or_default()
}

/// The first fields of the type, for columns; none where shards of all types are listed.
fn columns(world: &World, shard_type: Option<TypeId>) -> Vec<String> {
    let rules = world.rules.types.iter().find(|rules| Some(rules.id) == shard_type);
    let names = rules.map_or(&[][..], |rules| rules.layout.names());
    names.iter().take(6).map(ToString::to_string).collect()
}

fn row(shard: &Listed, with_type: bool, columns: &[String]) -> Vec<String> {
    let mut row = vec![shard.id.clone()];
    if with_type {
        row.push(shard.shard_type.clone());
    }
    let Value::Map(fields) = &shard.data else { return row };
    if columns.is_empty() {
        let filled = fields.iter().filter(|(_, value)| !value.is_blank());
        let parts: Vec<String> = filled
            .map(|(name, value)| format!("{name}={}", shorten(&value.to_plain(), 30)))
            .collect();
        row.push(shorten(&parts.join(" "), 100));
    }
    for column in columns {
        let value = fields.iter().find(|(name, _)| name == column).map(|(_, value)| value);
        row.push(value.map_or_else(String::new, |value| shorten(&value.to_plain(), 40)));
    }
    row
}

/// A shard with all that hangs on it.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    explanation: Explanation,
    /// Edges from this shard.
    edges_out: Vec<Edge>,
    /// Edges to it.
    edges_in: Vec<Edge>,
    /// Shards that were merged into it.
    merged: Vec<Merged>,
    /// How many changes of it are kept.
    changes: usize,
}

/// An edge, seen from one of its ends.
#[derive(Debug, Serialize)]
struct Edge {
    relationship: String,
    /// The record that states it.
    stated_by: String,
    /// The other end's UUID; `None` while it has not arrived.
    shard: Option<String>,
    /// The other end, for people.
    name: Option<String>,
    /// What the edge looks for: connection, entity (or field) and external id (or value).
    connection: String,
    entity: String,
    external_id: String,
}

/// A shard that was merged into another one.
#[derive(Debug, Serialize)]
struct Merged {
    id: String,
    score: Option<f32>,
    rule: Option<String>,
}

async fn show(id: &str, app: &App) -> Result<(), Error> {
    let sync = app.open_to_read(None).await?;
    let world = sync.world();
    let found = explain::find(world.store.as_ref(), id).await?;
    let shown = gather(world, &found).await?;
    if app.out.json {
        return app.out.json(&shown);
    }
    print(&shown, app)
}

async fn gather(world: &World, found: &Found) -> Result<Shown, Error> {
    let explanation = explain(world, found).await?;
    let shard = found.shard.id;
    let links = world.store.links_of(vec![shard]).await?;
    let ids: Vec<LinkId> = links.iter().map(|link| link.id).collect();
    let out = world.store.edges_from(ids.clone()).await?;
    let into = world.store.edges_to(ids).await?;
    let merges = world.store.merges(vec![shard]).await?;
    let merges: Vec<&MergeRow> = merges.iter().filter(|merge| merge.survivor == shard).collect();
    let mut others: Vec<ShardId> = out.iter().filter_map(|edge| edge.target_shard).collect();
    others.extend(into.iter().map(|edge| edge.shard));
    others.extend(merges.iter().map(|merge| merge.loser));
    others.sort_unstable();
    others.dedup();
    let others = world.store.shards_by_row(others).await?;
    let others: BTreeMap<ShardId, ShardRow> = others.into_iter().map(|row| (row.id, row)).collect();
    let known = |id: ShardId| others.get(&id);
    let matcher = world.rules.types.iter().find(|rules| rules.id == found.shard.shard_type);
    let merged = merges
        .iter()
        .filter_map(|merge| {
            let evidence = merge.evidence;
            let rule = evidence.zip(matcher).map(|(e, r)| r.matcher.rule_name(e.rule).to_owned());
            Some(Merged {
                id: explain::uuid(known(merge.loser)?.uuid),
                score: evidence.map(|edge| edge.score),
                rule,
            })
        })
        .collect();
    let edge = |row: &EdgeRow, end: Option<ShardId>| {
        let entity = world.entities.get(&row.entity).cloned().unwrap_or_default();
        let end = end.and_then(known);
        let stated_by = links.iter().find(|link| link.id == row.link);
        Edge {
            relationship: kind_name(world, row.kind),
            stated_by: stated_by.map_or_else(String::new, |link| link.external_id.to_string()),
            shard: end.map(|shard| explain::uuid(shard.uuid)),
            name: end.map(|shard| called(world, shard)),
            connection: entity.connection,
            entity: entity.entity,
            external_id: row.target.clone(),
        }
    };
    Ok(Shown {
        edges_out: out.iter().map(|row| edge(row, row.target_shard)).collect(),
        edges_in: into.iter().map(|row| edge(row, Some(row.shard))).collect(),
        merged,
        changes: world.store.history(shard).await?.len(),
        explanation,
    })
}

fn kind_name(world: &World, kind: KindId) -> String {
    world.kinds.get(&kind).cloned().unwrap_or_default()
}

/// What people call a shard: its type, and its name, e-mail address or first field that is filled.
fn called(world: &World, shard: &ShardRow) -> String {
    let shard_type = type_name(world, shard.shard_type);
    let Ok(Value::Map(fields)) = serde_json::from_str(&shard.data) else { return shard_type };
    let usual = ["name", "full_name", "title", "email"];
    let filled = |name: &str| {
        fields
            .iter()
            .find(|(field, value)| field == name && !value.is_blank())
            .map(|(_, value)| value)
    };
    let first = || fields.iter().map(|(_, value)| value).find(|value| !value.is_blank());
    match usual.into_iter().find_map(filled).or_else(first) {
        Some(value) => format!("{shard_type} {}", shorten(&value.to_plain(), 60)),
        None => shard_type,
    }
}

fn print(shown_shard: &Shown, app: &App) -> Result<(), Error> {
    let out = &app.out;
    let heading = |text: &str| out.line(format!("\n{}", out.paint(Tone::Bold, text)));
    let explanation = &shown_shard.explanation;
    if let Some(old) = &explanation.redirected_from {
        out.line(format!("{old} was merged into {}", explanation.shard))?;
    }
    let deleted = if explanation.deleted { ", deleted" } else { "" };
    let title = format!("{} {}", explanation.shard_type, explanation.shard);
    let changes = counted(shown_shard.changes as u64, "earlier state");
    let version = explanation.version;
    out.line(format!(
        "{}, version {version}{deleted}, {changes} kept",
        out.paint(Tone::Bold, &title)
    ))?;
    heading("fields")?;
    let width = explanation.fields.iter().map(|f| f.field.chars().count()).max().unwrap_or(0);
    for field in explanation.fields.iter() {
        if let Some(value) = &field.value {
            out.line(format!("  {:<width$}  {}", field.field, shown(value)))?;
        }
    }
    heading("records")?;
    for record in &explanation.records {
        let differs = match record.differs_in.as_slice() {
            [] => String::new(),
            fields => format!("; says otherwise of {}", fields.join(", ")),
        };
        out.line(format!("  {}{differs}", record_text(record)))?;
    }
    for (title, edges, arrow) in
        [("edges out", &shown_shard.edges_out, "→"), ("edges in", &shown_shard.edges_in, "←")]
    {
        if edges.is_empty() {
            continue;
        }
        heading(title)?;
        for edge in edges {
            let end = match (&edge.name, &edge.shard) {
                (Some(name), Some(shard)) => format!("{name} ({shard})"),
                _ => {
                    let Edge { connection, entity, external_id, .. } = edge;
                    format!("waits for {connection}/{entity} {external_id}")
                }
            };
            out.line(format!("  {} {arrow} {end}", edge.relationship))?;
        }
    }
    if !shown_shard.merged.is_empty() {
        heading("merged into it")?;
    }
    for merged in &shown_shard.merged {
        let because = merged.rule.as_ref().map(|rule| format!(", by rule {rule}"));
        let score = merged.score.map(|score| format!(", score {score:.2}"));
        let (because, score) = (because.unwrap_or_default(), score.unwrap_or_default());
        out.line(format!("  {}{because}{score}", merged.id))?;
    }
    out.note("\n`syncline why SHARD FIELD` tells where a value comes from");
    Ok(())
}
