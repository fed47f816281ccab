//! Drives clients in Rust for ollama-harness. docs/client-protocol.md describes the messages, which are NDJSON both ways.
//!
//! A client is a `Client`: it makes the request of a job, and gives each record to `User::takes` as soon as the library
//! yields it.
mod ollama_rs_client;
mod protocol;
mod reqwest_client;

use ollama_rs_client::OllamaRs;
use reqwest_client::Reqwest;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("reqwest") => protocol::serve::<Reqwest>().await,
        Some("ollama-rs") => protocol::serve::<OllamaRs>().await,
        name => {
            eprintln!("there is no client {name:?}");
            std::process::exit(2);
        }
    }
}
