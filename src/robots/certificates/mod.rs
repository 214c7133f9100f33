//! Robots that renew certificates and see to it that services use them.

mod certificate_expiration;

use crate::robot::Robot;

pub(super) const ROBOTS: &[&'static dyn Robot] = &[&certificate_expiration::RenewCertificates];
