use super::Postgres;

/// A database of a test's own, dropped with it.
pub struct Database<'s> {
    server: &'s Postgres,
    name: String,
    keep: bool,
}

impl<'s> Database<'s> {
    pub(super) fn new(server: &'s Postgres, name: String) -> Self {
        Self { server, name, keep: false }
    }

    pub(super) fn keep(mut self) -> String {
        self.keep = true;
        self.name.clone()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn server(&self) -> &'s Postgres {
        self.server
    }

    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Where a password is asked for.
    pub fn tcp_url(&self) -> String {
        self.server.tcp_url(&self.name)
    }

    /// Has SQL carried out by an administrator.
    pub fn execute(&self, sql: &str) -> String {
        self.server.execute(&self.name, sql)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        if !self.keep {
            // A server that a test stopped takes its databases along.
            let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
            let _ = self.server.try_execute("postgres", &sql);
        }
    }
}
