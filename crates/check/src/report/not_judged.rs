//! Rules that gave no verdict, said once for each object.

use std::collections::HashMap;

use serde::Serialize;
use stateward_core::rules;

use super::{ObjectRef, Place};

/// A rule that gave no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotJudged {
    /// rule id
    pub rule: String,
    /// the object
    pub object: ObjectRef,
    /// what would have to be known
    pub needs: String,
    /// the manifest that lacks it: the new one, or the old one if the fault is there; empty for none
    pub file: String,
    /// where the object begins, or the field that is at fault; from 1
    pub line: usize,
    /// the template that a `# Source:` comment of rendered output names
    #[serde(skip)]
    pub template: Option<String>,
}

impl NotJudged {
    pub(super) fn place(&self) -> Option<Place> {
        (!self.file.is_empty()).then(|| Place {
            value: None,
            file: self.file.clone(),
            line: self.line,
            column: 0,
            template: self.template.clone(),
            missing: None,
            excerpt: None,
        })
    }
}

/// What was not judged of one object in one file, and why.
pub(super) struct Unjudged<'r> {
    rules: Vec<&'r NotJudged>,
}

/// What was not judged, once for each object, in the order of the first rule.
pub(super) fn by_object(all: &[NotJudged]) -> Vec<Unjudged<'_>> {
    let mut objects: Vec<Unjudged<'_>> = Vec::new();
    let mut known = HashMap::new();
    for one in all {
        let key = (&one.object.api_version, one.object.to_string(), &one.file);
        let at = *known.entry(key).or_insert(objects.len());
        match objects.get_mut(at) {
            Some(object) => object.rules.push(one),
            None => objects.push(Unjudged { rules: vec![one] }),
        }
    }
    objects
}

impl Unjudged<'_> {
    /// The manifest, at the first rule that gave no verdict.
    pub(super) fn place(&self) -> Option<Place> {
        self.rules[0].place()
    }

    pub(super) fn file(&self) -> &str {
        &self.rules[0].file
    }

    pub(super) fn object(&self) -> &ObjectRef {
        &self.rules[0].object
    }

    /// `pvc-a and pvc-b need StorageClass fast; pvc-c needs …`.
    pub(super) fn reason(&self) -> String {
        let mut needs: Vec<(&str, Vec<&str>)> = Vec::new();
        for NotJudged { rule, needs: what, .. } in &self.rules {
            // What is no rule is a field that no rule could read.
            let rule = rules::by_id(rule).map(|_| rule.as_str());
            match needs.iter_mut().find(|(known, _)| known == what) {
                Some((_, rules)) => rules.extend(rule),
                None => needs.push((what, rule.into_iter().collect())),
            }
        }
        let said = needs.into_iter().map(|(what, rules)| match rules.split_last() {
            None => format!("needs {what}"),
            Some((rule, [])) => format!("{rule} needs {what}"),
            Some((last, others)) => format!("{} and {last} need {what}", others.join(", ")),
        });
        said.collect::<Vec<_>>().join("; ")
    }

    /// Object, place and reason in one line.
    pub(super) fn notice(&self) -> String {
        let NotJudged { object, file, line, .. } = self.rules[0];
        let reason = self.reason();
        match (file.as_str(), line) {
            ("", _) => format!("{object}: {reason}"),
            (file, 0) => format!("{object} ({file}): {reason}"),
            (file, line) => format!("{object} ({file}:{line}): {reason}"),
        }
    }
}
