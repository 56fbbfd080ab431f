//! `stateward disable` and `stateward enable`: the break-glass annotation, without a person computing a time.

use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use stateward_core::annotations::DISABLED_UNTIL;

use super::Outcome;
use super::connection::Connection;
use super::serve::{duration, object_name};
use crate::cluster::{Client, WriteOutcome, path};

/// As far ahead as replicas accept: a switch that is forgotten must not last.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Arguments of `stateward disable`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward disable 1h\n  stateward enable")]
pub struct DisableArgs {
    /// For how long, such as 30m or 1h; at most 24h
    #[arg(value_name = "DURATION", value_parser = time)]
    pub time: Duration,
    /// Where
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `stateward enable`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward enable")]
pub struct EnableArgs {
    /// Where
    #[command(flatten)]
    pub place: Place,
}

/// Which stateward of which cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// Which cluster
    #[command(flatten)]
    pub connection: Connection,
    /// Namespace of stateward
    #[arg(long, value_name = "NAMESPACE", default_value = "stateward", value_parser = object_name)]
    pub system_namespace: String,
}

fn time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => {
            Err("it has to be longer than 0 s; `stateward enable` ends it".to_owned())
        }
        time if time > LONGEST => {
            Err("it may be 24h at most; run it again before that ends".to_owned())
        }
        time => Ok(time),
    }
}

/// Makes every replica allow everything for a while.
///
/// # Errors
/// No cluster, no such namespace, or no right to annotate it.
pub fn disable(args: &DisableArgs) -> anyhow::Result<Outcome> {
    super::runtime()?.block_on(async {
        let client = args.place.connection.open().await?;
        // The clock of the API server counts, which its answer tells.
        args.place.namespace(&client).await?;
        let until = client.now() + SignedDuration::try_from(args.time)?;
        let until = Timestamp::from_second(until.as_second())?;
        args.place.annotate(&client, &json!(until.to_string())).await?;
        let enable = args.place.enable();
        super::print(&format!(
            "Within 5 s every replica allows every change, until {until}.\nEnd it earlier: {enable}\n"
        ))?;
        Ok(Outcome::Clean)
    })
}

/// Makes every replica judge changes again.
///
/// # Errors
/// No cluster, no such namespace, or no right to annotate it.
pub fn enable(args: &EnableArgs) -> anyhow::Result<Outcome> {
    super::runtime()?.block_on(async {
        let client = args.place.connection.open().await?;
        let found = args.place.namespace(&client).await?;
        if found["metadata"]["annotations"][DISABLED_UNTIL].is_null() {
            super::print("Nothing to do: stateward is not disabled.\n")?;
            return Ok(Outcome::Clean);
        }
        args.place.annotate(&client, &Value::Null).await?;
        super::print("Within 5 s every replica judges changes again.\n")?;
        Ok(Outcome::Clean)
    })
}

impl Place {
    async fn namespace(&self, client: &Client) -> anyhow::Result<Value> {
        let name = &self.system_namespace;
        let (found, _) = client.get::<Value>(&path(["api", "v1", "namespaces", name])).await?;
        found.with_context(|| {
            format!("namespace {name} does not exist; --system-namespace names that of stateward")
        })
    }

    async fn annotate(&self, client: &Client, value: &Value) -> anyhow::Result<()> {
        let path = path(["api", "v1", "namespaces", &self.system_namespace]);
        let change = json!({"metadata": {"annotations": {DISABLED_UNTIL: value}}});
        match client.write(Method::PATCH, &path, "application/merge-patch+json", &change).await {
            WriteOutcome::Committed(_) => Ok(()),
            WriteOutcome::Rejected(refusal) => bail!("nothing was changed: {}", refusal.message),
            WriteOutcome::Unknown(why) => bail!("it is unknown if this took effect: {why}"),
        }
    }

    fn enable(&self) -> String {
        let command = self.connection.commands().stateward("enable");
        match self.system_namespace.as_str() {
            "stateward" => command,
            elsewhere => format!("{command} --system-namespace {elsewhere}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_time_that_replicas_accept_is_taken() {
        assert_eq!(time("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(time("24h"), Ok(LONGEST));
        for (wrong, said) in [
            ("48h", "24h at most"),
            ("24h 1s", "24h at most"),
            ("0s", "longer than 0 s"),
            ("soon", "is not a duration"),
            ("-1h", "negative"),
        ] {
            assert!(time(wrong).unwrap_err().contains(said), "{wrong}");
        }
    }

    #[test]
    fn the_way_back_leads_to_the_same_stateward() {
        let connection = Connection { context: Some("eu".to_owned()), ..Connection::default() };
        let place = Place { connection, system_namespace: "guard".to_owned() };
        assert!(place.enable().ends_with(" enable --context eu --system-namespace guard"));
    }
}
