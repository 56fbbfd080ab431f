//! A plan as text: the verdict, what stands in the way, then the steps as they will happen.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use stateward_core::rules::Step;
use stateward_core::shell::shell_quote;
use stateward_core::yaml::printable;

use super::{
    CheckOutcome, OwnerField, Plan, PlannedCheck, PlannedStep, PlannedStorage, Stage, Verdict,
    claims_noun,
};

/// A part of a text in a colour, where there are colours.
pub fn paint(color: bool, style: Style, text: &str) -> String {
    if color { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

const HEADING: Style = Style::new().bold();
const OK: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const WAITING: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));
const BLOCKED: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
const DIM: Style = Style::new().dimmed();
/// Pods to stop that are named one by one.
const STOPS_SHOWN: usize = 10;

/// How much of a plan is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Show {
    /// in colour
    pub color: bool,
    /// the checks that passed, too
    pub all_checks: bool,
    /// the commands by which a person finishes or undoes each step
    pub by_hand: bool,
}

/// The plan as text: first what it comes to, then what stands in the way, then the steps.
pub fn render(plan: &Plan, show: Show) -> String {
    let mut out = Text { text: String::new(), color: show.color };
    out.verdict(plan);
    out.consequences(plan);
    if let Some(owner) = &plan.owner {
        out.text.push('\n');
        out.owner(owner);
    }
    out.checks(plan, show.all_checks);
    out.storage(plan);
    // Nothing of a blocked plan happens, so its steps would only mislead.
    if plan.verdict != Verdict::Blocked || show.by_hand {
        out.steps(plan);
    }
    if plan.verdict != Verdict::Blocked
        && let Some(after) = &plan.after_growth
    {
        out.section(&format!("Afterwards, by hand ({})", after.system));
        out.line(1, &after.step);
        out.line(1, &format!("source: {}", after.source));
    }
    if show.by_hand {
        out.manual_recovery(&plan.steps);
    }
    out.text
}

/// Some of a plan's checks as text, with what a person does about them.
pub fn render_checks<'c>(
    checks: impl IntoIterator<Item = &'c PlannedCheck>,
    color: bool,
) -> String {
    let mut out = Text { text: String::new(), color };
    for check in checks {
        out.check(check);
    }
    out.text
}

/// Where a set's owner keeps its size, as text.
pub fn render_owner(owner: &OwnerField) -> String {
    let mut out = Text { text: String::new(), color: false };
    out.owner(owner);
    out.text
}

struct Text {
    text: String,
    color: bool,
}

impl Text {
    fn line(&mut self, indent: usize, line: &str) {
        // What stands in a cluster may hold anything, escape sequences included.
        let _ = writeln!(self.text, "{:1$}{2}", "", indent * 2, printable(line));
    }

    fn painted(&mut self, indent: usize, style: Style, word: &str, line: &str) {
        let word = paint(self.color, style, word);
        let _ = writeln!(self.text, "{:1$}{word}{2}", "", indent * 2, printable(line));
    }

    fn heading(&mut self, line: &str) {
        self.painted(0, HEADING, &printable(line), "");
    }

    fn section(&mut self, line: &str) {
        self.text.push('\n');
        self.heading(line);
    }

    fn owner(&mut self, owner: &OwnerField) {
        self.line(1, &format!("It belongs to {}, whose operator sets its size.", owner.owner));
        if let Some(field) = owner.field {
            self.line(1, &format!("Set the size in its field {field}:"));
        }
        if let Some(command) = &owner.command {
            self.line(2, command);
        }
        if let Some(note) = owner.note {
            self.line(1, &format!("As documented, {note}."));
        }
    }

    fn check(&mut self, check: &PlannedCheck) {
        let (style, word) = match check.outcome {
            CheckOutcome::Ok => (OK, "ok     "),
            CheckOutcome::Waiting(_) => (WAITING, "waiting"),
            CheckOutcome::Unknown => (BLOCKED, "unknown"),
            CheckOutcome::Blocked(_) => (BLOCKED, "blocked"),
        };
        let mut line = format!("  {}", check.name);
        if !check.detail.is_empty() {
            let _ = write!(line, ": {}", check.detail);
        }
        if let Some(step) = check.step {
            let _ = write!(line, " (done by step {step})");
        }
        self.painted(1, style, word, &line);
        for Step { text, command, .. } in &check.advice {
            self.way(5, "", text, command.as_deref());
        }
    }

    fn way(&mut self, indent: usize, lead: &str, text: &str, command: Option<&str>) {
        match command {
            Some(command) => {
                self.line(indent, &format!("{lead}{text}:"));
                self.line(indent + 1, command);
            }
            None => self.line(indent, &format!("{lead}{text}")),
        }
    }

    fn steps(&mut self, plan: &Plan) {
        if plan.steps.is_empty() {
            return;
        }
        self.section("Steps");
        for step in &plan.steps {
            let phase = format!("{} {:<15}", step.number, step.phase.as_str());
            self.painted(1, HEADING, &phase, &format!("  {}", step.what));
            let width = step.touches.iter().map(|touch| touch.object.chars().count()).max();
            for touch in &step.touches {
                let line = format!("{:1$}  {2}", touch.object, width.unwrap_or(0), touch.change);
                self.line(11, &line);
            }
        }
    }

    fn checks(&mut self, plan: &Plan, all: bool) {
        let silent = plan.checks.iter().filter(|check| passed(check)).count();
        for (stage, heading) in [
            (Stage::Request, "Checks of the request"),
            (Stage::Claims, "Checks before claims grow"),
            (Stage::Set, "Checks before the set is touched"),
            (Stage::RetentionPin, "Checks before the set is deleted"),
        ] {
            let shown = |check: &&PlannedCheck| check.stage == stage && (all || !passed(check));
            let mut shown = plan.checks.iter().filter(shown).peekable();
            if shown.peek().is_none() {
                continue;
            }
            self.section(heading);
            for check in shown {
                self.check(check);
            }
        }
        if silent > 0 && !all {
            let noun = if silent == 1 { "check" } else { "checks" };
            self.text.push('\n');
            self.line(0, &format!("{silent} {noun} passed; -v lists them"));
        }
    }

    fn consequences(&mut self, plan: &Plan) {
        if plan.verdict == Verdict::Blocked {
            return;
        }
        if !plan.stops.is_empty() {
            self.heading("Pods that you must stop, so that their volumes grow:");
            for stop in plan.stops.iter().take(STOPS_SHOWN) {
                self.line(1, &format!("{}: {}", stop.pod, stop.why));
            }
            if let Some(more) = plan.stops.len().checked_sub(STOPS_SHOWN).filter(|more| *more > 0) {
                self.line(1, &format!("and {more} more"));
            }
        } else if plan.restarts.is_empty() {
            self.painted(0, HEADING, "Pods that restart: ", &unasked_restarts(plan));
        } else {
            self.heading("Pods that restart:");
            for restart in &plan.restarts {
                self.line(1, &format!("{}: {}", restart.pod, restart.why));
            }
        }
        if let Some(seconds) = plan.seconds_without_controller {
            let line = format!(
                "about {seconds} s; pods keep running, and a pod that fails is replaced afterwards"
            );
            self.painted(0, HEADING, "Time without a controller: ", &line);
        }
    }

    fn storage(&mut self, plan: &Plan) {
        for PlannedStorage { class, provisioner, driver, notes } in &plan.storage {
            self.section(&format!("Storage driver of class {class}: {driver}"));
            for note in notes {
                let (style, word) =
                    if note.warning { (WAITING, "warning") } else { (DIM, "note   ") };
                self.painted(1, style, word, &format!("  {}", note.text));
            }
            self.line(1, &format!("sources: stateward drivers {}", shell_quote(provisioner)));
        }
    }

    fn manual_recovery(&mut self, steps: &[PlannedStep]) {
        if steps.is_empty() {
            return;
        }
        self.section("Manual recovery, if stateward is removed in the middle");
        let mut rest = steps;
        while let Some(first) = rest.first() {
            let same = |step: &&PlannedStep| same(&step.manual_recovery, &first.manual_recovery);
            let count = rest.iter().take_while(same).count().max(1);
            let last = first.number + count - 1;
            let place = if count == 1 {
                format!("in step {last}")
            } else {
                format!("in steps {} to {last}", first.number)
            };
            self.painted(1, DIM, &place, "");
            for Step { text, command, .. } in &first.manual_recovery {
                self.way(2, "", text, command.as_deref());
            }
            rest = rest.get(count..).unwrap_or_default();
        }
    }

    fn verdict(&mut self, plan: &Plan) {
        let (style, word, rest) = match plan.verdict {
            Verdict::NothingToDo => {
                (OK, "nothing to do", "claims and template have the requested size")
            }
            Verdict::Ready if plan.has_storage_warnings() => {
                (WAITING, "ready", "every check passed; read the warnings about the storage driver")
            }
            Verdict::Ready => (OK, "ready", "every check passed"),
            Verdict::Waits => {
                (WAITING, "waits", "the resize begins, and waits for the checks below")
            }
            Verdict::ClaimsOnly => (
                BLOCKED,
                "claims only",
                "claims grow if they can; for the rest a person must act first",
            ),
            Verdict::Blocked => (BLOCKED, "blocked", "a person must act first"),
            Verdict::Unknown => (
                BLOCKED,
                "unknown",
                "something could not be read, and nothing happens before it can",
            ),
        };
        self.painted(0, style, &word.to_uppercase(), &format!(": {rest}"));
        let growing = plan.claims.iter().filter(|claim| claim.from != claim.to).count();
        let mut changes: Vec<String> = plan
            .templates
            .iter()
            .map(|template| {
                let from = template.from.as_deref().unwrap_or("(missing)");
                format!("claim template {} {from} → {}", template.name, template.to)
            })
            .collect();
        if growing > 0 && plan.verdict != Verdict::Blocked {
            changes.push(format!("{} to grow", claims_noun(growing)));
        }
        let title = format!("StatefulSet {}/{}: {}", plan.namespace, plan.name, changes.join(", "));
        self.heading(&title);
        let begins = matches!(plan.verdict, Verdict::Ready | Verdict::Waits | Verdict::ClaimsOnly);
        if begins {
            self.line(0, "Begin:");
            self.line(1, &plan.apply);
        }
    }
}

fn passed(check: &PlannedCheck) -> bool {
    check.outcome == CheckOutcome::Ok || check.step.is_some()
}

/// Which pods may have to restart although stateward restarts none of them now.
fn unasked_restarts(plan: &Plan) -> String {
    if let (Some(why), true) = (&plan.no_restart, plan.waiting_pods.is_empty()) {
        return format!("none; {why}");
    }
    if plan.waiting_pods.is_empty() && plan.may_evict {
        return "none yet; if a file system grows only at a restart, stateward evicts its pod, one \
                at a time"
            .to_owned();
    }
    if plan.waiting_pods.is_empty() {
        return "none by stateward; some drivers grow a file system only when you restart its pod"
            .to_owned();
    }
    format!(
        "none by stateward; these grow their file systems only when you restart them: {}",
        plan.waiting_pods.join(", ")
    )
}

fn same(one: &[Step], other: &[Step]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(a, b)| a.text == b.text && a.command == b.command)
}
