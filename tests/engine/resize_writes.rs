//! What the controller does about writes that the API server refuses.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use stateward_core::record::{Phase, Policy, Reason, Record, Request, Retention, State};
use stateward_resize::observed::Observed;
use stateward_resize::{Action, Parameters, step};

use crate::resize_plan::{cluster, now, set};

/// What a policy refuses of a write is told in the record, ends by itself, and is not taken for
/// another writer's doing.
#[test]
fn a_write_that_is_refused_is_told_of_in_the_words_of_the_api_server() {
    let mut observed = cluster();
    let mut record = Record { generation: 1, finalizer: true, ..Record::default() };
    let status = &mut record.status;
    status.phase = Phase::RetentionPinned;
    status.observed_generation = 1;
    let targets = BTreeMap::from([("data".to_owned(), "200Gi".to_owned())]);
    status.request = Some(Request {
        number: 1,
        generation: 1,
        set_uid: "set".to_owned(),
        targets,
        withdrawable: false,
    });
    status.recreation.set_uid = Some("set".to_owned());
    status.recreation.pinned_since = Some(now());
    set(&mut observed).retention.when_deleted = Policy::Delete;
    let decide = |observed: &Observed, record: &Record, after: i64| {
        let at = now() + SignedDuration::from_secs(after);
        step(observed, Some(record), at, &Parameters::default())
    };
    let pin = decide(&observed, &record, 0);
    assert!(matches!(pin, Action::PinRetention { .. }), "{pin:?}");
    let why = "admission webhook \"gate.example.com\" denied the request: frozen".to_owned();
    observed.memory.refused_writes.insert(pin.description(), why.clone());
    let Action::WriteStatus(told) = decide(&observed, &record, 1) else { panic!("not told") };
    let halt = told.halt.clone().unwrap();
    assert_eq!((halt.state, halt.reason), (State::Blocked, Reason::WriteRefused));
    assert_eq!(halt.message, format!("set the retention of the set to Retain: {why}"));
    record.status = *told;
    // However long that takes, nobody else is blamed, and it goes on once it is allowed.
    let later = decide(&observed, &record, 3600);
    assert!(matches!(later, Action::Wait { .. }), "{later:?}");
    observed.memory.refused_writes.clear();
    let again = decide(&observed, &record, 3600);
    assert!(matches!(again, Action::PinRetention { .. }), "{again:?}");
    set(&mut observed).retention = Retention::RETAIN;
    set(&mut observed).generation_observed = false;
    let Action::WriteStatus(on) = decide(&observed, &record, 3601) else { panic!("not told") };
    assert_ne!(on.halt.unwrap().reason, Reason::WriteRefused);
}

/// How a request has ended stays in the record, whatever is refused afterwards.
#[test]
fn a_write_that_is_refused_after_the_end_waits() {
    let mut observed = cluster();
    let mut record = Record { generation: 1, finalizer: true, ..Record::default() };
    record.status.phase = Phase::Aborted;
    record.status.observed_generation = 1;
    let action = step(&observed, Some(&record), now(), &Parameters::default());
    assert_eq!(action, Action::RemoveFinalizer);
    observed.memory.refused_writes.insert(action.description(), "no".to_owned());
    let action = step(&observed, Some(&record), now(), &Parameters::default());
    assert!(matches!(action, Action::Wait { .. }), "{action:?}");
}
