use super::{Findings, Judged, NoParams, Rule, remedy, system};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;
use crate::packs::NetworkFiles;

declare_rule! {
    /// The claims of a database ask for `ReadWriteMany`, which means a network file system.
    ///
    /// ## Why
    /// Only file systems on the network serve several nodes at once. Many databases need locks and a flush
    /// to disk that these do not give, and their vendors exclude them or advise against them. The rule knows
    /// such systems from their packs. Each replica has its own claim, so nothing needs to be shared.
    ///
    /// ## Way out
    /// Ask for `ReadWriteOnce` or `ReadWriteOncePod`, of a class with block storage.
    StsRwxDatabase {
        id: "sts-rwx-database",
        title: "a database is on a network file system",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "the pack of the system",
    }
}

impl Rule for StsRwxDatabase {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.created_set() else { return Ok(()) };
        let templates = set.claim_templates()?;
        let shared = |claim: &crate::object::Claim<'_>| {
            claim.spec.access_modes.iter().position(|mode| mode.as_str() == "ReadWriteMany")
        };
        if !templates.iter().any(|claim| shared(claim).is_some()) {
            return Ok(());
        }
        let Some(known) = system::of(set, facts)? else { return Ok(()) };
        let Some(storage) = &known.pack.storage else { return Ok(()) };
        let said = match storage.network_files {
            NetworkFiles::Supported => return Ok(()),
            NetworkFiles::Discouraged => "is advised against",
            NetworkFiles::Unsupported => "is not supported",
        };
        for (index, claim) in templates.iter().enumerate() {
            let Some(mode) = shared(claim) else { continue };
            let at = Pointer::from("/spec/volumeClaimTemplates").index(index);
            findings
                .add(
                    at.key("spec").key("accessModes").index(mode),
                    format!("its system {said} on a network file system"),
                )
                .values(None, Some("ReadWriteMany"))
                .why(format!("{}: {} ({})", known.pack.title, storage.why, storage.source))
                .remedy(vec![remedy::amend(
                    change,
                    "set accessModes: [ReadWriteOnce], with a class of block storage",
                )]);
        }
        Ok(())
    }
}
