//! A bearer token is read from its file again when four fifths of its life are over, so that whoever renews the file renews
//! the run. Connections show the new one when they are made, or when a broker asks again.

use std::{
    path::{Path, PathBuf},
    rc::{Rc, Weak},
    time::{Duration, Instant, UNIX_EPOCH},
};

use glommio::timer::sleep;

use super::core::login::Login;
use crate::{config::Secret, kafka::token};

/// How long it rests when there was no new one, and at least in any case.
const PAUSE: Duration = Duration::from_secs(2);
/// How often it looks whether its client is still there.
const LOOK: Duration = Duration::from_secs(5);

/// Renews the token of a client that has one from a file, for as long as the client lives. Must be called on its executor.
pub(super) fn keep(login: Option<&Rc<Login>>) {
    if let Some((login, file)) = login.and_then(|login| Some((login, login.token_file()?))) {
        glommio::spawn_local(renew(Rc::downgrade(login), file.to_owned())).detach();
    }
}

async fn renew(login: Weak<Login>, file: PathBuf) {
    let due = |pause: Duration| Instant::now() + pause.max(PAUSE);
    let Some(first) = login.upgrade().map(|login| login.with_password(four_fifths)) else { return };
    let mut due_at = due(first);
    while login.strong_count() > 0 {
        let left = due_at.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            sleep(left.min(LOOK)).await;
            continue;
        }
        let from = file.clone();
        // Off the shard: a file may be on a disk that hangs.
        let found = glommio::executor().spawn_blocking(move || usable(&from)).await;
        token::tell(found.as_ref().err());
        due_at = due(found.as_deref().map_or(PAUSE, four_fifths));
        if let (Ok(token), Some(login)) = (found, login.upgrade()) {
            login.set_password(Secret::new(token));
        }
    }
}

/// The token of a file, if it has not ended.
///
/// # Errors
/// In words: there is none.
pub(super) fn usable(file: &Path) -> Result<String, String> {
    let token = token::read(file)?;
    token::life_end(&token)?;
    Ok(token)
}

/// How long a token may be used before another one is looked for.
fn four_fifths(token: &str) -> Duration {
    let left = token::life_end(token).map(|end| end.saturating_sub(UNIX_EPOCH.elapsed().unwrap_or_default()));
    left.unwrap_or_default() * 4 / 5
}

#[cfg(test)]
mod tests {
    use std::fs;

    use glommio::LocalExecutor;

    use super::*;
    use crate::kafka::wire::core::login::Mechanism;

    #[test]
    fn a_new_token_is_taken_when_there_is_one_and_nobody_waits_for_a_client_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "new\n").unwrap();
        // {"exp":1}: over for long, so that another one is looked for at once.
        let old = Secret::new("e30.eyJleHAiOjF9.".to_owned());
        let login = Login::new(Mechanism::OauthBearer, "u", old, String::new).with_token_file(Some(file));
        LocalExecutor::default().run(async move {
            let login = Rc::new(login);
            let renewing =
                glommio::spawn_local(renew(Rc::downgrade(&login), login.token_file().unwrap().into()));
            let is_new = || login.with_password(|token| token == "new");
            while !is_new() {
                sleep(Duration::from_millis(20)).await;
            }
            drop(login);
            renewing.await;
        });
    }

    #[test]
    fn a_token_that_has_ended_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        assert!(usable(&file).unwrap_err().contains("cannot be read"));
        fs::write(&file, "e30.eyJleHAiOjF9.").unwrap();
        assert!(usable(&file).unwrap_err().starts_with("it expired "));
        assert_eq!(four_fifths("e30.eyJleHAiOjF9."), Duration::ZERO);
        assert!(four_fifths("opaque") > Duration::from_hours(1_000));
    }
}
