//! Progress: one line per claim that changes in place; without a terminal, one line per change.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use jiff::{SignedDuration, Timestamp};
use stateward_core::record::{ClaimState, ClaimStatus};
use stateward_core::yaml::printable;

use crate::cli::columns::columns;

/// One claim as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) volume: String,
    pub(super) state: &'static str,
    /// since when
    pub(super) since: Option<Timestamp>,
}

/// All that is shown at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) heading: String,
    pub(super) lines: Vec<Line>,
}

impl Line {
    /// A row of a record.
    pub(super) fn new(row: &ClaimStatus) -> Self {
        Self {
            name: row.name.clone(),
            from: row.from.clone(),
            to: row.target.clone(),
            volume: row.capacity.clone().unwrap_or_else(|| "-".to_owned()),
            state: state(&row.state),
            since: row.since,
        }
    }
}

const fn state(state: &ClaimState) -> &'static str {
    match state {
        ClaimState::Short => "not raised yet",
        ClaimState::Unbound => "grows once it is bound",
        ClaimState::Growing => "its driver grows it",
        ClaimState::NodePending => "its file system waits for the node",
        ClaimState::Done => "done",
        ClaimState::Stuck => "blocked; its events say why",
        ClaimState::Failed => "failed; its events say why",
        ClaimState::Unknown(_) => "",
    }
}

/// The columns of a claim.
const HEADER: [&str; 5] = ["CLAIM", "SIZE", "VOLUME", "STATE", "FOR"];

impl Line {
    fn cells(&self, now: Option<Timestamp>) -> [String; 5] {
        let since = now.zip(self.since).map(|(now, since)| age(now.duration_since(since)));
        [
            self.name.clone(),
            format!("{} → {}", self.from, self.to),
            self.volume.clone(),
            self.state.to_owned(),
            since.unwrap_or_default(),
        ]
    }
}

impl Frame {
    /// The claims in columns, each indented, below the names of the columns. With `now` there is also how
    /// long each claim has been in its state.
    pub(super) fn table(&self, now: Option<Timestamp>) -> Vec<String> {
        if self.lines.is_empty() {
            return Vec::new();
        }
        let shown = if now.is_some() { 5 } else { 4 };
        let rows: Vec<[String; 5]> = std::iter::once(HEADER.map(str::to_owned))
            .chain(self.lines.iter().map(|line| line.cells(now)))
            .collect();
        let rows: Vec<&[String]> = rows.iter().map(|row| &row[..shown]).collect();
        columns(&rows).into_iter().map(|line| format!("  {line}")).collect()
    }
}

/// A duration as kubectl writes ages: `45s`, `12m`, `3h`, `2d`.
pub(super) fn age(elapsed: SignedDuration) -> String {
    match elapsed.as_secs().max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// Where progress is shown.
pub(super) struct Screen {
    out: Out,
    since: Timestamp,
}

enum Out {
    /// how many lines stand there
    Terminal(usize),
    /// what was said last of each thing
    Plain(BTreeMap<String, String>),
}

impl Screen {
    /// Standard output, with the time shown counted from `since` on.
    pub(super) fn new(since: Timestamp) -> Self {
        let terminal = io::stdout().is_terminal();
        let out = if terminal { Out::Terminal(0) } else { Out::Plain(BTreeMap::new()) };
        Self { out, since }
    }

    /// Shows a frame in place of the one before.
    ///
    /// # Errors
    /// Standard output is closed.
    pub(super) fn show(&mut self, frame: &Frame, now: Timestamp) -> io::Result<()> {
        let text = match &mut self.out {
            Out::Terminal(before) => {
                let (rows, columns) = size();
                let text = drawn(frame, (self.since, now), *before, rows, columns);
                *before = text.lines().count();
                text
            }
            Out::Plain(said) => changes(frame, now, said),
        };
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

/// Rows and columns of the terminal.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    let size = size.filter(|size| size.ws_row > 0 && size.ws_col > 0);
    size.map_or((24, 80), |size| (usize::from(size.ws_row), usize::from(size.ws_col)))
}

/// The frame, over the `before` lines of the last one. It never scrolls: claims that are done give
/// way where there are too many, and no line is longer than the terminal is wide.
fn drawn(
    frame: &Frame,
    (since, now): (Timestamp, Timestamp),
    before: usize,
    rows: usize,
    columns: usize,
) -> String {
    let mut table = frame.table(Some(now)).into_iter();
    let header = table.next();
    let table: Vec<String> = table.collect();
    let room = rows.saturating_sub(4).max(1);
    let mut shown: Vec<&String> = table.iter().collect();
    if shown.len() > room {
        let done = |line: &Line| line.state == "done";
        let mut all: Vec<_> = table.iter().zip(&frame.lines).collect();
        all.sort_by_key(|(_, line)| done(line));
        shown = all.into_iter().map(|(text, _)| text).take(room).collect();
    }
    let hidden = table.len() - shown.len();
    let mut text = String::new();
    if before > 0 {
        let _ = write!(text, "\u{1b}[{before}A\u{1b}[J");
    }
    let mut line = |line: &str| {
        let line: String = printable(line).chars().take(columns.saturating_sub(1)).collect();
        text.push_str(&line);
        text.push('\n');
    };
    line(&format!("{:>6}  {}", clock(now.duration_since(since)), frame.heading));
    for text in header.iter().chain(shown) {
        line(text);
    }
    if hidden > 0 {
        line(&format!("  and {hidden} more"));
    }
    text
}

/// What changed since `said`, each line with the time.
fn changes(frame: &Frame, now: Timestamp, said: &mut BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let heading = (String::new(), frame.heading.clone());
    let lines = frame.lines.iter().zip(frame.table(None).into_iter().skip(1));
    let lines = lines.map(|(line, text)| (line.name.clone(), text.trim().to_owned()));
    for (key, line) in std::iter::once(heading).chain(lines) {
        if said.get(&key) != Some(&line) {
            let _ = writeln!(text, "{now:.0} {}", printable(&line));
            said.insert(key, line);
        }
    }
    text
}

/// A duration as on a clock.
fn clock(elapsed: SignedDuration) -> String {
    let seconds = elapsed.as_secs().max(0);
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(ordinal: usize, state: &'static str) -> Line {
        Line {
            name: format!("data-db-{ordinal}"),
            from: "100Gi".to_owned(),
            to: "200Gi".to_owned(),
            volume: if state == "done" { "200Gi" } else { "100Gi" }.to_owned(),
            state,
            since: "2026-11-21T02:58:00Z".parse().ok(),
        }
    }

    fn now() -> Timestamp {
        "2026-11-21T03:00:00Z".parse().unwrap()
    }

    fn frame(states: &[&'static str]) -> Frame {
        let lines = states.iter().enumerate().map(|(ordinal, state)| line(ordinal, state));
        Frame { heading: "Growing".to_owned(), lines: lines.collect() }
    }

    #[test]
    fn a_terminal_is_drawn_over() {
        let times = (now() - SignedDuration::from_secs(75), now());
        let first = drawn(&frame(&["done", "its driver grows it"]), times, 0, 24, 80);
        assert_eq!(
            first,
            "  1:15  Growing\n  CLAIM      SIZE           VOLUME  STATE                FOR\n  \
             data-db-0  100Gi → 200Gi  200Gi   done                 2m\n  \
             data-db-1  100Gi → 200Gi  100Gi   its driver grows it  2m\n"
        );
        let second = drawn(&frame(&["done"]), times, 4, 24, 80);
        assert!(second.starts_with("\u{1b}[4A\u{1b}[J  1:15"), "{second:?}");
    }

    #[test]
    fn nothing_scrolls_however_many_claims_there_are() {
        let mut states = vec!["done"; 50];
        states[49] = "its driver grows it";
        let text = drawn(&frame(&states), (now(), now()), 0, 10, 30);
        assert!(text.lines().count() < 10, "{text}");
        assert!(text.contains("data-db-49"), "what is not done comes first: {text}");
        assert!(text.contains("and 44 more"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 30), "{text}");
    }

    #[test]
    fn ages_are_written_as_kubectl_writes_them() {
        for (seconds, text) in
            [(-3, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172_800, "2d")]
        {
            assert_eq!(age(SignedDuration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn without_a_terminal_only_changes_are_said() {
        let now: Timestamp = "2026-11-21T03:00:00.5Z".parse().unwrap();
        let mut said = BTreeMap::new();
        let first = changes(&frame(&["its driver grows it"]), now, &mut said);
        assert_eq!(
            first,
            "2026-11-21T03:00:00Z Growing\n2026-11-21T03:00:00Z data-db-0  100Gi → 200Gi  100Gi   \
             its driver grows it\n"
        );
        assert_eq!(changes(&frame(&["its driver grows it"]), now, &mut said), "");
        let done = changes(&frame(&["done"]), now, &mut said);
        assert_eq!(done, "2026-11-21T03:00:00Z data-db-0  100Gi → 200Gi  200Gi   done\n");
    }
}
