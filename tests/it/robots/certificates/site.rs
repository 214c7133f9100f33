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
use crate::support::web_machine::{ACCOUNT, NAME, WebMachine, is_one_pair};

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
        let WebMachine {
            sshd,
            nginx,
            certificates,
            directory,
            pem,
        } = WebMachine::start(life(rig, 60, 5), OLD)?;
        let machine = machine(rig, &sshd).await;
        let account = credential(rig, machine, ACCOUNT, OLD).await;
        let (issuer, root) = authority(rig, "Test authority").await;
        let imported = json!({"certificate": pem});
        let first = make(rig, Noun::Certificate, imported, None).await;
        let automation = json!({"name": "www", "issuer": issuer, "certificate": first, "names": [NAME, "127.0.0.1"]});
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
        is_one_pair(&self.sshd, &self.directory)
    }
}
