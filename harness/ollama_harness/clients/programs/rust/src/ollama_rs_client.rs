//! ollama-rs: <https://docs.rs/ollama-rs/latest/ollama_rs/>
use ollama_rs::Ollama;
use ollama_rs::error::OllamaError;
use ollama_rs::generation::chat::request::ChatMessageRequest;
use ollama_rs::generation::completion::request::GenerationRequest;
use ollama_rs::generation::embeddings::request::GenerateEmbeddingsRequest;
use ollama_rs::models::create::CreateModelRequest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_stream::{Stream, StreamExt};

use crate::protocol::{Answer, Client, Failure, Job, User};

pub struct OllamaRs;

impl Client for OllamaRs {
    type Session = Ollama;
    const VERSION: &'static str = "0.3.6";

    /// The library has no settings of its own: its users give it a client of reqwest.
    fn session(job: &Job) -> Result<Self::Session, Failure> {
        let http = reqwest_of_ollama_rs::Client::builder().read_timeout(job.read_timeout());
        let http = if job.trust_env { http } else { http.no_proxy() };
        let builder = Ollama::builder().reqwest_client(http.build().map_err(OllamaError::from)?);
        Ok(if job.url.is_empty() {
            builder
        } else {
            builder.url(&job.url)
        }
        .build())
    }

    async fn exchange(
        job: &Job,
        ollama: Self::Session,
        user: &mut User<'_, Self>,
    ) -> Result<(), Failure> {
        let asked = &job.request;
        if !asked.headers.is_empty() {
            return unsupported("its calls take no headers");
        }
        let streams = job.answer == Answer::Records;
        match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", "/api/chat") => {
                let request: ChatMessageRequest = typed(job)?;
                if streams {
                    let mut answer = ollama.send_chat_messages_stream(request).await?;
                    while let Some(response) = answer.next().await {
                        user.takes(record(&response.map_err(|()| failed_without_a_word())?))
                            .await?;
                    }
                    Ok(())
                } else {
                    user.takes(record(&ollama.send_chat_messages(request).await?))
                        .await
                }
            }
            ("POST", "/api/generate") => {
                let request: GenerationRequest<'static> = typed(job)?;
                if streams {
                    let mut answer = ollama.generate_stream(request).await?;
                    while let Some(responses) = answer.next().await {
                        for response in responses? {
                            user.takes(record(&response)).await?;
                        }
                    }
                    Ok(())
                } else {
                    user.takes(record(&ollama.generate(request).await?)).await
                }
            }
            ("POST", "/api/pull") => {
                let Transfer {
                    model, insecure, ..
                } = typed(job)?;
                if streams {
                    takes_all(user, ollama.pull_model_stream(model, insecure).await?).await
                } else {
                    user.takes(record(&ollama.pull_model(model, insecure).await?))
                        .await
                }
            }
            ("POST", "/api/push") => {
                let Transfer {
                    model, insecure, ..
                } = typed(job)?;
                if streams {
                    takes_all(user, ollama.push_model_stream(model, insecure).await?).await
                } else {
                    user.takes(record(&ollama.push_model(model, insecure).await?))
                        .await
                }
            }
            ("POST", "/api/create") => {
                let request: CreateModelRequest = typed(job)?;
                if streams {
                    takes_all(user, ollama.create_model_stream(request).await?).await
                } else {
                    user.takes(record(&ollama.create_model(request).await?))
                        .await
                }
            }
            ("POST", "/api/embed") => {
                let request: GenerateEmbeddingsRequest = typed(job)?;
                user.takes(record(&ollama.generate_embeddings(request).await?))
                    .await
            }
            ("POST", "/api/show") => {
                let Model { model } = typed(job)?;
                user.takes(record(&ollama.show_model_info(model).await?))
                    .await
            }
            ("GET", "/api/tags") => {
                let models = ollama.list_local_models().await?;
                user.takes(record(&json!({"models": models}))).await
            }
            ("POST", "/api/copy") => {
                let Copy {
                    source,
                    destination,
                } = typed(job)?;
                Ok(ollama.copy_model(source, destination).await?)
            }
            ("DELETE", "/api/delete") => {
                let Model { model } = typed(job)?;
                Ok(ollama.delete_model(model).await?)
            }
            (method, path) => unsupported(format!("it has no call for {method} {path}")),
        }
    }
}

/// The arguments of calls that take no object.
#[derive(Deserialize, Serialize)]
struct Model {
    model: String,
}

#[derive(Deserialize, Serialize)]
struct Transfer {
    model: String,
    #[serde(default)]
    insecure: bool,
}

#[derive(Deserialize, Serialize)]
struct Copy {
    source: String,
    destination: String,
}

async fn takes_all<T: Serialize>(
    user: &mut User<'_, OllamaRs>,
    mut answer: impl Stream<Item = Result<T, OllamaError>> + Unpin,
) -> Result<(), Failure> {
    while let Some(status) = answer.next().await {
        user.takes(record(&status?)).await?;
    }
    Ok(())
}

fn unsupported<T>(reason: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Unsupported(reason.into()))
}

/// The request of a recording in the types of the library, if they have a place for all of it.
fn typed<T: DeserializeOwned + Serialize>(job: &Job) -> Result<T, Failure> {
    let Some(Value::Object(mut fields)) = job.request.json.clone() else {
        return unsupported("its calls send only JSON objects");
    };
    fields.insert("stream".to_owned(), (job.answer == Answer::Records).into()); // the name of the call says it
    let request: T = match serde_json::from_value(fields.clone().into()) {
        Ok(request) => request,
        Err(error) => return unsupported(format!("its types do not take the request: {error}")),
    };
    fields.remove("stream");
    let sent = serde_json::to_value(&request).expect("a request of the library");
    match left_out(&fields.into(), &sent) {
        Some(name) => unsupported(format!("its types have no {name}")),
        None => Ok(request),
    }
}

/// The name of the first field that is wanted, and not sent.
fn left_out(wanted: &Value, sent: &Value) -> Option<String> {
    match (wanted, sent) {
        (Value::Object(wanted), Value::Object(sent)) => {
            wanted
                .iter()
                .find_map(|(name, value)| match sent.get(name) {
                    None => (!value.is_null()).then(|| name.clone()),
                    Some(found) => left_out(value, found).map(|inner| format!("{name}.{inner}")),
                })
        }
        (Value::Array(wanted), Value::Array(sent)) => wanted
            .iter()
            .zip(sent)
            .find_map(|(one, other)| left_out(one, other)),
        _ => None,
    }
}

/// An answer of the library as JSON, without the values that its types have for fields that were not sent.
fn record(answer: &impl Serialize) -> Value {
    // Through text, because only there a 32-bit number has as few digits as Ollama sends.
    let text = serde_json::to_string(answer).expect("an answer of the library");
    let mut value = serde_json::from_str(&text).expect("the text of a JSON value");
    remove_unset(&mut value);
    value
}

/// Fields that are empty in the types of the library when they were not sent.
const EMPTY_WHEN_UNSET: [&str; 7] = [
    "tool_calls",
    "license",
    "modelfile",
    "parameters",
    "template",
    "model_info",
    "capabilities",
];

fn remove_unset(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| {
                !(value.is_null() || is_empty(value) && EMPTY_WHEN_UNSET.contains(&name.as_str()))
            });
            fields.values_mut().for_each(remove_unset);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_unset),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// A stream of chat yields `Err(())`; the library prints the reason to stderr.
fn failed_without_a_word() -> Failure {
    Failure::Raised {
        types: vec!["()"],
        message: "()".to_owned(),
    }
}

impl From<OllamaError> for Failure {
    fn from(error: OllamaError) -> Self {
        let variant = match &error {
            OllamaError::ToolCallError(_) => "OllamaError::ToolCallError",
            OllamaError::JsonError(_) => "OllamaError::JsonError",
            OllamaError::ReqwestError(_) => "OllamaError::ReqwestError",
            OllamaError::InternalError(_) => "OllamaError::InternalError",
            OllamaError::Other(_) => "OllamaError::Other",
        };
        Failure::raised(vec![variant, "OllamaError"], &error)
    }
}
