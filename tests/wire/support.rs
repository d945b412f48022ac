//! Recordings, and frames written by hand.

use std::path::PathBuf;

use pullfuse::{
    recording::{Line, Recording},
    wire::{Decoder, Direction, Exchange, Record},
};

pub(crate) const RECORDINGS: [&str; 2] = ["containerd-2.4.2", "cri-o-1.36.3"];
pub(crate) const SECRET: &str = "MARKER-SECRET";

pub(crate) fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/wire").join(file)
}

pub(crate) fn lines(name: &str) -> Vec<Line> {
    let mut recording = Recording::open(&path(&format!("{name}.wire.jsonl.gz"))).unwrap();
    std::iter::from_fn(|| recording.next_line().unwrap()).collect()
}

/// Those of connection 2, the image service's.
pub(crate) fn image_lines(name: &str) -> Vec<Line> {
    lines(name).into_iter().filter(|line| line.connection == 2).collect()
}

pub(crate) fn decode<'a>(
    decoder: &mut Decoder,
    lines: impl IntoIterator<Item = &'a Line>,
) -> Vec<Exchange> {
    lines.into_iter().flat_map(|line| decoder.feed(&line.record())).collect()
}

/// Whether a text has the secret, as text or as the numbers of a `Debug` of bytes.
pub(crate) fn tells_secret(text: &str) -> bool {
    let numbers = format!("{:?}", SECRET.as_bytes());
    text.contains(SECRET) || text.contains(numbers.trim_matches(['[', ']']))
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length.get(1..).unwrap().to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Literal fields that stay out of the table.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

pub(crate) fn grpc(message: &[u8]) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    framed
}

/// A `PullImageRequest` with a password.
pub(crate) fn pull_request(image: &str, uid: &str) -> Vec<u8> {
    use k8s_cri::v1::{
        AuthConfig, ImageSpec, PodSandboxConfig, PodSandboxMetadata, PullImageRequest,
    };
    let request = PullImageRequest {
        image: Some(ImageSpec { image: image.into(), ..Default::default() }),
        auth: Some(AuthConfig { password: SECRET.into(), ..Default::default() }),
        sandbox_config: Some(PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: format!("pod-{uid}"),
                uid: uid.into(),
                namespace: "ns".into(),
                attempt: 0,
            }),
            ..Default::default()
        }),
    };
    prost::Message::encode_to_vec(&request)
}

pub(crate) const PATH: &str = "/runtime.v1.ImageService/PullImage";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) fn request(stream: u32, uid: &str) -> Vec<u8> {
    let headers = block(&[(":method", "POST"), (":path", PATH)]);
    let mut bytes = frame(HEADERS, END_HEADERS, stream, &headers);
    bytes.extend(frame(DATA, END_STREAM, stream, &grpc(&pull_request("image", uid))));
    bytes
}

pub(crate) fn failure(stream: u32, code: &str, message: &str) -> Vec<u8> {
    let headers = block(&[
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", code),
        ("grpc-message", message),
    ]);
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &headers)
}

pub(crate) fn success(stream: u32) -> Vec<u8> {
    let mut bytes = frame(HEADERS, END_HEADERS, stream, &block(&[(":status", "200")]));
    bytes.extend(frame(DATA, 0, stream, &grpc(b"\x0a\x03ref")));
    let trailers = block(&[("grpc-status", "0"), ("grpc-message", "")]);
    bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &trailers));
    bytes
}

/// A connection whose bytes are written by hand; time goes on by 1 with each record.
pub(crate) struct Wire {
    pub(crate) decoder: Decoder,
    pub(crate) offsets: [u64; 2],
    pub(crate) t_us: u64,
}

impl Wire {
    /// From its first byte.
    pub(crate) fn new() -> Self {
        let mut wire = Self { decoder: Decoder::new(), offsets: [0; 2], t_us: 0 };
        let mut first = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        first.extend(frame(SETTINGS, 0, 0, &[]));
        assert_eq!(wire.client(&first), []);
        assert_eq!(wire.server(&frame(SETTINGS, 0, 0, &[])), []);
        wire
    }

    /// From the middle.
    pub(crate) fn joined() -> Self {
        Self { decoder: Decoder::new(), offsets: [1_000_000; 2], t_us: 0 }
    }

    pub(crate) fn client(&mut self, data: &[u8]) -> Vec<Exchange> {
        self.write(Direction::ToRuntime, data)
    }

    pub(crate) fn server(&mut self, data: &[u8]) -> Vec<Exchange> {
        self.write(Direction::ToKubelet, data)
    }

    fn write(&mut self, direction: Direction, data: &[u8]) -> Vec<Exchange> {
        self.t_us += 1;
        let offset = self.offsets.get_mut(usize::from(direction == Direction::ToKubelet)).unwrap();
        let record = Record { t_us: self.t_us, connection: 7, direction, offset: *offset, data };
        *offset += data.len() as u64;
        self.decoder.feed(&record)
    }

    /// Bytes that nobody saw.
    pub(crate) fn lose(&mut self, direction: Direction, bytes: u64) {
        *self.offsets.get_mut(usize::from(direction == Direction::ToKubelet)).unwrap() += bytes;
    }
}
