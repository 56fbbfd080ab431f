//! Waiting for something to become true, with a message that tells what was missing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often [`wait_for`] asks.
const INTERVAL: Duration = Duration::from_millis(50);

/// Asks `probe` again and again until it answers with a value.
///
/// `Ok(None)` and errors mean "not yet"; what was said last is part of the message when `timeout`
/// has passed.
pub async fn wait_for<T, F>(description: &str, timeout: Duration, mut probe: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<Option<T>>,
{
    let start = Instant::now();
    loop {
        // A probe that hangs must not outlive the deadline.
        let left = timeout.saturating_sub(start.elapsed()).max(INTERVAL);
        let last = match tokio::time::timeout(left, probe()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(_) => Some("the question itself got no answer".to_owned()),
        };
        if start.elapsed() >= timeout {
            match last {
                Some(error) => bail!("waited {timeout:?} for {description}: {error}"),
                None => bail!("waited {timeout:?} for {description}"),
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
