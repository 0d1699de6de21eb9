//! A first configuration out of sample records: what a person would have to type by hand.
//!
//! [`propose`] looks at each file alone (columns, key, modified time), then at all of them (which hold the same
//! kind of thing, which refer to each other), and [`Project::to_yaml`] writes it down, each choice with its reason.
//! Pure: samples in, text out.

mod column;
mod columns;
mod key;
mod names;
mod project;
mod rules;
#[cfg(test)]
mod tests;
mod yaml;

pub use project::propose;

use syncline_adapters::DiscoveredEntity;
use syncline_core::config::model::FieldType;

/// A file to start from.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The file, as the configuration is to name it.
    pub path: String,
    /// The file's name without folder and extensions.
    pub stem: String,
    /// The name of its folder, to tell files of the same name apart.
    pub folder: Option<String>,
    /// Settings without which it cannot be read.
    pub settings: Vec<Setting>,
    /// What was found in it.
    pub found: DiscoveredEntity,
}

/// A setting of a file that was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key in the configuration.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// How it was found out.
    pub why: String,
}

/// A proposed configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Project {
    /// The files, in the order in which they were given.
    pub files: Vec<FileProposal>,
    /// The shard types, in the order in which files first need them.
    pub types: Vec<TypeProposal>,
}

/// What is proposed for one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileProposal {
    /// As [`Sample::path`].
    pub path: String,
    /// The connection.
    pub connection: String,
    /// The entity at the connection.
    pub entity: String,
    /// As [`Sample::settings`].
    pub settings: Vec<Setting>,
    /// How many records the sample has.
    pub sampled: usize,
    /// The columns that name a record.
    pub key: Vec<String>,
    /// Why these.
    pub key_why: String,
    /// The column that says when a record last changed.
    pub modified: Option<String>,
    /// The condition for a deleted record, as YAML.
    pub deleted: Option<String>,
    /// The type of its shards.
    pub shard_type: String,
    /// The name of its conversion schema and its sync task.
    pub task: String,
    /// What the type's fields are made of.
    pub fields: Vec<FieldProposal>,
    /// References to records of other files.
    pub relationships: Vec<RelationshipProposal>,
    /// Columns that become no field, each with the reason.
    pub unused: Vec<(String, String)>,
}

/// What is proposed for one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldProposal {
    /// The field.
    pub name: String,
    /// The column it is made of, or the columns that are put together.
    pub from: Vec<String>,
    /// Its type, as far as this file tells.
    pub field_type: FieldType,
    /// What the value goes through, each as YAML.
    pub transforms: Vec<String>,
    /// Whether it must be an e-mail address.
    pub is_email: bool,
    /// What the sample shows.
    pub why: String,
}

/// A reference to records of another file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationshipProposal {
    /// The relationship.
    pub name: String,
    /// The column with the other record's key.
    pub from: String,
    /// The other record's shard type.
    pub shard_type: String,
    /// The other file's connection.
    pub connection: String,
    /// The other file's entity.
    pub entity: String,
}

/// A proposed shard type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypeProposal {
    /// Its name.
    pub name: String,
    /// Its fields, with their types and what the samples show.
    pub fields: Vec<(String, FieldType, String)>,
    /// How duplicates are found.
    pub rules: Vec<RuleProposal>,
    /// Why there are these rules, or none.
    pub rules_why: String,
}

/// A proposed match rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleProposal {
    /// Its name.
    pub name: String,
    /// Why it is proposed.
    pub why: String,
    /// Its blocking key, each part as YAML.
    pub block: Vec<String>,
    /// Its comparisons, each as YAML.
    pub compare: Vec<String>,
    /// Its threshold, where it is not the default.
    pub threshold: Option<f64>,
}
