//! A frame as event streams get it (WHATWG HTML §9.2): the object of plain clients as the data of a named event.
//!
//! An event's data is one line: whoever reads it needs not put it together. JSON has line breaks only where any other
//! white space would do, so they become spaces. The id is the event's mark ([`Frame::marked`]): a client that comes back
//! names the last one it got, and has everything up to there.

use std::sync::Arc;

use bytes::Bytes;

use super::{Frame, Prefix, Suffix};

/// The end of an event.
const END: &[u8] = b"\n\n";

impl Frame {
    /// Event streams are told to come back after so many milliseconds when they end.
    #[must_use]
    pub fn with_retry(mut self, milliseconds: u64) -> Self {
        self.retry = Some(milliseconds);
        self.forget_forms();
        self
    }

    /// This event for event streams; made once.
    pub(crate) fn stream(&self) -> &Arc<Self> {
        self.stream.get_or_init(|| Arc::new(self.to_stream()))
    }

    fn to_stream(&self) -> Self {
        let id = self.mark.map_or_else(String::new, |mark| format!("id: {mark}\n"));
        let retry = self.retry.map_or_else(String::new, |time| format!("retry: {time}\n"));
        // As the name stands in JSON it has no line break.
        let name = self.plain_type.unwrap_or_else(|| self.name());
        let start = format!("{id}{retry}event: {name}\ndata: ");
        let plain = self.plain();
        let text: Vec<u8> = plain.first_payload().iter().copied().map(unbroken).collect();
        if plain.prefix().is_empty() {
            return Self::shared([start.as_bytes(), &text, END].concat().into(), 0);
        }
        Self {
            prefix: Prefix::concat(&[start.as_bytes(), &text]),
            suffix: Suffix::new(&[plain.suffix(), END].concat()),
            ..Self::shared(plain.body.clone(), 0)
        }
    }

    /// A line that event streams ignore, which shows that both ends are there.
    pub(crate) fn comment() -> Self {
        Self::shared(Bytes::from_static(b": ping\n\n"), 0)
    }

    /// The first words of an event stream: when to come back if it breaks.
    pub(crate) fn retry(milliseconds: u64) -> Self {
        Self::shared(format!("retry: {milliseconds}\n\n").into(), 0)
    }
}

pub(super) fn unbroken(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }
}

#[cfg(test)]
mod tests {
    use super::super::Tail;
    use super::*;

    fn text(frame: &Frame) -> String {
        let bytes: Vec<u8> = frame.stream().parts().flatten().copied().collect();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn an_event_is_named_and_its_data_is_one_line() {
        let update = Frame::event("task:update", &["{\r\n \"a\": 1,\n\"b\":\"x\\ny\"}"]);
        insta::assert_snapshot!(text(&update), @r#"
        event: task:update
        data: {"type":"task:update",   "a": 1, "b":"x\ny"}
        "#);
        let odd = Frame::event("a\nb", &["1", "[\n]"]).marked(7);
        insta::assert_snapshot!(text(&odd), @r#"
        id: 7
        event: a\nb
        data: {"type":"a\nb","args":[1,[ ]]}
        "#);
        let going = Frame::event("server:shutdown", &["{}"]).with_retry(250);
        insta::assert_snapshot!(text(&going), @r#"
        retry: 250
        event: server:shutdown
        data: {"type":"server:shutdown"}
        "#);
        assert!(text(&going).ends_with("}\n\n"));
    }

    #[test]
    fn the_tail_is_shared() {
        let tail = Tail::new("\"data\":{\n\"a\":1},\"type\":\"like\"}");
        let frame = Frame::event_with_head("n", "{\"seq\":1,", &tail).under_key("it").marked(1);
        assert_eq!(
            text(&frame),
            "id: 1\nevent: n\ndata: {\"type\":\"n\",\"it\":{\"seq\":1,\"data\":{ \"a\":1},\"type\":\"like\"}}\n\n"
        );
        let shared = |frame: &Frame| frame.stream().body().as_ptr();
        assert_eq!(shared(&frame), frame.plain().body().as_ptr(), "not copied");
        let other = Frame::event_with_head("n", "{\"seq\":2,", &tail).under_key("it");
        assert_eq!(shared(&frame), shared(&other));
    }
}
