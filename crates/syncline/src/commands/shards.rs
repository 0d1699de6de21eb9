//! `syncline shards`: lists, searches and shows shards.

use super::why::{record_text, shown};
use crate::app::App;
use crate::error::{Error, Exit};
use crate::explain::{self, Explanation, Found, explain};
use crate::output::{GAP, Output, Tone, counted, fit, shorten};
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
pub(crate) fn type_named<'a>(
    types: impl IntoIterator<Item = (&'a TypeId, &'a String)>,
    wanted: &str,
) -> Result<TypeId, Error> {
    let types: Vec<(&TypeId, &String)> = types.into_iter().collect();
    if let Some((id, _)) = types.iter().find(|(_, name)| *name == wanted) {
        return Ok(**id);
    }
    Err(unknown_type(wanted, types.iter().map(|(_, name)| name.as_str())))
}

/// That there is no shard type of this name, with the one that was probably meant.
pub(crate) fn unknown_type<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Error {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let hint = match nearest(wanted, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "the store is empty: `syncline run` fills it".to_owned(),
        None => format!("the types are: {}", names.join(", ")),
    };
    Error::usage(format!("there is no shard type `{wanted}`"), hint)
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
        return app.out.json(&serde_json::json!({ "shards": listed, "more": has_more }));
    }
    if listed.is_empty() {
        return app.out.line("no shards");
    }
    let is_whole = print_list(&listed, shard_type.is_none(), &fields(world, shard_type), &app.out)?;
    if !is_whole {
        app.out.note(
            app.out.advise("more fields: `syncline shards show ID`, or `--json` for all shards"),
        );
    }
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

/// The fields of the type; none where shards of all types are listed.
fn fields(world: &World, shard_type: Option<TypeId>) -> Vec<String> {
    let rules = world.rules.types.iter().find(|rules| Some(rules.id) == shard_type);
    let names = rules.map_or(&[][..], |rules| rules.layout.names());
    names.iter().map(ToString::to_string).collect()
}

/// Prints shards as a table of what fits in a line: a column for each field, or all filled fields in one column
/// where no `fields` are given. Tells whether none had to be cut or left out.
fn print_list(
    listed: &[Listed],
    with_type: bool,
    fields: &[String],
    out: &Output,
) -> Result<bool, Error> {
    let mut headings = if with_type { vec!["id", "type"] } else { vec!["id"] };
    let lead = |shard: &Listed| {
        let mut row = vec![shard.id.clone()];
        row.extend(with_type.then(|| shard.shard_type.clone()));
        row
    };
    let mut rows: Vec<Vec<String>> = listed.iter().map(lead).collect();
    let taken: usize = widths(&headings, &rows).into_iter().map(|width| width + GAP).sum();
    let room = out.width().saturating_sub(taken);
    let names: Vec<&str> = match fields {
        [] => vec!["fields"],
        fields => fields.iter().map(String::as_str).collect(),
    };
    let cells: Vec<Vec<String>> = listed.iter().map(|shard| cells(shard, fields)).collect();
    let wanted = widths(&names, &cells);
    let given = fit(&wanted, room);
    headings.extend(&names[..given.len()]);
    for (row, cells) in rows.iter_mut().zip(&cells) {
        row.extend(cells.iter().zip(&given).map(|(cell, width)| shorten(cell, *width)));
    }
    out.table(&headings, rows)?;
    Ok(given == wanted)
}

/// How wide the columns of a table are.
fn widths(headings: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(headings[column].chars().count())
    };
    (0..headings.len()).map(width).collect()
}

/// The values of `fields`, or all that are filled in one cell where none are given.
fn cells(shard: &Listed, fields: &[String]) -> Vec<String> {
    let Value::Map(data) = &shard.data else { return Vec::new() };
    if fields.is_empty() {
        let filled = data.iter().filter(|(_, value)| !value.is_blank());
        let parts: Vec<String> = filled
            .map(|(name, value)| format!("{name}={}", shorten(&value.to_plain(), 30)))
            .collect();
        return vec![shorten(&parts.join(" "), 100)];
    }
    let value = |field: &String| data.iter().find(|(name, _)| name == field);
    let cell = |field| value(field).map_or_else(String::new, |(_, v)| shorten(&v.to_plain(), 40));
    fields.iter().map(cell).collect()
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
    let merged = merges
        .iter()
        .filter_map(|merge| {
            let evidence = merge.evidence;
            let rule = evidence.map(|edge| world.rule_name(edge.rule).to_owned());
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
        for (edge, records) in stated(edges, arrow) {
            let by = match records {
                1 => String::new(),
                _ => format!(", stated by {records} records"),
            };
            out.line(format!("  {edge}{by}"))?;
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

/// Edges for people: each one once, with how many records state it.
fn stated(edges: &[Edge], arrow: &str) -> Vec<(String, usize)> {
    let mut lines: Vec<(String, usize)> = Vec::new();
    for edge in edges {
        let end = match (&edge.name, &edge.shard) {
            (Some(name), Some(shard)) => format!("{name} ({shard})"),
            _ => {
                let Edge { connection, entity, external_id, .. } = edge;
                format!("waits for {connection}/{entity} {external_id}")
            }
        };
        let text = format!("{} {arrow} {end}", edge.relationship);
        match lines.iter_mut().find(|(known, _)| *known == text) {
            Some((_, records)) => *records += 1,
            None => lines.push((text, 1)),
        }
    }
    lines
}
