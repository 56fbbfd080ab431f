//! `dashboard`, on facts from files that change between two requests.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::audit::drawn_at;
use crate::folder::Folder;

const SET: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec: {replicas: 1}
";

const RESIZE: &str = "\
apiVersion: stateward.dev/v1alpha1
kind: StatefulSetResize
metadata: {name: db, namespace: shop}
spec: {}
status:
  phase: Growing
  state: Waiting
  reason: ClaimsGrowing
  message: data-db-0 <grows>
  claimsGrown: 1/3
  request: {number: 1, generation: 1, setUid: u, targets: {data: 20Gi}}
";

/// The dashboard, until the test ends.
struct Dashboard {
    process: Child,
    address: String,
}

impl Dashboard {
    fn start(folder: &Folder) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stateward"))
            .args(["dashboard", "--facts", "facts.yaml", "--interval", "0s"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("http://").and_then(|rest| rest.split('/').next());
        Self { address: address.unwrap_or_else(|| panic!("{line:?}")).to_owned(), process }
    }

    /// The head and the body of an answer.
    fn ask(&self, method: &str, path: &str, host: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let close = "Connection: close\r\n\r\n";
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{close}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn get(&self, path: &str) -> (String, String) {
        self.ask("GET", path, &self.address)
    }

    fn audit(&self) -> Value {
        let (head, body) = self.get("/audit.json");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}\n{body}");
        serde_json::from_str(&body).unwrap()
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn each_request_shows_the_facts_of_its_time() {
    let folder = Folder::new(&[("facts.yaml", SET)]);
    let dashboard = Dashboard::start(&folder);
    assert_eq!(dashboard.audit()["summary"]["sets"], 1);
    assert_eq!(dashboard.audit()["resizes"], Value::Null, "nobody knows");
    folder.write("facts.yaml", &format!("{SET}---\n{RESIZE}"));
    let resize = &dashboard.audit()["resizes"][0];
    for (field, value) in [
        ("name", "db"),
        ("phase", "Growing"),
        ("state", "Waiting"),
        ("reason", "ClaimsGrowing"),
        ("message", "data-db-0 <grows>"),
        ("claimsGrown", "1/3"),
    ] {
        assert_eq!(resize[field], value, "{resize}");
    }
    assert_eq!(resize["sizes"]["data"], "20Gi");
    folder.write("facts.yaml", "kind: [");
    let (head, body) = dashboard.get("/audit.json");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(body.starts_with("cannot read facts: facts.yaml:"), "{body}");
    folder.write("facts.yaml", SET);
    assert_eq!(dashboard.audit()["resizes"], Value::Null, "it goes on");
}

#[test]
fn only_reads_under_a_name_of_this_machine_are_answered() {
    let folder = Folder::new(&[("facts.yaml", SET)]);
    let dashboard = Dashboard::start(&folder);
    for (method, path, host, status) in [
        ("GET", "/", "localhost:1", "200"),
        ("GET", "/audit.json", "evil.example", "403"),
        ("GET", "/", "127.0.0.1.evil.example", "403"),
        ("POST", "/audit.json", "localhost", "405"),
        ("DELETE", "/", "localhost", "405"),
        ("GET", "/etc/passwd", "localhost", "404"),
    ] {
        let (head, body) = dashboard.ask(method, path, host);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
        assert!(!head.to_lowercase().contains("access-control"), "{head}");
        assert!(!body.contains("shop"), "{body}");
    }
    let (head, page) = dashboard.get("/");
    assert!(head.contains("content-security-policy: frame-ancestors 'none'"), "{head}");
    assert!(page.contains("default-src 'none'; connect-src 'self';"), "{page}");
    let abroad = folder.run(&["dashboard", "--facts", "facts.yaml", "--listen", "0.0.0.0:0"], "");
    assert_eq!(abroad.code, Some(2));
    assert!(abroad.stderr.contains("it listens on loopback only"), "{}", abroad.stderr);
}

#[test]
fn a_browser_shows_the_resizes_that_it_has_fetched() {
    let folder = Folder::new(&[("facts.yaml", &format!("{SET}---\n{RESIZE}"))]);
    let dashboard = Dashboard::start(&folder);
    let dom = drawn_at(&format!("http://{}/", dashboard.address));
    for part in [
        "data to 20Gi",
        "Waiting, ClaimsGrowing",
        "data-db-0 &lt;grows&gt;",
        "and again every 1 s.",
        "Incomplete: needs a cluster to look at",
    ] {
        assert!(dom.contains(part), "{part:?} is missing:\n{dom}");
    }
}
