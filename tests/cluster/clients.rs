//! An API server that shows a certificate to the webhook, which asks for one.

use serde_json::json;
use testbed::Testbed;

use crate::webhook::{LONG, Webhook, path, set};

/// `stateward certs` makes an authority; OpenSSL signs a client's certificate with it.
fn client_certificate(folder: &std::path::Path) {
    let run = |line: &str| {
        let output = std::process::Command::new("sh")
            .args(["-ec", line])
            .current_dir(folder)
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl is needed for this test: {complaint}");
    };
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
         -subj /CN=clients -keyout clients.key -out clients.crt");
    run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
         -subj /CN=kube-apiserver -keyout client.key -out client.csr");
    run("printf extendedKeyUsage=clientAuth > client.ext; openssl x509 -req -in client.csr \
         -CA clients.crt -CAkey clients.key -CAcreateserial -days 1 -extfile client.ext \
         -out client.crt");
}

/// The files of certs/README.md, with the webhook's address as the one that the kubeconfig is for.
fn configuration(folder: &std::path::Path, port: u16) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/certs/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    for name in ["admission.yaml", "webhooks.kubeconfig"] {
        let marker = format!("# {name}\n");
        let block = readme.split("```yaml\n").find_map(|block| block.strip_prefix(&marker));
        let block = block.unwrap().split("```").next().unwrap();
        let block = block
            .replace("/etc/kubernetes/stateward/", &format!("{}/", folder.display()))
            .replace("stateward.stateward.svc", &format!("127.0.0.1:{port}"));
        std::fs::write(at(name), block).unwrap();
    }
    format!("--admission-control-config-file={}", at("admission.yaml"))
}

#[tokio::test]
async fn an_api_server_with_a_certificate_is_let_in_and_others_are_not() {
    if testbed::skipped() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    client_certificate(folder.path());
    let authority = format!("--client-ca={}", folder.path().join("clients.crt").display());
    let webhook = Webhook::start(&[&authority, "--client-name=kube-apiserver"]).await;
    let argument = configuration(folder.path(), webhook.port);
    let with = Testbed::builder().controllers(false).api_server_argument(argument);
    let with = with.start().await.unwrap();
    webhook.register(&with, &["--failure-policy=Fail"]).await;
    drop(with);

    // The same webhook, and an API server that has no certificate for it.
    let without = Testbed::builder().controllers(false).start().await.unwrap();
    let sets = "/apis/apps/v1/namespaces/default/statefulsets";
    without.create(sets, set("db", "default")).await.unwrap().ok().unwrap();
    let manifests = webhook.manifests(&["--failure-policy=Fail"]);
    let apply = ["apply", "-f", "-"];
    without.kubectl_with("admin", &apply, Some(&manifests)).await.unwrap().ok().unwrap();
    testbed::wait::wait_for("the API server to be turned away", LONG, async || {
        let edit = json!({"spec": {"replicas": 1}});
        let reply = without.merge(&path("default", "db"), edit).await?;
        let turned_away = reply.status == 500 && reply.message().contains("certificate required");
        Ok(turned_away.then_some(()))
    })
    .await
    .unwrap();
}
