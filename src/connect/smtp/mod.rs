//! Mail out: one message to one recipient, over SMTP.
//!
//! [`SmtpConnector::send`] tells the three ways a mail can fail apart, because the caller
//! treats them differently: later, never, or not before somebody mends the account. A mail
//! whose server fell silent after the text was sent may arrive all the same; it is sent
//! again under the same Message-ID, by which receivers recognise the copy.

mod connector;
mod exchange;
mod letter;
mod reply;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::domain::time::Timestamp;

pub use connector::{IDLE_CONNECTIONS_MAX, MAILS_PER_CONNECTION_MAX, SmtpConnector};
pub use letter::MAIL_BYTES_MAX;
pub use reply::{REPLY_CHARS_MAX, SendFailure, SmtpReply};

/// How the connection to the server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// Not at all: for a relay on this machine. With a password this is refused unless the
    /// host is a loopback address.
    None,
    /// Begins readable and turns to TLS before anything of worth is said; a server that
    /// does not offer it is not used (port 587, RFC 3207).
    StartTls,
    /// TLS from the first byte (port 465, RFC 8314).
    Implicit,
}

/// The server that takes our mail and who we are there.
#[derive(Clone)]
pub struct SmtpAccount {
    /// Name or address; with TLS also the name its certificate must carry.
    pub host: String,
    /// Port, mostly 25, 465 or 587.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// Name to sign in with; goes together with the password.
    pub username: Option<String>,
    /// Password to sign in with.
    pub password: Option<SecretString>,
    /// Sender, an address or `Name <address>`; errors come back to it.
    pub from: String,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<String>,
    /// The authority the server's certificate must come from; the platform's when `None`.
    pub ca_file: Option<PathBuf>,
    /// Longest time for one mail, connecting included.
    pub timeout: Duration,
}

impl fmt::Debug for SmtpAccount {
    /// Everything but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpAccount")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("username", &self.username)
            .field("from", &self.from)
            .field("reply_to", &self.reply_to)
            .field("ca_file", &self.ca_file)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// One mail to one recipient.
///
/// One recipient, because servers answer per recipient and the outbox keeps the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMail {
    /// `<left@right>`, made once and stored before the first attempt.
    pub message_id: String,
    /// An address or `Name <address>`.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The text; line ends of any kind.
    pub text: String,
    /// The same as HTML, for programs that show it.
    pub html: Option<String>,
    /// A file that goes with it.
    pub attachment: Option<Attachment>,
    /// When it was written.
    pub date: Timestamp,
}

/// A file in a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What it is called.
    pub name: String,
    /// Such as `text/csv`.
    pub media_type: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

impl OutgoingMail {
    /// Bytes of all that it carries, before it is encoded.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let html = self.html.as_ref().map_or(0, String::len);
        let file = self.attachment.as_ref();
        self.text.len() + html + file.map_or(0, |file| file.content.len())
    }
}
