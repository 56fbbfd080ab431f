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
    let line = |row: &ClaimStatus| {
        let why = record.status.halt.as_ref().and_then(|halt| cause(halt, row));
        Line { state: why.unwrap_or_else(|| Line::new(row).state), ..Line::new(row) }
    };
    Frame { heading: heading(record, rows), lines: rows.iter().map(line).collect() }
}

/// Why this claim does not grow, if the record says so: its message begins with the claim.
fn cause(halt: &Halt, row: &ClaimStatus) -> Option<&'static str> {
    let named = halt.message.strip_prefix(&row.name)?;
    if !matches!(row.state, ClaimState::Failed | ClaimState::Stuck)
        || named.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
    {
        return None;
    }
    Some(match halt.reason {
        Reason::Infeasible => "failed: too large for its driver",
        Reason::NodeResize => "failed: its node cannot grow it",
        Reason::ClassGone => "failed: its class does not exist",
        Reason::NotExpandable => "failed: its class forbids growth",
        Reason::Lowered => "failed: its request was lowered",
        Reason::PatchRefused => "blocked: growth is rejected",
        Reason::ClaimTerminating => "blocked: it is being deleted",
        Reason::OfflineOnly => "blocked: a pod uses its volume",
        _ => return None,
    })
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
    fn a_claim_that_does_not_grow_says_why() {
        let row = |ordinal: u32, state| ClaimStatus {
            name: format!("data-db-{ordinal}"),
            from: "5Gi".to_owned(),
            target: "8Gi".to_owned(),
            capacity: None,
            state,
            since: None,
            lowest: None,
            evicted: None,
        };
        let (failed, stuck, done) = (ClaimState::Failed, ClaimState::Stuck, ClaimState::Done);
        for (reason, message, state, expected) in [
            (Reason::Infeasible, "data-db-1", &failed, "failed: too large for its driver"),
            (Reason::NodeResize, "data-db-1; lost", &failed, "failed: its node cannot grow it"),
            (Reason::OfflineOnly, "data-db-1", &stuck, "blocked: a pod uses its volume"),
            (Reason::PatchRefused, "data-db-1: no", &stuck, "blocked: growth is rejected"),
            // The record tells of another claim.
            (Reason::Infeasible, "data-db-10", &failed, "failed; its events say why"),
            (Reason::OfflineOnly, "data-db-0", &stuck, "blocked; its events say why"),
            (Reason::Infeasible, "data-db-1", &done, "done"),
        ] {
            let mut record = record(Phase::Degraded, Some(State::Ended));
            let halt = record.status.halt.as_mut().unwrap();
            (halt.reason, halt.message) = (reason, message.to_owned());
            let frame = frame(&record, &[row(1, state.clone())]);
            assert!(frame.lines[0].state.starts_with(expected), "{expected}: {frame:?}");
        }
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
