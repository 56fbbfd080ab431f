//! A record as `status` and `wait` show it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use stateward_core::record::{ClaimState, ClaimStatus, Halt, Phase, Reason, Record, State};
use stateward_core::rules::Step;
use stateward_core::yaml::printable;
use stateward_resize::advice::{self, Subject};
use stateward_resize::{Commands, Parameters};

use super::screen::{Frame, Line};

/// A record as it is shown, with the claims as they are in `rows`.
pub(super) fn frame(record: &Record, rows: &[ClaimStatus]) -> Frame {
    Frame { heading: heading(record, rows), lines: rows.iter().map(Line::new).collect() }
}

/// A record whose controller has not read the request yet: what it says is about an earlier one.
pub(super) fn unread_frame() -> Frame {
    let heading = "Requested: the controller has not read the request yet".to_owned();
    Frame { heading, lines: Vec::new() }
}

/// Phase and reason in one line.
pub(super) fn heading(record: &Record, rows: &[ClaimStatus]) -> String {
    let mut text = advice::heading(&record.status);
    let halt = record.status.halt.as_ref();
    if let (Some(Reason::RecentCreate), Some(last)) =
        (halt.map(|halt| &halt.reason), record.status.last_create)
    {
        let until = last + Parameters::default().create_quarantine;
        let _ = write!(text, "; continues at {until:.0}");
    }
    let waiting = waiting(rows);
    if record.status.phase == Phase::Complete && waiting > 0 {
        let noun = if waiting == 1 { "file system grows" } else { "file systems grow" };
        let _ = write!(text, "; {waiting} {noun} when the pod restarts");
    }
    text
}

fn waiting(rows: &[ClaimStatus]) -> usize {
    rows.iter().filter(|row| row.state == ClaimState::NodePending).count()
}

/// What a person does about the reason for which a resize waits or ended.
pub(super) fn advice_text(record: &Record, rows: &[ClaimStatus], commands: &Commands) -> String {
    let text = numbered(&advice_steps(record, rows, commands));
    if text.is_empty() { text } else { format!("What to do:\n{}", printable(&text)) }
}

/// The steps of that.
pub(super) fn advice_steps(
    record: &Record,
    rows: &[ClaimStatus],
    commands: &Commands,
) -> Vec<Step> {
    let file_systems =
        Halt { state: State::Waiting, reason: Reason::FileSystemPending, message: String::new() };
    let halt = match &record.status.halt {
        _ if record.status.phase == Phase::Complete && waiting(rows) > 0 => &file_systems,
        Some(halt) => halt,
        None => return Vec::new(),
    };
    let request = record.status.request.as_ref();
    let targets: BTreeMap<String, String> =
        request.map(|request| request.targets.clone()).unwrap_or_default();
    let subject = Subject { claims: rows, ..Subject::of_record(record, halt, &targets, commands) };
    advice::steps(&halt.reason, &subject)
}

/// Steps, numbered.
pub(super) fn numbered(steps: &[Step]) -> String {
    let mut text = String::new();
    for (number, step) in (1..).zip(steps) {
        let _ = match &step.command {
            Some(command) => writeln!(text, "  {number}. {}:\n     {command}", step.text),
            None => writeln!(text, "  {number}. {}", step.text),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateward_core::record::Status;

    fn record(phase: Phase, state: Option<State>) -> Record {
        let (reason, message) = (Reason::MidRollout, "db-1".to_owned());
        let halt = state.map(|state| Halt { state, reason, message });
        Record { status: Status { phase, halt, ..Status::default() }, ..Record::default() }
    }

    #[test]
    fn the_heading_says_phase_and_reason() {
        assert_eq!(
            heading(&record(Phase::ClaimsGrown, Some(State::Waiting)), &[]),
            "ClaimsGrown: waiting, a rollout of the set is under way (db-1)"
        );
        assert_eq!(heading(&record(Phase::Growing, None), &[]), "Growing");
    }

    #[test]
    fn a_wait_with_a_known_end_says_when_it_ends() {
        let mut record = record(Phase::ClaimsGrown, Some(State::Waiting));
        record.status.halt.as_mut().unwrap().reason = Reason::RecentCreate;
        record.status.last_create = Some("2026-11-21T03:00:00.7Z".parse().unwrap());
        let text = heading(&record, &[]);
        assert!(text.ends_with("; continues at 2026-11-21T03:02:00Z"), "{text}");
    }

    #[test]
    fn a_complete_resize_tells_of_file_systems_that_wait() {
        let mut record = record(Phase::Complete, None);
        let row = ClaimStatus {
            name: "data-db-1".to_owned(),
            from: "5Gi".to_owned(),
            target: "8Gi".to_owned(),
            capacity: Some("5Gi".to_owned()),
            state: ClaimState::NodePending,
            since: None,
            lowest: None,
            evicted: None,
        };
        record.namespace = "shop".to_owned();
        record.name = "db".to_owned();
        let rows = [row];
        assert_eq!(heading(&record, &rows), "Complete; 1 file system grows when the pod restarts");
        let text = advice_text(&record, &rows, &Commands::default());
        assert!(text.contains("kubectl -n shop delete pod db-1\n"), "{text}");
        assert_eq!(advice_text(&record, &[], &Commands::default()), "");
    }
}
