//! The commands of one mail, on a connection that is ready for it.

use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use lettre::{Address, Message};

use super::reply::{Stage, accepted};
use super::{SendFailure, SmtpReply};

/// RFC 6531, section 3.1: an address beyond ASCII only goes to a server that takes it.
pub(super) fn check_addresses(
    line: &AsyncSmtpConnection,
    letter: &Message,
) -> Result<(), SendFailure> {
    let envelope = letter.envelope();
    if line.server_info().supports_feature(Extension::SmtpUtfEight) {
        Ok(())
    } else if !envelope.from().is_none_or(is_ascii) {
        Err(SendFailure::unsent_by_us(
            "the server takes no sender address beyond ASCII (SMTPUTF8)",
        ))
    } else if !envelope.to().iter().all(is_ascii) {
        Err(SendFailure::refused_by_us(
            "the server takes no recipient address beyond ASCII (SMTPUTF8)",
        ))
    } else {
        Ok(())
    }
}

/// One mail from `MAIL FROM` to the answer after its last line.
pub(super) async fn transact(
    line: &mut AsyncSmtpConnection,
    letter: &Message,
) -> Result<SmtpReply, (SmtpError, Stage)> {
    let envelope = letter.envelope();
    let bytes = letter.formatted();
    let mut parameters = Vec::new();
    if !envelope
        .from()
        .into_iter()
        .chain(envelope.to())
        .all(is_ascii)
    {
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !bytes.is_ascii() {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    line.command(Mail::new(envelope.from().cloned(), parameters))
        .await
        .map_err(|error| (error, Stage::Sender))?;
    let at_mail = |error| (error, Stage::Mail);
    for address in envelope.to() {
        line.command(Rcpt::new(address.clone(), Vec::new()))
            .await
            .map_err(at_mail)?;
    }
    line.command(Data).await.map_err(at_mail)?;
    // The library doubles leading dots and adds the last line.
    let response = line.message(&bytes).await.map_err(at_mail)?;
    Ok(accepted(&response))
}

fn is_ascii(address: &Address) -> bool {
    AsRef::<str>::as_ref(address).is_ascii()
}
