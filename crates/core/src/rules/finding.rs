//! What a rule says.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::object::Pointer;

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
}

impl Finding {
    /// The values before and after.
    pub fn values(&mut self, old: Option<&str>, new: Option<&str>) -> &mut Self {
        self.old = old.map(ToOwned::to_owned);
        self.new = new.map(ToOwned::to_owned);
        self
    }

    /// Where the field stands in the old object, if elsewhere than in the new one.
    pub fn old_field(&mut self, field: Pointer) -> &mut Self {
        self.old_field = field;
        self
    }

    /// Why it matters.
    pub fn why(&mut self, why: impl Into<String>) -> &mut Self {
        self.why = why.into();
        self
    }

    /// The way out.
    pub fn remedy(&mut self, steps: Vec<Step>) -> &mut Self {
        self.remedy = steps;
        self
    }

    /// A step of the way out, in words.
    pub fn step(&mut self, text: impl Into<String>) -> &mut Self {
        self.remedy.push(Step { text: text.into(), ..Step::default() });
        self
    }

    /// A step of the way out that is a command.
    pub fn command(&mut self, text: impl Into<String>, command: impl Into<String>) -> &mut Self {
        self.remedy.push(Step {
            text: text.into(),
            command: Some(command.into()),
            ..Step::default()
        });
        self
    }

    /// Not sure enough to deny: at most a warning.
    pub fn unsure(&mut self) -> &mut Self {
        self.unsure = true;
        self
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
        for (number, step) in self.remedy.iter().enumerate() {
            _ = write!(text, "\n  {}. {}", number + 1, step.text);
            if let Some(command) = &step.command {
                _ = write!(text, ":\n     {command}");
            }
        }
        text
    }

    /// The finding in one line of at most 120 characters.
    pub fn warning(&self, object: &str) -> String {
        one_line(&format!("{object}: {} [{}]", self.what, self.rule))
    }
}

/// The longest warning that the API server hands through unharmed beside others.
pub const WARNING_LENGTH: usize = 120;

/// `text` in one line of at most [`WARNING_LENGTH`] characters: the API server drops a warning
/// that holds a line break without a word.
pub fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= WARNING_LENGTH {
        return line;
    }
    let mut short: String = line.chars().take(WARNING_LENGTH - 1).collect();
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
        let field = field.into();
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
            what: what.into(),
            why: String::new(),
            remedy: Vec::new(),
            unsure: false,
        });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// What was found, in the order in which it was added.
    pub fn into_vec(mut self) -> Vec<Finding> {
        if let Some(last) = self.list.last_mut()
            && self.omitted > 0
        {
            last.what = format!("{}, and {} more like it", last.what, self.omitted);
        }
        self.list
    }
}
