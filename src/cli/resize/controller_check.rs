//! Whether somebody carries out what is asked for.

use std::time::Duration;

use stateward_resize::CAN_RESIZE;
use tokio::time::Instant;

use crate::cli::print_error;
use crate::cluster::ReadError;
use crate::cluster::lease::{LeaseLiveness, LeaseRead, leases};
use crate::controller::Cluster;

/// Between two looks at the Lease.
const PAUSE: Duration = Duration::from_millis(250);

/// What is known of the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    /// it renews its Lease
    Alive,
    /// it does not: why that is known
    Absent(String),
    /// nobody may tell us
    Unknown(String),
}

/// Why nobody would carry out what is asked for; nothing where somebody would, or where that is not
/// known, which is said.
pub(super) async fn absence(
    cluster: &Cluster,
    namespace: &str,
) -> Result<Option<String>, ReadError> {
    match controller(cluster, namespace).await? {
        Controller::Alive => Ok(None),
        Controller::Absent(why) => Ok(Some(why)),
        Controller::Unknown(why) => {
            print_error(&format!("warning: whether a controller runs is not known: {why}\n"));
            Ok(None)
        }
    }
}

/// Looks at the controller's Lease until it changes, or has not for its whole duration.
pub(super) async fn controller(
    cluster: &Cluster,
    namespace: &str,
) -> Result<Controller, ReadError> {
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
            return Ok(Controller::Absent(format!("there is no {lease}")));
        };
        let found = serde_json::from_value(found)
            .map_err(|why| ReadError::Decode { path: path.clone(), why: why.to_string() })?;
        let (read, now) = (LeaseRead::new(&found), Instant::now());
        let held = read.is_held();
        liveness.observe(read, now);
        if liveness.is_alive(now) {
            return Ok(Controller::Alive);
        }
        if !held {
            return Ok(Controller::Absent(format!("nobody holds {lease}")));
        }
        if liveness.is_expired(now) {
            return Ok(Controller::Absent(format!("{lease} is not renewed any more")));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
