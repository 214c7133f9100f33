//! Services to which no robot signs in: a remote desktop, a remote screen, Telnet, `MariaDB`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::counterpart::{Counterpart, counterpart, free_port};

/// A program that listens at a port, and its folder.
pub struct Console {
    /// Port of loopback.
    pub port: u16,
    _process: Counterpart,
    _folder: TempDir,
}

fn started(command: &mut Command, port: u16, folder: TempDir) -> Console {
    let mut process = Counterpart::start(command, &folder.path().join("log"));
    process.wait_until_it_listens(port);
    Console {
        port,
        _process: process,
        _folder: folder,
    }
}

/// xrdp with a session manager that is not there: nobody signs in.
pub fn remote_desktop() -> Option<Console> {
    let xrdp = counterpart("xrdp", "apt-get install -y xrdp")?;
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let configuration = folder.path().join("xrdp.ini");
    let log = folder.path().join("xrdp.log");
    let text = format!(
        "[Globals]\nport=tcp://127.0.0.1:{port}\nsecurity_layer=negotiate\n[Logging]\nLogFile={}\nEnableSyslog=false\n",
        log.display()
    );
    std::fs::write(&configuration, text).unwrap();
    let mut command = Command::new(xrdp);
    command.arg("--nodaemon").arg("--config").arg(configuration);
    Some(started(&mut command, port, folder))
}

/// An X server whose screen is shown by RFB.
pub fn remote_screen() -> Option<Console> {
    let server = counterpart("Xtigervnc", "apt-get install -y tigervnc-standalone-server")?;
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let mut command = Command::new(server);
    command
        .arg(format!(":{port}"))
        .args(["-rfbport", &port.to_string()])
        .args(["-localhost", "-SecurityTypes", "None", "-geometry", "64x64"]);
    Some(started(&mut command, port, folder))
}

/// `MariaDB` with nothing in it.
pub fn mariadb() -> Option<Console> {
    let server = counterpart("mariadbd", "apt-get install -y mariadb-server-core")?;
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let at = |name: &str| format!("{}/{name}", folder.path().display());
    let mut command = Command::new(server);
    command
        .args(["--no-defaults", "--skip-grant-tables", "--skip-innodb"])
        .args(["--default-storage-engine=Aria", "--user=root"])
        .args(["--bind-address=127.0.0.1", &format!("--port={port}")])
        .arg(format!("--datadir={}", at("")))
        .arg(format!("--socket={}", at("socket")))
        .arg(format!("--pid-file={}", at("pid")));
    Some(started(&mut command, port, folder))
}

/// telnetd as `inetd` starts it: one for each connection. Answers the port.
pub fn telnet() -> Option<u16> {
    let telnetd = counterpart("telnetd", "apt-get install -y inetutils-telnetd")?;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let end = OwnedFd::from(stream.unwrap());
            let [input, output] = [(); 2].map(|()| Stdio::from(end.try_clone().unwrap()));
            let mut child = Command::new(&telnetd)
                .stdin(input)
                .stdout(output)
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            drop(end);
            std::thread::spawn(move || child.wait());
        }
    });
    Some(port)
}

/// Somebody who says `words` to each caller, and then listens. Answers the port.
pub fn says(words: &'static [u8]) -> u16 {
    says_at(0, words)
}

/// The same at this port.
pub fn says_at(port: u16, words: &'static [u8]) -> u16 {
    listens_at("127.0.0.1", port, words)
}

/// The same at another address of loopback.
pub fn listens_at(address: &str, port: u16, words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((address, port)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let _gone = stream.write_all(words);
                let _gone = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    port
}
