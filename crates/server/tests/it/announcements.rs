//! Messages for many, or for later: jobs with a status of their own.

use serde_json::{Value, json};
use tidings_core::time::Timestamp;

use crate::support::{Api, TestServer, eventually};

fn system(to: Value) -> Value {
    json!({ "to": to, "type": "system", "message": "Maintenance tonight" })
}

async fn put_users(api: &Api, count: usize) {
    for n in 0..count {
        api.put(&format!("/users/u{n}"), &json!({ "name": format!("U {n}") })).await.json(200);
    }
}

async fn until(api: &Api, status_url: &Value, state: &str) -> Value {
    let path = status_url.as_str().unwrap().strip_prefix("/api/v1").unwrap();
    eventually(|| async { api.get(path).await.json(200)["state"] == state }).await;
    api.get(path).await.json(200)
}

/// This long from now.
fn later(server: &TestServer, ms: i64) -> Timestamp {
    Timestamp::from_millis(server.state.clock.now().as_millis() + ms)
}

#[tokio::test]
async fn to_all_reaches_every_known_user() {
    let server = TestServer::start().await;
    let api = server.api();
    put_users(&api, 3).await;
    // Known by connecting, too.
    let mut alice = server.connect("alice").await;
    let sent = api.post("/notifications", &system(json!({ "all": true }))).await.json(202);
    assert_eq!((&sent["recipients"], &sent["stored"]), (&json!(4), &json!("committed")));
    assert_eq!(
        sent["statusUrl"],
        format!("/api/v1/announcements/{}", sent["id"].as_str().unwrap())
    );
    assert_eq!(alice.wait("notification").await["id"], sent["id"]);
    let mut status = until(&api, &sent["statusUrl"], "done").await;
    for field in ["createdAt", "runAt", "finishedAt"] {
        assert!(status[field].take().is_string(), "{field}");
    }
    let expected = json!({
        "id": sent["id"], "state": "done", "total": 4, "processed": 4,
        "createdAt": null, "runAt": null, "finishedAt": null,
    });
    assert_eq!(status, expected);
    for user in ["u0", "u1", "u2", "alice"] {
        let list = server.user(user).get("/notifications").await.json(200);
        assert_eq!(list["notifications"][0]["id"], sent["id"], "{user}");
    }
    let stranger = server.user("stranger").get("/notifications").await.json(200);
    assert_eq!(stranger["notifications"], json!([]));
}

#[tokio::test]
async fn more_than_1000_recipients_become_an_announcement() {
    let server = TestServer::start().await;
    let api = server.api();
    let users: Vec<_> = (0..2_500).map(|n| format!("u{n}")).collect();
    let sent = api.post("/notifications", &system(json!({ "users": users }))).await.json(202);
    assert_eq!(sent["recipients"], 2_500);
    let status = until(&api, &sent["statusUrl"], "done").await;
    assert_eq!(status["processed"], 2_500);
    for user in ["u0", "u999", "u1000", "u2499"] {
        let count = server.user(user).get("/notifications/unread-count").await.json(200);
        assert_eq!(count, json!({ "unread": 1, "rev": 1 }), "{user}");
    }
}

#[tokio::test]
async fn exactly_1000_recipients_are_done_at_once() {
    let server = TestServer::start().await;
    let users: Vec<_> = (0..1_000).map(|n| format!("u{n}")).collect();
    let body = system(json!({ "users": users }));
    let sent = server.api().post("/notifications", &body).await.json(201);
    assert_eq!(sent["recipients"], 1_000);
    assert!(sent.get("statusUrl").is_none());
    let count = server.user("u999").get("/notifications/unread-count").await.json(200);
    assert_eq!(count["unread"], 1);
}

#[tokio::test]
async fn a_notification_for_later_comes_then_and_not_before() {
    let server = TestServer::start().await;
    let api = server.api();
    let mut alice = server.connect("alice").await;
    let at = later(&server, 4_000);
    let mut body = system("alice".into());
    body["sendAt"] = at.to_string().into();
    let sent = api.post("/notifications", &body).await.json(202);
    let status = until(&api, &sent["statusUrl"], "scheduled").await;
    assert_eq!((&status["processed"], &status["runAt"]), (&json!(0), &json!(at.to_string())));
    assert!(alice.drain().await.is_empty());
    let got = alice.wait("notification").await;
    assert_eq!(got["id"], sent["id"]);
    assert!(server.state.clock.now() >= at);
    until(&api, &sent["statusUrl"], "done").await;
}

#[tokio::test]
async fn one_that_is_taken_back_before_its_time_never_comes() {
    let server = TestServer::start().await;
    let api = server.api();
    put_users(&api, 2).await;
    let mut body = system(json!({ "all": true }));
    body["sendAt"] = later(&server, 3_600_000).to_string().into();
    let sent = api.post("/notifications", &body).await.json(202);
    let id = sent["id"].as_str().unwrap();
    let taken = api.delete(&format!("/notifications/{id}")).await.json(200);
    assert_eq!(taken, json!({ "id": id, "removed": 0, "complete": true }));
    let status = until(&api, &sent["statusUrl"], "cancelled").await;
    assert_eq!(status["processed"], 0);
    let list = server.user("u0").get("/notifications").await.json(200);
    assert_eq!(list["notifications"], json!([]));
}

#[tokio::test]
async fn a_time_that_has_passed_means_now() {
    let server = TestServer::start().await;
    let mut body = system("alice".into());
    body["sendAt"] = later(&server, -1_000).to_string().into();
    server.api().post("/notifications", &body).await.json(201);
}

#[tokio::test]
async fn a_scheduled_one_survives_a_restart() {
    let server = TestServer::start().await;
    let mut body = system("alice".into());
    body["sendAt"] = later(&server, 4_000).to_string().into();
    let sent = server.api().post("/notifications", &body).await.json(202);
    let server = server.restart(|_| {}).await;
    until(&server.api(), &sent["statusUrl"], "done").await;
    let list = server.user("alice").get("/notifications").await.json(200);
    assert_eq!(list["notifications"][0]["id"], sent["id"]);
}

#[tokio::test]
async fn an_announcement_that_is_not_there_is_not_found() {
    let server = TestServer::start().await;
    let api = server.api();
    api.get("/announcements/01930000-0000-7000-8000-000000000000").await.problem(404, "NOT_FOUND");
    api.get("/announcements/x").await.problem(404, "NOT_FOUND");
    // What was done at once is no announcement.
    let id = api.notify("alice", "x").await;
    api.get(&format!("/announcements/{id}")).await.problem(404, "NOT_FOUND");
}
