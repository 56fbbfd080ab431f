//! Whether the set exists while `status --watch` runs. The record tells it late, and not at all while no
//! controller runs.

/// What the last frame showed.
#[derive(Debug, Default)]
pub(super) struct Presence {
    missing: bool,
    /// the heading beside which the set came back
    back_at: Option<String>,
}

impl Presence {
    /// What follows the heading. That the set exists again is said until something else changes.
    pub(super) fn note(&mut self, heading: &str, missing: bool) -> &'static str {
        if self.missing && !missing {
            self.back_at = Some(heading.to_owned());
        }
        self.missing = missing;
        match (missing, &self.back_at) {
            (true, _) => "; the StatefulSet does not exist",
            (false, Some(at)) if at == heading => "; the StatefulSet exists again",
            (false, _) => {
                self.back_at = None;
                ""
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_is_deleted_and_comes_back_is_told_of() {
        let mut presence = Presence::default();
        let said: Vec<&str> = [
            ("Growing", false),
            ("Growing", true),
            ("Growing", true),
            ("Growing", false),
            ("Growing", false),
            ("Complete", false),
            ("Growing", false),
        ]
        .map(|(heading, missing)| presence.note(heading, missing))
        .to_vec();
        let (gone, back) = ("; the StatefulSet does not exist", "; the StatefulSet exists again");
        assert_eq!(said, ["", gone, gone, back, back, "", ""]);
    }
}
