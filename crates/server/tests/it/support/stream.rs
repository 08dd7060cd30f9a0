use serde_json::Value;

use super::{Answer, TestServer, within};

/// A client that reads server-sent events, by the rules of WHATWG HTML §9.2.6.
pub struct Stream {
    response: reqwest::Response,
    text: String,
    /// What a browser would say when it comes back.
    pub last_id: Option<String>,
}

/// An event, or what stands without one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sent {
    pub name: String,
    pub data: Value,
    pub id: Option<String>,
    pub retry: Option<u64>,
}

impl Stream {
    pub async fn open(server: &TestServer, token: &str, query: &str) -> Self {
        let api = server.caller(Some(token.to_owned()));
        Self::try_open(api.request("GET", &format!("/stream{query}"))).await.expect("a stream")
    }

    /// Opens a stream of this user, and reads until everything that waited has come.
    pub async fn of(server: &TestServer, user: &str, query: &str) -> Self {
        let mut stream = Self::open(server, &server.token(user), query).await;
        stream.wait("notifications:pending").await;
        stream
    }

    pub async fn try_open(request: reqwest::RequestBuilder) -> Result<Self, Answer> {
        let response = within(request.send()).await.expect("answered");
        if response.status() != 200 {
            return Err(Answer {
                status: response.status().as_u16(),
                headers: response.headers().clone(),
                text: within(response.text()).await.expect("a whole body"),
            });
        }
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        let mut stream = Self { response, text: String::new(), last_id: None };
        let first = stream.block().await.expect("a first word");
        assert_eq!(first, "retry: 3000");
        Ok(stream)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).map(|value| value.to_str().expect("text"))
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Sent> {
        // Comments keep coming, whatever else does not.
        within(self.read()).await
    }

    async fn read(&mut self) -> Option<Sent> {
        loop {
            let mut sent = Sent::default();
            let mut data = Vec::new();
            for line in self.block().await?.lines() {
                match line.split_once(": ") {
                    Some(("event", name)) => sent.name = name.to_owned(),
                    Some(("data", text)) => data.push(text.to_owned()),
                    Some(("id", id)) => sent.id = Some(id.to_owned()),
                    Some(("retry", time)) => sent.retry = Some(time.parse().expect("a number")),
                    Some(("", _)) => {}
                    _ => panic!("what is {line:?}?"),
                }
            }
            self.last_id = sent.id.clone().or(self.last_id.take());
            if !data.is_empty() {
                sent.data = serde_json::from_str(&data.join("\n")).expect("JSON");
                assert_eq!(sent.data["type"], sent.name);
                return Some(sent);
            }
        }
    }

    /// The next event of this name; others before it are passed over.
    pub async fn wait(&mut self, name: &str) -> Sent {
        loop {
            let sent = self.next().await.unwrap_or_else(|| panic!("ended before {name}"));
            if sent.name == name {
                return sent;
            }
        }
    }

    /// Everything up to the end.
    pub async fn until_closed(&mut self) -> Vec<Sent> {
        let mut events = Vec::new();
        while let Some(sent) = self.next().await {
            events.push(sent);
        }
        events
    }

    /// Everything up to the next blank line.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let chunk = within(self.response.chunk()).await.expect("readable")?;
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}
