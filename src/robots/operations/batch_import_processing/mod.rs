//! Turns uploaded files into sites, devices and credentials.
//!
//! - **Looks at**: imports that wait, one after the other; their files, and what the inventory has of what they name.
//! - **Changes**: the inventory, a hundred rows at a time, in the name of whoever sent the file; each row's answer, and the
//!   import with them. Removes the file when the import has ended. Publishes `batch_import.finished`.
//! - **Safe to repeat**: yes: what a row asks for and is there is left as it is, a secret that is in force too, and a row
//!   with an answer is not looked at again.
//! - **If it stops**: files wait, sealed, until they are as old as finished tasks may be; then they are removed unread.
//!
//! Number 42 of the catalogue. What a row is to change is written down before it is changed, so that whoever goes on after a
//! crash still says who created what. Nothing that is said of a file quotes its cells, but for the texts of columns
//! that are known to hold no secret.

mod carrying;
mod judgement;
mod settings;
mod table;

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::carrying::{Carrier, Ids, Work};
use self::judgement::{CredentialWork, Judge, Verdict};
use self::settings::{OnError, Settings};
use self::table::{Line, Table};
use crate::connect::sheet::{self, Limits};
use crate::domain::category::Category;
use crate::domain::import::{ImportMode, ImportState, RowAnswer};
use crate::domain::robot::{FieldError, Sharding};
use crate::robot::import::end;
use crate::robot::inventory::{By, Inventory, InventoryError};
use crate::robot::safe::SafeError;
use crate::robot::spec::{Wakes, settings_of};
use crate::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use crate::robots::settings::check;
use crate::store::import::{Holder, Import};
use crate::vault::SealError;

/// Rows that are carried out between two looks at whether to go on: a second of work at most.
const CHUNK: usize = 100;
/// Lines above the rows: the columns' names, and words for people.
const HEAD_ROWS_MAX: usize = 100;
/// Longer than a chunk takes: whoever holds an import after that is gone.
const LEASE: Duration = Duration::from_mins(5);
/// No import is begun after so long in a run.
const BUDGET: Duration = Duration::from_mins(10);
/// Runs that may take one file in hand: one that ends them all is not worth another.
const ATTEMPTS_MAX: u32 = 8;

pub(super) struct ProcessImports;

#[async_trait]
impl Robot for ProcessImports {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "operations.batch_import_processing",
            title: "Batch import processing",
            category: Category::Operations,
            summary: "Turns uploaded spreadsheets into sites, devices and credentials",
            // Files wake it; a tick finds those whose run was lost.
            wakes: Wakes::Every(Duration::from_mins(5)),
            events: &["batch_import.uploaded"],
            instances: 2,
            sharding: Sharding::Sharded,
            timeout: Duration::from_mins(30),
            cancel_grace: Duration::from_secs(30),
            settings: settings_of::<Settings>,
            check_settings: check::<Settings>,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        let settings: Settings = ctx.settings()?;
        let began = Instant::now();
        let mut tally = [0_usize; 3];
        while !ctx.cancelled().is_cancelled() && began.elapsed() < BUDGET {
            let (now, run) = (ctx.clock().now(), ctx.run());
            let store = ctx.store();
            let claimed = store
                .import_claim(run.task, run.process, now + LEASE, now)
                .await?;
            let Some(import) = claimed else { break };
            let inventory = ctx.inventory();
            let run = Run {
                ctx,
                settings: &settings,
                inventory: &inventory,
                import: &import,
            };
            match run.import().await? {
                Some(ImportState::Finished) => tally[0] += 1,
                Some(ImportState::Failed) => tally[1] += 1,
                _ => tally[2] += 1,
            }
        }
        let base = if tally == [0; 3] {
            Outcome::nothing()
        } else {
            Outcome::done()
        };
        let [finished, failed, others] = tally;
        Ok(base
            .and("imports_finished", finished)
            .and("imports_failed", failed)
            .and("imports_not_done", others))
    }
}

/// One import in hand.
struct Run<'a> {
    ctx: &'a Context,
    settings: &'a Settings,
    inventory: &'a Inventory,
    import: &'a Import,
}

/// How far the rows got.
enum Way {
    /// To their end.
    Through,
    /// Not there: the import, or the run, is to end, or is somebody else's.
    Halted,
    /// As a whole they are not acceptable.
    Refused(String),
}

impl Run<'_> {
    /// Carries an import to its end; answers how it ended, or none where it goes on elsewhere.
    async fn import(&self) -> Result<Option<ImportState>, RobotError> {
        let (ctx, import) = (self.ctx, self.import);
        ctx.info(format!("import {}: {} bytes", import.id, import.bytes));
        let way = if import.attempts > ATTEMPTS_MAX {
            let attempts = import.attempts - 1;
            Way::Refused(format!(
                "was begun {attempts} times and never came to its end"
            ))
        } else {
            match self.table().await? {
                Ok(table) => self.rows(&table).await?,
                Err(failure) => Way::Refused(failure),
            }
        };
        match way {
            Way::Through => self.end(ImportState::Finished, None).await,
            Way::Refused(failure) => {
                let failure = format!("the file {failure}");
                ctx.warn(format!("import {}: {failure}", import.id));
                self.end(ImportState::Failed, Some(failure)).await
            }
            Way::Halted => {
                let stands = ctx.store().import_get(import.id).await?;
                if stands.cancel_requested {
                    return self.end(ImportState::Cancelled, None).await;
                }
                ctx.store().import_release(self.holder()).await?;
                Ok(None)
            }
        }
    }

    fn holder(&self) -> Holder {
        Holder {
            import: self.import.id,
            process: self.ctx.run().process,
            lease_until: self.ctx.clock().now() + LEASE,
        }
    }

    async fn end(
        &self,
        state: ImportState,
        failure: Option<String>,
    ) -> Result<Option<ImportState>, RobotError> {
        let (ctx, store) = (self.ctx, self.ctx.store());
        let stands = store.import_get(self.import.id).await?;
        let actor = &stands.requested_by;
        let order = end(&ctx.tools().registry, &stands, actor, state, failure);
        let ended = store.import_end(self.holder(), order, ctx.clock().now());
        if !ended.await? {
            ctx.warn(format!("import {} was taken away", self.import.id));
            return Ok(None);
        }
        ctx.info(format!("import {} {state}", self.import.id));
        Ok(Some(state))
    }

    /// Opens and reads the file; the inner error is what is wrong with it.
    async fn table(&self) -> Result<Result<Table, String>, RobotError> {
        let id = self.import.id;
        let sealed = self.ctx.store().import_file(id).await?;
        let file = match self.ctx.tools().safe.reveal_file(id, &sealed).await {
            Ok(file) => file,
            Err(SafeError::Seal(SealError::Broken | SealError::UnknownKey(_))) => {
                log::error!(
                    "the file of import `{id}` was tampered with in the database; it was not read"
                );
                return Ok(Err("was changed in the database; send it again".to_owned()));
            }
            Err(error) => return Err(RobotError::retry("vault", error)),
        };
        let rows_max = self.settings.rows_max;
        let limits = Limits {
            rows_max: rows_max + HEAD_ROWS_MAX,
            ..Limits::default()
        };
        let read = move || {
            let rows = sheet::read(&file, &limits).map_err(|error| error.to_string())?;
            table::read(&rows, rows_max)
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|_| RobotError::retry("sheet", "reading the file was cut off"))
    }

    async fn rows(&self, table: &Table) -> Result<Way, RobotError> {
        let store = self.ctx.store();
        let names = table
            .columns
            .iter()
            .map(|(_, column)| column.name.to_owned());
        let total = u32::try_from(table.lines.len()).unwrap_or(u32::MAX);
        if !store
            .import_begin(self.holder(), names.collect(), total)
            .await?
        {
            return Ok(Way::Halted);
        }
        let done = store.import_lines_done(self.import.id).await?;
        let done: HashSet<u32> = done.into_iter().collect();
        let left: Vec<&Line> = table
            .lines
            .iter()
            .filter(|line| !done.contains(&line.number))
            .collect();
        if self.import.mode == ImportMode::Validate {
            let works = self.judged(table, &left).await?;
            return self.only_answer(&works).await;
        }
        if self.settings.on_error == OnError::Stop {
            let works = self.judged(table, &left).await?;
            let bad = works
                .iter()
                .filter(|work| work.verdict.answer == RowAnswer::Refused);
            let bad = bad.count();
            if bad > 0 {
                return self.stop(works, bad).await;
            }
        }
        self.carry(table, &left).await
    }

    /// What all rows would come to.
    async fn judged<'a>(
        &self,
        table: &Table,
        lines: &[&'a Line],
    ) -> Result<Vec<Work<'a>>, RobotError> {
        let mut judge = Judge::new(self.inventory, self.settings.create_sites);
        judged(&mut judge, table, lines).await.map_err(failed)
    }

    /// Records answers without carrying anything out.
    async fn only_answer(&self, works: &[Work<'_>]) -> Result<Way, RobotError> {
        let nothing_made = Ids::default();
        for chunk in works.chunks(CHUNK) {
            let rows = chunk.iter().map(|work| work.row(&nothing_made)).collect();
            let goes_on = self.ctx.store().import_answer(self.holder(), rows).await?;
            if !goes_on || self.ctx.cancelled().is_cancelled() {
                return Ok(Way::Halted);
            }
        }
        Ok(Way::Through)
    }

    /// Leaves out all rows because of the bad ones.
    async fn stop(&self, mut works: Vec<Work<'_>>, bad: usize) -> Result<Way, RobotError> {
        let all = works.len();
        for work in &mut works {
            if work.verdict.answer != RowAnswer::Refused {
                work.verdict = Verdict {
                    answer: RowAnswer::Skipped,
                    errors: Vec::new(),
                    credential: CredentialWork::None,
                };
            }
        }
        Ok(match self.only_answer(&works).await? {
            Way::Through => Way::Refused(format!(
                "has {bad} rows of {all} that are not acceptable, so none was carried out; mend them and send it again"
            )),
            halted => halted,
        })
    }

    /// Carries rows out, a chunk at a time.
    async fn carry(&self, table: &Table, lines: &[&Line]) -> Result<Way, RobotError> {
        let (ctx, store) = (self.ctx, self.ctx.store());
        let carrier = |now| Carrier {
            inventory: self.inventory,
            by: By {
                actor: &self.import.requested_by,
                now,
            },
            table,
        };
        let mut carried = 0;
        for chunk in lines.chunks(CHUNK) {
            if ctx.cancelled().is_cancelled() {
                return Ok(Way::Halted);
            }
            let mut judge = Judge::new(self.inventory, self.settings.create_sites);
            let mut works = judged(&mut judge, table, chunk).await.map_err(failed)?;
            let intended = works.iter().map(|work| work.row(&Ids::default())).collect();
            if !store.import_intend(self.holder(), intended).await? {
                return Ok(Way::Halted);
            }
            let carrier = carrier(ctx.clock().now());
            let ids = carrier
                .carry(&mut judge, &mut works)
                .await
                .map_err(failed)?;
            let rows = works.iter().map(|work| work.row(&ids)).collect();
            if !store.import_answer(self.holder(), rows).await? {
                return Ok(Way::Halted);
            }
            carried += chunk.len();
            let percent = u8::try_from(carried * 100 / lines.len()).unwrap_or(100);
            ctx.progress(percent, &format!("{carried} of {} rows", lines.len()));
        }
        Ok(Way::Through)
    }
}

/// Judges rows one after the other.
async fn judged<'a>(
    judge: &mut Judge<'_>,
    table: &Table,
    lines: &[&'a Line],
) -> Result<Vec<Work<'a>>, InventoryError> {
    let mut works = Vec::with_capacity(lines.len());
    for &line in lines {
        let verdict = judge.line(table, line).await?;
        works.push(Work { line, verdict });
    }
    Ok(works)
}

/// Rows are refused one by one; what is left is the database's or the vault's trouble.
fn failed(error: InventoryError) -> RobotError {
    match error {
        InventoryError::Store(error) => error.into(),
        other => RobotError::retry("inventory", other),
    }
}
