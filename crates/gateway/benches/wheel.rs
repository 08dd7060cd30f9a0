//! The wheel of all sessions' deadlines: moving a timer, bringing one nearer, and a turn in which nothing, or a slot, is due.
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on says so by failing")]

// The wheel is no part of the crate's interface; a benchmark is no reason to make it one.
#[allow(dead_code, clippy::indexing_slicing, reason = "only what is timed is used here")]
#[path = "../src/wheel.rs"]
mod wheel;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};

use wheel::{Entry, Place, TICK, Wheel};

const SESSIONS: [u64; 2] = [1_000, 100_000];
/// Deadlines of sessions are spread over so many milliseconds, as pings are.
const SPREAD: u64 = 20_000;

struct Timer(Place);

impl Entry for Timer {
    fn place(&self) -> &Place {
        &self.0
    }
}

/// So many timers, evenly spread, and those that are on the wheel.
fn filled(count: u64) -> (Wheel<Timer>, Vec<Arc<Timer>>) {
    let wheel = Wheel::new();
    let timers: Vec<_> = (0..count).map(|_| Arc::new(Timer(Place::new()))).collect();
    for (number, timer) in (0..).zip(&timers) {
        wheel.schedule(timer, SPREAD + number * SPREAD / count);
    }
    (wheel, timers)
}

fn moves(c: &mut Criterion) {
    let mut group = c.benchmark_group("wheel");
    for count in SESSIONS {
        let (wheel, timers) = filled(count);
        let mut turn = timers.iter().cycle().zip(SPREAD..);
        group.bench_function(BenchmarkId::new("move", count), |b| {
            b.iter(|| {
                let (timer, at) = turn.next().expect("it is endless");
                wheel.schedule(black_box(timer), SPREAD + at % SPREAD);
            });
        });
        let timer = timers.first().expect("there are some");
        group.bench_function(BenchmarkId::new("hasten, in vain", count), |b| {
            b.iter(|| wheel.hasten(black_box(timer), 3 * SPREAD));
        });
        let mut now = 0;
        let mut due = Vec::new();
        group.bench_function(BenchmarkId::new("turn, all put back", count), |b| {
            b.iter(|| {
                now += TICK;
                wheel.turn(now, &mut due);
                for timer in due.drain(..) {
                    wheel.schedule(&timer, now + SPREAD);
                }
            });
        });
    }
    group.bench_function("enter and leave", |b| {
        let (wheel, _timers) = filled(1_000);
        let timer = || Arc::new(Timer(Place::new()));
        b.iter_batched(
            timer,
            |timer| {
                wheel.schedule(&timer, SPREAD);
                wheel.cancel(&timer);
                timer
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, moves);
criterion_main!(benches);
