//! Lists, page by page: whoever fills a namespace with objects must not fill this process.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::read::{Asked, ReadError};
use super::{Client, JSON};
use crate::cluster::path::with_query;

/// How many objects one page holds.
const PAGE: usize = 500;
/// The longest answer that is read, in bytes; pages of large objects are asked for in smaller ones.
const LONGEST: usize = 8 << 20;
/// The longest answer with a single object. An object of 1.5 MiB is about six times as long if all its
/// characters are escaped.
const LONGEST_OBJECT: usize = 64 << 20;
/// How many objects of one list are read.
const MOST: usize = 50_000;
/// How often a list begins anew whose continue token has expired.
const RESTARTS: u32 = 3;
/// The objects without spec and status.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// How much of each object is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// all of it
    Whole,
    /// its metadata
    Metadata,
}

impl Extent {
    /// The form of a list of this extent.
    const fn accepted_list(self) -> &'static str {
        match self {
            Self::Whole => JSON,
            Self::Metadata => METADATA,
        }
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(deserialize_with = "items")]
    items: Vec<Box<RawValue>>,
}

/// A list of metadata without objects is `null`; a page without the field is no list.
fn items<'de, D: serde::Deserializer<'de>>(decoder: D) -> Result<Vec<Box<RawValue>>, D::Error> {
    Ok(Option::deserialize(decoder)?.unwrap_or_default())
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMetadata {
    #[serde(rename = "continue")]
    token: String,
    resource_version: String,
}

/// A list, reduced to what is kept.
pub(crate) struct Listed<T> {
    pub(crate) kept: Vec<T>,
    /// from which version on the objects can be watched
    pub(crate) version: String,
}

impl Client {
    /// What `keep` makes of the objects of the list at `path`; a kind that is not served has none.
    /// Memory holds one page and what is kept.
    ///
    /// # Errors
    /// As [`Client::read`], or there are too many objects.
    pub(crate) async fn list<T>(
        &self,
        path: &str,
        extent: Extent,
        mut keep: impl FnMut(&Value) -> Option<T>,
    ) -> Result<Vec<T>, ReadError> {
        let read = |item: &RawValue, _: Option<&T>| -> serde_json::Result<_> {
            Ok(keep(&serde_json::from_str::<Value>(item.get())?))
        };
        let listed = self.pages(path, extent, Some(MOST), false, read).await?;
        Ok(listed.map(|listed| listed.kept).unwrap_or_default())
    }

    /// What `keep` makes of each object of the list at `path`, as the API server wrote it; nothing if
    /// the kind is not served. `share` is told of each object and the one before. Few lists are read so at
    /// the same time.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub(crate) async fn list_raw<T>(
        &self,
        path: &str,
        extent: Extent,
        keep: impl Fn(&RawValue) -> Option<T>,
        share: fn(&mut T, &T),
    ) -> Result<Option<Listed<T>>, ReadError> {
        self.pages(path, extent, None, true, |item, last| {
            let mut kept = keep(item);
            if let (Some(kept), Some(last)) = (&mut kept, last) {
                share(kept, last);
            }
            Ok(kept)
        })
        .await
    }

    async fn pages<T>(
        &self,
        path: &str,
        extent: Extent,
        most: Option<usize>,
        in_turn: bool,
        mut keep: impl FnMut(&RawValue, Option<&T>) -> serde_json::Result<Option<T>>,
    ) -> Result<Option<Listed<T>>, ReadError> {
        let (mut kept, mut seen, mut token) = (Vec::new(), 0, String::new());
        let (mut limit, mut restarts) = (PAGE, 0);
        loop {
            let count = limit.to_string();
            let mut page = with_query(path, [("limit", count.as_str())]);
            if !token.is_empty() {
                page = with_query(&page, [("continue", token.as_str())]);
            }
            let longest = if limit > 1 { LONGEST } else { LONGEST_OBJECT };
            let asked = Asked { path: &page, accept: extent.accepted_list(), longest };
            // Several pages of large objects at once would need too much memory.
            let _turn = if in_turn { self.pages.acquire().await.ok() } else { None };
            let page = match self.ask::<Page>(&asked).await {
                Ok(Some(page)) => page,
                Ok(None) if token.is_empty() => return Ok(None),
                Ok(None) => return Ok(Some(Listed { kept, version: String::new() })),
                Err(ReadError::TooLong { .. }) if limit > 1 => {
                    limit = (limit / 10).max(1);
                    continue;
                }
                // The token is older than what the API server remembers.
                Err(ReadError::Refused { code: 410, .. }) if restarts < RESTARTS => {
                    restarts += 1;
                    kept.clear();
                    (seen, token) = (0, String::new());
                    continue;
                }
                Err(why) => return Err(why),
            };
            seen += page.items.len();
            if let Some(most) = most.filter(|most| seen > *most) {
                return Err(ReadError::TooMany { path: path.to_owned(), most });
            }
            for item in &page.items {
                let read = keep(item, kept.last()).map_err(|why| ReadError::Decode {
                    path: path.to_owned(),
                    why: why.to_string(),
                })?;
                kept.extend(read);
            }
            token = page.metadata.token;
            if token.is_empty() {
                return Ok(Some(Listed { kept, version: page.metadata.resource_version }));
            }
            // A few large objects must not make the rest of the list slow.
            let length: usize = page.items.iter().map(|item| item.get().len()).sum();
            if length <= LONGEST / 2 {
                limit = (limit * 2).min(PAGE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex, PoisonError};

    use hyper::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// A client of an API server that answers by `answer`, and the queries that it was asked.
    fn played(
        answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static,
    ) -> (Client, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (queries, answer) = (Arc::clone(&asked), Arc::new(answer));
        let service = tower::service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let (code, body) = answer(&query);
            queries.lock().unwrap_or_else(PoisonError::into_inner).push(query);
            let answer = Response::builder().status(code).body(Body::from(body.into_bytes()));
            std::future::ready(Ok::<_, Infallible>(answer.unwrap()))
        });
        (Client::from(kube::Client::new(service, "default")), asked)
    }

    fn page(items: impl Iterator<Item = usize>, next: &str) -> (u16, String) {
        let items: Vec<Value> = items.map(|n| json!({"n": n})).collect();
        (200, json!({"metadata": {"continue": next}, "items": items}).to_string())
    }

    fn number(item: &Value) -> Option<u64> {
        item["n"].as_u64()
    }

    #[tokio::test(start_paused = true)]
    async fn lists_are_read_page_by_page() {
        let (client, asked) = played(|query| match query.split("continue=").nth(1) {
            None => page(0..500, "a b"),
            Some("a%20b") => page(500..1000, "c"),
            Some(_) => page(1000..1001, ""),
        });
        let found = client.list("/api/v1/pods?labelSelector=a", Extent::Whole, number).await;
        assert_eq!(found.unwrap(), (0..1001).collect::<Vec<_>>());
        assert_eq!(
            *asked.lock().unwrap(),
            [
                "labelSelector=a&limit=500",
                "labelSelector=a&limit=500&continue=a%20b",
                "labelSelector=a&limit=500&continue=c"
            ]
        );
        let (client, _) = played(|_| (404, "{}".to_owned()));
        assert_eq!(client.list("/p", Extent::Whole, number).await, Ok(Vec::new()));
        let (client, _) = played(|_| (200, json!({"items": null}).to_string()));
        assert_eq!(client.list("/p", Extent::Metadata, number).await, Ok(Vec::new()));
        let (client, _) = played(|_| (200, "{}".to_owned()));
        let found = client.list("/p", Extent::Whole, number).await;
        assert!(matches!(found, Err(ReadError::Decode { .. })), "{found:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_whose_token_has_expired_begins_anew() {
        let expired = || (410, json!({"message": "too old"}).to_string());
        let times = Mutex::new(0);
        let (client, _) = played(move |query| {
            let mut times = times.lock().unwrap();
            match query.contains("continue") {
                false => page(0..2, "next"),
                true if *times < 2 => {
                    *times += 1;
                    expired()
                }
                true => page(2..3, ""),
            }
        });
        assert_eq!(client.list("/p", Extent::Whole, number).await, Ok(vec![0, 1, 2]));
        // Not for ever.
        let (client, asked) =
            played(
                move |query| {
                    if query.contains("continue") { expired() } else { page(0..2, "next") }
                },
            );
        let found = client.list("/p", Extent::Whole, number).await;
        assert!(matches!(found, Err(ReadError::Refused { code: 410, .. })), "{found:?}");
        assert_eq!(asked.lock().unwrap().len(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_has_an_end() {
        let (client, asked) = played(|_| page(0..500, "more"));
        let found = client.list("/p", Extent::Metadata, |_| None::<()>).await.unwrap_err();
        assert_eq!(found.to_string(), "/p cannot be read: there are more than 50000 objects");
        assert_eq!(asked.lock().unwrap().len(), 101);
    }

    #[tokio::test(start_paused = true)]
    async fn large_objects_are_read_in_smaller_pages() {
        let large = |count: usize, next: &str| {
            let items = vec![json!({"n": 1, "data": "x".repeat(1 << 20)}); count];
            (200, json!({"metadata": {"continue": next}, "items": items}).to_string())
        };
        let (client, asked) = played(move |query| match query {
            "limit=5" => large(5, "next"),
            "limit=5&continue=next" => large(3, ""),
            _ => large(9, "next"),
        });
        assert_eq!(client.list("/p", Extent::Whole, number).await.unwrap().len(), 8);
        assert_eq!(asked.lock().unwrap()[..3], ["limit=500", "limit=50", "limit=5"]);
        // A single object may be larger than a page.
        let (client, _) = played(move |query| match query {
            "limit=1" => large(9, ""),
            _ => large(9, "next"),
        });
        assert_eq!(client.list("/p", Extent::Whole, number).await.unwrap().len(), 9);
        // One object that is too large by itself is an error.
        let larger = large(65, "");
        let (client, _) = played(move |_| larger.clone());
        let found = client.list("/p", Extent::Whole, number).await;
        assert!(matches!(found, Err(ReadError::TooLong { .. })), "{found:?}");
    }
}
