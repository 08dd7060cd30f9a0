//! What is asked of a store, and its answer as text.

use tidings_core::{
    ids::{NotificationId, Rev, RoomId, UserId},
    inbox::{OpenFrom, PageQuery, Sync},
    notification::Notification,
    ports::Store,
    time::Timestamp,
};

use super::deed::told;

#[derive(Debug, Clone)]
pub(super) enum Look {
    Page(PageQuery),
    /// Every page of a list, one after the other.
    List(PageQuery),
    Sync(UserId, Rev, usize),
    /// To its end.
    CatchUp(UserId, Rev, usize),
    RevAt(UserId, Timestamp),
    Open(UserId, OpenFrom),
    State(UserId),
    States(Vec<UserId>),
    Notification(UserId, NotificationId),
    Exists(NotificationId),
    Announcement(NotificationId),
    Due(Timestamp),
    Members(RoomId),
    User(UserId),
}

impl Look {
    pub(super) async fn run(&self, store: &dyn Store) -> String {
        match self {
            Self::Page(query) => page(store, query.clone()).await.0,
            Self::List(query) => list(store, query.clone()).await,
            Self::Sync(user, since, limit) => {
                shown(store.sync(user, *since, *limit).await.unwrap())
            }
            Self::CatchUp(user, since, limit) => catch_up(store, user, *since, *limit).await,
            Self::RevAt(user, at) => told(store.rev_at(user, *at).await),
            Self::Open(user, from) => {
                let opening = store.open(user, from.clone()).await.unwrap();
                format!("{:?} {:?} {}", opening.state, opening.since, shown(opening.pending))
            }
            Self::State(user) => told(store.state(user).await),
            Self::States(users) => {
                let mut states = store.states(users).await.unwrap();
                states.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                format!("{states:?}")
            }
            Self::Notification(user, id) => {
                let found = store.notification(user, *id).await.unwrap();
                found.as_ref().map(Notification::to_json).unwrap_or_default()
            }
            Self::Exists(id) => told(store.exists(*id).await),
            Self::Announcement(id) => told(store.announcement(*id).await),
            Self::Due(at) => {
                told(store.due_announcements(*at, 100).await)
                    + &told(store.due_retractions(100).await)
            }
            Self::Members(room) => told(store.members(room, None, 100).await),
            Self::User(user) => told(store.user(user).await),
        }
    }
}

async fn page(store: &dyn Store, query: PageQuery) -> (String, Option<Rev>) {
    let page = store.page(query).await.unwrap();
    let last = page.notifications.last().map(|last| last.item.seq);
    let text = format!("{}more {} total {:?}", all(&page.notifications), page.has_more, page.total);
    (text, last.filter(|_| page.has_more))
}

async fn list(store: &dyn Store, mut query: PageQuery) -> String {
    let mut text = String::new();
    loop {
        let (part, last) = page(store, query.clone()).await;
        text += &part;
        match last {
            Some(last) => query.before = Some(last),
            None => return text,
        }
    }
}

async fn catch_up(store: &dyn Store, user: &UserId, mut since: Rev, limit: usize) -> String {
    let mut text = String::new();
    loop {
        let sync = store.sync(user, since, limit).await.unwrap();
        // A client that starts over gets the newest alone.
        let more = sync.has_more && !sync.reset;
        since = sync.to;
        text += &shown(sync);
        if !more {
            return text;
        }
    }
}

fn shown(mut sync: Sync) -> String {
    sync.removed.sort_unstable();
    let Sync { items, removed, read_up_to, unread, to, has_more, reset } = sync;
    format!(
        "{}removed {removed:?} read {read_up_to} unread {unread} to {to} more {has_more} reset {reset}\n",
        all(&items)
    )
}

fn all(notifications: &[Notification]) -> String {
    notifications.iter().map(|one| one.to_json() + "\n").collect()
}
