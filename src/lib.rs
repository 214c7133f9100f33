//! robotd: a supervision runtime for robots.
