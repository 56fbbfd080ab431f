//! Unary gRPC over a socket: HTTP/2 with a message of five bytes and more, and trailers.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixListener;

use super::driver::Player;
use super::wire::Refused;

/// Answers until the task is aborted.
pub(super) async fn serve(listener: UnixListener, player: Arc<Player>) {
    while let Ok((stream, _)) = listener.accept().await {
        let player = Arc::clone(&player);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&player), request));
            let connection = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            // The resizer hangs up when it is stopped.
            let _ = connection.await;
        });
    }
}

type Answer = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

async fn answer(player: Arc<Player>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let method = request.uri().path().to_owned();
    let outcome = match request.into_body().collect().await.map(|body| unframed(&body.to_bytes())) {
        Ok(Some(message)) => player.call(&method, message).await,
        Ok(None) => Err(Refused::new(Refused::INTERNAL, "a frame that is no single message")),
        Err(error) => Err(Refused::new(Refused::INTERNAL, error.to_string())),
    };
    let (body, code, message) = match outcome {
        Ok(message) => (framed(&message), 0, String::new()),
        Err(refused) => (Bytes::new(), refused.code, refused.message),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    if let Ok(message) = HeaderValue::from_str(&message) {
        trailers.insert("grpc-message", message);
    }
    let body = Full::new(body).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body.boxed());
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    Ok(response)
}

/// The message behind one byte that says "not compressed" and four of length.
fn unframed(frame: &Bytes) -> Option<Bytes> {
    let (head, message) = frame.split_first_chunk::<5>()?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    (head[0] == 0 && message.len() == length as usize).then(|| frame.slice(5..))
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), message].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_holds_one_message() {
        assert_eq!(framed(b"ab").as_ref(), [0, 0, 0, 0, 2, b'a', b'b']);
        assert_eq!(unframed(&framed(b"ab")).unwrap().as_ref(), b"ab");
        assert!(unframed(&Bytes::from_static(&[0, 0, 0, 0, 9, 1])).is_none());
        assert!(unframed(&Bytes::from_static(&[1, 0, 0, 0, 1, 1])).is_none());
    }
}
