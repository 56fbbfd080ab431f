//! `stateward resize status`

use std::fmt::Write as _;

use anyhow::bail;
use clap::ColorChoice;
use stateward_core::annotations::RESIZE_REQUESTED;
use stateward_core::object::Pointer;
use stateward_core::record::{Phase, Reason, Record, State};
use stateward_core::yaml::printable;
use stateward_resize::advice;
use stateward_resize::plan::paint;

use super::Outcome;
use super::screen::Frame;
use super::target::{Place, Session, Which};
use super::view::{advice_text, frame, heading};
use crate::cli::{output, print};
use crate::controller::{Key, Stored};

/// Arguments of `stateward resize status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The StatefulSet: NAME, sts/NAME or statefulset/NAME [default: all of the namespace]
    #[arg(value_name = "SET", value_parser = super::target::set_name)]
    pub set: Option<String>,
    #[command(flatten)]
    pub place: Place,
    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value_t)]
    pub color: ColorChoice,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Outcome> {
    let Some(set) = &args.set else { return all(args).await };
    let which = Which { set: set.clone(), place: args.place.clone() };
    let session = which.open().await?;
    let Some(stored) = session.cluster.record(&session.key).await? else {
        return session.no_record().await;
    };
    let record = &stored.record;
    let text = |color| render(record, &frame(record), &session.key, color);
    output::print_painted(text, args.color)?;
    Ok(if needs_a_person(&stored.record) { Outcome::Findings } else { Outcome::Clean })
}

/// One line per resize of the namespace.
async fn all(args: &Args) -> anyhow::Result<Outcome> {
    let (cluster, namespace) = args.place.connect().await?;
    let records = cluster.records(Some(&namespace)).await?;
    if records.is_empty() {
        print(&format!("There is no resize in namespace {namespace}.\n"))?;
        return Ok(Outcome::Clean);
    }
    let name =
        |stored: &Stored| stored.object["metadata"]["name"].as_str().unwrap_or("?").to_owned();
    let width = records.iter().map(|stored| name(stored).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for stored in &records {
        let line = format!("{:width$}  {}", name(stored), heading(&stored.record));
        let _ = writeln!(text, "{}", printable(&line));
    }
    print(&text)?;
    let any = records.iter().any(|stored| needs_a_person(&stored.record));
    Ok(if any { Outcome::Findings } else { Outcome::Clean })
}

impl Session {
    async fn no_record(&self) -> anyhow::Result<Outcome> {
        let set = self.set().await?;
        let requested = Pointer::annotation(RESIZE_REQUESTED);
        match set.pointer(requested.as_str()).and_then(|value| value.as_str()) {
            Some(sizes) => {
                print(&format!(
                    "StatefulSet {}: {} is asked for, and no controller has begun it.\n",
                    self.key,
                    printable(sizes)
                ))?;
                Ok(Outcome::Findings)
            }
            None => bail!("there is no resize of StatefulSet {}", self.key),
        }
    }
}

/// Whether it will not go on, or did not end well.
fn needs_a_person(record: &Record) -> bool {
    let halt = record.status.halt.as_ref();
    let blocked = halt.is_some_and(|halt| halt.state == State::Blocked);
    match record.status.phase {
        Phase::Degraded | Phase::Conflict => true,
        // Ended by whoever asked, or ended by others.
        Phase::Aborted => halt
            .is_some_and(|halt| matches!(halt.reason, Reason::DeletedByOther | Reason::Replaced)),
        _ => blocked,
    }
}

fn render(record: &Record, frame: &Frame, key: &Key, color: bool) -> String {
    let status = &record.status;
    let request = status.request.iter().flat_map(|request| &request.targets);
    let mut sizes: Vec<String> = request.map(|(name, size)| format!("{name} to {size}")).collect();
    if sizes.is_empty() {
        let asked = record.spec.targets.iter();
        sizes = asked.map(|(name, target)| format!("{name} to {}", target.storage)).collect();
    }
    let bold = anstyle::Style::new().bold();
    let title = printable(&format!("StatefulSet {key}: {}", sizes.join(", ")));
    let mut text = format!("{}\n", paint(color, bold, &title));
    let _ = writeln!(text, "{}", printable(&frame.heading));
    if record.status.observed_generation < record.generation {
        text.push_str("The controller has not seen the last change of what is asked.\n");
    }
    if record.spec.paused {
        text.push_str("It is paused.\n");
    }
    for line in frame.table() {
        let _ = writeln!(text, "{}", printable(&line));
    }
    text.push_str(&advice_text(record, key));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cli::resize::screen::Line;
    use stateward_core::record::{
        ClaimState, ClaimStatus, CompletedRequest, Halt, Request, Status,
    };

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

    fn shown(record: &Record) -> String {
        let line = |ordinal: u32, volume: &str, state| Line {
            name: format!("data-db-{ordinal}"),
            from: "100Gi".to_owned(),
            to: "200Gi".to_owned(),
            volume: volume.to_owned(),
            state,
        };
        let frame = Frame {
            heading: heading(record),
            lines: vec![line(0, "200Gi", "done"), line(1, "100Gi", "its driver grows it")],
        };
        let key = Key { namespace: "prod".to_owned(), name: "db".to_owned() };
        render(record, &frame, &key, false)
    }

    #[test]
    fn a_resize_that_works_says_what_it_does() {
        let record = record(Phase::Growing, State::Waiting, Reason::ClaimsGrowing, "data-db-1");
        assert!(!needs_a_person(&record));
        insta::assert_snapshot!(shown(&record), @r"
        StatefulSet prod/db: data to 200Gi
        Growing: waiting, claims are growing (data-db-1)
          data-db-0  100Gi → 200Gi  200Gi  done
          data-db-1  100Gi → 200Gi  100Gi  its driver grows it
        ");
    }

    #[test]
    fn a_resize_that_does_not_go_on_says_what_to_do() {
        let mut record = record(Phase::Degraded, State::Ended, Reason::Infeasible, "data-db-1");
        record.status.claims.push(ClaimStatus {
            name: "data-db-1".to_owned(),
            from: "100Gi".to_owned(),
            target: "200Gi".to_owned(),
            capacity: Some("100Gi".to_owned()),
            state: ClaimState::Failed,
            since: None,
            lowest: Some("102401Mi".to_owned()),
            evicted: None,
        });
        record.generation = 2;
        record.spec.paused = true;
        for (second, phase) in [(0, Phase::Complete), (60, Phase::Degraded)] {
            record.status.push_result(CompletedRequest {
                phase,
                reason: Reason::Done,
                at: jiff::Timestamp::from_second(second).unwrap(),
                generation: 1,
            });
        }
        assert!(needs_a_person(&record));
        insta::assert_snapshot!(shown(&record), @r#"
        StatefulSet prod/db: data to 200Gi
        Degraded: the driver cannot make the volume this large (data-db-1)
        The controller has not seen the last change of what is asked.
        It is paused.
          data-db-0  100Gi → 200Gi  200Gi  done
          data-db-1  100Gi → 200Gi  100Gi  its driver grows it
        What to do:
          1. see the capacity and the driver's answer:
             kubectl -n prod describe pvc data-db-1
          2. end this resize, and lower each claim to just above its capacity, which Kubernetes allows:
             stateward resize abort db -n prod && kubectl -n prod patch pvc data-db-1 --type merge -p '{"spec":{"resources":{"requests":{"storage":"102401Mi"}}}}'
          3. request a size that the driver can make:
             stateward resize apply db -n prod --size SIZE
        Ended before:
          1970-01-01T00:00:00Z Complete: everything has the requested size
        "#);
    }
}
