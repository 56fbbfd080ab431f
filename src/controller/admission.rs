//! Whether what a request would need stands: records, the admission policy, rights.

use hyper::Method;
use serde_json::json;
use stateward_resize::admission_policy::{self, NotInForce};
use stateward_resize::rights::{Holder, RIGHTS, Right, Scope};
use stateward_resize::{Parameters, crd};
use tokio::task::JoinSet;

use super::cluster::Cluster;
use crate::cluster::{ReadError, path, with_query};

/// Verbs that change nothing.
const READS: [&str; 3] = ["get", "list", "watch"];

impl Cluster {
    /// Whether admission policy and binding are those that this version ships; if not, why.
    ///
    /// # Errors
    /// They could not be read.
    pub(super) async fn admission_policy(&self) -> Result<Result<(), NotInForce>, ReadError> {
        let of = |plural: &str| {
            path(["apis", "admissionregistration.k8s.io", "v1", plural, admission_policy::NAME])
        };
        let policy = of("validatingadmissionpolicies");
        let binding = of("validatingadmissionpolicybindings");
        let (policy, binding) =
            tokio::try_join!(self.client.read(&policy), self.client.read(&binding))?;
        Ok(admission_policy::in_force(policy.as_ref(), binding.as_ref()))
    }

    /// Whether a request that is taken now would be carried out (`docs/resize.md`, Who may ask), its
    /// own rights apart: records are served, and the admission policy stands.
    ///
    /// # Errors
    /// What is missing.
    pub(super) async fn able(&self, parameters: &Parameters) -> Result<(), String> {
        let served = self.client.read(&with_query(&super::records(None), [("limit", "1")])).await;
        if served.map_err(|why| why.to_string())?.is_none() {
            return Err(format!("the custom resource {} is not installed", crd::KIND));
        }
        if parameters.authorize_claims {
            let in_force = self.admission_policy().await.map_err(|why| why.to_string())?;
            in_force.map_err(|why| why.to_string())?;
        }
        Ok(())
    }

    /// Whether it may write what a resize writes: without one of these it would stall half way. All
    /// are asked at once, so that a slow API server delays the answer by one request and not by ten.
    ///
    /// # Errors
    /// The first right of the table that is missing.
    pub(super) async fn rights(&self) -> Result<(), String> {
        let everywhere =
            |right: &&Right| right.holder == Holder::Controller && right.scope == Scope::Cluster;
        let writes = RIGHTS.iter().filter(everywhere).flat_map(|right| {
            let verbs = right.verbs.iter().filter(|verb| !READS.contains(verb));
            verbs.map(move |verb| (right, *verb))
        });
        let mut reviews = JoinSet::new();
        for (number, (right, verb)) in writes.enumerate() {
            let cluster = self.clone();
            reviews.spawn(async move { (number, cluster.right(right, verb).await) });
        }
        let mut answers = reviews.join_all().await;
        answers.sort_unstable_by_key(|(number, _)| *number);
        answers.into_iter().try_for_each(|(_, answer)| answer)
    }

    async fn right(&self, right: &Right, verb: &str) -> Result<(), String> {
        let (resource, subresource) =
            right.resource.split_once('/').unwrap_or((right.resource, ""));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": verb, "group": right.group,
                "resource": resource, "subresource": subresource,
            }},
        });
        let path = path(["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"]);
        let answer = self.client.write(Method::POST, &path, "application/json", &review).await;
        let answer = answer.committed().ok_or("its own rights cannot be asked for")?;
        if answer["status"]["allowed"] == true {
            Ok(())
        } else {
            Err(format!("it may not {verb} {}", right.resource))
        }
    }
}
