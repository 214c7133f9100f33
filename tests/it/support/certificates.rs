//! Certificates whose beginning and end are chosen, made by `openssl ca`.

use std::path::PathBuf;
use std::process::Command;

use robotd::domain::time::Timestamp;
use tempfile::TempDir;

use super::counterpart::counterpart;

/// A folder of keys and certificates, gone with this value.
pub struct Certificates {
    openssl: PathBuf,
    folder: TempDir,
}

const CONFIGURATION: &str = "\
[req]
distinguished_name = any
[any]
commonName = supplied
[ca]
default_ca = here
[here]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
";

impl Certificates {
    /// An empty folder; `None` without `openssl`, which was said loudly.
    pub fn new() -> Option<Self> {
        let openssl = counterpart("openssl", "apt-get install -y openssl")?;
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("cnf"), CONFIGURATION).unwrap();
        std::fs::write(folder.path().join("index"), "").unwrap();
        Some(Self { openssl, folder })
    }

    /// A certificate for `CN=name` as PEM, by the issuer that was made here under that name, or by itself. The key of
    /// a name stays the same.
    pub fn make(
        &self,
        name: &str,
        issuer: Option<&str>,
        (begin, end): (Timestamp, Timestamp),
    ) -> String {
        let key = format!("{name}.key");
        if !self.folder.path().join(&key).exists() {
            self.run(&format!(
                "genpkey -algorithm ec -pkeyopt ec_paramgen_curve:prime256v1 -out {key}"
            ));
        }
        self.run(&format!(
            "req -new -config cnf -key {key} -subj /CN={name} -out {name}.csr"
        ));
        let signer = match issuer {
            Some(issuer) => format!("-cert {issuer}.pem -keyfile {issuer}.key"),
            None => format!("-selfsign -keyfile {key}"),
        };
        self.run(&format!(
            "ca -batch -config cnf -notext -rand_serial {signer} -in {name}.csr -out {name}.pem \
             -startdate {} -enddate {}",
            begin.format("%Y%m%d%H%M%SZ"),
            end.format("%Y%m%d%H%M%SZ"),
        ));
        std::fs::read_to_string(self.folder.path().join(format!("{name}.pem"))).unwrap()
    }

    /// The private key of a name as PEM.
    pub fn key(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(format!("{name}.key"))).unwrap()
    }

    /// Whether OpenSSL finds a chain, the certificate first, sound at an instant, up to a root. All are PEM.
    pub fn verify(&self, chain: &str, root: &str, at: Timestamp) -> bool {
        let path = |name: &str, text: &str| {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let verified = Command::new(&self.openssl)
            .args(["verify", "-x509_strict", "-purpose", "sslserver", "-attime"])
            .arg(at.timestamp().to_string())
            .arg("-CAfile")
            .arg(path("verify-root", root))
            .arg("-untrusted")
            .arg(path("verify-chain", chain))
            .arg(self.folder.path().join("verify-chain"))
            .output()
            .unwrap();
        verified.status.success()
    }

    fn run(&self, arguments: &str) {
        let made = Command::new(&self.openssl)
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "openssl {arguments}: {told}");
    }
}
