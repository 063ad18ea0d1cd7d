//! One connection's socket.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use glommio::{GlommioError, net::TcpStream, timer::sleep};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, send, sendmsg},
};

use super::{Inner, low_water::LowWater, resolve::resolve, session::Session};
use crate::{
    kafka::wire::core::{
        connection::ConnectionError,
        machine::{LinkId, Machine, Slices},
    },
    runtime::descriptors,
};

/// How long one address may take to answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long both sides may take to trust each other.
const TRUST_LIMIT: Duration = Duration::from_secs(10);
/// Without waiting, and without a signal where the other side is gone.
const SEND_FLAGS: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

/// What others know of a connection's task.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The socket, while the task owns it.
    socket: Cell<Option<RawFd>>,
    /// It took nothing more: the task waits until it does.
    is_full: Cell<bool>,
    is_over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// `None`: plain text.
    session: RefCell<Option<Session>>,
    /// What whoever wrote has met.
    error: RefCell<Option<ConnectionError>>,
    low_water: LowWater,
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
        match &mut *self.session.borrow_mut() {
            None => self.flush_plain(socket, link, machine),
            Some(session) => self.flush_sealed(socket, session, link, machine),
        }
    }

    fn flush_plain<M: Machine>(&self, socket: RawFd, link: LinkId, machine: &mut M) {
        while !self.is_full.get() {
            let mut slices = Slices::new();
            machine.output(link, &mut slices);
            let bytes = slices.bytes();
            if bytes == 0 {
                return;
            }
            match sendmsg::<()>(socket, slices.as_io_slices(), &[], SEND_FLAGS, None) {
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

    fn flush_sealed<M: Machine>(&self, socket: RawFd, session: &mut Session, link: LinkId, machine: &mut M) {
        while !self.is_full.get() {
            if session.output().is_empty() {
                match seal(session, link, machine) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => {
                        *self.error.borrow_mut() = Some(error);
                        return self.wake();
                    }
                }
            }
            let bytes = session.output().len();
            match send(socket, session.output(), SEND_FLAGS) {
                Ok(written) => {
                    session.wrote(written);
                    self.is_full.set(written < bytes);
                }
                Err(Errno::EINTR) => continue,
                Err(_) => self.is_full.set(true),
            }
            if self.is_full.get() {
                self.wake();
            }
        }
    }
}

/// Encrypts what is to be written next. Returns whether there is anything.
fn seal<M: Machine>(session: &mut Session, link: LinkId, machine: &mut M) -> Result<bool, ConnectionError> {
    let mut slices = Slices::new();
    machine.output(link, &mut slices);
    if slices.bytes() == 0 {
        return Ok(false);
    }
    let taken = session.seal(slices.as_io_slices())?;
    machine.wrote(link, taken);
    Ok(true)
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
    let opened = async {
        let mut stream = connect(&host, port).await?;
        let session = match &inner.tls {
            None => None,
            Some(tls) => Some(trust(&mut stream, Session::new(tls.config(), &host)?).await?),
        };
        Ok((stream, session))
    };
    let opened = future::or(stopped, async { Some(opened.await) }).await;
    let error = match opened {
        None => return,
        Some(Err(error)) => error,
        Some(Ok((mut stream, session))) => {
            *handle.session.borrow_mut() = session;
            handle.socket.set(Some(stream.as_raw_fd()));
            inner.machine.borrow_mut().opened(link, inner.now_us());
            inner.pump();
            let ended = poll_fn(|context| serve(&inner, link, &handle, &mut stream, context)).await;
            // Before the stream is: nobody may write to a descriptor that is another's by then.
            handle.socket.set(None);
            match ended {
                None => return,
                Some(error) => error,
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
) -> Poll<Option<ConnectionError>> {
    if let Poll::Ready(Err(error)) = write(inner, link, handle, stream, context) {
        return Poll::Ready(Some(lost(&error)));
    }
    while !handle.is_over.get() {
        if let Some(error) = handle.error.take() {
            return Poll::Ready(Some(error));
        }
        match read(inner, link, handle, stream, context) {
            Poll::Ready(Ok(())) => inner.after_input(),
            Poll::Ready(Err(error)) => return Poll::Ready(Some(error)),
            Poll::Pending => {
                *handle.waker.borrow_mut() = Some(context.waker().clone());
                // The socket may have filled up while answers were dealt with.
                if handle.is_full.get()
                    && let Poll::Ready(Err(error)) = write(inner, link, handle, stream, context)
                {
                    return Poll::Ready(Some(lost(&error)));
                }
                return Poll::Pending;
            }
        }
    }
    Poll::Ready(None)
}

fn lost(error: &io::Error) -> ConnectionError {
    ConnectionError::Lost(error.to_string())
}

/// Reads what is there, once, and hands it to the client.
fn read<M: Machine + 'static>(
    inner: &Rc<Inner<M>>,
    link: LinkId,
    handle: &Link,
    stream: &mut TcpStream,
    context: &mut Context<'_>,
) -> Poll<Result<(), ConnectionError>> {
    let machine = &mut *inner.machine.borrow_mut();
    let space = machine.space(link);
    if space.is_empty() {
        // The client has closed it, and the action is on its way.
        return Poll::Pending;
    }
    let mut session = handle.session.borrow_mut();
    let into = match &mut *session {
        None => space,
        Some(session) => session.space(),
    };
    let read = match Pin::new(&mut *stream).poll_read(context, into) {
        Poll::Ready(read) => read.map_err(|error| lost(&error))?,
        Poll::Pending => {
            if session.is_none() {
                let set = handle.low_water.set_for(stream, machine.missing_bytes(link));
                set.map_err(|error| lost(&error))?;
            }
            return Poll::Pending;
        }
    };
    if read == 0 {
        return Poll::Ready(Err(lost(&io::ErrorKind::UnexpectedEof.into())));
    }
    let now_us = inner.now_us();
    Poll::Ready(match &mut *session {
        None => {
            machine.received(link, read, now_us);
            Ok(())
        }
        Some(session) => {
            session.received(read);
            open(session, link, machine, now_us)
        }
    })
}

/// Hands on what was encrypted: as much at once as there is room for.
fn open<M: Machine>(
    session: &mut Session,
    link: LinkId,
    machine: &mut M,
    now_us: u64,
) -> Result<(), ConnectionError> {
    let mut filled = 0;
    let outcome = session.open(|mut plain| {
        while !plain.is_empty() {
            let space = machine.space(link);
            let bytes = plain.len().min(space.len().saturating_sub(filled));
            if bytes == 0 {
                // The client has closed it.
                return;
            }
            let (now, later) = plain.split_at(bytes);
            space[filled..filled + bytes].copy_from_slice(now);
            (plain, filled) = (later, filled + bytes);
            if filled == space.len() {
                machine.received(link, filled, now_us);
                filled = 0;
            }
        }
    });
    if filled > 0 {
        machine.received(link, filled, now_us);
    }
    outcome?;
    if session.has_ended() { Err(lost(&io::ErrorKind::UnexpectedEof.into())) } else { Ok(()) }
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
        let mut session = handle.session.borrow_mut();
        let rest = match &*session {
            None => {
                machine.output(link, &mut slices);
                slices.first()
            }
            Some(session) => session.output(),
        };
        if !rest.is_empty() {
            let written = match Pin::new(&mut *stream).poll_write(context, rest) {
                Poll::Ready(written) => written?,
                Poll::Pending => return Poll::Pending,
            };
            match &mut *session {
                None => machine.wrote(link, written),
                Some(session) => session.wrote(written),
            }
        }
        drop(session);
        handle.is_full.set(false);
        handle.flush(link, machine);
    }
    Poll::Ready(Ok(()))
}

/// Has both sides say who they are, as far as they are asked to.
async fn trust(stream: &mut TcpStream, mut session: Session) -> Result<Session, ConnectionError> {
    let shake_hands = async {
        loop {
            let outcome = session.open(|_| ());
            let bytes = session.output().len();
            // Also where it failed: the broker's log should say why.
            let written = stream.write_all(session.output()).await;
            session.wrote(bytes);
            outcome?;
            written.map_err(|error| lost(&error))?;
            if session.is_open() {
                return Ok(());
            }
            let hung_up = |words: &str| ConnectionError::Tls(format!("TLS handshake failed: {words}"));
            match stream.read(session.space()).await {
                Ok(0) => return Err(hung_up("the broker closed the connection: is this a port for TLS?")),
                Ok(bytes) => session.received(bytes),
                Err(error) => return Err(hung_up(&error.to_string())),
            }
        }
    };
    let too_late = async {
        sleep(TRUST_LIMIT).await;
        let words = format!("TLS handshake failed: no answer within {} s", TRUST_LIMIT.as_secs());
        Err(ConnectionError::Tls(words))
    };
    future::or(shake_hands, too_late).await?;
    Ok(session)
}

/// Tries all addresses of a host, one after the other.
async fn connect(host: &Rc<str>, port: u16) -> Result<TcpStream, ConnectionError> {
    let addresses = resolve(host.clone(), port).await.map_err(ConnectionError::NotResolved)?;
    let mut last = ConnectionError::NotResolved(format!("{host} has no address"));
    for address in addresses {
        let connected = TcpStream::connect_timeout(&address, CONNECT_LIMIT).await;
        // Without it a small request waits for the answer to the one before.
        let connected = connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = not_opened(address, error),
        }
        if matches!(last, ConnectionError::NoDescriptor(_)) {
            break;
        }
    }
    Err(last)
}

fn not_opened(address: SocketAddr, error: GlommioError<()>) -> ConnectionError {
    let error = io::Error::from(error);
    let words = format!("{address}: {error}");
    match error.kind() {
        io::ErrorKind::TimedOut => ConnectionError::NotAnswering(words),
        _ if descriptors::advice(&error).is_some() => ConnectionError::NoDescriptor(words),
        _ => ConnectionError::NotOpened(words),
    }
}
