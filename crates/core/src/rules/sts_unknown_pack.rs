use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::annotations::PACK;
use crate::change::Change;
use crate::facts::Facts;
use crate::nearest;
use crate::object::Pointer;
use crate::packs::NO_PACK;

declare_rule! {
    /// The annotation `stateward.dev/pack` names a pack that does not exist.
    ///
    /// ## Why
    /// The annotation says which system a set runs. With a wrong name nothing is known about the system,
    /// not even what its image would have told.
    ///
    /// ## Way out
    /// Write one of the names that `stateward packs` lists, or `none` if no pack fits.
    StsUnknownPack {
        id: "sts-unknown-pack",
        title: "an annotation names a pack that does not exist",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "docs/systems.md",
    }
}

impl Rule for StsUnknownPack {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.written_set() else { return Ok(()) };
        let named = new.metadata.annotations.get(PACK);
        let Some(named) = named.filter(|named| *named != NO_PACK) else { return Ok(()) };
        let kept = old.is_some_and(|old| old.metadata.annotations.get(PACK) == Some(named));
        if kept || facts.packs.named(named).is_some() {
            return Ok(());
        }
        let known: Vec<&str> = facts.packs.iter().map(|(name, _)| name).collect();
        findings
            .add(Pointer::annotation(PACK), "its annotation names a pack that does not exist")
            .values(None, Some(named))
            .why(format!("Nothing is known about its system{}", nearest::hint(named, &known)))
            .remedy(vec![remedy::amend(
                change,
                &format!("write a name that stateward packs lists, or {NO_PACK}"),
            )]);
        Ok(())
    }
}
