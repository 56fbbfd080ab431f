//! A record as `status` and `wait` show it.

use std::fmt::Write as _;

use stateward_core::record::{Record, State};
use stateward_core::yaml::printable;
use stateward_resize::advice::{self, Subject};

use super::screen::{Frame, Line};
use crate::controller::Key;

/// A record as it is shown.
pub(super) fn frame(record: &Record) -> Frame {
    Frame { heading: heading(record), lines: record.status.claims.iter().map(Line::new).collect() }
}

/// Phase and reason in one line.
pub(super) fn heading(record: &Record) -> String {
    let status = &record.status;
    let mut text = status.phase.to_string();
    if let Some(halt) = &status.halt {
        let state = match halt.state {
            State::Waiting => "waiting, ",
            State::Blocked => "blocked, ",
            State::Ended | State::Unknown(_) => "",
        };
        text = format!("{text}: {state}{}", advice::meaning(&halt.reason));
        if !halt.message.is_empty() {
            text = format!("{text} ({})", halt.message);
        }
    }
    text
}

/// What a person does about the reason for which a resize rests or ended.
pub(super) fn advice_text(record: &Record, key: &Key) -> String {
    let Some(halt) = &record.status.halt else { return String::new() };
    let Key { namespace, name } = key;
    let (message, claims) = (&halt.message, &record.status.claims);
    let subject = Subject { namespace, name, message, claims };
    let mut text = String::new();
    for (number, step) in (1..).zip(advice::steps(&halt.reason, &subject)) {
        let _ = match step.command {
            Some(command) => writeln!(text, "  {number}. {}:\n     {command}", step.text),
            None => writeln!(text, "  {number}. {}", step.text),
        };
    }
    if text.is_empty() { text } else { format!("What to do:\n{}", printable(&text)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateward_core::record::{Halt, Phase, Reason, Status};

    fn record(phase: Phase, state: Option<State>) -> Record {
        let (reason, message) = (Reason::MidRollout, "db-1".to_owned());
        let halt = state.map(|state| Halt { state, reason, message });
        Record { status: Status { phase, halt, ..Status::default() }, ..Record::default() }
    }

    #[test]
    fn the_heading_says_phase_and_reason() {
        assert_eq!(
            heading(&record(Phase::ClaimsGrown, Some(State::Waiting))),
            "ClaimsGrown: waiting, a rollout of the set is under way (db-1)"
        );
        assert_eq!(heading(&record(Phase::Growing, None)), "Growing");
    }
}
