//! Random requests, of the kinds that a resize meets.

use fastrand::Rng;
use serde_json::{Value, json};

use super::draft::Draft;
use crate::server::kinds::Kind;
use crate::server::{JSON, MERGE};

const JSON_PATCH: &str = "application/json-patch+json";

fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(0..from.len())].clone()
}

struct Drafter<'r> {
    rng: &'r mut Rng,
    namespace: &'r str,
}

/// A request in this namespace.
pub(super) fn draft(rng: &mut Rng, namespace: &str) -> Draft {
    let mut drafter = Drafter { rng, namespace };
    match drafter.rng.u8(0..20) {
        0..=2 => drafter.create(),
        3 => drafter.read(),
        4..=6 => drafter.replace_set(),
        7..=9 => drafter.patch_set(),
        10 => drafter.json_patch_set(),
        11..=13 => drafter.delete(),
        14 => drafter.collect(),
        15..=17 => drafter.claim(),
        _ => drafter.record(),
    }
}

/// A request that creates something.
pub(super) fn first(rng: &mut Rng, namespace: &str) -> Draft {
    Drafter { rng, namespace }.create()
}

impl Drafter<'_> {
    fn draft(
        &self,
        label: &str,
        method: &'static str,
        plural: &str,
        suffix: &str,
        body: Value,
    ) -> Draft {
        let kind = Kind::of(plural);
        let name = if plural == "persistentvolumeclaims" { "data-db-0" } else { "db" };
        let object = kind.path(self.namespace, name);
        let path = if method == "POST" {
            object.rsplit_once('/').map_or("", |(front, _)| front).to_owned()
        } else {
            object.clone()
        };
        let content = if method == "PATCH" { MERGE } else { JSON };
        Draft {
            label: format!("{method:<6} {plural} {label}"),
            method,
            object,
            path: format!("{path}{suffix}"),
            content: content.to_owned(),
            body,
        }
    }

    /// A query with a field manager, and perhaps a dry run.
    fn query(&mut self, dry: u8) -> String {
        let manager = pick(self.rng, &["one", "two"]);
        let dry = if self.rng.u8(0..10) < dry { "&dryRun=All" } else { "" };
        format!("?fieldManager={manager}{dry}")
    }

    fn set(&mut self) -> Value {
        let size = pick(self.rng, &["10Gi", "20Gi"]);
        let mut set = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "db", "namespace": self.namespace},
            "spec": {
                "replicas": 1, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
                "template": {
                    "metadata": {"labels": {"app": "db"}},
                    "spec": {"containers": [{"name": "db", "image": "db:1"}]},
                },
                "volumeClaimTemplates": [{
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                        "resources": {"requests": {"storage": size}},
                    },
                }],
            },
        });
        match self.rng.u8(0..10) {
            0 => set["spec"]["replicas"] = (-1).into(),
            1 => set["metadata"]["namespace"] = "elsewhere".into(),
            2 => set["metadata"]["finalizers"] = json!(["example.com/keep"]),
            3 => set["spec"]["selector"]["matchLabels"]["app"] = "other".into(),
            4 => set["spec"]["updateStrategy"] = json!({"type": "OnDelete"}),
            5 => {
                set["spec"]["persistentVolumeClaimRetentionPolicy"] =
                    json!({"whenDeleted": "Delete"});
            }
            6 => set["metadata"]["uid"] = "of-its-own".into(),
            _ => {}
        }
        set
    }

    fn create(&mut self) -> Draft {
        let query = self.query(3);
        match self.rng.u8(0..6) {
            0 | 1 => {
                let class = pick(self.rng, &["fast", "fast", "rigid", "missing"]);
                let claim = json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "metadata": {"name": "data-db-0", "namespace": self.namespace},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"], "storageClassName": class,
                        "resources": {"requests": {"storage": "10Gi"}},
                    },
                });
                self.draft("create", "POST", "persistentvolumeclaims", &query, claim)
            }
            2 => {
                let record = json!({
                    "apiVersion": "stateward.dev/v1alpha1", "kind": "StatefulSetResize",
                    "metadata": {"name": "db", "namespace": self.namespace},
                    "spec": {"targets": {"data": {"storage": "20Gi"}}},
                });
                self.draft("create", "POST", "statefulsetresizes", &query, record)
            }
            _ => {
                let set = self.set();
                self.draft("create", "POST", "statefulsets", &query, set)
            }
        }
    }

    fn read(&mut self) -> Draft {
        let kinds = ["statefulsets", "persistentvolumeclaims", "statefulsetresizes"];
        let plural = pick(self.rng, &kinds);
        self.draft("", "GET", plural, "", Value::Null)
    }

    /// Metadata that says which version is meant, rightly or not.
    fn meant(&mut self) -> Value {
        match self.rng.u8(0..8) {
            0 => json!({"resourceVersion": "1"}),
            1 => json!({"resourceVersion": null}),
            2 => json!({"uid": "another"}),
            3 | 4 => json!({"resourceVersion": "$version", "uid": "$uid"}),
            _ => json!({}),
        }
    }

    /// A change of a set.
    fn change(&mut self) -> Value {
        let label = pick(self.rng, &["a", "b"]);
        let template = json!([{
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                "resources": {"requests": {"storage": "30Gi"}},
            },
        }]);
        match self.rng.u8(0..12) {
            0 => json!({"metadata": {"labels": {"team": label}}}),
            1 => json!({"metadata": {"labels": null}}),
            2 => json!({"metadata": {"annotations": {"note": label}}}),
            3 => json!({"metadata": {"finalizers": ["example.com/keep"]}}),
            4 => json!({"metadata": {"finalizers": null}}),
            5 => json!({"spec": {"replicas": self.rng.i64(-1..3)}}),
            6 => json!({"spec": {"volumeClaimTemplates": template}}),
            7 => json!({"spec": {"serviceName": "other"}}),
            8 | 9 => {
                let policy = pick(self.rng, &["Retain", "Delete"]);
                json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": policy}}})
            }
            10 => {
                let partition = pick(self.rng, &[json!(4), json!(0), Value::Null]);
                json!({"spec": {"updateStrategy": {
                    "type": "RollingUpdate", "rollingUpdate": {"partition": partition},
                }}})
            }
            _ => json!({}),
        }
    }

    fn replace_set(&mut self) -> Draft {
        let mut change = self.change();
        json_patch::merge(&mut change, &json!({"metadata": self.meant()}));
        let base = self.bare_set();
        let query = self.query(1);
        if self.rng.u8(0..5) == 0 {
            let status = json!({"status": {"replicas": self.rng.u8(0..3)}});
            json_patch::merge(&mut change, &status);
            let suffix = format!("/status{query}");
            let body = json!({"$base": base, "$change": change});
            return self.draft("replace status", "PUT", "statefulsets", &suffix, body);
        }
        self.draft(
            "replace",
            "PUT",
            "statefulsets",
            &query,
            json!({"$base": base, "$change": change}),
        )
    }

    /// The set by its name alone.
    fn bare_set(&self) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "db", "namespace": self.namespace},
        })
    }

    fn patch_set(&mut self) -> Draft {
        let mut change = self.change();
        let mut meant = self.meant();
        // A patch with a null version says nothing about it.
        if meant["resourceVersion"].is_null() {
            meant = json!({});
        }
        json_patch::merge(&mut change, &json!({"metadata": meant}));
        let query = self.query(1);
        self.draft("merge patch", "PATCH", "statefulsets", &query, change)
    }

    fn json_patch_set(&mut self) -> Draft {
        let replicas = self.rng.u8(0..3);
        let patch = match self.rng.u8(0..4) {
            0 => json!([{"op": "test", "path": "/metadata/uid", "value": "$uid"},
                {"op": "replace", "path": "/spec/replicas", "value": replicas}]),
            1 => json!([{"op": "test", "path": "/metadata/uid", "value": "another"},
                {"op": "replace", "path": "/spec/replicas", "value": replicas}]),
            2 => json!([{"op": "test", "path": "/spec/replicas", "value": 1},
                {"op": "replace", "path": "/spec/replicas", "value": replicas}]),
            _ => json!([{"op": "remove", "path": "/metadata/annotations/none"}]),
        };
        let query = self.query(0);
        let mut draft = self.draft("json patch", "PATCH", "statefulsets", &query, patch);
        JSON_PATCH.clone_into(&mut draft.content);
        draft
    }

    fn delete(&mut self) -> Draft {
        let plural = match self.rng.u8(0..6) {
            0 => "persistentvolumeclaims",
            1 => "statefulsetresizes",
            _ => "statefulsets",
        };
        let suffix = if self.rng.u8(0..6) == 0 { "?dryRun=All" } else { "" };
        if self.rng.u8(0..8) == 0 {
            return self.draft("no body", "DELETE", plural, suffix, Value::Null);
        }
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        match self.rng.u8(0..6) {
            0..=2 => options["propagationPolicy"] = "Orphan".into(),
            3 => options["propagationPolicy"] = "Background".into(),
            4 => options["propagationPolicy"] = "Foreground".into(),
            _ => {}
        }
        match self.rng.u8(0..6) {
            0 => options["preconditions"] = json!({"uid": "another"}),
            1 => options["preconditions"] = json!({"resourceVersion": "1"}),
            2 | 3 => {
                options["preconditions"] = json!({"uid": "$uid", "resourceVersion": "$version"});
            }
            _ => {}
        }
        if self.rng.u8(0..6) == 0 {
            options["dryRun"] = json!(["All"]);
        }
        let policy = options["propagationPolicy"].as_str().unwrap_or("").to_owned();
        self.draft(&policy, "DELETE", plural, suffix, options)
    }

    /// The last step of the garbage collector.
    fn collect(&mut self) -> Draft {
        let change = json!({"metadata": {"finalizers": "$collected"}});
        let base = self.bare_set();
        let query = self.query(0);
        self.draft(
            "collected",
            "PUT",
            "statefulsets",
            &query,
            json!({"$base": base, "$change": change}),
        )
    }

    fn claim(&mut self) -> Draft {
        let plural = "persistentvolumeclaims";
        let base = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data-db-0", "namespace": self.namespace},
        });
        let query = self.query(1);
        match self.rng.u8(0..8) {
            0 | 1 => {
                let change = json!({"spec": {"volumeName": "volume"}, "metadata": self.meant()});
                self.draft("bind", "PUT", plural, &query, json!({"$base": base, "$change": change}))
            }
            2 | 3 => {
                let capacity = pick(self.rng, &["10Gi", "20Gi"]);
                let change =
                    json!({"status": {"phase": "Bound", "capacity": {"storage": capacity}}});
                let suffix = format!("/status{query}");
                let body = json!({"$base": base, "$change": change});
                self.draft("status", "PUT", plural, &suffix, body)
            }
            4 => {
                let finalizers =
                    pick(self.rng, &[json!([]), json!(["kubernetes.io/pvc-protection"])]);
                let change = json!({"metadata": {"finalizers": finalizers}});
                self.draft("finalizers", "PATCH", plural, &query, change)
            }
            _ => {
                let size = pick(self.rng, &["5Gi", "10Gi", "15Gi", "20Gi", "30Gi"]);
                let mut change = json!({"spec": {"resources": {"requests": {"storage": size}}}});
                let mut meant = self.meant();
                if meant["resourceVersion"].is_null() {
                    meant = json!({});
                }
                change["metadata"] = meant;
                self.draft("size", "PATCH", plural, &query, change)
            }
        }
    }

    fn record(&mut self) -> Draft {
        let plural = "statefulsetresizes";
        let base = json!({
            "apiVersion": "stateward.dev/v1alpha1", "kind": "StatefulSetResize",
            "metadata": {"name": "db", "namespace": self.namespace},
        });
        let query = self.query(1);
        match self.rng.u8(0..5) {
            0 | 1 => {
                let phase = pick(self.rng, &["Growing", "RetentionPinned", "Complete"]);
                let change = json!({"status": {"phase": phase}, "metadata": self.meant()});
                let suffix = format!("/status{query}");
                let body = json!({"$base": base, "$change": change});
                self.draft("status", "PUT", plural, &suffix, body)
            }
            2 => {
                let finalizers = pick(self.rng, &[json!([]), json!(["stateward.dev/resize"])]);
                let change = json!({"metadata": {
                    "finalizers": finalizers, "uid": "$uid", "resourceVersion": "$version",
                }});
                self.draft("finalizers", "PATCH", plural, &query, change)
            }
            3 => {
                let change = json!({"spec": {"paused": self.rng.bool()}});
                self.draft("merge patch", "PATCH", plural, &query, change)
            }
            _ => {
                let change = json!({"spec": {"paused": true}, "metadata": self.meant()});
                let body = json!({"$base": base, "$change": change});
                self.draft("replace", "PUT", plural, &query, body)
            }
        }
    }
}
