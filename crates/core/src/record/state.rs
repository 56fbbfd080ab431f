//! The phases, states and reasons of a record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares an enum that keeps values it does not know: a newer stateward may have written them.
macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $value:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$doc])* $value,)+
            /// a value that another version of stateward wrote
            Unknown(String),
        }

        impl $name {
            /// Every value that this version writes.
            pub const ALL: &[Self] = &[$(Self::$value),+];

            /// The value as the record holds it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$value => stringify!($value),)+
                    Self::Unknown(text) => text,
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $(stringify!($value) => Self::$value,)+
                    _ => Self::Unknown(text),
                }
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            /// Any text: the API server must accept the values of every version.
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string"})
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

open_enum! {
    /// How far a resize is.
    Phase {
        /// asked for, nothing done
        Requested,
        /// claims are being grown
        Growing,
        /// every claim is as large as asked, or waits for its node only
        ClaimsGrown,
        /// the set is being made safe to delete
        RetentionPinned,
        /// the set's DELETE may have been sent
        Deleting,
        /// a CREATE of the set was answered with a refusal
        Creating,
        /// the set is back and takes over its pods
        Adopting,
        /// what the retention pin changed is being put back
        Verifying,
        /// everything is as asked
        Complete,
        /// ended on somebody's wish, or because the set is another one
        Aborted,
        /// somebody else writes the same things
        Conflict,
        /// ended short of what was asked
        Degraded,
    }
}

impl Phase {
    /// Whether the resize goes on: it owns the set's name until it does not.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::Complete | Self::Aborted | Self::Conflict | Self::Degraded)
    }
}

open_enum! {
    /// Why a resize rests or ended.
    Reason {
        /// `spec.paused`
        Paused,
        /// `spec.hold: ClaimsGrown`
        Held,
        /// what must be known could not be read
        NotObserved,
        /// the user's right to grow claims is not proven
        RightUnproven,
        /// more than `resize-max` allows
        OverMax,
        /// growth so large that it is probably a typo
        HugeGrowth,
        /// a size that is no quantity
        BadTarget,
        /// the set has no such claim template
        NoSuchTemplate,
        /// claims grow
        ClaimsGrowing,
        /// a claim's growth was refused by the API server
        PatchRefused,
        /// a write of the resize was refused by the API server
        WriteRefused,
        /// a claim is going away
        ClaimTerminating,
        /// the driver grows detached volumes only
        OfflineOnly,
        /// a file system waits for its pod to restart
        FileSystemPending,
        /// a pod that is to restart may not be evicted
        EvictionRefused,
        /// a controller owns the set
        OwnerManaged,
        /// the set is in the middle of a rollout
        MidRollout,
        /// pods or revision are younger than the garbage collector's cache may be
        JustChanged,
        /// an OrderedReady set has a pod that is not available
        PodsNotReady,
        /// a CREATE was sent so recently that it may still land
        RecentCreate,
        /// an earlier re-creation was not finished
        RecreationUnfinished,
        /// the set carries somebody's finalizer
        ForeignFinalizer,
        /// another controller selects the set's pods
        OverlappingSelector,
        /// other objects name the set as an owner, and would lose that reference
        OtherDependents,
        /// a dry run was refused
        DryRunRefused,
        /// somebody's webhook changes the set when it is created
        ChangedOnCreate,
        /// a quota hides an answer
        Quota,
        /// the set is too large for the record
        SnapshotTooLarge,
        /// retention or owner references are not yet safe
        RetentionNotPinned,
        /// the set is not there
        SetGone,
        /// the set is going away
        SetTerminating,
        /// the garbage collector does not finish orphaning what the set owns
        OrphaningStuck,
        /// the re-created set has not taken over its pods
        PodsNotAdopted,
        /// what must be restored is not yet restored
        Restoring,
        /// everything is as asked
        Done,
        /// a person ended it
        AbortRequested,
        /// the request was taken back
        Withdrawn,
        /// somebody else deleted the set
        DeletedByOther,
        /// a set of another UID has the name
        Replaced,
        /// the namespace goes away
        NamespaceTerminating,
        /// a CREATE of an earlier re-creation landed late
        LateDuplicate,
        /// somebody re-creates the set with the old template
        TooSmallAgain,
        /// the retention pin did not hold three times
        RetentionPinFailed,
        /// somebody lowered a claim below the size asked
        Lowered,
        /// the driver cannot make a volume this large
        Infeasible,
        /// a claim's class is gone
        ClassGone,
        /// a claim's class does not allow growth
        NotExpandable,
        /// the node could not grow a file system
        NodeResize,
        /// the re-created set would roll its pods
        RevisionDiffers,
        /// the set came back with its old template, since the new one was refused
        OldTemplate,
        /// an edit made in the re-creation window is not in the set
        EditLost,
        /// a person asked to leave the set absent
        LeftAbsent,
        /// a CREATE of the set was refused; it is sent again
        CreateRefused,
        /// as many other resizes as allowed are between `RetentionPinned` and `Adopting`
        TooManyAtOnce,
    }
}

open_enum! {
    /// Why a resize does not go on.
    State {
        /// it ends by itself
        Waiting,
        /// a person must act
        Blocked,
        /// it is over
        Ended,
    }
}

open_enum! {
    /// How far one claim is.
    ClaimState {
        /// its request is too small
        Short,
        /// it is not bound, and grows once it is
        Unbound,
        /// the driver works
        Growing,
        /// the driver is done; its node is not
        NodePending,
        /// its capacity is there
        Done,
        /// it cannot grow before a person acts
        Stuck,
        /// it will not grow for this request
        Failed,
    }
}
