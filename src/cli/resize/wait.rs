//! Waiting for a resize while it is shown. Whoever stops looking stops nothing.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use stateward_core::record::{Halt, Phase, Record, State};

use super::Outcome;
use super::screen::Screen;
use super::target::Session;
use super::view::{advice_text, frame, unread_frame};
use crate::cli::print;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Until when to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// everything is as asked
    Complete,
    /// the claims have grown
    ClaimsGrown,
}

/// Whether there is anything left to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Going,
    Done,
    Stopped,
}

/// What a record says of the generation that was asked for.
fn ending(record: &Record, generation: i64, goal: Goal) -> Ending {
    let status = &record.status;
    // What is said of an older generation is no answer.
    if status.observed_generation < generation {
        return Ending::Going;
    }
    // What an owner manages ends with its claims grown.
    let stops = |halt: &Halt| matches!(halt.state, State::Blocked | State::Ended);
    let stopped = status.halt.as_ref().is_some_and(stops);
    match &status.phase {
        Phase::Complete => Ending::Done,
        Phase::Aborted | Phase::Conflict | Phase::Degraded => Ending::Stopped,
        // Once the record says why it rests there, so that a look right after says so too.
        Phase::ClaimsGrown if goal == Goal::ClaimsGrown && status.halt.is_some() => Ending::Done,
        _ if stopped => Ending::Stopped,
        _ => Ending::Going,
    }
}

impl Session {
    /// Shows the resize until it is done, somebody must act, or `timeout` has passed.
    pub(super) async fn follow(
        &self,
        generation: i64,
        goal: Goal,
        timeout: Duration,
    ) -> anyhow::Result<Outcome> {
        let start = Instant::now();
        let mut screen = Screen::new(Timestamp::now());
        let mut stopped = 0;
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            let Some(stored) = self.cluster.record(&self.key).await? else {
                print(&format!(
                    "The record of {} was deleted, which ends the resize, unless the set still \
                     asks for it.\n",
                    self.key
                ))?;
                return Ok(Outcome::Findings);
            };
            let record = stored.record;
            let rows = &record.status.claims;
            let read = record.status.observed_generation >= generation;
            // What an older generation came to would be taken for the answer.
            let frame = if read { frame(&record, rows) } else { unread_frame() };
            screen.show(&frame, Timestamp::now())?;
            match ending(&record, generation, goal) {
                Ending::Done => return Ok(Outcome::Clean),
                // What blocks may be gone at the next look.
                Ending::Stopped if stopped > 0 => {
                    print(&advice_text(&record, rows, &self.commands))?;
                    return Ok(Outcome::Findings);
                }
                Ending::Stopped => stopped += 1,
                Ending::Going => stopped = 0,
            }
            if start.elapsed() >= timeout {
                let advice = advice_text(&record, rows, &self.commands);
                let advice = if read { advice } else { String::new() };
                let seconds = timeout.as_secs();
                print(&format!("{advice}Not done after {seconds} s. {}", self.goes_on()))?;
                return Ok(Outcome::Findings);
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = &mut interrupted => {
                    print(&format!("\n{}", self.goes_on()))?;
                    return Ok(Outcome::Findings);
                }
            }
        }
    }

    fn goes_on(&self) -> String {
        format!(
            "The resize goes on without this command.\n  look at it: {}\n  stop it:    {}\n",
            self.command("status"),
            self.command("abort")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateward_core::record::{Halt, Reason, Status};

    fn record(phase: Phase, state: Option<State>) -> Record {
        let halt = state.map(|state| Halt {
            state,
            reason: Reason::MidRollout,
            message: "db-1".to_owned(),
        });
        Record {
            generation: 2,
            status: Status { phase, halt, observed_generation: 2, ..Status::default() },
            ..Record::default()
        }
    }

    #[test]
    fn an_answer_to_an_older_question_is_none() {
        let complete = record(Phase::Complete, Some(State::Ended));
        assert_eq!(ending(&complete, 3, Goal::Complete), Ending::Going);
        assert_eq!(ending(&complete, 2, Goal::Complete), Ending::Done);
    }

    #[test]
    fn grown_claims_are_enough_where_only_they_were_asked_for() {
        let grown = record(Phase::ClaimsGrown, Some(State::Waiting));
        assert_eq!(ending(&grown, 2, Goal::ClaimsGrown), Ending::Done);
        assert_eq!(ending(&grown, 2, Goal::Complete), Ending::Going);
        let silent = record(Phase::ClaimsGrown, None);
        assert_eq!(ending(&silent, 2, Goal::ClaimsGrown), Ending::Going);
        let blocked = record(Phase::ClaimsGrown, Some(State::Blocked));
        assert_eq!(ending(&blocked, 2, Goal::ClaimsGrown), Ending::Done);
        assert_eq!(ending(&blocked, 2, Goal::Complete), Ending::Stopped);
    }

    #[test]
    fn what_ended_short_is_not_waited_for() {
        for phase in [Phase::Aborted, Phase::Conflict, Phase::Degraded] {
            let record = record(phase, Some(State::Ended));
            assert_eq!(ending(&record, 2, Goal::ClaimsGrown), Ending::Stopped);
        }
        let unknown = record(Phase::Unknown("Dozing".to_owned()), None);
        assert_eq!(ending(&unknown, 2, Goal::Complete), Ending::Going);
    }
}
