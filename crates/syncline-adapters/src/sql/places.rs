//! Rows that change places: of two people with the numbers 1 and 2, each is to have the other's, and the database lets
//! no number stand twice, not even for a moment. So the rows first give up what has to be unique, then take what they
//! are to have.

use super::batch::{Action, Batch, Waiting};
use super::session::{Bound, Fault, FaultKind, Session};
use super::statement;
use compact_str::CompactString;

impl Batch<'_> {
    /// Updates that were refused, since another row has their value, are tried together, after all others.
    ///
    /// # Errors
    ///
    /// When the transaction was undone, or the connection broke.
    pub(super) async fn change_places(&mut self, session: &mut dyn Session) -> Result<(), Fault> {
        let mut waiting = std::mem::take(&mut self.waiting);
        while !waiting.is_empty() {
            session.execute("SAVEPOINT places", Vec::new()).await?;
            let refused = match self.give_up(session, &waiting).await {
                Ok(()) => self.take(session, &waiting).await?,
                Err(fault) if is_fatal(&fault) => return Err(fault),
                // A column that must not be empty cannot be given up.
                Err(_) => (0..waiting.len()).collect(),
            };
            if refused.is_empty() {
                session.execute("RELEASE SAVEPOINT places", Vec::new()).await?;
                return Ok(());
            }
            session.execute("ROLLBACK TO SAVEPOINT places", Vec::new()).await?;
            // Those that a row outside of the batch is in the way of stay as they are; the others try without them.
            for place in refused.into_iter().rev() {
                let one = waiting.remove(place);
                self.give_back(session, one).await?;
            }
            waiting.iter().for_each(|one| self.written[one.item.index] = None);
        }
        Ok(())
    }

    async fn give_back(&mut self, session: &mut dyn Session, one: Waiting) -> Result<(), Fault> {
        self.refuse(session, &one.action, std::slice::from_ref(&one.item), one.fault).await
    }

    /// Empties the columns of all that have to be unique.
    async fn give_up(&self, session: &mut dyn Session, waiting: &[Waiting]) -> Result<(), Fault> {
        let key = self.key_columns();
        let is_unique = |name: &&CompactString| {
            let holds = |names: &Vec<CompactString>| names.contains(name);
            self.known.table.unique.iter().any(holds)
                && !key.iter().any(|column| column.name == **name)
        };
        for one in waiting {
            let Action::Update(names) = &one.action else { continue };
            let names: Vec<CompactString> = names.iter().filter(is_unique).cloned().collect();
            if names.is_empty() {
                continue;
            }
            let mut row = one.item.row[..key.len()].to_vec();
            row.resize(key.len() + names.len(), Bound::Null);
            let columns = self.columns(&names);
            let table = &self.known.table;
            let (sql, bound) = statement::update(self.dialect, table, &key, &columns, vec![row]);
            session.execute(&sql, bound).await?;
        }
        Ok(())
    }

    /// Does the updates; returns which are refused.
    async fn take(
        &mut self,
        session: &mut dyn Session,
        waiting: &[Waiting],
    ) -> Result<Vec<usize>, Fault> {
        let mut refused = Vec::new();
        for (place, one) in waiting.iter().enumerate() {
            session.execute("SAVEPOINT part", Vec::new()).await?;
            match self.change(session, &one.action, std::slice::from_ref(&one.item)).await {
                Ok(()) => _ = session.execute("RELEASE SAVEPOINT part", Vec::new()).await?,
                Err(fault) if is_fatal(&fault) => return Err(fault),
                Err(_) => {
                    session.execute("ROLLBACK TO SAVEPOINT part", Vec::new()).await?;
                    refused.push(place);
                }
            }
        }
        Ok(refused)
    }
}

fn is_fatal(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::Aborted | FaultKind::Lost)
}
