//! The alert rules in `deploy/`: they ask about what a server shows from its start on, and the documentation says what
//! each means.

use tidings_testkit::redis::Redis;

use crate::{
    support::{TestServer, eventually},
    tls::Files,
};

const RULES: &str = include_str!("../../../../deploy/prometheus/alerts.yml");
const DOCUMENTED: &str = include_str!("../../../../docs/operations.md");

fn values(key: &str) -> impl Iterator<Item = &'static str> {
    RULES.lines().filter_map(move |line| line.trim().trim_start_matches("- ").strip_prefix(key))
}

/// What an expression selects: the name of a metric, and its labels as they stand there.
fn selected(expression: &str) -> Vec<(&str, Vec<&str>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut rest, mut found) = (expression, Vec::new());
    while let Some(start) = rest.find(is_name) {
        rest = &rest[start..];
        let (word, behind) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
        rest = behind;
        let mut labels = Vec::new();
        if let Some(inside) = behind.strip_prefix('{') {
            let (inside, behind) = inside.split_once('}').expect("closed");
            (labels, rest) = (inside.split(',').collect(), behind);
        }
        // Functions have an opening bracket behind them, and words of the language no underscore.
        if word.contains('_') && !behind.starts_with('(') {
            found.push((word, labels));
        }
    }
    found
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    let expression = "histogram_quantile(0.99, rate(a_bucket[5m])) > 2 or b_total{x=\"1\",y=\"2\"} == min by (job) (c_d)";
    let expected = vec![
        ("a_bucket", Vec::new()),
        ("b_total", vec!["x=\"1\"", "y=\"2\""]),
        ("c_d", Vec::new()),
    ];
    assert_eq!(selected(expression), expected);
    assert!(selected("up{job=\"tidings\"} == 0").is_empty());
}

#[tokio::test]
async fn every_alert_asks_about_what_a_server_shows() {
    let (redis, files) = (Redis::start(&[]), Files::new());
    let server = TestServer::with(|config| {
        config.redis_url = Some(redis.url().into());
        config.ingest.enabled = true;
        config.socketio.enabled = true;
        config.tls.cert = Some(files.cert.clone());
        config.tls.key = Some(files.key.clone());
    })
    .await;
    eventually(|| async { server.state.bus.health().connected }).await;
    // Nothing has gone wrong yet.
    let page = files.metrics(&server).await;
    let shown = |name: &str, labels: &[&str]| {
        let start = format!("{name}{{");
        page.lines()
            .any(|line| line.starts_with(&start) && labels.iter().all(|label| line.contains(label)))
    };
    let expressions: Vec<&str> = values("expr: ").collect();
    assert_eq!(expressions.len(), values("alert: ").count());
    for expression in expressions {
        for (name, labels) in selected(expression) {
            assert!(shown(name, &labels), "{name} {labels:?} of {expression} is not in {page}");
        }
    }
}

#[test]
fn every_alert_is_documented() {
    for alert in values("alert: ") {
        let mut rows = DOCUMENTED.lines().filter(|line| line.starts_with("| `"));
        assert!(rows.any(|row| row.contains(&format!("`{alert}`"))), "{alert}");
    }
}
