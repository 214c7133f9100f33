//! Leadership with terms, and the decision of planned instants.
//!
//! A node that decides sends what it believes to be undecided, in the term it was told of; the database writes it where
//! that term is still the current one. The node may give a request up, because its connection was lost, and read the
//! ledger anew while the request is still on its way.

use std::collections::BTreeSet;

use stateright::{Model, Property};

/// How large the model is.
#[derive(Debug, Clone)]
struct Ticks {
    nodes: usize,
    /// Planned instants, numbered from 1.
    instants: u8,
    /// How often the leadership may change hands.
    terms: u8,
    /// An instant has one row in the ledger, which one test takes away.
    unique: bool,
}

/// A request to write down the instants behind `after`, up to `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Request {
    term: u8,
    after: u8,
    until: u8,
}

/// A node, alive in the database until it is declared dead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Node {
    dead: bool,
    /// Nobody can have declared it dead.
    lease: bool,
    /// The term in which it believes to lead.
    term: Option<u8>,
    /// The last instant that is decided, as far as it knows.
    last: Option<u8>,
    /// What it waits for.
    waiting: bool,
    /// What is on its way to the database.
    sent: BTreeSet<Request>,
    /// What was answered: the last instant written, or nothing where another node leads.
    answer: Option<Option<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    now: u8,
    nodes: Vec<Node>,
    leader: Option<usize>,
    term: u8,
    /// The last instant of the ledger.
    ledger: u8,
    /// Runs that were started, by instant.
    runs: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    /// An instant passes.
    Pass,
    /// A heartbeat is taken; where nobody who lives leads, its node does from now on.
    Beat(usize),
    /// A lease runs out.
    Lapse(usize),
    /// A silent node is declared dead.
    Reap(usize),
    /// A node that leads reads where decisions stand.
    Load(usize),
    /// It sends its decisions.
    Decide(usize),
    /// They are written, where it still leads.
    Write(usize, Request),
    /// It hears the answer.
    Hear(usize),
    /// It does not hear the answer any more.
    GiveUp(usize),
}

impl State {
    fn beat(&mut self, me: usize) {
        if self.nodes[me].dead {
            self.nodes[me].term = None;
            return;
        }
        self.nodes[me].lease = true;
        if self.leader.is_none_or(|leader| self.nodes[leader].dead) {
            self.leader = Some(me);
            self.term += 1;
        }
        let term = (self.leader == Some(me)).then_some(self.term);
        let node = &mut self.nodes[me];
        if node.term != term {
            node.term = term;
            node.last = None;
        }
    }

    fn write(&mut self, me: usize, request: Request, unique: bool) {
        self.nodes[me].sent.remove(&request);
        let leads = self.leader == Some(me) && self.term == request.term;
        if leads {
            for instant in request.after..request.until {
                let runs = &mut self.runs[usize::from(instant)];
                *runs = if unique { 1 } else { *runs + 1 };
            }
            self.ledger = self.ledger.max(request.until);
        }
        if self.nodes[me].waiting {
            self.nodes[me].answer = Some(leads.then_some(request.until));
        }
    }

    fn hear(&mut self, me: usize) {
        let node = &mut self.nodes[me];
        node.waiting = false;
        match node.answer.take() {
            Some(Some(until)) => node.last = Some(until),
            Some(None) | None => node.term = None,
        }
    }
}

impl Model for Ticks {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let node = Node {
            lease: true,
            ..Node::default()
        };
        vec![State {
            now: 0,
            nodes: vec![node; self.nodes],
            leader: None,
            term: 0,
            ledger: 0,
            runs: vec![0; usize::from(self.instants)],
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < self.instants {
            actions.push(Action::Pass);
        }
        for (me, node) in state.nodes.iter().enumerate() {
            actions.extend(node.sent.iter().map(|sent| Action::Write(me, *sent)));
            if state.term < self.terms || state.leader == Some(me) {
                actions.push(Action::Beat(me));
            }
            match (node.dead, node.lease) {
                (false, true) => actions.push(Action::Lapse(me)),
                (false, false) => actions.push(Action::Reap(me)),
                (true, _) => {}
            }
            if node.answer.is_some() {
                actions.push(Action::Hear(me));
            }
            if node.waiting {
                actions.push(Action::GiveUp(me));
            } else if node.term.is_some() {
                match node.last {
                    None => actions.push(Action::Load(me)),
                    Some(last) if last < state.now => actions.push(Action::Decide(me)),
                    Some(_) => {}
                }
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Pass => next.now += 1,
            Action::Beat(me) => next.beat(me),
            Action::Lapse(me) => next.nodes[me].lease = false,
            Action::Reap(other) => next.nodes[other].dead = true,
            Action::Load(me) => next.nodes[me].last = Some(state.ledger),
            Action::Decide(me) => {
                let node = &mut next.nodes[me];
                let (term, after) = (node.term?, node.last?);
                node.sent.insert(Request {
                    term,
                    after,
                    until: state.now,
                });
                node.waiting = true;
            }
            Action::Write(me, request) => next.write(me, request, self.unique),
            Action::Hear(me) => next.hear(me),
            Action::GiveUp(me) => {
                let node = &mut next.nodes[me];
                (node.waiting, node.answer, node.last) = (false, None, None);
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("an instant starts one run", |_, state: &State| {
                state.runs.iter().all(|runs| *runs <= 1)
            }),
            Property::always(
                "no instant before the ledger's end is left out",
                |_, state: &State| {
                    let decided = usize::from(state.ledger);
                    state.runs.iter().take(decided).all(|runs| *runs > 0)
                },
            ),
            Property::always("one node leads in a term", |_, state: &State| {
                let led: Vec<_> = state.nodes.iter().filter_map(|node| node.term).collect();
                led.iter().collect::<BTreeSet<_>>().len() == led.len()
            }),
            Property::sometimes("all is decided", |model: &Self, state: &State| {
                state.ledger == model.instants
            }),
            Property::sometimes(
                "two believe to lead, in different terms",
                |_, state: &State| {
                    state
                        .nodes
                        .iter()
                        .filter(|node| node.term.is_some())
                        .count()
                        > 1
                },
            ),
        ]
    }
}

const SMALL: Ticks = Ticks {
    nodes: 2,
    instants: 2,
    terms: 2,
    unique: true,
};

#[test]
fn each_instant_is_decided_once_whoever_leads() {
    super::search(SMALL);
}

#[test]
#[should_panic(expected = "an instant starts one run")]
fn without_one_row_an_instant_a_late_request_would_start_a_second_run() {
    super::search(Ticks {
        unique: false,
        ..SMALL
    });
}
