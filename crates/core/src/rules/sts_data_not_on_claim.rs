use super::system::data::{Holder, Place, place};
use super::{Findings, Judged, NoParams, Rule, remedy, system, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::packs::Recognised;

declare_rule! {
    /// The folder in which a system keeps its data is not on a volume that outlives the pod, although the
    /// set has a claim template.
    ///
    /// ## Why
    /// The claim stays empty, and the data is gone when the container or the pod is replaced. The usual
    /// causes are a mount in the wrong place, and an image whose `VOLUME` lies below the mount: containerd
    /// puts an anonymous volume there.
    ///
    /// The rule knows the folders from the pack of the system, by image and version. It reads the variables
    /// and flags that name others, also several and in a script. It is silent if a script, a variable or a
    /// configuration file may name a folder that it cannot read.
    ///
    /// ## Way out
    /// Mount the claim at the folder that the finding names.
    StsDataNotOnClaim {
        id: "sts-data-not-on-claim",
        title: "the data of a system is not on its claim",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "the pack of the system; grafana/mimir#16658",
    }
}

/// What a finding says of a folder that is not on a claim.
pub(super) fn told(folder: &str, holder: &Holder) -> (String, String, String) {
    let (what, why, mount) = match holder {
        Holder::Container => (
            format!("data at {folder} would be in the container"),
            "Nothing is mounted there, so the data is lost with the container.".to_owned(),
            folder,
        ),
        Holder::EmptyDir => (
            format!("data at {folder} would be in an emptyDir"),
            "An emptyDir is deleted with its pod.".to_owned(),
            folder,
        ),
        Holder::ImageVolume(volume) => (
            format!("data at {folder} would be in a volume of the image"),
            format!(
                "The image declares VOLUME {volume}, below the mount. containerd puts an anonymous \
                 volume there, which is deleted with the pod."
            ),
            volume.as_str(),
        ),
    };
    (what, why, mount.to_owned())
}

/// Where the field of the finding is.
pub(super) fn field(known: &Recognised<'_>) -> crate::object::Pointer {
    template::container("containers", known.container.unwrap_or_default()).key("volumeMounts")
}

impl Rule for StsDataNotOnClaim {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.created_set() else { return Ok(()) };
        if set.claim_templates()?.is_empty() {
            return Ok(());
        }
        let Some(known) = system::of(set, facts)? else { return Ok(()) };
        let Place::Lost { folder, holder } = place(set, &known)? else { return Ok(()) };
        let (what, why, mount) = told(&folder, &holder);
        findings
            .add(field(&known), what)
            .why(why)
            .remedy(vec![remedy::amend(change, &format!("mount the claim at {mount}"))]);
        Ok(())
    }
}
