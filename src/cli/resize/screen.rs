//! Progress: one line per claim that changes in place; without a terminal, one line per change.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use jiff::{SignedDuration, Timestamp};
use stateward_core::record::{ClaimState, ClaimStatus};
use stateward_core::yaml::printable;

/// One claim as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) volume: String,
    pub(super) state: &'static str,
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
        ClaimState::Stuck => "does not grow before a person acts",
        ClaimState::Failed => "does not grow",
        ClaimState::Unknown(_) => "",
    }
}

impl Frame {
    /// The claims in columns, each indented.
    pub(super) fn table(&self) -> Vec<String> {
        let sizes = |line: &Line| format!("{} → {}", line.from, line.to);
        let width = |text: &dyn Fn(&Line) -> String| {
            self.lines.iter().map(|line| text(line).chars().count()).max().unwrap_or(0)
        };
        let (name, size) = (width(&|line| line.name.clone()), width(&sizes));
        let volume = width(&|line| line.volume.clone());
        let row = |line: &Line| {
            format!(
                "  {:name$}  {:size$}  {:volume$}  {}",
                line.name,
                sizes(line),
                line.volume,
                line.state
            )
        };
        self.lines.iter().map(row).collect()
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
                let text = drawn(frame, now.duration_since(self.since), *before, rows, columns);
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
    elapsed: SignedDuration,
    before: usize,
    rows: usize,
    columns: usize,
) -> String {
    let table = frame.table();
    let room = rows.saturating_sub(3).max(1);
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
    line(&format!("{:>6}  {}", clock(elapsed), frame.heading));
    for text in shown {
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
    let lines = frame.lines.iter().zip(frame.table());
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
        }
    }

    fn frame(states: &[&'static str]) -> Frame {
        let lines = states.iter().enumerate().map(|(ordinal, state)| line(ordinal, state));
        Frame { heading: "Growing".to_owned(), lines: lines.collect() }
    }

    #[test]
    fn a_terminal_is_drawn_over() {
        let elapsed = SignedDuration::from_secs(75);
        let first = drawn(&frame(&["done", "its driver grows it"]), elapsed, 0, 24, 80);
        assert_eq!(
            first,
            "  1:15  Growing\n  data-db-0  100Gi → 200Gi  200Gi  done\n  \
             data-db-1  100Gi → 200Gi  100Gi  its driver grows it\n"
        );
        let second = drawn(&frame(&["done"]), elapsed, 3, 24, 80);
        assert!(second.starts_with("\u{1b}[3A\u{1b}[J  1:15"), "{second:?}");
    }

    #[test]
    fn nothing_scrolls_however_many_claims_there_are() {
        let mut states = vec!["done"; 50];
        states[49] = "its driver grows it";
        let text = drawn(&frame(&states), SignedDuration::ZERO, 0, 10, 30);
        assert!(text.lines().count() < 10, "{text}");
        assert!(text.contains("data-db-49"), "what is not done comes first: {text}");
        assert!(text.contains("and 43 more"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 30), "{text}");
    }

    #[test]
    fn without_a_terminal_only_changes_are_said() {
        let now: Timestamp = "2026-11-21T03:00:00.5Z".parse().unwrap();
        let mut said = BTreeMap::new();
        let first = changes(&frame(&["its driver grows it"]), now, &mut said);
        assert_eq!(
            first,
            "2026-11-21T03:00:00Z Growing\n2026-11-21T03:00:00Z data-db-0  100Gi → 200Gi  100Gi  \
             its driver grows it\n"
        );
        assert_eq!(changes(&frame(&["its driver grows it"]), now, &mut said), "");
        let done = changes(&frame(&["done"]), now, &mut said);
        assert_eq!(done, "2026-11-21T03:00:00Z data-db-0  100Gi → 200Gi  200Gi  done\n");
    }
}
