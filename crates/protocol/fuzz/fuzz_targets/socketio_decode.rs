#![no_main]

#[path = "../../tests/fuzz_bodies/socketio_decode.rs"]
mod socketio_decode;

libfuzzer_sys::fuzz_target!(|data: &[u8]| socketio_decode::run(data));
