//! The 27 interleavings that broke drafts of the resize, by their numbers, each played against the
//! shipped `step`, and those that the explorer and reviews found. What a model cannot show is named: a test on a real cluster must.

use stateward_core::record::{Phase, Reason};

use crate::people::{Fault, SIBLING};
use crate::play::Play;
use crate::search::Label;
use crate::world::{Trouble, World};

fn steady() -> Play {
    Play::new(World::steady(1, 1))
}

fn with_webhook() -> Play {
    Play::new(World::steady(1, 1).with(|kind| kind.webhook = true))
}

/// The set is away, and the controller is about to create it.
fn in_the_window(mut play: Play) -> Play {
    play.until_about_to("Create");
    play
}

fn uid(play: &Play) -> Option<u8> {
    play.world.set.as_ref().map(|set| set.uid)
}

/// 1. Stepping back changes the set's resourceVersion first, so a DELETE on its way fails.
#[test]
fn a_delete_that_is_late_does_not_outlive_an_abort() {
    let mut play = steady();
    play.until_about_to("Delete");
    play.befalls(Fault::Delayed);
    play.strike(Fault::Abort);
    play.strike(Fault::Crash);
    assert_eq!(play.next_action(), "BumpResourceVersion", "nothing else may come first");
    play.until_phase(&Phase::Aborted);
    play.happens(Label::Arrives(0));
    play.rests_in(Phase::Aborted, Reason::AbortRequested);
    let set = play.world.set.as_ref().unwrap();
    assert!(!set.terminating && set.uid == 0 && set.size == 0);
}

/// 2. What an older re-creation created is neither taken for ours nor deleted.
#[test]
fn a_create_of_an_older_attempt_is_a_late_duplicate() {
    let mut play = in_the_window(steady());
    play.befalls(Fault::Delayed);
    play.strike(Fault::CreateSmall);
    play.until_phase(&Phase::ClaimsGrown);
    play.until("quarantined", |play| play.stands().1 == Some(Reason::RecentCreate));
    let mut play = in_the_window(play);
    play.happens(Label::Arrives(0));
    let landed = uid(&play);
    play.rests_in(Phase::Conflict, Reason::LateDuplicate);
    assert_eq!(uid(&play), landed);
}

/// 2. Asked again, such a set is not resized before a person has put its partition back: taken for
///    the one that people wrote, it would stay for ever. Found by the explorer, with three faults.
#[test]
fn a_set_that_came_late_is_not_resized_before_a_person_finishes_it() {
    let mut play = in_the_window(steady());
    play.befalls(Fault::Delayed);
    play.strike(Fault::CreateSmall);
    play.until("quarantined", |play| play.stands().1 == Some(Reason::RecentCreate));
    let mut play = in_the_window(play);
    play.happens(Label::Arrives(0));
    play.rests_in(Phase::Conflict, Reason::LateDuplicate);
    let landed = uid(&play);
    play.strike(Fault::LargerRequest);
    play.rests_in(Phase::ClaimsGrown, Reason::RecreationUnfinished);
    assert_eq!(uid(&play), landed);
    assert!(play.detail().ends_with("partition 2"), "{}", play.detail());
    play.heals();
    play.completes_at(2);
    assert_eq!(play.world.set.as_ref().unwrap().frozen, None);
}

/// 3. The finalizer holds the record until the set is back, with its old template; what Git then
///    applies is another record.
#[test]
fn a_record_deleted_in_the_window_closes_it_first() {
    let mut play = in_the_window(steady());
    play.strike(Fault::DeleteRecord);
    play.strike(Fault::ApplyRecord);
    let record = play.world.record.as_ref().unwrap();
    assert!(record.deleting && record.finalizer);
    play.rests();
    assert!(play.world.record.is_none());
    let set = play.world.set.as_ref().unwrap();
    assert_eq!((set.size, set.requested, set.frozen), (0, None, None));
    play.strike(Fault::ApplyRecord);
    play.completes_at(1);
}

/// 4. Who selects the same pods would adopt the orphans: the set is not touched.
#[test]
fn an_overlapping_selector_blocks() {
    let mut play = steady();
    play.strike(Fault::Trouble(Trouble::Overlap));
    play.rests_in(Phase::ClaimsGrown, Reason::OverlappingSelector);
    assert_eq!(uid(&play), Some(0));
    play.heals();
    play.completes_at(1);
}

/// 4. A sibling made in the re-creation window adopts the revision: it is not taken for somebody's delete. Pods
///    that another controller adopts are named, and nothing rolls. That the StatefulSet controller
///    takes such a revision for its own is for a test on a cluster.
#[test]
fn a_sibling_that_adopts_in_the_window_does_not_leave_the_set_absent() {
    let mut play = in_the_window(steady());
    play.strike(Fault::SiblingAdopts);
    play.strike(Fault::Crash);
    play.world.pods[0].as_mut().unwrap().owner = Some(SIBLING);
    play.until("told", |play| play.stands().1 == Some(Reason::PodsNotAdopted));
    play.until("adopted but for one", |play| play.detail() == "db-0");
    while play.goes_on() {}
    assert_eq!(play.stands(), (Phase::Adopting, Some(Reason::PodsNotAdopted)));
    assert!(play.world.set.as_ref().unwrap().frozen.is_some());
}

/// 5. The garbage collector orphans what its cache knows: a young pod is waited for.
#[test]
fn a_pod_that_was_just_created_is_waited_for() {
    let mut play = steady();
    play.until_phase(&Phase::ClaimsGrown);
    play.strike(Fault::PodDies);
    play.until("young", |play| play.world.pods[0].as_ref().is_some_and(|pod| pod.young));
    play.until("told", |play| play.stands().1 == Some(Reason::JustChanged));
    play.completes_at(1);
}

/// 6. A cascading delete of the set while it goes drops the garbage collector's finalizer. It is a
///    person's word, and is not undone; the snapshot stays for a while.
#[test]
fn a_cascading_delete_while_the_set_goes_is_not_undone() {
    let mut play = steady();
    play.until("going", |play| play.world.set.as_ref().is_some_and(|set| set.terminating));
    play.strike(Fault::DeleteCascade);
    play.until_phase(&Phase::Aborted);
    assert_eq!(play.stands().1, Some(Reason::DeletedByOther));
    assert!(play.status().snapshot.is_some(), "for `finish`");
    play.rests();
    assert_eq!((uid(&play), play.status().snapshot), (None, None));
}

/// 6, 7. Where the webhook answers, the set that goes is neither deleted nor edited nor scaled.
/// That it denies exactly these is for its own tests.
#[test]
fn the_webhook_denies_what_would_be_lost() {
    let mut play = with_webhook();
    play.until("going", |play| play.world.set.as_ref().is_some_and(|set| set.terminating));
    for fault in [Fault::DeleteCascade, Fault::EditImage, Fault::ScaleUp, Fault::ScaleDown] {
        assert!(!play.can(fault), "{fault:?}");
    }
    play.completes_at(1);
}

/// 7. Where the webhook is away, an edit of the set that goes is lost, and named.
#[test]
fn an_edit_of_the_set_that_goes_is_named() {
    let mut play = steady();
    play.until("going", |play| play.world.set.as_ref().is_some_and(|set| set.terminating));
    play.strike(Fault::EditImage);
    play.rests_in(Phase::Degraded, Reason::EditLost);
    assert_eq!(play.detail(), "kubectl-edit");
    assert_eq!(play.world.set.as_ref().unwrap().size, 1);
}

/// 7. The same while nobody watches: it cannot be named, but Complete says that it may be.
#[test]
fn an_edit_that_nobody_saw_is_not_silently_complete() {
    let mut play = steady();
    play.until("going", |play| play.world.set.as_ref().is_some_and(|set| set.terminating));
    play.strike(Fault::EditImage);
    play.until("gone", |play| play.world.set.is_none());
    play.strike(Fault::Crash);
    play.rests_in(Phase::Complete, Reason::Done);
    assert!(play.detail().contains("nobody watched"), "{}", play.detail());
}

/// 8. A dry run shows who changes the set on its creation, before anything is deleted. That the
///    comparison finds labels, replicas and whenScaled is for the driver's tests.
#[test]
fn a_webhook_that_changes_the_set_blocks() {
    let mut play = steady();
    play.strike(Fault::Trouble(Trouble::ChangedOnCreate));
    play.rests_in(Phase::ClaimsGrown, Reason::ChangedOnCreate);
    assert_eq!(play.detail(), "policy.example.com");
    assert_eq!(uid(&play), Some(0));
    assert!(!play.world.record.as_ref().unwrap().finalizer);
    play.heals();
    play.completes_at(1);
}

/// 9. Who sees an open re-creation window closes it, leader or not.
#[test]
fn a_standby_closes_the_window_of_a_killed_leader() {
    let mut play = Play::new(World::steady(1, 2).one_leads());
    play.until("gone", |play| play.world.set.is_none());
    play.strike(Fault::LeaderStops);
    play.until("back", |play| play.world.set.is_some());
    assert!(play.world.controllers[1].standby, "the Lease has not moved");
    assert_eq!(play.world.phase(), Some(Phase::Deleting), "and nothing else is done");
    play.heals();
    play.completes_at(1);
}

/// 10. Git creates the set in the re-creation window: raised by the webhook it is as good as ours. That `injected`
///     is injected once more is for the webhook's tests.
#[test]
fn a_set_that_git_created_and_the_webhook_raised_is_adopted() {
    let mut play = in_the_window(with_webhook());
    play.strike(Fault::CreateSmall);
    let theirs = uid(&play);
    play.completes_at(1);
    assert_eq!(uid(&play), theirs);
}

/// 10. Without the webhook it is too small: once more from the gate, and at last a Conflict.
#[test]
fn a_set_that_is_created_small_again_and_again_is_a_conflict() {
    let mut play = in_the_window(steady());
    play.strike(Fault::CreateSmall);
    play.until_phase(&Phase::ClaimsGrown);
    let mut play = in_the_window(play);
    play.strike(Fault::CreateSmall);
    play.rests_in(Phase::Conflict, Reason::TooSmallAgain);
    assert_eq!(play.detail(), "argocd-controller", "the writer is named");
    assert_eq!(play.world.set.as_ref().unwrap().size, 0);
}

/// 10, after adoption: an operator takes the new set away and brings its own.
#[test]
fn a_set_that_replaces_ours_is_adopted_or_a_conflict() {
    let mut play = steady();
    play.until_phase(&Phase::Adopting);
    play.strike(Fault::DeleteOrphan);
    play.until("told", |play| play.stands().1 == Some(Reason::SetGone));
    let mut large = Play { world: play.world.clone() };
    play.strike(Fault::CreateSmall);
    play.rests_in(Phase::Conflict, Reason::TooSmallAgain);
    assert_eq!(play.detail(), "argocd-controller", "the writer is named");
    large.strike(Fault::CreateLarge);
    let theirs = uid(&large);
    large.until_phase(&Phase::Adopting);
    let mut again = Play { world: large.world.clone() };
    large.completes_at(1);
    assert_eq!(uid(&large), theirs);
    again.until("adopted", |play| play.status().recreation.replaced == 1);
    again.strike(Fault::DeleteOrphan);
    again.until("told", |play| play.stands().1 == Some(Reason::SetGone));
    again.strike(Fault::CreateLarge);
    again.rests_in(Phase::Conflict, Reason::TooSmallAgain);
    assert_eq!(again.detail(), "argocd-controller");
}

/// 10, before adoption: what this process created is gone before it was seen.
#[test]
fn a_new_set_that_is_deleted_at_once_is_not_created_again() {
    let mut play = steady();
    play.until("back", |play| {
        play.world.set.as_ref().is_some_and(|set| !set.terminating && set.uid > 0)
    });
    assert_eq!(play.world.phase(), Some(Phase::Deleting));
    play.strike(Fault::DeleteOrphan);
    play.until("told", |play| play.stands().1 == Some(Reason::SetGone));
    assert!(play.world.set.is_none());
    play.rests_in(Phase::Aborted, Reason::DeletedByOther);
    assert!(play.world.set.is_none());
}

/// 11. Others wrote retention during the retention pin: in doubt Retain stays, and that is said.
#[test]
fn retention_that_others_wrote_is_not_written_over() {
    let mut play = Play::new(World::steady(1, 1).retention_delete());
    play.until_phase(&Phase::RetentionPinned);
    play.strike(Fault::RetentionRetain);
    play.strike(Fault::RetentionDelete);
    play.until_phase(&Phase::Deleting);
    assert!(!play.world.set.as_ref().unwrap().delete);
    play.rests_in(Phase::Complete, Reason::Done);
    assert!(!play.world.set.as_ref().unwrap().delete);
    assert!(play.detail().contains("retention stays Retain"), "{}", play.detail());
}

/// 12. References of later ordinals are removed only when earlier pods are ready.
#[test]
fn an_ordered_set_with_an_unready_pod_is_not_pinned() {
    let mut play = Play::new(World::steady(2, 1).retention_delete());
    play.strike(Fault::PodUnready);
    play.rests_in(Phase::ClaimsGrown, Reason::PodsNotReady);
    assert!(play.world.set.as_ref().unwrap().delete, "nothing is pinned");
    play.heals();
    play.completes_at(1);
}

/// 13. A claim above the ordinals is as large when its pod returns.
#[test]
fn claims_of_a_set_scaled_to_nothing_grow_too() {
    let mut play = steady();
    play.strike(Fault::ScaleDown);
    play.completes_at(1);
    assert!(play.world.pods[0].is_none());
    play.strike(Fault::ScaleUp);
    play.rests();
    assert!(play.world.pods[0].is_some());
    assert_eq!(play.world.claims[0].as_ref().unwrap().capacity, 1);
}

/// 14. Complete of the first request is no answer to the second: the annotation stands beside it.
#[test]
fn a_second_request_is_not_answered_by_the_first() {
    let mut play = steady();
    play.completes_at(1);
    play.strike(Fault::LargerRequest);
    assert_eq!(play.world.set.as_ref().unwrap().requested, Some(2), "tools wait for its absence");
    play.completes_at(2);
}

/// 14. The same while the first is being verified: there is no Complete in between.
#[test]
fn a_larger_request_while_verifying_is_taken_up_at_once() {
    let mut play = steady();
    play.until_phase(&Phase::Verifying);
    play.strike(Fault::LargerRequest);
    play.until("taken up", |play| {
        assert_ne!(play.world.phase(), Some(Phase::Complete));
        play.world.phase() == Some(Phase::Growing)
    });
    play.completes_at(2);
}

/// 15. Complete is final: a set that is smaller on purpose stays so.
#[test]
fn a_set_re_created_smaller_after_complete_is_left_alone() {
    for start in [World::steady(1, 1), World::steady(1, 1).by_record()] {
        let mut play = Play::new(start);
        play.completes_at(1);
        play.strike(Fault::DeleteCascade);
        play.strike(Fault::CreateSmall);
        let theirs = uid(&play);
        play.rests_in(Phase::Complete, Reason::Done);
        assert_eq!((uid(&play), play.world.set.as_ref().unwrap().size), (theirs, 0));
    }
}

/// 16. The recovery of an infeasible size is printed; what a person then lowers is left alone.
#[test]
fn a_claim_that_a_person_lowered_is_left_alone() {
    let mut play = steady();
    play.until("asked", |play| play.world.claims[0].as_ref().unwrap().request == 1);
    play.strike(Fault::Infeasible);
    play.rests_in(Phase::Degraded, Reason::Infeasible);
    assert_eq!(play.detail(), "data-db-0");
    let lowest = play.status().claims[0].lowest.clone();
    assert_eq!(lowest.as_deref(), Some("10241Mi"), "just above the capacity of 10Gi");
    play.strike(Fault::LowerClaim);
    play.rests_in(Phase::Degraded, Reason::Infeasible);
    assert_eq!(play.world.claims[0].as_ref().unwrap().request, 0);
    play.strike(Fault::LargerRequest);
    play.completes_at(2);
}

/// 16. The same while it grows.
#[test]
fn a_claim_lowered_while_it_grows_ends_the_request() {
    let mut play = steady();
    play.until("asked", |play| play.world.claims[0].as_ref().unwrap().request == 1);
    play.strike(Fault::LowerClaim);
    play.rests_in(Phase::Degraded, Reason::Lowered);
    assert_eq!(play.world.claims[0].as_ref().unwrap().request, 0);
}

fn evicting(node_fails: bool) -> Play {
    Play::new(World::steady(2, 1).with(|kind| {
        (kind.pending, kind.evict, kind.node_fails) = (true, true, node_fails);
    }))
}

/// 17. The pod's UID is in the record before it is evicted: no answer, no second eviction.
#[test]
fn an_eviction_whose_response_is_lost_is_not_repeated() {
    let mut play = evicting(true);
    play.until_about_to("Evict");
    play.befalls(Fault::ResponseLost);
    let other = play.world.pods[1].clone();
    play.until("told", |play| play.world.phase() == Some(Phase::Degraded));
    assert_eq!(play.stands().1, Some(Reason::NodeResize));
    assert_eq!(play.world.pods[1], other, "its sibling was never touched");
    let mut play = evicting(false);
    play.until_about_to("Evict");
    play.befalls(Fault::ResponseLost);
    play.completes_at(1);
}

/// 17. The new pod is ready before its claim says that the file system has grown.
#[test]
fn a_node_step_that_is_seen_late_has_not_failed() {
    let mut play = evicting(false);
    play.until_about_to("Evict");
    let evicted = play.world.pods[0].clone();
    let back = |play: &Play| play.world.pods[0].is_some() && play.world.pods[0] != evicted;
    play.until("evicted", back);
    let late = play.world.claims[0].as_mut().unwrap();
    (late.pending, late.capacity) = (true, 0);
    play.until("waiting", |play| play.stands().1 == Some(Reason::JustChanged));
    assert!(play.world.claims[1].as_ref().unwrap().pending, "its sibling is restarted meanwhile");
    let seen = play.world.claims[0].as_mut().unwrap();
    (seen.pending, seen.capacity) = (false, 1);
    play.completes_at(1);
}

/// Worst night: more is asked while the set waits for a pod that may never restart. The claims grow
/// at once, and the record is not complete for less.
#[test]
fn a_larger_request_does_not_wait_for_a_restart() {
    for larger in [Fault::LargerRequest, Fault::LargerRecord] {
        let mut play = Play::new(World::steady(1, 1).with(|kind| kind.pending = true));
        play.rests_in(Phase::Verifying, Reason::FileSystemPending);
        play.strike(larger);
        play.rests_in(Phase::Verifying, Reason::FileSystemPending);
        let claim = play.world.claims[0].as_ref().unwrap();
        assert_eq!((claim.request, claim.pending), (2, true));
        play.strike(Fault::PodDies);
        play.completes_at(2);
    }
}

/// Without leave to evict, only a person can restart the pod that a file system waits for.
#[test]
fn a_restart_that_stateward_may_not_do_takes_a_person() {
    let mut play = Play::new(World::steady(1, 1).with(|kind| kind.pending = true));
    play.rests_in(Phase::Verifying, Reason::FileSystemPending);
    assert!(play.status().needs_a_person(), "{:?}", play.status());
    let mut play = evicting(false);
    play.until("complete", |play| {
        let status = play.world.status().unwrap_or_default();
        assert!(!status.needs_a_person(), "{status:?}");
        status.phase == Phase::Complete
    });
}

/// Where it ended short, a person who has seen it ends it, and is not told of it for ever.
#[test]
fn an_abort_ends_what_ended_short() {
    let mut play = steady();
    play.until_phase(&Phase::Growing);
    play.until("asked of the driver", |play| {
        play.world.claims[0].as_ref().is_some_and(|claim| claim.request == 1)
    });
    play.strike(Fault::Infeasible);
    play.rests_in(Phase::Degraded, Reason::Infeasible);
    play.strike(Fault::Abort);
    play.rests_in(Phase::Aborted, Reason::AbortRequested);
}

/// 17. A budget that lets no pod go is named, and holds up nothing but the restart.
#[test]
fn an_eviction_that_a_budget_refuses_is_named() {
    let mut play = evicting(false);
    play.strike(Fault::Trouble(Trouble::EvictionRefused));
    let pod = |play: &Play| play.world.pods[0].as_ref().map(|pod| pod.uid);
    let before = pod(&play);
    play.rests_in(Phase::Verifying, Reason::EvictionRefused);
    assert_eq!(play.detail(), "db-0: its disruption budget");
    assert_eq!(pod(&play), before);
    play.heals();
    play.completes_at(1);
    assert_ne!(pod(&play), before);
}

/// 17. While a sibling is not well nothing is evicted.
#[test]
fn nothing_is_evicted_while_a_sibling_crashes() {
    let mut play = evicting(false);
    play.until_phase(&Phase::ClaimsGrown);
    play.world.pods[1].as_mut().unwrap().ready = false;
    let healthy = play.world.claims[1].as_mut().unwrap();
    (healthy.pending, healthy.capacity) = (false, 1);
    let pods = play.world.pods.clone();
    play.rests();
    assert_eq!(play.world.pods, pods);
    play.heals();
    play.completes_at(1);
}

/// 18. What was aborted does not begin again by itself: not by the annotation that stands there,
///     but by `resize resume`. That the webhook denies the size until then is for its own tests.
#[test]
fn an_aborted_size_is_not_begun_again() {
    let mut play = steady();
    play.until_phase(&Phase::ClaimsGrown);
    play.strike(Fault::Abort);
    play.rests_in(Phase::Aborted, Reason::AbortRequested);
    play.strike(Fault::Withdraw);
    play.strike(Fault::AskAgain);
    play.rests_in(Phase::Aborted, Reason::AbortRequested);
    let record = play.world.record.as_mut().unwrap();
    record.abort = None;
    record.generation += 1;
    play.completes_at(1);
}

/// 18. The same where it was aborted before it began.
#[test]
fn a_request_aborted_before_it_began_is_not_begun_again() {
    let mut play = steady();
    play.until_phase(&Phase::Requested);
    play.strike(Fault::Abort);
    play.rests_in(Phase::Aborted, Reason::AbortRequested);
    assert_eq!(play.world.claims[0].as_ref().unwrap().request, 0);
}

/// 19. CREATE is tried for ever, after a while with the old template; a person may give it up only
///     after that.
#[test]
fn a_create_that_is_refused_is_tried_with_the_old_template() {
    let mut play = in_the_window(steady());
    play.strike(Fault::Refuse);
    play.strike(Fault::LeaveAbsent);
    play.until_phase(&Phase::Creating);
    assert_eq!(play.next_action(), "Create", "leaveAbsent is not obeyed at once");
    assert_eq!((play.stands().1, play.detail().as_str()), (Some(Reason::CreateRefused), "quota"));
    let mut given_up = Play { world: play.world.clone() };
    given_up.until_phase(&Phase::Aborted);
    assert_eq!(given_up.stands().1, Some(Reason::LeftAbsent));
    assert!(given_up.status().recreation.refused_since.is_some());
    play.strike(Fault::TickEarly);
    play.heals();
    assert_eq!(play.stands(), (Phase::Degraded, Some(Reason::OldTemplate)));
    assert_eq!(play.world.set.as_ref().unwrap().size, 0);
    play.rests();
    assert_eq!(play.stands().0, Phase::Degraded, "no new Deleting without a new request");
}

/// 20. Without a controller a finalizer holds record and namespace up until there is one again; by
///     hand it is taken off as the documentation says.
#[test]
fn a_finalizer_left_behind_goes_with_the_next_controller() {
    for fault in [Fault::DeleteRecord, Fault::NamespaceGoes] {
        let mut play = steady();
        play.until_phase(&Phase::RetentionPinned);
        play.strike(Fault::LeaderStops);
        play.strike(fault);
        play.rests_with_the_finalizer();
        play.heals();
        assert!(play.world.record.as_ref().is_none_or(|record| !record.finalizer), "{fault:?}");
    }
}

/// 20. Before the retention pin there is nothing to hold up.
#[test]
fn a_record_that_pinned_nothing_goes_at_once() {
    let mut play = steady();
    play.until_phase(&Phase::ClaimsGrown);
    play.strike(Fault::LeaderStops);
    play.strike(Fault::DeleteRecord);
    assert!(play.world.record.is_none());
}

/// 21. Who deletes the set while claims grow has the last word. If they create it with the sizes
///     asked, its claims grow on.
#[test]
fn an_orphan_delete_while_claims_grow_is_not_undone() {
    let mut play = steady();
    play.until_phase(&Phase::Growing);
    play.strike(Fault::DeleteOrphan);
    play.until("told", |play| play.stands().1 == Some(Reason::SetGone));
    let mut replaced = Play { world: play.world.clone() };
    play.rests_in(Phase::Aborted, Reason::DeletedByOther);
    assert_eq!(uid(&play), None);
    // Also after the resize has ended, as when `finish` brings the set back.
    play.strike(Fault::CreateLarge);
    play.completes_at(1);
    let mut smaller = Play { world: replaced.world.clone() };
    replaced.strike(Fault::CreateLarge);
    let theirs = uid(&replaced);
    replaced.completes_at(1);
    assert_eq!(uid(&replaced), theirs);
    smaller.strike(Fault::CreateSmall);
    smaller.rests_in(Phase::Aborted, Reason::Replaced);
}

/// 22. Every patch tests what it replaces.
#[test]
fn a_smaller_patch_that_arrives_late_changes_nothing() {
    let mut play = steady();
    play.until_about_to("GrowClaim");
    play.befalls(Fault::Delayed);
    play.strike(Fault::LargerRequest);
    play.until("larger", |play| play.world.claims[0].as_ref().unwrap().request == 2);
    play.happens(Label::Arrives(0));
    assert_eq!(play.world.claims[0].as_ref().unwrap().request, 2);
    play.completes_at(2);
}

/// 23. `OnDelete` does not advance the current revision: after a rollout it is done all the same.
#[test]
fn an_on_delete_set_after_a_rollout_is_not_mid_rollout() {
    let mut play = Play::new(World::steady(1, 1).with(|kind| kind.on_delete = true));
    play.strike(Fault::EditImage);
    play.rests_in(Phase::ClaimsGrown, Reason::MidRollout);
    play.strike(Fault::PodDies);
    play.until("rolled", |play| play.world.pods[0].as_ref().is_some_and(|pod| pod.revision == 1));
    let set = play.world.set.as_ref().unwrap();
    assert_ne!(set.current, set.update);
    play.completes_at(1);
}

/// 24. A write of retention changes the resourceVersion that the DELETE names.
#[test]
fn retention_written_just_before_the_delete_stops_it() {
    let mut play = steady();
    play.until_about_to("Delete");
    play.befalls(Fault::Delayed);
    play.strike(Fault::RetentionDelete);
    play.happens(Label::Arrives(0));
    assert!(!play.world.set.as_ref().unwrap().terminating);
    play.rests();
    assert!(play.world.claims.iter().flatten().all(|claim| !claim.terminating));
}

/// 25. Nobody but us frees claims above the ordinals.
#[test]
fn leftover_claims_are_freed_and_grow() {
    let mut play = Play::new(World::steady(2, 1).retention_delete().leftover());
    play.until_about_to("RemoveClaimOwner");
    assert_eq!(play.world.phase(), Some(Phase::RetentionPinned));
    play.completes_at(1);
    let leftover = play.world.claims[2].as_ref().unwrap();
    assert_eq!((leftover.capacity, leftover.owner, leftover.terminating), (1, None, false));
    assert!(play.world.set.as_ref().unwrap().delete, "retention is as it was");
}

/// 26. A quota hides whether somebody changes the set: it is waited for.
#[test]
fn a_used_up_quota_is_waited_for() {
    let mut play = steady();
    play.strike(Fault::Trouble(Trouble::Quota));
    play.rests_in(Phase::ClaimsGrown, Reason::Quota);
    assert_eq!(play.world.claims[0].as_ref().unwrap().capacity, 1, "claims grow all the same");
    play.heals();
    play.completes_at(1);
}

/// 27. A crash-looping pod, a stuck rollout, a killed controller, a lost answer: claims grow, and
///     the set is left alone until all is well. API server and resizer are for the script.
#[test]
fn the_worst_night() {
    let mut play = Play::new(World::steady(2, 1));
    play.strike(Fault::PodUnready);
    play.strike(Fault::EditImage);
    play.until_about_to("GrowClaim");
    play.befalls(Fault::ResponseLost);
    play.until_about_to("GrowClaim");
    play.befalls(Fault::CrashAfterWrite);
    play.until("grown", |play| play.world.claims.iter().flatten().all(|claim| claim.capacity == 1));
    assert_eq!((uid(&play), play.world.phase()), (Some(0), Some(Phase::Growing)));
    play.heals();
    play.completes_at(1);
    assert_ne!(uid(&play), Some(0));
}

/// Pause holds everywhere but in the re-creation window; what was changed for the re-creation window alone is put back first.
#[test]
fn a_pause_after_the_window_leaves_nothing_half_restored() {
    let mut play = Play::new(World::steady(1, 1).retention_delete());
    play.until_phase(&Phase::Adopting);
    play.strike(Fault::Pause);
    play.rests_in(Phase::Verifying, Reason::Paused);
    let (set, record) = (play.world.set.as_ref().unwrap(), play.world.record.as_ref().unwrap());
    assert!(set.frozen.is_none() && set.delete && !record.finalizer);
    play.heals();
    play.completes_at(1);
}

/// Found by the explorer: a request that was taken back and asked again is another request.
#[test]
fn a_size_withdrawn_and_asked_again_is_acted_on() {
    let mut play = with_webhook();
    play.until_phase(&Phase::ClaimsGrown);
    play.strike(Fault::Withdraw);
    play.rests_in(Phase::Aborted, Reason::Withdrawn);
    play.strike(Fault::AskAgain);
    play.completes_at(1);
}

/// Found by the explorer: the webhook keeps Retain while the set comes back, and whoever wrote
/// Delete is not answered by silence.
#[test]
fn retention_kept_by_the_webhook_is_said() {
    let mut play =
        Play::new(World::steady(1, 1).retention_delete().with(|kind| kind.webhook = true));
    play.until_phase(&Phase::Adopting);
    play.strike(Fault::RetentionDelete);
    play.rests_in(Phase::Complete, Reason::Done);
    assert!(play.detail().contains("retention stays Retain"), "{}", play.detail());
}

/// Found by the explorer: a retention pin that lands late must not undo what others wrote since.
#[test]
fn a_late_retention_pin_undoes_nobodys_word() {
    let mut play = Play::new(World::steady(1, 1).retention_delete());
    play.until_about_to("PinRetention");
    play.befalls(Fault::Delayed);
    play.strike(Fault::RetentionDelete);
    play.happens(Label::Arrives(0));
    assert!(play.world.set.as_ref().unwrap().delete);
}

/// Found by the explorer: with what the process remembers, a person's delete right after our
/// CREATE is not undone. A process that ends at that moment forgets it, and the set comes back:
/// documented, since nothing is written between DELETE and CREATE.
#[test]
fn a_delete_right_after_our_create_is_not_undone() {
    let mut play = in_the_window(steady());
    play.happens(Label::Controller(0));
    play.strike(Fault::DeleteCascade);
    let mut forgot = Play { world: play.world.clone() };
    play.until_phase(&Phase::Aborted);
    assert_eq!((uid(&play), play.stands().1), (None, Some(Reason::DeletedByOther)));
    forgot.strike(Fault::Crash);
    forgot.completes_at(1);
}

/// Found by the explorer: what Git re-created without the annotation was not taken back by anyone.
#[test]
fn a_request_outlives_the_set_that_carried_it() {
    let mut play = in_the_window(steady());
    play.strike(Fault::CreateSmall);
    assert_eq!(play.world.set.as_ref().unwrap().requested, None);
    play.completes_at(1);
}

/// An owner's set is resized to its end if its owner lets stateward do it, and else left alone. If
/// the owner takes that back meanwhile, the claims have grown, and that is all.
#[test]
fn an_owned_set_is_resized_if_its_owner_allows_it() {
    let owned = |allowed| {
        Play::new(
            World::steady(1, 1).with(|kind| (kind.owned, kind.owner_managed) = (true, allowed)),
        )
    };
    let mut play = owned(true);
    play.until_phase(&Phase::ClaimsGrown);
    let mut taken_back = Play { world: play.world.clone() };
    play.completes_at(1);
    assert_ne!(uid(&play), Some(0));
    taken_back.world.kind.owner_managed = false;
    taken_back.rests_in(Phase::ClaimsGrown, Reason::OwnerManaged);
    assert_eq!((uid(&taken_back), taken_back.detail().as_str()), (Some(0), "Database/db"));
    assert_eq!(taken_back.world.claims[0].as_ref().unwrap().capacity, 1);
    let mut play = owned(false);
    play.rests_in(Phase::Requested, Reason::OwnerManaged);
    assert_eq!(play.world.claims[0].as_ref().unwrap().request, 0);
}

/// An owner is faster than stateward and creates its set itself: the webhook raises what it creates,
/// and the set is adopted.
#[test]
fn an_owner_that_creates_its_set_in_the_window_gets_the_sizes_asked() {
    let mut play = in_the_window(Play::new(World::steady(1, 1).with(|kind| {
        (kind.owned, kind.owner_managed, kind.webhook) = (true, true, true);
    })));
    play.strike(Fault::CreateSmall);
    let theirs = uid(&play);
    play.completes_at(1);
    assert_eq!(uid(&play), theirs);
}

/// An owner deletes and creates its set before stateward does: the webhook raises what it creates,
/// since the record remembers, and the request is carried out. Without the webhook the owner is named.
#[test]
fn a_set_that_its_owner_creates_anew_has_the_sizes_asked() {
    let anew = |webhook| {
        let mut play = Play::new(World::steady(1, 1).with(|kind| {
            (kind.owned, kind.owner_managed, kind.webhook) = (true, true, webhook);
        }));
        play.until_phase(&Phase::ClaimsGrown);
        play.strike(Fault::DeleteOrphan);
        play.until("told", |play| play.stands().1 == Some(Reason::SetGone));
        play.strike(Fault::CreateSmall);
        play
    };
    let mut raised = anew(true);
    let theirs = uid(&raised);
    raised.completes_at(1);
    assert_eq!(uid(&raised), theirs);
    assert_eq!(raised.detail(), "", "nothing is in doubt");
    let mut small = anew(false);
    small.rests_in(Phase::Conflict, Reason::TooSmallAgain);
    assert_eq!(small.detail(), "argocd-controller");
}

/// A set whose old revision is gone computes another name for the same template, and would roll
/// every pod: the partition stays, and a person decides. That the StatefulSet controller computes
/// another name is for a test on a cluster.
#[test]
fn a_revision_that_differs_keeps_the_partition() {
    let mut play = steady();
    play.until_phase(&Phase::Adopting);
    play.until("synced", |play| play.world.set.as_ref().is_some_and(|set| set.observed));
    let set = play.world.set.as_mut().unwrap();
    (set.update, set.current) = (1, 1);
    play.until_phase(&Phase::Degraded);
    assert_eq!(play.stands().1, Some(Reason::RevisionDiffers));
    assert!(play.world.set.as_ref().unwrap().frozen.is_some());
}

/// A record that is deleted goes, whatever phase it is in: before Deleting everything is undone,
/// in the re-creation window the set comes back first, and the request does not make the next record.
#[test]
fn a_record_is_deleted_in_every_phase() {
    let mut phases = Vec::new();
    let mut play = Play::new(World::steady(1, 1).retention_delete());
    while play.goes_on() {
        let (Some(phase), Some(record)) = (play.world.phase(), &play.world.record) else {
            continue;
        };
        if !record.finalizer {
            continue;
        }
        let mut deleted = Play { world: play.world.clone() };
        deleted.strike(Fault::DeleteRecord);
        deleted.rests();
        assert!(deleted.world.record.is_none(), "in {phase}");
        let set = deleted.world.set.as_ref().unwrap();
        assert!(!set.terminating && set.frozen.is_none() && set.delete && set.requested.is_none());
        phases.push(phase);
    }
    phases.dedup();
    let expected = [
        Phase::ClaimsGrown,
        Phase::RetentionPinned,
        Phase::Deleting,
        Phase::Adopting,
        Phase::Verifying,
    ];
    assert_eq!(phases, expected);
}

/// What a resize that meets nothing writes: once per claim, at most six times on the set.
#[test]
fn a_resize_writes_little() {
    let mut play = Play::new(World::steady(2, 1).retention_delete());
    let mut writes = Vec::new();
    loop {
        let action = play.next_action();
        let before = play.world.clone();
        if !play.goes_on() {
            break;
        }
        if action != "Wait" && action != "DryRun" && play.world != before {
            writes.push(action);
        }
    }
    let count = |names: &[&str]| writes.iter().filter(|w| names.contains(&w.as_str())).count();
    let set = ["PinRetention", "Delete", "Create", "Unfreeze", "RestoreManagers", "ClearRequest"];
    assert_eq!(play.stands().0, Phase::Complete);
    assert_eq!((count(&set), count(&["GrowClaim"])), (6, 2), "{writes:?}");
    assert!(count(&["WriteStatus"]) <= 14, "{writes:?}");
}
