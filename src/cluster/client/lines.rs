//! The lines of an answer that does not end: the events of a watch.

use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::header::ACCEPT;
use kube::client::Body;

use super::list::Extent;
use super::read::ReadError;
use super::{Client, JSON, Response, TIMEOUT};
use crate::cluster::errors::{Unreachable, innermost};

/// The longest line that is read, in bytes; it holds one object.
const LONGEST: usize = 64 << 20;
/// How much is read of an answer that says no.
const REFUSAL: usize = 64 << 10;
/// The objects of events without spec and status.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// An answer that is read line by line.
pub(crate) struct Lines {
    body: Body,
    read: Vec<u8>,
    /// how much of `read` has no end of a line
    searched: usize,
}

impl Client {
    /// Begins to read the events at `path`.
    ///
    /// # Errors
    /// No answer, or one that says no.
    pub(crate) async fn lines(&self, path: &str, extent: Extent) -> Result<Lines, ReadError> {
        let accept = if extent == Extent::Metadata { METADATA } else { JSON };
        let failed = |why: String| ReadError::Unreachable { path: path.to_owned(), why };
        let request = Request::get(path)
            .header(ACCEPT, accept)
            .body(Body::empty())
            .map_err(|why| failed(why.to_string()))?;
        let answer = tokio::time::timeout(TIMEOUT, self.kube.send(request))
            .await
            .map_err(|_| failed(format!("no answer within {} s", TIMEOUT.as_secs())))?
            .map_err(|why| failed(Unreachable(self.explain(&why)).to_string()))?;
        let status = answer.status().as_u16();
        let mut lines = Lines { body: answer.into_body(), read: Vec::new(), searched: 0 };
        if status == 200 {
            return Ok(lines);
        }
        let read = async {
            while lines.read.len() < REFUSAL && lines.more().await.is_ok_and(|more| more) {}
        };
        let _ = tokio::time::timeout(TIMEOUT, read).await;
        let said = Response {
            status,
            date: None,
            retry_after: None,
            warnings: Vec::new(),
            body: lines.read,
        };
        Err(ReadError::Refused { path: path.to_owned(), code: status, message: said.message() })
    }
}

impl Lines {
    /// The next line, or that the answer has ended. What follows the last line end is left out: it
    /// was cut.
    ///
    /// # Errors
    /// The connection broke, or a line is too long.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            let end = self.read.iter().skip(self.searched).position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let rest = self.read.split_off(self.searched + end + 1);
                self.searched = 0;
                return Ok(Some(std::mem::replace(&mut self.read, rest)));
            }
            self.searched = self.read.len();
            if self.read.len() > LONGEST {
                return Err(format!("an event has more than {LONGEST} bytes"));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// Reads on; says whether there was more.
    async fn more(&mut self) -> Result<bool, String> {
        match self.body.frame().await {
            None => Ok(false),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.read.extend_from_slice(data);
                }
                Ok(true)
            }
            Some(Err(why)) => Err(innermost(&why)),
        }
    }
}
