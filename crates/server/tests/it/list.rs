//! `GET /notifications` and its neighbours: what is in the inbox.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Answer, Api, TestServer};

async fn fill(api: &Api, to: &str, count: usize) {
    let entries = |n: usize| json!({ "to": to, "type": "like", "message": format!("n{n}") });
    let body: Vec<_> = (0..count).map(entries).collect();
    api.post("/notifications", &json!(body)).await.json(201);
}

fn messages(list: &Value) -> Vec<&str> {
    let list = list["notifications"].as_array().expect("a list");
    list.iter().map(|n| n["message"].as_str().expect("text")).collect()
}

#[tokio::test]
async fn the_newest_come_first_20_unless_said_otherwise() {
    let server = TestServer::start().await;
    fill(&server.api(), "alice", 25).await;
    let alice = server.user("alice");
    let list = alice.get("/notifications").await.json(200);
    assert_eq!((messages(&list).len(), messages(&list)[0]), (20, "n24"));
    let cursor = list["pagination"]["nextCursor"].as_str().unwrap();
    assert_eq!(list["pagination"], json!({ "limit": 20, "nextCursor": cursor, "hasMore": true }));
    let rest = alice.get(&format!("/notifications?cursor={cursor}")).await.json(200);
    assert_eq!(messages(&rest), ["n4", "n3", "n2", "n1", "n0"]);
    let last = json!({ "limit": 20, "nextCursor": null, "hasMore": false });
    assert_eq!(rest["pagination"], last);
}

#[tokio::test]
async fn limits_are_1_to_100() {
    let server = TestServer::start().await;
    fill(&server.api(), "alice", 101).await;
    let alice = server.user("alice");
    for good in [1, 100] {
        let list = alice.get(&format!("/notifications?limit={good}")).await.json(200);
        assert_eq!(messages(&list).len(), good);
    }
    for bad in ["0", "101", "-1", "1.5", "x", "", "99999999999999999999999"] {
        let answer = alice.get(&format!("/notifications?limit={bad}")).await;
        answer.bad_field(400, "limit", "BAD_PARAMETER");
    }
}

#[tokio::test]
async fn a_walk_by_cursor_misses_and_repeats_nothing_while_new_ones_arrive() {
    let server = TestServer::start().await;
    let api = server.api();
    fill(&api, "alice", 250).await;
    let alice = server.user("alice");
    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let list = alice.get(&format!("/notifications?limit=30{cursor}")).await.json(200);
        let list_of = list["notifications"].as_array().unwrap();
        seen.extend(list_of.iter().map(|n| n["seq"].as_u64().unwrap()));
        api.notify("alice", "meanwhile").await;
        pages += 1;
        match list["pagination"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, 9);
    assert_eq!(seen, (1..=250).rev().collect::<Vec<u64>>());
}

#[tokio::test]
async fn numbered_pages_count_the_total() {
    let server = TestServer::start().await;
    fill(&server.api(), "alice", 5).await;
    let alice = server.user("alice");
    let list = alice.get("/notifications?limit=2&page=3").await.json(200);
    assert_eq!(messages(&list), ["n0"]);
    let expected =
        json!({ "limit": 2, "page": 3, "total": 5, "nextCursor": null, "hasMore": false });
    assert_eq!(list["pagination"], expected);
    let beyond = alice.get("/notifications?limit=2&page=4").await.json(200);
    assert_eq!((messages(&beyond).len(), &beyond["pagination"]["total"]), (0, &json!(5)));
    for bad in ["page=0", "page=-1", "page=x", "page=1000000", "page=1&cursor=czE"] {
        let answer = alice.get(&format!("/notifications?{bad}")).await;
        answer.bad_field(400, "page", "BAD_PARAMETER");
    }
}

#[tokio::test]
async fn lists_are_filtered() {
    let server = TestServer::start().await;
    let api = server.api();
    let mut ids = Vec::new();
    for (kind, tenant, message) in
        [("like", "a", "0"), ("comment", "a", "1"), ("like", "b", "2"), ("follow", "b", "3")]
    {
        let body = json!({ "to": "alice", "type": kind, "tenant": tenant, "message": message });
        let sent = api.post("/notifications", &body).await.json(201);
        ids.push(sent["id"].as_str().unwrap().to_owned());
    }
    let alice = server.user("alice");
    alice.patch(&format!("/notifications/{}/read", ids[0])).await.json(200);
    alice.patch(&format!("/notifications/{}/archive", ids[1])).await.json(200);
    for (query, expected) in [
        ("", vec!["3", "2", "0"]),
        ("unreadOnly=true", vec!["3", "2"]),
        ("unreadOnly=false", vec!["3", "2", "0"]),
        ("type=like", vec!["2", "0"]),
        ("tenant=a", vec!["0"]),
        ("tenant=a&archived=true", vec!["1"]),
        ("archived=true", vec!["1"]),
        ("type=like&unreadOnly=true&tenant=b", vec!["2"]),
        ("type=never-heard-of", vec![]),
    ] {
        let list = alice.get(&format!("/notifications?{query}")).await.json(200);
        assert_eq!(messages(&list), expected, "{query}");
    }
    alice.get("/notifications?unreadOnly=yes").await.bad_field(400, "unreadOnly", "BAD_PARAMETER");
}

#[tokio::test]
async fn unknown_parameters_and_bad_cursors_are_named() {
    let server = TestServer::start().await;
    let alice = server.user("alice");
    let answer = alice.get("/notifications?limit=5&unread=true").await;
    answer.bad_field(400, "unread", "BAD_PARAMETER");
    for bad in ["x", "czE%3D", "cw", "Y3Vyc29y", "%00", "%FF"] {
        let answer = alice.get(&format!("/notifications?cursor={bad}")).await;
        answer.bad_field(400, "cursor", "BAD_PARAMETER");
    }
}

#[tokio::test]
async fn everybody_sees_the_own_inbox_alone() {
    let server = TestServer::start().await;
    let id = server.api().notify("alice", "for alice").await;
    let path = format!("/notifications/{id}");
    assert_eq!(server.user("alice").get(&path).await.json(200)["recipientId"], "alice");
    let bob = server.user("bob");
    bob.get(&path).await.problem(404, "NOT_FOUND");
    assert!(messages(&bob.get("/notifications").await.json(200)).is_empty());
    let unknown = "/notifications/01930000-0000-7000-8000-000000000000";
    server.user("alice").get(unknown).await.problem(404, "NOT_FOUND");
    server.user("alice").get("/notifications/x").await.bad_field(400, "id", "BAD_ID");
}

#[tokio::test]
async fn the_unread_count_has_an_etag() {
    let server = TestServer::start().await;
    let (api, alice) = (server.api(), server.user("alice"));
    let path = "/notifications/unread-count";
    assert_eq!(alice.get(path).await.json(200), json!({ "unread": 0, "rev": 0 }));
    api.notify("alice", "one").await;
    let answer = alice.get(path).await;
    assert_eq!(answer.json(200), json!({ "unread": 1, "rev": 1 }));
    let etag = answer.header("etag").to_owned();
    let ask = |tag: String| {
        let request = alice.request("GET", path).header("if-none-match", tag);
        Answer::of(request)
    };
    for same in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let answer = ask(same.clone()).await;
        assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{same}");
        assert_eq!(answer.header("etag"), etag);
    }
    assert_eq!(ask("\"other\"".to_owned()).await.status, 200);
    api.notify("alice", "two").await;
    assert_eq!(ask(etag).await.json(200), json!({ "unread": 2, "rev": 2 }));
}

#[tokio::test]
async fn sync_pages_through_everything_that_changed() {
    let server = TestServer::start().await;
    let (api, alice) = (server.api(), server.user("alice"));
    fill(&api, "alice", 450).await;
    let (mut seen, mut since, mut pages) = (BTreeSet::new(), 0, 0);
    loop {
        let sync = alice.get(&format!("/notifications/sync?since={since}")).await.json(200);
        for item in sync["items"].as_array().unwrap() {
            assert!(seen.insert(item["rev"].as_u64().unwrap()), "twice: {item}");
        }
        since = sync["to"].as_u64().unwrap();
        pages += 1;
        if sync["hasMore"] == false {
            break;
        }
    }
    assert_eq!((since, pages), (450, 3));
    assert_eq!(seen, (1..=450).collect());
}

#[tokio::test]
async fn sync_tells_what_was_read_and_removed() {
    let server = TestServer::start().await;
    let (api, alice) = (server.api(), server.user("alice"));
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(api.notify("alice", &format!("n{n}")).await);
    }
    alice.patch(&format!("/notifications/{}/read", ids[3])).await.json(200);
    alice.delete(&format!("/notifications/{}", ids[2])).await.json(200);
    alice.post("/notifications/read-all", &json!({ "upTo": 1 })).await.json(200);
    let mut sync = alice.get("/notifications/sync?since=4").await.json(200);
    let items = sync["items"].take();
    assert_eq!((items[0]["id"].as_str(), &items[0]["read"]), (Some(&*ids[3]), &json!(true)));
    assert_eq!(items.as_array().unwrap().len(), 1);
    let expected = json!({
        "items": null, "removed": [ids[2]], "readUpTo": 1, "unread": 1, "to": 7,
        "hasMore": false, "reset": false,
    });
    assert_eq!(sync, expected);
    let nothing = alice.get("/notifications/sync?since=7").await.json(200);
    assert_eq!((&nothing["items"], &nothing["to"]), (&json!([]), &json!(7)));
}

#[tokio::test]
async fn a_since_that_is_not_of_this_inbox_starts_over() {
    let server = TestServer::start().await;
    let alice = server.user("alice");
    let empty = alice.get("/notifications/sync?since=9").await.json(200);
    assert_eq!((&empty["reset"], &empty["to"]), (&json!(true), &json!(0)));
    fill(&server.api(), "alice", 3).await;
    let sync = alice.get("/notifications/sync?since=9").await.json(200);
    assert_eq!((&sync["reset"], &sync["to"]), (&json!(true), &json!(3)));
    assert_eq!(sync["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn since_is_a_rev_or_a_date() {
    let server = TestServer::start().await;
    let alice = server.user("alice");
    fill(&server.api(), "alice", 2).await;
    let old = alice.get("/notifications/sync?since=2020-01-01T00:00:00Z").await.json(200);
    assert_eq!(old["items"].as_array().unwrap().len(), 2);
    let new = alice.get("/notifications/sync?since=2099-01-01T00:00:00.000Z").await.json(200);
    assert_eq!((&new["items"], &new["to"], &new["reset"]), (&json!([]), &json!(2), &json!(false)));
    for bad in ["-1", "x", "", "1.5", "2026-13-01", "99999999999999999999999"] {
        let answer = alice.get(&format!("/notifications/sync?since={bad}")).await;
        answer.bad_field(400, "since", "BAD_PARAMETER");
    }
    alice.get("/notifications/sync").await.bad_field(400, "since", "BAD_PARAMETER");
}
