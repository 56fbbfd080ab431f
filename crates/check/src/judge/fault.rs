//! Fields that cannot be decoded: the manifest that brings one is to blame.

use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::object::{DecodeError, Kind};
use stateward_core::yaml::InputError;

use super::side::Side;
use super::variable::Variable;
use super::{JudgedPair, Judgement};
use crate::decodable::{self, Fault};
use crate::pair::Pairing;
use crate::report::{Cause, Notice, ObjectRef, Outcome, ReportedFinding};

impl JudgedPair<'_> {
    /// Judges what a side leaves to judge that cannot be decoded at all.
    pub(super) fn unreadable(
        &self,
        kind: Kind,
        kubernetes: KubernetesVersion,
        context: &EvaluationContext<'_>,
        judgement: &mut Judgement,
    ) {
        let error_of = |side: &Option<Side<'_>>| {
            side.as_ref().and_then(|side| decodable::first_error(kind, &side.document.json))
        };
        let sides = self.old.as_ref().zip(self.new.as_ref());
        let unchanged = sides.is_some_and(|(old, new)| old.document.json == new.document.json);
        match (error_of(&self.new), error_of(&self.old)) {
            (Some(error), _) if !unchanged => judgement.findings.push(self.malformed(&error)),
            (Some(error), _) => self.notice(&error, true, "it was not compared", judgement),
            (None, error) => {
                if let Some(error) = error {
                    self.notice(&error, false, "it was not compared", judgement);
                }
                if let Some(new) = &self.new {
                    let pairing = Pairing { old: None, new: Some(new.document.clone()) };
                    let pair = JudgedPair::of(&pairing, new.document);
                    pair.judge(kind, kubernetes, context, judgement);
                }
            }
        }
    }

    /// Reports a field that cannot be decoded. Only a change that brings it is to blame.
    pub(super) fn fault(&self, fault: &Fault, judgement: &mut Judgement) {
        let Fault { error, in_new, unchanged } = fault;
        let mut sides = [&self.new, &self.old].into_iter();
        let variable = sides.find_map(|side| Variable::at(side.as_ref(), &error.field));
        if let Some(variable) = variable {
            judgement.add_variable(variable);
        } else if *in_new && !unchanged {
            judgement.findings.push(self.malformed(error));
        } else {
            self.notice(error, *in_new, "this field was not compared", judgement);
        }
    }

    /// Says what could not be compared: in the new manifest, or in the old one if only that is at
    /// fault.
    fn notice(
        &self,
        error: &DecodeError,
        in_new: bool,
        consequence: &str,
        judgement: &mut Judgement,
    ) {
        let side = if in_new { &self.new } else { &self.old };
        let document = side.as_ref().map_or(self.document, |side| side.document);
        let place = document.locate_head(&error.field);
        judgement.notices.push(Notice::warning(InputError {
            file: document.file.to_string(),
            line: place.line,
            column: place.column,
            message: format!("{}: {error}; {consequence}", ObjectRef::from(document)),
        }));
    }

    /// A field of the wrong type: the API server refuses to decode it.
    pub(super) fn malformed(&self, error: &DecodeError) -> ReportedFinding {
        let new = self.new.as_ref();
        ReportedFinding {
            rule: "malformed".to_owned(),
            outcome: Outcome::Error,
            operation: self.operation.name(),
            object: ObjectRef::from(self.document),
            field: error.field.to_string(),
            remedy: new.and_then(|side| side.meant(error)).into_iter().collect(),
            old: None,
            new: new.map(|new| new.place(&error.field, None)),
            message: format!("{}: {error}", ObjectRef::from(self.document)),
            why: "The API server cannot read it either, so this field was not judged.".to_owned(),
            causes: vec![Cause { field: error.field.dotted(), message: error.message.clone() }],
            refused_by: None,
            help: None,
            how_to_allow: None,
            loss: None,
        }
    }
}
