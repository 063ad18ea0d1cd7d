//! From a name to its addresses, off the shard.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    rc::Rc,
    time::Duration,
};

use futures_lite::future;
use glommio::timer::sleep;

/// How long a name may take.
const LIMIT: Duration = Duration::from_secs(10);

/// All addresses of a host, in the system's order. An IP address is its own; a name is looked up on the executor's helper
/// thread, since the system's resolver blocks.
///
/// # Errors
/// In words: there is none, or nobody said so in time.
pub(super) async fn resolve(host: Rc<str>, port: u16) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = host.to_string();
    let look_up = async move {
        let looked_up = move || (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        glommio::executor().spawn_blocking(looked_up).await
    };
    let too_late = async {
        sleep(LIMIT).await;
        Err(io::Error::from(io::ErrorKind::TimedOut))
    };
    match future::or(look_up, too_late).await {
        Ok(addresses) if addresses.is_empty() => Err(format!("{host} has no address")),
        Ok(addresses) => Ok(addresses),
        Err(error) => Err(format!("{host} cannot be resolved: {error}")),
    }
}
