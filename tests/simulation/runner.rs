//! One run: a world, controllers, faults and people from one seed, then peace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use jiff::SignedDuration;
use stateward::controller::{Cluster, Controller, Intervals};
use stateward::telemetry::ResizeMetrics;
use stateward_resize::Parameters;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::actors::{Moods, text};
use crate::faults::{Faults, Weather};
use crate::outcome;
use crate::people::{self, DRAWN, Deed};
use crate::safety::{OURS, Safety};
use crate::server::Server;
use crate::trace::Trace;
use crate::transport::Line;
use crate::world::{SYSTEM, Shape, furnish, populate};

/// Nothing may change for this long before a run counts as at rest: longer than every bound.
const REST: Duration = Duration::from_secs(260);
/// A run that is not at rest after this long never will be.
const ENDLESS: Duration = Duration::from_secs(45 * 60);

/// What a run was.
#[derive(Debug)]
pub(crate) struct Report {
    pub seed: u64,
    pub faults: Vec<String>,
    pub hash: u64,
    pub trace: String,
    pub requests: u64,
    /// how the record ended, as `Phase` or `Phase(Reason)`
    pub end: String,
}

pub(crate) fn parameters() -> Parameters {
    let seconds = SignedDuration::from_secs;
    Parameters {
        create_asked: seconds(60),
        leave_absent: seconds(120),
        set_gone: seconds(120),
        keep_snapshot: seconds(200),
        ..Parameters::default()
    }
}

pub(crate) fn intervals() -> Intervals {
    Intervals {
        lease: Duration::from_secs(30),
        renew: Duration::from_secs(10),
        ..Intervals::default()
    }
}

/// Everything that one run consists of.
pub(crate) struct Run {
    pub server: Server,
    pub trace: Trace,
    pub faults: Faults,
    pub safety: Safety,
    pub moods: Arc<Moods>,
    pub shapes: Vec<Shape>,
    pub rng: Rng,
    instances: Vec<Instance>,
}

/// A controller that is started again whenever it ends.
struct Instance {
    kill: Arc<Notify>,
    stop: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Run {
    pub(crate) async fn new(shapes: Vec<Shape>, mut rng: Rng, rate: u32) -> Self {
        // The client's own back-off draws from here.
        fastrand::seed(rng.u64(..));
        let (server, trace, moods) = (Server::new(), Trace::default(), Arc::default());
        let safety = Safety::watch(&server);
        populate(&server, &shapes, &mut rng, &moods);
        furnish(&server, &shapes).await;
        let faults = Faults::new(rng.fork(), rate);
        Self { server, trace, faults, safety, moods, shapes, rng, instances: Vec::new() }
    }

    /// Starts a controller.
    pub(crate) fn start(&mut self) {
        let number = self.instances.len();
        let (kill, stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let line = Line {
            server: self.server.clone(),
            who: format!("{OURS}-{number}"),
            faults: self.faults.clone(),
            trace: self.trace.clone(),
            crashed: Arc::new(Notify::new()),
        };
        let work = life(line, Arc::clone(&kill), Arc::clone(&stop), self.rng.fork(), number);
        let task = tokio::spawn(work);
        self.instances.push(Instance { kill, stop, task });
    }

    pub(crate) fn does(&self, shape: &Shape, deed: Deed) {
        let reply = people::does(&self.server, shape, deed);
        let code = reply.map_or("nothing to do".to_owned(), |reply| reply.code.to_string());
        self.trace.say(&self.server, &format!("{deed:?} {}: {code}", shape.name));
    }

    /// Waits until nothing changes any more; whether it came to that.
    pub(crate) async fn settles(&self) -> bool {
        let length = || self.server.look(|store| store.log.len());
        let (mut seen, mut since) = (length(), self.server.up());
        let until = self.server.up() + ENDLESS;
        while self.server.up() < until {
            sleep(Duration::from_secs(5)).await;
            if length() != seen {
                (seen, since) = (length(), self.server.up());
            } else if self.server.up() >= since + REST {
                return true;
            }
        }
        false
    }

    /// Ends the faults, mends what people broke, waits, and looks at what is there.
    pub(crate) async fn heal_and_judge(&mut self) -> Vec<String> {
        self.trace.say(&self.server, "--- faults end ---");
        self.faults.heal();
        self.moods.down.store(false, Ordering::Relaxed);
        self.moods.slow.store(false, Ordering::Relaxed);
        for shape in &self.shapes {
            people::mend(&self.server, shape);
        }
        let settled = self.settles().await;
        let mut faults = self.safety.violations();
        if !settled {
            faults.push("it does not come to rest".to_owned());
        }
        for shape in &self.shapes {
            faults.extend(outcome::faults(&self.server, shape, &self.safety));
        }
        faults
    }

    /// How the record of a set stands.
    pub(crate) fn end(&self, shape: &Shape) -> String {
        let Some(record) = self.server.get(&shape.record()) else { return "no record".to_owned() };
        let word = match text(&record, "/status/phase") {
            "" => "new",
            phase => phase,
        };
        match text(&record, "/status/reason") {
            "" => word.to_owned(),
            reason => format!("{word}({reason})"),
        }
    }

    pub(crate) fn stop(&mut self) {
        for instance in self.instances.drain(..) {
            instance.task.abort();
        }
    }

    /// Phase A: people and faults, for some minutes.
    async fn storm(&mut self) {
        let first = if self.rng.u8(0..4) == 0 { Deed::Record } else { Deed::Request };
        sleep(Duration::from_millis(self.rng.u64(0..20_000))).await;
        self.does(&self.shapes[0].clone(), first);
        if self.rng.bool() {
            self.ambush().await;
            if self.rng.u8(0..3) == 0 {
                self.trouble().await;
            } else {
                let deed = DRAWN[self.rng.usize(0..DRAWN.len())];
                self.does(&self.shapes[0].clone(), deed);
            }
        }
        let deeds = self.rng.u32(0..6);
        // Much happens within a minute of the request, when most of the resize does.
        let late = if self.rng.bool() { 60_000 } else { 400_000 };
        let mut when: Vec<u64> = (0..deeds).map(|_| self.rng.u64(0..late)).collect();
        when.sort_unstable();
        let mut at = 0;
        for moment in when {
            sleep(Duration::from_millis(moment - at)).await;
            at = moment;
            if self.rng.u8(0..3) == 0 {
                self.trouble().await;
            } else {
                let deed = DRAWN[self.rng.usize(0..DRAWN.len())];
                self.does(&self.shapes[0].clone(), deed);
            }
        }
        sleep(Duration::from_millis(self.rng.u64(0..240_000))).await;
    }

    /// Waits for a phase of the resize, and a moment more: what matters most lasts least.
    async fn ambush(&mut self) {
        const PHASES: [&str; 5] =
            ["ClaimsGrown", "RetentionPinned", "Deleting", "Deleting", "Adopting"];
        let phase = PHASES[self.rng.usize(0..PHASES.len())];
        let record = self.shapes[0].record();
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            let changed = self.server.changed();
            let live = self.server.get(&record);
            if live.is_some_and(|live| text(&live, "/status/phase") == phase) {
                break;
            }
            if timeout_at(until, changed).await.is_err() {
                return;
            }
        }
        sleep(Duration::from_millis(self.rng.u64(0..150))).await;
    }

    /// Something that is wrong for a while.
    async fn trouble(&mut self) {
        let lasts = Duration::from_millis(self.rng.u64(100..90_000));
        let what = self.rng.u8(0..8);
        self.trace.say(&self.server, &format!("trouble {what} for {lasts:?}"));
        let instance = self.rng.usize(0..self.instances.len());
        match what {
            0 => self.faults.set_weather(|weather| weather.unreachable = true),
            1 => self.faults.set_weather(|weather| weather.refusing = true),
            2 => self.faults.set_weather(|weather| weather.silent = true),
            3 => self.faults.set_weather(|weather| weather.record_closed = true),
            4 => self.moods.down.store(true, Ordering::Relaxed),
            5 => self.moods.slow.store(true, Ordering::Relaxed),
            6 => self.instances[instance].kill.notify_one(),
            _ => self.instances[instance].stop.notify_one(),
        }
        sleep(lasts).await;
        self.faults.set_weather(|weather| *weather = Weather::default());
        self.moods.down.store(false, Ordering::Relaxed);
        self.moods.slow.store(false, Ordering::Relaxed);
    }
}

/// One controller, over and over.
async fn life(line: Line, kill: Arc<Notify>, stop: Arc<Notify>, mut rng: Rng, number: usize) {
    for generation in 0.. {
        let cluster = Cluster::new(line.client());
        // Some come back on the host where they were, some elsewhere.
        let host = if rng.bool() { format!("node-{number}") } else { format!("n{}", rng.u16(..)) };
        let controller = Controller::new(
            cluster,
            SYSTEM,
            &format!("{host}_{generation}"),
            parameters(),
            intervals(),
            ResizeMetrics::default(),
        );
        let said = tokio::select! {
            biased;
            () = line.crashed.notified() => "crashed",
            () = kill.notified() => "was killed",
            () = controller.run(stop.notified()) => "stopped",
        };
        line.trace.say(&line.server, &format!("{} {said}", line.who));
        sleep(Duration::from_millis(rng.u64(10..20_000))).await;
    }
}

/// Runs `work` in time that passes only where everybody waits.
pub(crate) fn simulated<R>(work: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(work)
}

/// The run of a seed.
pub(crate) fn run(seed: u64) -> Report {
    simulated(async {
        let mut rng = Rng::with_seed(seed);
        let mut shapes = vec![Shape::drawn("db", &mut rng)];
        // Its names collide with those of the first, and nobody asks anything of it.
        shapes.push(Shape { templates: vec!["data"], ..Shape::plain("a-db", 1) });
        let rate = [0, 5, 20, 60][rng.usize(0..4)];
        let instances = if rng.u8(0..3) == 0 { 2 } else { 1 };
        let mut run = Run::new(shapes, rng, rate).await;
        run.trace.say(&run.server, &format!("{:?}, faults {rate}/1000", run.shapes[0]));
        for _ in 0..instances {
            run.start();
        }
        run.storm().await;
        let mut faults = run.heal_and_judge().await;
        let other = run.safety.history("a-db").writes;
        if !other.is_empty() {
            faults.push(format!("a set that nobody asked about was written: {other:?}"));
        }
        let end = run.end(&run.shapes[0]);
        run.stop();
        Report {
            seed,
            faults,
            hash: run.trace.hash(),
            trace: run.trace.text(),
            requests: run.trace.requests(),
            end,
        }
    })
}

/// Counts ends, for a table.
pub(crate) fn tally(reports: &[Report]) -> BTreeMap<&str, usize> {
    let mut tally = BTreeMap::new();
    for report in reports {
        *tally.entry(report.end.as_str()).or_default() += 1;
    }
    tally
}
