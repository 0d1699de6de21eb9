//! Executions in an overlay.

use super::own::{Execution, Own, Task};
use crate::StoreError;
use crate::execution::{Begin, Begun, ExecutionRow, Finish};
use crate::lease::INTERRUPTED;
use syncline_core::plan::rows::ExecutionId;
use syncline_core::plan::writes::Checkpoint;
use uuid::Uuid;

impl Own {
    /// Begins an execution; `position` is the task's in the base, `next` the first free row number.
    pub(super) fn begin(
        &mut self,
        begin: &Begin,
        position: Task,
        next: i64,
    ) -> Result<Begun, StoreError> {
        let holder = self.tasks.entry(begin.task.clone()).or_insert(position).holder;
        let mut begun = match holder {
            Some(holder) => self.take_over(holder, begin)?,
            None => None,
        };
        if begun.is_none() {
            begun = Some(self.insert_execution(begin, next));
        }
        let mut begun = begun.expect("one was just made");
        if let Some(task) = self.tasks.get_mut(&begin.task) {
            task.holder = Some(begun.execution);
            (begun.cursor, begun.high_water) = (task.cursor.clone(), task.high_water);
        }
        Ok(begun)
    }

    fn take_over(
        &mut self,
        holder: ExecutionId,
        begin: &Begin,
    ) -> Result<Option<Begun>, StoreError> {
        let Some(execution) = self.executions.get_mut(&holder) else { return Ok(None) };
        if execution.worker.is_alive(execution.heartbeat, begin.now) {
            let holder = execution.worker.describe(execution.row.started, begin.now);
            return Err(StoreError::Busy { task: begin.task.clone(), holder });
        }
        if execution.fingerprint != begin.fingerprint {
            let status = "failed".to_owned();
            let error = Some(INTERRUPTED.to_owned());
            let checkpoint = execution.checkpoint.clone().unwrap_or_default();
            let finish = Finish {
                execution: holder,
                status,
                checkpoint,
                error,
                cursor: None,
                now: begin.now,
            };
            self.finish(finish)?;
            return Ok(None);
        }
        execution.worker = begin.worker.clone();
        execution.heartbeat = begin.now;
        execution.cancel = false;
        Ok(Some(Begun {
            execution: holder,
            uuid: execution.uuid,
            started: execution.row.started,
            resumed: Some(execution.checkpoint.clone().unwrap_or_default()),
            ..Begun::default()
        }))
    }

    fn insert_execution(&mut self, begin: &Begin, next: i64) -> Begun {
        let last = self.executions.keys().next_back().map_or(0, |id| id.0);
        let id = ExecutionId(next.max(last + 1));
        let row = ExecutionRow {
            id,
            uuid: Uuid::from_u128(begin.uuid).to_string(),
            task: begin.task.clone(),
            trigger: begin.trigger.clone(),
            status: "running".to_owned(),
            started: begin.now,
            ..ExecutionRow::default()
        };
        let execution = Execution {
            row,
            uuid: begin.uuid,
            fingerprint: begin.fingerprint.clone(),
            worker: begin.worker.clone(),
            heartbeat: begin.now,
            cancel: false,
            checkpoint: None,
        };
        self.executions.insert(id, execution);
        Begun { execution: id, uuid: begin.uuid, started: begin.now, ..Begun::default() }
    }

    /// The execution, if it holds its task's lease.
    pub(super) fn holder(&mut self, id: ExecutionId) -> Result<&mut Execution, StoreError> {
        let execution = self.executions.get_mut(&id).ok_or(StoreError::Fenced)?;
        let holder = self.tasks.get(&execution.row.task).and_then(|task| task.holder);
        if holder == Some(id) { Ok(execution) } else { Err(StoreError::Fenced) }
    }

    pub(super) fn finish(&mut self, finish: Finish) -> Result<(), StoreError> {
        let execution = self.holder(finish.execution)?;
        let row = &mut execution.row;
        row.status.clone_from(&finish.status);
        row.error.clone_from(&finish.error);
        row.finished = Some(finish.now);
        let checkpoint = Checkpoint { seen: Vec::new(), ..finish.checkpoint.clone() };
        row.checkpoint.clone_from(&checkpoint);
        execution.checkpoint = Some(checkpoint);
        let name = row.task.clone();
        let task = self.tasks.entry(name.clone()).or_default();
        task.holder = None;
        if finish.moves_high_water() {
            task.high_water = task.high_water.max(finish.checkpoint.high_water);
        }
        if finish.cursor.is_some() {
            task.cursor.clone_from(&finish.cursor);
        }
        let stats = &mut task.stats;
        stats.task = name;
        stats.runs += 1;
        stats.successes += u64::from(finish.status == "success");
        stats.failures += u64::from(finish.status == "failed");
        stats.counters.add(&finish.checkpoint.counters);
        stats.last_finished = Some(finish.now);
        stats.last_status = Some(finish.status);
        Ok(())
    }

    /// Whether the task's running execution was asked to stop.
    pub(super) fn cancel_requested(&self, task: &str) -> bool {
        let holder = self.tasks.get(task).and_then(|task| task.holder);
        holder.and_then(|id| self.executions.get(&id)).is_some_and(|execution| execution.cancel)
    }

    /// Asks the task's running execution to stop.
    pub(super) fn cancel(&mut self, task: &str) -> bool {
        let holder = self.tasks.get(task).and_then(|task| task.holder);
        let execution = holder.and_then(|id| self.executions.get_mut(&id));
        execution.map(|execution| execution.cancel = true).is_some()
    }

    /// The overlay's own executions, newest first.
    pub(super) fn executions(&self, task: Option<&str>) -> Vec<ExecutionRow> {
        let mut out = Vec::new();
        for execution in self.executions.values().rev() {
            if task.is_some_and(|task| task != execution.row.task) {
                continue;
            }
            let mut row = execution.row.clone();
            if let Some(checkpoint) = &execution.checkpoint {
                row.checkpoint = Checkpoint { seen: Vec::new(), ..checkpoint.clone() };
            }
            row.alive = row.finished.is_none()
                && execution.worker.is_alive(execution.heartbeat, execution.heartbeat);
            out.push(row);
        }
        out
    }
}
