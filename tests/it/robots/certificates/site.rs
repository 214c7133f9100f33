//! A machine with a web server whose certificate is near its end.

use std::path::PathBuf;

use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use serde_json::{Value, json};

use super::{authority, life};
use crate::robots::operations::{OLD, credential, machine, make};
use crate::robots::rig::Rig;
use crate::support::certificates::Certificates;
use crate::support::nginx::Nginx;
use crate::support::sshd::Sshd;

pub struct Site {
    pub sshd: Sshd,
    pub nginx: Nginx,
    pub certificates: Certificates,
    pub directory: PathBuf,
    /// The authority's certificate.
    pub root: String,
    /// The certificate that is to be renewed, in the inventory.
    pub first: InventoryId,
    pub automation: InventoryId,
    pub binding: InventoryId,
    /// The serial number of the certificate that is to be renewed.
    pub old: String,
}

impl Site {
    /// The server shows a certificate that ends in five days; `body` is laid over the binding.
    pub async fn new(rig: &Rig<'_>, body: Value) -> Option<Self> {
        let sshd = Sshd::start()?;
        let certificates = Certificates::new()?;
        let pem = certificates.make("www.example.org", None, life(rig, 60, 5));
        let directory = sshd.open_file("site");
        sshd.add_account("deploy", OLD);
        sshd.allow_sudo("deploy", "ALL=(root) NOPASSWD: /usr/sbin/nginx");
        lay_down(
            &sshd,
            &directory,
            &pem,
            &certificates.key("www.example.org"),
        );
        let nginx = Nginx::start(&directory)?;
        let machine = machine(rig, &sshd).await;
        let account = credential(rig, machine, "deploy", OLD).await;
        let (issuer, root) = authority(rig, "Test authority").await;
        let imported = json!({"certificate": pem});
        let first = make(rig, Noun::Certificate, imported, None).await;
        let automation = json!({"name": "www", "issuer": issuer, "certificate": first, "names": ["www.example.org", "127.0.0.1"]});
        let automation = make(rig, Noun::CertificateAutomation, automation, None).await;
        let mut binding = json!({
            "name": "nginx", "automation": automation, "credential": account, "directory": directory,
            "port": nginx.port, "test": nginx.command(&["-t", "-q"]), "reload": nginx.command(&["-s", "reload"]),
        });
        binding
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        let binding = make(rig, Noun::CertificateBinding, binding, None).await;
        let old = nginx.serial();
        Some(Self {
            sshd,
            nginx,
            certificates,
            directory,
            root,
            first,
            automation,
            binding,
            old,
        })
    }

    /// Where the link leads.
    pub fn link(&self) -> String {
        let led = std::fs::read_link(self.directory.join("current")).unwrap();
        led.to_str().unwrap().to_owned()
    }

    /// Whether the files that the link leads to belong together.
    pub fn is_one_pair(&self) -> bool {
        let public = |words: &[&str], file: &str| {
            let path = self.directory.join("current").join(file);
            let mut words = words.to_vec();
            words.push(path.to_str().unwrap());
            self.sshd.must(&words, "")
        };
        public(
            &["openssl", "x509", "-noout", "-pubkey", "-in"],
            "certificate.pem",
        ) == public(&["openssl", "pkey", "-pubout", "-in"], "key.pem")
    }
}

/// The folder as somebody made it by hand, before robotd.
fn lay_down(sshd: &Sshd, directory: &std::path::Path, certificate: &str, key: &str) {
    let first = directory.join("by-hand");
    let path = first.to_str().unwrap();
    sshd.must(&["mkdir", "-p", path], "");
    std::fs::write(first.join("certificate.pem"), certificate).unwrap();
    std::fs::write(first.join("key.pem"), key).unwrap();
    let link = directory.join("current");
    sshd.must(&["ln", "-s", "by-hand", link.to_str().unwrap()], "");
    sshd.must(&["chown", "-R", "deploy:", directory.to_str().unwrap()], "");
}
