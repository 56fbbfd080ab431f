//! Whether somebody carries out what is asked for.

use std::time::Duration;

use stateward_resize::CAN_RESIZE;

use crate::cli::print_error;
use crate::controller::lease::{Watched, collection};
use crate::controller::{Cluster, ReadError};

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
    let path = format!("{}/{CAN_RESIZE}", collection(namespace));
    let mut watched = Watched::default();
    loop {
        let found = match cluster.get(&path).await {
            Ok(found) => found,
            Err(ReadError::Refused { code: 401 | 403, message, .. }) => {
                return Ok(Controller::Unknown(format!("{lease} may not be read: {message}")));
            }
            Err(why) => return Err(why),
        };
        let Some(found) = found else {
            return Ok(Controller::Absent(format!("there is no {lease}")));
        };
        watched.note(&found);
        if watched.is_alive() {
            return Ok(Controller::Alive);
        }
        if found["spec"]["holderIdentity"].as_str().is_none_or(str::is_empty) {
            return Ok(Controller::Absent(format!("nobody holds {lease}")));
        }
        if watched.is_over() {
            return Ok(Controller::Absent(format!("{lease} is not renewed any more")));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
