use super::sts_image_version::{Verdict, step};
use super::{Findings, Judged, NoParams, Rule, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::packs::{Downgrade, Versions};

declare_rule! {
    /// The image of a system goes to a newer series, which is allowed and needs care.
    ///
    /// ## Why
    /// The new version may convert the data when it starts. An image that goes back afterwards cannot read
    /// it. The rule knows the versions from the pack of the system, and is silent where every version may
    /// go back and nothing has to be done.
    ///
    /// ## Way out
    /// Have a backup that was restored once, and take the steps that the finding names.
    StsImageUpgrade {
        id: "sts-image-upgrade",
        title: "an image goes to another series, which needs care",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "the pack of the system",
    }
}

impl Rule for StsImageUpgrade {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(step) = step(change, facts)? else { return Ok(()) };
        let Versions { downgrade, way, why, source, .. } = step.versions;
        if step.verdict() != Verdict::Upgrade || (*downgrade == Downgrade::Any && way.is_empty()) {
            return Ok(());
        }
        let finding = findings.add(
            template::container("containers", step.index).key("image"),
            format!("its image would go to another series, {} → {}", step.old.1, step.new.1),
        );
        finding
            .values(Some(step.old.0), Some(step.new.0))
            .why(format!("There may be no way back. {why} ({source})"));
        if way.is_empty() {
            finding.step("take a backup, and try to restore it, before the first pod is updated");
        }
        for step in way {
            finding.step(step.as_str());
        }
        Ok(())
    }
}
