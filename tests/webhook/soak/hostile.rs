//! What others do to the server.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::server::{Outcome, Server, post};

/// One way to be a bad client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// connects and says nothing
    HalfOpen,
    /// sends the head of a request a byte at a time
    SlowHead,
    /// sends the body of a request a byte at a time
    SlowBody,
    /// connects, shakes hands and leaves, again and again
    Storm,
    /// sends more than a body may have, announced and not
    Oversize,
    /// sends reviews of lists that take much more memory decoded than as text
    Lists,
    /// sends what is no review
    Malformed,
    /// asks and does not take the answer
    Deaf,
}

/// How many clients met what.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(BTreeMap<String, usize>);

impl Outcomes {
    fn add(&mut self, outcome: String) {
        *self.0.entry(outcome).or_default() += 1;
    }

    /// Whether what the attack is for has been met. One that is slow is held as long as a limit
    /// allows, and closed then.
    pub(crate) fn happened(&self, attack: Attack) -> bool {
        let met = |outcome: &&str| self.0.contains_key(*outcome);
        match attack {
            Attack::HalfOpen | Attack::SlowHead | Attack::SlowBody | Attack::Deaf => {
                ["held", "closed"].iter().any(met)
            }
            Attack::Storm => met(&"left"),
            Attack::Oversize => met(&"413"),
            Attack::Lists => met(&"200"),
            Attack::Malformed => ["200", "400", "404", "405", "415"].iter().all(met),
        }
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> =
            self.0.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        f.write_str(&parts.join(", "))
    }
}

impl Attack {
    pub(crate) const ALL: [Self; 8] = [
        Self::HalfOpen,
        Self::SlowHead,
        Self::SlowBody,
        Self::Storm,
        Self::Oversize,
        Self::Lists,
        Self::Malformed,
        Self::Deaf,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::HalfOpen => "half-open connections",
            Self::SlowHead => "slow heads",
            Self::SlowBody => "slow bodies",
            Self::Storm => "connection storm",
            Self::Oversize => "oversize bodies",
            Self::Lists => "lists that decode large",
            Self::Malformed => "malformed input",
            Self::Deaf => "answers not taken",
        }
    }

    /// Up to `size` clients at once for `time`.
    pub(crate) async fn run(self, server: &Arc<Server>, size: usize, time: Duration) -> Outcomes {
        // A handshake or a large body costs the client as much as the server.
        let clients = match self {
            Self::HalfOpen => size,
            Self::SlowHead | Self::SlowBody => size / 4,
            // Each of them asks until nothing more fits between it and the server.
            Self::Deaf => size / 40,
            Self::Storm | Self::Malformed => 4,
            // One announces its length, the other does not.
            Self::Oversize => 2,
            // As many as took 1.3 GiB.
            Self::Lists => 8,
        };
        let end = Instant::now() + time;
        let mut tasks = JoinSet::new();
        for client in 0..clients.max(2) {
            let server = Arc::clone(server);
            tasks.spawn(async move { self.client(&server, client, end).await });
        }
        let mut outcomes = Outcomes::default();
        while let Some(task) = tasks.join_next().await {
            for outcome in task.unwrap() {
                outcomes.add(outcome);
            }
        }
        outcomes
    }

    async fn client(self, server: &Server, client: usize, end: Instant) -> Vec<String> {
        let mut met = Vec::new();
        let said = |outcome: Outcome<String>| outcome.unwrap_or_else(|_| "closed".to_owned());
        match self {
            Self::HalfOpen => met.push(said(half_open(server, end).await)),
            Self::SlowHead => {
                met.push(said(slow(server, b"POST /validate HTTP/1.1\r\nhost: l", end).await));
            }
            Self::SlowBody => {
                met.push(said(slow(server, &head("content-length: 1000\r\n"), end).await));
            }
            Self::Deaf => met.push(said(deaf(server, end).await)),
            Self::Storm => {
                while Instant::now() < end {
                    met.push(said(server.tls().await.map(|_| "left".to_owned())));
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            Self::Oversize => {
                while Instant::now() < end {
                    met.push(said(oversize(server, client.is_multiple_of(2)).await));
                    // To encrypt 36 MiB costs this process as much as the server.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            Self::Lists => {
                let body = LISTS[client % 4].get_or_init(|| lists(client));
                let start = head(&format!("content-length: {}\r\n", body.len()));
                loop {
                    met.push(said(raw(server, &start, body).await));
                    if Instant::now() >= end {
                        break;
                    }
                }
            }
            Self::Malformed => {
                let bodies = bodies();
                for turn in client.. {
                    if Instant::now() >= end && turn > client + bodies.len() {
                        break;
                    }
                    let (start, body) = &bodies[turn % bodies.len()];
                    met.push(said(raw(server, start, body).await));
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
        met
    }
}

fn head(extra: &str) -> Vec<u8> {
    let head = "POST /validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    format!("{head}{extra}\r\n").into_bytes()
}

async fn half_open(server: &Server, end: Instant) -> Outcome<String> {
    let mut stream = server.tcp().await?;
    let left = end.saturating_duration_since(Instant::now());
    Ok(match tokio::time::timeout(left, stream.read(&mut [0; 16])).await {
        Err(_) => "held".to_owned(),
        Ok(_) => "closed".to_owned(),
    })
}

/// What stands in `first` at once, then a byte now and then, until the server has had enough.
async fn slow(server: &Server, first: &[u8], end: Instant) -> Outcome<String> {
    let mut stream = server.tls().await?;
    stream.write_all(first).await?;
    stream.flush().await?;
    while Instant::now() < end {
        stream.write_all(b"x").await?;
        stream.flush().await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok("held".to_owned())
}

/// Many requests in one go, whose answers are never read.
async fn deaf(server: &Server, end: Instant) -> Outcome<String> {
    let mut stream = server.tls().await?;
    let mut request = head("content-length: 2\r\n");
    request.extend_from_slice(b"{}");
    let left = end.saturating_duration_since(Instant::now());
    let flood = async {
        loop {
            stream.write_all(&request.repeat(50)).await?;
        }
    };
    let flooded: Result<std::io::Result<()>, _> = tokio::time::timeout(left, flood).await;
    match flooded {
        Err(_) => Ok("held".to_owned()),
        Ok(ended) => Ok(ended.map(|()| String::new())?),
    }
}

/// Made once, since that costs this process as much as it costs the server.
static OVERSIZE: OnceLock<Vec<u8>> = OnceLock::new();
static LISTS: [OnceLock<Vec<u8>>; 4] = [const { OnceLock::new() }; 4];

/// A body beyond 36 MiB, with its length announced or in chunks.
async fn oversize(server: &Server, announced: bool) -> Outcome<String> {
    let mut stream = server.tls().await?;
    if announced {
        let length = 36 * 1024 * 1024 + 1;
        stream.write_all(&head(&format!("content-length: {length}\r\n"))).await?;
        stream.write_all(OVERSIZE.get_or_init(|| vec![b'x'; length])).await?;
        stream.flush().await?;
    } else {
        stream.write_all(&head("transfer-encoding: chunked\r\n")).await?;
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        for _ in 0..580 {
            // It may have said why before everything was sent.
            if stream.write_all(chunk.as_bytes()).await.is_err() {
                break;
            }
        }
        stream.write_all(b"0\r\n\r\n").await?;
    }
    status(&mut stream).await
}

async fn raw(server: &Server, start: &[u8], body: &[u8]) -> Outcome<String> {
    let mut stream = server.tls().await?;
    stream.write_all(start).await?;
    stream.write_all(body).await?;
    stream.flush().await?;
    status(&mut stream).await
}

/// The status of the answer, or `closed` where there is none.
async fn status(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Outcome<String> {
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(30), stream.read_exact(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer[9..]).into_owned())
}

/// A review of 5 MiB whose lists have hundreds of thousands of items, each client with another list.
fn lists(client: usize) -> Vec<u8> {
    let (list, item) = [
        ("volumeClaimTemplates", r#"{"metadata":{"name":"data"},"spec":{"resources":{}}}"#),
        ("volumeClaimTemplates", "{}"),
        ("template", r#"{"name":"a","mountPath":"/a"}"#),
        ("unknown", "[]"),
    ][client % 4];
    let set = |more: &str| {
        let items = vec![item; 5 * 512 * 1024 / (item.len() + 1)].join(",");
        let value = match list {
            "template" => format!(
                r#"{{"spec":{{"containers":[{{"name":"c","image":"i{more}","volumeMounts":[{items}]}}]}}}}"#
            ),
            _ => format!("[{items}]"),
        };
        format!(
            r#"{{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{{"name":"db",
            "labels":{{"a":"b{more}"}}}},"spec":{{"replicas":0,"{list}":{value}}}}}"#
        )
    };
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"1",
        "kind":{{"group":"apps","version":"v1","kind":"StatefulSet"}},
        "resource":{{"group":"apps","version":"v1","resource":"statefulsets"}},
        "operation":"UPDATE","userInfo":{{"username":"u"}},"object":{},"oldObject":{}}}}}"#,
        set("2"),
        set("1")
    )
    .into_bytes()
}

/// Heads and bodies that are no good reviews, each in its own way.
fn bodies() -> Vec<(Vec<u8>, Vec<u8>)> {
    let review = |object: &str| {
        format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"1",
            "kind":{{"group":"apps","version":"v1","kind":"StatefulSet"}},
            "resource":{{"group":"apps","version":"v1","resource":"statefulsets"}},
            "operation":"CREATE","userInfo":{{"username":"u"}},"object":{object}}}}}"#
        )
        .into_bytes()
    };
    let deep = 100_000;
    let texts: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"{".to_vec(),
        b"null".to_vec(),
        vec![0xff; 1000],
        review("null"),
        review("{}"),
        review("[]"),
        review("1e400"),
        review(r#"{"spec":{"replicas":1e400}}"#),
        review(r#"{"metadata":{"name":"\ud800"}}"#),
        review(r#"{"kind":"StatefulSet","kind":"Pod","kind":"StatefulSet"}"#),
        review(&format!("{}{}", "[".repeat(deep), "]".repeat(deep))),
        review(&format!("{}1{}", r#"{"a":"#.repeat(deep), "}".repeat(deep))),
        review("{}").iter().flat_map(|byte| [*byte, b' ']).collect(),
        br#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"1"}}"#
            .to_vec(),
        br#"{"apiVersion":"v1","kind":"Pod"}"#.to_vec(),
    ];
    let posted = |text: Vec<u8>| (head(&format!("content-length: {}\r\n", text.len())), text);
    let mut bodies: Vec<(Vec<u8>, Vec<u8>)> = texts.into_iter().map(posted).collect();
    for start in [
        "DELETE /validate HTTP/1.1\r\nhost: l\r\n\r\n",
        "CONNECT l:443 HTTP/1.1\r\nhost: l\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: l\r\n\r\n",
        "POST /validate HTTP/1.1\r\nhost: l\r\ncontent-length: 2\r\n\r\n{}",
        "POST /validate HTTP/1.1\r\nhost: l\r\ncontent-length: -1\r\n\r\n",
        "POST /validate HTTP/1.1\r\nhost: l\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "POST /validate HTTP/9.9\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
    ] {
        bodies.push((start.as_bytes().to_vec(), Vec::new()));
    }
    let gzip = "content-encoding: gzip\r\ncontent-length: 20\r\n";
    bodies
        .push((head(gzip), vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    bodies
}

/// A review that is asked again and again gets its answer; used where an attack has to be seen to end.
#[tokio::test]
async fn a_server_answers_after_each_attack() {
    let server = Arc::new(Server::start(env!("CARGO_BIN_EXE_stateward")));
    for attack in Attack::ALL {
        attack.run(&server, 8, Duration::from_millis(100)).await;
        let mut connection = server.connect().await.unwrap();
        let (status, _) = post(&mut connection, b"{".to_vec()).await.unwrap();
        assert_eq!(status, 400, "{}", attack.name());
    }
}
