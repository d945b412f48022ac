use tempfile::TempDir;

use super::*;

#[tokio::test]
async fn a_missing_socket_is_named_with_what_to_do() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("containerd.sock");
    let runtime = Runtime::new(Endpoint::Unix(socket.clone()));
    let error = runtime.probe().await.unwrap_err().to_string();
    for words in [socket.to_str().unwrap(), "runtime.endpoint", "check_image"] {
        assert!(error.contains(words), "lacks {words}: {error}");
    }
    assert!(runtime.has_image("r/app:1").await.is_err(), "no answer is not an answer");
}

#[tokio::test]
async fn something_else_on_the_socket_is_not_taken_for_a_runtime() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("other.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let other = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400\r\n\r\n").await;
        }
    });
    let error = Runtime::new(Endpoint::Unix(socket)).probe().await.unwrap_err();
    assert!(matches!(error, RuntimeError::Absent(_)), "{error}");
    other.abort();
}
