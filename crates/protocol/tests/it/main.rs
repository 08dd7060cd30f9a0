//! The rules of the three codecs, one test each; round trips; the captured wire samples.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests, where a panic is the report

mod engineio;
mod hostile;
mod roundtrip;
mod socketio;
mod socketio_binary;
mod support;
mod websocket_encode;
mod websocket_frames;
mod websocket_messages;
mod wire;
