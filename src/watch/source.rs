//! One place that is read again and again, and what its text means: HAProxy's table, nginx's page or metrics. Which of the
//! first two it is shows by the first answer.

use super::address::Address;
use super::prometheus::{self, Found, Wanted};
use super::reader::{ReadError, Reader};
use super::row::Row;
use super::{haproxy, nginx};
use std::time::Duration;

/// A reading takes no longer than this while a run goes on...
pub const LIMIT: Duration = Duration::from_secs(1);
/// ...and the first one, which looks the name up, no longer than this.
pub const FIRST_LIMIT: Duration = Duration::from_secs(5);

/// What kind of balancer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HAProxy: a row for each frontend, backend and server.
    Haproxy,
    /// nginx's stub_status: one row.
    Nginx,
}

impl Kind {
    /// The report's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
        }
    }
}

/// What one reading said.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A balancer's statistics.
    Balancer(Kind, Vec<Row>),
    /// Metrics.
    Metrics(Found),
}

/// A place and what is wanted of it.
pub struct Source {
    reader: Reader,
    what: What,
}

enum What {
    /// The form, once it is known.
    Balancer(Option<Form>),
    Metrics(Vec<Wanted>),
}

/// How statistics are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// HAProxy's page wants `;csv` behind it.
    WantsCsv,
    /// What was typed, or a runtime socket, answers with the table.
    Csv,
    Nginx,
}

impl Source {
    /// A balancer's statistics.
    pub fn balancer(reader: Reader) -> Self {
        Self {
            reader,
            what: What::Balancer(None),
        }
    }

    /// Metrics.
    pub fn metrics(reader: Reader, wanted: Vec<Wanted>) -> Self {
        Self {
            reader,
            what: What::Metrics(wanted),
        }
    }

    /// Its address.
    pub fn address(&self) -> &Address {
        self.reader.address()
    }

    /// The first reading, which finds out what is there.
    pub async fn first(&mut self) -> Result<Content, ReadError> {
        within(FIRST_LIMIT, self.content()).await
    }

    /// Each further reading.
    pub async fn read(&mut self) -> Result<Content, ReadError> {
        within(LIMIT, self.content()).await
    }

    async fn content(&mut self) -> Result<Content, ReadError> {
        match &mut self.what {
            What::Metrics(wanted) => {
                let text = self.reader.read("").await?;
                prometheus::find(&text, wanted)
                    .map(Content::Metrics)
                    .map_err(ReadError::Odd)
            }
            What::Balancer(form) => {
                let (found, content) = statistics(&mut self.reader, *form).await?;
                *form = Some(found);
                Ok(content)
            }
        }
    }
}

async fn within<T>(limit: Duration, reading: impl Future<Output = Result<T, ReadError>>) -> Result<T, ReadError> {
    match tokio::time::timeout(limit, reading).await {
        Ok(read) => read,
        Err(_) => Err(ReadError::Silent(limit.as_secs())),
    }
}

async fn statistics(reader: &mut Reader, form: Option<Form>) -> Result<(Form, Content), ReadError> {
    let plain = match form {
        Some(Form::WantsCsv) => None,
        _ => Some(reader.read("").await?),
    };
    if let Some(text) = &plain {
        if nginx::is_page(text) {
            let row = nginx::row(text).map_err(ReadError::Odd)?;
            return Ok((Form::Nginx, Content::Balancer(Kind::Nginx, vec![row])));
        }
        if haproxy::is_table(text) {
            return Ok((Form::Csv, table(text)?));
        }
        if !reader.address().takes_login() || form.is_some() {
            return Err(ReadError::Odd(
                "does not answer `show stat` with HAProxy's table".to_owned(),
            ));
        }
    }
    let text = reader.read(";csv").await?;
    match haproxy::is_table(&text) {
        true => Ok((Form::WantsCsv, table(&text)?)),
        false => Err(ReadError::Odd(
            "is neither HAProxy's statistics (its `stats uri`) nor nginx's stub_status".to_owned(),
        )),
    }
}

fn table(text: &str) -> Result<Content, ReadError> {
    match haproxy::rows(text) {
        Ok(rows) => Ok(Content::Balancer(Kind::Haproxy, rows)),
        Err(error) => Err(ReadError::Odd(error)),
    }
}
