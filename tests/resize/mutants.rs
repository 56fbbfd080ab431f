//! Each mutant of [`bugs`](crate::bugs) must be found by the explorer, or the explorer proves
//! nothing.

use crate::bugs::Mutant;
use crate::people::Fault::{self, *};
use crate::search::{Slice, try_explore};
use crate::world::World;

/// Each mutant, where it is looked for, and the property that it breaks.
fn kills() -> Vec<(Mutant, World, &'static [Fault], &'static str)> {
    let steady = || World::steady(1, 1);
    let deleting = || steady().retention_delete();
    let pending = || steady().with(|kind| kind.pending = true);
    vec![
        (Mutant::CascadingDelete, steady(), &[], "away through us"),
        (Mutant::NoPreconditions, steady(), &[EditImage, Delayed], "a DELETE without a snapshot"),
        (Mutant::TemplateFirst, steady(), &[], "Complete with a small claim"),
        (Mutant::MemoryOnly, steady(), &[], "a DELETE without a snapshot"),
        (Mutant::CreateBeforeGone, steady(), &[], "away through us"),
        (Mutant::NoRetentionPin, deleting(), &[], "a DELETE while retention is Delete"),
        (Mutant::PinNotAwaited, deleting().leftover(), &[], "a DELETE while a claim has an owner"),
        (Mutant::NoAge, steady(), &[PodDies], "does not know a pod"),
        (Mutant::MidRollout, World::steady(2, 1), &[EditImage, TickEarly], "middle of a rollout"),
        (Mutant::NoPartition, steady(), &[], "without retention Retain or a high partition"),
        (Mutant::RetentionAsItWas, deleting(), &[], "without retention Retain or a high partition"),
        (Mutant::BlindStepBack, steady(), &[Delayed, Abort], "a DELETE without a snapshot"),
        (Mutant::AnyAttemptIsOurs, steady(), &[Delayed, CreateSmall], "a late CREATE"),
        (Mutant::Resurrection, steady(), &[DeleteCascade], "a person deleted is created again"),
        (Mutant::BlindPatch, steady(), &[Delayed, LargerRequest], "we lowered a claim"),
        (Mutant::NoFinalizer, steady(), &[], "the record has no finalizer"),
        (Mutant::RetentionForgotten, deleting(), &[], "Complete without retention"),
        (Mutant::RetentionOverOthers, deleting(), &[RetentionRetain], "Complete without retention"),
        (Mutant::EvictUnasked, pending(), &[], "we restart a pod unasked"),
        (Mutant::FirstClaimOnly, World::steady(2, 1), &[], "Complete with a small claim"),
        (Mutant::SkipsFailures, steady(), &[Infeasible], "Complete with a small claim"),
        (Mutant::OldTemplateIsDone, steady(), &[Refuse], "Complete with a small template"),
        (Mutant::GivesUp, steady(), &[Refuse], "away through us"),
        (Mutant::CachesAreFresh, steady(), &[StalePods, PodDies], "does not know a pod"),
        (Mutant::AskedIsDone, steady(), &[], "Complete with a small claim"),
    ]
}

#[test]
fn the_explorer_finds_every_mutant() {
    let mut wrong = Vec::new();
    for (mutant, start, faults, expected) in kills() {
        let world = World { faults: 2, ..start.with(|kind| kind.mutant = Some(mutant)) };
        let slice = Slice { name: "mutant", starts: vec![world], faults };
        let story = try_explore(&slice).err().unwrap_or_else(|| "it lives".to_owned());
        let found = story.lines().next().unwrap_or_default();
        println!("{mutant:?}: {found}");
        if !found.contains(expected) {
            wrong.push(format!("{mutant:?} should break \"{expected}\": {story}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
