use super::{Findings, Judged, NoParams, Rule, remedy, system, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::DecodeError;
use crate::object::pod::Container;
use crate::packs::{Downgrade, Upgrade, Version, Versions};

declare_rule! {
    /// The image of a system goes to a version that cannot follow the one before on the same data.
    ///
    /// ## Why
    /// A database writes its data in the format of its version. An older one cannot read what a newer one
    /// wrote, and many cannot skip a version on the way up. `postgres` reads no other major version at all.
    /// The pods then fail one after the other, or convert the data so that there is no way back.
    ///
    /// The rule knows the versions from the pack of the system, and reads them from the tags. It is silent
    /// about tags that name none, about an image of another system, and about a container that mounts no
    /// volume that outlives its pod. While a rollout has not finished, an
    /// image may go back: most pods still run it.
    ///
    /// ## Way out
    /// Take the versions in between, or the way that the finding names. `sts-image-upgrade` warns of the
    /// steps that are allowed and have no way back.
    StsImageVersion {
        id: "sts-image-version",
        title: "an image goes to a version that cannot read the data",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "the pack of the system",
    }
}

/// An edit of the image of a known system.
pub(super) struct Step<'c> {
    pub(super) versions: &'c Versions,
    pub(super) index: usize,
    pub(super) old: (&'c str, Version),
    pub(super) new: (&'c str, Version),
    /// the pods may still run the new version, and others another one
    rolling: bool,
}

/// What a pack makes of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// within a series, or nothing is known of it
    Fine,
    /// to another series, which is allowed
    Upgrade,
    /// to a version that cannot follow; where the pack names some that can, these
    Forbidden(Vec<String>),
}

impl Step<'_> {
    pub(super) fn verdict(&self) -> Verdict {
        let verdict = verdict(self.versions, &self.old.1, &self.new.1);
        let back = self.new.1.compare(&self.old.1).is_lt();
        if self.rolling && back { Verdict::Fine } else { verdict }
    }
}

/// The step that an edit makes, where a pack knows the versions of both images.
pub(super) fn step<'c>(
    change: &'c Change<'_>,
    facts: &'c Facts,
) -> Result<Option<Step<'c>>, DecodeError> {
    let Some(written) = template::written(change)? else { return Ok(None) };
    let Some((old_set, _)) = written.old else { return Ok(None) };
    let (old, new) = (system::of(old_set, facts)?, system::of(written.set, facts)?);
    let Some((old, new)) = old.zip(new).filter(|(old, new)| old.name == new.name) else {
        return Ok(None);
    };
    let containers = (system::container(old_set, &old)?, system::container(written.set, &new)?);
    let (Some((_, before)), Some((index, after))) = containers else { return Ok(None) };
    // Without data from before, any version may follow.
    if !new.pack.data.is_empty() && !system::keeps_data(old_set, before)? {
        return Ok(None);
    }
    let image = |container: &'c Container<'_>| container.image.as_str();
    let (Some(versions), Some(old_version), Some(new_version)) =
        (new.pack.versions.as_ref(), old.version, new.version)
    else {
        return Ok(None);
    };
    Ok(Some(Step {
        versions,
        index,
        old: (image(before), old_version),
        new: (image(after), new_version),
        rolling: old_set.status.get()?.is_rolling(),
    }))
}

fn verdict(versions: &Versions, old: &Version, new: &Version) -> Verdict {
    let series = usize::from(versions.series);
    let (Some(before), Some(after)) = (old.series(series), new.series(series)) else {
        // One of the tags names less than a series: only what both name can be compared.
        let back = versions.downgrade != Downgrade::Any && new.compare(old).is_lt();
        return if back { Verdict::Forbidden(Vec::new()) } else { Verdict::Fine };
    };
    let back = versions.back.iter().find(|back| back.from == before);
    if let Some(back) = back.filter(|_| new.compare(old).is_lt()) {
        let reads = new.compare(&back.to).is_ge();
        return if reads { Verdict::Fine } else { Verdict::Forbidden(vec![back.to.to_string()]) };
    }
    if after == before {
        let back = versions.downgrade == Downgrade::Never && new.compare(old).is_lt();
        return if back { Verdict::Forbidden(Vec::new()) } else { Verdict::Fine };
    }
    if after.compare(&before).is_lt() {
        return match versions.downgrade {
            Downgrade::Any => Verdict::Fine,
            Downgrade::Series | Downgrade::Never => Verdict::Forbidden(Vec::new()),
        };
    }
    let named: Vec<_> = versions.steps.iter().filter(|step| step.from == before).collect();
    if !named.is_empty() {
        let allowed = named.iter().any(|step| {
            let ready = step.at_least.as_ref().is_none_or(|least| old.compare(least).is_ge());
            ready && step.to.contains(&after)
        });
        if allowed {
            return Verdict::Upgrade;
        }
        // The same series, from a later version of it, or another series.
        let first = |step: &crate::packs::VersionStep| {
            let least = step.at_least.as_ref().filter(|least| old.compare(least).is_lt());
            match least {
                Some(least) => vec![least.to_string()],
                None => step.to.iter().map(Version::to_string).collect(),
            }
        };
        return Verdict::Forbidden(named.into_iter().flat_map(first).collect());
    }
    match versions.upgrade {
        Upgrade::Any => Verdict::Upgrade,
        Upgrade::Next if after.follows(&before) => Verdict::Upgrade,
        Upgrade::Next | Upgrade::Never => Verdict::Forbidden(Vec::new()),
    }
}

impl Rule for StsImageVersion {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(step) = step(change, facts)? else { return Ok(()) };
        let Verdict::Forbidden(first) = step.verdict() else { return Ok(()) };
        let at = template::container("containers", step.index).key("image");
        let Step { versions, old: (before, from), new: (after, to), .. } = &step;
        let what = if to.compare(from).is_lt() {
            "go back"
        } else if versions.upgrade == Upgrade::Never {
            "go to a version that cannot follow"
        } else {
            "skip a version"
        };
        let finding = findings.add(at.clone(), format!("its image would {what}, {from} → {to}"));
        finding
            .values(Some(before), Some(after))
            .why(format!("{} ({})", versions.why, versions.source))
            .remedy(vec![remedy::keep(change, &at, before)]);
        let first = first.join(" or ");
        if to.compare(from).is_gt() {
            if !first.is_empty() {
                finding.step(format!("go to {first} first"));
            }
            for way in &versions.way {
                finding.step(way.as_str());
            }
        } else {
            if !first.is_empty() {
                finding.step(format!("or go back to {first} at most"));
            }
            finding
                .step("to go back, restore a backup that the older version wrote into a new set");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packs::{VersionBack, VersionStep};

    fn known(upgrade: Upgrade, downgrade: Downgrade, steps: &[(&str, &[&str], &str)]) -> Versions {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let steps = steps.iter().map(|(from, to, least)| VersionStep {
            from: version(from),
            to: to.iter().map(|to| version(to)).collect(),
            at_least: least.parse().ok(),
        });
        Versions {
            series: 2,
            upgrade,
            downgrade,
            steps: steps.collect(),
            back: Vec::new(),
            way: Vec::new(),
            why: String::new(),
            source: String::new(),
        }
    }

    fn judge(versions: &Versions, old: &str, new: &str) -> Verdict {
        verdict(versions, &old.parse().unwrap(), &new.parse().unwrap())
    }

    #[test]
    fn steps_are_allowed_by_series() {
        let next = known(Upgrade::Next, Downgrade::Series, &[("3.13", &["4.0", "4.1"], "3.13.2")]);
        let forbidden = |first: &[&str]| {
            Verdict::Forbidden(first.iter().map(|text| (*text).to_owned()).collect())
        };
        assert_eq!(judge(&next, "3.5.1", "3.5.9"), Verdict::Fine);
        assert_eq!(judge(&next, "3.5.9", "3.5.1"), Verdict::Fine);
        assert_eq!(judge(&next, "3.5.9", "3.6.0"), Verdict::Upgrade);
        assert_eq!(judge(&next, "3.5.9", "3.7.0"), forbidden(&[]));
        assert_eq!(judge(&next, "3.6.0", "3.5.9"), forbidden(&[]));
        assert_eq!(judge(&next, "3.13.2", "4.1.0"), Verdict::Upgrade);
        assert_eq!(judge(&next, "3.13.2", "4.2.0"), forbidden(&["4.0", "4.1"]));
        assert_eq!(judge(&next, "3.13.1", "4.0.0"), forbidden(&["3.13.2"]));
        // A tag that names less than a series tells less.
        assert_eq!(judge(&next, "3", "4"), Verdict::Fine);
        assert_eq!(judge(&next, "4", "3"), forbidden(&[]));
        assert_eq!(judge(&next, "3.13", "4.0"), Verdict::Upgrade);
    }

    #[test]
    fn no_step_back_and_no_other_series_where_a_pack_says_so() {
        let never = known(Upgrade::Never, Downgrade::Never, &[]);
        assert_eq!(judge(&never, "3.5.9", "3.5.8"), Verdict::Forbidden(Vec::new()));
        assert_eq!(judge(&never, "3.5.9", "3.6"), Verdict::Forbidden(Vec::new()));
        let any = known(Upgrade::Any, Downgrade::Any, &[]);
        assert_eq!(judge(&any, "3.5.9", "1.0.0"), Verdict::Fine);
        assert_eq!(judge(&any, "3.5.9", "9.0.0"), Verdict::Upgrade);
    }

    #[test]
    fn a_series_may_go_back_as_far_as_a_pack_says() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let back = vec![
            VersionBack { from: version("3.0"), to: version("2.55") },
            VersionBack { from: version("8.0"), to: version("8.0.34") },
        ];
        let known = Versions { back, ..known(Upgrade::Any, Downgrade::Series, &[]) };
        let forbidden = |lowest: &str| Verdict::Forbidden(vec![lowest.to_owned()]);
        assert_eq!(judge(&known, "3.0.1", "3.0.0"), Verdict::Fine);
        assert_eq!(judge(&known, "3.0.1", "2.55.1"), Verdict::Fine);
        assert_eq!(judge(&known, "3.0.1", "2.54.9"), forbidden("2.55"));
        assert_eq!(judge(&known, "8.0.40", "8.0.34"), Verdict::Fine);
        assert_eq!(judge(&known, "8.0.40", "8.0.33"), forbidden("8.0.34"));
        assert_eq!(judge(&known, "8.0.33", "8.0.40"), Verdict::Fine);
    }
}
