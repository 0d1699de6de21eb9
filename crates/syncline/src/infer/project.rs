//! From samples to a proposed configuration.

use super::column::{is_email, says_modified};
use super::columns::{Column, columns};
use super::names::{self, Thing};
use super::rules;
use super::{
    FieldProposal, FileProposal, Project, RelationshipProposal, Sample, TypeProposal, key,
};
use std::collections::BTreeSet;
use syncline_core::config::model::FieldType;
use syncline_core::value::Value;

/// Proposes a configuration for files that have at least one column each.
pub fn propose(samples: &[Sample]) -> Project {
    let mut drafts: Vec<Draft<'_>> = Vec::new();
    for sample in samples {
        let draft = Draft::new(sample, &drafts);
        drafts.push(draft);
    }
    name_types(&mut drafts);
    for index in 0..drafts.len() {
        let found = relationships(&drafts, index);
        drafts[index].file.relationships = found;
    }
    for draft in &mut drafts {
        draft.map_fields();
    }
    let things: Vec<Thing> = drafts.iter().map(|draft| draft.thing).collect();
    let mut files: Vec<FileProposal> = drafts.into_iter().map(|draft| draft.file).collect();
    let types = types(&mut files, &things);
    Project { files, types }
}

/// A file while its proposal is made.
struct Draft<'a> {
    file: FileProposal,
    columns: Vec<Column<'a>>,
    /// What one record is called.
    one: String,
    thing: Thing,
    /// Columns that do their work elsewhere, by index, with the reason.
    taken: Vec<(usize, String)>,
    is_cut: bool,
}

impl<'a> Draft<'a> {
    fn new(sample: &'a Sample, others: &[Draft<'_>]) -> Self {
        let columns = columns(&sample.found.sample);
        let (mut connection, mut entity) = names::connection_and_entity(&sample.stem);
        let is_taken =
            |c: &str, e: &str| others.iter().any(|o| o.file.connection == c && o.file.entity == e);
        if is_taken(&connection, &entity)
            && let Some(folder) = &sample.folder
        {
            connection = names::words(folder).join("_");
        }
        if connection.is_empty() {
            connection = "files".to_owned();
        }
        entity = names::free(&entity, |entity| is_taken(&connection, entity));
        let task =
            if connection == entity { entity.clone() } else { format!("{connection}_{entity}") };
        let one = names::singular(&entity);
        let records = sample.found.sample.records.len();
        let key = key::choose(&columns, &one, records);
        let mut draft = Self {
            file: FileProposal {
                path: sample.path.clone(),
                task: names::free(&task, |task| others.iter().any(|o| o.file.task == task)),
                connection,
                entity,
                settings: sample.settings.clone(),
                sampled: records,
                key: key.columns.iter().map(|&i| columns[i].path.clone()).collect(),
                key_why: key.why,
                ..FileProposal::default()
            },
            thing: thing(&one, &columns, records),
            columns,
            one,
            taken: Vec::new(),
            is_cut: records >= 100,
        };
        draft.take_key(&key.columns);
        draft.take_modified();
        draft.take_deleted();
        draft
    }

    /// A key that means nothing elsewhere is kept as the link's external id, not as a field.
    fn take_key(&mut self, key: &[usize]) {
        if let [only] = key
            && !self.columns[*only].is("email")
            && super::column::is_code(&self.columns[*only].words)
        {
            self.taken.push((*only, "the key; every link keeps it as its external id".to_owned()));
        }
    }

    fn take_modified(&mut self) {
        let is_time = |column: &Column<'_>| {
            let readable = column.guess.date_format.is_none();
            let is_time = matches!(column.guess.field_type, FieldType::Timestamp | FieldType::Date);
            readable && is_time && says_modified(&column.words)
        };
        let found = self.columns.iter().enumerate().filter(|(_, column)| is_time(column));
        let best = found.max_by_key(|(i, column)| {
            let is_instant = column.guess.field_type == FieldType::Timestamp;
            (column.guess.filled, is_instant, std::cmp::Reverse(*i))
        });
        if let Some((index, column)) = best {
            self.file.modified = Some(column.path.clone());
            self.taken.push((index, "the modified time; every link keeps it".to_owned()));
        }
    }

    fn take_deleted(&mut self) {
        let found = self.columns.iter().position(|column| {
            let name = column.words.join("_");
            ["deleted", "is_deleted", "deleted_at", "deleted_on"].contains(&name.as_str())
        });
        let Some(index) = found else { return };
        let column = &self.columns[index];
        let field = super::yaml::scalar(&column.path);
        let test = match column.guess.field_type {
            FieldType::Timestamp | FieldType::Date => "op: is_not_null".to_owned(),
            FieldType::Boolean if column.values.iter().flatten().any(|v| v.as_text().is_some()) => {
                "op: in, value: [\"true\", \"True\", \"TRUE\", \"yes\", \"Yes\"]".to_owned()
            }
            FieldType::Boolean => "op: eq, value: true".to_owned(),
            FieldType::Integer => "op: in, value: [1, \"1\"]".to_owned(),
            _ => return,
        };
        self.file.deleted = Some(format!("{{ field: {field}, {test} }}"));
        self.taken.push((index, "says whether a record is deleted".to_owned()));
    }

    fn column(&self, field: &str) -> Option<&Column<'a>> {
        self.columns.iter().find(|column| column.is(field))
    }

    fn map_fields(&mut self) {
        let referring: Vec<&str> =
            self.file.relationships.iter().map(|r| r.from.as_str()).collect();
        let mut taken = BTreeSet::new();
        for (index, column) in self.columns.iter().enumerate() {
            let reason = self.taken.iter().find(|(taken, _)| *taken == index);
            if let Some((_, reason)) = reason {
                self.file.unused.push((column.path.clone(), reason.clone()));
                continue;
            }
            if referring.contains(&column.path.as_str()) {
                continue;
            }
            if column.path.trim().is_empty() {
                self.file.unused.push((column.path.clone(), "it has no name".to_owned()));
                continue;
            }
            let wanted = match &column.field {
                // The name of a company is what other files call its name.
                Some(field) if self.thing == Thing::Company && field == "company" => "name",
                Some(field) => field,
                None => "field",
            };
            let wanted = if taken.contains(wanted) {
                self.long_name(column, wanted)
            } else {
                wanted.to_owned()
            };
            let name = names::free(&wanted, |name| taken.contains(name));
            taken.insert(name.clone());
            self.file.fields.push(field(name, column));
        }
        self.add_full_name();
    }

    /// The name of a map's part together with the map's, where the part's own is taken.
    fn long_name(&self, column: &Column<'_>, wanted: &str) -> String {
        match column.path.rsplit_once('.') {
            Some((above, _)) if column.path.contains('.') => {
                format!("{}_{wanted}", names::words(above).join("_"))
            }
            _ => wanted.to_owned(),
        }
    }

    /// First and last name also make a full name, so that files that have only that one can be compared.
    fn add_full_name(&mut self) {
        let from = |name: &str| self.file.fields.iter().find(|field| field.name == name);
        if self.thing != Thing::Person || from("name").is_some() {
            return;
        }
        if let (Some(first), Some(last)) = (from("first_name"), from("last_name")) {
            let field = FieldProposal {
                name: "name".to_owned(),
                from: [first.from.clone(), last.from.clone()].concat(),
                field_type: FieldType::Text,
                transforms: vec!["trim".to_owned()],
                is_email: false,
                why: "both names, for comparing".to_owned(),
            };
            self.file.fields.push(field);
        }
    }
}

/// What kind of thing a file's records are: by its name, else by its columns.
fn thing(one: &str, columns: &[Column<'_>], records: usize) -> Thing {
    let known = names::thing(one);
    if known != Thing::Unknown {
        return known;
    }
    let has = |field: &str| columns.iter().any(|column| column.is(field));
    let own_email = columns.iter().any(|column| {
        let guess = &column.guess;
        column.is("email") && guess.distinct == guess.filled && guess.filled * 2 > records
    });
    if (has("first_name") && has("last_name")) || own_email {
        Thing::Person
    } else {
        Thing::Unknown
    }
}

fn field(name: String, column: &Column<'_>) -> FieldProposal {
    let guess = &column.guess;
    let holds_text = column.values.iter().flatten().any(|value| value.as_text().is_some());
    let mut transforms = Vec::new();
    if holds_text
        && matches!(guess.field_type, FieldType::Text | FieldType::Date | FieldType::Timestamp)
    {
        transforms.push("trim".to_owned());
    }
    if guess.is_email || name == "email" && holds_text {
        transforms.push("lowercase".to_owned());
    }
    if guess.is_email {
        // Blank text is no address, and no reason to refuse a record either.
        transforms.push("{ default: null }".to_owned());
    }
    if let Some(format) = &guess.date_format {
        transforms.push(format!("{{ parse_date: {} }}", super::yaml::quoted(format)));
    }
    let mut why = guess.why.clone();
    if name == "email" && !guess.is_email {
        why = bad_email(column).unwrap_or(why);
    }
    FieldProposal {
        from: vec![column.path.clone()],
        field_type: guess.field_type,
        is_email: guess.is_email,
        name,
        transforms,
        why,
    }
}

/// Why e-mail addresses are not checked: what is in the column that is none.
fn bad_email(column: &Column<'_>) -> Option<String> {
    let texts = column.values.iter().flatten().map(|value| value.to_plain());
    let bad = texts.map(|text| text.trim().to_owned()).find(|t| !t.is_empty() && !is_email(t))?;
    let bad: String = bad.chars().filter(|c| !c.is_control()).take(40).collect();
    Some(format!("not checked: `{bad}` is no address"))
}

/// Files that hold the same kind of thing get the same shard type.
fn name_types(drafts: &mut [Draft<'_>]) {
    let shared = |thing: Thing, draft: &Draft<'_>| match thing {
        Thing::Person => draft.thing == thing && draft.column("email").is_some(),
        Thing::Company => {
            draft.thing == thing
                && (draft.column("name").is_some() || draft.column("company").is_some())
        }
        _ => false,
    };
    for (thing, usual) in
        [(Thing::Person, ["contact", "person"]), (Thing::Company, ["company", "account"])]
    {
        let group: Vec<usize> = (0..drafts.len()).filter(|&i| shared(thing, &drafts[i])).collect();
        let known = |one: &&str| names::thing(one) == thing;
        let ones: Vec<&str> = group.iter().map(|&i| drafts[i].one.as_str()).collect();
        let name = match ones.as_slice() {
            [] => continue,
            [one] => (*one).to_owned(),
            several => {
                let usual = usual.into_iter().find(|name| several.contains(name));
                let first = several.iter().copied().find(known);
                usual.or(first).unwrap_or("contact").to_owned()
            }
        };
        for index in group {
            drafts[index].file.shard_type.clone_from(&name);
        }
    }
    for draft in drafts.iter_mut().filter(|draft| draft.file.shard_type.is_empty()) {
        draft.file.shard_type.clone_from(&draft.one);
    }
}

/// Columns that hold keys of other files: `AccountId` where another file holds accounts.
fn relationships(drafts: &[Draft<'_>], index: usize) -> Vec<RelationshipProposal> {
    let own = &drafts[index];
    let mut found: Vec<RelationshipProposal> = Vec::new();
    for (position, column) in own.columns.iter().enumerate() {
        let Some((last, before)) = column.words.split_last() else { continue };
        let is_reference =
            ["id", "key", "no", "nr", "number", "code", "uuid", "ref"].contains(&last.as_str());
        if !is_reference || own.taken.iter().any(|(taken, _)| *taken == position) {
            continue;
        }
        let name = before.join("_");
        let target = drafts.iter().enumerate().find(|(i, other)| {
            let called =
                other.one == name || other.file.shard_type == name || other.file.entity == name;
            *i != index && called && other.file.key.len() == 1 && is_found(column, other)
        });
        if let Some((_, other)) = target
            && found.iter().all(|known| known.name != name)
        {
            found.push(RelationshipProposal {
                name,
                from: column.path.clone(),
                shard_type: other.file.shard_type.clone(),
                connection: other.file.connection.clone(),
                entity: other.file.entity.clone(),
            });
        }
    }
    found
}

/// Whether some value of the column is a key of the other file, or the sample is too small to tell.
fn is_found(column: &Column<'_>, other: &Draft<'_>) -> bool {
    let key = other.columns.iter().find(|key| other.file.key.first() == Some(&key.path));
    let Some(key) = key else { return false };
    let plain = |value: &&Value| value.to_plain().trim().to_owned();
    let keys: BTreeSet<String> = key.values.iter().flatten().map(plain).collect();
    other.is_cut || column.values.iter().flatten().any(|value| keys.contains(&plain(value)))
}

/// The shard types, with each field's type as all files of the type can give it.
fn types(files: &mut [FileProposal], things: &[Thing]) -> Vec<TypeProposal> {
    let mut types: Vec<TypeProposal> = Vec::new();
    let mut kinds: Vec<Thing> = Vec::new();
    for (file, thing) in files.iter().zip(things) {
        let position = types.iter().position(|known| known.name == file.shard_type);
        let position = position.unwrap_or_else(|| {
            types.push(TypeProposal { name: file.shard_type.clone(), ..TypeProposal::default() });
            kinds.push(*thing);
            types.len() - 1
        });
        for field in &file.fields {
            let fields = &mut types[position].fields;
            match fields.iter_mut().find(|(name, ..)| *name == field.name) {
                Some((_, known, why)) if *known != field.field_type => {
                    *known = common(*known, field.field_type);
                    *why = "the files differ".to_owned();
                }
                Some(_) => {}
                None => fields.push((field.name.clone(), field.field_type, field.why.clone())),
            }
        }
    }
    for (shard_type, thing) in types.iter_mut().zip(kinds) {
        rules::propose(shard_type, thing);
    }
    types
}

/// The type that values of both types fit.
fn common(a: FieldType, b: FieldType) -> FieldType {
    use FieldType::{Date, Decimal, Integer, Json, List, Number, Text, Timestamp};
    match (a, b) {
        (a, b) if a == b => a,
        (Integer, Number) | (Number, Integer) => Number,
        (Integer | Number, Decimal) | (Decimal, Integer | Number) => Decimal,
        (Date, Timestamp) | (Timestamp, Date) => Timestamp,
        (List | Json, _) | (_, List | Json) => Json,
        _ => Text,
    }
}
