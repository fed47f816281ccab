//! Reads jobs from stdin, does one after the other, and reports to stdout. The process exits when stdin ends.
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

/// A library under test.
#[allow(async_fn_in_trait)]
pub trait Client: Sized {
    /// The object that the library keeps between requests.
    type Session: Clone;
    /// The version of the library, from Cargo.toml.
    const VERSION: &'static str;

    fn session(job: &Job) -> Result<Self::Session, Failure>;
    async fn exchange(
        job: &Job,
        session: Self::Session,
        user: &mut User<'_, Self>,
    ) -> Result<(), Failure>;
}

#[derive(Deserialize)]
pub struct Job {
    id: u64,
    pub url: String,
    pub request: Request,
    pub answer: Answer,
    read_timeout_s: f64,
    deadline_s: f64,
    stop_after: Option<usize>,
    meanwhile_after: Option<usize>,
    reuses_session: bool,
    keeps_session: bool,
    pub trust_env: bool,
}

impl Job {
    pub fn read_timeout(&self) -> Duration {
        Duration::from_secs_f64(self.read_timeout_s)
    }
}

#[derive(Deserialize)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub json: Option<Value>,
    pub body: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    Records,
    Events,
    One,
}

/// Why an exchange did not end normally.
pub enum Failure {
    /// An error of the library, with its names, the most special first.
    Raised {
        types: Vec<&'static str>,
        message: String,
    },
    /// The library cannot make the request.
    Unsupported(String),
    /// The user stops reading.
    Stopped,
}

impl Failure {
    pub fn raised(types: Vec<&'static str>, error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(one) = cause {
            message += &format!(": {one}");
            cause = one.source();
        }
        Failure::Raised { types, message }
    }
}

/// The user of a library, who takes what it yields.
pub struct User<'a, C: Client> {
    worker: &'a Worker<C>,
    job: &'a Job,
    begun: Instant,
    taken: usize,
}

impl<C: Client> User<'_, C> {
    /// Reports a record, and does what the user of the job does after it.
    pub async fn takes(&mut self, record: Value) -> Result<(), Failure> {
        report(json!({"record": record, "at_s": self.begun.elapsed().as_secs_f64()}));
        self.taken += 1;
        if self.job.meanwhile_after == Some(self.taken) {
            report(json!({"meanwhile": true}));
            let next = self.worker.next().await;
            Box::pin(self.worker.does(next)).await;
        }
        if self.job.stop_after == Some(self.taken) {
            Err(Failure::Stopped)
        } else {
            Ok(())
        }
    }
}

struct Worker<C: Client> {
    jobs: Mutex<mpsc::Receiver<Job>>,
    session: Mutex<Option<C::Session>>,
}

pub async fn serve<C: Client>() {
    let (sender, receiver) = mpsc::channel(2);
    std::thread::spawn(move || read_jobs(&sender));
    let worker = Worker::<C> {
        jobs: Mutex::new(receiver),
        session: Mutex::new(None),
    };
    report(json!({"protocol": 1, "ready": C::VERSION}));
    loop {
        let job = worker.next().await;
        worker.does(job).await;
    }
}

/// Passes jobs on. When stdin ends, the harness needs no more.
fn read_jobs(to: &mpsc::Sender<Job>) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let job = serde_json::from_str(&line).expect("a job of the protocol");
        if to.blocking_send(job).is_err() {
            break;
        }
    }
    std::process::exit(0);
}

impl<C: Client> Worker<C> {
    async fn next(&self) -> Job {
        let next = self.jobs.lock().await.recv().await;
        next.expect("the process exits when there are no more jobs")
    }

    async fn does(&self, job: Job) {
        let mut end =
            match timeout(Duration::from_secs_f64(job.deadline_s), self.exchange(&job)).await {
                Err(_) => json!({"end": "hung"}),
                Ok(Ok(())) => json!({"end": "ended"}),
                Ok(Err(Failure::Stopped)) => json!({"end": "stopped"}),
                Ok(Err(Failure::Unsupported(reason))) => {
                    json!({"end": "unsupported", "reason": reason})
                }
                Ok(Err(Failure::Raised { types, message })) => {
                    json!({"end": "raised", "types": types, "message": message})
                }
            };
        end["id"] = job.id.into();
        report(end);
    }

    async fn exchange(&self, job: &Job) -> Result<(), Failure> {
        let begun = Instant::now();
        let kept = self
            .session
            .lock()
            .await
            .take()
            .filter(|_| job.reuses_session);
        let session = kept.map_or_else(|| C::session(job), Ok)?;
        if job.keeps_session || job.meanwhile_after.is_some() {
            *self.session.lock().await = Some(session.clone());
        }
        let mut user = User {
            worker: self,
            job,
            begun,
            taken: 0,
        };
        C::exchange(job, session, &mut user).await
    }
}

fn report(message: Value) {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{message}")
        .and_then(|()| stdout.flush())
        .expect("the harness reads stdout");
}
