//! The panel's texts, all of them. Words for values (states, outcomes) are in `words.rs`.

macro_rules! texts {
    ($($name:ident = $text:literal;)*) => {
        $(pub(super) const $name: &str = $text;)*
    };
}

texts! {
    // The frame.
    PRODUCT = "robotd";
    SKIP = "Skip to the content";
    NAVIGATION = "Pages";
    SIGN_IN = "Sign in";
    SIGN_OUT = "Sign out";
    SIGNED_IN_AS = "Signed in as";
    THEME = "Switch colours";
    READ_AT = "Read at";
    LIVE = "Live";
    // What scripts say.
    LIVE_LOST = "Connection lost, showing data of";
    LIVE_POLLING = "Updated every few seconds";
    LIVE_SIGNED_OUT = "You are signed out.";
    LIVE_NEW = "new, show them";
    CLOSE = "Close";
    FAILED = "That did not work.";
    // Signing in.
    TOKEN = "Access token";
    TOKEN_HINT = "The first one is in admin.token in the data directory; others are made by robotd token create.";
    TOKEN_UNKNOWN = "This token is not known. It may have been withdrawn.";
    // Errors.
    ADVICE_SIGN_IN = "Sign in with a token that is valid.";
    ADVICE_FORBIDDEN = "Ask an administrator for a token whose role suffices, or reload the page you came from.";
    ADVICE_NOT_FOUND = "It may have been removed, or the address has a typing error.";
    ADVICE_CONFLICT = "Somebody or something was faster. Go back, look at how it stands now, and decide anew.";
    ADVICE_LATER = "The node resumes by itself. Try again in a few seconds.";
    ADVICE_LOG = "The cause is in the log of the node.";
    ADVICE_BACK = "Go back and mend it.";
    BACK_HOME = "To the robots";
    // Robots.
    ROBOTS = "Robots";
    ROBOTS_SUB = "Execution processes";
    ROBOT = "Robot";
    STATUS = "Status";
    INSTANCES = "Instances";
    INSTANCES_HINT = "in use / set";
    QUEUED = "Queued";
    WAKES = "Wakes";
    NEXT = "Next";
    LAST = "Last run";
    DAY = "24 hours";
    ACTIONS = "Actions";
    SEARCH = "Search";
    CATEGORY = "Category";
    CATEGORIES = "Categories";
    ANY = "Any";
    FILTER = "Filter";
    CLEAR = "Clear";
    NO_ROBOTS = "No robot is like that.";
    NEVER = "never";
    NOTHING = "–";
    RUN_NOW = "Run now";
    CHANGE = "Change";
    PAUSE_ALL = "Pause robots";
    RESUME = "Resume robots";
    // One robot.
    SUMMARY = "State";
    CONFIGURATION = "Configuration";
    NEXT_TICKS = "Next ticks";
    NO_SCHEDULE = "It has no schedule: events, tasks and people wake it.";
    SCHEDULE = "Schedule";
    WINDOW = "Window";
    RANGE = "Execution range";
    TIMEOUT = "Time limit";
    EVENTS = "Woken by events";
    OVERLAP = "While a run is open, a tick";
    CATCH_UP = "Missed ticks";
    RETRY = "After a failure";
    SETTINGS = "Settings";
    SHARDING = "Spread";
    REVISION = "Revision";
    RESTARTS = "Worker restarts";
    LAST_ERROR = "Last error";
    RUNS_OF_DAY = "Runs of the last 24 hours";
    WENT_WELL = "went well";
    WENT_WRONG = "went wrong";
    ITS_TASKS = "Its tasks";
    ITS_EXECUTIONS = "In execution";
    ALWAYS = "always";
    // Changing one.
    CHANGING = "Change";
    ENABLED = "Status";
    ON = "On";
    OFF = "Off";
    OFF_HINT = "Off: no tick fires and no task is started; queued tasks wait.";
    AT_MOST = "at most";
    PAUSES = "0 pauses the robot.";
    KIND_NONE = "None";
    KIND_EVERY = "At an interval";
    KIND_CRON = "By the clock";
    EVERY = "Every";
    EVERY_HINT = "5 min, 1 h 30 min, 2 d";
    CRON = "Cron line";
    CRON_HINT = "minute hour day month weekday";
    TIMEZONE = "Time zone";
    WINDOW_ALWAYS = "May always run";
    WINDOW_ONLY = "Only within a window";
    FROM = "From";
    UNTIL = "until";
    DAYS = "On these days";
    AT_CLOSE = "When it closes";
    JSON_HINT = "a JSON object";
    SAVE = "Change it";
    RESET = "Back to the defaults";
    CANCEL = "Cancel";
    CAUTION = "Caution";
    CONFIRM = "Yes, change it";
    CONFIRM_TITLE = "Before it is changed";
    BEFORE = "Now";
    AFTER = "Then";
    EDIT_AGAIN = "Edit again";
    MISTAKES = "Something is not acceptable:";
    STALE = "Somebody else changed this robot while you did. What is in force now is shown beside your wishes; look at it and decide anew.";
    STALE_LIVE = "Somebody else has just changed this robot. What you send will be compared with it.";
    TICKS_NONE = "No tick follows.";
    CLOCK_NIGHT = "Night on which the clock changes";
    NOTE_GAP = "local time is skipped";
    NOTE_FOLD = "local time occurs twice";
    TICK = "Tick";
    LOCAL = "Local time";
    DECISION = "Becomes";
    // Switching many.
    SWITCH_OFF = "Pause robots";
    SWITCH_ON = "Resume robots";
    SWITCH_OFF_SUB = "They are switched off: runs in execution go on, ticks are skipped, tasks wait. Numbers of instances are kept.";
    SWITCH_ON_SUB = "They are switched on again and begin with what waits.";
    SWITCH_ALL = "All";
    SWITCH_NONE_ON = "No robot is switched on.";
    SWITCH_NONE_OFF = "No robot is switched off.";
    // Reports.
    EXECUTIONS = "In execution";
    EXECUTIONS_SUB = "Started robot instances, in the whole cluster";
    TASKS = "Tasks";
    TASKS_SUB = "Registered work and how it stands";
    TASK = "Task";
    PROCESS = "Process";
    ATTEMPT = "Attempt";
    NODE = "Node";
    STARTED = "Started";
    PROGRESS = "Progress";
    TRIGGER = "Woken by";
    REGISTERED = "Registered";
    FINISHED = "Finished";
    PAYLOAD = "Payload";
    STOPPING = "stopping";
    STOP = "Stop";
    RETRY_NOW = "Retry";
    WHEN = "When";
    SPAN_ENDS_FIRST = "must lie after the beginning";
    LAST_HOUR = "Last hour";
    LAST_DAY = "Last 24 hours";
    LAST_WEEK = "Last 7 days";
    ANY_TIME = "At any time";
    CSV = "CSV";
    OTHER_ROWS = "Other rows";
    OLDER = "Older";
    NEWEST = "Newest";
    NO_EXECUTIONS = "Nothing is in execution.";
    NO_TASKS = "No task is like that.";
    PROCESSES = "Processes";
    PROCESSES_SUB = "What ran, where, how long, and how it ended";
    NO_PROCESSES = "No process is like that.";
    OUTCOME = "Outcome";
    TOOK = "Took";
    TICKS = "Ticks";
    TICKS_SUB = "Every planned instant: why it became a run, or why not";
    NO_TICKS = "No tick is like that.";
    PLANNED = "Planned";
    THROUGH = "to";
    DECIDED = "Became";
    WHY = "Why";
    DECIDED_AT = "Decided";
    // The first page.
    OVERVIEW = "Overview";
    OVERVIEW_SUB = "What needs you, how the last day went, and who does the work";
    NEEDS = "Needs attention";
    NEEDS_NONE = "Nothing needs you.";
    NEEDS_PAUSED = "They have no instances, so that their work waits:";
    NEEDS_OFF = "They are switched off:";
    NEEDS_RECIPIENTS = "They tell nobody by mail, because their setting recipients is empty:";
    NEEDS_DECISION = "Tasks do not begin before somebody decides on them:";
    NEEDS_STUCK = "Runs that do not end although they were told to:";
    NEEDS_NO_ERROR = "It said nothing.";
    AND_FURTHER = "and further";
    IN_24_HOURS = "in 24 hours";
    RUNS = "Runs";
    THROUGHPUT = "Runs in each half hour";
    FAILURES = "Failures in each half hour";
    NO_FAILURES = "Nothing went wrong in the last 24 hours.";
    LATENCY = "How long runs take and wait";
    NO_RUNS = "No run has ended in the last 24 hours.";
    MEAN_RUN = "mean run";
    LONGEST_RUN = "longest run";
    LONGEST_WAIT = "longest wait for a run";
    WAITING = "Queued tasks, the most in each half hour";
    NONE_WAITED = "No task waited in the last 24 hours.";
    AT_ONCE = "at once at most";
    QUEUES = "Longest queues";
    NO_QUEUES = "No task waits.";
    NODES = "Nodes";
    VERSION = "Version";
    HEARD = "Heard of";
    TREE = "Supervisor";
    WANTED_HINT = "running / wanted";
    STUCK = "Stuck";
    ITS_PROCESSES = "Its processes";
    ITS_TICKS = "Its ticks";
    ITS_CHANGES = "Its changes";
    // The inventory.
    INVENTORY = "Inventory";
    INVENTORY_SUB = "What robots work on";
    NO_THINGS = "There is nothing like that.";
    YES = "yes";
    NO = "no";
    FIELDS = "Fields";
    SECRET = "Secret";
    PASSPHRASE = "Its passphrase";
    SECRET_HINT = "That you looked at it, when and why stands in the audit trail.";
    REASON = "Reason";
    SHOW_SECRET = "Show the secret";
    HIDE = "Hide it";
    RENEW = "Ask for another certificate";
    APPROVE_RENEWAL = "Agree to the certificate that is requested";
    REVOKE = "Revoke the certificate";
    REVOKE_CAUTION = "This cannot be taken back. Its automation renews and publishes nothing until another certificate is asked for; what services serve meanwhile is left alone. Only a certificate that was issued here can be revoked here.";
    REVOKE_CONFIRM = "Yes, revoke it";
    // Operations.
    OPERATIONS = "Operations";
    OPERATIONS_SUB = "What is done to the accounts of credentials, and what became of it";
    NO_OPERATIONS = "No operation is like that.";
    OPERATION = "Operation";
    KIND = "What";
    CREDENTIAL = "Credential";
    TEMPLATE = "Template";
    ORDERED = "Ordered";
    ORDERED_BY = "Ordered by";
    ITS_OPERATIONS = "Its operations";
    ATTEMPTS_OVER = "Attempts that are over";
    NO_ATTEMPT_OVER = "None is over yet.";
    REFUSED_SIGN_INS = "Refused sign-ins";
    CANDIDATE = "Version of the new secret";
    WAITS_FOR = "Waits for";
    STEPS_OF = "Steps of attempt";
    STEP = "Step";
    SAID = "What came of it";
    // Approvals.
    APPROVALS = "Approvals";
    APPROVALS_SUB = "Tasks that wait for somebody's decision before they begin, and what was decided";
    NO_APPROVALS = "No decision is like that.";
    APPROVAL = "Approval";
    AGREES_FROM = "It does not begin before somebody agrees whose role is at least";
    WAITS_OTHER = "and who is not";
    WAITS_END = "What is decided on stays as it is here. Where nobody agrees, it ends at";
    MEANS_ACCOUNT = "Account name";
    MEANS_STOP = "Stops after failures";
    MEANS_BATCH = "At once";
    DEFINITION = "Definition";
    MEANING = "What it does";
    ASKED = "Asked";
    ASKED_BY = "Asked by";
    DECIDED_BY = "Decided by";
    DECIDES = "Who decides";
    APPROVE = "Approve";
    DENY = "Deny";
    // Imports.
    IMPORTS = "Imports";
    IMPORTS_SUB = "Spreadsheets that become devices and credentials, and what became of their rows";
    NO_IMPORTS = "No import is like that.";
    IMPORT = "Import";
    FILE = "File";
    FILE_HINT = "XLSX, OpenDocument or CSV, at most 8 MiB and 10,000 rows. It is kept sealed until its rows have their answers.";
    FILE_TEMPLATE = "A workbook to fill in";
    MODE = "What becomes of it";
    SEND = "Send the file";
    SENT = "Sent";
    SENT_BY = "Sent by";
    BYTES = "Bytes";
    ROWS = "Rows";
    SAME_AS = "The same file as";
    RESULT = "Rows with their answers, as a workbook";
    IMPORT_SUB = "The rows that have an answer, by line";
    NO_ANSWERS = "No row has such an answer yet.";
    LINE = "Line";
    ANSWER = "Answer";
    MISTAKES_OF_ROW = "What is wrong";
    DEVICE = "Device";
    // One process, one task.
    ERROR = "Error";
    COUNTED = "Counted";
    NOTHING_COUNTED = "It has counted nothing.";
    ATTEMPTS = "Attempts at its task";
    NO_ATTEMPTS = "Nobody has tried it yet.";
    IN_REPORT = "as a report";
    RETRY_TASK = "Retry its task";
    PRIORITY = "Priority";
    DEADLINE = "Not after";
    EVENT = "Event";
    DEATHS = "Workers that died of it";
    UNIQUE_KEY = "Unique key";
    NO_PAYLOAD = "It has none.";
    LOG = "Log";
    LOG_TAIL = "its end";
    LOG_PART = "a part of it";
    LOG_FOUND = "lines with the text";
    LOG_SEARCH = "Search the log";
    LOG_EARLIER = "Earlier lines";
    LOG_LATER = "Further lines";
    LOG_TO_TAIL = "To its end";
    LOG_MISSING = "lines are not kept here: the log is longer than its bound.";
    LOG_EMPTY = "Nothing is written.";
    LOG_NOT_FOUND = "No line has this text.";
    DOWNLOAD = "Download";
    AUDIT = "Audit";
    AUDIT_SUB = "Who changed what, before and after; each entry is chained to the one before";
    NO_AUDIT = "No entry is like that.";
    ENTRY = "Entry";
    AT = "At";
    ACTOR = "Who";
    ACTION = "Action";
    OBJECT = "Object";
    CHANGES = "Changes";
    REMOVED = "removed";
    FURTHER_FIELDS = "further fields";
}

/// What the last form did, for the page that follows it. `told` is `CODE.DETAIL`; what is not known says nothing.
pub(super) fn told(told: &str) -> Option<String> {
    let (code, detail) = told.split_once('.')?;
    let plain = detail
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if detail.len() > 160 || !plain {
        return None;
    }
    let text = match code {
        "changed" => format!("{detail} is changed."),
        "unchanged" => format!("{detail} is as it was."),
        "reset" => format!("{detail} is back to its defaults."),
        "run" => format!("It runs as task {detail}."),
        "switched_off" => format!("Robots switched off: {detail}."),
        "switched_on" => format!("Robots switched on: {detail}."),
        "stopping" => format!("Process {detail} was asked to stop."),
        "cancelled" => format!("Task {detail} is cancelled, or was asked to stop."),
        "operation_cancelled" => format!("Operation {detail} is cancelled."),
        "import_sent" => format!("Import {detail} is kept, and waits for its robot."),
        "import_cancelled" => format!("Import {detail} is cancelled, or was told to end."),
        "approved" => format!("Task {detail} is approved, and begins."),
        "denied" => format!("Task {detail} is denied, and ends."),
        "renewal_asked" => format!("Another certificate of automation {detail} is asked for."),
        "renewal_approved" => format!("The certificate of automation {detail} is agreed to."),
        "revocation_ordered" => format!("Certificate {detail} is about to be revoked."),
        "retried" => format!("Task {detail} is queued again."),
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_things_are_told() {
        assert_eq!(told("run.17").as_deref(), Some("It runs as task 17."));
        for garbage in [
            "",
            "run",
            "run.<b>",
            "else.1",
            &format!("run.{}", "1".repeat(200)),
        ] {
            assert_eq!(told(garbage), None, "{garbage}");
        }
    }
}
