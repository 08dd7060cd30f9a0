use proptest::prelude::*;

use crate::frame::Tail;

use super::*;

fn wire(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.parts().flatten().copied().collect::<Vec<_>>()).collect()
}

/// Takes at most `room` bytes, like a socket whose buffer is nearly full.
fn write(taken: &mut Vec<u8>, room: usize, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    if room == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let before = taken.len();
    taken.extend(slices.iter().flat_map(|slice| slice.iter()).take(room));
    Ok(taken.len() - before)
}

fn frame() -> impl Strategy<Value = Frame> {
    let attachment = proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from);
    let attachments = prop_oneof![Just(Vec::new()), proptest::collection::vec(attachment, 0..4)];
    ("[a-z]{1,200}", "[0-9]{1,300}", any::<bool>(), attachments).prop_map(
        |(name, data, headed, attachments)| {
            let frame = match headed {
                true => Frame::event_with_head(&name, &data, &Tail::new(&data)),
                false => Frame::event(&name, &[&data]),
            };
            frame.with_attachments(&attachments)
        },
    )
}

proptest! {
    /// Whatever the kernel takes, and whether a frame was written at once or queued, the bytes on the wire
    /// are those of the frames, one after another.
    #[test]
    fn order_is_kept_under_partial_writes(
        frames in proptest::collection::vec(frame(), 1..30),
        rooms in proptest::collection::vec((0usize..400, any::<bool>()), 1..60),
    ) {
        let mut out = Out::default();
        let mut taken = Vec::new();
        let mut rooms = rooms.into_iter().cycle();
        let mut next = || rooms.next().unwrap_or_default();
        for frame in &frames {
            let (room, direct) = next();
            match direct {
                true => out.write_or_push(frame, |slices| write(&mut taken, room, slices)).expect("no error"),
                false => out.push(frame),
            }
            let (mut room, flush) = next();
            if flush {
                let all = out.flush(|slices| {
                    let written = write(&mut taken, room, slices);
                    room = 0;
                    written
                });
                prop_assert_eq!(all.expect("no error"), out.is_empty());
            }
        }
        let waiting = out.bytes();
        prop_assert_eq!(taken.len() + waiting, wire(&frames).len());
        out.flush(|slices| write(&mut taken, 7, slices)).expect("no error");
        prop_assert_eq!(out.bytes(), 0);
        prop_assert_eq!(taken, wire(&frames));
    }
}

#[test]
fn frames_that_wait_leave_in_one_write() {
    let frames: Vec<Frame> = (0..20).map(|n| Frame::event("n", &[&n.to_string()])).collect();
    let mut out = Out::default();
    for frame in &frames {
        out.push(frame);
    }
    let mut writes = 0;
    let mut taken = Vec::new();
    let all = out.flush(|slices| {
        writes += 1;
        write(&mut taken, usize::MAX, slices)
    });
    assert_eq!((all.expect("no error"), writes), (true, 1));
    assert_eq!(taken, wire(&frames));
}

#[test]
fn an_error_is_told_and_an_idle_queue_holds_nothing() {
    let frame = Frame::event("n", &[]);
    let mut out = Out::default();
    assert!(out.write_or_push(&frame, |_| Err(io::ErrorKind::BrokenPipe.into())).is_err());
    out.push(&frame);
    assert!(out.flush(|_| Err(io::ErrorKind::BrokenPipe.into())).is_err());
    out.push(&frame);
    assert!(out.flush(|slices| write(&mut Vec::new(), usize::MAX, slices)).expect("no error"));
    assert!(matches!(out, Out::Empty));
}

#[test]
fn one_frame_of_a_broadcast_takes_no_memory_until_another_comes() {
    let (shared, own) =
        (Frame::event("n", &[]), Frame::event_with_head("n", "1,", &Tail::new("2")));
    let mut out = Out::default();
    out.push(&shared);
    assert!(matches!(out, Out::One(_)));
    assert!(!out.flush(|_| Err(io::ErrorKind::WouldBlock.into())).expect("no error"));
    assert!(matches!(out, Out::One(_)), "nothing was taken");
    out.push(&own);
    assert!(matches!(out, Out::Many(_)));
    let mut taken = Vec::new();
    assert!(out.flush(|slices| write(&mut taken, usize::MAX, slices)).expect("no error"));
    assert_eq!(taken, wire(&[shared, own]));
}

#[test]
fn a_frame_torn_by_clearing_is_noticed() {
    let frame = Frame::event("n", &[]);
    let mut out = Out::default();
    out.push(&frame);
    assert!(!out.clear());
    out.push(&frame);
    let mut room = 3;
    let _ = out.flush(|slices| write(&mut Vec::new(), std::mem::take(&mut room), slices));
    assert!(out.clear());
}

#[test]
fn chunks_are_whole_events_and_large_bodies_are_not_copied() {
    let mut out = Out::default();
    let large = Tail::new(&format!("\"{}\"}}", "x".repeat(CHUNK)));
    let frames = [
        Frame::event_with_head("a", "{\"a\":1,\"b\":", &large),
        Frame::event("b", &["{}"]),
        Frame::event("c", &[]),
    ];
    frames.iter().for_each(|frame| out.push(frame.stream()));
    let mut chunks = Vec::new();
    while let Some(chunk) = out.take_chunk() {
        chunks.push(chunk);
        let waiting = match &out {
            Out::Many(queue) => queue.items.iter().map(Item::len).sum(),
            _ => 0,
        };
        assert_eq!(out.bytes(), waiting);
    }
    assert_eq!((out.is_empty(), chunks.len()), (true, 3));
    assert_eq!(chunks[1].as_ptr(), frames[0].stream().body().as_ptr(), "shared");
    let parts = |frame: &Frame| frame.stream().parts().collect::<Vec<_>>().concat();
    assert_eq!(chunks.concat(), frames.iter().flat_map(parts).collect::<Vec<_>>());
}

#[test]
fn a_payload_has_the_packets_without_their_frames() {
    let mut out = Out::default();
    out.push(&Frame::event_with_head("n", "1,", &Tail::new("2")));
    out.push(&Frame::event("b", &["{}"]).with_attachments(&[Bytes::from_static(&[1, 2, 3])]));
    out.push(&Frame::text(&["2"]));
    assert_eq!(out.take_payload(), "42[\"n\",1,2]\x1e451-[\"b\",{}]\x1ebAQID\x1e2");
    assert!(out.is_empty());
}

/// Whoever clears the queue must not begin to speak WebSocket to somebody who waits for the end of HTTP.
#[test]
fn what_stands_before_all_frames_is_missed_when_it_is_cleared() {
    let head = Bytes::from_static(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
    let frame = Frame::event("n", &[]);
    for room in [0, 5, head.len()] {
        let mut out = Out::beginning_with(head.clone());
        out.push(&frame);
        let (mut taken, mut left) = (Vec::new(), room);
        let _ = out.flush(|slices| {
            let written = write(&mut taken, left, slices);
            left = 0;
            written
        });
        assert_eq!(taken, head[..room]);
        assert_eq!(out.clear(), room < head.len());
    }
    assert!(Out::beginning_with(Bytes::new()).is_empty());
}
