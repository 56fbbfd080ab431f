//! The binary under everything that a client can do to it, while good clients ask on.
//!
//! In every test run this takes seconds and a debug binary. `scripts/soak BINARY MINUTES` is the long
//! form, and prints the figures.

mod hostile;
pub(crate) mod server;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hostile::Attack;
use server::{Connection, Server, post};

/// Good clients, each with a connection of its own.
const CLIENTS: usize = 4;
/// Between two reviews of a good client.
const PAUSE: Duration = Duration::from_millis(8);

/// Good clients at work, and what they met.
struct Good {
    times: Arc<Mutex<Vec<Duration>>>,
    wrong: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Good {
    /// Sends the reviews in turn; each has to be answered as it was before anybody disturbed.
    async fn start(server: &Arc<Server>) -> Self {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/reviews");
        let mut reviews = Vec::new();
        let mut connection = server.connect().await.unwrap();
        for (name, allowed) in [
            ("update-pvc-shrink.json", false),
            ("scale-statefulset-patch-down.json", true),
            ("update-statefulset-edit-vct-labels-added-thanos.json", false),
        ] {
            let review = std::fs::read(format!("{data}/{name}")).unwrap();
            let (status, answer) = post(&mut connection, review.clone()).await.unwrap();
            assert_eq!(status, 200, "{name}");
            let said = format!("\"allowed\":{allowed}");
            assert!(answer.contains(&said), "{name}: {answer}");
            reviews.push((review, answer));
        }
        let reviews = Arc::new(reviews);
        let mut good = Self {
            times: Arc::default(),
            wrong: Arc::default(),
            stop: Arc::default(),
            tasks: Vec::new(),
        };
        for client in 0..CLIENTS {
            let (times, wrong, stop) = (good.times.clone(), good.wrong.clone(), good.stop.clone());
            let (server, reviews) = (Arc::clone(server), Arc::clone(&reviews));
            good.tasks.push(tokio::spawn(async move {
                let mut connection: Option<Connection> = None;
                let mut turn = client;
                while !stop.load(Ordering::Relaxed) {
                    let (review, expected) = &reviews[turn % reviews.len()];
                    turn += 1;
                    let begun = Instant::now();
                    let answer = async {
                        if connection.as_ref().is_none_or(Connection::is_closed) {
                            connection = Some(server.connect().await?);
                        }
                        post(connection.as_mut().unwrap(), review.clone()).await
                    };
                    match answer.await {
                        Ok((200, answer)) if answer == *expected => {
                            times.lock().unwrap().push(begun.elapsed());
                        }
                        other => wrong.lock().unwrap().push(format!("{other:?}")),
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }));
        }
        good
    }

    /// Number, median, 99th percentile and worst since the last look, as a part of a line.
    fn look(&self) -> (usize, String) {
        let mut times = std::mem::take(&mut *self.times.lock().unwrap());
        times.sort();
        let shown = |percent: usize| {
            let time = times.get(times.len() * percent / 100).or(times.last());
            time.map_or(0.0, |time| time.as_secs_f64() * 1000.0)
        };
        let (median, high, worst) = (shown(50), shown(99), shown(100));
        let line = format!("{:>7} {median:>8.2} {high:>8.2} {worst:>8.2}", times.len());
        (times.len(), line)
    }
}

fn middle(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[values.len() / 2]
}

fn parameter(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// One attack after the other, then all at once for the given time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn good_clients_are_answered_whatever_others_do() {
    let binary = parameter("STATEWARD_SOAK_BINARY");
    let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_stateward").to_owned());
    let minutes =
        parameter("STATEWARD_SOAK_MINUTES").map(|minutes| minutes.parse::<u64>().unwrap());
    let (each, mixed, size) = match minutes {
        Some(minutes) => (Duration::from_secs(15), Duration::from_secs(60 * minutes), 2000),
        None => (Duration::from_secs(1), Duration::from_secs(10), 100),
    };
    let server = Arc::new(Server::start(&binary));
    let good = Good::start(&server).await;
    let heading = format!(
        "{:<22} {:>7} {:>8} {:>8} {:>8} {:>9} {:>6}  outcomes of the others",
        "", "good", "p50 ms", "p99 ms", "worst ms", "KiB", "files"
    );
    if minutes.is_some() {
        eprintln!("{heading}");
    }
    let mut table = vec![heading];
    let mut note = |name: &str, outcomes: String| {
        let (answered, times) = good.look();
        let (memory, files) = (server.memory(), server.files());
        let line = format!("{name:<22} {times} {memory:>9} {files:>6}  {outcomes}");
        if minutes.is_some() {
            eprintln!("{line}");
        }
        table.push(line);
        // Seen if the test fails.
        println!("{}", table.last().unwrap());
        answered
    };
    tokio::time::sleep(each).await;
    assert!(note("nobody else", String::new()) > 0);
    let quiet = server.files();
    for attack in Attack::ALL {
        let outcomes = attack.run(&server, size, each).await;
        let answered = note(attack.name(), outcomes.to_string());
        assert!(answered > 0, "{}: good clients were kept out", attack.name());
        assert!(outcomes.happened(attack), "{}: {outcomes}", attack.name());
    }

    // All at once, with memory and files looked at every tenth of the time.
    let stop = Arc::new(AtomicUsize::new(0));
    let attackers: Vec<_> = Attack::ALL
        .into_iter()
        .map(|attack| {
            let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
            tokio::spawn(async move {
                while stop.load(Ordering::Relaxed) == 0 {
                    attack.run(&server, size / 10, each).await;
                }
            })
        })
        .collect();
    let mut memory = Vec::new();
    for tenth in 1..=10 {
        tokio::time::sleep(mixed / 10).await;
        memory.push(server.memory());
        assert!(note(&format!("all at once, {tenth}/10"), String::new()) > 0);
    }
    stop.store(1, Ordering::Relaxed);
    for attacker in attackers {
        attacker.await.unwrap();
    }
    // What they held goes back, once the longest limit of a connection has passed.
    let limit = Instant::now() + Duration::from_secs(60);
    while server.files() > quiet + 2 && Instant::now() < limit {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    note("nobody else", String::new());
    good.stop.store(true, Ordering::Relaxed);
    for task in good.tasks {
        task.await.unwrap();
    }
    let table = table.join("\n");
    assert_eq!(*good.wrong.lock().unwrap(), Vec::<String>::new(), "\n{table}");
    assert!(server.files() <= quiet + 2, "files are left open\n{table}");
    // The chart gives a replica 512 MiB.
    let most = server.most_memory();
    eprintln!("at most {} MiB resident", most / 1024);
    assert!(most < 256 * 1024, "{most} KiB resident\n{table}");
    // The first tenths fill caches and the allocator; after them memory is flat. Single looks may
    // meet several bodies of 36 MiB, the middle one does not.
    let (early, late) = (middle(&memory[..5]), middle(&memory[5..]));
    assert!(late <= early + early / 10 + 48 * 1024, "memory grows\n{table}");
}
