//! How the application handles an Ollama that is busy, and a stream that is cut. `cargo test` runs it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use ollama_rs::Ollama;
use serde_json::{Value, json};

/// A fake Ollama. It ends when this value is dropped, because that closes its standard input.
struct Harness {
    url: String,
    _process: Child,
}

impl Harness {
    async fn with_rule(rule: Value) -> Self {
        let mut process = Command::new("ollama-harness")
            .args(["serve", "--port", "0", "--print-url", "--exit-on-stdin-close", "--any-model"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`pip install ollama-harness` brings it");
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let harness = Harness { url: url.trim().into(), _process: process };
        let rules = format!("{}/_harness/programme/rules", harness.url);
        let added = reqwest::Client::new().post(rules).json(&rule).send().await.unwrap();
        assert_eq!(added.status(), 201);
        harness
    }

    async fn get(&self, path: &str) -> Value {
        reqwest::get(format!("{}/_harness/{path}", self.url)).await.unwrap().json().await.unwrap()
    }
}

#[tokio::test]
async fn a_busy_server_is_asked_once_more() {
    let harness = Harness::with_rule(json!({"on": "POST /api/chat #1", "fail": "503: busy"})).await;
    let ollama = Ollama::try_new(&harness.url).unwrap();
    assert_ne!(answer::answer(&ollama, "Why is the sky blue?").await.unwrap(), "");
    let journal = harness.get("journal?path=/api/chat&settled=true").await;
    assert_eq!((&journal["entries"][0]["status"], &journal["entries"][1]["status"]), (&json!(503), &json!(200)));
    assert_eq!(harness.get("verify").await["ok"], true);
}

#[tokio::test]
async fn a_stream_that_is_cut_is_not_a_whole_answer() {
    let rule = json!({"on": "POST /api/chat #2", "faults": ["close_at(after_record(3))"]});
    let harness = Harness::with_rule(rule).await;
    let ollama = Ollama::try_new(&harness.url).unwrap();
    assert_ne!(answer::answer(&ollama, "Why is the sky blue?").await.unwrap(), "");
    assert!(answer::answer(&ollama, "Why is the sky blue?").await.unwrap_err().starts_with("cut after"));
    assert_eq!(harness.get("verify").await["ok"], true);
}
