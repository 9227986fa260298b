//! A headless Chromium behind its chromedriver, and how a customer's hands and eyes use it.

use crate::sandbox::Sandbox;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, LoggingPrefsLogLevel};

/// How long a page may take to show what it is to show. It mostly does at once; a loaded machine is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Besides what makes it run headless as root in a container: nothing that calls its maker.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--accept-lang=ko",
    "--window-size=1280,1000",
];

/// What the customer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    Desktop,
    /// The narrowest phone that is still sold.
    Phone,
}

impl Device {
    fn capabilities(self) -> ChromeCapabilities {
        let mut capabilities = DesiredCapabilities::chrome();
        for flag in FLAGS {
            capabilities.add_arg(flag).unwrap();
        }
        capabilities.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
        if self == Self::Phone {
            let phone = json!({
                "deviceMetrics": { "width": 360, "height": 740, "pixelRatio": 2.0, "touch": true, "mobile": true },
                "userAgent": "Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
            });
            capabilities.add_experimental_option("mobileEmulation", phone).unwrap();
        }
        capabilities
    }
}

/// A chromedriver, which gives every session an empty profile of its own. Killed when it is dropped.
struct Chromedriver {
    child: Child,
    url: String,
    /// Kept open, because it would die of writing to a closed one.
    _stdout: BufReader<ChildStdout>,
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

impl Chromedriver {
    fn start() -> Self {
        let started = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("chromedriver: {error}; main.rs says how to install it"));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let port = loop {
            let begin = said.len();
            assert_ne!(stdout.read_line(&mut said).unwrap(), 0, "chromedriver ended: {said}");
            if let Some((_, port)) = said[begin..].split_once("started successfully on port ") {
                break port.trim().trim_end_matches('.').to_owned();
            }
        };
        Self { child, url: format!("http://127.0.0.1:{port}"), _stdout: stdout }
    }
}

/// Ends a process of ours.
pub(crate) fn stop(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// A browser before a sandbox.
pub(crate) struct Walk {
    pub(crate) sandbox: Sandbox,
    pub(crate) driver: WebDriver,
}

/// Walks with a sandbox and a browser of its own, and leaves neither behind, whatever the walk ends in.
pub(crate) async fn walk(device: Device, body: impl AsyncFnOnce(&Walk) -> WebDriverResult<()>) {
    let (sandbox, chromedriver) = (Sandbox::start(), Chromedriver::start());
    let driver = WebDriver::builder(&chromedriver.url, device.capabilities())
        .client(reqwest::Client::builder().no_proxy().build().unwrap())
        .connect()
        .await
        .unwrap();
    let walk = Walk { sandbox, driver };
    let walked = async {
        body(&walk).await?;
        walk.console_is_silent().await
    };
    let end = AssertUnwindSafe(walked).catch_unwind().await;
    if !matches!(end, Ok(Ok(()))) {
        let name = std::thread::current().name().unwrap_or("walk").replace("::", "-");
        let _ = walk.screen(&format!("FAILED-{name}")).await;
    }
    let _ = walk.driver.quit().await;
    match end {
        Ok(end) => end.unwrap(),
        Err(panic) => resume_unwind(panic),
    }
}

impl Walk {
    pub(crate) async fn open(&self, url: &str) -> WebDriverResult<()> {
        self.driver.goto(url).await
    }

    /// What is at a selector, once it can be seen. What is asked for while one page gives way to the next is an error, and asked for again.
    pub(crate) async fn at(&self, css: &str) -> WebDriverResult<WebElement> {
        self.seen(css, By::Css(css)).await
    }

    async fn seen(&self, what: &str, by: By) -> WebDriverResult<WebElement> {
        let looking = async {
            loop {
                if let Ok(found) = self.driver.find(by.clone()).await
                    && matches!(found.is_displayed().await, Ok(true))
                {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let Ok(found) = tokio::time::timeout(PATIENCE, looking).await else {
            panic!("expected {what}, and the page says {:?}", self.js("return document.body.innerText").await?);
        };
        Ok(found)
    }

    pub(crate) async fn text(&self, css: &str) -> WebDriverResult<String> {
        self.at(css).await?.text().await
    }

    pub(crate) async fn click(&self, css: &str) -> WebDriverResult<()> {
        self.at(css).await?.click().await
    }

    /// Waits until a page with this heading is there.
    pub(crate) async fn sees(&self, heading: &str) -> WebDriverResult<()> {
        self.seen(heading, By::XPath(format!("//h1[normalize-space()=\"{heading}\"]"))).await.map(drop)
    }

    /// Agrees to the terms and starts: with the page's button, or `PayPal`'s own.
    pub(crate) async fn agree_and_start(&self) -> WebDriverResult<()> {
        self.click("#consent").await?;
        self.click("#start, #portone-sandbox-paypal").await
    }

    /// Goes into the PG's window, whether it lies over the page or took its place.
    pub(crate) async fn enter_window(&self) -> WebDriverResult<()> {
        let window = self.at("#portone-sandbox-frame, #window").await?;
        if window.tag_name().await? == "iframe" {
            window.enter_frame().await?;
        }
        self.at("#window[data-ready=true] #submit").await.map(drop)
    }

    /// Ends the window like this, and comes back to the page.
    pub(crate) async fn end_window(&self, ending: &str) -> WebDriverResult<()> {
        self.click(&format!("#ending option[value={ending}]")).await?;
        self.click("#submit").await?;
        self.driver.enter_default_frame().await
    }

    /// What the page's script has.
    pub(crate) async fn js(&self, script: &str) -> WebDriverResult<Value> {
        Ok(self.driver.execute(script, Vec::new()).await?.json().clone())
    }

    pub(crate) async fn prefers_dark(&self) -> WebDriverResult<()> {
        let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
        self.driver.cdp().send_raw("Emulation.setEmulatedMedia", dark).await.map(drop)
    }

    /// A picture of the whole page, which is no wider than the screen.
    pub(crate) async fn picture(&self, name: &str) -> WebDriverResult<()> {
        let size =
            "const it = document.documentElement; return [it.scrollWidth, it.scrollHeight, innerWidth, innerHeight]";
        let size: Vec<i64> = serde_json::from_value(self.js(size).await?)?;
        assert!(size[0] <= size[2], "{name}: the page is {} wide on a screen of {}", size[0], size[2]);
        let clip = json!({ "x": 0, "y": 0, "width": size[2], "height": size[1].max(size[3]), "scale": 1 });
        let wish = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let taken = self.driver.cdp().send_raw("Page.captureScreenshot", wish).await?;
        std::fs::write(picture_path(name), STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()).unwrap();
        Ok(())
    }

    /// A picture of what the screen shows, a window over the page included.
    pub(crate) async fn screen(&self, name: &str) -> WebDriverResult<()> {
        self.driver.screenshot(&picture_path(name)).await
    }

    /// Holds that the browser had nothing to complain about, but for the statuses of pages that refuse.
    async fn console_is_silent(&self) -> WebDriverResult<()> {
        let log = self.driver.browser_log().await?;
        let loud: Vec<_> = log.iter().filter(|entry| entry.source.as_deref() != Some("network")).collect();
        assert!(loud.is_empty(), "the console says {loud:#?}");
        Ok(())
    }
}

fn picture_path(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("browser");
    std::fs::create_dir_all(&directory).unwrap();
    directory.join(name).with_extension("png")
}
