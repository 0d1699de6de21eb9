//! Where source fields stand: names are resolved to cells once for each page.

use crate::record::{Record, Shape};
use crate::value::Value;
use compact_str::CompactString;

/// The top-level names that a conversion reads; each is bound to a cell once for each page.
#[derive(Debug, Default)]
pub(super) struct Roots(Vec<CompactString>);

impl Roots {
    /// The index of `name`, added where it is new.
    pub(super) fn intern(&mut self, name: &str) -> usize {
        if let Some(index) = self.0.iter().position(|known| known == name) {
            return index;
        }
        self.0.push(CompactString::new(name));
        self.0.len() - 1
    }

    /// The names, each up to its first dot.
    pub(super) fn first_names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| name.split('.').next().unwrap_or_default())
    }

    /// The cell of each name in records of `shape`; a name that no record has gets an index past all cells.
    pub(super) fn bind(&self, shape: &Shape) -> Vec<usize> {
        self.0.iter().map(|name| position(name, shape).unwrap_or(usize::MAX)).collect()
    }
}

/// The cell that `name` means: the field of this name, else one that has blanks around it, as headers
/// written `id, name` give.
fn position(name: &str, shape: &Shape) -> Option<usize> {
    let blank_around = || {
        let has_blanks = |known: &CompactString| known.len() > name.len() && known.trim() == name;
        shape.names().iter().position(has_blanks)
    };
    shape.position(name).or_else(blank_around)
}

/// The way to a source field: a top-level name, then keys of maps or indices of lists.
#[derive(Clone, Debug)]
pub(super) struct FieldPath {
    /// The whole text, for a column whose very name has dots in it.
    whole: usize,
    root: usize,
    rest: Box<[CompactString]>,
}

impl FieldPath {
    /// Makes the path that `text` names, such as `a.b.0`.
    pub(super) fn new(text: &str, roots: &mut Roots) -> Self {
        let text = text.trim();
        let mut names = text.split('.');
        let root = names.next().unwrap_or_default();
        Self {
            whole: roots.intern(text),
            root: roots.intern(root),
            rest: names.map(CompactString::new).collect(),
        }
    }
}

/// The keys and indices of a dotted path.
pub(super) fn steps(text: &str) -> Vec<CompactString> {
    text.trim().split('.').map(CompactString::new).collect()
}

/// One record with the cells of its page's shape bound to [`Roots`].
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) record: &'a Record,
    pub(super) slots: &'a [usize],
    pub(super) shape: &'a Shape,
}

impl<'a> Row<'a> {
    /// The value at `path`; `None` where absent.
    pub(super) fn get(&self, path: &FieldPath) -> Option<&'a Value> {
        let whole = self.root(path.whole);
        if path.rest.is_empty() || whole.is_some() {
            return whole;
        }
        self.root(path.root)?.at(&path.rest)
    }

    /// The value of the top-level name at `index` of [`Roots`].
    pub(super) fn root(&self, index: usize) -> Option<&'a Value> {
        self.record.cell(self.slots.get(index).copied().unwrap_or(usize::MAX))
    }
}
