//! An application that asks Ollama through the crate `ollama-rs`.

use ollama_rs::generation::chat::{ChatMessage, ChatMessageResponseStream, request::ChatMessageRequest};
use ollama_rs::{Ollama, error::OllamaError};
use tokio_stream::StreamExt;

/// Asks a busy server once more; its user never takes a part for the whole answer.
pub async fn answer(ollama: &Ollama, prompt: &str) -> Result<String, String> {
    let parts = match ask(ollama, prompt).await {
        // The crate keeps the status 503 to itself, but the error has what the server said.
        Err(refused) if refused.to_string().contains("busy") => ask(ollama, prompt).await,
        answered => answered,
    };
    let mut parts = parts.map_err(|refused| refused.to_string())?;
    let (mut text, mut done) = (String::new(), false);
    while let Some(Ok(part)) = parts.next().await {
        text += &part.message.content;
        done = part.done;
    }
    // The crate skips a record that it cannot read, such as an error in mid-stream. Only `done` shows a whole answer.
    if done { Ok(text) } else { Err(format!("cut after {text:?}")) }
}

async fn ask(ollama: &Ollama, prompt: &str) -> Result<ChatMessageResponseStream, OllamaError> {
    let messages = vec![ChatMessage::user(prompt.into())];
    ollama.send_chat_messages_stream(ChatMessageRequest::new("llama3.2".into(), messages)).await
}
