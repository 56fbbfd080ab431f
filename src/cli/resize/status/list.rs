//! The resizes of a namespace, or of all namespaces.

use jiff::Timestamp;
use serde_json::Value;
use stateward_core::yaml::printable;
use stateward_resize::Commands;

use super::{Args, Format, Outcome, Shown, described, not_installed};
use crate::cli::columns::columns;
use crate::cli::print;
use crate::cli::resize::controller_check::knows_resizes;
use crate::cli::resize::screen::age;
use crate::cli::resize::view::heading;
use crate::controller::{Cluster, Stored};

/// Prints one line per resize; with --watch, each line that changes.
pub(super) async fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (cluster, namespace) = args.place.connect().await?;
    let namespace = (!args.all_namespaces).then_some(namespace.as_str());
    if !knows_resizes(&cluster).await? {
        let text = not_installed(&args.place.commands());
        if args.format == Format::Json {
            anyhow::bail!("{}", text.trim_end());
        }
        print(&text)?;
        return Ok(Outcome::Findings);
    }
    let records = cluster.records(namespace).await?;
    let any =
        |records: &[Stored]| records.iter().any(|stored| stored.record.status.needs_a_person());
    let outcome =
        |records: &[Stored]| if any(records) { Outcome::Findings } else { Outcome::Clean };
    if args.format == Format::Json {
        let all = all_described(&records, &args.place.commands(), cluster.now());
        print(&format!("{:#}\n", Value::Array(all)))?;
        return Ok(outcome(&records));
    }
    if records.is_empty() && !args.watch {
        let text = match namespace {
            Some(namespace) => format!("There is no resize in namespace {namespace}.\n"),
            None => "There is no resize in this cluster.\n".to_owned(),
        };
        print(&text)?;
        return Ok(Outcome::Clean);
    }
    print(&table(&records, args.all_namespaces, cluster.now()))?;
    if !args.watch {
        return Ok(outcome(&records));
    }
    watch(&cluster, namespace, args.all_namespaces, records).await?;
    Ok(Outcome::Clean)
}

/// The resizes for programs, as their records tell of them: no set and no claim is read.
fn all_described(records: &[Stored], commands: &Commands, now: Timestamp) -> Vec<Value> {
    let one = |Stored { record, .. }: &Stored| {
        let rows = &record.status.claims;
        described(&Shown { record, rows, commands, now, set_is_missing: false })
    };
    records.iter().map(one).collect()
}

/// Prints the rows that change, as `kubectl get --watch` does.
async fn watch(
    cluster: &Cluster,
    namespace: Option<&str>,
    all: bool,
    mut before: Vec<Stored>,
) -> anyhow::Result<()> {
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            () = tokio::time::sleep(super::PAUSE) => {}
            _ = &mut interrupted => return Ok(()),
        }
        let records = cluster.records(namespace).await?;
        let told: std::collections::BTreeMap<(&str, &str), &Stored> =
            before.iter().map(|stored| (key(stored), stored)).collect();
        let differs = |stored: &&Stored| {
            told.get(&key(stored)).is_none_or(|before| {
                heading(&before.record, &[]) != heading(&stored.record, &[])
                    || before.record.status.claims_grown != stored.record.status.claims_grown
            })
        };
        let changed: Vec<Stored> = records.iter().filter(differs).cloned().collect();
        print(&deleted(&before, &records))?;
        if !changed.is_empty() {
            let text = table(&changed, all, cluster.now());
            print(text.split_once('\n').map_or("", |(_, rows)| rows))?;
        }
        before = records;
    }
}

/// A line for each resize that is in `before` and no longer in `now`.
fn deleted(before: &[Stored], now: &[Stored]) -> String {
    let gone = before.iter().filter(|old| now.iter().all(|new| key(new) != key(old)));
    let line = |stored: &Stored| {
        let (namespace, name) = key(stored);
        format!(
            "The record of StatefulSet {} was deleted.\n",
            printable(&format!("{namespace}/{name}"))
        )
    };
    gone.map(line).collect()
}

fn key(stored: &Stored) -> (&str, &str) {
    (&stored.record.namespace, &stored.record.name)
}

/// One row per resize, below the names of the columns.
fn table(records: &[Stored], all: bool, now: Timestamp) -> String {
    let header = ["NAMESPACE", "SET", "GROWN", "SINCE", "STATE"].map(str::to_owned);
    let mut rows = vec![header];
    for Stored { record, .. } in records {
        let since = record.status.conditions.iter().map(|one| one.last_transition_time).max();
        rows.push([
            record.namespace.clone(),
            record.name.clone(),
            record.status.claims_grown.clone(),
            since.map(|since| age(now.duration_since(since))).unwrap_or_default(),
            heading(record, &[]),
        ]);
    }
    let first = usize::from(!all);
    let rows: Vec<&[String]> = rows.iter().map(|row| &row[first..]).collect();
    let mut text = String::new();
    for line in columns(&rows) {
        text.push_str(printable(&line).as_ref());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use stateward_core::record::{Phase, Record};

    use super::*;

    #[test]
    fn a_record_that_is_deleted_while_it_is_watched_is_told_of() {
        let stored = |name: &str| {
            let (namespace, name) = ("shop".to_owned(), name.to_owned());
            let record = Record { namespace, name, ..Record::default() };
            Stored { record, object: Value::Null }
        };
        let both = [stored("a"), stored("b")];
        assert_eq!(deleted(&both, &both[..1]), "The record of StatefulSet shop/b was deleted.\n");
        assert_eq!(deleted(&both[..1], &both), "");
    }

    #[test]
    fn columns_have_names_and_the_namespace_stands_only_where_there_are_several() {
        let now: Timestamp = "2026-11-21T03:00:00Z".parse().unwrap();
        let mut record =
            Record { namespace: "shop".to_owned(), name: "db".to_owned(), ..Record::default() };
        record.status.phase = Phase::Growing;
        record.status.summarize(1, "2026-11-21T02:55:00Z".parse().unwrap());
        record.status.claims_grown = "1/3".to_owned();
        let records = [Stored { record, object: Value::Null }];
        assert_eq!(
            table(&records, false, now),
            "SET  GROWN  SINCE  STATE\ndb   1/3    5m     Growing\n"
        );
        assert_eq!(
            table(&records, true, now),
            "NAMESPACE  SET  GROWN  SINCE  STATE\nshop       db   1/3    5m     Growing\n"
        );
    }
}
