//! Every annotation under `stateward.dev/`: its key, who writes it, and what it means.

use std::fmt::Write as _;

/// Who writes an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// a person or a pipeline
    User,
    /// the mutating webhook
    Webhook,
    /// the resize controller
    Controller,
    /// a replica that checks whether denials arrive
    Canary,
}

impl Writer {
    /// The writer as the table names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Webhook => "mutating webhook",
            Self::Controller => "controller",
            Self::Canary => "canary",
        }
    }
}

/// One annotation.
#[derive(Clone, Copy, Debug)]
pub struct Annotation {
    /// with the prefix
    pub key: &'static str,
    /// the objects that it is read from
    pub on: &'static str,
    /// who writes it
    pub writer: Writer,
    /// its values and what they do
    pub meaning: &'static str,
}

macro_rules! annotations {
    ($($name:ident = $key:literal, on $on:literal, by $writer:ident, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: &str = concat!("stateward.dev/", $key);)*

        /// All annotations, by key.
        pub const ALL: &[Annotation] = &[$(Annotation {
            key: $name,
            on: $on,
            writer: Writer::$writer,
            meaning: $meaning,
        }),*];
    };
}

annotations! {
    ALLOW = "allow", on "any", by User,
        "Rule ids, separated by commas, that do not deny changes of this object. Needs `allow-reason`. Read from the new object on CREATE and UPDATE, from the old one on DELETE.";
    ALLOW_GRANTED = "allow-granted", on "StatefulSet, PersistentVolumeClaim", by Webhook,
        "Who granted `allow`, and for what, if the policy names the people who may. Without it `allow` does not count then.";
    ALLOW_REASON = "allow-reason", on "any", by User,
        "The reason for `allow`, in words. It appears in the audit log.";
    ALLOW_UNTIL = "allow-until", on "any", by User,
        "The time (RFC 3339) at which `allow` expires. Without it, `allow` does not expire.";
    ANTI_AFFINITY = "anti-affinity", on "StatefulSet", by User,
        "`preferred`, `zone`, `required`, `system` or `none`: the pod anti-affinity that the webhook injects when the set is created. Overrides the policy.";
    CANARY = "canary", on "StatefulSet", by Canary,
        "`mutate` or `validate`: the webhook that must deny this dry run.";
    CONFIRM_DELETE = "confirm-delete", on "any", by User,
        "The name of the object and a day in UTC, such as `data-db-2 2030-01-31`: on that day, the day before and the day after, rules warn of its deletion and do not deny it. Read from the stored object. If the policy asks for a second person, one of the people whom it names writes it and ends it with ` by ` and that name, and somebody else deletes. If it only names people, only their deletions count.";
    DISABLED_UNTIL = "disabled-until", on "Namespace of stateward", by User,
        "Until this time (RFC 3339, at most a day ahead) the webhook allows everything.";
    INJECTED = "injected", on "StatefulSet", by Webhook,
        "A JSON list of what the webhook injected when the set was created.";
    OWNER_MANAGED = "owner-managed", on "StatefulSet, PersistentVolumeClaim", by User,
        "`allow`: stateward judges and resizes this object although a controller owns it.";
    PACK = "pack", on "StatefulSet", by User,
        "The name of the pack that knows the system of the set, such as `etcd`, or `none`. Without it, the set is recognised by its images, labels and owner.";
    POD_DEFAULTS = "pod-defaults", on "StatefulSet", by User,
        "`none`: the webhook injects no grace period and no `fsGroupChangePolicy`, whatever `pod-defaults` in the policy says. The next update whose manifest leaves them out removes what was injected. It does not count with `overrides: false`.";
    PROTECTED = "protected", on "StatefulSet, PersistentVolumeClaim, Namespace, PersistentVolume, StorageClass, VolumeSnapshot", by User,
        "`true`: deleting the object is denied until somebody confirms it with `confirm-delete`.";
    RESIZE = "resize", on "StatefulSet", by User,
        "`orchestrate`, `reject` or `ignore`: what happens to an edit that grows a claim template. Overrides the policy.";
    RESIZE_ID = "resize-id", on "StatefulSet, PersistentVolumeClaim", by Controller,
        "The resize that last re-created this set or grew this claim.";
    RESIZE_MAX = "resize-max", on "StatefulSet, Namespace", by User,
        "The largest size that a resize may request. The namespace's value wins over the set's. An edit is judged by the value before it.";
    RESIZE_PAUSED = "resize-paused", on "StatefulSet", by User,
        "`true`: the controller starts nothing new for this set.";
    RESIZE_REQUESTED = "resize-requested", on "StatefulSet", by Webhook,
        "A JSON object from claim template to requested size, such as `{\"data\":\"200Gi\"}`.";
    RESIZE_RESTART = "resize-restart", on "StatefulSet", by User,
        "`evict`: the controller evicts pods whose file system can grow only after a restart, one at a time. `never` is the default.";
    RESIZE_UNFINISHED = "resize-unfinished", on "StatefulSet", by Controller,
        "The resize that re-created this set and has not yet restored its partition and retention policy.";
    VOTERS = "voters", on "StatefulSet", by User,
        "`all`: every pod of the set is a voting member of a quorum, as in etcd. Rules about quorums then judge the set. It only makes rules stricter.";
}

/// All annotations as a Markdown table.
pub fn table() -> String {
    let mut text =
        String::from("| Annotation | On | Written by | Meaning |\n| --- | --- | --- | --- |\n");
    for Annotation { key, on, writer, meaning } in ALL {
        let _ = writeln!(text, "| `{key}` | {on} | {} | {meaning} |", writer.name());
    }
    text
}
