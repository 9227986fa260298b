//! A function's process, and Lambda's Runtime API before it.

use crate::Host;
use crate::sandbox::{Sandbox, root};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path as FilePath, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

/// Lambda gives a function ten seconds to start.
const INIT_LIMIT: Duration = Duration::from_secs(10);

/// The longest that a function of ours may work, but for the planner and the reconciler.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(90);

/// In what the kernel tells a process's time.
const TICK: Duration = Duration::from_millis(10);

/// What is started as a function.
#[derive(Debug, Clone)]
pub struct Program {
    /// The function's name.
    pub name: String,
    /// A program, and its arguments.
    pub command: Vec<OsString>,
    /// All of its environment but for what Lambda itself sets.
    pub environment: Vec<(String, String)>,
    /// The memory that it is told to have, in MB. Nothing limits it.
    pub memory: u32,
    /// The directory for all that it prints.
    pub logs: PathBuf,
}

impl Program {
    /// A function of `target/lambda`, with nothing in its environment.
    #[must_use]
    pub fn built(name: &str) -> Self {
        let bootstrap = bootstrap(name);
        let logs = bootstrap.parent().unwrap().to_path_buf();
        Self { name: name.to_owned(), command: vec![bootstrap.into()], environment: Vec::new(), memory: 256, logs }
    }
}

/// A running function, killed when it is dropped.
#[derive(Debug)]
pub struct Function {
    child: Child,
    api: JoinHandle<()>,
    events: mpsc::UnboundedSender<Value>,
    told: mpsc::UnboundedReceiver<Told>,
    /// Everything that it has printed.
    pub log: PathBuf,
    /// From its start until it asked for the first event.
    pub init: Duration,
}

/// What a function tells the Runtime API.
#[derive(Debug)]
enum Told {
    /// It asks for an event.
    Ready,
    /// It answers one.
    Answer(Value),
    /// It could not start, or not answer.
    Failure(String),
}

struct Api {
    events: Mutex<mpsc::UnboundedReceiver<Value>>,
    told: mpsc::UnboundedSender<Told>,
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.api.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a function takes is what is measured")]
fn now() -> Instant {
    Instant::now()
}

/// The program of a function.
pub(crate) fn bootstrap(name: &str) -> PathBuf {
    root().join("target/lambda").join(name).join("bootstrap")
}

/// A file in a directory for all that a function prints which listens, or is spoken to, at an address.
pub(crate) fn log_of(directory: &FilePath, address: &str) -> (PathBuf, File) {
    let log = directory.join(format!("{}.log", address.replace(':', "-")));
    let file = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}; is the function built?", log.display()));
    (log, file)
}

impl Host for Function {
    async fn start_with(name: &str, sandbox: &Sandbox, more: &[(&str, &str)]) -> Self {
        let mut environment = sandbox.environment().await;
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self::launch(&Program { environment, ..Program::built(name) }).await
    }

    fn log(&self) -> &FilePath {
        &self.log
    }

    async fn invoke(&mut self, event: Value) -> Value {
        self.timed(event).await.0
    }
}

impl Function {
    /// Starts a program as Lambda does, and waits until it asks for an event.
    pub async fn launch(program: &Program) -> Self {
        let name = &program.name;
        let (events, next) = mpsc::unbounded_channel();
        let (tell, mut told) = mpsc::unbounded_channel();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let api = Api { events: Mutex::new(next), told: tell };
        let api = tokio::spawn(async move { axum::serve(listener, router(api)).await.unwrap() });

        let (log, file) = log_of(&program.logs, &address);
        let (first, arguments) = program.command.split_first().unwrap();
        let mut command = Command::new(first);
        command.args(arguments).env_clear().envs(program.environment.iter().map(|(name, value)| (name, value))).envs([
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &program.memory.to_string()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "group"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ]);
        let begun = now();
        let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}; is the function built?"));
        match tokio::time::timeout(INIT_LIMIT, told.recv()).await {
            Ok(Some(Told::Ready)) => Self { child, api, events, told, log, init: begun.elapsed() },
            Ok(Some(Told::Failure(error))) => panic!("{name} did not start: {error}"),
            _ => panic!("{name} did not start\n{}", std::fs::read_to_string(log).unwrap()),
        }
    }

    /// Invokes it, and answers with how long it took, too.
    pub async fn timed(&mut self, event: Value) -> (Value, Duration) {
        let begun = now();
        self.events.send(event).unwrap();
        match tokio::time::timeout(TIME_LIMIT, self.told.recv()).await {
            Ok(Some(Told::Answer(answer))) => {
                let took = begun.elapsed();
                assert!(matches!(self.told.recv().await, Some(Told::Ready)), "it asks for the next");
                (answer, took)
            }
            Ok(Some(Told::Failure(error))) => panic!("it failed: {error}"),
            _ => panic!("no answer\n{}", std::fs::read_to_string(&self.log).unwrap()),
        }
    }

    /// Gives it an event, and does not wait for what it answers.
    pub fn begin(&self, event: Value) {
        self.events.send(event).unwrap();
    }

    /// The memory that it has, and the most that it ever had, in KiB.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// The processor time that it has used since it was started. The kernel tells it of the process in whole ticks, and of each thread exactly
    /// as long as the thread lives: the larger is nearer.
    #[must_use]
    pub fn processor_time(&self) -> Duration {
        let process = format!("/proc/{}", self.child.id());
        let stat = std::fs::read_to_string(format!("{process}/stat")).unwrap();
        // What stands in brackets is the program's name, and may hold anything.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: u32 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().unwrap()).sum();
        let threads = std::fs::read_dir(format!("{process}/task")).unwrap();
        let exactly = threads.filter_map(|thread| {
            let times = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            times.split(' ').next()?.parse().ok().map(Duration::from_nanos)
        });
        exactly.sum::<Duration>().max(TICK * ticks)
    }

    /// Asks it to stop, and answers with how it did and how long it took.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let begun = now();
        assert!(Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap().success());
        (self.child.wait().unwrap(), begun.elapsed())
    }
}

/// The Runtime API, version 2018-06-01: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.
fn router(api: Api) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{end}", post(end))
        .route("/2018-06-01/runtime/init/error", post(no_start))
        .with_state(Arc::new(api))
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    let _ = api.told.send(Told::Ready);
    let Some(event) = api.events.lock().await.recv().await else { return StatusCode::GONE.into_response() };
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", deadline().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:ap-northeast-2:123456789012:function:it".to_owned()),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event.to_string()).into_response()
}

/// Five minutes from now: what the planner and the reconciler have.
#[expect(clippy::disallowed_methods, reason = "a deadline is a time of the clock")]
fn deadline() -> i64 {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5)).as_millisecond()
}

async fn end(State(api): State<Arc<Api>>, Path((_, end)): Path<(String, String)>, body: Bytes) -> StatusCode {
    let _ = api.told.send(match serde_json::from_slice(&body) {
        Ok(answer) if end == "response" => Told::Answer(answer),
        _ => Told::Failure(String::from_utf8_lossy(&body).into_owned()),
    });
    StatusCode::ACCEPTED
}

async fn no_start(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    let _ = api.told.send(Told::Failure(String::from_utf8_lossy(&body).into_owned()));
    StatusCode::ACCEPTED
}
