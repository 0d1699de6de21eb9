//! Dead letters of earlier runs leave the list when their record comes again, whatever becomes of it then.

use super::Execution;
use super::plan::Batch;
use crate::execution::EngineError;
use crate::world::World;
use rustc_hash::{FxHashMap, FxHashSet};
use syncline_core::plan::writes::DeadLetter;
use syncline_store::query::DeadLetterFilter;

/// How many letters of a task are looked at: more than that are left for a person.
const LETTERS_MAX: usize = 100_000;

/// The letters that were on a task's list when an execution began.
#[derive(Default)]
pub(super) struct Letters {
    of_records: FxHashMap<Subject, Vec<(i64, DeadLetter)>>,
    /// Whether some tell of writes, or may: whoever knows what became of the writes takes those off the list.
    pub(super) of_writes: bool,
}

/// What a batch brought again of the list.
#[derive(Default)]
pub(super) struct Met {
    /// What came again.
    pub(super) subjects: FxHashSet<Subject>,
    /// The letters that have had their day.
    pub(super) done: Vec<i64>,
}

/// What a letter is about: a record, or a line that is none.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Record(String),
    Line(String, u64),
}

impl Subject {
    fn of(letter: &DeadLetter) -> Self {
        match &letter.external_id {
            Some(external_id) => Self::Record(external_id.clone()),
            None => Self::Line(letter.source.clone(), letter.line),
        }
    }
}

impl Letters {
    /// The open letters of a task.
    pub(super) async fn open(world: &World, task: &str) -> Result<Self, EngineError> {
        let filter = DeadLetterFilter {
            task: Some(task.to_owned()),
            limit: LETTERS_MAX,
            ..DeadLetterFilter::default()
        };
        let mut letters = Self::default();
        let rows = world.store.dead_letters(filter).await?;
        letters.of_writes = rows.len() == LETTERS_MAX;
        for row in rows {
            if row.letter.intent().is_some() {
                letters.of_writes = true;
                continue;
            }
            let of_subject = letters.of_records.entry(Subject::of(&row.letter)).or_default();
            of_subject.push((row.id, row.letter));
        }
        Ok(letters)
    }

    /// What the records and lines of a batch mean for the list. A letter that says what is on the list
    /// already is taken out of the batch. The list itself stays as it is until the batch is committed: its
    /// plan may go stale, and then it comes again.
    pub(super) fn meet(&self, batch: &mut Batch) -> Met {
        let mut met = Met::default();
        if self.of_records.is_empty() {
            return met;
        }
        let Met { subjects, done } = &mut met;
        batch.dead_letters.retain(|letter| {
            let Some(old) = self.first_met(Subject::of(letter), subjects) else { return true };
            let same = |old: &DeadLetter| {
                (&old.problem, &old.payload, old.line)
                    == (&letter.problem, &letter.payload, letter.line)
            };
            let standing = old.iter().find(|(_, old)| same(old)).map(|(id, _)| *id);
            done.extend(old.iter().map(|(id, _)| *id).filter(|id| Some(*id) != standing));
            standing.is_none()
        });
        for external_id in &batch.external_ids {
            let old = self.first_met(Subject::Record(external_id.to_string()), subjects);
            done.extend(old.into_iter().flatten().map(|(id, _)| id));
        }
        met
    }

    /// The letters of a subject, the first time that a batch brings it.
    fn first_met(
        &self,
        subject: Subject,
        met: &mut FxHashSet<Subject>,
    ) -> Option<&[(i64, DeadLetter)]> {
        let old = self.of_records.get(&subject)?;
        met.insert(subject).then_some(old.as_slice())
    }

    /// Forgets what a committed batch brought again.
    pub(super) fn forget(&mut self, met: &FxHashSet<Subject>) {
        for subject in met {
            self.of_records.remove(subject);
        }
    }
}

impl Execution<'_> {
    /// After a read of everything: what could not be read before, and did not come again, is not there.
    pub(super) async fn close_lines(&mut self) -> Result<(), EngineError> {
        let left = std::mem::take(&mut self.letters.of_records).into_iter();
        let lines = left.filter(|(subject, _)| matches!(subject, Subject::Line(..)));
        let ids: Vec<i64> = lines.flat_map(|(_, old)| old).map(|(id, _)| id).collect();
        if !ids.is_empty() {
            self.world.store.replayed(ids, self.begun.execution).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(line: u64, problem: &str) -> DeadLetter {
        let external_id = Some("7".to_owned());
        DeadLetter { line, problem: problem.to_owned(), external_id, ..DeadLetter::default() }
    }

    #[test]
    fn a_letter_on_the_list_stays_the_only_one_when_its_batch_comes_again() {
        let mut letters = Letters::default();
        let old = vec![(1, letter(3, "no")), (2, letter(3, "other"))];
        letters.of_records.insert(Subject::of(&old[0].1), old);
        for _ in 0..2 {
            // The first plan went stale: nothing of it stands.
            let dead_letters = vec![letter(3, "no"), letter(4, "no")];
            let mut batch = Batch { dead_letters, ..Batch::default() };
            let met = letters.meet(&mut batch);
            assert_eq!((batch.dead_letters, met.done), (vec![letter(4, "no")], vec![2]));
        }
        let mut batch = Batch { external_ids: vec!["7".into()], ..Batch::default() };
        let met = letters.meet(&mut batch);
        assert_eq!(met.done, [1, 2]);
        letters.forget(&met.subjects);
        assert!(letters.meet(&mut batch).done.is_empty());
    }
}
