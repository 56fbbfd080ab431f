//! Plain requests to the API server that show everything it answers.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::Request;
use kube::client::Body;
use kube::{Client, Config};
use serde_json::Value;
use tokio::runtime::Handle;

/// `application/merge-patch+json`.
pub const MERGE_PATCH: &str = "application/merge-patch+json";
/// `application/json-patch+json`.
pub const JSON_PATCH: &str = "application/json-patch+json";
/// `application/strategic-merge-patch+json`.
pub const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
/// `application/apply-patch+yaml`: server-side apply.
pub const APPLY_PATCH: &str = "application/apply-patch+yaml";
/// `application/json`.
pub const JSON: &str = "application/json";

/// An answer of the API server, whatever its status.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body; a JSON string when it is not JSON, null when it is empty.
    pub body: Value,
    /// The texts of the `Warning` headers.
    pub warnings: Vec<String>,
}

impl Reply {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// `message` of a `Status` body, else nothing.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// The body of an answer that had to be 2xx.
    pub fn ok(self) -> Result<Value> {
        if !self.is_success() {
            bail!("{}: {}", self.status, self.body);
        }
        Ok(self.body)
    }
}

/// Requests in the name of one user, over connections that stay open.
///
/// Nothing is retried, so that one call here is one request there. A session may be used from any
/// tokio runtime: the connections live on the testbed's own.
#[derive(Clone)]
pub struct Session {
    client: Client,
    config: Config,
    runtime: Handle,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Session")
            .field("url", &self.config.cluster_url)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(mut config: Config, runtime: &Handle) -> Result<Self> {
        config.default_retry = false;
        let _guard = runtime.enter();
        let client = Client::try_from(config.clone())?;
        Ok(Self { client, config, runtime: runtime.clone() })
    }

    /// The same connection settings for a client of the caller's own.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A kube client of this user on the caller's runtime.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config.clone())?)
    }

    /// This user in the name of another, by impersonation headers.
    pub fn impersonate(&self, user: &str, groups: &[&str]) -> Result<Self> {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups =
            Some(groups.iter().map(|&group| group.to_owned()).collect());
        Self::new(config, &self.runtime)
    }

    /// Sends one request; an error only where no answer came.
    ///
    /// A body of `Value::Null` means no body.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Value,
    ) -> Result<Reply> {
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body)? };
        self.send(method, path, content_type, bytes).await
    }

    /// Like [`Session::request`] with a body that is sent as it is.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Reply> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("accept", JSON).header("user-agent", "testbed");
        if !body.is_empty() {
            request = request.header("content-type", content_type);
        }
        let request = request.body(Body::from(body))?;
        let client = self.client.clone();
        let answer = async move {
            let response = client.send(request).await?;
            let (parts, body) = response.into_parts();
            Ok::<_, kube::Error>((parts, body.collect_bytes().await?))
        };
        // On our runtime, because a connection dies with the runtime that opened it.
        let answer = tokio::time::timeout(Duration::from_secs(120), self.runtime.spawn(answer));
        let (parts, bytes) = answer
            .await
            .with_context(|| format!("{method} {path}: no answer in two minutes"))?
            .context("the testbed is stopped")?
            .with_context(|| format!("{method} {path}"))?;
        let body = match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            Err(_) if bytes.is_empty() => Value::Null,
            Err(_) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
        };
        let warnings = parts.headers.get_all("warning").iter();
        let warnings = warnings.filter_map(|value| warning_text(value.as_bytes())).collect();
        Ok(Reply { status: parts.status.as_u16(), body, warnings })
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.request("GET", path, JSON, Value::Null).await
    }

    /// POST to a collection.
    pub async fn create(&self, collection: &str, object: Value) -> Result<Reply> {
        self.request("POST", collection, JSON, object).await
    }

    /// PUT.
    pub async fn replace(&self, path: &str, object: Value) -> Result<Reply> {
        self.request("PUT", path, JSON, object).await
    }

    /// PATCH with a merge patch.
    pub async fn merge(&self, path: &str, change: Value) -> Result<Reply> {
        self.request("PATCH", path, MERGE_PATCH, change).await
    }

    /// DELETE with options; `Value::Null` for none.
    pub async fn delete(&self, path: &str, options: Value) -> Result<Reply> {
        self.request("DELETE", path, JSON, options).await
    }

    /// Server-side apply of an object by its own kind and name, as field manager `testbed`.
    ///
    /// Knows the kinds that the tests need and takes the namespace `default` where none is given.
    pub async fn apply(&self, object: Value) -> Result<Value> {
        let path = path_of(&object)?;
        let path = format!("{path}?fieldManager=testbed&force=true");
        self.request("PATCH", &path, APPLY_PATCH, object)
            .await?
            .ok()
            .with_context(|| format!("could not apply {path}"))
    }
}

/// The text of a `Warning` header: `299 - "text"`.
fn warning_text(header: &[u8]) -> Option<String> {
    let header = String::from_utf8_lossy(header);
    let quoted = header.split_once('"')?.1;
    let quoted = quoted.rsplit_once('"').map_or(quoted, |(text, _)| text);
    Some(quoted.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// Where an object lives, by the plural rules of the built-in kinds.
pub fn path_of(object: &Value) -> Result<String> {
    let version = object["apiVersion"].as_str().context("an object without apiVersion")?;
    let kind = object["kind"].as_str().context("an object without kind")?;
    let name = object["metadata"]["name"].as_str().context("an object without name")?;
    let root = if version.contains('/') { "/apis" } else { "/api" };
    let lower = kind.to_lowercase();
    let plural = match lower.as_str() {
        // These end in s or y and are spelled by hand.
        "ingress"
        | "storageclass"
        | "ingressclass"
        | "priorityclass"
        | "volumeattributesclass"
        | "volumesnapshotclass" => {
            format!("{lower}es")
        }
        "endpoints" => lower.clone(),
        "networkpolicy" | "validatingadmissionpolicy" | "mutatingadmissionpolicy" => {
            format!("{}ies", &lower[..lower.len() - 1])
        }
        _ => format!("{lower}s"),
    };
    let cluster_wide = kind.starts_with("Cluster")
        || kind.ends_with("Class")
        || kind.contains("Webhook")
        || kind.contains("AdmissionPolicy")
        || matches!(
            kind,
            "Namespace"
                | "Node"
                | "PersistentVolume"
                | "CSIDriver"
                | "CSINode"
                | "CustomResourceDefinition"
                | "APIService"
                | "VolumeAttachment"
                | "VolumeSnapshotContent"
        );
    if cluster_wide {
        return Ok(format!("{root}/{version}/{plural}/{name}"));
    }
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
    Ok(format!("{root}/{version}/namespaces/{namespace}/{plural}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_warning_header_is_unquoted() {
        assert_eq!(warning_text(br#"299 - "a \"b\" c""#).unwrap(), r#"a "b" c"#);
    }

    #[test]
    fn paths_follow_the_kind() {
        let of = |version: &str, kind: &str| {
            path_of(&json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}}))
                .unwrap()
        };
        assert_eq!(of("apps/v1", "StatefulSet"), "/apis/apps/v1/namespaces/default/statefulsets/x");
        assert_eq!(
            of("storage.k8s.io/v1", "StorageClass"),
            "/apis/storage.k8s.io/v1/storageclasses/x"
        );
        assert_eq!(of("v1", "Namespace"), "/api/v1/namespaces/x");
        assert_eq!(
            of("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/x"
        );
    }
}
