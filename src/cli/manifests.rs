//! `stateward manifests`: what the cluster has to know, as documents for kubectl.

mod configuration;
pub mod operators;
mod selector;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use stateward_core::object::names::is_dns_label;
use stateward_resize::{admission_policy, controller_policy, crd, rights};

use self::configuration::{Address, Registration};
use super::Outcome;

/// What `helm template stateward charts/stateward -n stateward` renders, without Helm's labels and
/// hooks, and with the namespace that Helm makes; a test holds it to the chart.
const INSTALL: &str = include_str!("../../charts/install.yaml");
const IMAGE: &str = concat!("ghcr.io/stateward/stateward:", env!("CARGO_PKG_VERSION"));

/// Names of configurations from files end so, and the API refuses such names (KEP-5793).
const STATIC_NAME: &str = "stateward.static.k8s.io";

/// Arguments of `stateward manifests`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(
    group = clap::ArgGroup::new("what").required(true).multiple(true)
        .args(["url", "service", "crds", "rights", "install"]),
    group = clap::ArgGroup::new("trust").args(["ca", "cluster_certs"]),
    after_help = "Example:\n  stateward manifests --ca certs/dev/ca.crt \
                  --url https://127.0.0.1:9443 | kubectl apply -f -\n  \
                  stateward manifests --crds | kubectl apply --server-side -f -\n  \
                  stateward manifests --install | kubectl apply --server-side -f -"
)]
pub struct Args {
    /// CA certificate for the caBundle, in PEM form
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// Leave the caBundle empty: `serve --cluster-certs` or cert-manager sets it
    #[arg(long)]
    pub cluster_certs: bool,

    /// URL at which the API server reaches the webhook, without a path
    #[arg(
        long,
        value_name = "URL",
        value_parser = base_url,
        requires = "trust",
        conflicts_with = "service"
    )]
    pub url: Option<String>,

    /// Service in front of the webhook, in the namespace of stateward, which is then exempt
    #[arg(long, value_name = "NAME[:PORT]", requires = "trust")]
    pub service: Option<Service>,

    /// Namespace of stateward
    #[arg(long, value_name = "NAMESPACE", default_value = "stateward", value_parser = namespace)]
    pub system_namespace: String,

    /// Print the objects that resizes need: the custom resource, the admission policy that checks
    /// the right to grow claims, and roles for people
    #[arg(long)]
    pub crds: bool,

    /// Print the controller's service account, the roles that it and the webhook need, and the
    /// admission policies that limit the controller to the writes of a resize
    #[arg(long)]
    pub rights: bool,

    /// Print everything that the chart installs by default, for the namespace stateward
    #[arg(long, conflicts_with_all = ["url", "service", "crds", "rights", "system_namespace"])]
    pub install: bool,

    /// Print one webhook configuration as a file for the API server's `staticManifestsDir`
    /// (Kubernetes 1.37 and newer). Nobody can change or delete it through the API
    #[arg(
        long = "static",
        value_name = "KIND",
        requires_all = ["url", "ca"],
        conflicts_with_all = ["crds", "rights"]
    )]
    pub static_manifest: Option<WebhookConfiguration>,

    /// Image for --install
    #[arg(long, value_name = "IMAGE", requires = "install", default_value = IMAGE)]
    pub image: String,

    /// Judge only namespaces with these labels: KEY=VALUE, KEY!=VALUE, KEY, !KEY; repeatable
    #[arg(long, value_name = "REQUIREMENT", value_parser = selector::parse)]
    pub namespace_selector: Vec<LabelSelectorRequirement>,

    /// Namespace to exempt, besides kube-system; repeatable
    #[arg(long, value_name = "NAMESPACE", value_parser = namespace)]
    pub exclude_namespace: Vec<String>,

    /// User whose changes are not judged; repeatable. Anyone who can use such an account is exempt, so
    /// name no service account of a tenant's namespace
    #[arg(long, value_name = "USER", value_parser = user)]
    pub exclude_user: Vec<String>,

    /// What the API server does with a change while it cannot reach the webhook
    #[arg(long, value_name = "POLICY", default_value = "Ignore", ignore_case = true)]
    pub failure_policy: FailurePolicy,

    /// Seconds for which the API server waits for an answer
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "3",
        value_parser = clap::value_parser!(u8).range(1..=30)
    )]
    pub timeout: u8,

    /// Also send the claims that the controllers of sets create, so that `size-on-create: claims` in the
    /// policy raises those of new replicas. They wait 1 s at most if the webhook is away
    #[arg(long, conflicts_with = "install")]
    pub new_claims: bool,
}

/// What becomes of a change while the webhook cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum FailurePolicy {
    /// allow it without a judgement
    Ignore,
    /// reject it
    Fail,
}

impl FailurePolicy {
    const fn name(self) -> &'static str {
        match self {
            Self::Ignore => "Ignore",
            Self::Fail => "Fail",
        }
    }
}

/// Which of the two configurations. The API server takes each kind from a folder of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WebhookConfiguration {
    /// the MutatingWebhookConfiguration
    Mutating,
    /// the ValidatingWebhookConfiguration
    Validating,
}

/// A Service in the namespace of stateward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// its name
    pub name: String,
    /// its port
    pub port: u16,
}

impl std::str::FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("\"{text}\" is not NAME or NAME:PORT; --system-namespace names its namespace")
        };
        let (name, port) = text.split_once(':').unwrap_or((text, "443"));
        let port = port.parse().map_err(|_| wrong())?;
        if !is_dns_label(name) || port == 0 {
            return Err(wrong());
        }
        Ok(Self { name: name.to_owned(), port })
    }
}

/// What the API server takes as the URL of a webhook, without its path.
fn base_url(text: &str) -> Result<String, String> {
    let Some(rest) = text.strip_prefix("https://") else {
        return Err("the API server calls webhooks over https only".to_owned());
    };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
        return Err(
            "it has to be https://HOST:PORT, without path, user, query and fragment".to_owned()
        );
    }
    Ok(format!("https://{host}"))
}

/// Prints them.
///
/// # Errors
/// A file that is no certificate of an authority.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let mut streams = Vec::new();
    let mut objects = Vec::new();
    if args.install {
        streams.push(INSTALL.replace(IMAGE, &args.image));
    }
    if args.crds {
        objects.extend([crd::crd(), admission_policy::policy(), admission_policy::binding()]);
        objects.extend(rights::user_roles());
    }
    if args.rights {
        let namespace = &args.system_namespace;
        objects.extend(rights::roles(namespace));
        objects.extend(controller_policy::policies(namespace));
    }
    if !objects.is_empty() {
        streams.push(yaml(&objects)?);
    }
    let address = match (&args.url, &args.service) {
        (Some(url), _) => Some(Address::Url(url)),
        (None, service) => service
            .as_ref()
            .map(|service| Address::Service { namespace: &args.system_namespace, service }),
    };
    if let Some(address) = address {
        streams.push(registration(args, address)?);
    }
    super::print(&streams.join("---\n"))?;
    Ok(Outcome::Clean)
}

/// Both webhook configurations.
fn registration(args: &Args, address: Address<'_>) -> anyhow::Result<String> {
    let authority = args.ca.as_deref().map(authority).transpose()?;
    let mut excluded = vec!["kube-system".to_owned()];
    excluded.extend(args.service.iter().map(|_| args.system_namespace.clone()));
    excluded.extend(args.exclude_namespace.iter().cloned());
    let registration = Registration {
        address,
        authority: authority.as_deref(),
        excluded,
        requirements: &args.namespace_selector,
        users: &args.exclude_user,
        failure_policy: args.failure_policy,
        timeout: args.timeout,
        new_claims: args.new_claims,
    };
    let (mut mutating, mut validating) = (registration.mutating(), registration.validating());
    if args.static_manifest.is_some() {
        for metadata in [&mut mutating.metadata, &mut validating.metadata] {
            metadata.name = Some(STATIC_NAME.to_owned());
        }
    }
    let (mutating, validating) =
        (serde_json::to_value(mutating)?, serde_json::to_value(validating)?);
    match args.static_manifest {
        None => yaml(&[mutating, validating]),
        Some(WebhookConfiguration::Mutating) => yaml(&[mutating]),
        Some(WebhookConfiguration::Validating) => yaml(&[validating]),
    }
}

/// Documents of one stream.
fn yaml(documents: &[Value]) -> anyhow::Result<String> {
    // Never folded: an expression is easier to compare with its origin in one line.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    Ok(serde_saphyr::to_string_multiple_with_options(documents, options)?)
}

fn namespace(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err("this is no name of a namespace".to_owned())
    }
}

/// A name that stands in an expression between quotes.
fn user(text: &str) -> Result<String, String> {
    let breaks = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '\\');
    if text.is_empty() || text.contains(breaks) {
        Err("the name of a user has no blanks, quotes and backslashes here".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// The certificate of an authority, in PEM form.
fn authority(file: &Path) -> anyhow::Result<Vec<u8>> {
    let at = file.display();
    let pem = std::fs::read(file).with_context(|| format!("cannot read \"{at}\""))?;
    if pem.windows(11).any(|window| window == b"PRIVATE KEY") {
        bail!("\"{at}\" holds a private key, which must not be published; give the certificate");
    }
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("\"{at}\" is not in PEM form"))?;
    if certificates.is_empty() {
        bail!("\"{at}\" holds no certificate in PEM form");
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_services() {
        let service = |port| Ok(Service { name: "web".to_owned(), port });
        assert_eq!("web".parse(), service(443));
        assert_eq!("web:9443".parse(), service(9443));
        for wrong in ["", "a/web", "web:0", "web:x", "Web", "-web", "web:"] {
            assert!(wrong.parse::<Service>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn takes_only_urls_that_the_api_server_takes() {
        assert_eq!(base_url("https://h:9443/").as_deref(), Ok("https://h:9443"));
        for wrong in [
            "http://h",
            "h:9443",
            "https://",
            "https://u@h",
            "https://h?a",
            "https://h#a",
            "https://h/a",
        ] {
            assert!(base_url(wrong).is_err(), "{wrong}");
        }
    }
}
