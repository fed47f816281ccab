//! reqwest: <https://docs.rs/reqwest/latest/reqwest/>. Its users put lines together from `bytes_stream`.
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response};
use serde_json::Value;
use tokio_stream::StreamExt;

use crate::protocol::{Answer, Client, Failure, Job, User};

pub struct Reqwest;

impl Client for Reqwest {
    type Session = reqwest::Client;
    const VERSION: &'static str = "0.13.5";

    fn session(job: &Job) -> Result<Self::Session, Failure> {
        let builder = reqwest::Client::builder().read_timeout(job.read_timeout());
        let builder = if job.trust_env {
            builder
        } else {
            builder.no_proxy()
        };
        Ok(builder.build()?)
    }

    async fn exchange(
        job: &Job,
        session: Self::Session,
        user: &mut User<'_, Self>,
    ) -> Result<(), Failure> {
        let asked = &job.request;
        let method =
            Method::from_bytes(asked.method.as_bytes()).expect("the method of a recorded request");
        let mut request = session.request(method, format!("{}{}", job.url, asked.path));
        if let Some(value) = &asked.json {
            request = request.json(value);
        } else if let Some(text) = &asked.body {
            request = request.body(text.clone());
        }
        for (name, value) in &asked.headers {
            request = request.header(name, value);
        }
        let response = request.send().await?.error_for_status()?;
        match job.answer {
            Answer::One => {
                if asked.method != "HEAD" && is_json(&response) {
                    user.takes(response.json().await?).await?;
                }
            }
            Answer::Records => read_records(response, user).await?,
            Answer::Events => read_events(response, user).await?,
        }
        Ok(())
    }
}

fn is_json(response: &Response) -> bool {
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.contains("json"))
}

async fn read_records(response: Response, user: &mut User<'_, Reqwest>) -> Result<(), Failure> {
    let mut lines = Lines::of(response);
    while let Some(line) = lines.next().await? {
        if !line.is_empty() {
            user.takes(serde_json::from_slice::<Value>(&line)?).await?;
        }
    }
    Ok(())
}

/// Yields the text of each event: its lines without comments, if one of them has data.
async fn read_events(response: Response, user: &mut User<'_, Reqwest>) -> Result<(), Failure> {
    let mut lines = Lines::of(response);
    let mut event = Vec::<String>::new();
    let mut first = true;
    while let Some(line) = lines.next().await? {
        let text = String::from_utf8_lossy(&line);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        let text = if std::mem::take(&mut first) {
            text.trim_start_matches('\u{feff}')
        } else {
            text
        };
        if text.is_empty() {
            if event
                .iter()
                .any(|one| one.split(':').next() == Some("data"))
            {
                user.takes(event.join("\n").into()).await?;
            }
            event.clear();
        } else if !text.starts_with(':') {
            event.push(text.to_owned());
        }
    }
    Ok(())
}

/// The lines of a response, split at LF; the last one may have none.
struct Lines<S> {
    stream: S,
    held: Vec<u8>,
}

impl Lines<()> {
    fn of(
        response: Response,
    ) -> Lines<impl tokio_stream::Stream<Item = reqwest::Result<impl AsRef<[u8]>>> + Unpin> {
        Lines {
            stream: Box::pin(response.bytes_stream()),
            held: Vec::new(),
        }
    }
}

impl<B: AsRef<[u8]>, S: tokio_stream::Stream<Item = reqwest::Result<B>> + Unpin> Lines<S> {
    async fn next(&mut self) -> reqwest::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.held.iter().position(|&byte| byte == b'\n') {
                let rest = self.held.split_off(at + 1);
                let mut line = std::mem::replace(&mut self.held, rest);
                line.pop();
                return Ok(Some(line));
            }
            match self.stream.next().await {
                Some(part) => self.held.extend_from_slice(part?.as_ref()),
                None if self.held.is_empty() => return Ok(None),
                None => return Ok(Some(std::mem::take(&mut self.held))),
            }
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let mut types = vec!["reqwest::Error"];
        if error.is_timeout() {
            types.insert(0, "reqwest::Error::is_timeout");
        }
        Failure::raised(types, &error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Failure::raised(vec!["serde_json::Error"], &error)
    }
}
