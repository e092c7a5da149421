//! The supervisor's side of its control socket: lines of plain text, so that serving it costs no memory.
//!
//! - `stop SIGNAL MILLISECONDS`: sends the signal, and kills everything after that time;
//! - `signal SIGNAL`; `kill`; `wait` (no answer: the end of the connection is one).
//!
//! Answers are `ok`, `ended` (the task has) or `bad`. When the exit is recorded every connection is closed.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::{UnixListener, UnixStream},
    },
    time::Duration,
};

use nix::sys::signal::Signal;

/// Connections held at once. A further one takes the place of the oldest, who may come again: a task that opens many and
/// says nothing must not keep the agent out.
const MAX_CLIENTS: usize = 8;
/// The longest line.
const MAX_LINE: usize = 64;

/// What the agent asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Send the signal, kill after the time.
    Stop(Signal, Duration),
    /// Send the signal.
    Signal(Signal),
    /// Kill at once.
    Kill,
    /// Nothing but to be told of the end.
    Wait,
}

/// What the agent is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Ok,
    Ended,
    Bad,
}

impl Answer {
    fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Ok => b"ok\n",
            Self::Ended => b"ended\n",
            Self::Bad => b"bad\n",
        }
    }
}

/// The socket and those who are connected.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    line: [u8; MAX_LINE],
    length: usize,
}

impl Control {
    pub(super) fn new(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            clients: Vec::new(),
        })
    }

    /// What to wait on: the listener and every client.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd())
            .chain(self.clients.iter().map(|client| client.stream.as_fd()))
    }

    /// Takes new connections and gives every whole line to `obey`. Never waits.
    pub(super) fn serve(&mut self, mut obey: impl FnMut(Order) -> Answer) {
        self.clients.retain_mut(|client| client.serve(&mut obey));
        // So many at once: those who were there have been served before they give way.
        for _ in 0..MAX_CLIENTS {
            let Ok((stream, _)) = self.listener.accept() else {
                break;
            };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            if self.clients.len() == MAX_CLIENTS {
                self.clients.remove(0);
            }
            self.clients.push(Client {
                stream,
                line: [0; MAX_LINE],
                length: 0,
            });
        }
        self.clients.retain_mut(|client| client.serve(&mut obey));
    }
}

impl Client {
    /// False when it is gone.
    fn serve(&mut self, obey: &mut impl FnMut(Order) -> Answer) -> bool {
        loop {
            match self.stream.read(&mut self.line[self.length..]) {
                // Also when a line has no end.
                Ok(0) => return false,
                Ok(read) => self.length += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return false,
            }
            while let Some(end) = self.line[..self.length]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                let order = parse(&self.line[..end]);
                self.line.copy_within(end + 1..self.length, 0);
                self.length -= end + 1;
                let answer = match order {
                    Some(Order::Wait) => continue,
                    Some(order) => obey(order),
                    None => Answer::Bad,
                };
                if self.stream.write_all(answer.as_bytes()).is_err() {
                    return false;
                }
            }
        }
    }
}

fn parse(line: &[u8]) -> Option<Order> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    let signal = |word: Option<&str>| {
        word.and_then(|word| word.parse().ok())
            .and_then(|number: i32| Signal::try_from(number).ok())
    };
    let order = match words.next()? {
        "stop" => Order::Stop(
            signal(words.next())?,
            Duration::from_millis(words.next()?.parse().ok()?),
        ),
        "signal" => Order::Signal(signal(words.next())?),
        "kill" => Order::Kill,
        "wait" => Order::Wait,
        _ => return None,
    };
    words.next().is_none().then_some(order)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn who_says_nothing_keeps_nobody_out() {
        use std::io::{BufRead, BufReader};

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let mut control = Control::new(UnixListener::bind(&path).unwrap()).unwrap();
        let mut silent = Vec::new();
        for _ in 0..MAX_CLIENTS * 3 {
            silent.push(UnixStream::connect(&path).unwrap());
        }
        let mut agent = UnixStream::connect(&path).unwrap();
        agent.write_all(b"kill\n").unwrap();
        let mut obeyed = Vec::new();
        for _ in 0..4 {
            control.serve(|order| {
                obeyed.push(order);
                Answer::Ok
            });
        }
        assert_eq!(obeyed, [Order::Kill]);
        let mut answer = String::new();
        BufReader::new(agent).read_line(&mut answer).unwrap();
        assert_eq!(answer, "ok\n");
        assert_eq!(control.clients.len(), MAX_CLIENTS);
    }

    #[test]
    fn orders_are_read_and_all_else_is_bad() {
        let ten = Duration::from_millis(10);
        for (line, order) in [
            ("stop 2 10", Some(Order::Stop(Signal::SIGINT, ten))),
            ("signal 1", Some(Order::Signal(Signal::SIGHUP))),
            ("kill", Some(Order::Kill)),
            ("wait", Some(Order::Wait)),
            ("", None),
            ("stop", None),
            ("stop 2", None),
            ("stop 2 -1", None),
            ("stop 99 1", None),
            ("signal", None),
            ("kill now", None),
        ] {
            assert_eq!(parse(line.as_bytes()), order, "{line:?}");
        }
    }
}
