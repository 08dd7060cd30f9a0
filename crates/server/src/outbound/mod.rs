//! Questions to other servers: bounded in time, in number and in the size of the answer, tried
//! again, and not asked at all while nobody answers.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::StatusCode;
use reqwest::{Client, RequestBuilder, Response};
use tokio::sync::Semaphore;

use crate::breaker::Breaker;

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// How often one question is asked, and the pauses in between.
const ATTEMPTS: u32 = 3;
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(200)];
/// Failures in a row after which a server is left alone.
const FAILURES: u32 = 5;

/// How a server is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    /// For one attempt.
    pub(crate) timeout: Duration,
    /// Questions at the same time.
    pub(crate) concurrency: usize,
    /// How long it is left alone after several failures in a row.
    pub(crate) pause: Duration,
}

/// A server that answers questions.
pub(crate) struct Service {
    name: &'static str,
    client: Client,
    manners: Manners,
    permits: Semaphore,
    breaker: Breaker,
}

/// There is no answer, and it was said in the log why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unanswered;

/// Why one attempt failed.
enum Failure {
    /// It may be different in a moment.
    Passing(String),
    /// It will not.
    Lasting(String),
}

impl Service {
    pub(crate) fn new(name: &'static str, manners: Manners) -> anyhow::Result<Self> {
        let client = Client::builder()
            .timeout(manners.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self {
            name,
            client,
            manners,
            permits: Semaphore::new(manners.concurrency),
            breaker: Breaker::new(name, FAILURES, manners.pause),
        })
    }

    /// Asks, several times if need be. `read` makes sense of a body that came with 200, or says
    /// why there is none in it.
    pub(crate) async fn ask<T>(
        &self,
        request: impl Fn(&Client) -> RequestBuilder,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, Unanswered> {
        // Who waits for a turn waits no longer than an answer may take.
        let longest = self.manners.timeout * ATTEMPTS + PAUSES.iter().sum::<Duration>();
        let Ok(answer) = tokio::time::timeout(longest, self.attempts(request, read)).await else {
            tracing::warn!(service = self.name, "too many questions wait for their turn");
            return Err(Unanswered);
        };
        answer
    }

    async fn attempts<T>(
        &self,
        request: impl Fn(&Client) -> RequestBuilder,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, Unanswered> {
        let _permit = self.permits.acquire().await.map_err(|_| Unanswered)?;
        for pause in PAUSES.into_iter().map(Some).chain([None]) {
            let pass = self.breaker.pass(Instant::now()).ok_or(Unanswered)?;
            let body = self.once(request(&self.client)).await;
            let answer = body.and_then(|body| read(&body).map_err(Failure::Lasting));
            let (problem, again) = match answer {
                Ok(answer) => {
                    pass.answered();
                    return Ok(answer);
                }
                Err(Failure::Passing(problem)) => (problem, pause),
                Err(Failure::Lasting(problem)) => (problem, None),
            };
            pass.failed(Instant::now());
            tracing::warn!(service = self.name, problem, "a question was not answered");
            match again {
                Some(pause) => tokio::time::sleep(pause).await,
                None => break,
            }
        }
        Err(Unanswered)
    }

    async fn once(&self, request: RequestBuilder) -> Result<Vec<u8>, Failure> {
        // Addresses may hold secrets: they stay out of the log.
        let passing = |problem: reqwest::Error| Failure::Passing(problem.without_url().to_string());
        let response = request.send().await.map_err(passing)?;
        match response.status() {
            StatusCode::OK => body(response).await,
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(Failure::Passing(format!("status {status}")))
            }
            status => Err(Failure::Lasting(format!("status {status}"))),
        }
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, Failure> {
    let passing = |problem: reqwest::Error| Failure::Passing(problem.without_url().to_string());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(passing)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Failure::Lasting("the answer is too large".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
