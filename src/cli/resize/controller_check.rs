//! Whether somebody carries out what is asked for.

use std::time::Duration;

use serde_json::Value;
use stateward_resize::plan::Controller;
use stateward_resize::{CAN_RESIZE, crd};
use tokio::time::Instant;

use crate::cli::print_error;
use crate::cluster::ReadError;
use crate::cluster::lease::{LeaseLiveness, LeaseRead, leases};
use crate::controller::Cluster;

/// Between two looks at the Lease.
const PAUSE: Duration = Duration::from_millis(250);

/// Why no controller would carry out what is requested. If that cannot be read, it prints a warning, and
/// the request may be made.
pub(super) async fn absence(
    cluster: &Cluster,
    namespace: &str,
) -> Result<Option<Controller>, ReadError> {
    let found = controller(cluster, namespace).await?;
    if let Controller::Unknown(why) = &found {
        print_error(&format!("warning: it is unknown if a controller runs: {why}\n"));
    }
    Ok(found.absence().is_some().then_some(found))
}

/// Reads if the cluster knows resizes, then the controller's Lease until it changes, or has not for its
/// whole duration.
pub(super) async fn controller(
    cluster: &Cluster,
    namespace: &str,
) -> Result<Controller, ReadError> {
    let absent = |why| Controller::Absent { why, namespace: namespace.to_owned() };
    if !knows_resizes(cluster).await? {
        return Ok(Controller::NotInstalled { namespace: namespace.to_owned() });
    }
    let lease = format!("Lease {namespace}/{CAN_RESIZE}");
    let path = format!("{}/{CAN_RESIZE}", leases(namespace));
    let mut liveness = LeaseLiveness::default();
    loop {
        let found = match cluster.client.read(&path).await {
            Ok(found) => found,
            Err(ReadError::Refused { code: 401 | 403, message, .. }) => {
                return Ok(Controller::Unknown(format!("{lease} may not be read: {message}")));
            }
            Err(why) => return Err(why),
        };
        let Some(found) = found else {
            return Ok(absent(format!("there is no {lease}")));
        };
        let found = serde_json::from_value(found)
            .map_err(|why| ReadError::Decode { path: path.clone(), why: why.to_string() })?;
        let (read, now) = (LeaseRead::new(&found), Instant::now());
        let held = read.is_held();
        liveness.observe(read, now);
        if liveness.is_alive(now) {
            return Ok(Controller::Running);
        }
        if !held {
            return Ok(absent(format!("nobody holds {lease}")));
        }
        if liveness.is_expired(now) {
            return Ok(absent(format!("{lease} is not renewed any more")));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the custom resource is installed. Every authenticated user may read what an API group has.
pub(super) async fn knows_resizes(cluster: &Cluster) -> Result<bool, ReadError> {
    let group = cluster.client.read(&format!("/apis/{}", crd::API_VERSION)).await?;
    let resources = group.as_ref().and_then(|group| group["resources"].as_array());
    let named = |resource: &Value| resource["name"] == crd::PLURAL;
    Ok(resources.is_some_and(|resources| resources.iter().any(named)))
}
