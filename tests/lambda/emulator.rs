//! A function's process under AWS's Runtime Interface Emulator.

use crate::sandbox::Sandbox;
use crate::{BETWEEN, Host, TRIES, function};
use serde_json::Value;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;

/// Where the emulator's program is: `make test-lambda` sets it to the one that comes with `sam`.
pub const PROGRAM: &str = "LAMBDA_RIE";

/// How often another pair of ports is tried where somebody has taken one of a pair before the emulator did.
const STARTS: usize = 5;

/// A running emulator, which runs the function. Killed when it is dropped; the function dies of that.
#[derive(Debug)]
pub struct Emulated {
    child: Child,
    url: String,
    http: reqwest::Client,
    log: PathBuf,
}

#[expect(clippy::disallowed_methods, reason = "where the program is depends on the machine, and no function reads it")]
fn program() -> Option<OsString> {
    std::env::var_os(PROGRAM)
}

/// Whether there is an emulator to run functions under.
#[must_use]
pub fn is_there() -> bool {
    program().is_some()
}

/// Two addresses that nobody had a moment ago. The emulator tells nobody which port it took where it is given none.
fn free() -> [String; 2] {
    // Both are held until both are known: a port that is let go may be given out again at once.
    let listeners = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    listeners.each_ref().map(|listener| listener.local_addr().unwrap().to_string())
}

/// Waits, within reason, until an emulator listens at all its addresses; whether it does. It ends itself if somebody else has taken one.
async fn listens(child: &mut Child, addresses: &[String]) -> bool {
    for _ in 0..TRIES {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        let mut open = 0;
        for address in addresses {
            // Nobody listens where a connection has both of its ends.
            let is_open = |stream: TcpStream| stream.local_addr().ok() != stream.peer_addr().ok();
            open += usize::from(TcpStream::connect(address).await.is_ok_and(is_open));
        }
        if open == addresses.len() {
            return child.try_wait().unwrap().is_none();
        }
        tokio::time::sleep(BETWEEN).await;
    }
    false
}

impl Emulated {
    /// What it and its function have printed.
    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// How long the emulator says that the function took from its start until it asked for the first event. The emulator starts a function when
    /// it is invoked first.
    #[must_use]
    pub fn init(&self) -> Duration {
        let log = self.said();
        let told = log.split_once("INIT REPORT(durationMs: ").and_then(|(_, rest)| rest.split_once(')'));
        let (milliseconds, _) = told.unwrap_or_else(|| panic!("no init is told in {}", self.log.display()));
        Duration::from_secs_f64(milliseconds.parse().unwrap()) / 1000
    }
}

impl Host for Emulated {
    async fn start_with(name: &str, sandbox: &Sandbox, more: &[(&str, &str)]) -> Self {
        let program = program().unwrap_or_else(|| panic!("{PROGRAM} names no emulator"));
        let bootstrap = function::bootstrap(name);
        let http = reqwest::Client::builder().no_proxy().timeout(function::TIME_LIMIT).build().unwrap();
        let environment = sandbox.environment().await;
        let mut logs = Vec::new();
        for _ in 0..STARTS {
            let addresses = free();
            let [address, runtime_api] = &addresses;
            let (log, file) = function::log_of(bootstrap.parent().unwrap(), address);
            let mut command = Command::new(&program);
            command.args(["--runtime-interface-emulator-address", address, "--runtime-api-address", runtime_api]);
            command.arg(&bootstrap).env_clear().envs(environment.iter().cloned()).envs([
                ("AWS_LAMBDA_FUNCTION_NAME", name),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_FUNCTION_TIMEOUT", "300"),
            ]);
            command.envs(more.iter().copied());
            let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn();
            let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}; see {}", log.display()));
            let url = format!("http://{address}/2015-03-31/functions/function/invocations");
            let mut emulated = Self { child, url, http: http.clone(), log };
            if listens(&mut emulated.child, &addresses).await {
                return emulated;
            }
            logs.push(emulated.said());
        }
        panic!("{name}: the emulator did not listen: {logs:#?}");
    }

    fn log(&self) -> &Path {
        &self.log
    }

    async fn invoke(&mut self, event: Value) -> Value {
        let answer = self.http.post(&self.url).body(event.to_string()).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{error:?}\n{}", self.said()));
        let status = answer.status();
        let text = answer.text().await.unwrap_or_else(|error| panic!("{error:?}\n{}", self.said()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status}: {error}: {text:?}\n{}", self.said()))
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
            let _ = self.child.wait();
        }
    }
}
