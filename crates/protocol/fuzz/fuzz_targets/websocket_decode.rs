#![no_main]

#[path = "../../tests/fuzz_bodies/websocket_decode.rs"]
mod websocket_decode;

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_decode::run(data));
