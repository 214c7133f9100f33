//! The categories of the product page, in its order, and `Custom` for the operator's own robots.

use serde::{Deserialize, Serialize};

macro_rules! categories {
    ($($(#[$doc:meta])* $variant:ident = ($slug:literal, $title:literal);)*) => {
        /// A group of robots; its slug is the first half of a robot's name and the folder it lives in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Category {
            $($(#[$doc])* #[serde(rename = $title)] $variant,)*
        }

        impl Category {
            /// All categories in the page's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The first half of a robot's name, e.g. `session_gateway`.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug,)* }
            }

            /// The heading people see, e.g. `Session gateway`.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// The category whose title or slug is `text`.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|c| c.slug() == text || c.title() == text)
            }
        }
    };
}

categories! {
    /// Notices to people.
    Notifications = ("notifications", "Notifications");
    /// Sessions, recordings and what is made of them.
    SessionGateway = ("session_gateway", "Session gateway");
    /// Finding devices, credentials and logins.
    DiscoveryAndScan = ("discovery_and_scan", "Discovery and scan");
    /// Who may use what.
    AccessControl = ("access_control", "Access control");
    /// Archiving and purging.
    DataPurge = ("data_purge", "Data purge");
    /// Accounts taken over from directories.
    UserProvisioning = ("user_provisioning", "User provisioning");
    /// Mail in and out.
    Mail = ("mail", "Mail");
    /// Watching the system itself.
    SystemMonitors = ("system_monitors", "System monitors");
    /// Behaviour of users.
    UserBehavior = ("user_behavior", "User Behavior");
    /// Scores of commands.
    RiskAnalysis = ("risk_analysis", "Risk analysis");
    /// Certificates.
    Certificates = ("certificates", "Certificates");
    /// Backups.
    BackupJobs = ("backup_jobs", "Backup jobs");
    /// Scheduled work ordered by people.
    TaskManager = ("task_manager", "Task Manager");
    /// Work on devices and credentials.
    Operations = ("operations", "Operations");
    /// The operator's own robots.
    Custom = ("custom", "Custom");
}
