//! How each component is called.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::credentials::{self, Credentials};
use super::{Builder, Component};
use crate::install::Tools;
use crate::ports;
use crate::process::Process;

/// Everything that is fixed once ports are chosen, so that a component can be started again.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) tools: Tools,
    pub(super) url: String,
    pub(super) service_range: String,
    folder: PathBuf,
    etcd: u16,
    etcd_peer: u16,
    api_server: u16,
    options: Builder,
}

impl Plan {
    pub(super) fn new(tools: Tools, options: Builder, folder: &Path) -> Result<Self> {
        let api_server = ports::free_port()?;
        // Two testbeds at once must not stand behind the same Service addresses.
        let own = || format!("127.77.{}.0/24", api_server % 256);
        Ok(Self {
            tools,
            url: format!("https://127.0.0.1:{api_server}"),
            service_range: options.service_range.clone().unwrap_or_else(own),
            folder: folder.to_owned(),
            etcd: ports::free_port()?,
            etcd_peer: ports::free_port()?,
            api_server,
            options,
        })
    }

    pub(super) fn etcd_port(&self) -> u16 {
        self.etcd
    }

    pub(super) fn certificates(&self) -> PathBuf {
        self.folder.join("apiserver")
    }

    pub(super) fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.jsonl")
    }

    pub(super) fn log(&self, component: Component) -> PathBuf {
        self.folder.join(format!("{}.log", component.name()))
    }

    /// Starts one component.
    pub(super) fn launch(&self, component: Component) -> Result<Process> {
        let (program, arguments) = match component {
            Component::Etcd => (&self.tools.etcd, self.etcd()),
            Component::ApiServer => (&self.tools.kube_apiserver, self.api_server()),
            Component::ControllerManager => {
                (&self.tools.kube_controller_manager, self.controller_manager())
            }
            Component::Scheduler => (&self.tools.kube_scheduler, self.scheduler()),
            Component::Kwok => (&self.tools.kwok, self.kwok()),
        };
        Process::start(component.name(), program, &arguments, &self.log(component))
    }

    fn etcd(&self) -> Vec<String> {
        let client = format!("http://127.0.0.1:{}", self.etcd);
        let peer = format!("http://127.0.0.1:{}", self.etcd_peer);
        vec![
            "--name=testbed".to_owned(),
            self.path("--data-dir", "etcd"),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=testbed={peer}"),
            // The data is thrown away, so nobody waits for the disk.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ]
    }

    fn api_server(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.api_server),
            format!("--cert-dir={}", self.certificates().display()),
            // The default allows everything, and tests of rights would pass for nothing.
            "--authorization-mode=RBAC".to_owned(),
            // As kubeadm sets up a cluster.
            "--allow-privileged=true".to_owned(),
            // Pods need no token here, and no service account has to exist before them.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            self.path("--token-auth-file", credentials::TOKENS),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            self.path("--service-account-key-file", credentials::ACCOUNT_PUBLIC),
            self.path("--service-account-signing-key-file", credentials::ACCOUNT_PRIVATE),
            format!("--service-cluster-ip-range={}", self.service_range),
            // A loopback address cannot be an endpoint; without this it is tried every 10 s.
            "--endpoint-reconciler-type=none".to_owned(),
        ];
        if self.options.audit {
            arguments.push(self.path("--audit-policy-file", credentials::AUDIT_POLICY));
            arguments.push(format!("--audit-log-path={}", self.audit_log().display()));
            // An event must be in the file before its request is answered.
            arguments.push("--audit-log-mode=blocking".to_owned());
            // In megabytes: places in it must hold for as long as a test runs.
            arguments.push("--audit-log-maxsize=100000".to_owned());
        }
        arguments.extend(self.feature_gates());
        arguments.extend_from_slice(&self.options.api_server);
        arguments
    }

    fn controller_manager(&self) -> Vec<String> {
        let mut arguments = vec![
            self.kubeconfig("--kubeconfig", credentials::CONTROLLER_MANAGER),
            // Each controller is then a user of its own, as in most clusters.
            "--use-service-account-credentials=true".to_owned(),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            // A node that became ready loses its taint at the next look; 5 s by default.
            "--node-monitor-period=500ms".to_owned(),
            // With the default of 20 a second, making an account per controller takes 4 s.
            "--kube-api-qps=200".to_owned(),
            "--kube-api-burst=400".to_owned(),
            self.path("--root-ca-file", credentials::CA),
        ];
        arguments.extend(self.feature_gates());
        arguments.extend_from_slice(&self.options.controller_manager);
        arguments
    }

    fn scheduler(&self) -> Vec<String> {
        let mut arguments = vec![
            self.kubeconfig("--kubeconfig", credentials::SCHEDULER),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        arguments.extend(self.feature_gates());
        arguments
    }

    fn kwok(&self) -> Vec<String> {
        vec![
            self.kubeconfig("--kubeconfig", credentials::NODE),
            self.path("--config", crate::nodes::STAGES),
            "--manage-all-nodes=true".to_owned(),
            "--node-lease-duration-seconds=40".to_owned(),
            "--node-ip=127.0.0.1".to_owned(),
        ]
    }

    fn feature_gates(&self) -> Option<String> {
        let gates = &self.options.feature_gates;
        (!gates.is_empty()).then(|| format!("--feature-gates={}", gates.join(",")))
    }

    fn path(&self, flag: &str, file: &str) -> String {
        format!("{flag}={}", self.folder.join(file).display())
    }

    fn kubeconfig(&self, flag: &str, user: &str) -> String {
        format!("{flag}={}", Credentials::kubeconfig_in(&self.folder, user).display())
    }
}
