//! How much has to be there before a socket says that there is something to read.
//!
//! A large answer comes in many pieces, and each would wake the shard for nothing: waiting costs more than reading does.

use std::{cell::Cell, io, net::TcpStream, os::fd::AsRawFd};

use nix::sys::socket::{setsockopt, sockopt::SetUsize};
use socket2::SockRef;

/// `SO_RCVLOWAT`.
#[derive(Clone, Copy)]
struct ReceiveLowWater;

nix::setsockopt_impl!(ReceiveLowWater, libc::SOL_SOCKET, libc::SO_RCVLOWAT, usize, SetUsize);

/// So much is waited for at once where more is missing: what has come is taken while the rest is on its way. Brokers have at
/// most twice the 100 KiB of their `socket.send.buffer.bytes` on the way: with whoever waits for more than that they take
/// turns, which costs less CPU time and more of the clock's. Where less is missing, a socket is left as it is: changing that
/// takes system calls, too.
const AWAITED_BYTES: usize = 128 << 10;

/// What a socket waits for.
#[derive(Debug)]
pub(super) struct LowWater {
    /// Bytes, as the kernel knows it.
    set_bytes: Cell<usize>,
}

impl Default for LowWater {
    fn default() -> Self {
        Self { set_bytes: Cell::new(1) }
    }
}

impl LowWater {
    /// Nothing follows from less than `missing_bytes` more; 0: that is not known.
    ///
    /// # Errors
    /// It waits for more than that, and cannot be told otherwise, for want of a descriptor for instance. Where it cannot be
    /// told to wait for more, there is more work to do and nothing else.
    pub(super) fn set_for(&self, socket: &impl AsRawFd, missing_bytes: usize) -> io::Result<()> {
        let wanted = if missing_bytes < AWAITED_BYTES { 1 } else { AWAITED_BYTES };
        let before = self.set_bytes.get();
        if before == wanted {
            return Ok(());
        }
        match set(socket, wanted) {
            Ok(()) => self.set_bytes.set(wanted),
            Err(error) if wanted < before => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }
}

/// glommio's stream shows its socket by number only, and the number of a socket is nothing that safe code can set an option
/// by: a clone of it is.
fn set(socket: &impl AsRawFd, bytes: usize) -> io::Result<()> {
    let clone = TcpStream::from(SockRef::from(socket).try_clone()?);
    Ok(setsockopt(&clone, ReceiveLowWater, &bytes)?)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        os::fd::AsFd,
    };

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    /// Whether there is something to read.
    fn has_something(socket: &TcpStream) -> bool {
        let mut all = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut all, PollTimeout::from(100_u8)).unwrap() > 0
    }

    #[test]
    fn a_socket_speaks_up_when_there_is_enough_or_it_is_over() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut receiver, _) = listener.accept().unwrap();
        let low_water = LowWater::default();
        sender.write_all(&[0; 1_000]).unwrap();
        assert!(has_something(&receiver));
        low_water.set_for(&receiver, AWAITED_BYTES).unwrap();
        assert!(!has_something(&receiver), "less than is waited for");
        low_water.set_for(&receiver, 0).unwrap();
        assert!(has_something(&receiver), "nothing is known to be missing");
        low_water.set_for(&receiver, AWAITED_BYTES).unwrap();
        sender.write_all(&vec![0; AWAITED_BYTES]).unwrap();
        assert!(has_something(&receiver), "enough");
        receiver.read_exact(&mut vec![0; 2_000]).unwrap();
        assert!(!has_something(&receiver), "not any more");
        drop(sender);
        assert!(has_something(&receiver), "nothing more comes");
    }
}
