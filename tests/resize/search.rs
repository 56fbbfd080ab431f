//! Breadth-first search over all worlds, and the components in which a world can stay for ever.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use stateward_resize::{Action, step};

use crate::bugs::{self, Mutant};
use crate::cluster::{self, Answer, is_write};
use crate::people::{self, Fault};
use crate::properties;
use crate::world::{Hashed, InFlight, NOW, World, parameters};

/// What is explored.
pub(crate) struct Slice {
    pub name: &'static str,
    pub starts: Vec<World>,
    pub faults: &'static [Fault],
}

/// How often each thing happened.
#[derive(Default)]
pub(crate) struct Counts(pub BTreeMap<String, u64>);

impl Counts {
    fn add(&mut self, kind: &str, name: impl std::fmt::Display) {
        *self.0.entry(format!("{kind} {name}")).or_default() += 1;
    }
}

/// What a slice came to.
pub(crate) struct Explored {
    pub states: usize,
    pub edges: usize,
    pub components: usize,
    pub seconds: f64,
    pub counts: Counts,
}

/// One thing that can happen.
pub(crate) struct Next {
    pub label: Label,
    pub world: World,
    /// no fault: it happens by itself
    pub free: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Label {
    Controller(u8),
    Environment(&'static str),
    Arrives(u8),
    Fault(Fault),
    FaultOf(u8, Fault),
}

/// The decision of one controller: what caches say first, and fresh reads where it asks for them.
pub(crate) fn decide(world: &World, controller: usize) -> Action {
    decide_from(world, controller).0
}

/// The same, and whether the record that was read is the one that stands there.
fn decide_from(world: &World, controller: usize) -> (Action, bool) {
    let memory = &world.controllers[controller];
    if memory.stopped {
        return (Action::Wait { after: jiff::SignedDuration::ZERO }, true);
    }
    let ask = |fresh: bool| {
        let (mut record, mut parameters) = (world.read_record(fresh), parameters());
        let mut observed = world.observe(memory, fresh);
        let Some(mutant) = world.kind.mutant else {
            return step(&observed, record.as_ref(), *NOW, &parameters);
        };
        observed.fresh |= mutant == Mutant::CachesAreFresh;
        bugs::sees(mutant, &mut observed, record.as_mut(), &mut parameters);
        bugs::does(mutant, step(&observed, record.as_ref(), *NOW, &parameters))
    };
    match ask(false) {
        Action::Refresh => (ask(true), true),
        action => (action, world.record_seen(false) == world.record.as_ref()),
    }
}

/// Sends a write and learns from the answer.
fn carry_out(
    world: &World,
    controller: usize,
    action: &Action,
    record_fresh: bool,
) -> Result<(World, Answer), String> {
    properties::of_decision(world, action)?;
    let mut next = world.clone();
    let answer = cluster::apply(&mut next, action, record_fresh);
    if answer == Answer::Committed {
        properties::of_write(world, action, &next)?;
    }
    cluster::learn(&mut next, controller, action, answer);
    Ok((next, answer))
}

/// Everything that can happen in a world.
pub(crate) fn successors(
    world: &World,
    faults: &[Fault],
    counts: &mut Counts,
) -> Result<Vec<Next>, (Label, String)> {
    let mut all = Vec::new();
    let mut quiet = true;
    for controller in 0..world.controllers.len() {
        let number = controller as u8;
        let (action, record_fresh) = decide_from(world, controller);
        counts.add("action", action_name(&action));
        if matches!(action, Action::Wait { .. } | Action::Refresh) {
            continue;
        }
        let label = Label::Controller(number);
        let (next, answer) =
            carry_out(world, controller, &action, record_fresh).map_err(|why| (label, why))?;
        counts.add("answer", format!("{answer:?}"));
        if !(answer == Answer::Refused && next == *world) {
            quiet = false;
        }
        if is_write(&action) && world.faults > 0 {
            for fault in faults {
                if let Some(mut faulty) = faulty_write(world, &next, controller, &action, *fault) {
                    if let (Fault::Delayed, Some(sent)) = (fault, faulty.in_flight.last_mut()) {
                        sent.record_fresh = record_fresh;
                    }
                    let label = Label::FaultOf(number, *fault);
                    all.push(Next { label, world: faulty, free: false });
                }
            }
        }
        all.push(Next { label, world: next, free: true });
    }
    for (n, sent) in world.in_flight.iter().enumerate() {
        let mut next = world.clone();
        next.in_flight.remove(n);
        let label = Label::Arrives(n as u8);
        let action = sent.action();
        let mut met = next.clone();
        let answer = cluster::apply(&mut next, &action, sent.record_fresh);
        if answer == Answer::Committed {
            met.in_flight.clear();
            if !matches!(action, Action::Create { .. }) {
                properties::of_write(&met, &action, &next).map_err(|why| (label, why))?;
            }
            counts.add("late", action_name(&action));
        }
        all.push(Next { label, world: next, free: true });
    }
    let environment = [
        cluster::garbage_collector(world),
        cluster::sync_begins(world).map(|next| ("sync begins", next)),
        cluster::sync_ends(world).map(|next| ("sync ends", next)),
        cluster::resizer(world).map(|next| ("resizer", next)),
    ];
    for (name, next) in environment.into_iter().flatten().chain(people::heal(world)) {
        let label = Label::Environment(name);
        properties::of_environment(world, name, &next).map_err(|why| (label, why))?;
        quiet &= name == "resizer" || name.starts_with("a person") || name.starts_with("creating");
        all.push(Next { label, world: next, free: true });
    }
    // Time passes where everybody waits, also while a write is on its way; at any other moment it is
    // a fault.
    if quiet {
        let mut next = world.clone();
        next.tick();
        if next != *world {
            all.push(Next { label: Label::Environment("tick"), world: next, free: true });
        }
    }
    if world.faults > 0 {
        for fault in faults {
            if let Some(next) = people::strike(world, *fault) {
                all.push(Next { label: Label::Fault(*fault), world: next, free: false });
            }
        }
    }
    for next in &all {
        counts.add("event", label_name(next.label));
    }
    Ok(all)
}

fn faulty_write(
    world: &World,
    committed: &World,
    controller: usize,
    action: &Action,
    fault: Fault,
) -> Option<World> {
    let mut next = match fault {
        Fault::ResponseLost => {
            let mut next = committed.clone();
            next.controllers[controller] = world.controllers[controller].clone();
            if matches!(action, Action::Create { .. }) {
                // Not known as refused: what it knew of its DELETE is used up.
                next.controllers[controller].deleted = None;
            }
            next
        }
        Fault::CrashAfterWrite => {
            let mut next = committed.clone();
            let there = next.set.is_some();
            next.controllers[controller] = world.controllers[controller].restarted(there);
            next
        }
        Fault::Delayed => {
            let mut next = world.clone();
            next.in_flight.push(InFlight::new(action.clone()));
            if matches!(action, Action::Create { .. }) {
                next.controllers[controller].deleted = None;
            }
            next
        }
        _ => return None,
    };
    next.faults -= 1;
    Some(next)
}

pub(crate) fn action_name(action: &Action) -> String {
    let text = format!("{action:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

fn label_name(label: Label) -> String {
    match label {
        Label::Controller(_) => "controller".to_owned(),
        Label::Environment(name) => name.to_owned(),
        Label::Arrives(_) => "late write arrives".to_owned(),
        Label::Fault(fault) | Label::FaultOf(_, fault) => format!("{fault:?}"),
    }
}

/// Visits every state of a slice; panics with the shortest trace to the first violation.
pub(crate) fn explore(slice: &Slice) -> Explored {
    try_explore(slice).unwrap_or_else(|story| panic!("{story}"))
}

/// Visits every state of a slice; the error is the shortest trace to the first violation.
pub(crate) fn try_explore(slice: &Slice) -> Result<Explored, String> {
    let began = Instant::now();
    let mut counts = Counts::default();
    let mut states: Vec<Arc<World>> = Vec::new();
    let mut known: Hashed<Arc<World>, u32> = Hashed::default();
    let mut parents: Vec<(u32, Label)> = Vec::new();
    let mut edges: Vec<Vec<(u32, Label)>> = Vec::new();
    let mut all_edges = 0;
    for start in &slice.starts {
        let start = Arc::new(start.clone());
        known.insert(start.clone(), states.len() as u32);
        parents.push((u32::MAX, Label::Environment("start")));
        states.push(start);
    }
    let mut at = 0;
    while at < states.len() {
        let world = states[at].clone();
        let fail = |label: Label, why: &str| {
            Err(story(slice, &states, &parents, at as u32, Some(label), why))
        };
        if let Err(why) = properties::of_state(&world) {
            return fail(Label::Environment("(this state)"), &why);
        }
        note(&world, &mut counts);
        let successors = match successors(&world, slice.faults, &mut counts) {
            Ok(successors) => successors,
            Err((label, why)) => return fail(label, &why),
        };
        let mut free = Vec::new();
        for next in successors {
            all_edges += 1;
            let to = known.get(&next.world).copied().unwrap_or_else(|| {
                let to = states.len() as u32;
                let world = Arc::new(next.world);
                known.insert(world.clone(), to);
                states.push(world);
                parents.push((at as u32, next.label));
                to
            });
            if next.free {
                free.push((to, next.label));
            }
        }
        edges.push(free);
        at += 1;
    }
    let components = components(&edges);
    for component in &components {
        if let Some(why) = stuck(&states, &edges, component) {
            let first = *component.iter().min().unwrap();
            let more = format!("{why} (a component of {} states)", component.len());
            return Err(story(slice, &states, &parents, first, None, &more));
        }
    }
    Ok(Explored {
        states: states.len(),
        edges: all_edges,
        components: components.len(),
        seconds: began.elapsed().as_secs_f64(),
        counts,
    })
}

fn note(world: &World, counts: &mut Counts) {
    let Some(record) = &world.record else { return };
    record.status.read(|status| {
        counts.add("phase", &status.phase);
        if let Some(halt) = &status.halt {
            counts.add("reason", &halt.reason);
        }
    });
}

/// The shortest way to a violation, as a test.
fn story(
    slice: &Slice,
    states: &[Arc<World>],
    parents: &[(u32, Label)],
    end: u32,
    last: Option<Label>,
    why: &str,
) -> String {
    let mut labels = Vec::new();
    let mut at = end;
    while parents[at as usize].0 != u32::MAX {
        labels.push((at, parents[at as usize].1));
        at = parents[at as usize].0;
    }
    labels.reverse();
    let mut text =
        format!("slice {}: {why}\n// start {at}:\nlet mut play = Play::new(start);\n", slice.name);
    let mut before = at;
    for (state, label) in labels {
        let world = &states[before as usize];
        let doing = match label {
            Label::Controller(n) | Label::FaultOf(n, _) => {
                format!(" // {}", action_name(&decide(world, usize::from(n))))
            }
            _ => String::new(),
        };
        let phase = states[state as usize].phase().map_or("none".to_owned(), |p| p.to_string());
        let _ = writeln!(text, "play.happens(Label::{label:?});{doing} → {phase}");
        before = state;
    }
    if let Some(label) = last {
        let _ = writeln!(text, "play.happens(Label::{label:?});");
    }
    let world = &states[end as usize];
    let _ = writeln!(text, "// {world:#?}\n// {:#?}", world.status());
    for n in 0..world.controllers.len() {
        let _ = writeln!(text, "// controller {n}: {:?}", decide(world, n));
    }
    text
}

/// Whether a world can stay in these states for ever, although it should not. An action that can
/// happen in all of them happens at last (weak fairness), so it must lead to one of them.
fn stuck(states: &[Arc<World>], edges: &[Vec<(u32, Label)>], component: &[u32]) -> Option<String> {
    let inside = |state: &u32| component.binary_search(state).is_ok();
    let first = component.first()?;
    let cycle = component.len() > 1 || edges[*first as usize].iter().any(|(to, _)| to == first);
    let leaves = |label: &Label| {
        component.iter().all(|state| {
            let same = edges[*state as usize].iter().filter(|(_, other)| other == label);
            let mut found = false;
            let mut outside = true;
            for (to, _) in same {
                found = true;
                outside &= !inside(to);
            }
            found && outside
        })
    };
    if edges[*first as usize].iter().any(|(_, label)| leaves(label)) {
        return None;
    }
    for state in component {
        if let Err(why) = properties::settled(&states[*state as usize]) {
            return Some(why);
        }
    }
    let acts = component.iter().find(|state| {
        let world = &states[**state as usize];
        !world.refusing && (0..world.controllers.len()).any(|n| is_write(&decide(world, n)))
    });
    (cycle && acts.is_some()).then(|| "we write for ever".to_owned())
}

/// Strongly connected components (Tarjan, without recursion), each sorted.
fn components(edges: &[Vec<(u32, Label)>]) -> Vec<Vec<u32>> {
    let n = edges.len();
    let (mut index, mut low) = (vec![u32::MAX; n], vec![0_u32; n]);
    let mut on_stack = vec![false; n];
    let (mut stack, mut found, mut count) = (Vec::new(), Vec::new(), 0_u32);
    for root in 0..n as u32 {
        if index[root as usize] != u32::MAX {
            continue;
        }
        let mut work = vec![(root, 0_usize)];
        while let Some((at, edge)) = work.pop() {
            let v = at as usize;
            if edge == 0 {
                index[v] = count;
                low[v] = count;
                count += 1;
                stack.push(at);
                on_stack[v] = true;
            }
            if let Some((to, _)) = edges[v].get(edge) {
                work.push((at, edge + 1));
                let w = *to as usize;
                if index[w] == u32::MAX {
                    work.push((*to, 0));
                } else if on_stack[w] {
                    low[v] = low[v].min(index[w]);
                }
                continue;
            }
            if low[v] == index[v] {
                let mut component = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[member as usize] = false;
                    component.push(member);
                    if member == at {
                        break;
                    }
                }
                component.sort_unstable();
                found.push(component);
            }
            if let Some((parent, _)) = work.last() {
                let p = *parent as usize;
                low[p] = low[p].min(low[v]);
            }
        }
    }
    found
}
