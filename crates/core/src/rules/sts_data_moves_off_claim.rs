use super::sts_data_not_on_claim::{field, told};
use super::system::data::{Place, place};
use super::{Findings, Judged, NoParams, Rule, remedy, system, template};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// An edit of the image moves the folder in which a system keeps its data away from its claim.
    ///
    /// ## Why
    /// Images move their data between versions and between publishers: `postgres:18` keeps it in
    /// `/var/lib/postgresql`, earlier versions in `/var/lib/postgresql/data`. If the mount stays, the new
    /// pods start with an empty folder that is lost with the container.
    ///
    /// The rule knows the folders from the pack of the system. `sts-data-mount-removed` judges edits of the
    /// mounts.
    ///
    /// ## Way out
    /// Name the old folder by the variable that the image reads, or move the data first.
    StsDataMovesOffClaim {
        id: "sts-data-moves-off-claim",
        title: "a new image keeps its data beside the claim",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "the pack of the system; docker-library/postgres#1259",
    }
}

impl Rule for StsDataMovesOffClaim {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let Some((old_set, _)) = written.old else { return Ok(()) };
        let (Some(old), Some(new)) = (system::of(old_set, facts)?, system::of(written.set, facts)?)
        else {
            return Ok(());
        };
        let containers = (system::container(old_set, &old)?, system::container(written.set, &new)?);
        let (Some((_, before)), Some((index, after))) = containers else { return Ok(()) };
        if before.image == after.image || place(old_set, &old)? != Place::Kept {
            return Ok(());
        }
        let Place::Lost { folder, holder } = place(written.set, &new)? else { return Ok(()) };
        let (what, why, _) = told(&folder, &holder);
        let image = template::container("containers", index).key("image");
        let finding = findings.add(field(&new), what);
        finding
            .values(Some(&before.image), Some(&after.image))
            .why(why)
            .remedy(vec![remedy::keep(change, &image, &before.image)]);
        let variables = new.pack.data.iter().flat_map(|data| &data.variables);
        if let Some(variable) = variables.into_iter().next() {
            finding.step(format!(
                "or set the variable {variable} to the folder in which the data is now, if the new version reads it"
            ));
        }
        Ok(())
    }
}
