//! What a rule says.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::loss::Loss;
use crate::object::Pointer;
use crate::text::cut;

/// One step of a remedy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// what it does, and what it does to running pods
    pub text: String,
    /// a command that runs as pasted, where the step is one
    pub command: Option<String>,
    /// the re-creation of the set that the step is a part of
    #[serde(skip)]
    pub recreation: Option<Arc<Recreation>>,
}

/// What a re-creation changes, and what it does to the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recreation {
    /// a JSON patch of the live set
    pub operations: Vec<Value>,
    /// what becomes of the pods, where they do not just run on
    pub pods: Option<&'static str>,
    /// whether the rest of the edit has been taken over as well
    pub complete: bool,
}

/// One fault in one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// the rule that found it
    pub rule: &'static str,
    /// the field in the new object, or in the old one on DELETE
    pub field: Pointer,
    /// the field in the old object, where there is one
    pub old_field: Pointer,
    /// the old value as written
    pub old: Option<String>,
    /// the new value as written
    pub new: Option<String>,
    /// what changes, with values: the rest of a sentence that begins with the object's name.
    /// At most about 90 characters, since it is a warning's whole text
    pub what: String,
    /// why it matters: one sentence
    pub why: String,
    /// the way out, the safest first
    pub remedy: Vec<Step>,
    /// whether the rule is not sure enough to deny
    pub unsure: bool,
    /// the claims that would be deleted, where facts describe them
    pub loss: Option<Loss>,
}

impl Finding {
    /// The values before and after.
    pub fn values(&mut self, old: Option<&str>, new: Option<&str>) -> &mut Self {
        self.old = old.map(|old| cut(old, VALUE));
        self.new = new.map(|new| cut(new, VALUE));
        self
    }

    /// Where the field stands in the old object, if elsewhere than in the new one.
    pub fn old_field(&mut self, field: Pointer) -> &mut Self {
        self.old_field = field.nameable();
        self
    }

    /// Why it matters.
    pub fn why(&mut self, why: impl Into<String>) -> &mut Self {
        self.why = cut(why, WHY);
        self
    }

    /// The way out.
    pub fn remedy(&mut self, steps: Vec<Step>) -> &mut Self {
        self.remedy = steps;
        self.limit_remedy();
        self
    }

    /// A step of the way out, in words.
    pub fn step(&mut self, text: impl Into<String>) -> &mut Self {
        self.add_step(Step { text: text.into(), ..Step::default() })
    }

    /// A step of the way out that is a command.
    pub fn command(&mut self, text: impl Into<String>, command: impl Into<String>) -> &mut Self {
        self.add_step(Step { text: text.into(), command: Some(command.into()), ..Step::default() })
    }

    /// What would be lost; its sum is the end of the reason.
    pub fn loss(&mut self, loss: Option<Loss>) -> &mut Self {
        if let Some(loss) = &loss {
            self.why = cut(format!("{} {}", self.why, loss.summary()).trim_start(), WHY);
        }
        self.loss = loss;
        self
    }

    /// Not sure enough to deny: at most a warning.
    pub fn unsure(&mut self) -> &mut Self {
        self.unsure = true;
        self
    }
}

/// The longest description of what changes, in bytes. A tenant chooses the names and values that
/// texts quote, and one of megabytes would be repeated by each finding.
const WHAT: usize = 512;

/// The longest reason, in bytes.
const WHY: usize = 1024;

/// The longest value, in bytes.
const VALUE: usize = 1024;

/// The longest text of a step, in bytes.
const STEP: usize = 1024;

/// The longest command, in bytes. It can hold claim templates.
const COMMAND: usize = 16 << 10;

/// The longest JSON patch of a re-creation, in bytes.
const OPERATIONS: usize = 64 << 10;

/// The most bytes that the steps of one finding have together.
const REMEDY: usize = 32 << 10;

/// The most bytes that the steps of all findings of a change have together.
pub const ALL_REMEDIES: usize = 128 << 10;

impl Step {
    /// How many bytes its texts have.
    fn bytes(&self) -> usize {
        self.text.len() + self.command.as_deref().map_or(0, str::len)
    }

    /// Whether it quotes a text that is too long for a finding.
    pub fn is_too_long(&self) -> bool {
        let operations = self.recreation.iter().flat_map(|recreation| &recreation.operations);
        let operations = operations.map(|operation| operation.to_string().len()).sum::<usize>();
        self.text.len() > STEP
            || self.command.as_deref().is_some_and(|command| command.len() > COMMAND)
            || operations > OPERATIONS
    }
}

impl Finding {
    /// Shortens texts that were set without the methods above. `left` bytes are left for steps;
    /// those of this finding are taken off.
    pub fn limit(&mut self, left: &mut usize) {
        let take = |text: &mut String, most| *text = cut(std::mem::take(text), most);
        take(&mut self.what, WHAT);
        take(&mut self.why, WHY);
        self.limit_remedy();
        let bytes = self.remedy.iter().map(Step::bytes).sum();
        match left.checked_sub(bytes) {
            Some(rest) => *left = rest,
            None => self.leave_remedy_out(),
        }
    }

    fn add_step(&mut self, step: Step) -> &mut Self {
        // A way out without its first steps would be another one.
        if !self.is_remedy_left_out() {
            self.remedy.push(step);
            self.limit_remedy();
        }
        self
    }

    /// A cut step would tell something else, and so would the others without it.
    fn limit_remedy(&mut self) {
        let bytes: usize = self.remedy.iter().map(Step::bytes).sum();
        if bytes > REMEDY || self.remedy.iter().any(Step::is_too_long) {
            self.leave_remedy_out();
        }
    }

    fn leave_remedy_out(&mut self) {
        self.remedy = vec![Step { text: self.left_out(), ..Step::default() }];
    }

    fn is_remedy_left_out(&self) -> bool {
        matches!(self.remedy.as_slice(), [step] if step.text == self.left_out())
    }

    fn left_out(&self) -> String {
        format!(
            "see stateward explain {} for the way out: its steps would be too long here",
            self.rule
        )
    }
}

impl Finding {
    /// The finding for a person at a terminal: what and where, why, the way out, how to read on.
    pub fn denial(&self, object: &str) -> String {
        let mut text = format!("{object}: {}", self.what);
        // The field is named once: not again where the sentence already names it.
        let field = self.field.dotted();
        if !field.is_empty() && !self.what.contains(&field) {
            _ = write!(text, " ({field})");
        }
        if !self.why.is_empty() {
            text.push('\n');
            text.push_str(&self.why);
        }
        for line in self.loss.iter().flat_map(Loss::lines) {
            _ = write!(text, "\n  - {line}");
        }
        for (number, step) in self.remedy.iter().enumerate() {
            _ = write!(text, "\n  {}. {}", number + 1, step.text);
            if let Some(command) = &step.command {
                _ = write!(text, ":\n     {command}");
            }
        }
        text
    }

    /// The finding in one line of at most 120 characters. Long names cut what it says, and never the rule,
    /// by which people look it up.
    pub fn warning(&self, object: &str) -> String {
        let rule = format!(" [{}]", self.rule);
        let length = WARNING_LENGTH.saturating_sub(rule.chars().count());
        line_of(&format!("{object}: {}", self.what), length) + &rule
    }
}

impl Finding {
    /// The finding and what would be lost, in lines of at most 120 characters.
    pub fn warnings(&self, object: &str) -> Vec<String> {
        let lost = self.loss.iter().flat_map(Loss::lines);
        let lost = lost.map(|line| one_line(&format!("  - {line}")));
        std::iter::once(self.warning(object)).chain(lost).collect()
    }
}

/// The longest warning that the API server hands through unharmed beside others.
pub const WARNING_LENGTH: usize = 120;

/// `text` in one line of at most [`WARNING_LENGTH`] characters: the API server drops a warning
/// that holds a line break without a word.
pub fn one_line(text: &str) -> String {
    line_of(text, WARNING_LENGTH)
}

/// `text` in one line of at most so many characters.
fn line_of(text: &str, length: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= length {
        return line;
    }
    let mut short: String = line.chars().take(length.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Collects the findings of one rule.
#[derive(Debug)]
pub struct Findings {
    rule: &'static str,
    list: Vec<Finding>,
    omitted: usize,
}

/// The most findings that a rule reports in full. Nobody reads more at once, and an object that
/// breaks a rule in every field must not cost more than one that breaks it in some.
const MOST: usize = 64;

impl Findings {
    /// An empty collector for `rule`.
    pub const fn new(rule: &'static str) -> Self {
        Self { rule, list: Vec::new(), omitted: 0 }
    }

    /// A finding about `field`; `what` continues a sentence that begins with the object's name.
    pub fn add(&mut self, field: impl Into<Pointer>, what: impl Into<String>) -> &mut Finding {
        let field = field.into().nameable();
        // Those beyond the limit take the same place, one after the other.
        if self.list.len() > MOST {
            self.list.pop();
            self.omitted += 1;
        }
        self.list.push(Finding {
            rule: self.rule,
            old_field: field.clone(),
            field,
            old: None,
            new: None,
            what: cut(what, WHAT),
            why: String::new(),
            remedy: Vec::new(),
            unsure: false,
            loss: None,
        });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// What was found, in the order in which it was added.
    pub fn into_vec(mut self) -> Vec<Finding> {
        if let Some(last) = self.list.last_mut()
            && self.omitted > 0
        {
            let what = cut(std::mem::take(&mut last.what), WHAT - 64);
            last.what = format!("{what}, and {} more like it", self.omitted);
        }
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_finding_have_a_limit() {
        let long = "x".repeat(1_000_000);
        let mut findings = Findings::new("a-rule");
        findings
            .add(Pointer::from("/metadata/labels").key(&long), long.clone())
            .values(Some(&long), Some(&long))
            .why(long.clone())
            .step(format!("set the name to {long}"))
            .command("then run", "true");
        let finding = findings.into_vec().remove(0);
        assert_eq!(finding.field.as_str(), "/metadata/labels");
        assert!(finding.denial("StatefulSet db").len() < 3000);
        assert!(finding.old.is_some_and(|old| old.len() <= VALUE && old.ends_with('…')));
        let steps: Vec<&str> = finding.remedy.iter().map(|step| step.text.as_str()).collect();
        assert_eq!(
            steps,
            ["see stateward explain a-rule for the way out: its steps would be too long here"]
        );
    }

    #[test]
    fn a_warning_that_is_cut_still_names_its_rule() {
        let mut findings = Findings::new("a-rule");
        findings.add("/spec", "would change\nits name");
        let finding = findings.into_vec().remove(0);
        assert_eq!(
            finding.warning("StatefulSet db"),
            "StatefulSet db: would change its name [a-rule]"
        );
        let warning = finding.warning(&format!("StatefulSet {}/db", "shöp".repeat(30)));
        assert_eq!(warning.chars().count(), WARNING_LENGTH);
        assert!(warning.ends_with("… [a-rule]"), "{warning}");
    }

    #[test]
    fn a_long_command_is_left_out_with_its_way_out() {
        let mut findings = Findings::new("a-rule");
        findings.add("/spec", "it changes").step("look").command("run", "y".repeat(COMMAND + 1));
        let finding = findings.into_vec().remove(0);
        assert!(finding.remedy.iter().all(|step| step.command.is_none()));
        assert!(finding.is_remedy_left_out());
    }

    #[test]
    fn steps_of_all_findings_have_a_limit() {
        let mut findings = Findings::new("a-rule");
        for _ in 0..3 {
            findings.add("/spec", "it changes").command("run", "y".repeat(100));
        }
        let mut left = 250;
        let mut found = findings.into_vec();
        for finding in &mut found {
            finding.limit(&mut left);
        }
        let left_out: Vec<bool> = found.iter().map(Finding::is_remedy_left_out).collect();
        assert_eq!((left_out, left), (vec![false, false, true], 44));
    }
}
