//! The two numbers at the front of a message: who speaks and how much it matters.

/// Which part of the system speaks (RFC 5424, table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility(u8);

/// The keywords syslog daemons use, at the index that is their code.
const FACILITY_KEYWORDS: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

impl Facility {
    /// A service without a facility of its own.
    pub const DAEMON: Self = Self(3);
    /// Security messages that only administrators may read.
    pub const AUTHPRIV: Self = Self(10);
    /// The audit trail.
    pub const AUDIT: Self = Self(13);
    /// The first of the eight that each site gives its own meaning.
    pub const LOCAL0: Self = Self(16);

    /// The facility of a keyword as in `syslog.conf`, such as `daemon` or `local3`.
    #[must_use]
    pub fn from_keyword(keyword: &str) -> Option<Self> {
        (0_u8..)
            .zip(FACILITY_KEYWORDS)
            .find(|(_, known)| *known == keyword)
            .map(|(code, _)| Self(code))
    }

    /// The number in the message's priority, 0 to 23.
    #[must_use]
    pub fn code(self) -> u8 {
        self.0
    }
}

/// How much it matters (RFC 5424, table 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The system is unusable.
    Emergency = 0,
    /// Somebody must act at once.
    Alert = 1,
    /// Critical conditions.
    Critical = 2,
    /// Error conditions.
    Error = 3,
    /// Warning conditions.
    Warning = 4,
    /// Normal, but of note: a change of configuration.
    Notice = 5,
    /// For information only.
    Informational = 6,
    /// For developers.
    Debug = 7,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_the_facilities_of_the_table() {
        assert_eq!(Facility::from_keyword("authpriv"), Some(Facility::AUTHPRIV));
        assert_eq!(Facility::from_keyword("audit"), Some(Facility::AUDIT));
        assert_eq!(Facility::from_keyword("local0"), Some(Facility::LOCAL0));
        assert_eq!(
            Facility::from_keyword("local7").map(Facility::code),
            Some(23)
        );
        assert_eq!(Facility::from_keyword("LOCAL7"), None);
    }
}
