//! What this program is tried on by itself, to be measured or to be broken: a place that is as it was before when all is
//! over, and nodes that are processes of their own.

pub(crate) mod place;
pub(crate) mod process;
