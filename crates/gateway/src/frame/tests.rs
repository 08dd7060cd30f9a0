//! Every encoding of a frame, as text.

use super::*;
use crate::recovery::Offset;

fn text(frame: &Frame) -> String {
    let bytes: Vec<u8> = [frame.prefix(), frame.body(), frame.suffix()].concat();
    let at = header_length(&bytes);
    let length = match bytes[1] {
        126 => usize::from(u16::from_be_bytes([bytes[2], bytes[3]])),
        127 => u64::from_be_bytes(bytes[2..10].try_into().expect("eight bytes")) as usize,
        short => usize::from(short),
    };
    assert_eq!(bytes.len() - at, length, "the header tells the payload's length");
    String::from_utf8(bytes[at..].to_vec()).expect("text")
}

#[test]
fn events_in_both_shapes_and_every_namespace() {
    let plain = Frame::event("like", &["1", r#"{"a":2}"#]);
    assert_eq!(text(&plain), r#"42["like",1,{"a":2}]"#);
    assert_eq!(plain.name(), "like");
    assert_eq!(text(&plain.in_namespace("/custom")), r#"42/custom,["like",1,{"a":2}]"#);
    assert_eq!(plain.in_namespace("/custom").name(), "like");
    assert_eq!(text(&Frame::event("none", &[])), r#"42["none"]"#);
    assert_eq!(text(&Frame::event("\"q\"", &[])), r#"42["\"q\""]"#);

    let tail = Tail::new(r#""title":"x"}"#);
    let headed = Frame::event_with_head("n", r#"{"seq":1,"#, &tail);
    assert_eq!(text(&headed), r#"42["n",{"seq":1,"title":"x"}]"#);
    assert_eq!(headed.name(), "n");
    assert_eq!(text(&headed.in_namespace("/a")), r#"42/a,["n",{"seq":1,"title":"x"}]"#);
    assert_eq!(headed.body().as_ptr(), tail.bytes.as_ptr(), "the tail is not copied");
}

#[test]
fn long_heads_and_long_bodies() {
    let head = format!("\"{}", "h".repeat(400));
    let frame = Frame::event_with_head("n", &head, &Tail::new("\""));
    assert_eq!(text(&frame), format!("42[\"n\",{head}\"]"));
    let long = "1".repeat(70_000);
    assert_eq!(text(&Frame::event("n", &[&long])), format!("42[\"n\",{long}]"));
}

#[test]
fn attachments_follow_their_text() {
    let frame = Frame::event("b", &[r#"{"_placeholder":true,"num":0}"#])
        .with_attachments(&[Bytes::from_static(&[1, 2])]);
    assert_eq!(text(&frame), r#"451-["b",{"_placeholder":true,"num":0}]"#);
    assert_eq!(frame.attachments(), [Bytes::from_static(&[0x82, 2, 1, 2])]);
    assert_eq!(text(&frame.in_namespace("/a")), r#"451-/a,["b",{"_placeholder":true,"num":0}]"#);
    assert_eq!(frame.len(), frame.parts().map(<[u8]>::len).sum::<usize>());
}

fn plain(frame: &Frame) -> String {
    text(frame.plain())
}

#[test]
fn plain_clients_get_objects() {
    let one = |json: &str| plain(&Frame::event("task:update", &[json]));
    insta::assert_snapshot!(one(r#"{"taskId":1,"by":{"type":"x"}}"#), @r#"{"type":"task:update","taskId":1,"by":{"type":"x"}}"#);
    insta::assert_snapshot!(one(r#" { "a" : "}" } "#), @r#"{"type":"task:update", "a" : "}" }"#);
    insta::assert_snapshot!(one("{}"), @r#"{"type":"task:update"}"#);
    insta::assert_snapshot!(one(r#"{"type":"like","a":1}"#), @r#"{"type":"task:update","args":[{"type":"like","a":1}]}"#);
    insta::assert_snapshot!(one("[1]"), @r#"{"type":"task:update","args":[[1]]}"#);
    insta::assert_snapshot!(plain(&Frame::event("q\"", &[])), @r#"{"type":"q\"","args":[]}"#);
    let two = Frame::event("two", &["{}", r#"{"a":1}"#]);
    insta::assert_snapshot!(plain(&two), @r#"{"type":"two","args":[{},{"a":1}]}"#);
    let key = Frame::event("n", &[r#"{"type":"like"}"#]).under_key("notification");
    insta::assert_snapshot!(plain(&key), @r#"{"type":"n","notification":{"type":"like"}}"#);
    assert!(Arc::ptr_eq(two.plain(), two.clone().plain()), "built once");
}

#[test]
fn plain_clients_share_the_tail() {
    let plain_of = |head: &str, tail: &str, key: Option<&'static str>| {
        let tail = Tail::new(tail);
        let frame = Frame::event_with_head("n", head, &tail);
        let frame = match key {
            Some(key) => frame.under_key(key),
            None => frame,
        };
        assert_eq!(frame.plain().body().as_ptr(), tail.bytes.as_ptr(), "the tail is not copied");
        plain(&frame)
    };
    insta::assert_snapshot!(plain_of(r#"{"seq":1,"#, r#""title":"x"}"#, None), @r#"{"type":"n","seq":1,"title":"x"}"#);
    insta::assert_snapshot!(plain_of("{", r#""title":"x"}"#, None), @r#"{"type":"n","title":"x"}"#);
    insta::assert_snapshot!(plain_of("{", "}", None), @r#"{"type":"n"}"#);
    insta::assert_snapshot!(plain_of(r#"{"seq":1"#, "}", None), @r#"{"type":"n","seq":1}"#);
    insta::assert_snapshot!(plain_of(r#"{"seq":1,"#, r#""type":"like"}"#, None), @r#"{"type":"n","args":[{"seq":1,"type":"like"}]}"#);
    insta::assert_snapshot!(plain_of(r#"{"type":1,"#, r#""a":2}"#, None), @r#"{"type":"n","args":[{"type":1,"a":2}]}"#);
    insta::assert_snapshot!(plain_of(r#"{"seq":1,"#, r#""a":2},{"b":3}"#, None), @r#"{"type":"n","args":[{"seq":1,"a":2},{"b":3}]}"#);
    insta::assert_snapshot!(plain_of("1,", "2", None), @r#"{"type":"n","args":[1,2]}"#);
    insta::assert_snapshot!(plain_of(r#"{"seq":1,"#, r#""type":"like"}"#, Some("notification")), @r#"{"type":"n","notification":{"seq":1,"type":"like"}}"#);
}

#[test]
fn offsets_come_last() {
    let offset = |position| Offset { log: *b"abcd", position, mark: None };
    let numbered = |frame: &Frame, position| {
        let parts = frame.with_offset(offset(position));
        let whole = parts.clone().flattened();
        assert_eq!(text(&parts), text(&whole));
        assert!(whole.prefix().is_empty() && whole.suffix().is_empty());
        text(&whole)
    };
    insta::assert_snapshot!(numbered(&Frame::event("n", &["1"]), 7), @r#"42["n",1,"abcd7"]"#);
    insta::assert_snapshot!(numbered(&Frame::event("n", &[]), 0), @r#"42["n","abcd0"]"#);
    insta::assert_snapshot!(numbered(&Frame::event("n", &[]), u64::MAX), @r#"42["n","abcd18446744073709551615"]"#);
    insta::assert_snapshot!(numbered(&Frame::event("n", &["1"]).in_namespace("/a"), 7), @r#"42/a,["n",1,"abcd7"]"#);
    let tail = Tail::new(r#""title":"x"}"#);
    let headed = Frame::event_with_head("n", r#"{"seq":1,"#, &tail);
    insta::assert_snapshot!(numbered(&headed, 7), @r#"42["n",{"seq":1,"title":"x"},"abcd7"]"#);
    assert_eq!(headed.with_offset(offset(1)).body().as_ptr(), tail.bytes.as_ptr(), "not copied");
    let long = "1".repeat(70_000);
    assert_eq!(numbered(&Frame::event("n", &[&long]), 7), format!("42[\"n\",{long},\"abcd7\"]"));
    let binary = Frame::event("b", &[r#"{"_placeholder":true,"num":0}"#])
        .with_attachments(&[Bytes::from_static(&[1])]);
    insta::assert_snapshot!(numbered(&binary, 7), @r#"451-["b",{"_placeholder":true,"num":0},"abcd7"]"#);
    let marked = Offset { mark: Some(u64::MAX), ..offset(u64::MAX) };
    let longest = text(&Frame::event("n", &[]).marked(9).with_offset(marked));
    assert_eq!(longest, format!("42[\"n\",\"abcd{0}.{0}\"]", u64::MAX));
    assert_eq!(binary.with_offset(offset(7)).flattened().attachments().len(), 1);
}

#[test]
fn plain_clients_may_know_an_event_by_another_name() {
    let frame = Frame::event("presence:update", &[r#"{"online":1}"#]).plain_type("presence-update");
    assert_eq!(frame.name(), "presence:update");
    let plain = text(frame.plain());
    assert_eq!(plain, r#"{"type":"presence-update","online":1}"#);
    assert!(text(&frame).contains(r#"["presence:update",{"online":1}]"#));
}

#[test]
fn an_event_that_is_to_be_acknowledged_has_an_id() {
    insta::assert_snapshot!(text(&Frame::event("n", &["1"]).asking(7)), @r#"427["n",1]"#);
    insta::assert_snapshot!(text(&Frame::event("n", &[]).in_namespace("/a").asking(0)), @r#"42/a,0["n"]"#);
    let tail = Tail::new(r#""title":"x"}"#);
    let headed = Frame::event_with_head("n", r#"{"seq":1,"#, &tail).asking(12);
    insta::assert_snapshot!(text(&headed), @r#"4212["n",{"seq":1,"title":"x"}]"#);
    let binary = Frame::event("b", &[r#"{"_placeholder":true,"num":0}"#])
        .with_attachments(&[Bytes::from_static(&[1])])
        .asking(3);
    insta::assert_snapshot!(text(&binary), @r#"451-3["b",{"_placeholder":true,"num":0}]"#);
    assert_eq!(binary.attachments().len(), 1);
    let long = "1".repeat(70_000);
    let event = Frame::event("n", &[&long]);
    let asking = event.asking(1);
    assert_eq!(text(&asking), format!("421[\"n\",{long}]"));
    assert!(event.body().as_ptr_range().contains(&asking.body().as_ptr()), "not copied");
}

#[test]
fn plain_clients_may_get_another_event_instead() {
    let binary = Frame::event("b", &[r#"{"_placeholder":true,"num":0}"#])
        .with_attachments(&[Bytes::from_static(&[1])])
        .plain_instead(&Frame::event("b", &[r#""AQ==""#]));
    insta::assert_snapshot!(text(binary.plain()), @r#"{"type":"b","args":["AQ=="]}"#);
    let stream: Vec<u8> = binary.stream().parts().flatten().copied().collect();
    assert_eq!(stream, b"event: b\ndata: {\"type\":\"b\",\"args\":[\"AQ==\"]}\n\n");
    insta::assert_snapshot!(text(&binary), @r#"451-["b",{"_placeholder":true,"num":0}]"#);
}
