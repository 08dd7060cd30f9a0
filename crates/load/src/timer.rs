//! Wakes the loop at a moment: polling itself counts in milliseconds, which is too coarse.

use std::io;

use mio::{Registry, Token};

#[cfg(target_os = "linux")]
pub use linux::Timer;
#[cfg(not(target_os = "linux"))]
pub use other::Timer;

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::{AsRawFd as _, OwnedFd};

    use mio::{Interest, unix::SourceFd};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    use super::{Registry, Token, io};

    pub struct Timer {
        fd: OwnedFd,
        /// The moment that it is set to.
        armed: u64,
    }

    impl Timer {
        pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self { fd, armed: 0 })
        }

        /// Wakes the loop at `moment`, of which `now` is before.
        pub fn arm(&mut self, moment: u64, now: u64) -> io::Result<()> {
            if self.armed == moment {
                return Ok(());
            }
            self.armed = moment;
            let left = moment.saturating_sub(now).max(1);
            let part = |nanoseconds| i64::try_from(nanoseconds).unwrap_or(i64::MAX);
            let value = Timespec {
                tv_sec: part(left / 1_000_000_000),
                tv_nsec: part(left % 1_000_000_000),
            };
            let never = Timespec { tv_sec: 0, tv_nsec: 0 };
            let spec = Itimerspec { it_interval: never, it_value: value };
            timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &spec)?;
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::{Registry, Token, io};

    /// The time-out of polling has to do.
    pub struct Timer;

    impl Timer {
        pub fn new(_: &Registry, _: Token) -> io::Result<Self> {
            Ok(Self)
        }

        pub fn arm(&mut self, _: u64, _: u64) -> io::Result<()> {
            Ok(())
        }
    }
}
