//! How the instances of a robot are shared among nodes.
//!
//! Every node sees the same queue, so that a slot is never idle while work waits, whichever node holds it. The shares
//! are therefore as equal as can be and depend on nothing but who lives. Two nodes that know the same nodes come to the
//! same target; what a node is *granted* on its way there keeps the sum within the robot's instances at any moment.

use super::id::{NodeId, RobotId};

/// How many slots of `robot` the node `me` is to have in the end; 0 where it is not among `nodes`.
///
/// The slots that cannot be divided go to the nodes that rank highest for this robot: another order for each robot, so
/// that robots of one instance spread over the nodes, and one that an arriving or leaving node changes little.
#[must_use]
pub fn target(robot: RobotId, instances: u32, nodes: &[NodeId], me: NodeId) -> u32 {
    let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
    if !nodes.contains(&me) {
        return 0;
    }
    let ahead = |other: &&NodeId| rank(robot, **other) > rank(robot, me);
    let place = u32::try_from(nodes.iter().filter(ahead).count()).unwrap_or(u32::MAX);
    let (each, left) = (instances / count, instances % count);
    each + u32::from(place < left)
}

/// What a node has and what stands against it, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Its slots now.
    pub slots: u32,
    /// How many of them it cannot give back: what runs there.
    pub busy: u32,
    /// What it is to have in the end.
    pub target: u32,
    /// The slots of all others together, the dead whose runs are not dealt with included.
    pub others: u32,
}

/// How many slots the node has from now on. More only as far as all together stay within `instances`; fewer only as far
/// as nothing runs in them.
#[must_use]
pub fn granted(instances: u32, holding: Holding) -> u32 {
    let Holding {
        slots,
        busy,
        target,
        others,
    } = holding;
    if target > slots {
        let free = instances.saturating_sub(others.saturating_add(slots));
        slots + free.min(target - slots)
    } else {
        target.max(busy.min(slots))
    }
}

/// A node's place for a robot: by a mix of both ids that spreads evenly (the finaliser of `SplitMix64`), and by the id
/// where two mixes are equal.
fn rank(robot: RobotId, node: NodeId) -> (u64, i64) {
    let mut mix =
        robot.0.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ node.0.cast_unsigned();
    mix = (mix ^ (mix >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mix = (mix ^ (mix >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mix ^ (mix >> 31), node.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const ROBOT: RobotId = RobotId(7);

    fn nodes(count: i64) -> Vec<NodeId> {
        (1..=count).map(NodeId).collect()
    }

    #[test]
    fn robots_of_one_instance_spread_over_the_nodes_and_an_arrival_moves_few() {
        let of = |robot, nodes: &[NodeId]| {
            nodes
                .iter()
                .copied()
                .find(|node| target(RobotId(robot), 1, nodes, *node) == 1)
        };
        let mut held: BTreeMap<Option<NodeId>, u32> = BTreeMap::new();
        for robot in 1..=300 {
            *held.entry(of(robot, &nodes(3))).or_default() += 1;
        }
        assert_eq!(held.len(), 3, "{held:?}");
        assert!(held.values().all(|count| *count > 70), "{held:?}");
        let moved = (1..=300).filter(|robot| {
            let (before, after) = (of(*robot, &nodes(3)), of(*robot, &nodes(4)));
            before != after && after != Some(NodeId(4))
        });
        assert_eq!(moved.count(), 0, "what moves goes to the new node");
    }

    #[test]
    fn a_node_that_is_not_there_has_nothing() {
        assert_eq!(target(ROBOT, 5, &nodes(2), NodeId(9)), 0);
        assert_eq!(target(ROBOT, 5, &[], NodeId(9)), 0);
    }

    /// What happens to a cluster.
    #[derive(Debug, Clone)]
    enum Step {
        /// A node asks for its share.
        Exchange(usize),
        /// A run begins, where the node has a slot free.
        Begin(usize),
        /// A run ends, where there is one.
        End(usize),
        /// A node comes or goes in order, its runs having ended.
        Toggle(usize),
        /// A node dies; its runs are dealt with a little later.
        Die(usize),
        /// The dead's runs are dealt with.
        Rescue,
        /// Somebody changes the instances.
        Change(u32),
    }

    #[derive(Debug, Clone, Copy, Default)]
    struct Member {
        slots: u32,
        busy: u32,
        lives: bool,
    }

    struct Cluster {
        instances: u32,
        members: [Member; 4],
    }

    impl Cluster {
        fn exchange(&mut self, at: usize) {
            let living: Vec<_> = (0..4)
                .filter(|at| self.members[*at].lives)
                .map(id)
                .collect();
            let me = self.members[at];
            if me.lives {
                let all: u32 = self.members.iter().map(|member| member.slots).sum();
                let holding = Holding {
                    slots: me.slots,
                    busy: me.busy,
                    target: target(ROBOT, self.instances, &living, id(at)),
                    others: all - me.slots,
                };
                self.members[at].slots = granted(self.instances, holding);
            }
        }

        fn step(&mut self, step: &Step) {
            match *step {
                Step::Exchange(at) => self.exchange(at),
                Step::Begin(at) => {
                    let me = &mut self.members[at];
                    me.busy += u32::from(me.lives && me.busy < me.slots);
                }
                Step::End(at) => {
                    let me = &mut self.members[at];
                    me.busy -= u32::from(me.lives && me.busy > 0);
                }
                Step::Toggle(at) => {
                    let me = &mut self.members[at];
                    if !me.lives && me.slots == 0 {
                        me.lives = true;
                    } else if me.lives && me.busy == 0 {
                        *me = Member::default();
                    }
                }
                Step::Die(at) => self.members[at].lives = false,
                Step::Rescue => {
                    for member in self.members.iter_mut().filter(|member| !member.lives) {
                        *member = Member::default();
                    }
                }
                Step::Change(instances) => self.instances = instances,
            }
        }

        fn slots(&self) -> u32 {
            self.members.iter().map(|member| member.slots).sum()
        }

        fn busy(&self) -> u32 {
            self.members.iter().map(|member| member.busy).sum()
        }
    }

    fn id(at: usize) -> NodeId {
        NodeId(i64::try_from(at).unwrap() + 1)
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..4_usize).prop_map(Step::Exchange),
            4 => (0..4_usize).prop_map(Step::Begin),
            3 => (0..4_usize).prop_map(Step::End),
            1 => (0..4_usize).prop_map(Step::Toggle),
            1 => (0..4_usize).prop_map(Step::Die),
            1 => Just(Step::Rescue),
            1 => (0..9_u32).prop_map(Step::Change),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn all_together_never_have_more_than_the_instances(walk in steps()) {
            let mut cluster = Cluster { instances: 3, members: [Member::default(); 4] };
            cluster.members[0].lives = true;
            for step in &walk {
                let before = cluster.slots();
                cluster.step(step);
                // Where the instances were lowered, the rest goes back as its runs end and never grows.
                prop_assert!(cluster.slots() <= before.max(cluster.instances), "{step:?}");
                prop_assert!(cluster.members.iter().all(|member| member.busy <= member.slots));
                prop_assert!(cluster.busy() <= cluster.slots());
            }
            // Left alone, with nothing running, everybody comes to its share.
            cluster.step(&Step::Rescue);
            for member in &mut cluster.members {
                member.busy = 0;
            }
            for at in [0, 1, 2, 3, 0, 1, 2, 3] {
                cluster.exchange(at);
            }
            let living = cluster.members.iter().filter(|member| member.lives);
            let shares: Vec<_> = living.map(|member| member.slots).collect();
            if let (Some(most), Some(least)) = (shares.iter().max(), shares.iter().min()) {
                prop_assert_eq!(cluster.slots(), cluster.instances);
                prop_assert!(most - least <= 1, "{shares:?}");
            }
        }
    }
}
