//! A certificate authority for one test, made by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::counterpart::counterpart;

/// An authority and a certificate of it for `localhost` and `127.0.0.1`, all in PEM.
pub struct Authority {
    /// The authority's own certificate.
    pub ca: PathBuf,
    /// The certificate for `localhost`, good for servers and clients.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes the files in `folder`; `None` without `openssl`.
    pub fn make(folder: &Path) -> Option<Self> {
        let openssl = counterpart("openssl", "apt-get install -y openssl")?;
        let at = |name: &str| folder.join(name);
        std::fs::write(
            at("extensions"),
            "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n",
        )
        .unwrap();
        for arguments in [
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key \
             -out ca.pem -days 2 -subj /CN=test-authority",
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem \
             -out request.pem -subj /CN=localhost",
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile extensions -out cert.pem",
        ] {
            let made = Command::new(&openssl)
                .args(arguments.split_whitespace())
                .current_dir(folder)
                .output()
                .unwrap();
            assert!(
                made.status.success(),
                "openssl {arguments}: {}",
                String::from_utf8_lossy(&made.stderr)
            );
        }
        Some(Self {
            ca: at("ca.pem"),
            cert: at("cert.pem"),
            key: at("key.pem"),
        })
    }
}
