//! As much of an API server as `audit` asks: lists in pages.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use super::cluster::Cluster;

/// Serves the cluster on loopback until the process ends.
pub(crate) fn start(cluster: Cluster) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that has closed its connection is no error.
            std::thread::spawn(move || drop(serve(&stream, cluster)));
        }
    });
    address
}

pub(crate) fn kubeconfig(server: SocketAddr) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: bench\n\
         clusters: [{{name: bench, cluster: {{server: 'http://{server}'}}}}]\n\
         contexts: [{{name: bench, context: {{cluster: bench, user: bench}}}}]\n\
         users: [{{name: bench, user: {{}}}}]\n"
    )
}

fn serve(stream: &TcpStream, cluster: Cluster) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next() {
        let line = line?;
        for header in lines.by_ref() {
            if header?.is_empty() {
                break;
            }
        }
        let target = line.split(' ').nth(1).unwrap_or_default();
        let (status, body) = answer(target, cluster);
        let mut out = stream;
        write!(
            out,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
    Ok(())
}

fn answer(target: &str, cluster: Cluster) -> (&'static str, String) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path == "/version" {
        let version = r#"{"major":"1","minor":"36","gitVersion":"v1.36.3","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#;
        return ("200 OK", version.to_owned());
    }
    let plural = path.rsplit('/').next().unwrap_or_default();
    let Some(count) = cluster.count(plural) else {
        let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}"#;
        return ("404 Not Found", status.to_owned());
    };
    let number = |key: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        value.and_then(|value| value.parse::<usize>().ok())
    };
    let from = number("continue").unwrap_or_default();
    let until = number("limit").map_or(count, |limit| count.min(from + limit));
    let mut body =
        String::from(r#"{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1""#);
    if until < count {
        let _ = write!(body, r#","continue":"{until}""#);
    }
    body += "},\"items\":[";
    for number in from..until {
        let comma = if number > from { "," } else { "" };
        let _ = write!(body, "{comma}{}", Cluster::object(plural, number));
    }
    body += "]}";
    ("200 OK", body)
}
