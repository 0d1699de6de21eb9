//! Pages that are begun again with the first: because the API asks for that, or because it gives no more than so many
//! records before it has to be asked anew.

use super::incremental::{CursorRules, Position};
use super::interpolate::StreamSlice;
use super::interpolate::moment::Moment;
use super::load::Node;
use super::select::Records;
use super::trouble::Trouble;

/// What a manifest says of it.
#[derive(Debug)]
pub(super) struct Again {
    /// Whether what is left of the window is read, from the latest record on; else all of it comes once more.
    splits: bool,
    /// After so many records it is time.
    records_max: Option<u64>,
}

/// How far the pages have come since they were begun.
#[derive(Debug, Default)]
pub(super) struct Since {
    records: u64,
    latest: Option<Moment>,
    again: bool,
}

impl Again {
    pub(super) fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        let splits = match node.text("action") {
            Some("SPLIT_USING_CURSOR") => true,
            Some("RESET") => false,
            _ => {
                let problem =
                    format!("`{}.action` is neither SPLIT_USING_CURSOR nor RESET", node.path);
                return Err(Trouble::config(problem));
            }
        };
        let limits = node.child("limits");
        let records_max = limits.and_then(|limits| limits.int("number_of_records"));
        Ok(Self { splits, records_max: records_max.and_then(|max| u64::try_from(max).ok()) })
    }

    /// Takes note of a page of `found` records; whether its slice has to be begun again.
    pub(super) fn is_due(
        &self,
        since: &mut Since,
        found: usize,
        records: &Records,
        rules: Option<&CursorRules>,
    ) -> bool {
        since.records += found as u64;
        if let (true, Some(rules)) = (self.splits, rules) {
            let moments = rules.moments(records).into_iter().flatten();
            let latest = moments.chain(since.latest).max_by_key(Moment::micros);
            since.latest = latest;
        }
        self.records_max.is_some_and(|max| since.records >= max)
    }

    /// What is read of `part` when it is begun again: what is left of it, or `None` for all of it.
    ///
    /// # Errors
    ///
    /// Where that would be the same once more, and so without end.
    pub(super) fn rest(
        &self,
        since: &mut Since,
        part: &StreamSlice,
        rules: Option<&CursorRules>,
    ) -> Result<Option<StreamSlice>, Trouble> {
        since.records = 0;
        if !self.splits && !std::mem::replace(&mut since.again, true) {
            return Ok(None);
        }
        let latest = since.latest.as_ref();
        let rest = rules.zip(latest).and_then(|(rules, at)| Position::behind(rules, part, at));
        let rest = rest.filter(|rest| self.splits && rest.cursor_slice() != part.cursor_slice());
        rest.map(Some).ok_or_else(|| {
            Trouble::system(
                "the pages would be begun again with the very same request: \
                 no record of them is later than where they begin",
            )
        })
    }
}
