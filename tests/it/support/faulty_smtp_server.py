"""A mail server that misbehaves as the recipient's name says; see smtp_server.rs.

Arguments: the port without TLS, the port with STARTTLS, the port with TLS from the start,
certificate, key, user name, password.
"""

import asyncio
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

PLAIN_PORT, STARTTLS_PORT, TLS_PORT, CERT, KEY, USERNAME, PASSWORD = sys.argv[1:]

AT_RECIPIENT = {
    "greylisted": "450 4.7.1 come back in five minutes",
    "unknown": "550 5.1.1 no such mailbox",
    "signin": "530 5.7.0 sign in first",
    "talkative": "550 5.7.1 \x1b[2J\x07 " + "go away " * 100,
}
AFTER_TEXT = {
    "overquota": "452 4.2.2 mailbox full",
    "spam": "554 5.7.1 looks like spam",
}


class Faults:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        print("connected")
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        if address == "banned@example.org":
            return "550 5.1.8 sender banned"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 sender ok"

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name in AT_RECIPIENT:
            return AT_RECIPIENT[name]
        if name == "hangup":
            server.transport.abort()
            await asyncio.sleep(60)
        if name == "leaving":
            await server.push("421 4.3.2 shutting down")
            server.transport.close()
            await asyncio.sleep(60)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 recipient ok"

    async def handle_DATA(self, server, session, envelope):
        name = envelope.rcpt_tos[0].split("@")[0]
        if name in AFTER_TEXT:
            return AFTER_TEXT[name]
        if name == "slow":
            await asyncio.sleep(60)
        if name == "lost":
            server.transport.abort()
            await asyncio.sleep(60)
        print("accepted", envelope.rcpt_tos[0])
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, credentials):
    known = (USERNAME.encode(), PASSWORD.encode())
    right = (credentials.login, credentials.password) == known
    print("signed in" if right else "sign-in refused", mechanism)
    return AuthResult(success=right, handled=right)


async def serve():
    loop = asyncio.get_running_loop()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERT, KEY)

    def plain():
        return SMTP(Faults(), hostname="faulty.example", enable_SMTPUTF8=True)

    def starttls():
        return SMTP(
            Faults(),
            hostname="faulty.example",
            tls_context=tls,
            require_starttls=True,
            authenticator=authenticate,
            auth_required=True,
        )

    def implicit():
        # aiosmtpd does not see the TLS below it and would not offer to sign in.
        return SMTP(
            Faults(),
            hostname="faulty.example",
            authenticator=authenticate,
            auth_required=True,
            auth_require_tls=False,
        )

    await loop.create_server(plain, "127.0.0.1", int(PLAIN_PORT))
    await loop.create_server(starttls, "127.0.0.1", int(STARTTLS_PORT))
    await loop.create_server(implicit, "127.0.0.1", int(TLS_PORT), ssl=tls)
    await asyncio.Event().wait()


asyncio.run(serve())
