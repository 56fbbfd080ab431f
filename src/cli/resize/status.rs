//! `stateward resize status`

mod list;
mod presence;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::bail;
use clap::ColorChoice;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use stateward_core::annotations::RESIZE_REQUESTED;
use stateward_core::facts::Fact;
use stateward_core::object::Pointer;
use stateward_core::record::{ClaimState, ClaimStatus, Phase, Record};
use stateward_core::yaml::printable;
use stateward_resize::observed::Memory;
use stateward_resize::plan::paint;
use stateward_resize::{Commands, Observed, Parameters, View, advice, preflight};

use self::presence::Presence;
use super::controller_check::knows_resizes;
use super::screen::Screen;
use super::target::{Place, Session, Which};
use super::view::{advice_steps, advice_text, frame};
use super::{Format, Outcome};
use crate::cli::{output, print};
use crate::controller::Key;

/// The pause between two reads of --watch.
const PAUSE: Duration = Duration::from_secs(2);
/// A claim that its driver has not grown for this long needs a look.
const SLOW: SignedDuration = SignedDuration::from_mins(5);

/// Arguments of `stateward resize status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The StatefulSet: NAME, sts/NAME or statefulset/NAME [default: all of the namespace]
    #[arg(value_name = "SET", value_parser = super::target::set_name)]
    pub set: Option<String>,
    #[command(flatten)]
    pub place: Place,
    /// List the resizes of all namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["set", "namespace"])]
    pub all_namespaces: bool,
    /// Show changes until you interrupt it; that stops nothing
    #[arg(short, long)]
    pub watch: bool,
    /// Form of the status
    #[arg(short = 'o', long, value_enum, default_value_t, conflicts_with = "watch")]
    pub format: Format,
    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value_t)]
    pub color: ColorChoice,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Outcome> {
    let Some(set) = &args.set else { return list::run(args).await };
    let which = Which { set: set.clone(), place: args.place.clone() };
    let session = which.open().await?;
    let Some(stored) = session.cluster.record(&session.key).await? else {
        // A program reads one form from standard output, or nothing.
        match (args.format, session.no_record().await?) {
            (Format::Json, text) => bail!("{}", text.trim_end()),
            (Format::Text, text) => print(&text)?,
        }
        return Ok(Outcome::Findings);
    };
    if args.watch {
        return session.watch().await;
    }
    let (record, now) = (&stored.record, session.now());
    let observed = session.observe(record).await;
    let rows = fresh_rows(&observed, record, now);
    let set_is_missing = is_missing(&observed, record);
    let shown = Shown { record, rows: &rows, commands: &session.commands, now, set_is_missing };
    match args.format {
        Format::Json => print(&format!("{:#}\n", described(&shown)))?,
        Format::Text => {
            output::print_painted(|color| render(&shown, &session.key, color), args.color)?;
        }
    }
    let person = record.status.needs_a_person() || set_is_missing;
    Ok(if person { Outcome::Findings } else { Outcome::Clean })
}

impl Session {
    /// Why there is nothing to show.
    ///
    /// # Errors
    /// There is no resize, and none is requested.
    async fn no_record(&self) -> anyhow::Result<String> {
        let set = self.set().await?;
        let requested = Pointer::annotation(RESIZE_REQUESTED);
        let requested = set.pointer(requested.as_str()).and_then(|value| value.as_str());
        if !knows_resizes(&self.cluster).await? {
            return Ok(not_installed(&self.commands));
        }
        match requested {
            Some(sizes) => Ok(format!(
                "StatefulSet {}: {} is asked for, and no controller has begun it.\n",
                self.key,
                printable(sizes)
            )),
            None => bail!("there is no resize of StatefulSet {}", self.key),
        }
    }

    /// The set and its claims as they are now. The record has them as the controller last wrote them,
    /// and it does not watch claims of a resize that has ended.
    async fn observe(&self, record: &Record) -> Observed {
        self.cluster.observe(&self.key, Some(record), Memory::default()).await
    }

    async fn watch(&self) -> anyhow::Result<Outcome> {
        let mut screen = Screen::new(self.now());
        let mut presence = Presence::default();
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            let Some(stored) = self.cluster.record(&self.key).await? else {
                print(&self.no_record().await?)?;
                return Ok(Outcome::Findings);
            };
            let observed = self.observe(&stored.record).await;
            let rows = fresh_rows(&observed, &stored.record, self.now());
            let missing = is_missing(&observed, &stored.record);
            let mut frame = frame(&stored.record, &rows);
            frame.heading.push_str(presence.note(&frame.heading, missing));
            screen.show(&frame, self.now())?;
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = &mut interrupted => {
                    let short = stored.record.status.needs_a_person() || missing;
                    return Ok(if short { Outcome::Findings } else { Outcome::Clean });
                }
            }
        }
    }
}

/// Says that this cluster has no resizes, and how to install what they need.
fn not_installed(commands: &Commands) -> String {
    format!(
        "This cluster does not know StatefulSetResize, so there is no resize. Install it with\n  {}\n",
        commands.install_crds()
    )
}

fn fresh_rows(observed: &Observed, record: &Record, now: Timestamp) -> Vec<ClaimStatus> {
    let parameters = Parameters::default();
    let rows = preflight::rows(&View::new(observed, record, now, &parameters));
    // If the claims cannot be read, the record has what was last known of them.
    if rows.is_empty() { record.status.claims.clone() } else { rows }
}

/// Whether the set is gone, and nobody is creating it again.
fn is_missing(observed: &Observed, record: &Record) -> bool {
    let window = matches!(record.status.phase, Phase::Deleting | Phase::Creating);
    matches!(observed.set, Fact::Known(None)) && !window
}

/// A resize to be shown.
struct Shown<'s> {
    record: &'s Record,
    rows: &'s [ClaimStatus],
    commands: &'s Commands,
    now: Timestamp,
    set_is_missing: bool,
}

/// A resize for programs.
fn described(shown: &Shown<'_>) -> Value {
    let Shown { record, rows, commands, set_is_missing, .. } = *shown;
    json!({
        "namespace": record.namespace,
        "name": record.name,
        "phase": record.status.phase,
        "state": record.status.halt.as_ref().map(|halt| &halt.state),
        "reason": record.status.halt.as_ref().map(|halt| &halt.reason),
        "message": record.status.halt.as_ref().map(|halt| &halt.message),
        "paused": record.spec.paused,
        "sizes": sizes(record),
        "claimsGrown": record.status.claims_grown,
        "claims": rows,
        "needsAttention": record.status.needs_a_person() || set_is_missing,
        "whatToDo": advice_steps(record, rows, commands),
    })
}

/// The requested sizes by claim template: those that are carried out, otherwise those of the spec.
fn sizes(record: &Record) -> BTreeMap<&str, &str> {
    let request = record.status.request.iter().flat_map(|request| &request.targets);
    let sizes: BTreeMap<&str, &str> = request.map(|(name, size)| (&**name, &**size)).collect();
    if !sizes.is_empty() {
        return sizes;
    }
    let spec = record.spec.targets.iter();
    spec.map(|(name, target)| (name.as_str(), target.storage.as_str())).collect()
}

fn render(shown: &Shown<'_>, key: &Key, color: bool) -> String {
    let Shown { record, rows, commands, now, .. } = *shown;
    let status = &record.status;
    let sizes: Vec<String> =
        sizes(record).into_iter().map(|(name, size)| format!("{name} to {size}")).collect();
    let bold = anstyle::Style::new().bold();
    let title = printable(&format!("StatefulSet {key}: {}", sizes.join(", ")));
    let mut text = format!("{}\n", paint(color, bold, &title));
    let frame = frame(record, rows);
    let _ = writeln!(text, "{}", printable(&frame.heading));
    if shown.set_is_missing {
        let finish = commands.resize("finish", &key.name, &key.namespace, "");
        let back = match record.status.snapshot {
            Some(_) => format!("create it again from the copy in its record with\n  {finish}"),
            None => {
                "its record holds no copy of it; apply its manifest with the new size".to_owned()
            }
        };
        let _ = writeln!(text, "The StatefulSet does not exist; {}", printable(&back));
    }
    if record.is_unread() {
        text.push_str("The controller has not seen the last change of what is asked.\n");
    }
    if record.spec.paused {
        text.push_str("It is paused.\n");
    }
    for line in frame.table(Some(now)) {
        let _ = writeln!(text, "{}", printable(&line));
    }
    text.push_str(&printable(&slow_claims(rows, key, commands, now)));
    text.push_str(&advice_text(record, rows, commands));
    if status.results.len() > 1 {
        let _ = writeln!(text, "{}", paint(color, bold, "Ended before:"));
        for ended in status.results.iter().rev().skip(1) {
            let _ = writeln!(
                text,
                "  {:.0} {}: {}",
                ended.at,
                ended.phase,
                advice::meaning(&ended.reason)
            );
        }
    }
    text
}

/// Where to look if drivers take long.
fn slow_claims(rows: &[ClaimStatus], key: &Key, commands: &Commands, now: Timestamp) -> String {
    let slow = |row: &&ClaimStatus| {
        let since = row.since.filter(|_| row.state == ClaimState::Growing);
        since.is_some_and(|since| now.duration_since(since) >= SLOW)
    };
    let mut slow = rows.iter().filter(slow).map(|row| row.name.as_str());
    let Some(first) = slow.next() else { return String::new() };
    let command = commands.kubectl_in(&key.namespace, &format!("describe pvc {first}"));
    match slow.count() {
        0 => format!("{first} has not grown for minutes; its events say why:\n  {command}\n"),
        more => format!(
            "{first} and {more} more have not grown for minutes; the events say why:\n  {command}\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateward_core::facts::NamespaceFact;
    use stateward_core::record::{CompletedRequest, Halt, Reason, Request, State, Status};
    use stateward_resize::observed::{Claim, Dependents, Progress};

    fn record(phase: Phase, state: State, reason: Reason, detail: &str) -> Record {
        let request = Request {
            number: 1,
            generation: 1,
            set_uid: "set".to_owned(),
            targets: BTreeMap::from([("data".to_owned(), "200Gi".to_owned())]),
            withdrawable: false,
        };
        Record {
            namespace: "prod".to_owned(),
            name: "db".to_owned(),
            generation: 1,
            status: Status {
                phase,
                halt: Some(Halt { state, reason, message: detail.to_owned() }),
                request: Some(request),
                observed_generation: 1,
                ..Status::default()
            },
            ..Record::default()
        }
    }

    fn now() -> Timestamp {
        "2026-11-21T03:00:00Z".parse().unwrap()
    }

    fn row(ordinal: u32, capacity: &str, state: ClaimState) -> ClaimStatus {
        ClaimStatus {
            name: format!("data-db-{ordinal}"),
            from: "100Gi".to_owned(),
            target: "200Gi".to_owned(),
            capacity: Some(capacity.to_owned()),
            state,
            since: Some(now() - SignedDuration::from_secs(42)),
            lowest: None,
            evicted: None,
        }
    }

    fn key() -> Key {
        Key { namespace: "prod".to_owned(), name: "db".to_owned() }
    }

    fn shown_at(record: &Record, last: ClaimStatus, now: Timestamp) -> String {
        let rows = [row(0, "200Gi", ClaimState::Done), last];
        let commands = Commands::default();
        let shown = Shown { record, rows: &rows, commands: &commands, now, set_is_missing: false };
        render(&shown, &key(), false)
    }

    #[test]
    fn a_resize_that_works_says_what_it_does() {
        let record = record(Phase::Growing, State::Waiting, Reason::ClaimsGrowing, "data-db-1");
        assert!(!record.status.needs_a_person());
        insta::assert_snapshot!(shown_at(&record, row(1, "100Gi", ClaimState::Growing), now()), @r"
        StatefulSet prod/db: data to 200Gi
        Growing: waiting, claims are growing (data-db-1)
          CLAIM      SIZE           VOLUME  STATE                FOR
          data-db-0  100Gi → 200Gi  200Gi   done                 42s
          data-db-1  100Gi → 200Gi  100Gi   its driver grows it  42s
        ");
    }

    #[test]
    fn a_resize_that_does_not_go_on_says_what_to_do() {
        let mut record = record(Phase::Degraded, State::Ended, Reason::Infeasible, "data-db-1");
        let lowest = Some("102401Mi".to_owned());
        let failed = ClaimStatus { lowest, ..row(1, "100Gi", ClaimState::Failed) };
        record.generation = 2;
        record.spec.paused = true;
        for (second, phase) in [(0, Phase::Complete), (60, Phase::Degraded)] {
            record.status.push_result(CompletedRequest {
                phase,
                reason: Reason::Done,
                at: Timestamp::from_second(second).unwrap(),
                generation: 1,
            });
        }
        assert!(record.status.needs_a_person());
        insta::assert_snapshot!(shown_at(&record, failed, now()), @r#"
        StatefulSet prod/db: data to 200Gi
        Degraded: the driver cannot make the volume this large (data-db-1)
        The controller has not seen the last change of what is asked.
        It is paused.
          CLAIM      SIZE           VOLUME  STATE                             FOR
          data-db-0  100Gi → 200Gi  200Gi   done                              42s
          data-db-1  100Gi → 200Gi  100Gi   failed: too large for its driver  42s
        What to do:
          1. see the capacity and the driver's answer:
             kubectl -n prod describe pvc data-db-1
          2. end this resize, and lower each claim to just above its capacity, which Kubernetes allows:
             stateward resize abort db -n prod && kubectl -n prod patch pvc data-db-1 --type merge -p '{"spec":{"resources":{"requests":{"storage":"102401Mi"}}}}'
          3. then request a size that the driver can make; its answer may name the largest
        Ended before:
          1970-01-01T00:00:00Z Complete: everything has the requested size
        "#);
    }

    #[test]
    fn a_program_reads_the_claims_and_what_to_do() {
        let record = record(Phase::Degraded, State::Ended, Reason::Infeasible, "data-db-1");
        let failed = row(1, "100Gi", ClaimState::Failed);
        let commands = Commands::default();
        let (rows, now) = ([failed], now());
        let shown =
            Shown { record: &record, rows: &rows, commands: &commands, now, set_is_missing: false };
        let found = described(&shown);
        for (pointer, value) in [
            ("/namespace", "prod"),
            ("/name", "db"),
            ("/phase", "Degraded"),
            ("/state", "Ended"),
            ("/reason", "Infeasible"),
            ("/message", "data-db-1"),
            ("/sizes/data", "200Gi"),
            ("/claims/0/name", "data-db-1"),
            ("/claims/0/state", "Failed"),
            ("/whatToDo/0/command", "kubectl -n prod describe pvc data-db-1"),
        ] {
            assert_eq!(found.pointer(pointer), Some(&json!(value)), "{pointer}: {found:#}");
        }
        assert_eq!((&found["needsAttention"], &found["paused"]), (&json!(true), &json!(false)));
    }

    #[test]
    fn a_restart_that_a_person_has_to_do_needs_attention_and_names_the_command() {
        let reason = Reason::FileSystemPending;
        let record = record(Phase::Verifying, State::Blocked, reason, "data-db-1");
        let (rows, commands) = ([row(1, "100Gi", ClaimState::NodePending)], Commands::default());
        let (now, set_is_missing) = (now(), false);
        let shown =
            Shown { record: &record, rows: &rows, commands: &commands, now, set_is_missing };
        let found = described(&shown);
        assert_eq!(found["needsAttention"], json!(true));
        let command = "kubectl -n prod delete pod db-1";
        assert_eq!(found["whatToDo"][0]["command"], json!(command), "{found:#}");
    }

    #[test]
    fn a_set_that_does_not_exist_is_told_of_in_every_phase_but_the_window() {
        let commands = Commands::default();
        for (phase, snapshot, back) in [
            (Phase::Growing, Some("copy"), "stateward resize finish db -n prod"),
            (Phase::Complete, None, "apply its manifest with the new size"),
        ] {
            let mut record = record(phase, State::Waiting, Reason::ClaimsGrowing, "");
            record.status.snapshot = snapshot.map(str::to_owned);
            let (rows, now) = ([row(0, "200Gi", ClaimState::Done)], now());
            let shown = |set_is_missing| Shown {
                record: &record,
                rows: &rows,
                commands: &commands,
                now,
                set_is_missing,
            };
            let text = render(&shown(true), &key(), false);
            assert!(
                text.contains("The StatefulSet does not exist") && text.contains(back),
                "{text}"
            );
            assert_eq!(described(&shown(true))["needsAttention"], json!(true));
            assert!(!render(&shown(false), &key(), false).contains("does not exist"));
        }
    }

    #[test]
    fn a_claim_that_does_not_move_for_minutes_gets_a_hint() {
        let record = record(Phase::Growing, State::Waiting, Reason::ClaimsGrowing, "data-db-1");
        let at = |minutes| {
            let later = now() + SignedDuration::from_mins(minutes);
            shown_at(&record, row(1, "100Gi", ClaimState::Growing), later)
        };
        let hint = "data-db-1 has not grown for minutes; its events say why:\n  \
                    kubectl -n prod describe pvc data-db-1\n";
        assert!(at(5).contains(hint), "{}", at(5));
        assert!(!at(4).contains("describe"), "{}", at(4));
    }

    #[test]
    fn claims_are_shown_as_they_are_now() {
        let mut record = record(Phase::Complete, State::Ended, Reason::Done, "");
        record.status.claims = vec![row(0, "100Gi", ClaimState::NodePending)];
        let claims = vec![Claim {
            name: "data-db-0".to_owned(),
            uid: "claim".to_owned(),
            template: "data".to_owned(),
            ordinal: 0,
            request: "200Gi".parse().unwrap(),
            capacity: "200Gi".parse().ok(),
            progress: Progress::None,
            terminating: false,
            owners: Vec::new(),
            class: "fast".to_owned(),
            fixed_volume: None,
            resize_id: None,
            mounted: true,
            foreign: false,
        }];
        let mut observed = Observed {
            fresh: true,
            namespace: Fact::Known(NamespaceFact::default()),
            set: Fact::Known(None),
            pods: Fact::Known(Vec::new()),
            claims: Fact::Unknown("timeout".to_owned()),
            classes: Fact::Known(BTreeMap::new()),
            revisions: Fact::Known(Vec::new()),
            neighbours: Fact::Known(Vec::new()),
            dependents: Fact::Known(Dependents::default()),
            admission_policy: Fact::Known(true),
            dry_runs: Fact::Unknown(String::new()),
            last_seen_edit: Fact::Known(None),
            memory: Memory::default(),
        };
        assert_eq!(fresh_rows(&observed, &record, now())[0].state, ClaimState::NodePending);
        observed.claims = Fact::Known(claims);
        let rows = fresh_rows(&observed, &record, now());
        assert_eq!(
            (rows[0].state.clone(), rows[0].capacity.as_deref()),
            (ClaimState::Done, Some("200Gi"))
        );
    }
}
