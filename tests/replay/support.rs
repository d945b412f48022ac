//! How the tests call it.

use std::collections::BTreeMap;

use assert_cmd::Command;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use tempfile::TempDir;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/wire");

/// Returns exit code, standard output and standard error.
pub fn replay(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullfuse"));
    command.arg("replay").args(args).env_clear().timeout(std::time::Duration::from_secs(60));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (seen, errors) = (text(output.stdout), text(output.stderr));
    assert!(!errors.contains("panicked"), "{errors}");
    assert!(!seen.contains("MARKER-SECRET") && !errors.contains("MARKER-SECRET"));
    (output.status.code().unwrap(), seen, errors)
}

pub fn recording(name: &str) -> String {
    format!("{DATA}/{name}.wire.jsonl.gz")
}

/// Every pull of a recording, as another decoder saw it.
pub fn expected(name: &str) -> Vec<BTreeMap<String, Value>> {
    let text = std::fs::read_to_string(format!("{DATA}/{name}.expect.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn write(dir: &TempDir, name: &str, content: &[u8]) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A recording of one pull, in flight or failed, with this image and this text.
pub fn one_pull(image: &str, message: Option<&str>) -> String {
    let frame = |kind: u8, flags: u8, payload: &[u8]| {
        let mut frame = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, 1];
        frame.extend(payload);
        frame
    };
    let field = |name: &str, value: &str| {
        let mut field = vec![0];
        for text in [name, value] {
            field.push(u8::try_from(text.len()).unwrap());
            field.extend(text.as_bytes());
        }
        field
    };
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    let part = |tag: u8, bytes: &[u8]| [&[tag, length(bytes)], bytes].concat();
    let metadata = [part(0x0a, b"pod"), part(0x12, b"uid"), part(0x1a, b"batch")].concat();
    let request =
        [part(0x0a, &part(0x0a, image.as_bytes())), part(0x1a, &part(0x0a, &metadata))].concat();
    let request = [&[0, 0, 0, 0, length(&request)], &request[..]].concat();
    let client = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(1, 4, &field(":path", "/runtime.v1.ImageService/PullImage")),
        frame(0, 1, &request),
    ]
    .concat();
    let line = |direction: &str, data: &[u8]| {
        let data = BASE64_STANDARD.encode(data);
        format!(
            "{{\"t_us\":5,\"connection\":1,\"direction\":\"{direction}\",\"offset\":0,\"data\":\"{data}\"}}\n"
        )
    };
    let mut text = line("c2s", &client);
    if let Some(message) = message {
        let fields =
            [field(":status", "200"), field("grpc-status", "5"), field("grpc-message", message)];
        text.push_str(&line("s2c", &frame(1, 5, &fields.concat())));
    }
    text
}
