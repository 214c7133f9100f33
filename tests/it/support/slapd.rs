//! A directory of a test's own: `OpenLDAP`'s server with a password policy.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::authority::Authority;
use super::counterpart::{Counterpart, counterpart, free_port};

const INSTALL: &str = "apt-get install -y slapd ldap-utils";

/// The administrator, over whom the policy does not stand.
pub const ADMIN: &str = "cn=admin,dc=example,dc=org";

/// Locks after three wrong passwords; wants eight characters, and none of the last three.
const TREE: &str = "\
dn: dc=example,dc=org
objectClass: organization
objectClass: dcObject
o: example
dc: example

dn: cn=policy,dc=example,dc=org
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdCheckQuality: 2
pwdMinLength: 8
pwdInHistory: 3
pwdMaxFailure: 3
pwdLockout: TRUE
pwdLockoutDuration: 600
pwdMustChange: TRUE
pwdAllowUserChange: TRUE

";

/// `slapd` on loopback with its data in a temporary folder.
pub struct Slapd {
    /// Port without TLS, and with `StartTLS`.
    pub port: u16,
    /// Port with TLS from the start.
    pub tls_port: u16,
    /// What its certificate for `localhost` and `127.0.0.1` comes from.
    pub authority: Authority,
    process: Counterpart,
    folder: TempDir,
}

impl Slapd {
    /// Starts one whose administrator and whose people `uid=NAME,dc=example,dc=org` have a
    /// password; `None` where it cannot run, which was said loudly.
    pub fn start(names: &[&str], password: &str) -> Option<Self> {
        Self::start_with(names, password, "")
    }

    /// Starts one that says of itself to be Active Directory.
    pub fn start_as_windows(names: &[&str], password: &str) -> Option<Self> {
        let says = "dn:\nsupportedCapabilities: 1.2.840.113556.1.4.800\n";
        Self::start_with(names, password, says)
    }

    fn start_with(names: &[&str], password: &str, root: &str) -> Option<Self> {
        let slapd = counterpart("slapd", INSTALL)?;
        let slapadd = counterpart("slapadd", INSTALL)?;
        counterpart("ldapwhoami", INSTALL)?;
        let folder = TempDir::new().unwrap();
        let authority = Authority::make(folder.path())?;
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("data")).unwrap();
        std::fs::write(at("root.ldif"), root).unwrap();
        std::fs::write(
            at("slapd.conf"),
            configuration(folder.path(), &authority, password),
        )
        .unwrap();
        let people = names.iter().map(|name| {
            format!(
                "dn: {}\nobjectClass: inetOrgPerson\nobjectClass: windowsLike\nuid: {name}\ncn: {name}\nsn: {name}\nuserAccountControl: 512\nuserPassword: {password}\n\n",
                dn(name)
            )
        });
        std::fs::write(
            at("tree.ldif"),
            TREE.to_owned() + &people.collect::<String>(),
        )
        .unwrap();
        let added = Command::new(slapadd)
            .arg("-f")
            .arg(at("slapd.conf"))
            .arg("-l")
            .arg(at("tree.ldif"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&added.stderr);
        assert!(added.status.success(), "slapadd: {said}");
        let (port, tls_port) = (free_port(), free_port());
        let addresses = format!("ldap://127.0.0.1:{port}/ ldaps://127.0.0.1:{tls_port}/");
        let mut command = Command::new(slapd);
        command.args(["-d", "stats", "-h", &addresses, "-f"]);
        command.arg(at("slapd.conf"));
        let mut process = Counterpart::start(&mut command, &at("log"));
        process.wait_until_it_listens(port);
        process.wait_until_it_listens(tls_port);
        Some(Self {
            port,
            tls_port,
            authority,
            process,
            folder,
        })
    }

    /// Whether `OpenLDAP`'s own client signs in by a password.
    pub fn lets_in(&self, dn: &str, password: &str) -> bool {
        let ran = self.client("ldapwhoami", dn, password, &[], None);
        ran.status.success()
    }

    /// An attribute of an entry, as the administrator sees it in LDIF.
    pub fn read(&self, password: &str, dn: &str, attribute: &str) -> String {
        let arguments = ["-LLL", "-o", "ldif-wrap=no", "-s", "base", "-b", dn];
        let ran = self.client("ldapsearch", ADMIN, password, &arguments, Some(attribute));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    fn client(
        &self,
        program: &str,
        dn: &str,
        password: &str,
        arguments: &[&str],
        last: Option<&str>,
    ) -> std::process::Output {
        let secret = self.folder.path().join(format!("secret-{}", free_port()));
        std::fs::write(&secret, password).unwrap();
        Command::new(program)
            .args([
                "-x",
                "-H",
                &format!("ldaps://127.0.0.1:{}", self.tls_port),
                "-D",
                dn,
                "-y",
            ])
            .arg(&secret)
            .args(arguments)
            .args(last)
            .env("LDAPTLS_CACERT", &self.authority.ca)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        self.process.said()
    }

    /// Stops it from doing anything; its kernel goes on.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Ends it at once; for one that was paused, too.
    pub fn kill(self) {
        self.process.kill();
    }
}

/// The name of a person's entry.
pub fn dn(name: &str) -> String {
    format!("uid={name},dc=example,dc=org")
}

fn configuration(folder: &Path, authority: &Authority, password: &str) -> String {
    let module = ["ppolicy"]
        .map(|name| format!("moduleload {name}\n"))
        .concat();
    let schemas: String = ["core", "cosine", "inetorgperson"]
        .map(|name| format!("include /etc/ldap/schema/{name}.schema\n"))
        .concat();
    let modules = PathBuf::from("/usr/lib/ldap");
    format!(
        "{schemas}\
         attributetype ( 1.2.840.113556.1.4.90 NAME 'unicodePwd' SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 \
         EQUALITY octetStringMatch SINGLE-VALUE )\n\
         attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )\n\
         attributetype ( 1.2.840.113556.1.4.1783 NAME 'supportedCapabilities' SYNTAX 1.3.6.1.4.1.1466.115.121.1.38 )\n\
         objectclass ( 1.3.6.1.4.1.99999.1 NAME 'windowsLike' SUP top AUXILIARY MAY ( unicodePwd $ userAccountControl ) )\n\
         modulepath {modules}\nmoduleload back_mdb\n{module}\
         pidfile {folder}/pid\nrootDSE {folder}/root.ldif\n\
         TLSCACertificateFile {ca}\nTLSCertificateFile {cert}\nTLSCertificateKeyFile {key}\n\
         database mdb\nsuffix dc=example,dc=org\ndirectory {folder}/data\n\
         rootdn {ADMIN}\nrootpw \"{password}\"\n\
         overlay ppolicy\nppolicy_default cn=policy,dc=example,dc=org\nppolicy_use_lockout\nppolicy_hash_cleartext\n\
         access to attrs=userPassword,unicodePwd by self write by anonymous auth by * none\n\
         access to * by * read\n",
        modules = modules.display(),
        folder = folder.display(),
        ca = authority.ca.display(),
        cert = authority.cert.display(),
        key = authority.key.display(),
    )
}
