//! Packs in the policy file.

use serde_json::{Value, json};
use stateward_core::decide::Stage;
use stateward_core::facts::SetFact;
use stateward_core::policy::Policy;
use stateward_core::review::WebhookKind;

use crate::admission::setup::{Asks, Said, ask, facts, set, with};

/// A pack of people's own, and one that takes the place of a pack of stateward.
const POLICY: &str = "packs:
  store:
    title: Store
    about: A store of our own.
    recognise:
      - image: registry.example.com/team/store
        argument: --cluster
    members:
      kind: majority
      why: Each pod votes.
      source: https://wiki.example.com/store
  postgresql:
    title: PostgreSQL
    about: As we run it.
    recognise:
      - image: docker.io/postgres
    members:
      kind: pool
      why: Our operator fixes the number of pods.
      source: https://wiki.example.com/postgresql
";

const IMAGE: &str = "/spec/template/spec/containers/0/image";

fn scale(replicas: u32) -> Value {
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": "db", "namespace": "shop", "uid": "A"},
        "spec": {"replicas": replicas},
    })
}

/// Scales a set of five down to `left`, by an edit of the set and by its scale.
fn scaled_down(image: &str, arguments: &[&str], left: u32, policy: &'static str) -> [Said; 2] {
    let mut old = with(&with(&set(), IMAGE, json!(image)), "/spec/replicas", json!(5));
    old["spec"]["template"]["spec"]["containers"][0]["args"] = json!(arguments);
    old["status"] = json!({"replicas": 5});
    let new = with(&old, "/spec/replicas", json!(left));
    let mut facts = facts();
    facts.sets.insert("shop", "db", SetFact::read(&old).unwrap());
    let asks = Asks { policy, ..Asks::default() };
    let stage = Stage::Webhook(WebhookKind::Validating);
    [(&old, &new), (&scale(5), &scale(left))]
        .map(|(old, new)| ask(stage, Some(old), Some(new), &facts, &asks))
}

#[test]
fn a_pack_of_the_policy_is_known_like_any_other() {
    let image = "mirror.example.com:5000/registry.example.com/team/store:1.4.2";
    for (image, arguments, policy, denied) in [
        ("registry.example.com/team/store:1.4.2", &["--cluster"][..], POLICY, true),
        (image, &["--cluster"], POLICY, true),
        ("registry.example.com/team/store:1.4.2", &[], POLICY, false),
        ("registry.example.com/team/store-exporter:1", &["--cluster"], POLICY, false),
        ("registry.example.com/team/store:1.4.2", &["--cluster"], "", false),
    ] {
        for said in scaled_down(image, arguments, 1, policy) {
            assert_eq!(!said.allowed, denied, "{image} {arguments:?}: {said:#?}");
            assert!(!denied || said.message.contains("quorum"), "{}", said.message);
        }
    }
}

#[test]
fn a_pack_of_the_policy_takes_the_place_of_ours() {
    for said in scaled_down("postgres:17.2", &[], 4, POLICY) {
        assert!(said.message.contains("sts-pool-resized"), "{said:#?}");
    }
    for said in scaled_down("postgres:17.2", &[], 4, "") {
        assert!(said.allowed, "{said:#?}");
    }
    // The packs that are not named stay.
    for said in scaled_down("quay.io/coreos/etcd:v3.6.12", &[], 1, POLICY) {
        assert!(!said.allowed, "{said:#?}");
    }
}

#[test]
fn faults_of_a_pack_are_named_at_their_place() {
    for (from, to, expected) in [
        ("    about: A store of our own.\n", "", "about is missing"),
        ("kind: majority", "kind: mayority", "did you mean \"majority\"?"),
        ("        argument: --cluster\n", "        argumnet: --cluster\n", "argument"),
        (
            "      - image: registry.example.com/team/store\n        argument: --cluster\n",
            "      []\n",
            "nothing is recognised",
        ),
        ("registry.example.com/team/store\n", "\"a b\"\n", "this is no image"),
        (
            "      - image: registry.example.com/team/store\n        argument",
            "      - argument",
            "one of image, owner and labels is needed",
        ),
    ] {
        let text = format!("version: 1\n{POLICY}");
        assert!(text.contains(from), "{from}");
        let text = text.replacen(from, to, 1);
        let error = Policy::parse(&text, "test").unwrap_err();
        assert!(error.message.contains(expected), "{to}: {error}");
        assert!(error.line > 2 && error.column > 0, "{to}: {error}");
        assert_eq!(Policy::errors(&text).len(), 1, "{to}");
    }
}
