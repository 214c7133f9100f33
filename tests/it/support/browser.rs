//! A real browser at the panel: Chromium without a screen, told what to do by chromedriver.
//!
//! Debian has it as a program of its own, which starts in half the time and with half the processes of the one that also has
//! a screen.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::counterpart::{Counterpart, PATIENCE, counterpart, free_port};
use super::node::Node;

/// How often a page is looked at again: each look costs driver and browser some milliseconds of a processor.
const GLANCE: Duration = Duration::from_millis(60);
/// Clicks on what is replaced each time.
const CLICKS_MAX: u32 = 5;

/// Not the script of this name on the path: whoever ends that leaves the browser behind.
const CHROMIUM: &str = "/usr/lib/chromium/chromium-headless-shell";

/// chromedriver; all browsers of this process share it, and it ends with the last of them.
struct Driver {
    port: u16,
    browser: PathBuf,
    _process: Counterpart,
    _folder: TempDir,
}

static DRIVER: Mutex<Weak<Driver>> = Mutex::new(Weak::new());

fn driver() -> Option<Arc<Driver>> {
    let mut known = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(driver) = known.upgrade() {
        return Some(driver);
    }
    let browser = counterpart(CHROMIUM, "apt-get install chromium-headless-shell")?;
    let program = counterpart("chromedriver", "apt-get install chromium-driver")?;
    let folder = tempfile::Builder::new()
        .prefix("robotd-driver-")
        .tempdir()
        .unwrap();
    let port = free_port();
    let mut command = Command::new(program);
    command.arg(format!("--port={port}"));
    let mut process = Counterpart::start(&mut command, &folder.path().join("log"));
    process.wait_until_it_listens(port);
    let driver = Arc::new(Driver {
        port,
        browser,
        _process: process,
        _folder: folder,
    });
    *known = Arc::downgrade(&driver);
    Some(driver)
}

/// What the environment has prepared under a name, e.g. where axe-core lies, which `tests/axe` fetches.
#[expect(
    clippy::disallowed_methods,
    reason = "only the environment tells what tests/run has prepared"
)]
pub fn prepared(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

/// One browser with a profile of its own; gone when this is.
pub struct Browser {
    client: Client,
    process: Option<Pid>,
    session: String,
    driver: Arc<Driver>,
}

impl Browser {
    /// A browser with an empty page, or `None` where there is none to start. `zone` is where its viewer is.
    pub async fn start(zone: &str) -> Option<Self> {
        super::install_tls_provider();
        let driver = driver()?;
        let mut capabilities = Capabilities::new();
        let arguments = [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--hide-scrollbars",
            "--window-size=1280,900",
        ];
        let options = json!({"binary": driver.browser, "args": arguments});
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        // Authorities of tests are no browser's.
        capabilities.insert("acceptInsecureCerts".to_owned(), json!(true));
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({"browser": "ALL"}));
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .unwrap();
        let process = client
            .capabilities()
            .and_then(|known| known.get("goog:processID"))
            .and_then(Value::as_i64)
            .and_then(|id| Pid::from_raw(i32::try_from(id).unwrap()));
        let session = client.session_id().await.unwrap().unwrap();
        let browser = Self {
            client,
            process,
            session,
            driver,
        };
        browser
            .devtools("Emulation.setTimezoneOverride", json!({"timezoneId": zone}))
            .await;
        Some(browser)
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!(
            "http://127.0.0.1:{}/session/{}/{path}",
            self.driver.port, self.session
        );
        let answer = reqwest::Client::new().post(url).json(body).send().await;
        answer.unwrap().json().await.unwrap()
    }

    /// A command of Chromium's own protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        let answer = self.post("goog/cdp/execute", &body).await;
        assert!(
            answer["value"].get("error").is_none(),
            "{command}: {answer}"
        );
        answer["value"].clone()
    }

    /// Goes to an address.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Signs in at a node and comes to its first page.
    pub async fn sign_in(&self, node: &Node, token: &str) {
        self.sign_in_at(&node.url(), token).await;
    }

    /// Signs in at whatever leads to a node.
    pub async fn sign_in_at(&self, url: &str, token: &str) {
        self.open(&format!("{url}/sign-in")).await;
        self.fill("#token", token).await;
        self.click("main button.main").await;
        self.until("document.querySelector('header nav') !== null")
            .await;
    }

    /// What a script answers; it is an expression.
    pub async fn value(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.client
            .execute(&script, Vec::new())
            .await
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// What the promise that an expression makes becomes.
    pub async fn answer(&self, expression: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; ({expression}).then(done, error => done(String(error)));"
        );
        let answer = self.client.execute_async(&script, Vec::new()).await;
        answer.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Looks until an expression is true.
    pub async fn until(&self, expression: &str) {
        self.until_within(expression, PATIENCE).await;
    }

    /// As [`Self::until`], with another limit.
    pub async fn until_within(&self, expression: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            // While a page is left for another one there is nothing to ask.
            let script = format!("return Boolean({expression});");
            let found = self.client.execute(&script, Vec::new()).await;
            if found.is_ok_and(|found| found == true) {
                return;
            }
            if Instant::now() >= deadline {
                let text = self.text("body").await;
                panic!("waited in vain for {expression}; the page says:\n{text}");
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// The visible text of the first element that a selector finds.
    pub async fn text(&self, selector: &str) -> String {
        let element = self.client.find(Locator::Css(selector)).await;
        let element = element.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.text().await.unwrap()
    }

    /// Clicks the first element that a selector finds, as a person would: it must be there and visible. One that a live
    /// page replaces at this moment is looked for again.
    pub async fn click(&self, selector: &str) {
        for tries in 1.. {
            self.until(&format!(
                "document.querySelector({}) !== null",
                json!(selector)
            ))
            .await;
            let element = self.client.find(Locator::Css(selector)).await.unwrap();
            match element.click().await {
                Ok(()) => return,
                Err(error) if error.is_stale_element_reference() && tries < CLICKS_MAX => {}
                Err(error) => panic!("{selector}: {error}"),
            }
        }
    }

    /// Replaces what stands in a field by typing.
    pub async fn fill(&self, selector: &str, text: &str) {
        let element = self.client.find(Locator::Css(selector)).await;
        let element = element.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// Chooses a file in a field for one.
    pub async fn attach(&self, selector: &str, file: &Path) {
        let field = self.client.find(Locator::Css(selector)).await.unwrap();
        field.send_keys(file.to_str().unwrap()).await.unwrap();
    }

    /// Takes the pointer away from whatever it is at.
    pub async fn point_nowhere(&self) {
        let corner = json!({"type": "mouseMoved", "x": 1, "y": 1});
        self.devtools("Input.dispatchMouseEvent", corner).await;
    }

    /// Chooses a value of a list.
    pub async fn choose(&self, selector: &str, value: &str) {
        let list = self.client.find(Locator::Css(selector)).await.unwrap();
        list.select_by_value(value).await.unwrap();
    }

    /// Types into whatever has the focus.
    pub async fn keys(&self, keys: &str) {
        let element = self.client.active_element().await.unwrap();
        element.send_keys(keys).await.unwrap();
    }

    /// Gives the window another size.
    pub async fn size(&self, width: u32, height: u32) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}),
        )
        .await;
    }

    /// Writes what is seen to a file.
    pub async fn picture(&self, path: &Path) {
        let png = self.client.screenshot().await.unwrap();
        std::fs::write(path, png).unwrap();
    }

    /// Keeps a picture for people to look at after a test, where `ROBOTD_TEST_PICTURES` names a folder for them.
    pub async fn keep_picture(&self, name: &str) {
        let Some(folder) = prepared("ROBOTD_TEST_PICTURES") else {
            return;
        };
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = name.chars().map(plain).collect();
        self.picture(&folder.join(format!("panel{name}.png"))).await;
    }

    /// Bytes that went over the line for the page that is open, and all it is made of; not what it has asked for since.
    pub async fn transferred(&self) -> u64 {
        let sum = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].filter(entry => entry.initiatorType !== 'fetch').reduce((sum, entry) => sum + entry.transferSize, 0)";
        self.value(sum).await.as_u64().unwrap()
    }

    /// How far the page that is open has moved by itself since it was first seen; 0 is not at all.
    pub async fn shift(&self) -> f64 {
        let moved = self
            .answer("new Promise(done => new PerformanceObserver(list => done(list.getEntries().filter(entry => !entry.hadRecentInput).reduce((sum, entry) => sum + entry.value, 0))).observe({type: 'layout-shift', buffered: true}) || setTimeout(() => done(0), 150))")
            .await;
        moved.as_f64().unwrap()
    }

    /// What the browser complained of since it was asked last: errors of scripts, refused resources, broken policies.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({"type": "browser"})).await;
        log["value"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["level"] == "SEVERE")
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The session ends with its browser; asking for its end would be a wait in a destructor.
        if let Some(process) = self.process {
            let _gone_already = kill_process(process, Signal::TERM);
        }
    }
}
