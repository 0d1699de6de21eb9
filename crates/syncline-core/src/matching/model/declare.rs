//! From the configuration of a shard type to what its model compares, and how its keys are made.

use super::COMPARISONS_MAX;
use super::features::{self, Features};
use super::keys::{Block, Part, defaults};
use crate::config::model::{KeyForm, Kind, Matching, ModelPart, Normaliser, OneOrMany};
use crate::matching::compile::here;
use crate::matching::{items, phone};
use crate::problem::{ConfigPath, Problem, nearest};
use crate::shard::Layout;
use crate::value::Cell;
use compact_str::CompactString;

/// What a model compares, and how its keys are made: what a person declares, before anything is estimated.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    pub(super) shard_type: CompactString,
    pub(super) comparisons: Vec<Comparison>,
    /// The comparisons, cheapest and most telling first.
    pub(super) order: Vec<usize>,
    /// Given and family name, whose values people swap.
    pub(super) names: Option<(usize, usize)>,
    /// Place and postcode: a postcode implies its place.
    pub(super) place: Option<(usize, usize)>,
    pub(super) blocks: Vec<Block>,
    pub(super) block_max: usize,
}

/// A field that is compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comparison {
    pub(super) name: CompactString,
    /// The field's index.
    pub(super) field: usize,
    pub(super) kind: Kind,
    pub(super) normaliser: Normaliser,
}

/// Compiles what `matching` declares of a model; `None` where it has none.
///
/// # Errors
///
/// Everything that is wrong, each with its place below `path`, that of `matching`.
pub fn compile(
    layout: &Layout,
    matching: &Matching,
    path: &ConfigPath,
) -> Result<Option<Declaration>, Vec<Problem>> {
    let mut problems = Vec::new();
    let compare_path = path.key("compare");
    if matching.model.is_none() {
        for (is_empty, key) in
            [(matching.compare.0.is_empty(), "compare"), (matching.block.is_empty(), "block")]
        {
            if !is_empty {
                let message = format!("`{key}` belongs to a model, and none is named");
                let help = "name the file that it is kept in: `model: contacts.model.yaml`";
                problems.push(Problem::new(path.key(key), message).with_help(help));
            }
        }
        return if problems.is_empty() { Ok(None) } else { Err(problems) };
    }
    // What is wrong with it is told where the rules are compiled.
    let region = matching.phone_region.as_deref().and_then(phone::country);
    let mut comparisons = Vec::new();
    for (name, kind) in &matching.compare.0 {
        match field(layout, name, &compare_path.key(name)) {
            Ok(field) => {
                let (name, kind) = (CompactString::new(name), *kind);
                let normaliser = here(features::normaliser(kind), region);
                comparisons.push(Comparison { name, field, kind, normaliser });
            }
            Err(problem) => problems.push(problem),
        }
    }
    if comparisons.is_empty() && problems.is_empty() {
        let help = "name the fields that tell records apart, each with its kind: `email: email`";
        problems
            .push(Problem::new(path.key("model"), "the model compares nothing").with_help(help));
    } else if comparisons.len() > COMPARISONS_MAX {
        let message = format!("a model compares at most {COMPARISONS_MAX} fields");
        problems.push(Problem::new(compare_path, message));
    }
    let mut blocks = Vec::new();
    for (index, block) in matching.block.iter().enumerate() {
        let at = path.key("block").index(index);
        let parts = match block {
            OneOrMany::One(part) => vec![self::part(&comparisons, part, &at)],
            OneOrMany::Many(parts) => (0..)
                .zip(parts)
                .map(|(i, part)| self::part(&comparisons, part, &at.index(i)))
                .collect(),
        };
        let (parts, wrong): (Vec<_>, Vec<_>) = parts.into_iter().partition(Result::is_ok);
        problems.extend(wrong.into_iter().filter_map(Result::err));
        blocks.push(Block { parts: parts.into_iter().flatten().collect(), refine: Vec::new() });
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let declaration = Declaration::new(&layout.shard_type, comparisons, blocks, matching);
    if declaration.blocks.is_empty() {
        let message = "nothing that is compared makes a blocking key by itself";
        let help = "name what records must agree on before they are compared: `block: [[field]]`";
        return Err(vec![Problem::new(path.key("compare"), message).with_help(help)]);
    }
    Ok(Some(declaration))
}

fn field(layout: &Layout, name: &str, path: &ConfigPath) -> Result<usize, Problem> {
    layout.position(name).ok_or_else(|| {
        let message = format!("shard type `{}` has no field `{name}`", layout.shard_type);
        let near = nearest(name, layout.names().iter().map(CompactString::as_str));
        let problem = Problem::new(path.clone(), message);
        match near {
            Some(near) => problem.with_help(format!("did you mean `{near}`?")),
            None => problem,
        }
    })
}

fn part(comparisons: &[Comparison], part: &ModelPart, path: &ConfigPath) -> Result<Part, Problem> {
    let (names, form) = match part {
        ModelPart::Field(name) => (vec![name], KeyForm::Whole),
        ModelPart::Full(spec) => match &spec.of {
            OneOrMany::One(name) => (vec![name], spec.form),
            OneOrMany::Many(names) => (names.iter().collect(), spec.form),
        },
    };
    let find = |name: &&String| comparisons.iter().position(|c| c.name == name.as_str());
    match names.iter().find(|name| find(name).is_none()) {
        Some(name) => {
            let known = comparisons.iter().map(|c| c.name.as_str());
            let help = match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add it: `compare: {{ {name}: exact }}`"),
            };
            let message = format!("`{name}` is not among the fields that the model compares");
            Err(Problem::new(path.clone(), message).with_help(help))
        }
        None => Ok(Part { of: names.iter().filter_map(find).collect(), form }),
    }
}

impl Declaration {
    fn new(
        shard_type: &str,
        comparisons: Vec<Comparison>,
        mut blocks: Vec<Block>,
        matching: &Matching,
    ) -> Self {
        let find = |kind| comparisons.iter().position(|c: &Comparison| c.kind == kind);
        let names = find(Kind::GivenName).zip(find(Kind::FamilyName));
        let place = find(Kind::Place).zip(find(Kind::Postcode));
        let mut order: Vec<usize> = (0..comparisons.len()).collect();
        order.sort_by_key(|&index| cost(comparisons[index].kind));
        if blocks.is_empty() {
            blocks = defaults(&comparisons);
        }
        let block_max = matching.block_max as usize;
        let shard_type = CompactString::new(shard_type);
        Self { shard_type, comparisons, order, names, place, blocks, block_max }
    }

    /// The shard type.
    pub fn shard_type(&self) -> &str {
        &self.shard_type
    }

    /// Prepares a record, without knowing how rare its values are.
    pub fn prepare(&self, image: &[Cell]) -> Features {
        let mut scratch = String::new();
        Features::collect(self.comparisons.len(), |index, add| {
            let Comparison { field, kind, normaliser, .. } = self.comparisons[index];
            for value in items(image, field) {
                let plain = value.to_plain();
                let prepared = features::prepare(kind, normaliser, &plain, &mut scratch);
                if let Some((feature, text)) = prepared {
                    add(feature, text);
                }
            }
        })
    }
}

/// What is cheap to compare comes first, then what is likely to refuse the pair.
fn cost(kind: Kind) -> u8 {
    match kind {
        Kind::Exact | Kind::Number => 0,
        Kind::Date => 1,
        Kind::Phone => 2,
        Kind::Postcode => 3,
        Kind::Email => 4,
        Kind::Place => 5,
        Kind::Address => 6,
        Kind::Company | Kind::Text => 7,
        Kind::FamilyName => 8,
        Kind::GivenName => 9,
        Kind::Name => 10,
    }
}
