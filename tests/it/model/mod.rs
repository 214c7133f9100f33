//! Small models of what nodes do to one database, searched through whole: every order of steps, deaths, pauses and
//! late answers within the bounds of the model.
//!
//! The models say what a step reads and writes, as the statements of `store` do; who gets how many instances is decided
//! by the functions of `domain` themselves. [`work`] is about tasks and instances, [`ticks`] about planned instants, and
//! [`walk`] goes through [`work`] at random, for longer than can be searched. [`node_set`] is no model: there the product's
//! own statements run on a database.

mod node_set;
mod ticks;
mod walk;
mod work;

use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker as _, Model};

/// Searches a whole model; panics with the path to the first state that breaks a property, or where one that must
/// be reached is not.
fn search<M>(model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let checker = model.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
}
