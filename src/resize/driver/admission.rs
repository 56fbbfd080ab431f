//! Whether what a request would need stands: records, the admission policy, rights.

use hyper::Method;
use serde_json::json;

use super::client::{Cluster, ReadError};
use super::record;
use crate::resize::Parameters;

/// What a resize writes: without one of these it would stall half way.
const NEEDED: [(&str, &str, &str, &str); 6] = [
    ("patch", "", "persistentvolumeclaims", ""),
    ("patch", "apps", "statefulsets", ""),
    ("delete", "apps", "statefulsets", ""),
    ("create", "apps", "statefulsets", ""),
    ("create", "stateward.dev", "statefulsetresizes", ""),
    ("update", "stateward.dev", "statefulsetresizes", "status"),
];

impl Cluster {
    /// Whether admission policy and binding are those that this version ships.
    ///
    /// # Errors
    /// They could not be read.
    pub(super) async fn admission_policy(&self) -> Result<bool, ReadError> {
        let group = "/apis/admissionregistration.k8s.io/v1";
        let path = format!("{group}/validatingadmissionpolicies/stateward-resize");
        Ok(self.get(&path).await?.is_some())
    }

    /// Whether a request that is taken now would be carried out (protocol §3): records are served,
    /// the admission policy stands, and this controller has its rights.
    ///
    /// # Errors
    /// What is missing.
    pub(super) async fn able(&self, parameters: &Parameters) -> Result<(), String> {
        let served = self.get(&format!("{}?limit=1", record::collection(None))).await;
        if served.map_err(|why| why.to_string())?.is_none() {
            return Err("the custom resource StatefulSetResize is not installed".to_owned());
        }
        if parameters.authorize_claims
            && !self.admission_policy().await.map_err(|why| why.to_string())?
        {
            return Err("the admission policy is missing or was changed".to_owned());
        }
        for (verb, group, resource, subresource) in NEEDED {
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {
                    "verb": verb, "group": group, "resource": resource, "subresource": subresource,
                }},
            });
            let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
            let answer = self.write(Method::POST, path, "application/json", &review).await;
            let answer = answer.committed().ok_or("its own rights cannot be asked for")?;
            if answer["status"]["allowed"] != true {
                let slash = if subresource.is_empty() { "" } else { "/" };
                return Err(format!("it may not {verb} {resource}{slash}{subresource}"));
            }
        }
        Ok(())
    }
}
