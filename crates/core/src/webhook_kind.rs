//! The two webhooks that the API server calls.

/// A mutating or a validating webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebhookKind {
    /// sees each edit before Kubernetes validates it, and may change it
    Mutating,
    /// sees what survives
    Validating,
}

impl WebhookKind {
    /// Both, in the order in which the API server calls them.
    pub const ALL: [Self; 2] = [Self::Mutating, Self::Validating];

    /// `mutate` or `validate`: the endpoint in logs and metrics, and the first label of the
    /// webhook's name.
    pub const fn endpoint(self) -> &'static str {
        match self {
            Self::Mutating => "mutate",
            Self::Validating => "validate",
        }
    }

    /// The path of the endpoint.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Mutating => "/mutate",
            Self::Validating => "/validate",
        }
    }

    /// The kind of the object that registers such a webhook.
    pub const fn configuration_kind(self) -> &'static str {
        match self {
            Self::Mutating => "MutatingWebhookConfiguration",
            Self::Validating => "ValidatingWebhookConfiguration",
        }
    }

    /// The plural of [`configuration_kind`](Self::configuration_kind) in URLs.
    pub const fn configuration_plural(self) -> &'static str {
        match self {
            Self::Mutating => "mutatingwebhookconfigurations",
            Self::Validating => "validatingwebhookconfigurations",
        }
    }
}
