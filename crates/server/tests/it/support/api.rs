use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::within;

/// Calls one server's API as one caller.
#[derive(Clone)]
pub struct Api {
    pub http: reqwest::Client,
    /// Scheme, host and port.
    pub origin: String,
    pub prefix: &'static str,
    pub token: Option<String>,
}

/// What came back, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Api {
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method: Method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{}{}{path}", self.origin, self.prefix));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request("GET", path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request("DELETE", path)).await
    }

    pub async fn patch(&self, path: &str) -> Answer {
        Answer::of(self.request("PATCH", path)).await
    }

    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(method, path).json(body)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, body).await
    }

    /// Posts a body that is JSON only by its header.
    pub async fn post_raw(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request("POST", path).header("content-type", "application/json");
        Answer::of(request.body(body)).await
    }

    /// Sends a notification; fails the test unless it was stored. Gives its id.
    pub async fn notify(&self, to: &str, message: &str) -> String {
        let body = json!({ "to": to, "type": "like", "message": message });
        let answer = self.post("/notifications", &body).await.json(201);
        answer["id"].as_str().expect("an id").to_owned()
    }
}

impl Answer {
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = within(request.send()).await.expect("answered");
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: within(response.text()).await.expect("a whole body"),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/json", "{}", self.text);
        serde_json::from_str(&self.text).expect("JSON")
    }

    /// The body of a refusal: a problem (RFC 9457) with this status and code.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem: Value = serde_json::from_str(&self.text).expect("JSON");
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        let stable = format!("urn:tidings:problem:{}", code.to_lowercase().replace('_', "-"));
        assert_eq!(problem["type"], stable);
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        problem
    }

    /// A refusal that points to this field.
    #[track_caller]
    pub fn bad_field(&self, status: u16, pointer: &str, code: &str) -> Value {
        let problem = self.problem(status, "INVALID");
        let errors = problem["errors"].as_array().expect("errors");
        let found = errors.iter().any(|e| e["pointer"] == pointer && e["code"] == code);
        assert!(found, "no {code} at {pointer:?}: {problem}");
        problem
    }
}
