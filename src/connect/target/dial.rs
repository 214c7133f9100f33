//! A TCP connection to a target.

use std::borrow::Cow;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream as Socket};

use tokio::net::{TcpStream, lookup_host};

use super::{Attempt, Failure};
use crate::domain::failure::FailureClass;

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Connects to the first address of a name that answers; the caller keeps the time.
pub(crate) async fn dial(
    attempt: &Attempt<'_>,
    host: &str,
    port: u16,
) -> Result<TcpStream, Failure> {
    let no_address = |reason: Cow<'static, str>| attempt.fail(FailureClass::Dns, "look up", reason);
    let addresses: Vec<SocketAddr> = lookup_host((host, port))
        .await
        .map_err(|error| no_address(Cow::Owned(error.to_string())))?
        .take(ADDRESSES_MAX)
        .collect();
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Dialogues of small messages: each would wait for the answer to the one before.
                if let Err(error) = stream.set_nodelay(true) {
                    log::debug!("a connection to {address} keeps its delay: {error}");
                }
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(error) => attempt.fail(class_of(&error), "connect to", error.to_string()),
        None => no_address(Cow::Borrowed("the name has no address")),
    })
}

/// Closes a connection when it is dropped, whatever a library's own task does with it then.
pub(crate) struct Cut(Socket);

impl Drop for Cut {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown(Shutdown::Both) {
            log::trace!("a connection was closed before: {error}");
        }
    }
}

/// A connection for a library, and what closes it.
pub(crate) fn cut_when_dropped(
    attempt: &Attempt<'_>,
    stream: TcpStream,
) -> Result<(Socket, Cut), Failure> {
    let lost = |error: io::Error| attempt.fail(class_of(&error), "connect to", error.to_string());
    let stream = stream.into_std().map_err(lost)?;
    let cut = Cut(stream.try_clone().map_err(lost)?);
    Ok((stream, cut))
}

/// What an error of a socket means.
pub(crate) fn class_of(error: &io::Error) -> FailureClass {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::TimedOut => FailureClass::Timeout,
        Kind::ConnectionRefused
        | Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::UnexpectedEof => FailureClass::Refused,
        Kind::InvalidData => FailureClass::Protocol,
        _ => FailureClass::NetworkUnreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_errors_have_their_class() {
        for (kind, class) in [
            (io::ErrorKind::ConnectionRefused, FailureClass::Refused),
            (io::ErrorKind::UnexpectedEof, FailureClass::Refused),
            (
                io::ErrorKind::HostUnreachable,
                FailureClass::NetworkUnreachable,
            ),
            (
                io::ErrorKind::NetworkUnreachable,
                FailureClass::NetworkUnreachable,
            ),
            (io::ErrorKind::TimedOut, FailureClass::Timeout),
        ] {
            assert_eq!(class_of(&io::Error::from(kind)), class, "{kind}");
        }
    }
}
