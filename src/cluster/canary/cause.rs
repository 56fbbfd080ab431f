//! Why a refusal did not arrive.

use stateward_core::annotations::DISABLED_UNTIL;

use super::ApiError;

/// Why a refusal did not arrive, in the words of whoever has to mend it.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// the policy refuses nothing
    #[error("the policy says mode: audit, which denies nothing")]
    Audit,
    /// somebody has disabled it
    #[error("stateward is disabled by {} on its namespace", DISABLED_UNTIL)]
    Disabled,
    /// there is no configuration
    #[error("{kind} {name} does not exist: apply the chart, or `stateward manifests`, again")]
    NoConfiguration {
        /// its kind
        kind: &'static str,
        /// its name
        name: String,
    },
    /// the configuration has no such webhook
    #[error("{kind} {name} holds no webhook {webhook}: apply the chart again")]
    NoWebhook {
        /// the kind of the configuration
        kind: &'static str,
        /// its name
        name: String,
        /// the webhook
        webhook: String,
    },
    /// the API server trusts nobody
    #[error(
        "the caBundle of {webhook} is empty, so the API server trusts nobody: see certs/README.md \
         for who fills it"
    )]
    NoBundle {
        /// the webhook
        webhook: String,
    },
    /// other kinds only
    #[error("the rules of {webhook} leave out the CREATE of StatefulSets: apply the chart again")]
    Rules {
        /// the webhook
        webhook: String,
    },
    /// another namespace only
    #[error(
        "the namespaceSelector of {webhook} leaves out namespace {namespace}, so the canary proves \
         nothing: label that namespace like those that are judged"
    )]
    Selector {
        /// the webhook
        webhook: String,
        /// the namespace of the canary
        namespace: String,
    },
    /// called in vain, or not at all
    #[error(
        "the API server cannot call {webhook} at {place}: on EKS with another CNI the control plane \
         reaches no pods (hostNetwork: true), on private GKE the firewall has to let the pods' port \
         through (ports.webhook, 9443), a NetworkPolicy may be in the way, the API server may show no \
         certificate where webhook.clientCA asks for one, or no replica is ready"
    )]
    Unreachable {
        /// the webhook
        webhook: String,
        /// where it should be
        place: String,
    },
    /// the API server said why
    #[error("the API server cannot call {webhook}: {message}")]
    Failed {
        /// the webhook
        webhook: String,
        /// what the API server said
        message: String,
    },
    /// somebody else refused it first
    #[error(
        "something else refused the canary before {webhook} could: exclude namespace {namespace} \
         there: {message}"
    )]
    Foreign {
        /// the webhook
        webhook: String,
        /// the namespace of the canary
        namespace: String,
        /// what the API server said
        message: String,
    },
    /// there is nowhere to send it to
    #[error(
        "namespace {namespace} for the canary does not exist: apply the chart again, or name another with \
         --canary-namespace"
    )]
    NoNamespace {
        /// the namespace of the canary
        namespace: String,
    },
    /// no right to send it
    #[error(
        "the canary may not be sent: it needs the right to get namespace {namespace} and to create \
         StatefulSets there: {message}"
    )]
    NoRight {
        /// the namespace of the canary
        namespace: String,
        /// what the API server said
        message: String,
    },
    /// the canary was not answered
    #[error("the canary could not be sent")]
    NotSent(#[source] ApiError),
    /// the canary went through, and nobody can say why
    #[error("the canary went through, and the webhook configuration cannot be read")]
    CannotLook(#[source] ApiError),
}

impl Cause {
    /// The name in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Disabled => "disabled",
            Self::NoConfiguration { .. } | Self::NoWebhook { .. } | Self::Rules { .. } => {
                "configuration"
            }
            Self::NoBundle { .. } => "ca-bundle",
            Self::Selector { .. } => "selector",
            Self::Unreachable { .. } | Self::Failed { .. } => "unreachable",
            Self::Foreign { .. } => "foreign",
            Self::NoNamespace { .. } | Self::NoRight { .. } | Self::NotSent(_) => "not-sent",
            Self::CannotLook(_) => "unknown",
        }
    }

    /// Whether somebody in charge wanted it so.
    pub const fn is_intended(&self) -> bool {
        matches!(self, Self::Audit | Self::Disabled)
    }

    /// Whether nothing can be said, since no canary was answered.
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::NoNamespace { .. } | Self::NoRight { .. } | Self::NotSent(_))
    }

    /// With the reasons below it.
    pub fn describe(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }

    pub(super) fn not_sent(error: ApiError, namespace: &str) -> Self {
        match error {
            ApiError::Refused { status: 401 | 403, message, .. } => {
                Self::NoRight { namespace: namespace.to_owned(), message }
            }
            error => Self::NotSent(error),
        }
    }

    /// An answer that is neither our refusal nor a success.
    pub(super) fn of_refusal(webhook: &str, status: u16, message: String, namespace: &str) -> Self {
        let (webhook, namespace) = (webhook.to_owned(), namespace.to_owned());
        if message.contains("failed calling webhook") && message.contains(".stateward.dev") {
            return Self::Failed { webhook, message };
        }
        if status == 404 {
            return Self::NoNamespace { namespace };
        }
        if status == 401 || (status == 403 && message.contains("cannot create")) {
            return Self::NoRight { namespace, message };
        }
        Self::Foreign { webhook, namespace, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_others_are_told_apart() {
        let name = |status, message: &str| {
            Cause::of_refusal("validate.stateward.dev", status, message.to_owned(), "ns").name()
        };
        let called =
            "Internal error occurred: failed calling webhook \"validate.stateward.dev\": x";
        assert_eq!(name(500, called), "unreachable");
        assert_eq!(name(403, "admission webhook \"kyverno.svc\" denied the request"), "foreign");
        assert_eq!(name(500, "failed calling webhook \"kyverno.svc\""), "foreign");
        assert_eq!(name(403, "User \"x\" cannot create resource \"statefulsets\""), "not-sent");
        assert_eq!(name(404, "namespaces \"ns\" not found"), "not-sent");
    }
}
