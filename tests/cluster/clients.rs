//! An API server that shows a certificate to the webhook, which asks for one.

use serde_json::json;
use testbed::Testbed;

use crate::chart::{CHART, PORT, Pod, answered, helm, helm_test};
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
fn configuration(folder: &std::path::Path, webhook: &str) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/certs/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    for name in ["admission.yaml", "webhooks.kubeconfig"] {
        let marker = format!("# {name}\n");
        let block = readme.split("```yaml\n").find_map(|block| block.strip_prefix(&marker));
        let block = block.unwrap().split("```").next().unwrap();
        let block = block
            .replace("/etc/kubernetes/stateward/", &format!("{}/", folder.display()))
            .replace("stateward.stateward.svc", webhook);
        std::fs::write(at(name), block).unwrap();
    }
    format!("--admission-control-config-file={}", at("admission.yaml"))
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_api_server_with_a_certificate_is_let_in_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    client_certificate(folder.path());
    let authority = format!("--client-ca={}", folder.path().join("clients.crt").display());
    let webhook = Webhook::start(&[&authority, "--client-name=kube-apiserver"]).await;
    let argument = configuration(folder.path(), &format!("127.0.0.1:{}", webhook.port));
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

/// Waits until `stateward`, run by an administrator, ends with this code and says this. What it tries
/// has a time limit of its own, which a busy machine reaches.
async fn says(testbed: &Testbed, arguments: &[&str], code: i32, said: &str) -> String {
    let mut last = String::new();
    testbed::wait::wait_for(said, LONG, async || {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
            .env("KUBECONFIG", testbed.kubeconfig())
            .args(arguments)
            .output()?;
        last = String::from_utf8(output.stdout)? + &String::from_utf8_lossy(&output.stderr);
        Ok((output.status.code() == Some(code) && last.contains(said)).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}: {last}"));
    last
}

/// The chart's pods ask for a certificate, the API server shows one, and what people run says so.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_chart_answers_only_an_api_server_with_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    client_certificate(folder.path());
    let argument = configuration(folder.path(), "stateward.stateward.svc:18443");
    let testbed = Testbed::builder().controllers(false).api_server_argument(argument);
    let testbed = testbed.start().await.unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let kubectl = async |line: &[&str]| testbed.kubectl(line).await.unwrap().ok().unwrap();
    kubectl(&["create", "namespace", "stateward"]).await;
    // The key has no business in the pods.
    let (root, key) =
        (format!("root.pem={}", at("clients.crt")), format!("key.pem={}", at("clients.key")));
    let clients = ["create", "secret", "generic", "clients", "-n=stateward", "--from-file"];
    kubectl(&[&clients[..], &[&root, "--from-file", &key]].concat()).await;
    let (cert, key) =
        (format!("--cert={}", at("client.crt")), format!("--key={}", at("client.key")));
    kubectl(&["create", "secret", "tls", "tester", "-n=stateward", &cert, &key]).await;

    let values = "--set=webhook.clientCA.secret=clients,webhook.clientCA.key=root.pem,\
                  webhook.clientCA.names={kube-apiserver}";
    let shown = "--set=webhook.clientCA.testSecret=tester";
    let install = ["install", "stateward", CHART, PORT, values, shown];
    helm(&testbed, &install).await.ok().unwrap();
    let pod = Pod::start(&testbed).await;
    assert!(pod.file("clients", "ca.crt").exists() && !pod.file("clients", "key.pem").exists());
    answered(&testbed, 403).await;
    pod.enforcing("1").await;

    let (code, text) = helm_test(&testbed, &[&[pod.connect()]]).await.remove(0);
    assert!(code == Some(0) && text.matches(" answered in ").count() == 2, "{text}");
    let connect = pod.connect();
    let asked = "it asks for a certificate (--client-cert)";
    says(&testbed, &["probe", &connect, "--timeout=2s"], 1, asked).await;
    // A certificate that nobody has signed is not taken.
    let (cert, key) = (
        format!("--client-cert={}", at("clients.crt")),
        format!("--client-key={}", at("clients.key")),
    );
    let stranger = ["probe", &connect, "--timeout=2s", &cert, &key];
    says(&testbed, &stranger, 1, "it may not take the certificate shown").await;
    let mixed = format!("--client-key={}", at("client.key"));
    says(&testbed, &["probe", &connect, &cert, &mixed], 2, "cannot use ").await;
    let seen = says(&testbed, &["status", &connect], 0, "certificate  expires at ").await;
    assert!(seen.contains("clients      it asks for a certificate"), "{seen}");

    // Without a certificate of its own, `helm test` sees that strangers are turned away.
    let upgrade = ["upgrade", "stateward", CHART, PORT, values];
    helm(&testbed, &upgrade).await.ok().unwrap();
    let (code, text) = helm_test(&testbed, &[&[pod.connect()]]).await.remove(0);
    assert!(code == Some(0), "{text}");
    assert_eq!(text.matches(" turns away whoever shows no certificate; ").count(), 2, "{text}");
}
