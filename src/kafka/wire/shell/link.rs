//! One connection's socket.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    os::fd::{AsRawFd, RawFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_lite::{AsyncRead, AsyncWrite, future};
use glommio::{GlommioError, net::TcpStream};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, sendmsg},
};

use super::{Inner, resolve::resolve};
use crate::kafka::wire::core::{
    connection::ConnectionError,
    machine::{LinkId, Machine, Slices},
};

/// How long one address may take to answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What others know of a connection's task.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The socket, while the task owns it.
    socket: Cell<Option<RawFd>>,
    /// It took nothing more: the task waits until it does.
    is_full: Cell<bool>,
    is_over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Link {
    /// The task ends, and the socket is closed.
    pub(super) fn stop(&self) {
        self.socket.set(None);
        self.is_over.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Writes what the socket takes. What it does not take, its task writes later. An error is for the task to find.
    pub(super) fn flush<M: Machine>(&self, link: LinkId, machine: &mut M) {
        let Some(socket) = self.socket.get() else { return };
        while !self.is_full.get() {
            let mut slices = Slices::new();
            machine.output(link, &mut slices);
            let bytes = slices.bytes();
            if bytes == 0 {
                return;
            }
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match sendmsg::<()>(socket, slices.as_io_slices(), &[], flags, None) {
                Ok(written) => {
                    machine.wrote(link, written);
                    self.is_full.set(written < bytes);
                }
                Err(Errno::EINTR) => continue,
                // Also where it is broken: what the task gets for an answer then is the error.
                Err(_) => self.is_full.set(true),
            }
            if self.is_full.get() {
                self.wake();
            }
        }
    }
}

/// The life of a connection: from the name to its end.
pub(super) async fn run<M: Machine + 'static>(
    inner: Rc<Inner<M>>,
    link: LinkId,
    handle: Rc<Link>,
    host: Rc<str>,
    port: u16,
) {
    let stopped = poll_fn(|context| {
        if handle.is_over.get() {
            return Poll::Ready(None);
        }
        *handle.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    });
    let connected = future::or(stopped, async { Some(connect(&host, port).await) }).await;
    let error = match connected {
        None => return,
        Some(Err(error)) => ConnectionError::NotOpened(error),
        Some(Ok(mut stream)) => {
            handle.socket.set(Some(stream.as_raw_fd()));
            inner.machine.borrow_mut().opened(link, inner.now_us());
            inner.pump();
            let ended = poll_fn(|context| serve(&inner, link, &handle, &mut stream, context)).await;
            // Before the stream is: nobody may write to a descriptor that is another's by then.
            handle.socket.set(None);
            match ended {
                None => return,
                Some(error) => ConnectionError::Lost(error.to_string()),
            }
        }
    };
    inner.links.borrow_mut().remove(&link);
    inner.machine.borrow_mut().closed(link, error, inner.now_us());
    inner.after_input();
}

/// Reads and writes as far as it goes. Ends with `None` where the client closes the connection.
fn serve<M: Machine + 'static>(
    inner: &Rc<Inner<M>>,
    link: LinkId,
    handle: &Link,
    stream: &mut TcpStream,
    context: &mut Context<'_>,
) -> Poll<Option<io::Error>> {
    if let Poll::Ready(Err(error)) = write(inner, link, handle, stream, context) {
        return Poll::Ready(Some(error));
    }
    while !handle.is_over.get() {
        let read = {
            let mut machine = inner.machine.borrow_mut();
            let space = machine.space(link);
            if space.is_empty() {
                // The client has closed it, and the action is on its way.
                Poll::Pending
            } else {
                Pin::new(&mut *stream).poll_read(context, space)
            }
        };
        match read {
            Poll::Ready(Ok(0)) => return Poll::Ready(Some(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Ok(bytes)) => {
                inner.machine.borrow_mut().received(link, bytes, inner.now_us());
                inner.after_input();
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Some(error)),
            Poll::Pending => {
                *handle.waker.borrow_mut() = Some(context.waker().clone());
                // The socket may have filled up while answers were dealt with.
                if handle.is_full.get()
                    && let Poll::Ready(Err(error)) = write(inner, link, handle, stream, context)
                {
                    return Poll::Ready(Some(error));
                }
                return Poll::Pending;
            }
        }
    }
    Poll::Ready(None)
}

/// Writes what a full socket did not take, as soon as it does.
fn write<M: Machine + 'static>(
    inner: &Rc<Inner<M>>,
    link: LinkId,
    handle: &Link,
    stream: &mut TcpStream,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while handle.is_full.get() {
        let machine = &mut *inner.machine.borrow_mut();
        let mut slices = Slices::new();
        machine.output(link, &mut slices);
        if slices.bytes() > 0 {
            match Pin::new(&mut *stream).poll_write(context, slices.first()) {
                Poll::Ready(Ok(written)) => machine.wrote(link, written),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        handle.is_full.set(false);
        handle.flush(link, machine);
    }
    Poll::Ready(Ok(()))
}

/// Tries all addresses of a host, one after the other.
async fn connect(host: &Rc<str>, port: u16) -> Result<TcpStream, String> {
    let mut last = format!("{host} has no address");
    for address in resolve(host.clone(), port).await? {
        match TcpStream::connect_timeout(&address, CONNECT_LIMIT).await {
            Ok(stream) => {
                // Without it a small request waits for the answer to the one before.
                stream.set_nodelay(true).map_err(|error| format!("{address}: {error}"))?;
                return Ok(stream);
            }
            Err(GlommioError::IoError(error)) => last = format!("{address}: {error}"),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(last)
}
